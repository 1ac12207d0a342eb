"""The reports of one OpenADR 2.0b provider: what it asked for, what was measured, and what is still to be delivered.

What a periodic report has not delivered yet is on disk; history of earlier runs comes from the gateway's own record.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from cem.model.provider import Provider
from cem.model.time import Instant
from cem.ports import StateKind, StateStore
from cem.runtime.ven2b_client import Vtn2bClient, is_refusal
from cem.runtime.ven_client import VtnFailure
from cem.runtime.ven_rows import commit
from cem.runtime.ven_settlement import Books
from cem.sgcp.durable import REGISTRATION, Json, Row, own_rows, row_key
from cem.sgcp.reports.openadr2b import (
    HISTORY,
    METADATA,
    STATUS,
    Pending,
    accepted,
    known_until,
    metadata,
    pending_of,
    status_report,
    usage_report,
)
from cem.sgcp.reports.outbox import Outbox
from cem.sgcp.reports.usage import SITE, Usage, UsageMeter, recorded
from cem.wire.openadr2b.messages import (
    CanceledReport,
    CancelReport,
    CreatedReport,
    CreateReport,
    RegisteredReport,
    RegisterReport,
    UpdatedReport,
    UpdateReport,
)
from cem.wire.openadr2b.names import Code
from cem.wire.openadr2b.parts import Report, ReportRequest, Response

_LOG = logging.getLogger(__name__)
_HISTORY_KEPT = 1000
"""Intervals of the site and of each resource."""
_MOST_PENDING = 50
_CURSOR_EVERY = timedelta(minutes=15)


class Reports2b:
    """The meter, the requests and the delivery of one provider's reports."""

    def __init__(
        self,
        provider: Provider,
        client: Vtn2bClient,
        store: StateStore,
        resources: Sequence[str],
        new_id: Callable[[], str],
        books: Books | None = None,
        *,
        below: bool = False,
    ) -> None:
        """`below`: there is a domain below, whose sum is offered too and comes in by `aggregated`."""
        self._provider = provider
        self._below = below
        self._client = client
        self._store = store
        self._books = books
        self._resources = tuple(resources)
        self._new_id = new_id
        self._meter = UsageMeter(provider.report_interval_s, resources)
        self._outbox = Outbox(provider.id, provider.report_interval_s)
        self._history: dict[tuple[str, datetime], Usage] = {}
        self._online: dict[str, bool] = {}
        self._cursor_stored: datetime | None = None
        self.pending: dict[str, Pending] = {}

    def __len__(self) -> int:
        return len(self._outbox)

    async def restore(self, now: Instant) -> None:
        """Loads what was asked for and what was not delivered, and accounts for the time that we did not run."""
        self._outbox.restore(own_rows(await self._store.load(StateKind.OUTBOX), self._provider.id))
        if self._books is not None and now.trusted:
            await self._recall(self._books, self._meter.floor(now.wall))
        rows = own_rows(await self._store.load(StateKind.REGISTRATION), self._provider.id)
        known = rows.get(row_key(self._provider.id, "reports"))
        if not isinstance(known, dict):
            return
        entries = known.get("pending")
        for entry in entries if isinstance(entries, list) else []:
            found = pending_of(entry)
            if found is not None:
                self.pending[found.request_id] = found
        cursor = known.get("cursor")
        if isinstance(cursor, str) and now.trusted and datetime.fromisoformat(cursor) <= now.wall:
            self._meter.resume(datetime.fromisoformat(cursor))
            self._cursor_stored = datetime.fromisoformat(cursor)

    async def _recall(self, books: Books, until: datetime) -> None:
        """History out of the record of earlier runs."""
        interval_s = self._provider.report_interval_s
        since = until - timedelta(seconds=interval_s * _HISTORY_KEPT)
        signals = {SITE: books.meter, **{resource: f"{resource}.power_w" for resource in self._resources}}
        found: list[Usage] = []
        for resource, signal in signals.items():
            minutes = await books.history.minute_means(signal, int(since.timestamp()), int(until.timestamp()))
            found += recorded(resource, minutes, interval_s, since, until)
        self._history = {(usage.resource, usage.start): usage for usage in sorted(found, key=lambda one: one.start)}

    def sample(self, now: Instant, powers_w: Mapping[str, float | None]) -> bool:
        """Takes the powers of this moment; whether intervals closed. Never blocks."""
        self._online = {name: powers_w.get(name) is not None for name in (SITE, *self._resources)}
        closed = self._meter.sample(now, powers_w)
        for usage in closed:
            self._history[usage.resource, usage.start] = usage
        self._keep_most()
        self._add(closed)
        return bool(closed)

    def aggregated(self, usages: Sequence[Usage]) -> None:
        """Takes sums over the domain below in; one that was missing may come again, known."""
        for usage in usages:
            held = self._history.get((usage.resource, usage.start))
            if held is None or held.missing:
                self._history[usage.resource, usage.start] = usage
        self._keep_most()
        self._add(usages)

    def _keep_most(self) -> None:
        most = _HISTORY_KEPT * (1 + len(self._resources) + self._below)
        for key in list(self._history)[: max(len(self._history) - most, 0)]:
            del self._history[key]

    def _add(self, usages: Sequence[Usage]) -> None:
        if any(p.periodic and p.specifier != STATUS for p in self.pending.values()):
            self._outbox.add(usages)

    # --- what is asked for -------------------------------------------------------------------------------------

    async def offer(self, ven_id: str, now: datetime, request_id: str | None = None) -> None:
        """Says what can be reported, and takes in what is asked for in the answer; raises VtnFailure.

        A VTN that wants no reports is no fault of the link.
        """
        try:
            await self._offer(ven_id, now, request_id)
        except VtnFailure as fault:
            if not is_refusal(fault):
                raise
            _LOG.warning("%s; nothing is reported to it", fault.detail)

    async def _offer(self, ven_id: str, now: datetime, request_id: str | None) -> None:
        interval = timedelta(seconds=self._provider.report_interval_s)
        kept = interval * _HISTORY_KEPT
        reports = metadata(self._resources, interval, kept, now, request_id or "0", below=self._below)
        message = RegisterReport(
            request_id=self._new_id(), reports=reports, ven_id=ven_id, report_request_id=request_id
        )
        answer = await self._client.ask(RegisteredReport, message)
        if answer.requests:
            created = await self.create(answer.requests, answer.response.request_id, ven_id, now)
            await self._client.tell(created)

    async def create(
        self, requests: Sequence[ReportRequest], request_id: str, ven_id: str, now: datetime
    ) -> CreatedReport:
        """Takes requests in, all that can be met; the answer to them."""
        refused = []
        for request in requests:
            if request.specifier_id == METADATA:
                continue
            interval_s = self._provider.report_interval_s
            found = accepted(request, self._resources, interval_s, now, below=self._below)
            if found is None or len(self.pending) >= _MOST_PENDING:
                refused.append(request.request_id)
            else:
                self.pending[found.request_id] = found
        names = ", ".join(refused)[:200]
        if refused:
            _LOG.warning("%s: reports that are not offered were asked for: %s", self._provider.id, names)
        await self._keep_pending()
        code, words = (Code.REPORT_NOT_SUPPORTED, f"not offered: {names}") if refused else (Code.OK, None)
        response = Response(code=str(int(code)), description=words, request_id=request_id)
        return CreatedReport(response=response, pending=tuple(self.pending), ven_id=ven_id)

    async def answer_create(self, message: CreateReport, ven_id: str, now: datetime) -> CreatedReport:
        """The answer to a request for reports."""
        return await self.create(message.requests, message.request_id, ven_id, now)

    async def cancel(self, message: CancelReport, ven_id: str) -> tuple[CanceledReport, tuple[Pending, ...]]:
        """Ends reports; the answer, and those of which a last one is wanted."""
        known = [self.pending.pop(i) for i in dict.fromkeys(message.report_request_ids) if i in self.pending]
        unknown = [i for i in message.report_request_ids if i not in {p.request_id for p in known}]
        await self._keep_pending()
        code = Code.INVALID_ID if unknown else Code.OK
        words = f"not asked for: {', '.join(unknown)[:200]}" if unknown else None
        response = Response(code=str(int(code)), description=words, request_id=message.request_id)
        answer = CanceledReport(response=response, pending=tuple(self.pending), ven_id=ven_id)
        return answer, tuple(known) if message.to_follow else ()

    async def forget(self) -> None:
        """Nothing is asked for any longer."""
        self.pending.clear()
        await self._keep_pending()

    # --- delivery ----------------------------------------------------------------------------------------------

    async def deliver(self, now: datetime, ven_id: str, last: Sequence[Pending] = ()) -> bool:
        """Delivers what is due, and last reports; whether anything was. Raises VtnFailure, and nothing is lost then."""
        sent = False
        for pending in (*last, *self.pending.values()):
            if pending in last or pending.due_at() <= now:
                sent = await self._deliver(pending, now, ven_id, pending in last) or sent
        return sent

    async def _deliver(self, pending: Pending, now: datetime, ven_id: str, is_last: bool) -> bool:
        made = self._made(pending, now)
        if made is None:
            if not is_last and pending.end is not None and pending.end <= now and not pending.periodic:
                await self._done(pending)
            return False
        report, after = made
        message = UpdateReport(request_id=self._new_id(), reports=(report,), ven_id=ven_id)
        try:
            answer = await self._client.ask(UpdatedReport, message)
        except VtnFailure as fault:
            if not is_refusal(fault) or is_last:
                raise
            _LOG.warning("%s; the report %s is not sent any more", fault.detail, pending.request_id)
            await self._done(pending)
            await self._acknowledge()
            return True
        if is_last or pending.request_id not in self.pending:
            return True
        over = after.end is not None and after.sent_until >= after.end
        if over or not after.periodic:
            await self._done(after)
        else:
            self.pending[after.request_id] = after
            await self._keep_pending()
        if answer.cancel is not None:
            await self.cancel(answer.cancel, ven_id)
        await self._acknowledge()
        return True

    def _made(self, pending: Pending, now: datetime) -> tuple[Report, Pending] | None:
        if pending.specifier == STATUS:
            return status_report(pending, self._online, now)
        usages = {**{(u.resource, u.start): u for u in self._outbox.all()}, **self._history}
        until = known_until(pending, usages.values())
        return None if until is None else usage_report(pending, usages.values(), until, now)

    async def _done(self, pending: Pending) -> None:
        self.pending.pop(pending.request_id, None)
        await self._keep_pending()

    async def _acknowledge(self) -> None:
        """Forgets what every periodic report has delivered."""
        sent = [p.sent_until for p in self.pending.values() if p.periodic and p.specifier not in (STATUS, HISTORY)]
        delivered = [u for u in self._outbox.all() if not sent or u.start < min(sent)]
        rows = self._outbox.acknowledged(delivered)
        if rows:
            await commit(self._store, rows, self._provider.id)

    async def keep(self, now: Instant) -> None:
        """Writes to disk what was not delivered, and now and then how far we accounted."""
        rows = self._outbox.expired(now.wall) + self._outbox.unstored()
        cursor = self._meter.cursor
        due = cursor is not None and (self._cursor_stored is None or cursor - self._cursor_stored >= _CURSOR_EVERY)
        if rows and not await commit(self._store, rows, self._provider.id):
            self._outbox.unwritten(rows)
        if rows or due:
            self._cursor_stored = cursor
            await self._keep_pending()

    async def _keep_pending(self) -> None:
        cursor = None if self._cursor_stored is None else self._cursor_stored.isoformat()
        value: Json = {"cursor": cursor, "pending": [pending.row() for pending in self.pending.values()]}
        row = Row(REGISTRATION, row_key(self._provider.id, "reports"), value)
        await commit(self._store, [row], self._provider.id)
