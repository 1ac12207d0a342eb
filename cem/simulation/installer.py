"""What an installer knows of a simulated home and no device tells: what hangs on a relay, and on which phase."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cem.config.schema import DeviceTable, ResourceTable
from cem.model.resource import Contact, Role
from cem.model.site import GuaranteedMinimum, LoadRun
from cem.simulation.plant import Home

PLANTS = {Role.PV: "pv", Role.BATTERY: "battery", Role.EV: "ev", Role.HEAT_PUMP: "heat_pump", Role.LOAD: "relay_load"}
"""Under which key of the home file the plant of a role stands."""


@dataclass(frozen=True, slots=True)
class Known:
    """One plant: where it is connected, and what a heat pump's compressor or a switched load draws when it runs."""

    phases: int
    phase: int
    max_power_w: float | None = None


def known_of(home: Home, serials: Mapping[str, str]) -> dict[tuple[str, Role], Known]:
    """What is known, by the serial number of the device in front and the role. `serials` by the home file's id."""
    found: dict[tuple[str, Role], Known] = {}
    for spec in home.device:
        names = home.of(spec)
        for role, key in PLANTS.items():
            plants: Iterable[Any] = getattr(home, key)
            for plant in plants:
                if plant.id in names:
                    found[serials[spec.id], role] = Known(plant.phases, plant.phase, _power_w(role, plant))
    return found


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
