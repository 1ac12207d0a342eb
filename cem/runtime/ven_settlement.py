"""Settles events that are over: computes, keeps and sends what was asked, delivered and earned."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from cem.model.event import GridEvent, SignalKind
from cem.model.provider import Provider
from cem.ports import History, Json, StateKind, StateStore
from cem.runtime.ven_client import VtnClient, VtnFailure, object_path
from cem.runtime.ven_rows import commit
from cem.sgcp.durable import SETTLEMENT, Row, own_rows, row_key
from cem.sgcp.events.store import event_end, event_start
from cem.sgcp.reports.compliance import (
    ADJUST_FROM,
    ADJUST_TO,
    DAYS,
    Baseline,
    Minutes,
    Settled,
    Stretch,
    baseline,
    mean_w,
    on_day,
    overridden_w,
    settled,
    similar_days,
    stretches,
)
from cem.sgcp.reports.outlook import Outlook
from cem.sgcp.reports.settlement import report_name, report_request, row_of
from cem.wire.openadr3 import Report

_LOG = logging.getLogger(__name__)
AFTER = timedelta(minutes=2)
"""The record of the last minute is there by then."""
KEPT = timedelta(days=400)
EVERY_S = 30.0
"""How often it is looked for what is over."""
_MOST_ROWS = 5000
_REFUSED = (400, 403, 404, 409, 413, 422)


@dataclass(frozen=True, slots=True)
class Books:
    """What settling and reporting need of the house. `meter` is the signal of the connection point."""

    history: History
    meter: str
    zone: ZoneInfo
    currency: str
    reserves_pct: Mapping[str, float] = field(default_factory=dict)  # below which the owner lets no battery be used
    outlook: Callable[[], Outlook] = Outlook  # what is expected now


class Settlements:
    """One provider's settlements. What is asked for while an event runs counts as it stood last.

    `client` sends them; None: the protocol has no message for them, they are kept and shown here. `others` tells the
    limits of everybody else in a stretch.
    """

    def __init__(
        self,
        provider: Provider,
        client: VtnClient | None,
        store: StateStore,
        books: Books,
        others: Callable[[Stretch], Mapping[SignalKind, float]],
    ) -> None:
        self._provider = provider
        self._client = client
        self._store = store
        self._books = books
        self._others = others
        self._running: dict[str, GridEvent] = {}
        self._rows: dict[str, dict[str, Json]] = {}
        self._days: frozenset[date] = frozenset()  # on which an event of any provider ran

    async def restore(self) -> None:
        """Loads what was settled."""
        everything = await self._store.load(StateKind.SETTLEMENT)
        self._days = frozenset(day for row in everything.values() for day in _days_of(row, self._books.zone))
        own = own_rows(everything, self._provider.id)
        self._rows = {key: row for key, row in own.items() if isinstance(row, dict)}

    async def settle(self, events: Mapping[str, GridEvent], now: datetime) -> None:
        """Settles what is over by now; `events` are the accepted ones, those that vanished while running are over.

        What was over when it was heard of never ran here.
        """
        over: list[tuple[GridEvent, datetime]] = []
        for event_id, event in list(self._running.items()):
            if event_id not in events:
                over.append((event, now))
                del self._running[event_id]
        for event in events.values():
            start, end = event_start(event), event_end(event)
            if start is None or start > now or self._key(event) in self._rows:
                continue
            if end is not None and end <= event.received_at:
                continue
            if end is not None and end + AFTER <= now:
                over.append((event, end))
                self._running.pop(event.id, None)
            else:
                self._running[event.id] = event
        for event, until in over:
            await self._settle(event, until, now)

    def _key(self, event: GridEvent) -> str:
        start = event_start(event)
        return row_key(self._provider.id, event.id, "" if start is None else start.isoformat())

    async def _settle(self, event: GridEvent, until: datetime, now: datetime) -> None:
        rate = next((p.incentive_per_kwh for p in self._provider.programmes if p.name == event.programme_id), None)
        parts = [await self._part(stretch, rate) for stretch in stretches(event, until)]
        if not parts:
            return
        sent = None if self._client is None else False
        row = {**row_of(event, parts, self._books.currency), "settled_at": now.isoformat(), "sent": sent}
        key = self._key(event)
        self._rows[key] = row
        self._days |= frozenset(_days_of(row, self._books.zone))
        old = [k for k, r in self._rows.items() if str(r.get("settled_at", "")) < (now - KEPT).isoformat()] + list(
            self._rows
        )[: max(len(self._rows) - _MOST_ROWS, 0)]
        for gone in old:
            self._rows.pop(gone, None)
        await commit(
            self._store, [Row(SETTLEMENT, key, row), *(Row(SETTLEMENT, k, None) for k in old)], self._provider.id
        )
        verdicts = ", ".join(dict.fromkeys(part.verdict.value for part in parts))
        _LOG.info("%s: event %s is over: %s", self._provider.id, event.name, verdicts)

    async def _part(self, stretch: Stretch, rate: float | None) -> Settled:
        minutes = await self._minutes(stretch.start, stretch.end)
        found = settled(stretch, minutes, await self.baseline(stretch), rate)
        return replace(found, overridden_w=overridden_w(stretch, self._others(stretch)))

    async def _minutes(self, start: datetime, end: datetime) -> Minutes:
        since, until = int(start.timestamp()) // 60 * 60, int(end.timestamp())
        return await self._books.history.minute_means(self._books.meter, since, until)

    async def baseline(self, stretch: Stretch) -> Baseline | None:
        """The connection point's baseline during a stretch."""
        zone, start = self._books.zone, stretch.start
        today = frozenset({start.astimezone(zone).date()})
        found: dict[date, tuple[float, float | None]] = {}
        for day in similar_days(start, zone, self._days - today):
            window = [on_day(at, start, day, zone) for at in (start, stretch.end)]
            during = await self._mean(window[0], window[1])
            if during is not None:
                found[day] = (during, await self._mean(window[0] - ADJUST_FROM, window[0] - ADJUST_TO))
            if len(found) == DAYS:
                break
        before = await self._mean(start - ADJUST_FROM, start - ADJUST_TO)
        return baseline(found, before)

    async def _mean(self, start: datetime, end: datetime) -> float | None:
        return mean_w(await self._minutes(start, end), start, end)

    async def send(self) -> None:
        """Sends what was not sent, the oldest first; raises VtnFailure where the link failed."""
        if self._client is None:
            return
        for key, row in self._rows.items():
            if row.get("sent") is False:
                await self._send(self._client, key, row)

    async def _send(self, client: VtnClient, key: str, row: dict[str, Json]) -> None:
        sent: Json = True
        try:
            message = report_request(row, self._provider.ven_name)
            name = report_name(message.event_id)
            query = {"eventID": message.event_id, "clientName": self._provider.ven_name}
            held = await client.every(Report, "/reports", query, most=10_000)
            known = next((report for report in held.items if report.report_name == name), None)
            if known is None:
                await client.post(Report, "/reports", message)
            else:  # the answer to the first try was lost
                await client.put(Report, object_path("reports", known.id), message)
        except VtnFailure as fault:
            if fault.status not in _REFUSED:
                raise
            sent = fault.detail
            _LOG.warning("%s: a settlement is kept here alone: %s", self._provider.id, fault.detail)
        except ValueError as fault:
            sent = str(fault)
            _LOG.warning("%s: %s", self._provider.id, fault)
        row["sent"] = sent
        await commit(self._store, [Row(SETTLEMENT, key, row)], self._provider.id)


def _days_of(row: Json, zone: ZoneInfo) -> Sequence[date]:
    """The local days on which the event of a row ran."""
    parts = row.get("parts") if isinstance(row, dict) else None
    starts = [part.get("start") for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    return [datetime.fromisoformat(start).astimezone(zone).date() for start in starts if isinstance(start, str)]
