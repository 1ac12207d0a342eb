"""What is really the case in a simulated home, for whoever judges what was made of it.

Powers at terminals in W, into the terminal positive; per phase as (L1, L2, L3); energies in Wh, only growing.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum

Phases = tuple[float, float, float]
NONE: Phases = (0.0, 0.0, 0.0)


class Supply(StrEnum):
    """Where the house's voltage comes from."""

    GRID = "grid"
    ISLAND = "island"  # a battery of the house forms it
    DARK = "dark"  # there is none


@dataclass(frozen=True, slots=True)
class PvTruth:
    """One roof. `available_w` is a magnitude, before limits; `limit_w` the limit that holds now, None: none."""

    power_w: float
    phases_w: Phases
    available_w: float
    limit_w: float | None
    connected: bool
    energy_wh: float
    curtailed_wh: float


@dataclass(frozen=True, slots=True)
class BatteryTruth:
    """One battery. `lower_w` and `upper_w` are the band that remote control has set (charging positive, None: the
    rating); the largest powers are magnitudes as the cells allow them now."""

    power_w: float
    phases_w: Phases
    soc_wh: float
    soc_pct: float
    lower_w: float | None
    upper_w: float | None
    max_charge_w: float
    max_discharge_w: float
    reserve_pct: float
    grid_charge: bool
    cell_c: float
    forming: bool  # it carries the house now
    charged_wh: float
    discharged_wh: float


@dataclass(frozen=True, slots=True)
class EvTruth:
    """One charging point and its car. `state` is IEC 61851-1's; `phases` those that carry, or would carry, current."""

    power_w: float
    phases_w: Phases
    state: str
    plugged: bool
    wanting: bool  # plugged, and not yet as full as it wants to be
    missing_wh: float  # into the car's battery, to what it wants
    soc_pct: float
    current_a: float
    offered_a: float
    phases: int
    energy_wh: float
    session_wh: float
    contactor_closures: int
    contactor_switchings: int
    plug_ins: int


@dataclass(frozen=True, slots=True)
class HeatPumpTruth:
    """One heat pump and its store. `sg_state`: 1 locked, 2 normal, 3 recommended, 4 forced.

    The store's energy rises by heat_wh - drawn_wh - lost_wh; `unmet_wh` is heat that was wanted and not there.
    """

    power_w: float
    phases_w: Phases
    sg_state: int
    running: bool
    heat_w: float
    cop: float
    store_c: float
    comfort_min_c: float
    comfort_max_c: float
    below_comfort_s: float
    energy_wh: float
    heat_wh: float
    drawn_wh: float
    lost_wh: float
    unmet_wh: float
    starts: int
    compressor_switchings: int
    contact_switchings: int


@dataclass(frozen=True, slots=True)
class RelayTruth:
    """One load behind a relay. `wanting`: it would take power if it were on."""

    power_w: float
    phases_w: Phases
    on: bool
    wanting: bool
    energy_wh: float
    unmet_wh: float
    switchings: int


@dataclass(frozen=True, slots=True)
class Hold:
    """What a device understands its command for one plant to be. Without remote control all bounds are None.

    `lower_w` and `upper_w` bound the power of the terminal, `offered_a` is the current offered to a car,
    `state` an SG-Ready state (1 to 4) or a relay's position (0, 1). `until_s`: the elapsed time at which the device
    falls back to its own control by itself; None: never.
    """

    remote: bool
    until_s: float | None = None
    lower_w: float | None = None
    upper_w: float | None = None
    offered_a: float | None = None
    state: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceTruth:
    """One device, by its id. `holds` is by plant; `commands` are the maker's names and the values as held.

    `writes` counts, per control, what was taken from whoever spoke over the wire, `flash_writes` those of them that
    wear memory out, `refused` what was refused, `foreign_writes` what a second master wrote. `faults` are the kinds
    that are active.
    """

    kind: str
    serial: str
    powered: bool
    online: bool
    remote: bool  # for any of its plants
    holds: Mapping[str, Hold]
    commands: Mapping[str, float | int | str]
    writes: Mapping[str, int]
    flash_writes: Mapping[str, int]
    refused: int
    foreign_writes: int
    reboots: int
    faults: frozenset[str]


@dataclass(frozen=True, slots=True)
class Truth:
    """The whole house at one instant. The sums over all plants of a kind are zero where there is none.

    `grid_w` is load_w + pv_w + battery_w + ev_w + heat_pump_w + relay_w. What the household would have taken in the
    dark is `unserved_wh`.
    """

    now: datetime
    elapsed_s: float
    supply: Supply
    grid_present: bool  # voltage at the connection point, whoever carries the house
    voltages_v: Phases  # in the house
    frequency_hz: float
    outdoor_c: float
    grid_w: float
    grid_phases_w: Phases
    grid_currents_a: Phases  # magnitudes
    load_w: float
    load_phases_w: Phases
    pv_w: float
    battery_w: float
    ev_w: float
    heat_pump_w: float
    relay_w: float
    import_wh: float
    export_wh: float
    load_wh: float
    unserved_wh: float
    pv_wh: float
    pv_curtailed_wh: float
    charged_wh: float
    discharged_wh: float
    ev_wh: float
    heat_pump_wh: float
    relay_wh: float
    pv: Mapping[str, PvTruth] = field(default_factory=dict)
    battery: Mapping[str, BatteryTruth] = field(default_factory=dict)
    ev: Mapping[str, EvTruth] = field(default_factory=dict)
    heat_pump: Mapping[str, HeatPumpTruth] = field(default_factory=dict)
    relay_load: Mapping[str, RelayTruth] = field(default_factory=dict)
    devices: Mapping[str, DeviceTruth] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """As JSON types, `now` as an ISO 8601 text."""
        devices = {name: {**asdict(one), "faults": sorted(one.faults)} for name, one in self.devices.items()}
        return {**asdict(self), "now": self.now.isoformat(), "devices": devices}
