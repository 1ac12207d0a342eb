"""The house as one resource, and a battery of 10 MW behind the same interface as one of 10 kW."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cem.control import Memory, decide
from cem.model.envelope import SITE, Band
from cem.model.event import GridEvent
from cem.model.flexibility import Flexibility
from cem.model.plan import Plan, Slot
from cem.model.resource import Resource
from cem.model.setpoint import Decision
from cem.model.site import BatteryPolicy, ElectricalConnection, Site
from cem.model.tick import Inputs
from cem.model.time import Instant
from cem.sgcp.bindings.openadr3 import Binding
from cem.sgcp.events.store import Listing
from cem.sgcp.point import ConnectionPoint
from cem.sgcp.reports.flexibility import Part
from cem.sgcp.reports.virtual_resource import HELD_S, flexibilities
from support.houses import BATTERY, CAR, GRID, NOON, PV, house, snapshot, world
from support.ven_world import T0, retailer, wire_event, wire_program

WIDE = Band(-1e9, 1e9)


def of(found: tuple[Flexibility, ...], subject: str) -> Flexibility:
    return next(one for one in found if one.subject == subject)


def test_the_house_is_one_resource_made_of_its_devices() -> None:
    image = world(load_w=500.0, pv_w=-3000.0, battery_w=1000.0, soc_pct=50.0, car_w=2000.0, car_state="C")
    found = flexibilities(house(), image, WIDE, None, NOON)
    assert [one.subject for one in found] == [SITE, "pv", "battery", "car"]
    battery, site = of(found, "battery"), of(found, SITE)
    assert (battery.least_w, battery.most_w) == (-5000.0, 5000.0)
    assert (battery.gives_wh, battery.takes_wh) == (4000.0, 5000.0)  # down to the reserve of 10 %
    assert (battery.gives_for_s, battery.takes_for_s) == (2880.0, 3600.0)
    assert (of(found, "car").least_w, of(found, "car").most_w) == (0.0, 2000.0)
    assert (of(found, "pv").least_w, of(found, "pv").most_w) == (-3000.0, 0.0)
    assert site.power_w == 500.0
    assert (site.least_w, site.most_w) == (500.0 - 6000 - 2000, 500.0 + 4000 + 3000)
    assert (site.gives_wh, site.takes_wh) == (4000.0, 5000.0)


def test_limits_bound_the_band_of_the_house_and_the_plan_says_what_is_expected() -> None:
    slot = Slot(NOON, NOON + timedelta(hours=1), grid_w=200.0, power_w={"battery": 700.0})
    plan = Plan(NOON, NOON + timedelta(hours=1), (slot,), "optimal")
    found = flexibilities(house(), world(), Band(-2000.0, 4200.0), plan, NOON)
    assert (of(found, SITE).least_w, of(found, SITE).most_w) == (-2000.0, 4200.0)
    assert (of(found, SITE).planned_w, of(found, "battery").planned_w) == (200.0, 700.0)


@pytest.mark.parametrize(("soc_pct", "least_w", "most_w"), [(12.0, -800.0, 5000.0), (97.0, -5000.0, 1200.0)])
def test_a_power_counts_only_as_far_as_it_can_be_held(soc_pct: float, least_w: float, most_w: float) -> None:
    found = of(flexibilities(house(), world(soc_pct=soc_pct), WIDE, None, NOON), "battery")
    assert [found.least_w, found.most_w] == pytest.approx([least_w, most_w])


def test_what_is_not_known_is_not_guessed() -> None:
    image = snapshot({"grid": {"power_w": 500.0}, "battery": {"power_w": 0.0, "soc_pct": None}})
    site = of(flexibilities(house(GRID, BATTERY), image, WIDE, None, NOON), SITE)
    assert (site.power_w, site.least_w, site.most_w, site.gives_wh) == (500.0, None, None, None)
    bare = of(flexibilities(house(GRID), image, WIDE, None, NOON), SITE)
    assert (bare.least_w, bare.most_w, bare.gives_wh, bare.gives_for_s) == (500.0, 500.0, 0.0, None)


def test_reports_of_what_is_available_say_the_same() -> None:
    image = world(pv_w=-1500.0, battery_w=-700.0, car_w=3000.0, car_state="C", soc_pct=60.0)
    site = house()
    parts = [Part(PV, -1500.0), Part(BATTERY, -700.0, 60.0, 10.0), Part(CAR, 3000.0)]
    found = of(flexibilities(site, image, WIDE, None, NOON), SITE)
    assert found.power_w is not None
    assert found.least_w is not None
    assert found.power_w - found.least_w == sum(part.up_w(HELD_S / 3600) or 0.0 for part in parts)


def plant(factor: float) -> Site:
    """A battery of 10 kW and 20 kWh behind a meter, times the factor."""
    ratings = replace(
        BATTERY.ratings, max_charge_w=10e3 * factor, max_discharge_w=10e3 * factor, capacity_wh=20e3 * factor
    )
    battery: Resource = replace(BATTERY, ratings=ratings)
    connection = ElectricalConnection(fuse_a=63.0 * factor)
    return replace(house(GRID, battery, connection=connection), batteries=(BatteryPolicy("battery", 10.0),))


def played(factor: float) -> tuple[list[float], list[Decision], list[Flexibility]]:
    """Forty minutes of the same events times the factor, over the binding, at a plant that follows within a tick."""
    site, provider = plant(factor), retailer()
    point = ConnectionPoint([provider], resources=frozenset({"battery"}))
    kinds = (("DISPATCH_SETPOINT", -6.0), ("IMPORT_CAPACITY_LIMIT", 3.0), ("DISPATCH_SETPOINT", 8.0))
    events = tuple(
        wire_event(
            f"e{number}",
            "tariff",
            intervals=[
                {
                    "id": 0,
                    "intervalPeriod": {"start": f"2026-01-15T12:{10 * number:02d}:00Z", "duration": "PT10M"},
                    "payloads": [{"type": kind, "values": [value * factor]}],
                }
            ],
        )
        for number, (kind, value) in enumerate(kinds)
    )
    begin = Instant(T0, 1000.0)
    bound = [Binding(provider, lambda: 0.0).event(e, wire_program("tariff"), None, {}, T0) for e in events]
    point.service(provider.id, begin)
    point.answered(provider.id, begin)
    point.synchronised(provider.id, begin)
    difference, _ = point.difference(
        provider.id, Listing(tuple(b for b in bound if isinstance(b, GridEvent)), 1000.0), begin
    )
    point.apply(provider.id, difference, begin)
    memory, power_w, soc_pct = Memory(), 0.0, 50.0
    powers, decisions, flexible = [], [], []
    for tick in range(240):
        now = Instant(T0 + timedelta(seconds=10 * tick), 1000.0 + 10 * tick)
        point.answered(provider.id, now)
        load_w = (1.0 + 0.5 * (tick // 30 % 2)) * 1000 * factor
        image = snapshot(
            {"grid": {"power_w": load_w + power_w}, "battery": {"power_w": power_w, "soc_pct": soc_pct}},
            mono_s=now.mono_s,
        )
        decision, memory = decide(site, Inputs(now, image, point.directive(now)), memory)
        decisions.append(decision)
        flexible.append(flexibilities(site, image, decision.band, None, now.wall)[0])
        power_w = next((s.value or 0.0 for s in decision.setpoints if s.resource_id == "battery"), 0.0)
        soc_pct += power_w * 10 / 3600 / (20e3 * factor) * 100
        powers.append(power_w)
    return powers, decisions, flexible


def test_ten_megawatts_are_steered_as_ten_kilowatts_are() -> None:
    small, small_decisions, small_flexible = played(1.0)
    large, large_decisions, large_flexible = played(1000.0)
    assert min(small) < -6500  # it follows the first dispatch beside the house's load
    assert max(small) > 6000  # and the last
    assert [one.mode for one in large_decisions] == [one.mode for one in small_decisions]
    assert large == [pytest.approx(1000 * power, abs=100_000) for power in small]  # the dead band of 60 W is no share
    for big, little in zip(large_flexible[::20], small_flexible[::20], strict=True):
        assert big.gives_wh is not None
        assert little.gives_wh is not None
        assert big.gives_wh == pytest.approx(1000 * little.gives_wh, rel=0.05)
        assert big.gives_for_s == pytest.approx(little.gives_for_s, rel=0.05)
