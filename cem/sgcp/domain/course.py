"""What is asked of the connection point, as what is handed on or divided over the domain below, over time. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from cem.model.directive import Directive
from cem.model.envelope import SITE, Rank
from cem.sgcp.events.sweep import Stretch, winners


class Kind(StrEnum):
    """What is handed down. Limits are magnitudes and, like a dispatch, divided; the rest goes to everybody as it is."""

    IMPORT_LIMIT = "import limit"
    EXPORT_LIMIT = "export limit"
    DISPATCH = "dispatch"
    DISPATCH_CHANGE = "dispatch change"
    IMPORT_PRICE = "import price"
    EXPORT_PRICE = "export price"
    LEVEL = "load-shed level"
    CHARGE = "charge target"  # percent, of each battery
    CURVE = "curve"  # what may be given at a voltage or frequency, a share of each rating
    GHG = "greenhouse gas"
    LOAD_SHAPE = "load shape"


DIVIDED = frozenset({Kind.IMPORT_LIMIT, Kind.EXPORT_LIMIT, Kind.DISPATCH, Kind.DISPATCH_CHANGE})


@dataclass(frozen=True, slots=True)
class Span:
    """A value (W, or per kWh, or a level) during [start, end); `end` None: until it is changed.

    A curve has `points` (x, share of the rating) and no value.
    """

    start: datetime
    end: datetime | None
    value: float
    points: tuple[tuple[float, float], ...] = ()

    def covers(self, at: datetime) -> bool:
        """Whether an instant lies in it."""
        return self.start <= at and (self.end is None or at < self.end)


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing that is asked, by obligation or (`voluntary`) by a programme that may be opted out of."""

    kind: Kind
    voluntary: bool = False


Course = Mapping[Asked, tuple[Span, ...]]
"""What is asked now and later, in order of time; nothing stands there without a span."""


def course_of(directive: Directive, bounds_w: Mapping[Kind, float], now: datetime) -> dict[Asked, tuple[Span, ...]]:
    """What the directive asks. A limit is no wider than what the connection itself bears (`bounds_w`).

    Interpretation: a charge target in percent, and a curve that gives a share of the rating, mean each member's own.
    An energy to be stored, and a curve in watts, are asked of the whole and left out: nobody declares by what they
    could be divided.
    """
    found: dict[Asked, tuple[Span, ...]] = {}
    for voluntary in (False, True):
        rank = Rank.PROGRAMME if voluntary else Rank.OBLIGATION
        for kind in (Kind.IMPORT_LIMIT, Kind.EXPORT_LIMIT):
            claims = []
            for window in directive.limits:
                limit_w = window.import_limit_w if kind is Kind.IMPORT_LIMIT else window.export_limit_w
                if limit_w is not None and window.rank is rank:
                    limit_w = min(limit_w, bounds_w.get(kind, limit_w))
                    claims.append((window.start, window.end, limit_w))
            found[Asked(kind, voluntary)] = _strictest(claims, now)
        levels = [(w.start, w.end, -float(w.level)) for w in directive.levels if w.rank is rank]
        spans = _strictest(levels, now)
        found[Asked(Kind.LEVEL, voluntary)] = tuple(replace(span, value=-span.value) for span in spans)
        for change in (False, True):
            kind = Kind.DISPATCH_CHANGE if change else Kind.DISPATCH
            found[Asked(kind, voluntary)] = tuple(
                Span(one.since or now, one.until, one.power_w)
                for one in directive.dispatches
                if one.subject == SITE and one.change is change and one.rank is rank
            )
        found[Asked(Kind.CHARGE, voluntary)] = tuple(
            Span(now, one.until, one.soc_pct)
            for one in directive.charges
            if one.subject == SITE and one.soc_pct is not None and one.rank is rank
        )
        found[Asked(Kind.CURVE, voluntary)] = tuple(
            Span(now, one.until, 0.0, one.curve.points)
            for one in directive.curves
            if one.subject == SITE and one.curve.shares and one.rank is rank
        )
    found[Asked(Kind.GHG, True)] = tuple(
        Span(w.start, w.end, w.ghg_g_per_kwh) for w in directive.weights if w.ghg_g_per_kwh is not None
    )
    found[Asked(Kind.LOAD_SHAPE, True)] = tuple(
        Span(w.start, w.end, w.load_shape) for w in directive.weights if w.load_shape is not None
    )
    found[Asked(Kind.IMPORT_PRICE, True)] = tuple(
        Span(w.start, w.end, w.import_price_per_kwh) for w in directive.prices if w.import_price_per_kwh is not None
    )
    found[Asked(Kind.EXPORT_PRICE, True)] = tuple(
        Span(w.start, w.end, w.export_price_per_kwh) for w in directive.prices if w.export_price_per_kwh is not None
    )
    return {asked: spans for asked, spans in found.items() if spans}


def _strictest(claims: Iterable[tuple[datetime, datetime | None, float]], now: datetime) -> tuple[Span, ...]:
    stretches = [Stretch(start, end, (value,), value) for start, end, value in claims]
    spans = [Span(start, end, won.value) for start, end, won in winners(stretches) if end is None or end > now]
    return tuple(_joined(spans))


def _joined(spans: Sequence[Span]) -> Iterator[Span]:
    held: Span | None = None
    for span in spans:
        if held is not None and held.end == span.start and held.value == span.value:
            held = replace(held, end=span.end)
            continue
        if held is not None:
            yield held
        held = span
    if held is not None:
        yield held


def told_anew(held: Sequence[Span], wanted: Sequence[Span], now: datetime) -> tuple[Span, ...]:
    """What an event is to say, given what it says: the same while that says all that is wanted.

    Spans that are over stay until something else changes, and one that runs keeps the start that it was told with, so
    that time alone changes no event.
    """
    running = next((span for span in held if span.covers(now)), None)
    meant = tuple(wanted)
    if running is not None and meant and meant[0].covers(now):
        meant = (replace(meant[0], start=running.start), *meant[1:])
    if meant and tuple(held[-len(meant) :]) == meant:
        return tuple(held)
    return meant
