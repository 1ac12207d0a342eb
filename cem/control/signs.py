"""Is the grid meter the right way round? What the batteries move must show at the meter with the same sign."""

from collections.abc import Sequence
from itertools import pairwise
from operator import itemgetter

from cem.control.memory import Lateness, SignMemory
from cem.control.meter import Meter
from cem.control.tuning import SIGN_GAP_S, SIGN_SHARE, SIGN_STEP_W, SIGN_STOP_S, SIGN_SURE_TICKS, SIGN_WINDOW_S
from cem.model.envelope import Envelope, Rank
from cem.model.reading import Snapshot
from cem.model.resource import Role
from cem.model.site import Site
from cem.model.values import replace

REASON = "the grid meter counts backwards: a battery that charges shows as less import. Turn the meter or its sensors"
DOUBT_SHARE = 0.1  # of the rating, while it is tried again
LAGS = range(-3, 4)
"""By how many samples the meter may run behind the batteries' own readings, or before them."""
AGAINST = -0.5
WITH = 0.3
"""Of all that the batteries moved, this share at most shows the wrong way, and at no lag more the right way."""
EVENLY = 2.0
"""It was moved in so many steps of equal size at least: one may be the household's chance."""
Sample = tuple[float, float, float]
BATTERIES_W = itemgetter(2)


def watch(site: Site, snapshot: Snapshot, meter: Meter, before: SignMemory, late: Lateness) -> SignMemory:
    """Compares what the batteries have moved in the last seconds with what the meter has, sample by sample.

    Where the meter is known to be late, with what they and the cars had told so much earlier.
    A household whose load moves as much may look like a reversed meter for one step, not for several in a row and at
    every lag. A slow run away from zero is seen once it has moved by enough to tell.
    """
    batteries = site.of(Role.BATTERY)
    if not site.of(Role.GRID) or not batteries:
        return before
    stale_s = site.connection.meter_stale_s
    powers = [snapshot.number(b.id, "power_w", stale_s) for b in batteries]
    grid, at_s, former = meter.power_w, meter.told_at_s, before.samples
    if grid is None or at_s is None or None in powers:
        return replace(before, samples=(), sure=0)
    if at_s < before.stopped_until_s:  # nothing is moved: a late meter still shows what was
        return replace(before, samples=(), sure=0) if former else before
    if former and at_s <= former[-1][0]:
        return before
    if former and at_s - former[-1][0] > SIGN_GAP_S:
        former = ()
    kept = 0
    while kept < len(former) and at_s - former[kept][0] > SIGN_WINDOW_S:
        kept += 1
    power_w = late.gave_w[int(late.seconds)] if late.seconds else sum([p for p in powers if p is not None])
    samples = (*former[kept:], (at_s, grid, power_w))
    enough_w = max(SIGN_STEP_W, SIGN_SHARE * site.once(_rated_w)) * (1.0 if before.doubt else 2.0)
    return _judged(before, samples, enough_w)


def _rated_w(site: Site) -> float:
    """What all batteries together can take or give."""
    rated = [max(b.ratings.max_charge_w or 0.0, b.ratings.max_discharge_w or 0.0) for b in site.of(Role.BATTERY)]
    return sum(rated)


def _judged(before: SignMemory, samples: tuple[Sample, ...], enough_w: float) -> SignMemory:
    stored = [*map(BATTERIES_W, samples)]
    if max(stored) - min(stored) < enough_w:
        return replace(before, samples=samples, sure=0)
    least, most = agreement(samples)
    if most > 1.0 - WITH:
        return replace(before, samples=samples, sure=0, doubt=False)
    if least > AGAINST or most > WITH:
        return replace(before, samples=samples, sure=0)
    if before.sure + 1 < SIGN_SURE_TICKS:
        return replace(before, samples=samples, sure=before.sure + 1)
    return doubted(before, samples[-1][0])


def doubted(before: SignMemory, now_s: float) -> SignMemory:
    """The meter counts backwards: the batteries stand still for a while, and are tried again."""
    return replace(before, samples=(), sure=0, stopped_until_s=now_s + SIGN_STOP_S, doubt=True)


def agreement(samples: Sequence[Sample]) -> tuple[float, float]:
    """How far what the batteries moved shows at the meter, from -1 (all the wrong way) to 1 (all the right way).

    (the least of the lags at which the meter is behind, the most of all lags). Steps weigh by their size; more than
    itself none can show. (0, 0) where one step outweighs all others.
    """
    pairs = list(pairwise(samples))
    moved = [after[2] - before[2] for before, after in pairs]
    shown = [after[1] - before[1] for before, after in pairs]
    total = sum(map(abs, moved))
    if total * total < EVENLY * sum(step * step for step in moved):
        return 0.0, 0.0
    found = {lag: _share(moved, shown, lag) for lag in LAGS}
    return min(share for lag, share in found.items() if lag >= 0), max(found.values())


def _share(moved: Sequence[float], shown: Sequence[float], lag: int) -> float:
    with_it = weight = 0.0
    for place, step in enumerate(moved):
        other = place + lag
        if step != 0.0 and 0 <= other < len(shown):
            size = abs(step)
            weight += size
            with_it += max(-size, min(size, shown[other] if step > 0.0 else -shown[other]))
    return with_it / weight if weight > 0.0 else 0.0


def reversed_now(memory: SignMemory, now_s: float) -> bool:
    """Whether the batteries stand still because the meter counts backwards."""
    return now_s < memory.stopped_until_s


def sign_envelopes(site: Site, memory: SignMemory, now_s: float) -> list[Envelope]:
    """Nothing while it is known to be reversed; a tenth while it is tried again."""
    if not memory.doubt:
        return []
    envelopes = []
    for battery in site.of(Role.BATTERY):
        rated = max(battery.ratings.max_charge_w or 0.0, battery.ratings.max_discharge_w or 0.0)
        most = 0.0 if reversed_now(memory, now_s) else max(DOUBT_SHARE * rated, 2 * SIGN_STEP_W)
        envelopes.append(Envelope(battery.id, -most, most, Rank.SAFETY, "meter", REASON))
    return envelopes
