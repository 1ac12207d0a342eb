"""Small houses and snapshots for the pure control."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType

from cem.control import Memory, decide
from cem.model.directive import Directive
from cem.model.envelope import SITE, Envelope, Rank
from cem.model.plan import Intent, Plan, Slot
from cem.model.reading import Reading, Snapshot, Value
from cem.model.request import UserRequest
from cem.model.resource import Control, Ratings, Resource, Role
from cem.model.setpoint import Decision, Setpoint
from cem.model.site import BatteryPolicy, ElectricalConnection, Site
from cem.model.tariff import Tariff
from cem.model.tick import Inputs
from cem.model.time import Instant

NOON = datetime(2026, 6, 15, 10, 0, tzinfo=UTC)

GRID = Resource("grid", Role.GRID, "meter", "Grid meter")
PV = Resource("pv", Role.PV, "inverter", "Roof", Ratings(max_generation_w=8000), frozenset({Control.PV_LIMIT_W}))
BATTERY = Resource(
    "battery",
    Role.BATTERY,
    "storage",
    "Battery",
    Ratings(max_charge_w=5000, max_discharge_w=5000, capacity_wh=10000),
    frozenset({Control.BATTERY_SETPOINT_W}),
)
CAR = Resource("car", Role.EV, "wallbox", "Car", Ratings(max_current_a=16), frozenset({Control.EV_LIMIT_A}))

SECOND_BATTERY = replace(BATTERY, id="second", name="Second battery")
SECOND_CAR = replace(CAR, id="second_car", name="Second car")
HEAT_PUMP = Resource(
    "heat_pump",
    Role.HEAT_PUMP,
    "heat_pump",
    "Heat pump",
    Ratings(max_power_w=3000, phases=3),
    frozenset({Control.HEAT_PUMP_SG_READY}),
)
BOILER = Resource(
    "boiler", Role.LOAD, "relay", "Boiler", Ratings(max_power_w=2000, phases=3), frozenset({Control.LOAD_ON})
)


def house(*resources: Resource, connection: ElectricalConnection | None = None, reserve_pct: float = 10.0) -> Site:
    """A site; without resources the usual four."""
    chosen = resources or (GRID, PV, BATTERY, CAR)
    policies = tuple(BatteryPolicy(r.id, reserve_pct=reserve_pct) for r in chosen if r.role is Role.BATTERY)
    tariff = Tariff("Europe/Berlin", "EUR", 0.34, 0.08)
    return Site("test", "Europe/Berlin", connection or ElectricalConnection(), tariff, chosen, (), policies)


def snapshot(
    values: Mapping[str, Mapping[str, Value]], *, mono_s: float = 1000.0, ages_s: Mapping[str, float] | None = None
) -> Snapshot:
    """resource -> point -> value; every value as old as `ages_s` says for its resource (default 0)."""
    ages = ages_s or {}
    return Snapshot(
        mono_s,
        MappingProxyType(
            {
                resource_id: MappingProxyType(
                    {
                        point: Reading(resource_id, point, value, mono_s - ages.get(resource_id, 0.0))
                        for point, value in points.items()
                    }
                )
                for resource_id, points in values.items()
            }
        ),
    )


def world(
    *,
    load_w: float = 500.0,
    pv_w: float = 0.0,
    battery_w: float = 0.0,
    soc_pct: float = 50.0,
    car_w: float = 0.0,
    car_state: str = "A",
    car_limit_a: float | None = None,
    ages_s: Mapping[str, float] | None = None,
    mono_s: float = 1000.0,
) -> Snapshot:
    """A consistent snapshot of the usual four resources; the meter shows the sum."""
    return snapshot(
        {
            "grid": {"power_w": load_w + pv_w + battery_w + car_w},
            "pv": {"power_w": pv_w},
            "battery": {"power_w": battery_w, "soc_pct": soc_pct},
            "car": {"power_w": car_w, "state": car_state, "limit_a": car_limit_a},
        },
        mono_s=mono_s,
        ages_s=ages_s,
    )


def inputs(
    image: Snapshot,
    *,
    directive: Directive | None = None,
    plan: Plan | None = None,
    requests: tuple[UserRequest, ...] = (),
    wall: datetime = NOON,
) -> Inputs:
    """The inputs of one tick at noon."""
    return Inputs(Instant(wall, image.mono_s), image, directive or Directive(), plan, requests=requests)


def plan(intents: Mapping[str, Intent], *, price: float = 0.30) -> Plan:
    """One slot of a day's length around noon with the same intents."""
    slot = Slot(NOON.replace(hour=0), NOON.replace(hour=23), MappingProxyType(dict(intents)), price)
    return Plan(NOON.replace(hour=0), NOON.replace(hour=23), (slot,), "optimal")


def of(decision: Decision, resource_id: str, control: Control | None = None) -> Setpoint:
    """The set point of a resource (of one of its controls)."""
    return next(
        s for s in decision.setpoints if s.resource_id == resource_id and (control is None or s.control is control)
    )


def watts(decision: Decision, resource_id: str) -> float:
    """The value of a resource's set point; 0 for one that is handed back."""
    return of(decision, resource_id).value or 0.0


def limited(limit_w: float, rank: Rank = Rank.OBLIGATION) -> Directive:
    """An import limit of the utility without an end."""
    envelope = Envelope(SITE, None, limit_w, rank, "utility", f"import limit {limit_w / 1000:g} kW of utility")
    return Directive(envelopes=(envelope,))


def settled(site: Site, given: Inputs, ticks: int = 30, memory: Memory | None = None) -> tuple[Decision, Memory]:
    """Decides the same inputs until the damping has died out."""
    decision, memory = decide(site, given, memory or Memory())
    for _ in range(ticks):
        decision, memory = decide(site, given, memory, explained=True)
    return decision, memory
