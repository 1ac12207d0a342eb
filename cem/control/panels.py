"""PV: curtailed only by what the connection point's band leaves, after the batteries took their part."""

import math
from collections.abc import Sequence

from cem.control import words
from cem.control.battery_choice import BatteryChoice
from cem.control.black_start import roofs_wait
from cem.control.deaf import heedless, stores
from cem.control.fold import fold
from cem.control.picture import PvPicture
from cem.control.scene import Scene
from cem.control.spreading import EXPORT
from cem.control.tuning import EV_DRAWS_W, EXPORT_MARGIN_W
from cem.model.envelope import SITE, Envelope, Rank
from cem.model.resource import Control
from cem.model.values import replace, value

OPENS_W = 30.0
"""So far a bound roof may go beyond a limit until a battery has followed: well within what a minute's mean may."""

RISES_SHARE = 0.1
"""Of its rating: so far above what it gives a roof is left that has less sun than another, in one tick."""

LOOKS_W = 10.0
"""So far above what it gives a roof is left at least, while another uses the rest of its part: less than what opens."""

STEP_SHARE = 0.05
"""Of its rating: the steps in which a bound is told that is far from what the roof gives."""


@value(frozen=True, slots=True)
class PvChoice:
    """The largest generation allowed, a magnitude; None: unbounded, handed back."""

    pv: PvPicture
    limit_w: float | None
    rank: Rank
    source: str
    reason: str


def choose(
    scene: Scene, batteries: Sequence[BatteryChoice], leaving_w: float = 0.0, soon_w: float = 0.0
) -> list[PvChoice]:
    """One choice per PV system that can be limited. `leaving_w` is drawn now and will not be after this tick, and
    `soon_w` will or may not be in some seconds: until then it may have to come from the grid.

    While an export limit is in force the bound is always sent, so that a cloud that passes does not overshoot; one that
    is far from what the roof gives, in coarse steps.
    """
    picture = scene.picture
    pvs = [pv for pv in picture.pvs if Control.PV_LIMIT_W in pv.resource.controls]
    least_w, by = least(scene)
    if by is None:
        free = [PvChoice(pv, None, Rank.PLAN, "rule", "generates what the sun gives") for pv in pvs]
        return [_own(scene, choice) for choice in free]
    # of the batteries only what they really take counts: one that does not follow must not open the roof
    taken = sum([min(choice.power_w, choice.battery.power_w) for choice in batteries])
    if scene.gone:  # what forms the voltage takes whatever is left over, at once, or makes the roofs give less
        taken = sum([choice.battery.max_charge_w for choice in batteries])
        cars = [c for c in picture.chargers if c.power_w > EV_DRAWS_W]  # each must see whether there is more for it
        taken += sum([c.watts_per_amp + 2 * EXPORT_MARGIN_W for c in cars])
    fixed = sum([-pv.power_w for pv in picture.pvs if Control.PV_LIMIT_W not in pv.resource.controls])
    margin_w = min(EXPORT_MARGIN_W, scene.margins_w[1]) if by is scene.band.min_by else EXPORT_MARGIN_W
    if not scene.gone:
        # nobody sees what a bound roof could give: it opens a little beyond, as long as a battery can take more of it
        margin_w -= min(_could_take_w(scene, batteries), margin_w + OPENS_W)
    allowed = max(0.0, (picture.load_w or 0.0) + picture.ev_w + taken - leaving_w - least_w - margin_w - fixed)
    allowed = max(0.0, allowed - min(soon_w, scene.import_room_w))
    allowed = max(allowed, _kept_open_w(scene, pvs, batteries, leaving_w + soon_w) - fixed)
    deaf = heedless(scene)
    followers = [pv for pv in pvs if pv.resource.id not in deaf]
    parts = {}
    left = allowed
    if len(followers) < len(pvs):
        # one that does not follow is told its fair share all the same, while the others have what it leaves
        parts = _shares(allowed, pvs)
        left = max(0.0, allowed + sum([pv.power_w for pv in pvs if pv not in followers]))
    parts |= parted(left, followers)
    choices = []
    for pv in pvs:
        limit_w = min(parts[pv.resource.id], pv.resource.ratings.max_generation_w or float("inf"))
        if not scene.gone:  # there what else takes it waits for just so much
            limit_w = _coarse(pv, limit_w)
        reason = f"generates at most {words.power(limit_w)}: {scene.bound(by)}"
        choices.append(_own(scene, PvChoice(pv, limit_w, by.rank, by.source, reason)))
    return choices


def _coarse(pv: PvPicture, limit_w: float) -> float:
    """A bound that does not bind in whole steps, downwards: it is not told anew with each watt that the load moves."""
    step_w = STEP_SHARE * _rating(pv)
    if not 0.0 < step_w < limit_w < math.inf:
        return limit_w
    below_w = math.floor(limit_w / step_w + 1e-9) * step_w
    return below_w if -pv.power_w < below_w - step_w else limit_w


def _kept_open_w(scene: Scene, pvs: Sequence[PvPicture], batteries: Sequence[BatteryChoice], leaving_w: float) -> float:
    """So much of what flows no roof is closed for: a battery that is told to take it now would take it from the grid,
    beyond its limit. One that then does not follow is soon known for that."""
    if scene.gone or scene.band.max_by is None or (scene.picture.grid_w or 0.0) >= scene.band.max_w:
        return 0.0
    deaf = heedless(scene)
    told_w = sum([c.battery.power_w if c.battery.resource.id in deaf else c.power_w for c in batteries])
    needed_w = (scene.picture.load_w or 0.0) + scene.picture.ev_w - leaving_w + told_w - scene.band.max_w
    return min(sum([-pv.power_w for pv in pvs]), needed_w)


def _could_take_w(scene: Scene, batteries: Sequence[BatteryChoice]) -> float:
    """What the batteries that store the sun could take beyond what they are told, one that gives among them."""
    deaf = stores(scene)
    takers = [c for c in batteries if c.power_w != 0.0 and c.battery.resource.id not in deaf]
    return sum([max(0.0, c.battery.max_charge_w - c.power_w) for c in takers])


def least(scene: Scene) -> tuple[float, Envelope | None]:
    """The lowest power of the connection point that generation may bring about, W, and who says so; (0, None): any."""
    least_w, by = _needed(scene)
    waiting = scene.waits.get(EXPORT)
    if waiting is not None and waiting.firm and (by is None or -waiting.limit_w > least_w):
        return -waiting.limit_w, waiting.by
    return least_w, by


def _needed(scene: Scene) -> tuple[float, Envelope | None]:
    """What limits, the island and the price of now make of it."""
    by = scene.band.min_by
    if scene.gone and roofs_wait(scene):
        reason = "black start: roofs come last, after the loads"
        return math.inf, Envelope(SITE, 0.0, None, Rank.SAFETY, "island", reason)
    if scene.gone:
        reason = "island: no more than house and batteries take"
        return EXPORT_MARGIN_W, Envelope(SITE, 0.0, None, Rank.SAFETY, "island", reason)
    price = scene.prices.export_per_kwh
    if price is not None and price < 0.0 and scene.band.min_w < 0.0:
        reason = f"feeding in costs {-price:.2f} a kWh now"
        return 0.0, Envelope(SITE, 0.0, None, Rank.PLAN, scene.prices.source, reason)
    return (0.0, None) if by is None or by.rank is Rank.SAFETY else (scene.band.min_w, by)


def _own(scene: Scene, choice: PvChoice) -> PvChoice:
    """Narrowed by the envelopes of this very system (the frequency, the grid's word on it)."""
    band = fold(choice.pv.resource.id, scene.envelopes_of(choice.pv.resource.id), scene.now)
    by, most_w = band.min_by, max(0.0, -band.min_w)
    if by is None or (choice.limit_w is not None and choice.limit_w <= most_w):
        return choice
    reason = f"generates at most {words.power(most_w)}: {scene.bound(by)}"
    return replace(choice, limit_w=most_w, rank=by.rank, source=by.source, reason=reason)


def parted(room_w: float, pvs: Sequence[PvPicture]) -> dict[str, float]:
    """What each may give of what all may, by their ratings: what the sun does not give one is the others'.

    One that gives less than its part keeps a little above what it gives, so that it rises with its sun step by step.
    """
    parts: dict[str, float] = {}
    open_, left_w = list(pvs), room_w
    while open_:
        shares = _shares(left_w, open_)
        keeps = {pv.resource.id: -pv.power_w + RISES_SHARE * _rating(pv) for pv in open_}
        short = [pv for pv in open_ if keeps[pv.resource.id] < shares[pv.resource.id]]
        if not short or len(short) == len(open_):
            return _used(parts | shares, pvs)
        parts |= {pv.resource.id: keeps[pv.resource.id] for pv in short}
        left_w -= sum([keeps[pv.resource.id] for pv in short])
        open_ = [pv for pv in open_ if pv not in short]
    return parts


def _used(parts: dict[str, float], pvs: Sequence[PvPicture]) -> dict[str, float]:
    """The same as a whole; but none is closed for what another does not give, beyond a step in which that may rise."""
    lacks = {pv.resource.id: max(0.0, -pv.power_w - parts[pv.resource.id]) for pv in pvs}
    spare = {pv.resource.id: max(0.0, parts[pv.resource.id] + pv.power_w - LOOKS_W) for pv in pvs}
    moved_w = min(sum(lacks.values()), sum(spare.values()))
    if moved_w <= 0.0:
        return parts
    most_w, least_w = sum(spare.values()), sum(lacks.values())
    return {key: part - moved_w * (spare[key] / most_w - lacks[key] / least_w) for key, part in parts.items()}


def _shares(room_w: float, among: Sequence[PvPicture]) -> dict[str, float]:
    """What each gets of it by their ratings; all alike where nobody tells one."""
    ratings = [_rating(pv) for pv in among]
    rated = sum(ratings)
    return {
        pv.resource.id: room_w * (rating / rated if rated > 0 else 1.0 / len(among))
        for pv, rating in zip(among, ratings, strict=True)
    }


def _rating(pv: PvPicture) -> float:
    return pv.resource.ratings.max_generation_w or 0.0
