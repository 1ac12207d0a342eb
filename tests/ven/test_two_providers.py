"""Two providers that contradict each other: who wins is no matter of order, and both are told the truth."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from cem.control import Memory, decide
from cem.io.virtual import VirtualClock, run_virtual
from cem.model.event import GridEvent, SignalKind
from cem.model.provider import Programme, Provider
from cem.model.tick import Inputs
from cem.runtime.domain import Inside
from cem.runtime.ven import VenSession
from cem.runtime.ven_settlement import Books
from cem.runtime.why import explain
from cem.sgcp.events.store import Listing
from cem.sgcp.point import ConnectionPoint
from cem.sgcp.vtn.tokens import Client, Role
from cem.wire import openadr3 as wire
from support.domain_world import CoreVtn, operator
from support.houses import BATTERY, GRID, house, snapshot
from support.ven_world import T0, MemoryStore, at, grid_event, utility

MINUTE = timedelta(minutes=1)


class Record:
    """Satisfies cem.ports.History with what the test noted: 1 kW on all days before T0."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, float]] = []

    async def minute_means(self, signal: str, since_s: int, until_s: int) -> list[tuple[int, float]]:
        """The means."""
        assert signal == "grid.power_w"
        found = []
        for minute in range(since_s, until_s, 60):
            held = [w for t, w in self.samples if minute <= t < minute + 60] or (
                [1000.0] if minute < T0.timestamp() else []
            )
            found += [(minute, sum(held) / len(held))] if held else []
        return found


def provider(name: str, vtn: CoreVtn, *, mandatory: bool) -> Provider:
    return utility(
        id=name,
        url=vtn.url,
        client_id="home",
        client_secret="home's",
        programmes=(Programme("p", mandatory=mandatory),),
        poll_s=10.0,
        default_import_limit_w=None if not mandatory else 4200.0,
        spread_s=0.0,
    )


async def ordered(vtn: CoreVtn, clock: VirtualClock, kind: str, value: float) -> None:
    boss = operator(vtn, clock)
    program = await boss.post(wire.Program, "/programs", wire.ProgramRequest(program_name="p"))
    period = wire.IntervalPeriod(start=wire.Start.at(clock.now().wall), duration=wire.Duration.of(10 * MINUTE))
    interval = wire.Interval(id=0, payloads=(wire.ValuesMap(type=kind, values=(value,)),))
    request = wire.EventRequest(program_id=program.id, event_name=kind, interval_period=period, intervals=(interval,))
    await boss.post(wire.Event, "/events", request)


def settlement(vtn: CoreVtn) -> dict[str, Any]:
    (report,) = [one for one in vtn.objects.all("REPORT") if one["reportName"].startswith("settlement")]
    return {p["type"]: p["values"][0] for p in report["resources"][0]["intervals"][0]["payloads"]}


def test_a_dispatch_beyond_another_providers_limit_is_followed_up_to_it_and_both_are_told() -> None:
    site = house(GRID, BATTERY)

    async def main(clock: VirtualClock) -> None:
        clients = (Client("operator", "operator's", Role.BL), Client("home", "home's", Role.VEN))
        dso, market = (CoreVtn(name, clock, *clients) for name in ("dso", "market"))
        providers = [provider("dso", dso, mandatory=True), provider("market", market, mandatory=False)]
        point, record = ConnectionPoint(providers), Record()
        books = Books(record, "grid.power_w", ZoneInfo("UTC"), "EUR")
        sessions = [
            VenSession(p, Inside(v), point, MemoryStore(), clock, Random(1), lambda: None, books=books)
            for p, v in zip(providers, (dso, market), strict=True)
        ]
        tasks = [asyncio.create_task(session.run()) for session in sessions]
        await ordered(dso, clock, "IMPORT_CAPACITY_LIMIT", 3.0)
        await ordered(market, clock, "DISPATCH_SETPOINT", 5.0)
        memory, battery_w, told = Memory(), 0.0, ""
        for _ in range(420):
            now = clock.now()
            image = snapshot(
                {"grid": {"power_w": 1000 + battery_w}, "battery": {"power_w": battery_w, "soc_pct": 40.0}},
                mono_s=now.mono_s,
            )
            inputs = Inputs(now, image, point.directive(now))
            decision, memory = decide(site, inputs, memory, explained=True)
            battery_w = next((s.value or 0.0 for s in decision.setpoints if s.resource_id == "battery"), 0.0)
            record.samples.append((now.wall.timestamp(), 1000 + battery_w))
            if now.wall == T0 + 5 * MINUTE:
                told = str(explain(site, inputs, decision).whys)
            for session in sessions:
                session.sample(now, {"site": 1000 + battery_w})
            await asyncio.sleep(2)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert "import at most 3 kW for dso" in told
        assert "market: take 5 kW until 12:10 (event DISPATCH_SETPOINT)" in told  # asked, and not what bound
        kept, asked = settlement(dso), settlement(market)
        assert (kept["VERDICT"], kept["ASKED"]) == ("met", 3.0)
        assert "OVERRIDDEN_BY_LIMIT" not in kept
        assert (asked["VERDICT"], asked["ASKED"], asked["OVERRIDDEN_BY_LIMIT"]) == ("missed", 5.0, 3.0)
        assert asked["USAGE"] == kept["USAGE"]
        assert 0.4 <= asked["USAGE"] <= 0.5 + 1e-6  # up to 3 kW for ten minutes

    run_virtual(main, T0)


def folded(point: ConnectionPoint, providers: Sequence[Provider], events: dict[str, GridEvent]) -> object:
    for one in providers:
        point.service(one.id, at(0))
        point.answered(one.id, at(0))
        point.synchronised(one.id, at(0))
        difference, _ = point.difference(one.id, Listing((events[one.id],), at(0).mono_s), at(0))
        point.apply(one.id, difference, at(0))
    directive = point.directive(at(10))
    limits = sorted((e.rank, e.max_w, e.source) for e in directive.envelopes)
    return limits, directive.dispatches, [(w.import_price_per_kwh, w.source) for w in directive.prices]


@settings(max_examples=25)
@given(
    st.permutations(["a", "b", "c", "d"]),
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.permutations([1, 2, 3, 4]),
)
def test_the_order_of_providers_does_not_matter_where_their_priorities_differ(
    order: list[str], mandatory: list[bool], priorities: list[int]
) -> None:
    vtns = {
        name: utility(id=name, programmes=(Programme("p", mandatory=must),), default_import_limit_w=None)
        for name, must in zip("abcd", mandatory, strict=True)
    }
    signals = {
        name: {
            SignalKind.IMPORT_LIMIT_W: 1000.0 * number,
            SignalKind.DISPATCH_W: 500.0 * number,
            SignalKind.IMPORT_PRICE_PER_KWH: 0.1 * number,
        }
        for number, name in enumerate("abcd", 1)
    }
    events = {
        name: grid_event(name, (0, 3600, signals[name]), provider=vtns[name], priority=priority)
        for name, priority in zip("abcd", priorities, strict=True)
    }
    plain = folded(ConnectionPoint(list(vtns.values())), list(vtns.values()), events)
    mixed = [vtns[name] for name in order]
    assert folded(ConnectionPoint(mixed), mixed, events) == plain
