"""What an installer knows of a simulated home and no device tells: what hangs on a relay, on which phase, by when a car
is to be ready."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from cem.config.schema import DeviceTable, ResourceTable
from cem.model.resource import Contact, Role
from cem.model.site import GuaranteedMinimum, LoadRun
from cem.simulation.plant import Home

PLANTS = {Role.PV: "pv", Role.BATTERY: "battery", Role.EV: "ev", Role.HEAT_PUMP: "heat_pump", Role.LOAD: "relay_load"}
"""Under which key of the home file the plant of a role stands."""


@dataclass(frozen=True, slots=True)
class Known:
    """One plant: where it is connected, what a heat pump's compressor or a switched load draws when it runs, and by
    when a car needs how much (local "HH:MM", Wh at the charging point)."""

    phases: int
    phase: int
    max_power_w: float | None = None
    ready: tuple[str, float] | None = None


READY = timedelta(minutes=15)
"""So long before it leaves a car is to be ready."""


def known_of(home: Home, serials: Mapping[str, str]) -> dict[tuple[str, Role], Known]:
    """What is known, by the serial number of the device in front and the role. `serials` by the home file's id."""
    found: dict[tuple[str, Role], Known] = {}
    for spec in home.device:
        names = home.of(spec)
        for role, key in PLANTS.items():
            plants: Iterable[Any] = getattr(home, key)
            for plant in plants:
                if plant.id in names:
                    found[serials[spec.id], role] = Known(
                        plant.phases, plant.phase, _power_w(role, plant), _ready(role, plant)
                    )
    return found


def _ready(role: Role, plant: Any) -> tuple[str, float] | None:
    """For its earliest trip, as much as its longest one takes."""
    if role is not Role.EV or not plant.trip:
        return None
    leaves = min(trip.leave for trip in plant.trip)
    at = datetime.combine(date(2026, 1, 2), leaves) - READY  # on any day
    used_wh = max(trip.energy_wh for trip in plant.trip) / plant.efficiency
    return (f"{at:%H:%M}", math.ceil(used_wh / 100.0) * 100.0) if used_wh > 0 else None


def _power_w(role: Role, plant: Any) -> float | None:
    if role is Role.LOAD:
        return float(plant.power_w)
    return float(plant.max_w) if role is Role.HEAT_PUMP else None


def powers_w(known: Mapping[tuple[str, Role], Known]) -> dict[str, float]:
    """What a person would answer to "what does it draw?", by serial number."""
    return {serial: one.max_power_w for (serial, _), one in known.items() if one.max_power_w is not None}


def wired(
    devices: Sequence[DeviceTable], known: Mapping[tuple[str, Role], Known], phases: int
) -> tuple[DeviceTable, ...]:
    """The device tables with the phases on which everything is connected."""
    return tuple(
        device.model_copy(
            update={
                "resource": tuple(_wired(r, known.get((device.serial or "", r.role)), phases) for r in device.resource)
            }
        )
        for device in devices
    )


def _wired(resource: ResourceTable, one: Known | None, phases: int) -> ResourceTable:
    if one is None:
        return resource
    placed = one.phases == 1 and phases > 1
    update = {"phases": one.phases if one.phases < phases else None, "phase": one.phase if placed else None}
    return resource.model_copy(update=update)


def with_policies(site: Mapping[str, Any], devices: Sequence[DeviceTable]) -> dict[str, Any]:
    """The answers with a word on what nobody spoke of: a switched load waits for the sun where there is a roof.

    What hangs on a relay of its own can wait for some hours: a boiler's rod, a pump.
    """
    resources = [resource for device in devices for resource in device.resource]
    if any(Contact.W4 in resource.contacts for resource in resources):  # what is dimmed keeps what the law leaves it
        site = {**site, "control": {"guaranteed_minimum": GuaranteedMinimum.PARAGRAPH_14A, **site.get("control", {})}}
    spoken = {policy.get("resource") for policy in site.get("load", ())}
    if not any(resource.role is Role.PV for resource in resources):
        return dict(site)
    mine = [
        {"resource": resource.id, "runs": LoadRun.ON_SURPLUS.value}
        for resource in resources
        if resource.role is Role.LOAD and resource.controls and resource.id not in spoken
    ]
    return {**site, "load": [*site.get("load", ()), *mine]} if mine else dict(site)


def with_goals(
    site: Mapping[str, Any], devices: Sequence[DeviceTable], known: Mapping[tuple[str, Role], Known]
) -> dict[str, Any]:
    """The answers with a charge goal for each car that has trips, where they have none at all."""
    if site.get("goal"):
        return dict(site)
    found = {
        resource.id: one.ready
        for device in devices
        for resource in device.resource
        if (one := known.get((device.serial or "", resource.role))) is not None and one.ready is not None
    }
    goals = [{"resource": name, "ready_by": at, "energy_wh": wanted_wh} for name, (at, wanted_wh) in found.items()]
    return {**site, "goal": goals} if goals else dict(site)
