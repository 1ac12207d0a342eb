"""What is asked of the connection point divided over the sub-VENs and the house, from one moment to the next. Pure.

The house is a member like the others: what nobody steers in it counts as it is, its cars, batteries and pumps have a
share, which the control keeps to by itself as it watches the meter.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cem.sgcp.domain.course import DIVIDED, Asked, Course, Kind, Span, told_anew
from cem.sgcp.domain.house import Able, House
from cem.sgcp.domain.picture import SubVen
from cem.sgcp.domain.shares import Member, room_w, split_limit, split_power
from cem.sgcp.domain.steady import LEAST_CHANGE, Granted, steady

HOUSE, BASE = "house", "base"
"""The house's names among the members; sub-VENs have theirs by their targets."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A sub-VEN now: its power when it last reported it (W, import positive; None: never), whether it is lost."""

    ven: SubVen
    power_w: float | None = None
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What the event for one member says."""

    spans: tuple[Span, ...]
    event_id: str = ""


@dataclass(frozen=True, slots=True)
class _Parts:
    """How one span of a dispatch was divided."""

    value: float
    shares: Mapping[str, float]


@dataclass
class Division:
    """The shares so far. `divided` gives what each event is to say; `published` takes in which events do."""

    told: dict[tuple[Asked, str], Told] = field(default_factory=dict)
    _granted: dict[tuple[Asked, datetime], dict[str, Granted]] = field(default_factory=dict)
    _parts: dict[tuple[Asked, datetime], _Parts] = field(default_factory=dict)

    def divided(
        self, course: Course, standings: Sequence[Standing], house: House, now: datetime, now_s: float
    ) -> dict[tuple[Asked, str], tuple[Span, ...]]:
        """What is to be told, by what is asked and the member's target; '' is everybody.

        Who is lost or opted out is told nothing new: what it was told stays.
        """
        found: dict[tuple[Asked, str], tuple[Span, ...]] = {}
        starts = set()
        for asked, spans in course.items():
            if asked.kind not in DIVIDED:
                found[asked, ""] = told_anew(self._said(asked, ""), spans, now)
                continue
            shares: dict[str, list[Span]] = {}
            for span in spans:
                key = (asked, self._start(asked, span, now))
                starts.add(key)
                for name, share in self._shares(key, span.value, standings, house, now_s).items():
                    shares.setdefault(name, []).append(Span(span.start, span.end, share))
            for standing in standings:
                target = standing.ven.target
                if target in shares:
                    found[asked, target] = told_anew(self._said(asked, target), shares[target], now)
                elif (asked, target) in self.told:
                    found[asked, target] = self._said(asked, target)
        self._granted = {key: held for key, held in self._granted.items() if key in starts}
        self._parts = {key: held for key, held in self._parts.items() if key in starts}
        return found

    def believed_w(self, kind: Kind, targets: Sequence[str]) -> float | None:
        """The most that these members may take together by what they were told for now; None: not all were told."""
        sums = [
            sum(held[target].believed_w for target in targets)
            for (asked, start), held in self._granted.items()
            if asked.kind is kind and start.year == 1 and all(target in held for target in targets)
        ]
        return min(sums, default=None)

    def share_w(self, kind: Kind, target: str, now: datetime) -> float | None:
        """What a member was told last of a kind for now, the strictest where it was told by several; None: nothing."""
        values = [
            span.value
            for (asked, name), told in self.told.items()
            if name == target and asked.kind is kind
            for span in told.spans
            if span.covers(now)
        ]
        return min(values, default=None)

    def _said(self, asked: Asked, target: str) -> tuple[Span, ...]:
        told = self.told.get((asked, target))
        return () if told is None else told.spans

    def _start(self, asked: Asked, span: Span, now: datetime) -> datetime:
        """By which a span is known again: the one that runs may have no start of its own."""
        if not span.covers(now):
            return span.start
        return datetime.min.replace(tzinfo=now.tzinfo)

    def _shares(
        self, key: tuple[Asked, datetime], value: float, standings: Sequence[Standing], house: House, now_s: float
    ) -> dict[str, float]:
        asked = key[0]
        if asked.kind in (Kind.DISPATCH, Kind.DISPATCH_CHANGE):
            return self._powers(key, value, standings, house)
        members = list(self._members(asked, standings, house, imports=asked.kind is Kind.IMPORT_LIMIT))
        wanted = split_limit(value, members)
        held = self._granted.get(key)
        if held is None:
            held = self._recalled(key, members)
        granted = steady(held, wanted, room_w(value, members), now_s)
        self._granted[key] = granted
        return {name: one.share_w for name, one in granted.items()}

    def _recalled(self, key: tuple[Asked, datetime], members: Sequence[Member]) -> dict[str, Granted]:
        """What members were told by an earlier run, which they still go by."""
        asked, start = key
        found = {}
        for member in members:
            spans = self._said(asked, member.name)[:1] if start.year == 1 else ()
            if spans and member.follows:
                found[member.name] = Granted(spans[0].value, spans[0].value, float("-inf"))
        return found

    def _powers(
        self, key: tuple[Asked, datetime], power_w: float, standings: Sequence[Standing], house: House
    ) -> dict[str, float]:
        asked = key[0]
        change = asked.kind is Kind.DISPATCH_CHANGE
        everybody = list(self._members(asked, standings, house, imports=True))
        fixed_w = 0.0 if change else sum(self._power_w(one, standings, house) for one in everybody if not one.follows)
        left_w = power_w - fixed_w
        members = self._members(asked, standings, house, imports=left_w >= 0)
        sign = 1.0 if left_w >= 0 else -1.0
        shares = {
            name: sign * round(share)
            for name, share in split_power(abs(left_w), [m for m in members if m.follows]).items()
        }
        held = self._parts.get(key)
        near = LEAST_CHANGE * abs(power_w)
        same = held is not None and held.value == power_w and held.shares.keys() == shares.keys()
        if held is not None and same and all(abs(shares[name] - held.shares[name]) <= near for name in shares):
            return dict(held.shares)
        self._parts[key] = _Parts(power_w, shares)
        return shares

    def _power_w(self, member: Member, standings: Sequence[Standing], house: House) -> float:
        if member.name == BASE:
            return house.base_w or 0.0
        return next((s.power_w or 0.0 for s in standings if s.ven.target == member.name), 0.0)

    def _members(self, asked: Asked, standings: Sequence[Standing], house: House, *, imports: bool) -> Iterator[Member]:
        yield from _of_house(house, imports=imports)
        for one in standings:
            most_w = one.ven.import_w if imports else one.ven.export_w
            takes_w = None if one.power_w is None else max(one.power_w if imports else -one.power_w, 0.0)
            told = self.told.get((asked, one.ven.target))
            out = asked.voluntary and told is not None and told.event_id in one.ven.opted_out
            if one.lost and told is not None and asked.kind in (Kind.IMPORT_LIMIT, Kind.EXPORT_LIMIT):
                takes_w = max(span.value for span in told.spans)  # it goes on by what it was told
            yield Member(one.ven.target, most_w, takes_w, follows=not (one.lost or out))


def _of_house(house: House, *, imports: bool) -> Iterator[Member]:
    if house.base_w is None:  # nothing is known of it: one more member like the others
        yield Member(HOUSE)
        return
    if imports:
        yield Member(BASE, None, house.base_w, follows=False)
    most_w, takes_w = (house.able.import_w, house.takes_w) if imports else (house.able.export_w, house.gives_w)
    if house.able != Able():
        yield Member(HOUSE, most_w, takes_w)
