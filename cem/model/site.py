"""The site as the control knows it: fixed from the start, with nothing reachable."""

from dataclasses import dataclass
from datetime import time

from cem.model.resource import Resource, Role
from cem.model.tariff import Tariff


@dataclass(frozen=True, slots=True)
class ElectricalConnection:
    """The electrical connection point. Limits are magnitudes from the contract; None: only the fuse bounds."""

    phases: int = 3
    fuse_a: float = 35.0
    nominal_voltage_v: float = 230.0
    import_limit_w: float | None = None
    export_limit_w: float | None = None
    meter_stale_s: float = 10.0
    device_stale_s: float = 30.0

    @property
    def fuse_w(self) -> float:
        """Power of the main fuse over all phases."""
        return self.fuse_a * self.phases * self.nominal_voltage_v


@dataclass(frozen=True, slots=True)
class ChargeGoal:
    """A standing wish: `energy_wh` (or, where the car tells it, `soc_pct`) in the car by `ready_by` local time."""

    resource_id: str
    ready_by: time
    energy_wh: float | None = None
    soc_pct: float | None = None


@dataclass(frozen=True, slots=True)
class BatteryPolicy:
    """The owner's word on a battery: what stays in it, and whether it may be charged from the grid."""

    resource_id: str
    reserve_pct: float = 10.0
    grid_charge: bool = True


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that does not change while the gateway runs."""

    name: str
    zone: str
    connection: ElectricalConnection
    tariff: Tariff
    resources: tuple[Resource, ...]
    goals: tuple[ChargeGoal, ...] = ()
    batteries: tuple[BatteryPolicy, ...] = ()

    def of(self, role: Role) -> tuple[Resource, ...]:
        """The resources of a role, in the site file's order."""
        return tuple(resource for resource in self.resources if resource.role is role)

    def resource(self, resource_id: str) -> Resource:
        """The resource of that id; KeyError if there is none."""
        for resource in self.resources:
            if resource.id == resource_id:
                return resource
        raise KeyError(resource_id)

    def battery_policy(self, resource_id: str) -> BatteryPolicy:
        """The policy of a battery, the defaults where the site file says nothing."""
        return next((p for p in self.batteries if p.resource_id == resource_id), BatteryPolicy(resource_id))
