"""One provider's energy service at the connection point: its events, its link and its default limits. Pure state.

A service is immutable; `ConnectionPoint` keeps the present one of each provider.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from cem.model.directive import LinkState
from cem.model.event import GridEvent, SignalKind
from cem.model.provider import Provider
from cem.model.time import Instant
from cem.sgcp import durable
from cem.sgcp.durable import Json, Row, row_key
from cem.sgcp.events.arbitration import DIRECT, SIDES, DefaultLimit, is_endless
from cem.sgcp.events.rows import event_of, event_row
from cem.sgcp.events.store import Difference, EventStore, Listing
from cem.sgcp.events.timeline import signals_at
from cem.sgcp.link import supervision
from cem.sgcp.link.supervision import Link, Schedule

LAST_RESORT_IMPORT_W = 4200.0
"""Interpretation: a mandatory provider for which nobody named a default still has one. 4.2 kW is what German law
guarantees to a dimmed consumer at least (EnWG section 14a, BNetzA BK6-22-300)."""

MOST_CANCELLED = 50
"""How many cancelled events are remembered, so that a person sees them go; the newest stay."""

CONTACT_STORED_EVERY_S = 3600.0
"""How often the time of the last contact is written while nothing else changes."""

ENDLESS = timedelta(hours=24)
"""A stretch of direct control longer than this counts as without an end."""

_LIMIT = {"import": SignalKind.IMPORT_LIMIT_W, "export": SignalKind.EXPORT_LIMIT_W}
_DEFAULT = {"import": SignalKind.DEFAULT_IMPORT_LIMIT_W, "export": SignalKind.DEFAULT_EXPORT_LIMIT_W}
_STEERS = frozenset(SignalKind) - frozenset(_DEFAULT.values())


@dataclass(frozen=True, slots=True)
class Service:
    """Everything that is known of one provider. `strictest_w`: by side, the strictest limit that it ever obliged to.

    `refused`: since when an event of theirs is not acted on, by id.
    """

    provider: Provider
    link: Link
    store: EventStore = field(default_factory=EventStore)
    cancelled: Mapping[str, tuple[GridEvent, datetime]] = field(default_factory=lambda: MappingProxyType({}))
    strictest_w: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    refused: Mapping[str, datetime] = field(default_factory=lambda: MappingProxyType({}))
    reports_queued: int = 0
    boot: str = ""  # names this start of the machine; '' where nobody can tell

    @property
    def event_count(self) -> int:
        """How many events a person could be shown."""
        return len(self.store.events) + len(self.cancelled) + len(self.refused)

    def schedule(self, now: Instant) -> Schedule:
        """Whether the stored events cover this moment. For a mandatory provider every side with a default counts."""
        events = list(self.store.events.values())
        in_force = list(signals_at(events, now.wall))
        kinds = {kind for event, _, kind, _ in in_force if event.mandatory or not self.provider.mandatory}
        if self.provider.mandatory:
            covered = all(_LIMIT[side] in kinds for side in SIDES if self.default_w(side) is not None)
        else:
            covered = bool(kinds & _STEERS)
        endless = any(
            is_endless(interval, ENDLESS) and kind in (*DIRECT, *_LIMIT.values()) for _, interval, kind, _ in in_force
        )
        return Schedule(covered, endless)

    def default_w(self, side: str) -> float | None:
        """The contract's default limit of a side, or what stands for it where the contract names none.

        A subscription that was received outranks it, but is part of the events.
        """
        named = {"import": self.provider.default_import_limit_w, "export": self.provider.default_export_limit_w}
        if named[side] is not None or not self.provider.mandatory:
            return named[side]
        if side in self.strictest_w:
            return self.strictest_w[side]
        nothing_known = not self.strictest_w and all(limit is None for limit in named.values())
        return LAST_RESORT_IMPORT_W if side == "import" and nothing_known else None

    def default(self, side: str, trusted: bool) -> DefaultLimit:
        """The default limit of a side and whether it is in force: also while the clock cannot be trusted."""
        return DefaultLimit(self.default_w(side), self.link.holds_default or not trusted, self.stands_in)

    def advanced(self, now: Instant) -> "Service":
        """The service with its link brought up to `now`."""
        link = supervision.advanced(self.link, self.provider, self.schedule(now), now)
        return self if link == self.link else replace(self, link=link)

    def difference(self, listing: Listing, now: datetime, *, trusted: bool = True) -> tuple[Difference, list[Row]]:
        """What a complete listing changes, and the rows that must be on disk before it counts. Any thread may ask."""
        heard = self.link.last_success
        difference = self.store.difference(listing, now, None if heard is None else heard.wall, trusted=trusted)
        return difference, self.rows(difference)

    def after(self, difference: Difference, now: datetime) -> "Service":
        """The service once a difference is on disk."""
        keep_until = now - timedelta(hours=1)
        cancelled = {key: entry for key, entry in self.cancelled.items() if entry[1] > keep_until}
        cancelled.update({event.id: (event, now) for event in difference.gone if not _is_over(event, now)})
        store = self.store.after(difference)
        for event_id in store.events:
            cancelled.pop(event_id, None)
        newest = sorted(cancelled.items(), key=lambda entry: entry[1][1], reverse=True)[:MOST_CANCELLED]
        return replace(
            self,
            store=store,
            cancelled=MappingProxyType(dict(newest)),
            strictest_w=self._strictest(difference),
            refused=MappingProxyType({r.event_id: self.refused.get(r.event_id, now) for r in store.rejected if r.keep}),
        )

    def _strictest(self, difference: Difference) -> Mapping[str, float]:
        found = dict(self.strictest_w)
        for event in (*difference.new, *difference.changed):
            for interval in event.intervals if event.mandatory else ():
                if SignalKind.LOAD_SHED_LEVEL in interval.signals:
                    continue  # an emergency of hours is no measure for a fallback that may last for days
                for side, kind in _LIMIT.items():
                    if kind in interval.signals:
                        found[side] = min(interval.signals[kind], found.get(side, float("inf")))
        return found if found == dict(self.strictest_w) else MappingProxyType(found)

    def rows(self, difference: Difference) -> list[Row]:
        """What must be on disk before the difference counts."""
        own = self.provider.id
        rows = [
            Row(durable.EVENT, row_key(own, event.id), event_row(event))
            for event in (*difference.new, *difference.changed, *difference.renewed)
        ]
        rows += [Row(durable.EVENT, row_key(own, event.id), None) for event in difference.gone]
        after = replace(self, strictest_w=self._strictest(difference), store=self.store.after(difference))
        if (after.strictest_w, after.stands_in) != (self.strictest_w, self.stands_in):
            rows.append(after.limit_row())
        return rows

    @property
    def stands_in(self) -> bool:
        """Whether the default limit stands in for a mandatory one that could not be understood."""
        return self.provider.mandatory and any(r.limits for r in self.store.rejected)

    def limit_row(self) -> Row:
        """The strictest limits and the time of the last contact."""
        heard = self.link.last_success
        value: Json = {
            "strictest_w": dict(self.strictest_w),
            "last_success_at": None if heard is None else heard.wall.isoformat(),
            "state": str(self.link.state),
            "failing": self.link.failing,
            "boot": self.boot,
            "stands_in": self.stands_in,
        }
        return Row(durable.LIMIT, row_key(self.provider.id), value)


def _is_over(event: GridEvent, now: datetime) -> bool:
    return not event.intervals or (event.intervals[-1].end is not None and event.intervals[-1].end <= now)


def restored(
    provider: Provider, events: Mapping[str, Json], limits: Mapping[str, Json], now: Instant, boot: str = ""
) -> tuple[Service, list[str]]:
    """The service after a start, from its rows, and a sentence for every row that could not be read."""
    found: dict[str, GridEvent] = {}
    faults: list[str] = []
    for key, row in events.items():
        try:
            event = event_of(row)
        except ValueError as fault:
            faults.append(f"{provider.id}: {fault} (row {key}); it is fetched again at the next contact")
        else:
            found[event.id] = event
    limit = limits.get(row_key(provider.id))
    known = limit if isinstance(limit, dict) else {}
    strictest = known.get("strictest_w")
    strictest_w = {
        side: float(value)
        for side, value in (strictest if isinstance(strictest, dict) else {}).items()
        if side in SIDES and isinstance(value, int | float)
    }
    heard = known.get("last_success_at")
    last = Instant(datetime.fromisoformat(heard), float("-inf"), False) if isinstance(heard, str) else None
    missed = known.get("state", "") in {LinkState.STALE.value, LinkState.HOLD.value, LinkState.FALLBACK.value}
    link = supervision.started(bool(found), now, last, missed=missed)
    if last is not None and not faults and _goes_on(known, provider, last, now, boot):
        link = supervision.resumed(provider, now, last)
    store = EventStore(MappingProxyType(dict(sorted(found.items()))))
    service = Service(provider, link, store, strictest_w=MappingProxyType(strictest_w), boot=boot)
    return service.advanced(now), faults


def _goes_on(known: Mapping[str, Json], provider: Provider, last: Instant, now: Instant, boot: str) -> bool:
    """Whether the link of the former run counts as not lost: it was well, and only the gateway was started anew.

    Interpretation: a machine that was started anew looks like a house whose power came back; there the default limit
    holds before any contact, as CSIP-AUS has it. How long the gateway was away is only known to within the hour.
    """
    online = known.get("state") == LinkState.ONLINE and known.get("failing") is known.get("stands_in") is False
    same = bool(boot) and known.get("boot") == boot
    away_s = (now.wall - last.wall).total_seconds()
    return online and same and now.trusted and 0 <= away_s <= CONTACT_STORED_EVERY_S + provider.stale_after_s()
