"""Who wins when events claim the same time. Documented, and the same for any order in which they came.

Limits: the smallest of all that are in force, over all programmes and providers (the control folds the envelopes).
Prices and dispatch: a mandatory programme before a voluntary one, then the event of the highest priority (0 before 1,
none last), then the provider that the site file names first, then the event received last, then the smaller identifier.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from cem.model.directive import PriceWindow
from cem.model.envelope import SITE, Rank
from cem.model.event import EventInterval, GridEvent, SignalKind
from cem.sgcp.events.sweep import FAR_FUTURE, Stretch, winners

LONG_PAST = datetime.min.replace(tzinfo=UTC)

_LIMIT = {"import": SignalKind.IMPORT_LIMIT_W, "export": SignalKind.EXPORT_LIMIT_W}
_DEFAULT = {"import": SignalKind.DEFAULT_IMPORT_LIMIT_W, "export": SignalKind.DEFAULT_EXPORT_LIMIT_W}
_RESERVED = {"import": SignalKind.RESERVED_IMPORT_W, "export": SignalKind.RESERVED_EXPORT_W}
LIMITING = tuple(_LIMIT.values())
DIRECT = (SignalKind.DISPATCH_W, SignalKind.DISPATCH_CHANGE_W)
CHARGES = (SignalKind.CHARGE_TARGET_PCT, SignalKind.CHARGE_TARGET_WH)
SIDES = ("import", "export")


@dataclass(frozen=True, slots=True)
class Piece:
    """A value in force during [start, end), and the event that it comes from (None: the default limit)."""

    start: datetime
    end: datetime | None
    value: float
    event: GridEvent | None = None
    subscription: bool = False
    kind: SignalKind | None = None  # where several kinds compete for one thing


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pieces in order of time, not overlapping."""

    pieces: tuple[Piece, ...] = ()
    starts: tuple[datetime, ...] = field(default=(), repr=False)

    def from_now(self, now: datetime) -> tuple[Piece, ...]:
        """The piece that covers `now`, if one does, and those after it."""
        first = max(bisect_right(self.starts, now) - 1, 0)
        return tuple(p for p in self.pieces[first:] if p.end is None or p.end > now)

    def at(self, now: datetime) -> Piece | None:
        """The piece that covers an instant."""
        number = bisect_right(self.starts, now) - 1
        piece = self.pieces[number] if number >= 0 else None
        return piece if piece is not None and (piece.end is None or now < piece.end) else None

    def next_edge(self, now: datetime) -> datetime | None:
        """The next instant after `now` at which the value may change."""
        number = bisect_right(self.starts, now)
        edges = [self.starts[number]] if number < len(self.starts) else []
        piece = self.at(now)
        if piece is not None and piece.end is not None:
            edges.append(piece.end)
        return min(edges, default=None)


@dataclass(frozen=True, slots=True)
class DefaultLimit:
    """What holds on one side when nothing is scheduled. `in_force` false: only the received subscription counts."""

    limit_w: float | None = None
    in_force: bool = False
    stands_in: bool = False  # for a limit that could not be understood: it narrows what is scheduled as well


def limit_pieces(
    events: Iterable[GridEvent], side: str, default: DefaultLimit, trusted: bool, endless: timedelta
) -> Pieces:
    """The limit of one side over time: a scheduled one, else the subscription, else the default while it holds.

    A limit without an end (or longer than `endless`) is narrowed by the default while that is in force: a loss of
    the link never widens. While the clock cannot be trusted no schedule runs: what has an end is not followed, and
    the subscription counts whenever it was to begin.
    """
    claims: list[Stretch[Piece]] = []
    events = list(events)
    reserved = _pieces(list(_reservations(events, side))) if trusted else Pieces()
    for event in events:
        for interval in event.intervals if not event.test else ():
            claims += _limit_claims(event, interval, side, default, trusted, endless)
    claims += [more for claim in claims for more in _with_reserved(claim, reserved)]
    if default.limit_w is not None and (default.in_force or default.stands_in):
        order = (0.0, default.limit_w) if default.stands_in else (2.0, default.limit_w)
        claims.append(Stretch(LONG_PAST, None, order, Piece(LONG_PAST, None, default.limit_w)))
    return _pieces(claims)


def _limit_claims(
    event: GridEvent, interval: EventInterval, side: str, default: DefaultLimit, trusted: bool, endless: timedelta
) -> Iterator[Stretch[Piece]]:
    limit = interval.signals.get(_LIMIT[side])
    if limit is not None and (trusted or interval.end is None):
        if default.in_force and default.limit_w is not None and is_endless(interval, endless):
            limit = min(limit, default.limit_w)
        piece = Piece(interval.start, interval.end, limit, event)
        yield Stretch(interval.start, interval.end, (0.0, limit, event.id), piece)
    subscribed = interval.signals.get(_DEFAULT[side])
    if subscribed is not None:
        start, end = (interval.start, interval.end) if trusted else (LONG_PAST, None)
        piece = Piece(start, end, subscribed, event, subscription=True)
        yield Stretch(start, end, (1.0, subscribed, event.id), piece)


def _reservations(events: Iterable[GridEvent], side: str) -> Iterator[Stretch[Piece]]:
    """Capacity granted beyond the subscription. Interpretation: where several run at once the smallest counts."""
    for event in events:
        for interval in event.intervals if not event.test else ():
            value = interval.signals.get(_RESERVED[side])
            if value is not None:
                yield Stretch(
                    interval.start, interval.end, (value, event.id), Piece(interval.start, None, value, event)
                )


def _with_reserved(claim: Stretch[Piece], reserved: Pieces) -> Iterator[Stretch[Piece]]:
    """A subscription's claim raised while a reservation runs; it goes before the bare subscription."""
    if not claim.value.subscription:
        return
    for piece in reserved.pieces:
        start = max(claim.start, piece.start)
        end = min(claim.end or FAR_FUTURE, piece.end or FAR_FUTURE)
        if start < end:
            value = claim.value.value + piece.value
            until = None if end == FAR_FUTURE else end
            order = (0.5, *claim.order[1:])
            yield Stretch(start, until, order, replace(claim.value, start=start, end=until, value=value))


def is_endless(interval: EventInterval, endless: timedelta) -> bool:
    """Whether an interval has no end, or one so far off that it counts as none."""
    return interval.end is None or interval.end - interval.start > endless


def price_pieces(events: Iterable[tuple[int, GridEvent]], kind: SignalKind) -> Pieces:
    """A price over time out of the events of all providers, each with its provider's place in the site file."""
    return _pieces(list(_ranked(events, kind)))


def level_pieces(events: Iterable[GridEvent]) -> Pieces:
    """The load-shed level over time: the highest of all that are called for."""
    claims = [
        Stretch(interval.start, interval.end, (-level, event.id), Piece(interval.start, interval.end, level, event))
        for event in events
        for interval in event.intervals
        if not event.test and (level := interval.signals.get(SignalKind.LOAD_SHED_LEVEL)) is not None
    ]
    return _pieces(claims)


def subject_pieces(
    events: Iterable[tuple[int, GridEvent]], resources: frozenset[str], kinds: Sequence[SignalKind]
) -> dict[str, Pieces]:
    """What competes for one subject over time: the resources that an event targets, else the whole site."""
    claims: dict[str, list[Stretch[Piece]]] = {}
    for place, event in events:
        subjects = [target for target in event.targets if target in resources] or [SITE]
        for kind in kinds:
            for stretch in _ranked([(place, event)], kind):
                for subject in subjects:
                    claims.setdefault(subject, []).append(stretch)
    return {subject: _pieces(found) for subject, found in sorted(claims.items())}


def _ranked(events: Iterable[tuple[int, GridEvent]], kind: SignalKind) -> Iterator[Stretch[Piece]]:
    for place, event in events:
        if event.test:
            continue
        order = (float(rank_of(event)), event.priority, place, -event.received_at.timestamp(), event.id)
        for interval in event.intervals:
            value = interval.signals.get(kind)
            if value is not None:
                yield Stretch(
                    interval.start, interval.end, order, Piece(interval.start, interval.end, value, event, kind=kind)
                )


def rank_of(event: GridEvent) -> Rank:
    """Mandatory programmes oblige; the owner may opt out of the others."""
    return Rank.OBLIGATION if event.mandatory else Rank.PROGRAMME


def price_windows(imported: Sequence[Piece], exported: Sequence[Piece]) -> Iterator[PriceWindow]:
    """Windows that do not overlap out of the prices of both sides."""
    edges = sorted({edge for p in (*imported, *exported) for edge in (p.start, p.end or FAR_FUTURE)})
    sides = (iter(imported), iter(exported))
    current: list[Piece | None] = [next(side, None) for side in sides]
    for start, end in pairwise(edges):
        for number, side in enumerate(sides):
            piece = current[number]
            if piece is not None and (piece.end or FAR_FUTURE) <= start:
                current[number] = next(side, None)
        found = [p if p is not None and p.start <= start else None for p in current]
        if any(found):
            source = "+".join(dict.fromkeys(p.event.provider_id for p in found if p is not None and p.event))
            prices = [None if p is None else p.value for p in found]
            spread = all(p.event is not None and bool(p.event.randomise) for p in found if p is not None)
            yield PriceWindow(start, None if end == FAR_FUTURE else end, prices[0], prices[1], source, spread)


def _pieces(claims: Sequence[Stretch[Piece]]) -> Pieces:
    found = tuple(replace(won.value, start=start, end=end) for start, end, won in winners(claims))
    return Pieces(found, tuple(piece.start for piece in found))
