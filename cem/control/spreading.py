"""After what ended for many houses at once: each goes on for a time of its own, drawn once by chance.

When a limit of the grid ends or rises, the house keeps to the former one for a while, and then rises with the site's
ramp; so it does when a power that was asked of the connection point is asked no more, which counts as a limit in its
direction. When a price event ends, it takes (or gives) no more than it did then. Only more is delayed: less never is.
The owner's "charge now" and a car that would be late do not wait, nor does what stronger ranks need or tell a battery
to do, which comes on top. The time is uniform on [0, longest], in whole seconds.

| longest wait | of what all houses held back, in a minute | source |
| --- | --- | --- |
| 600 s | 10 % in mean, of 1,000 houses up to 13 % by chance | SI 2021/1467, regulation 11: charge points' own delay |
| 900 s (`spread_s`, `delay_s` of `[island]`) | 6.7 % in mean, of 1,000 houses at most 10 % | ours |
| 1,800 s | 3.3 % | SI 2021/1467, regulation 11: what a charge point must be able to do |

The bar is EN 50549-1, 4.10.2, for one plant: 10 % a minute. As in regulation 11 nothing waits where an equal delay was
applied already, and the owner may override it.

After an outage the house keeps on both sides to what flowed when the grid counted as back, for a time of its own, and
then rises by the ramp of the site file's `[island]` up to the limits that hold without an event. What the law
guarantees under a limit is no reason to return sooner; the owner's "charge now" is.

Interpretation: an event that its sender spreads by chance itself (randomizeStart), and one that the owner opted out
of, end at once; so does what held for a few seconds only, such as a default limit until a provider answers for the
first time: it has held nothing back. While a power is asked of the connection point nothing waits: it is the grid's
word for this very moment.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType

from cem.control import words
from cem.control.asked import site_bound, site_dispatch
from cem.control.memory import Imposed, Memory, Release
from cem.control.presence import gone
from cem.control.prices import Prices, clearly_more
from cem.model.envelope import SITE, Envelope, Rank
from cem.model.request import RequestKind
from cem.model.site import Site
from cem.model.tariff import TARIFF
from cem.model.tick import Inputs
from cem.model.values import replace, value

IMPORT, EXPORT = "import", "export"
CHANCE = "chance"
"""The source of what a wait narrows."""
OUTAGE = "outage"
"""The source of what is waited for after an outage."""
SAME_W = 1.0
HELD_S = 10.0
"""What held for less has not held anything back: devices follow seconds later."""


@value(frozen=True, slots=True)
class Waiting:
    """What the house keeps to on one side of the connection point although it need not any more; a magnitude."""

    limit_w: float
    by: Envelope
    firm: bool
    guarantees: bool = True  # what the law guarantees consumers under a limit goes beyond it


def remembered(
    site: Site, inputs: Inputs, memory: Memory, envelopes: Iterable[Envelope], grid_w: float | None, prices: Prices
) -> Memory:
    """The memory with the grid's limits and prices of now, and with every wait that begins or is over.

    `envelopes` are the grid's, as admitted; `grid_w` None: not known.
    """
    if gone(memory):
        return replace(memory, imposed=MappingProxyType({}), releases=(), prices=None)
    asked = None if memory.islanded else site_dispatch(inputs)
    if asked is not None:
        imposed = _imposed((*envelopes, site_bound(asked)), memory.imposed, inputs.now.mono_s)
        known = prices if prices.import_per_kwh is not None else memory.prices
        return replace(memory, imposed=imposed, releases=(), prices=known)
    imposed = _imposed(envelopes, memory.imposed, inputs.now.mono_s)
    sides = (IMPORT, EXPORT) if memory.imposed else ()
    begun = [r for side in sides if (r := _risen(site, inputs, memory, imposed, side)) is not None]
    if memory.prices is not None and grid_w is not None:
        begun += _price_over(site, inputs, memory.prices, prices, grid_w)
    if memory.returned:
        begun += _returned(site, inputs, memory.returned, grid_w or 0.0)
    known = prices if prices.import_per_kwh is not None or memory.prices is None else memory.prices
    if not begun and not memory.releases and imposed == memory.imposed:
        return memory if known == memory.prices else replace(memory, prices=known)
    open_ = (r for r in (*memory.releases, *begun) if not _over(site, r, inputs.now.mono_s))
    return replace(memory, imposed=imposed, releases=tuple(open_), prices=known)


def waits(site: Site, memory: Memory, now_s: float) -> Mapping[str, Waiting]:
    """The strictest wait of each side now."""
    found: dict[str, Waiting] = {}
    for release in memory.releases:
        limit_w = _limit_w(site, release, now_s)
        known = found.get(release.side)
        if known is None or limit_w < known.limit_w:
            bound = _envelope(release, limit_w, now_s)
            found[release.side] = Waiting(limit_w, bound, release.firm, release.source != OUTAGE)
    return found


def _envelope(release: Release, limit_w: float, now_s: float) -> Envelope:
    begins = now_s - release.since_s >= release.delay_s
    what = "rises step by step" if begins else f"waits {words.duration(release.delay_s)} by chance"
    after = ", after the outage" if release.source == OUTAGE else ""
    reason = f"{what}{after}, so that not every house starts at once"
    low, high = (None, limit_w) if release.side == IMPORT else (-limit_w, None)
    return Envelope(SITE, low, high, Rank.PLAN, CHANCE, reason)


def _limit_w(site: Site, release: Release, now_s: float) -> float:
    ramp = _ramp(site, release)
    for_s = max(0.0, now_s - release.since_s - release.delay_s)
    return release.limit_w + (ramp * for_s if ramp is not None and release.firm else 0.0)


def _ramp(site: Site, release: Release) -> float | None:
    return site.policy.ramp_w_per_s if release.ramp_w_per_s is None else release.ramp_w_per_s


def _over(site: Site, release: Release, now_s: float) -> bool:
    """Whether the time of a wait is up, and the ramp after it."""
    if now_s - release.since_s < release.delay_s:
        return False
    ramps = release.firm and _ramp(site, release) is not None
    return not ramps or _limit_w(site, release, now_s) >= site.connection.fuse_w


def _imposed(envelopes: Iterable[Envelope], before: Mapping[str, Imposed], now_s: float) -> Mapping[str, Imposed]:
    """The strictest limit of each side."""
    found: dict[str, Imposed] = {}
    for envelope in envelopes:
        if envelope.subject != SITE:
            continue
        for side, edge in ((IMPORT, envelope.max_w), (EXPORT, None if envelope.min_w is None else -envelope.min_w)):
            if edge is not None and (side not in found or edge < found[side].limit_w):
                since_s = before[side].since_s if side in before else now_s
                found[side] = Imposed(edge, envelope.source, envelope.rank, envelope.until, envelope.spread, since_s)
    return found


def _risen(site: Site, inputs: Inputs, memory: Memory, imposed: Mapping[str, Imposed], side: str) -> Release | None:
    before, now = memory.imposed.get(side), imposed.get(side)
    if before is None or (now is not None and now.limit_w <= before.limit_w + SAME_W):
        return None
    if inputs.now.mono_s - before.since_s < HELD_S:
        return None
    if before.spread or (before.rank is Rank.PROGRAMME and _opted_out(inputs)):
        return None
    if before.until is None and any(_is_of(release, side, before) for release in memory.releases):
        return None  # a fallback that stood in for it for a moment, as after a restart: the time is drawn already
    return _drawn(site, inputs, side, before.limit_w, before.source, before.until, firm=True)


def _is_of(release: Release, side: str, limit: Imposed) -> bool:
    same = abs(release.limit_w - limit.limit_w) <= SAME_W
    return (release.side, release.source) == (side, limit.source) and same


def _opted_out(inputs: Inputs) -> bool:
    """Whether the owner's own word may have ended it."""
    return any(r.kind is RequestKind.OPT_OUT and r.in_force(inputs.now.wall) for r in inputs.requests)


def _price_over(site: Site, inputs: Inputs, before: Prices, now: Prices, grid_w: float) -> list[Release]:
    """The waits after the end of a price event: where buying becomes cheaper, and where feeding in pays more."""
    if before.source == TARIFF or now.source != TARIFF or before.spread:
        return []
    found: list[Release | None] = []
    if _less(now.import_per_kwh, before.import_per_kwh):
        found.append(_drawn(site, inputs, IMPORT, max(0.0, grid_w), before.source, before.until, firm=False))
    if _less(before.export_per_kwh, now.export_per_kwh):
        curtailed = before.export_per_kwh is not None and before.export_per_kwh < 0.0
        found.append(_drawn(site, inputs, EXPORT, max(0.0, -grid_w), before.source, before.until, firm=curtailed))
    return [release for release in found if release is not None]


def _returned(site: Site, inputs: Inputs, occasion: str, grid_w: float) -> list[Release]:
    """The waits of both sides after an outage: one time for both, counted from now."""
    island, connection = site.policy.island, site.connection
    delay_s = float(round(island.delay_s * site.chance(f"{OUTAGE}/{occasion}")))
    sides = ((IMPORT, grid_w, island.import_limit_w), (EXPORT, -grid_w, island.export_limit_w))
    return [
        Release(side, max(0.0, flows_w), OUTAGE, inputs.now.mono_s, delay_s, island.ramp_w_per_s(limit_w, connection))
        for side, flows_w, limit_w in sides
    ]


def _less(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and clearly_more(other, one)


def _drawn(
    site: Site, inputs: Inputs, side: str, limit_w: float, source: str, until: datetime | None, *, firm: bool
) -> Release | None:
    """A wait with its time; it counts from the end that was told, should this house have slept through it."""
    most_s, now = site.policy.spread_for(source), inputs.now
    if most_s <= 0.0 and site.policy.ramp_w_per_s is None:
        return None
    ended = until is not None and until <= now.wall
    late_s = (now.wall - until).total_seconds() if until is not None and ended and now.trusted else 0.0
    occasion = f"{source}/{side}/{(until or now.wall).isoformat(timespec='seconds')}"
    delay_s = float(round(most_s * site.chance(occasion)))
    return Release(side, limit_w, source, now.mono_s - late_s, delay_s, firm=firm)
