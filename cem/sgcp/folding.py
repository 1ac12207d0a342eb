"""The services of all providers folded into one directive."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from cem.model.directive import (
    ChargeTarget,
    CurveOrder,
    Directive,
    Dispatch,
    LevelWindow,
    LimitWindow,
    LinkState,
    LinkStatus,
    PriceWindow,
    WeightWindow,
)
from cem.model.envelope import SITE, Envelope, Rank
from cem.model.event import GridEvent, SignalKind
from cem.model.resource import Resource, Role
from cem.model.time import Instant
from cem.sgcp.domain.house import able as able_of
from cem.sgcp.domain.shares import Member, split_power
from cem.sgcp.events.arbitration import (
    CHARGES,
    DIRECT,
    LONG_PAST,
    SIDES,
    Piece,
    Pieces,
    level_pieces,
    limit_pieces,
    price_pieces,
    price_windows,
    rank_of,
    subject_pieces,
)
from cem.sgcp.events.shown import listed
from cem.sgcp.events.timeline import interval_after, status_changes
from cem.sgcp.link import supervision
from cem.sgcp.link.supervision import Link
from cem.sgcp.opt.cut import OptOut, remaining
from cem.sgcp.service import ENDLESS, Service
from cem.sgcp.words import kilowatts, until_words


@dataclass(frozen=True, slots=True)
class _Side:
    service: Service
    side: str
    rank: Rank
    pieces: Pieces


@dataclass(frozen=True, slots=True)
class _Orders:
    limits: tuple[_Side, ...]
    imported: Pieces
    exported: Pieces
    dispatch: dict[str, Pieces]
    charges: dict[str, Pieces]
    curves: dict[str, Pieces]
    ghg: Pieces
    shape: Pieces
    levels: Mapping[Rank, Pieces]


class Folding:
    """Folds services; keeps the pieces of time until the events or what holds of them changed."""

    def __init__(
        self,
        resources: frozenset[str],
        currency: str | None,
        zone: str,
        groups: Mapping[str, Sequence[Resource]] | None = None,
    ) -> None:
        self._groups = groups or {}
        self._resources = resources | frozenset(self._groups)
        self._currency = currency
        self._zone = zone
        self._key: tuple[object, ...] = ()
        self._orders = _Orders((), Pieces(), Pieces(), {}, {}, {}, Pieces(), Pieces(), {})

    def directive(self, services: Sequence[Service], now: Instant, outs: Sequence[OptOut] = ()) -> Directive:
        """The directive at `now` without what the owner opted out of; `next_change_at` knows the events, no links."""
        key = (
            now.trusted,
            *outs,
            *((s.store.events, s.store.rejected, s.link.holds_default, s.strictest_w) for s in services),
        )
        if key != self._key:
            self._orders = self._ordered(services, now.trusted, outs)
            self._key = key
        orders = self._orders
        wall = now.wall
        shown = [listed(s.store, s.cancelled, s.refused, s.provider.id, wall) for s in services]
        return Directive(
            envelopes=tuple(self._envelopes(services, now)),
            dispatches=tuple(self._dispatches(wall)),
            prices=tuple(self._prices(wall)),
            limits=tuple(_limit_windows(orders.limits, wall)),
            charges=tuple(self._charges(wall)),
            curves=tuple(self._curves(wall)),
            levels=tuple(_levels(orders.levels, wall)),
            weights=tuple(_weights(orders.ghg.from_now(wall), orders.shape.from_now(wall), wall)),
            links=tuple(_status(s, len(own), now) for s, own in zip(services, shown, strict=True)),
            events=tuple(summary for own in shown for summary in own),
            next_change_at=self._next_change(services, wall),
        )

    def _ordered(self, services: Sequence[Service], trusted: bool, outs: Sequence[OptOut]) -> _Orders:
        sides: list[_Side] = []
        steering: list[tuple[int, GridEvent]] = []
        for place, service in enumerate(services):
            events = remaining(service.store.events.values(), outs)
            for side in SIDES:
                for mandatory in sorted({service.provider.mandatory, *(e.mandatory for e in events)}, reverse=True):
                    default = service.default(side, trusted)
                    if mandatory != service.provider.mandatory:
                        default = type(default)()
                    own = [event for event in events if event.mandatory == mandatory]
                    pieces = limit_pieces(own, side, default, trusted, ENDLESS)
                    sides.append(_Side(service, side, Rank.OBLIGATION if mandatory else Rank.PROGRAMME, pieces))
            if trusted and not service.link.holds_default:
                steering += [(place, event) for event in events]
        priced = [(place, event) for place, event in steering if self._is_our_currency(event)]
        return _Orders(
            tuple(sides),
            price_pieces(priced, SignalKind.IMPORT_PRICE_PER_KWH),
            price_pieces(priced, SignalKind.EXPORT_PRICE_PER_KWH),
            subject_pieces(steering, self._resources, DIRECT),
            subject_pieces(steering, self._resources, CHARGES),
            subject_pieces(priced, self._resources, (SignalKind.CURVE,)),
            price_pieces(steering, SignalKind.GHG_G_PER_KWH),
            price_pieces(steering, SignalKind.LOAD_SHAPE),
            {
                rank: level_pieces(event for _, event in steering if rank_of(event) is rank)
                for rank in (Rank.OBLIGATION, Rank.PROGRAMME)
            },
        )

    def _is_our_currency(self, event: GridEvent) -> bool:
        return self._currency is None or event.currency in (None, self._currency)

    def _envelopes(self, services: Sequence[Service], now: Instant) -> Iterator[Envelope]:
        present = {service.provider.id: service for service in services}
        for entry in self._orders.limits:
            piece = entry.pieces.at(now.wall)
            if piece is None:
                continue
            service = present[entry.service.provider.id]
            yield Envelope(
                SITE,
                min_w=-piece.value if entry.side == "export" else None,
                max_w=piece.value if entry.side == "import" else None,
                rank=entry.rank,
                source=service.provider.id,
                reason=self._reason(service, entry.side, piece, now),
                until=piece.end,
                spread=bool(piece.event.randomise) if piece.event is not None else not service.link.missed,
            )

    @staticmethod
    def _reason(service: Service, side: str, piece: Piece, now: Instant) -> str:
        """Why, without the end: the envelope carries that."""
        what = f"{side} at most {kilowatts(piece.value)} for {service.provider.id}"
        if piece.event is not None and not piece.subscription:
            return f"{what} (event {piece.event.name}, programme {piece.event.programme_id})"
        if piece.event is not None:
            return f"{what}, the subscribed capacity"
        if not now.trusted:
            return f"{what}, the default limit, until the clock is set"
        if service.link.holds_default:
            return f"{what}, the default limit, {_without_connection(service.link, lasts=piece.end is None)}"
        faults = [f"event {r.event_id}: {r.reason}" for r in service.store.rejected if r.limits]
        more = f"; and {len(faults) - 1} more" if len(faults) > 1 else ""
        return (
            f"{what}, the default limit, because a mandatory event cannot be used ({faults[0] if faults else ''}{more})"
        )

    def _dispatches(self, now: datetime) -> Iterator[Dispatch]:
        asked = list(self._subjects(now))
        own_w = {dispatch.subject: dispatch.power_w for dispatch in asked}
        for dispatch in asked:
            if dispatch.subject not in self._groups:
                yield dispatch
                continue
            sign = -1.0 if dispatch.power_w < 0 else 1.0
            members = _able(self._groups[dispatch.subject], own_w, sign)
            for name, share_w in split_power(abs(dispatch.power_w), members).items():
                yield replace(dispatch, subject=name, power_w=sign * share_w)

    def _subjects(self, now: datetime) -> Iterator[Dispatch]:
        for subject, pieces in self._orders.dispatch.items():
            piece = pieces.at(now)
            if piece is None or piece.event is None:
                continue
            change = piece.kind is SignalKind.DISPATCH_CHANGE_W
            ways = ("take", "give") if not change else ("take more, by", "take less, by")
            reason = self._reason_of(piece.event, f"{ways[piece.value < 0]} {kilowatts(abs(piece.value))}", piece, now)
            source = piece.event.provider_id
            yield Dispatch(
                subject, piece.value, rank_of(piece.event), source, reason, piece.end, piece.start, change=change
            )

    def _reason_of(self, event: GridEvent, asks: str, piece: Piece, now: datetime) -> str:
        return f"{event.provider_id}: {asks} {until_words(piece.end, now, self._zone)} (event {event.name})"

    def _charges(self, now: datetime) -> Iterator[ChargeTarget]:
        for subject, pieces in self._orders.charges.items():
            piece = pieces.at(now)
            if piece is None or piece.event is None:
                continue
            in_pct = piece.kind is SignalKind.CHARGE_TARGET_PCT
            asks = f"hold {piece.value:g} %" if in_pct else f"hold {piece.value / 1000:g} kWh"
            for name, part in self._holding(subject):
                yield ChargeTarget(
                    name,
                    piece.value if in_pct else None,
                    None if in_pct else piece.value * part,
                    rank_of(piece.event),
                    piece.event.provider_id,
                    self._reason_of(piece.event, asks, piece, now),
                    piece.end,
                )

    def _holding(self, subject: str) -> Sequence[tuple[str, float]]:
        """Who holds what is asked of a subject, and which part of an energy: of a group its batteries, by capacity."""
        if subject not in self._groups:
            return [(subject, 1.0)]
        sizes = {one.id: one.ratings.capacity_wh or 0.0 for one in self._groups[subject] if one.role is Role.BATTERY}
        whole = sum(sizes.values())
        return [(name, size / whole) for name, size in sorted(sizes.items())] if whole else []

    def _curves(self, now: datetime) -> Iterator[CurveOrder]:
        for subject, pieces in self._orders.curves.items():
            piece = pieces.at(now)
            if piece is not None and piece.event is not None and int(piece.value) < len(piece.event.curves):
                event, curve = piece.event, piece.event.curves[int(piece.value)]
                reason = f"the curve of {event.provider_id} (event {event.name})"
                yield CurveOrder(subject, curve, rank_of(event), event.provider_id, reason, piece.end)

    def _prices(self, now: datetime) -> Iterator[PriceWindow]:
        orders = self._orders
        yield from (
            window
            for window in price_windows(orders.imported.from_now(now), orders.exported.from_now(now))
            if window.end is None or window.end > now
        )

    def _next_change(self, services: Sequence[Service], now: datetime) -> datetime | None:
        orders = self._orders
        all_pieces = [
            *(entry.pieces for entry in orders.limits),
            orders.imported,
            orders.exported,
            *orders.dispatch.values(),
            *orders.charges.values(),
            *orders.curves.values(),
            orders.ghg,
            orders.shape,
            *orders.levels.values(),
        ]
        edges = [edge for pieces in all_pieces if (edge := pieces.next_edge(now)) is not None]
        for service in services:
            for event in service.store.events.values():
                edges += [edge for edge in status_changes(event) if edge > now]
                following = interval_after(event, now)
                edges += [] if following is None else [following.start]
        return min(edges, default=None)


def _weights(ghg: Sequence[Piece], shape: Sequence[Piece], now: datetime) -> Iterator[WeightWindow]:
    for window in price_windows(ghg, shape):
        if window.end is None or window.end > now:
            grams, welcome = window.import_price_per_kwh, window.export_price_per_kwh
            yield WeightWindow(window.start, window.end, grams, welcome, window.source)


def _able(group: Sequence[Resource], own_w: Mapping[str, float], sign: float) -> list[Member]:
    """The members of a group that can do something in a direction; one that is asked by itself goes by that."""
    found = []
    for one in group:
        most_w = able_of(one).export_w if sign < 0 else able_of(one).import_w
        if one.id in own_w:
            found.append(Member(one.id, most_w, max(sign * own_w[one.id], 0.0), follows=False))
        elif most_w > 0:
            found.append(Member(one.id, most_w))
    return found


def _levels(levels: Mapping[Rank, Pieces], now: datetime) -> Iterator[LevelWindow]:
    for rank, pieces in levels.items():
        for piece in pieces.from_now(now):
            if piece.event is not None and piece.value:
                yield LevelWindow(piece.start, piece.end, int(piece.value), rank, piece.event.provider_id)


def _without_connection(link: Link, *, lasts: bool) -> str:
    """Why a default limit holds; `lasts`: no event is known that will end it."""
    if link.state is LinkState.RESYNC:
        return "until everything was fetched anew"
    if not link.met:
        return "because there is no connection yet since the start"
    return "because the connection is lost" + (", until it is back" if lasts else "")


def _limit_windows(sides: Sequence[_Side], now: datetime) -> Iterator[LimitWindow]:
    for entry in sides:
        for piece in entry.pieces.from_now(now):
            start = now if piece.start == LONG_PAST else piece.start
            imported = piece.value if entry.side == "import" else None
            exported = piece.value if entry.side == "export" else None
            yield LimitWindow(start, piece.end, imported, exported, entry.service.provider.id, entry.rank)


def _status(service: Service, shown: int, now: Instant) -> LinkStatus:
    link = service.link
    awaited = supervision.awaited(link, service.provider, now)
    heard = link.last_success
    detail = link.detail
    if link.state is LinkState.STALE and not link.resumes:
        detail = f"no answer for longer than {service.provider.stale_after_s():g} s; {detail}"
    elif link.state is LinkState.HOLD:
        what = "no connection yet" if awaited else "connection lost"
        detail = f"{what}, the received schedule is kept to; {detail}"
    elif link.holds_default:
        limited = any(service.default_w(side) is not None for side in SIDES)
        holds = "the default limit holds" if limited else "the contract's own tariff is used"
        detail = f"no connection and nothing scheduled: {holds}; {detail}"
    more = service.event_count - shown
    if more > 0:
        detail = "; ".join(part for part in (detail, f"{shown} events are shown and {more} more are not") if part)
    return LinkStatus(
        service.provider.id,
        link.state,
        link.since.wall,
        None if heard is None else heard.wall,
        detail,
        link.advice,
        service.reports_queued,
        awaited,
        link.holds_default,
    )
