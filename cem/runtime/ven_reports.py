"""Usage reports of one provider: metered by the control loop, delivered by the session, kept on disk between."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cem.model.event import GridEvent
from cem.model.provider import Provider
from cem.model.time import Instant
from cem.ports import StateKind, StateStore
from cem.runtime.ven_client import VtnClient, VtnFailure, object_path
from cem.runtime.ven_rows import commit
from cem.sgcp.durable import REGISTRATION, Json, Row, own_rows, row_key
from cem.sgcp.reports.openadr3 import (
    Content,
    anchor,
    content_of,
    interval_of,
    is_missing,
    report_name,
    report_request,
    resource_name,
)
from cem.sgcp.reports.outbox import Outbox
from cem.sgcp.reports.usage import Usage, UsageMeter
from cem.wire.openadr3 import Event, Report

_LOG = logging.getLogger(__name__)
_CURSOR_EVERY = timedelta(minutes=15)
_WINDOWS_REMEMBERED = 8


@dataclass(slots=True)
class _Written:
    """A report object that the VTN holds, as far as we know; `id` None: not created, or not known to be."""

    id: str | None = None
    doubtful: bool = False  # it may exist under its name without our knowing its id
    read: bool = False  # `content` is what the VTN holds
    content: Content = field(default_factory=dict)


class UsageReports:
    """The meter, the outbox and the delivery of one provider's usage reports."""

    def __init__(self, provider: Provider, client: VtnClient, store: StateStore, resources: Sequence[str]) -> None:
        self._provider = provider
        self._client = client
        self._store = store
        self._meter = UsageMeter(provider.report_interval_s, resources)
        self._outbox = Outbox(provider.id, provider.report_interval_s)
        self._written: dict[tuple[str, datetime], _Written] = {}
        self._doubt_until: datetime | None = None  # windows before it may have been written by an earlier run
        self._doubt_from: datetime | None = None
        self._anchor: str | None = None
        self._cursor_stored: datetime | None = None

    def __len__(self) -> int:
        return len(self._outbox)

    async def restore(self, now: Instant) -> None:
        """Loads what was not delivered, and accounts for the time that we did not run."""
        self._outbox.restore(own_rows(await self._store.load(StateKind.OUTBOX), self._provider.id))
        rows = own_rows(await self._store.load(StateKind.REGISTRATION), self._provider.id)
        known = rows.get(row_key(self._provider.id, "reports"))
        cursor = known.get("cursor") if isinstance(known, dict) else None
        if isinstance(known, dict):
            self._restore_ids(known.get("ids"))
        if isinstance(cursor, str) and now.trusted:
            begun = datetime.fromisoformat(cursor)
            if begun <= now.wall:
                self._meter.resume(begun)
                self._cursor_stored = begun
                self._doubt_from = self._outbox.window_of(begun)
                self._doubt_until = now.wall

    def _restore_ids(self, ids: Json) -> None:
        for entry in ids if isinstance(ids, list) else []:
            if isinstance(entry, list) and len(entry) == 3:
                event_id, window, report_id = entry
                if isinstance(event_id, str) and isinstance(window, str) and isinstance(report_id, str):
                    self._written[event_id, datetime.fromisoformat(window)] = _Written(report_id)

    def sample(self, now: Instant, powers_w: Mapping[str, float | None]) -> bool:
        """Takes the powers of this moment; whether intervals closed. Never blocks."""
        closed = self._meter.sample(now, powers_w)
        self._outbox.add(closed)
        return bool(closed)

    def add(self, usages: Sequence[Usage]) -> None:
        """Takes in intervals that were measured elsewhere."""
        self._outbox.add(usages)

    async def keep(self, now: Instant) -> None:
        """Writes to disk what was not delivered, and now and then how far we accounted."""
        rows = self._outbox.expired(now.wall) + self._outbox.unstored()
        cursor = self._meter.cursor
        due = cursor is not None and (self._cursor_stored is None or cursor - self._cursor_stored >= _CURSOR_EVERY)
        if cursor is not None and (rows or due):
            rows.append(self._known_row(cursor))
            self._cursor_stored = cursor
        if rows and not await commit(self._store, rows, self._provider.id):
            self._outbox.unwritten(rows)

    def _known_row(self, cursor: datetime) -> Row:
        recent = sorted(self._written.items(), key=lambda entry: entry[0][1])[-_WINDOWS_REMEMBERED:]
        ids: Json = [[event, window.isoformat(), w.id] for (event, window), w in recent if w.id is not None]
        key = row_key(self._provider.id, "reports")
        return Row(REGISTRATION, key, {"cursor": cursor.isoformat(), "ids": ids})

    async def deliver_window(
        self, now: Callable[[], Instant], listed: Sequence[Event], accepted: Mapping[str, GridEvent]
    ) -> bool:
        """Delivers one window, live data first, then from the oldest on; whether more waits. Raises VtnFailure."""
        self._anchor = anchor(listed, accepted, self._anchor, now().wall)
        windows = self._outbox.windows()
        if not windows or self._anchor is None:
            return False
        window = windows[0]
        usages = self._outbox.of(window)
        await self._write(self._anchor, window, usages)
        rows = self._outbox.acknowledged(usages)
        if rows:
            await commit(self._store, rows, self._provider.id)
        return len(windows) > 1

    async def _write(self, event_id: str, window: datetime, usages: Sequence[Usage]) -> None:
        written = await self._known(event_id, window)
        content = dict(written.content)
        for usage in usages:
            key = (resource_name(usage.resource), usage.start)
            held = content.get(key)
            if held is None or is_missing(held):  # what was measured and delivered stays
                content[key] = interval_of(usage, window)
        if written.id is not None and content == written.content:
            return
        message = report_request(event_id, self._provider.ven_name, window, content)
        try:
            if written.id is None:
                written.doubtful = True
                written.id = (await self._client.post(Report, "/reports", message)).id
                written.doubtful = False
                self._cursor_stored = None  # the new identifier goes to disk with the next rows
            else:
                await self._client.put(Report, object_path("reports", written.id), message)
        except VtnFailure as fault:
            if fault.status == 404:
                written.id, written.read, written.content = None, False, {}
            if fault.status is not None and fault.status < 500 and fault.status != 409:
                written.doubtful = False  # refused, so not written
            raise
        written.content, written.read = content, True
        self._forget_old()

    async def _known(self, event_id: str, window: datetime) -> _Written:
        """What the VTN already holds of a window: asked for where we cannot know."""
        written = self._written.setdefault((event_id, window), _Written())
        if written.id is not None and not written.read:
            report = await self._client.one(Report, object_path("reports", written.id))
            written.id = None if report is None else report.id
            written.content = {} if report is None else content_of(report)
            written.read = True
        if written.id is None and (written.doubtful or self._is_of_an_earlier_run(window)):
            await self._find(event_id, window, written)
        return written

    def _is_of_an_earlier_run(self, window: datetime) -> bool:
        since, until = self._doubt_from, self._doubt_until
        return since is not None and until is not None and since <= window <= until

    async def _find(self, event_id: str, window: datetime, written: _Written) -> None:
        query = {"eventID": event_id, "clientName": self._provider.ven_name}
        found = await self._client.every(Report, "/reports", query, most=10_000)
        name = report_name(event_id, window)
        own = next((report for report in found.items if report.report_name == name), None)
        written.doubtful = False
        written.read = True
        if own is not None:
            written.id, written.content = own.id, content_of(own)

    def _forget_old(self) -> None:
        waiting = set(self._outbox.windows())
        finished = sorted((key for key in self._written if key[1] not in waiting), key=lambda key: key[1])
        for key in finished[:-_WINDOWS_REMEMBERED]:
            del self._written[key]
