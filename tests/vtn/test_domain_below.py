"""Three storeys: what is asked above is divided over the gateways below, and what they used comes back as a sum."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

from cem.io.virtual import VirtualClock, run_virtual
from cem.sgcp.domain.usage import BELOW, WAIT_S
from cem.sgcp.vtn.tokens import Client, Role
from cem.wire import openadr3 as wire
from support.domain_world import Consumer, CoreVtn, Middle, operator
from support.ven_world import T0

CLIENTS = (Client("operator", "operator's", Role.BL), Client("home", "home's", Role.VEN))


class Storeys:
    """A VTN above, a gateway with 1 kW of its own, a flat that wants 11 kW and a garage that wants 7 kW below."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.above = CoreVtn("above", clock, *CLIENTS)
        self.boss = operator(self.above, clock)
        self.home = Middle(self.above, clock, 1000.0, ("flat", "garage"))
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        home = self.home
        runs = (home.task.run(), home.steering.run(), home.session.run(), home.measure())
        self._tasks = [asyncio.create_task(run) for run in runs]
        await asyncio.sleep(1)
        assert home.below is not None
        self.flat = Consumer(home.below, "flat", self.clock, 11_000.0, 11_000.0)
        self.garage = Consumer(home.below, "garage", self.clock, 7000.0, 11_000.0)
        home.consumers = [self.flat, self.garage]
        for one in home.consumers:
            one.start()
        self.program = await self.boss.post(wire.Program, "/programs", wire.ProgramRequest(program_name="dimming"))
        await asyncio.sleep(180)

    async def stop(self) -> None:
        for one in self.home.consumers:
            await one.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def order(self, kind: str, value: float, start_s: float, length_s: float) -> wire.Event:
        """An event above, that begins in so many seconds."""
        start = self.clock.now().wall + timedelta(seconds=start_s)
        period = wire.IntervalPeriod(start=wire.Start.at(start), duration=wire.Duration.of(timedelta(seconds=length_s)))
        payload = wire.ValuesMap(type=kind, values=(value,))
        interval = wire.Interval(id=0, interval_period=period, payloads=(payload,))
        request = wire.EventRequest(program_id=self.program.id, event_name=kind, intervals=(interval,))
        return await self.boss.post(wire.Event, "/events", request)

    def events_below(self) -> list[dict[str, Any]]:
        """Those that divide or hand on."""
        assert self.home.below is not None
        return [dict(e) for e in self.home.below.objects.all("EVENT") if e.get("intervals")]

    def changes(self) -> int:
        """How often events of the domain were written."""
        assert self.home.below is not None
        return self.home.below.event_writes


def played(story: Callable[[Storeys], Awaitable[None]]) -> None:
    async def main(clock: VirtualClock) -> None:
        storeys = Storeys(clock)
        await storeys.start()
        try:
            await story(storeys)
        finally:
            await storeys.stop()

    run_virtual(main, T0)


def test_a_limit_is_divided_kept_to_and_withdrawn_and_needs_no_more_than_a_few_messages() -> None:
    async def story(it: Storeys) -> None:
        assert it.home.meter_w == 19_000
        await it.order("IMPORT_CAPACITY_LIMIT", 9.0, 120, 600)
        await asyncio.sleep(60)
        assert it.home.meter_w == 19_000  # announced below, not begun
        assert len(it.events_below()) == 2
        await asyncio.sleep(120)
        assert it.flat.limit_w is not None
        assert it.garage.limit_w is not None
        assert it.flat.limit_w + it.garage.limit_w + it.home.base_w <= 9000
        worst = 0.0
        for _ in range(22):
            await asyncio.sleep(20)
            worst = max(worst, it.home.meter_w)
        assert 8500 <= worst <= 9000
        first = {e["id"] for e in it.events_below()}
        assert it.changes() <= 3 * len(first)
        await asyncio.sleep(140)
        assert it.events_below() == []
        assert it.home.meter_w == 19_000
        assert len(first) == 2

    played(story)


def test_a_gateway_that_falls_silent_keeps_its_share_and_the_others_make_up_for_what_it_takes_beyond() -> None:
    async def story(it: Storeys) -> None:
        await it.order("IMPORT_CAPACITY_LIMIT", 9.0, 0, 7200)
        await asyncio.sleep(300)
        before = it.garage.limit_w
        assert before is not None
        it.flat.heedless = True
        it.flat.wish_w = 6000.0  # its devices go on by themselves, beyond its share
        await it.flat.stop()
        await asyncio.sleep(400)
        shown = {one.name: one for one in it.home.steering.members()}
        assert (shown["flat"].lost, shown["garage"].lost) == (True, False)
        assert it.garage.limit_w is not None
        assert it.garage.limit_w < before
        assert it.home.meter_w <= 9000
        it.flat.heedless = False
        it.flat.start()
        await asyncio.sleep(400)
        assert not any(one.lost for one in it.home.steering.members())
        assert it.garage.limit_w > 3500
        assert it.home.meter_w <= 9000

    played(story)


def test_prices_and_levels_go_to_everybody_as_they_are() -> None:
    async def story(it: Storeys) -> None:
        await it.order("PRICE", 0.42, 0, 300)
        await it.order("SIMPLE", 1, 0, 300)
        await asyncio.sleep(60)
        said = {(e["eventName"], e["intervals"][0]["payloads"][0]["values"][0]) for e in it.events_below()}
        assert {("import price", 0.42), ("load-shed level", 1)} <= said
        prices = it.flat.point.directive(it.clock.now()).prices
        assert [one.import_price_per_kwh for one in prices] == [0.42]
        await asyncio.sleep(300)
        assert it.events_below() == []

    played(story)


def _below(it: Storeys) -> Iterator[tuple[str, float | None]]:
    for report in it.above.objects.all("REPORT"):
        for resource in report["resources"]:
            for interval in resource["intervals"] if resource["resourceName"] == BELOW else ():
                values = {p["type"]: p["values"][0] for p in interval["payloads"]}
                yield interval["intervalPeriod"]["start"], values.get("USAGE")


def test_the_sum_of_what_was_used_below_is_reported_above_and_without_one_of_them_it_is_missing() -> None:
    async def story(it: Storeys) -> None:
        await it.order("IMPORT_CAPACITY_LIMIT", 9.0, 3600, 3600)
        await asyncio.sleep(120)
        assert set(list(dict(_below(it)).values())[2:]) == {0.3}  # 18 kW for a minute
        assert BELOW in {resource["resourceName"] for resource in it.above.objects.all("RESOURCE")}
        await it.garage.stop()
        await asyncio.sleep(WAIT_S + 90)
        assert list(dict(_below(it)).values())[-1] is None

    played(story)
