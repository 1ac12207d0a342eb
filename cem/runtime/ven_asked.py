"""Makes, keeps and sends the reports that events ask for by their descriptors."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from cem.model.provider import Provider
from cem.model.resource import Resource, Role
from cem.ports import Json, StateKind, StateStore
from cem.runtime.ven_client import VtnClient, VtnFailure
from cem.runtime.ven_rows import commit
from cem.runtime.ven_settlement import AFTER, Books, Settlements
from cem.sgcp.durable import OUTBOX, REGISTRATION, Row, own_rows, row_key
from cem.sgcp.point import Followed
from cem.sgcp.reports.asked import AskedReport, Span, not_offered
from cem.sgcp.reports.asked_content import OF_PARTS, Measured, report_request
from cem.sgcp.reports.compliance import Minutes, Stretch, mean_w
from cem.sgcp.reports.flexibility import Part
from cem.sgcp.reports.outlook import Outlook
from cem.wire.openadr3 import (
    AGGREGATED_REPORT,
    Event,
    Report,
    ReportPayload,
    ReportRequest,
    WireError,
    to_json,
    validate,
)

_LOG = logging.getLogger(__name__)
_REFUSED = (400, 403, 404, 409, 413, 422)
_MOST_WAITING = 1000
_MOST_TOLD = 1000
_BEHIND = timedelta(days=1)
"""How far back a report is still made after a stop."""
_LEVEL_HOLDS = timedelta(minutes=15)
"""How long a recorded state of charge stands for the time after it."""
_LATE_AHEAD = timedelta(minutes=30)
"""How late one on what is to come may be."""

Due = Callable[[datetime, datetime], Sequence[AskedReport]]
Follows = Callable[[str, datetime], Followed]
"""What becomes of an event at an instant."""


class AskedReports:
    """One provider's. What is made is on disk before it is sent; a resend finds what it wrote before."""

    def __init__(
        self,
        provider: Provider,
        client: VtnClient,
        store: StateStore,
        books: Books,
        settlements: Settlements,
        resources: Sequence[Resource],
        follows: Follows,
    ) -> None:
        self._provider = provider
        self._client = client
        self._store = store
        self._books = books
        self._settlements = settlements
        self._resources = {resource.id: resource for resource in resources}
        self._follows = follows
        self._waiting: dict[str, Json] = {}
        self._until: datetime | None = None  # everything due by then was made
        self._told: set[str] = set()

    async def restore(self) -> None:
        """Loads what was not sent, and how far we came."""
        own = row_key(self._provider.id, "asked")
        rows = own_rows(await self._store.load(StateKind.OUTBOX), self._provider.id)
        self._waiting = {key: value for key, value in rows.items() if key.startswith(f"{own}/")}
        row = (await self._store.load(StateKind.REGISTRATION)).get(own)
        until = row.get("until") if isinstance(row, dict) else None
        self._until = datetime.fromisoformat(until) if isinstance(until, str) else None

    async def make(self, due: Due, listed: Sequence[Event], now: datetime) -> None:
        """Makes what fell due by now; `due` tells it of a time, `listed` are the events as the VTN wrote them."""
        self._tell(listed)
        until = now - AFTER
        since = max(self._until or until, until - _BEHIND)
        if since >= until and self._until is not None:
            return
        rows = []
        for asked in due(since, until):
            if asked.ahead and asked.at < now - _LATE_AHEAD:
                continue  # of hours that are over already there is nothing to expect
            message = to_json(report_request(asked, self._provider.ven_name, await self._measured(asked, now)))
            rows.append(Row(OUTBOX, row_key(self._provider.id, "asked", asked.name), message))
        if not rows and self._until is not None and until - self._until < timedelta(minutes=15):
            return  # nothing worth a write
        self._until = until
        own = Row(REGISTRATION, row_key(self._provider.id, "asked"), {"until": until.isoformat()})
        self._waiting.update({row.key: row.value for row in rows})
        await commit(self._store, [*rows, own, *self._too_many()], self._provider.id)

    def _too_many(self) -> list[Row]:
        gone = list(self._waiting)[: max(len(self._waiting) - _MOST_WAITING, 0)]
        for key in gone:
            del self._waiting[key]
        return [Row(OUTBOX, key, None) for key in gone]

    async def _measured(self, asked: AskedReport, now: datetime) -> dict[str, list[Measured]]:
        ahead = replace(self._books.outlook(), at=now) if asked.ahead else None
        named = [name for name in self._resources if name in asked.targets]
        parts = named or list(self._resources)
        found: dict[str, list[Measured]] = {}
        if asked.aggregate and named:
            each = [[await self._one(asked, name, span, ahead) for span in asked.spans] for name in named]
            found[AGGREGATED_REPORT] = [_together(spans) for spans in zip(*each, strict=True)]
            return found
        if not named:
            found[AGGREGATED_REPORT] = [await self._one(asked, None, span, ahead) for span in asked.spans]
        if not asked.aggregate:
            for name in parts:
                found[name] = [await self._one(asked, name, span, ahead) for span in asked.spans]
        return found

    async def _one(self, asked: AskedReport, name: str | None, span: Span, ahead: Outlook | None) -> Measured:
        """One resource, or the connection point, during one span."""
        kinds = {kind for kind, _ in asked.payloads}
        base = None
        if name is None and ahead is None and kinds & {ReportPayload.BASELINE, ReportPayload.DELTA_USAGE}:
            base = await self._settlements.baseline(Stretch(span.start, span.end, None, None))
        soc_pct = None if name is None else await self._soc_pct(name, span.end, ahead)
        parts: list[Part] = []
        if kinds & OF_PARTS:
            names = list(self._resources) if name is None else [name]
            parts = [await self._part(one, span, ahead) for one in names]
        now = self._follows(asked.event_id, span.end - timedelta(seconds=1))
        begun = self._follows(asked.event_id, span.start)
        return Measured(
            await self._minutes(name, span, ahead),
            None if base is None else base.power_w,
            soc_pct,
            begun.opted_out,
            begun.moves,
            tuple(parts),
            now.asked_w,
            now.level,
        )

    async def _minutes(self, name: str | None, span: Span, ahead: Outlook | None) -> Minutes:
        """What was recorded of a span, and what is expected of the rest of it."""
        signal = self._books.meter if name is None else f"{name}.power_w"
        if ahead is None:
            return await self._recorded(signal, span.start, span.end)
        expected = ahead.minutes(name, span.start, span.end)
        if ahead.at is None or ahead.at <= span.start:
            return expected
        recorded = await self._recorded(signal, span.start, min(ahead.at, span.end))
        return sorted({**dict(expected), **dict(recorded)}.items())

    async def _recorded(self, signal: str, start: datetime, end: datetime) -> Minutes:
        since, until = int(start.timestamp()) // 60 * 60, int(end.timestamp())
        return await self._books.history.minute_means(signal, since, until)

    async def _soc_pct(self, name: str, at: datetime, ahead: Outlook | None) -> float | None:
        """A battery's state of charge at an instant: as last recorded before it, or as it is expected to be."""
        if self._resources[name].role is not Role.BATTERY:
            return None
        if ahead is not None:
            return ahead.soc_at(name, at)
        levels = await self._recorded(f"{name}.soc_pct", at - _LEVEL_HOLDS, at)
        return levels[-1][1] if levels else None

    async def _part(self, name: str, span: Span, ahead: Outlook | None) -> Part:
        """What a resource does and could do during a span."""
        power_w = mean_w(await self._minutes(name, span, ahead), span.start, span.end)
        unplanned = ahead is not None and self._resources[name].role not in (Role.BATTERY, Role.PV)
        if power_w is None and unplanned:
            known_w = mean_w(await self._minutes(None, span, ahead), span.start, span.end)
            # the plan that knows the time and says nothing of a consumer does not expect it to draw
            power_w = None if known_w is None else 0.0
        soc_pct = await self._soc_pct(name, span.start, ahead)
        return Part(self._resources[name], power_w, soc_pct, self._books.reserves_pct.get(name, 0.0))

    async def send(self) -> None:
        """Sends what waits, the oldest first; raises VtnFailure where the link failed."""
        for key, body in list(self._waiting.items()):
            await self._send(key, body)

    async def _send(self, key: str, body: Json) -> None:
        try:
            message = validate(ReportRequest, body)
            query = {"eventID": message.event_id, "clientName": self._provider.ven_name}
            held = await self._client.every(Report, "/reports", query, most=10_000)
            if all(report.report_name != message.report_name for report in held.items):
                await self._client.post(Report, "/reports", message)
        except VtnFailure as fault:
            if fault.status not in _REFUSED:
                raise
            _LOG.warning("%s: a report that was asked for is not taken: %s", self._provider.id, fault.detail)
        except WireError as fault:
            _LOG.warning("%s: a stored report can't be read: %s", self._provider.id, fault)
        del self._waiting[key]
        await commit(self._store, [Row(OUTBOX, key, None)], self._provider.id)

    def _tell(self, listed: Sequence[Event]) -> None:
        for event in listed:
            kinds = not_offered(event)
            if kinds and event.id not in self._told and len(self._told) < _MOST_TOLD:
                self._told.add(event.id)
                _LOG.info("%s: event %s asks for reports that are not made: %s", self._provider.id, event.id, kinds)


def _together(parts: Sequence[Measured]) -> Measured:
    """Several resources as one: the minutes that all of them have."""
    sums: dict[int, float] = {}
    counts: dict[int, int] = {}
    for part in parts:
        for at, power_w in part.minutes:
            sums[at] = sums.get(at, 0.0) + power_w
            counts[at] = counts.get(at, 0) + 1
    minutes = [(at, power_w) for at, power_w in sorted(sums.items()) if counts[at] == len(parts)]
    several = tuple(part for one in parts for part in one.parts)
    return replace(parts[0], minutes=minutes, baseline_w=None, soc_pct=None, parts=several)
