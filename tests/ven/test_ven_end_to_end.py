"""The whole session against our own VTN, over real sockets, in virtual time."""

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from cem.io.callback_guard import CallbackGuard
from cem.io.http_server import HttpServer
from cem.io.object_store import ObjectStore
from cem.io.virtual import VirtualClock, run_virtual
from cem.io.webhooks import Webhooks
from cem.model.directive import LinkState
from cem.model.event import EventInterval
from cem.model.provider import Provider
from cem.model.resource import Resource, Role
from cem.ports import StateKind
from cem.runtime.vtn import VtnService
from cem.sgcp.vtn.handler import BASE_PATH, Vtn, VtnConfig
from cem.sgcp.vtn.objects import Change, Objects
from cem.sgcp.vtn.tokens import Client
from cem.sgcp.vtn.tokens import Role as ClientRole
from cem.wire.openadr3 import ObjectType, format_datetime
from support.openadr3_messages import schema_faults
from support.rogue_vtn import PROGRAM, Home, RogueVtn, dimming
from support.ven_world import T0, MemoryStore, utility

BATTERY = Resource("battery", Role.BATTERY, "d1", "Battery")


class OwnVtn:
    """Our VTN, which can be killed and started again on the same port with what it had stored."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._store = ObjectStore.open(None)
        self._one_at_a_time = threading.Lock()
        self._ids = itertools.count()
        self._server: HttpServer | None = None
        self._port = 0

    async def start(self) -> None:
        """Listens."""
        clients = (Client("ven-1", "secret-of-ven-1", ClientRole.VEN),)
        config = VtnConfig(clients, new_id=self._new("o"), new_salt=self._new("t"), token_key=b"key")
        vtn = Vtn(config, Objects(self._store.load()))
        callbacks = Webhooks(CallbackGuard())
        self._service = VtnService(vtn, self._commit, lambda: self._clock.now().wall, callbacks)
        self._server = HttpServer(self._service.exchange)
        self._port = await self._server.start("127.0.0.1", self._port)

    def _new(self, kind: str) -> Any:
        return lambda: f"{kind}{next(self._ids)}"

    async def kill(self) -> None:
        """Goes away."""
        if self._server is not None:
            await self._server.stop()
            await self._service.close()
            self._server = None

    @property
    def url(self) -> str:
        """The base address."""
        return f"http://127.0.0.1:{self._port}{BASE_PATH}"

    async def put(self, kind: ObjectType, object_id: str, body: dict[str, Any] | None) -> None:
        """What the business logic writes or removes, in its turn between requests."""
        stamp = format_datetime(self._clock.now().wall)
        full = None
        if body is not None:
            times = {"createdDateTime": stamp, "modificationDateTime": stamp}
            full = {"id": object_id, "objectType": kind.value, **times, **body}
        changes = (Change(kind.value, object_id, full),)
        if self._server is None:
            self._commit(changes)
        else:
            await self._service.carry_out(lambda: (None, changes))

    def all(self, kind: ObjectType) -> list[dict[str, Any]]:
        """What is stored of a kind."""
        with self._one_at_a_time:
            return [dict(body) for found, _, body in self._store.load() if found == kind.value]

    def _commit(self, changes: Sequence[Change]) -> None:
        with self._one_at_a_time:
            self._store.commit(changes)


@asynccontextmanager
async def stage(clock: VirtualClock, **fields: Any) -> AsyncIterator[tuple[Home, OwnVtn]]:
    """A VTN with one mandatory programme, and a home that talks to it."""
    vtn = OwnVtn(clock)
    await vtn.put(ObjectType.PROGRAM, "p1", {"programName": "dimming"})
    await vtn.start()
    times = {"poll_s": 10.0, "stale_s": 30.0, "report_interval_s": 15.0, "reconnect_jitter_s": 5.0, "retry_max_s": 30.0}
    provider: Provider = utility(url=vtn.url, **{**times, **fields})
    home = Home(provider, clock, MemoryStore(), (BATTERY,))
    try:
        await home.start()
        yield home, vtn
    finally:
        await home.stop()
        await vtn.kill()


def limit_event(kw: float, start: datetime, length: str | None = None, **more: Any) -> dict[str, Any]:
    """An import limit."""
    period = {"start": format_datetime(start), **({"duration": length} if length else {})}
    intervals = [{"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [kw]}]}]
    return {"programID": "p1", "eventName": "dim", "intervalPeriod": period, "intervals": intervals, **more}


def reported(vtn: OwnVtn, resource: str = "AGGREGATED_REPORT") -> list[tuple[str, list[str]]]:
    """(start, payload types) of each interval that the VTN holds, over all reports, in order."""
    found = []
    for report in vtn.all(ObjectType.REPORT):
        for entry in report["resources"]:
            if entry["resourceName"] == resource:
                found += [
                    (i["intervalPeriod"]["start"], [p["type"] for p in i["payloads"]]) for i in entry["intervals"]
                ]
    return sorted(found)


def assert_no_gap_no_duplicate(starts: list[str], step_s: float) -> None:
    """The starts follow each other in steps."""
    times = [datetime.fromisoformat(start).astimezone(UTC) for start in starts]
    assert times == [times[0] + n * timedelta(seconds=step_s) for n in range(len(times))]


def test_register_obey_report_lose_fall_back_return_and_fill_in() -> None:
    async def main(clock: VirtualClock) -> None:
        async with stage(clock) as (home, vtn):
            await home.until(LinkState.ONLINE, 30)
            assert [ven["venName"] for ven in vtn.all(ObjectType.VEN)] == ["house-1"]
            assert [r["resourceName"] for r in vtn.all(ObjectType.RESOURCE)] == ["battery"]
            assert home.limits_w == []

            await vtn.put(ObjectType.EVENT, "e1", limit_event(3.0, clock.now().wall, "PT5M"))
            await home.until_true(lambda: home.limits_w == [3000.0], 11)
            await home.until_true(lambda: len(reported(vtn)) >= 3, 90)
            assert all(schema_faults("report", report) == [] for report in vtn.all(ObjectType.REPORT))
            assert "USAGE" in reported(vtn)[-1][1]

            await vtn.kill()
            await home.until(LinkState.HOLD, 90)
            assert home.limits_w == [3000.0]
            await home.until(LinkState.FALLBACK, 300)
            assert home.limits_w == [4200.0]
            assert home.link.reports_queued > 0
            assert home.store.rows[StateKind.OUTBOX]

            await vtn.start()
            await home.until(LinkState.RESYNC, 90)
            assert home.limits_w == [4200.0]
            await home.until(LinkState.ONLINE, 60)
            assert home.limits_w == []
            await home.until_true(lambda: home.link.reports_queued == 0, 300)
            for resource in ("AGGREGATED_REPORT", "battery"):
                assert_no_gap_no_duplicate([start for start, _ in reported(vtn, resource)], 15)
            assert len(reported(vtn)) >= 20
            assert [types for _, types in reported(vtn)[1:] if "USAGE" not in types] == []
            assert home.store.rows[StateKind.OUTBOX] == {}
            assert len(vtn.all(ObjectType.VEN)) == len(vtn.all(ObjectType.RESOURCE)) == 1

    run_virtual(main, T0)


def test_a_power_cut_during_an_outage_keeps_the_limit_and_the_reports() -> None:
    async def main(clock: VirtualClock) -> None:
        async with stage(clock) as (home, vtn):
            await vtn.put(ObjectType.EVENT, "e1", limit_event(3.0, clock.now().wall, "PT1H"))
            await home.until_true(lambda: len(reported(vtn)) >= 4, 120)
            await vtn.kill()
            await asyncio.sleep(100)
            await home.stop()
            await asyncio.sleep(60)
            await home.start()
            assert home.limits_w == [3000.0]
            assert home.link.state is LinkState.HOLD
            await asyncio.sleep(60)
            await vtn.start()
            await home.until(LinkState.ONLINE, 60)
            await home.until_true(lambda: home.link.reports_queued == 0, 300)
            starts = reported(vtn)
            assert_no_gap_no_duplicate([start for start, _ in starts], 15)
            missing = [start for start, types in starts[1:] if "USAGE" not in types]
            assert 4 <= len(missing) <= 6

    run_virtual(main, T0)


def test_a_random_start_stays_as_drawn_over_polls_and_a_restart() -> None:
    async def main(clock: VirtualClock) -> None:
        async with stage(clock) as (home, vtn):
            start = clock.now().wall + timedelta(minutes=20)
            body = limit_event(3.0, start, "PT1H")
            body["intervalPeriod"]["randomizeStart"] = "PT10M"
            await vtn.put(ObjectType.EVENT, "e1", body)
            await home.until_true(lambda: "e1" in home.point.events("utility", clock.now()), 60)
            drawn = home.point.events("utility", clock.now())["e1"].intervals
            assert abs((drawn[0].start - start).total_seconds()) <= 600
            assert drawn[0].start != start
            await asyncio.sleep(60)
            await home.stop()
            home.store.rows[StateKind.EVENT].clear()
            await home.start()
            await home.until(LinkState.ONLINE, 60)
            assert home.point.events("utility", clock.now())["e1"].intervals == drawn
            body["intervals"][0]["payloads"][0]["values"] = [2.0]
            await vtn.put(ObjectType.EVENT, "e1", body)

            def now() -> EventInterval:
                return home.point.events("utility", clock.now())["e1"].intervals[0]

            await home.until_true(lambda: now().signals != drawn[0].signals, 60)
            assert now().start == drawn[0].start

    run_virtual(main, T0)


def test_what_ran_out_during_an_outage_is_missed_and_not_run_late() -> None:
    async def main(clock: VirtualClock) -> None:
        async with stage(clock) as (home, vtn):
            await home.until(LinkState.ONLINE, 30)
            await vtn.kill()
            await home.until(LinkState.FALLBACK, 120)
            await vtn.put(ObjectType.EVENT, "late", limit_event(1.0, clock.now().wall, "PT1M"))
            await asyncio.sleep(90)
            await vtn.start()
            await home.until(LinkState.ONLINE, 90)
            assert home.limits_w == []
            assert home.point.events("utility", clock.now()) == {}

    run_virtual(main, T0)


def test_events_for_a_granted_target_arrive() -> None:
    async def main(clock: VirtualClock) -> None:
        async with stage(clock) as (home, vtn):
            await home.until(LinkState.ONLINE, 30)
            ven = vtn.all(ObjectType.VEN)[0]
            await vtn.put(ObjectType.VEN, ven["id"], {**ven, "targets": ["feeder-7"]})
            await vtn.put(ObjectType.EVENT, "e1", limit_event(3.0, clock.now().wall, "PT1H", targets=["feeder-7"]))
            await home.until_true(lambda: home.limits_w == [3000.0], 60)

    run_virtual(main, T0)


def test_a_report_write_without_an_answer_leaves_no_duplicate() -> None:
    async def main(clock: VirtualClock) -> None:
        vtn = RogueVtn([PROGRAM], [dimming(4.0)])
        await vtn.start()
        provider = utility(url=vtn.url, poll_s=10.0, report_interval_s=15.0, request_timeout_s=5.0)
        home = Home(provider, clock)
        try:
            await home.start()

            async def swallowed(request: Any) -> Any:
                vtn.twists.clear()
                await vtn.write_report(request, [])
                await asyncio.sleep(3600)

            vtn.twists["POST", "/reports"] = swallowed
            await home.until_true(lambda: len(vtn.intervals()) >= 5, 200)
            assert len(vtn.reports) == 1
            assert_no_gap_no_duplicate([start for start, _ in vtn.intervals()], 15)
        finally:
            await home.stop()
            await vtn.stop()

    run_virtual(main, T0)


def test_a_report_that_the_vtn_lost_is_made_anew() -> None:
    async def main(clock: VirtualClock) -> None:
        vtn = RogueVtn([PROGRAM], [dimming(4.0)])
        await vtn.start()
        home = Home(utility(url=vtn.url, poll_s=10.0, report_interval_s=15.0), clock)
        try:
            await home.start()
            await home.until_true(lambda: len(vtn.intervals()) >= 3, 100)
            vtn.reports.clear()
            await home.until_true(lambda: len(vtn.intervals()) >= 1, 100)
            assert home.link.state is LinkState.ONLINE
        finally:
            await home.stop()
            await vtn.stop()

    run_virtual(main, T0)
