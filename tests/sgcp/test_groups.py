"""Several resources as one: dispatched over their capability, shown with their flexibility, reported as a sum."""

import asyncio
from dataclasses import replace
from random import Random

import pytest

from cem.io.virtual import VirtualClock, run_virtual
from cem.model.envelope import Band
from cem.model.event import SignalKind
from cem.model.site import Group
from cem.runtime.domain import Inside
from cem.runtime.ven import VenSession
from cem.sgcp.events.store import Listing
from cem.sgcp.point import ConnectionPoint
from cem.sgcp.reports.virtual_resource import flexibilities, group_resource
from cem.sgcp.vtn.tokens import Client, Role
from cem.wire import openadr3 as wire
from support.domain_world import CoreVtn, operator
from support.houses import BATTERY, CAR, GRID, NOON, PV, SECOND_BATTERY, house, snapshot
from support.ven_world import T0, MemoryStore, at, grid_event, retailer

BIG = replace(SECOND_BATTERY, ratings=replace(SECOND_BATTERY.ratings, max_charge_w=10_000, capacity_wh=30_000))
STORES = Group("stores", "Both batteries", ("battery", "second", "pv"))
SITE_OF_BOTH = replace(house(GRID, PV, BATTERY, BIG, CAR), groups=(STORES,))


def asked(*events: tuple[dict[SignalKind, float], str]) -> ConnectionPoint:
    provider = retailer()
    ids = frozenset(resource.id for resource in SITE_OF_BOTH.resources)
    point = ConnectionPoint([provider], resources=ids, groups={"stores": [BATTERY, BIG, PV]})
    found = tuple(
        grid_event(f"e{n}", (0, 3600, signals), provider=provider, targets=(target,))
        for n, (signals, target) in enumerate(events)
    )
    point.service(provider.id, at(0))
    point.answered(provider.id, at(0))
    point.synchronised(provider.id, at(0))
    difference, _ = point.difference(provider.id, Listing(found, at(0).mono_s), at(0))
    point.apply(provider.id, difference, at(0))
    return point


def test_a_power_asked_of_a_group_is_divided_by_what_each_can_do_in_its_direction() -> None:
    point = asked(({SignalKind.DISPATCH_W: 6000.0}, "stores"))
    assert {d.subject: d.power_w for d in point.directive(at(10)).dispatches} == {"battery": 2000.0, "second": 4000.0}
    point = asked(({SignalKind.DISPATCH_W: -9000.0}, "stores"))
    given = {d.subject: d.power_w for d in point.directive(at(10)).dispatches}
    assert given == {"battery": -2500.0, "second": -2500.0, "pv": -4000.0}


def test_a_member_that_is_asked_by_itself_goes_by_that_and_a_charge_target_is_for_the_batteries() -> None:
    point = asked(({SignalKind.DISPATCH_W: 5000.0}, "stores"), ({SignalKind.DISPATCH_W: 1000.0}, "second"))
    assert {d.subject: d.power_w for d in point.directive(at(10)).dispatches} == {"battery": 4000.0, "second": 1000.0}
    point = asked(({SignalKind.CHARGE_TARGET_WH: 20_000.0}, "stores"))
    assert {c.subject: c.energy_wh for c in point.directive(at(10)).charges} == {"battery": 5000.0, "second": 15_000.0}


def test_a_group_has_a_flexibility_of_its_own() -> None:
    image = snapshot(
        {
            "grid": {"power_w": 0.0},
            "battery": {"power_w": 500.0, "soc_pct": 50.0},
            "second": {"power_w": -500.0, "soc_pct": 50.0},
            "pv": {"power_w": -1000.0},
            "car": {"power_w": 0.0, "state": "A"},
        }
    )
    found = {one.subject: one for one in flexibilities(SITE_OF_BOTH, image, Band(-1e9, 1e9), None, NOON)}
    group = found["stores"]
    assert group.power_w == -1000.0
    assert [group.gives_wh, group.takes_wh] == pytest.approx([0.4 * 40_000, 0.5 * 40_000])
    assert group.least_w == -1000.0 + sum((found[n].least_w or 0) - (found[n].power_w or 0) for n in STORES.members)


def test_a_group_is_registered_and_reported_as_the_sum_of_its_members() -> None:
    async def main(clock: VirtualClock) -> None:
        vtn = CoreVtn("vtn", clock, Client("operator", "operator's", Role.BL), Client("home", "home's", Role.VEN))
        provider = retailer(url=vtn.url, client_id="home", client_secret="home's", poll_s=10.0)
        groups = [(group_resource(SITE_OF_BOTH, STORES), STORES.members)]
        point = ConnectionPoint([provider])
        resources = [BATTERY, BIG, PV]
        session = VenSession(
            provider,
            Inside(vtn),
            point,
            MemoryStore(),
            clock,
            Random(1),
            lambda: None,
            resources=resources,
            groups=groups,
        )
        task = asyncio.create_task(session.run())
        boss = operator(vtn, clock)
        program = await boss.post(wire.Program, "/programs", wire.ProgramRequest(program_name="tariff"))
        asks = wire.ReportDescriptor(payload_type="USAGE", frequency=0)
        await boss.post(wire.Event, "/events", wire.EventRequest(program_id=program.id, report_descriptors=(asks,)))
        for _ in range(150):
            session.sample(clock.now(), {"site": 0.0, "battery": 1200.0, "second": 600.0, "pv": -600.0})
            await asyncio.sleep(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        (own,) = [one for one in vtn.objects.all("RESOURCE") if one["resourceName"] == "stores"]
        assert {a["type"]: a["values"][0] for a in own["attributes"]} == {
            "MAX_POWER_CONSUMPTION": 15.0,
            "MAX_POWER_EXPORT": 18.0,
        }
        (report,) = vtn.objects.all("REPORT")
        (group,) = [one for one in report["resources"] if one["resourceName"] == "stores"]
        assert group["intervals"][-1]["payloads"][0] == {"type": "USAGE", "values": [0.02]}

    run_virtual(main, T0)
