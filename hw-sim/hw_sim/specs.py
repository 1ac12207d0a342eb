"""The tables of a home file: what stands in the house, and how its devices are reached."""

from datetime import time
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Percent = Annotated[float, Field(ge=0, le=100)]
Port = Annotated[int, Field(ge=0, le=65535)]
Id = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
Phase = Literal[1, 2, 3]
PhaseCount = Literal[1, 3]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
EVERY_DAY: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Kind = Literal[
    "sunspec.meter",
    "sunspec.inverter",
    "sunspec.battery",
    "sunspec.hybrid",
    "profile",
    "goe.charger",
    "shelly.relay",
    "shelly.heat_pump",
    "p1.meter",
    "sml.meter",
    "d0.meter",
    "ocpp.charger",
    "gpio.sg_ready",
    "gpio.relay",
    "gpio.pulses",
    "gpio.contacts",
]
CALLING = frozenset({"ocpp.charger"})
"""The kinds that call in at a central system."""
LinkName = Literal["tcp", "rtu-tcp", "rtu"]
LINES = frozenset({"rtu-tcp", "rtu"})
"""The links behind which there is a serial line."""
PROFILE = "profile"
OVER_MQTT = frozenset({"goe.charger", "shelly.relay", "shelly.heat_pump"})
"""The kinds that speak over the broker."""
ON_PINS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "gpio.sg_ready": (frozenset({"contact_1", "contact_2"}), frozenset({"s0"})),
    "gpio.relay": (frozenset({"relay"}), frozenset({"s0"})),
    "gpio.pulses": (frozenset({"s0"}), frozenset()),
    "gpio.contacts": (frozenset(), frozenset({"w3", "s1", "s2", "w4", "island"})),
}
"""The kinds on the pins of a simulated board: the pins that each needs, and those that it may have."""
ON_LINE = frozenset({"p1.meter", "sml.meter", "d0.meter"})
"""The kinds that speak by themselves on a line. All others are Modbus devices."""
Pin = Annotated[int, Field(ge=0, le=27)]


class Table(BaseModel):
    """Frozen; an unknown key is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class GridSpec(Table):
    """The connection point."""

    phases: PhaseCount = 3  # 1: everything in the house is on phase 1
    fuse_a: float = Field(default=35.0, gt=0)  # per phase
    import_limit_w: float | None = Field(default=None, ge=0)  # by contract
    export_limit_w: float | None = Field(default=None, ge=0)
    voltage_v: float = Field(default=230.0, ge=180, le=260)
    frequency_hz: float = Field(default=50.0, ge=45, le=65)
    resistance_ohm: float = Field(default=0.0, ge=0, le=5)  # of the feeder, per phase: what flows moves the voltage
    reactance_ohm: float = Field(default=0.0, ge=0, le=5)
    import_wh: float = Field(default=0.0, ge=0)  # the meter's registers at the start
    export_wh: float = Field(default=0.0, ge=0)


class ClimateSpec(Table):
    """Outdoor temperature: a year's and a day's swing around the mean, and noise."""

    mean_c: float = Field(default=9.5, ge=-40, le=40)
    season_c: float = Field(default=9.5, ge=0, le=40)  # half the difference between July and January
    day_c: float = Field(default=4.0, ge=0, le=20)  # half the difference between afternoon and night
    noise_c: float = Field(default=2.5, ge=0, le=20)


class ApplianceSpec(Table):
    """Something that is switched on now and then."""

    name: str
    power_w: float = Field(gt=0)
    duration_s: float = Field(gt=0, le=86400)
    per_day: int = Field(ge=1, le=500)
    since: time = time(0, 0)  # local
    until: time = time(23, 59)
    phase: Phase | None = None  # None: all phases


class RecordedSpec(Table):
    """A recorded course: a column of a CSV file whose column `at` says when each mean begins."""

    file: str
    column: str
    scale: float = Field(default=1.0, gt=0)  # W per unit of the column


class LoadSpec(Table):
    """The household: a constant base, a daily profile, appliances, and a constant extra.

    A recorded load stands in the place of base and profile; the noise is on top of it.
    """

    base_w: float = Field(default=200.0, ge=0)
    profile_w: float = Field(default=250.0, ge=0)  # the mean over a day of the daily profile
    noise_pct: Percent = 15.0
    recorded: RecordedSpec | None = None
    extra_w: float = 0.0
    phase_pct: tuple[Percent, Percent, Percent] | None = None  # of what has no phase of its own; None: evenly
    appliance: tuple[ApplianceSpec, ...] = ()


class PvSpec(Table):
    """One roof and its inverter."""

    id: Id = "pv"
    peak_w: float = Field(gt=0)  # of the modules
    inverter_w: float | None = Field(default=None, gt=0)  # None: as the modules
    tilt_deg: float = Field(default=30.0, ge=0, le=90)
    azimuth_deg: float = Field(default=180.0, ge=0, le=360)  # 180: south
    cloudiness: float = Field(default=0.4, ge=0, le=1)  # 0: clear sky all day
    performance: float = Field(default=0.86, gt=0, le=1)
    recorded: RecordedSpec | None = None  # what it made, in the place of sun and clouds
    response_s: float = Field(default=0.5, ge=0)  # time constant with which a limit is followed
    supports: Literal["ieee1547-b", "en50549"] | None = None  # the grid, by functions of its own (physics/support.py)
    phases: PhaseCount = 3
    phase: Phase = 1  # where it is on one

    @property
    def rating_w(self) -> float:
        """The largest AC power, a magnitude."""
        return self.inverter_w if self.inverter_w is not None else self.peak_w


class BatterySpec(Table):
    """One battery system, seen at its AC terminal."""

    id: Id = "battery"
    capacity_wh: float = Field(gt=0)
    max_charge_w: float = Field(gt=0)
    max_discharge_w: float = Field(gt=0)
    charge_efficiency: float = Field(default=0.95, gt=0, le=1)
    discharge_efficiency: float = Field(default=0.95, gt=0, le=1)
    soc_pct: Percent = 50.0  # at the start
    min_soc_pct: Percent = 5.0
    max_soc_pct: Percent = 100.0
    taper_pct: float = Field(default=5.0, ge=0, le=50)  # width of the band before each limit in which the power falls
    response_s: float = Field(default=1.0, ge=0)  # time constant of the power
    ramp_w_per_s: float | None = Field(default=None, gt=0)
    grid_charge: bool = True
    forms_grid: bool = False  # carries the house when the grid is gone
    outdoors: bool = False  # its cells follow the outdoor temperature, else 18 °C
    min_charge_c: float | None = None  # colder cells are not charged
    soc_drift_pct_per_h: float = Field(default=0.0, ge=-20, le=20)  # error of the shown state, until full or empty
    phases: PhaseCount = 3
    phase: Phase = 1


class TripSpec(Table):
    """The car is away from `leave` to `come` and uses energy meanwhile; local times."""

    leave: time
    come: time
    energy_wh: float = Field(default=0.0, ge=0)
    days: tuple[Weekday, ...] = EVERY_DAY


class EvSpec(Table):
    """One charging point and its car."""

    id: Id = "ev"
    capacity_wh: float = Field(gt=0)
    soc_pct: Percent = 50.0  # at the start
    target_soc_pct: Percent = 100.0  # at which the car stops by itself
    efficiency: float = Field(default=0.92, gt=0, le=1)
    max_a: int = Field(default=16, ge=6, le=32)  # of the charging point
    car_min_a: float = Field(default=6.0, ge=6, le=16)  # below, this car does not charge
    car_max_a: int = Field(default=16, ge=6, le=32)
    phases: PhaseCount = 3  # of the charging point
    phase: Phase = 1  # the first one of the charging point, and the only one where it is on one
    car_phases: PhaseCount = 3
    wake_s: float = Field(default=5.0, ge=0)
    follow_s: float = Field(default=3.0, ge=0)
    ramp_a_per_s: float | None = Field(default=None, gt=0)  # of the car; None: at once
    plugged_at_start: bool = False
    trip: tuple[TripSpec, ...] = ()


class HeatPumpSpec(Table):
    """A modulating air heat pump that heats a store, from which the house takes heat and hot water."""

    id: Id = "heat_pump"
    min_w: float = Field(default=700.0, gt=0)  # electrical, of the compressor
    max_w: float = Field(default=2500.0, gt=0)
    standby_w: float = Field(default=12.0, ge=0)
    heater_w: float = Field(default=0.0, ge=0)  # heating rod: when forced, and in need
    cop_share: float = Field(default=0.42, gt=0, lt=1)  # of Carnot's between outdoor air and flow
    response_s: float = Field(default=20.0, ge=0)  # time constant of its power
    min_run_s: float = Field(default=600.0, ge=0)  # the machine's own
    min_rest_s: float = Field(default=600.0, ge=0)
    lock_longest_s: float = Field(default=7200.0, ge=0)  # then it ignores the lock until that is lifted
    store_litres: float = Field(default=600.0, gt=0)
    store_c: float = Field(default=44.0, ge=5, le=90)  # at the start
    comfort_min_c: float = 38.0  # of the store; below it the house is not served as its owner wants
    comfort_max_c: float = 48.0  # the target in normal operation
    recommended_c: float = 54.0  # the target when switching on is recommended
    forced_c: float = 60.0
    hysteresis_c: float = Field(default=5.0, gt=0)  # it starts so far below the target
    loss_w_per_k: float = Field(default=2.5, ge=0)  # of the store, to a cellar at 18 °C
    house_w_per_k: float = Field(default=150.0, ge=0)  # heat that the house takes per degree below 20 °C
    heating_limit_c: float = 15.0  # no heating above
    hot_water_wh_per_day: float = Field(default=6000.0, ge=0)
    phases: PhaseCount = 3
    phase: Phase = 1


class RelayLoadSpec(Table):
    """A load behind a relay: a boiler's rod, a pump."""

    id: Id = "relay_load"
    power_w: float = Field(gt=0)
    daily_wh: float | None = Field(default=None, gt=0)  # what it needs a day, stored; None: takes whatever it gets
    on_at_start: bool = False
    phases: PhaseCount = 1
    phase: Phase = 1


class MqttSpec(Table):
    """The broker: an existing one by host and port, or an embedded one."""

    embedded: bool = False
    host: str = "127.0.0.1"
    port: Port = 0
    username: str | None = None
    password: str | None = None


class GpioSpec(Table):
    """The simulated single-board computer, whose pins the gateway has."""

    serial: str = Field(default="SIM-PI", min_length=1, max_length=24)
    keeps_outputs: bool = True  # what a dead process left driven stays so, as on Raspberry Pi OS; false: strict_gpiod
    socket: str = "pins.sock"  # of `hw-sim serve`, in the folder where it runs


class DeviceSpec(Table):
    """One simulated device: what it stands in front of, how it is reached, its quirks. `port` 0 takes a free one."""

    id: Id
    kind: Kind
    of: tuple[Id, ...] | None = None  # ids of its plants; None: the only one of the kind
    host: str = "127.0.0.1"
    port: Port = 0
    unit: int = Field(default=1, ge=0, le=255)  # of a profile's device left out: as the profile has it
    profile: str | None = None  # an id of the catalogue or of a folder in `profiles`, or the path of a .toml file
    link: LinkName | None = None  # of a Modbus device; None: tcp, or what the profile has
    tty: str | None = None  # of a serial line: the name under which the pseudo terminal is found
    falls_back: str | None = None  # after its own time-out: own, pause, keep or a number; None: what the profile says
    serial: str = Field(default="", max_length=32)
    topic_prefix: str | None = None  # None: as the maker has it
    line: Literal["tcp", "pty"] = "tcp"  # of what speaks by itself: behind a serial server, or a pseudo terminal
    dead_time_s: float = Field(default=0.0, ge=0)  # from a write to its effect
    report_every_s: float = Field(default=0.0, ge=0)  # measured values stand still in between
    report_delay_s: float = Field(default=0.0, ge=0)  # they are as old as this
    round_w: float = Field(default=0.0, ge=0)  # powers are rounded to multiples
    calls: str = Field(default="", pattern="^(wss?://.+)?$")  # the central system's address, without its own name
    ca_file: str | None = None  # whom it trusts where it calls over TLS
    identity: str = Field(default="", pattern="^[^/]{0,48}$")  # the name under which it calls; "": the id in capitals
    password: str | None = None  # shown when it calls
    version: Literal["1.6", "2.0.1"] = "1.6"
    rate_unit: Literal["A", "W", "A,W"] = "A,W"  # of the limits that it takes
    meter_every_s: float = Field(default=60.0, ge=0)  # in a charge, until somebody sets it otherwise; 0: never
    default_a: float | None = Field(default=None, ge=0, le=32)  # its owner's default where nobody says anything
    clock_off_s: float = 0.0  # its clock is ahead by this, and does not follow the central system's
    needs_start: bool = False  # no charge begins without an identifier
    triggers: bool = True  # it sends what it is asked for (TriggerMessage)
    switches_phases: bool = False  # from three to one, while nothing flows
    pins: dict[str, Pin] = {}  # gpio: which pin each of its wires is on, by BCM number
    active_low: bool = False  # gpio: the relay board pulls in on a low level
    nc: bool = False  # gpio: what hangs there is on normally closed contacts
    pulses_per_kwh: float = Field(default=1000.0, gt=0)  # gpio, of s0

    @property
    def on_line(self) -> bool:
        """Whether it speaks by itself on a line."""
        return self.kind in ON_LINE

    @property
    def over_mqtt(self) -> bool:
        """Whether it speaks over the broker."""
        return self.kind in OVER_MQTT

    @property
    def calls_in(self) -> bool:
        """Whether it calls in at a central system."""
        return self.kind in CALLING

    @property
    def called(self) -> str:
        """The name under which it calls in."""
        return self.identity or self.id.upper()

    @property
    def on_pins(self) -> bool:
        """Whether it hangs on the pins of the simulated board."""
        return self.kind in ON_PINS


QUIRKS: dict[str, frozenset[str]] = {
    "pv": frozenset({"performance", "response_s", "inverter_w"}),
    "battery": frozenset(
        {
            *("response_s", "ramp_w_per_s", "min_charge_c", "soc_drift_pct_per_h", "taper_pct"),
            *("max_charge_w", "max_discharge_w", "min_soc_pct", "max_soc_pct"),
        }
    ),
    "ev": frozenset({"wake_s", "follow_s", "car_min_a", "car_max_a", "car_phases", "ramp_a_per_s"}),
    "heat_pump": frozenset(
        {
            *("min_run_s", "min_rest_s", "lock_longest_s", "response_s", "house_w_per_k", "hot_water_wh_per_day"),
            *("comfort_min_c", "comfort_max_c"),
        }
    ),
    "relay_load": frozenset({"power_w", "daily_wh"}),
    "device": frozenset({"dead_time_s", "report_every_s", "report_delay_s", "round_w"}),
}
"""What a `quirk` event may set while the home runs, per table."""
