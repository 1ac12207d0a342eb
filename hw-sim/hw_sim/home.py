"""The home file: what stands in the house, where it is, how its devices are reached, and which faults come when."""

import tomllib
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

Percent = Annotated[float, Field(ge=0, le=100)]
Port = Annotated[int, Field(ge=0, le=65535)]
Id = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
Kind = Literal["sunspec.inverter", "sunspec.battery", "sunspec.meter", "goe.charger"]
FaultKind = Literal["silence", "disconnect", "refuse_writes", "freeze"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
EVERY_DAY: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class HomeError(Exception):
    """A home file that can't be used; `faults` names every fault with its path."""

    def __init__(self, source: str, faults: list[str]) -> None:
        super().__init__(f"{source}: {len(faults)} fault(s): " + "; ".join(faults))
        self.source = source
        self.faults = faults


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as exc:
        raise ValueError(f"no time zone is called '{name}'; allowed: IANA names such as Europe/Berlin") from exc
    return name


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GridSpec(_Table):
    """The connection point."""

    voltage_v: float = Field(default=230.0, ge=180, le=260)
    frequency_hz: float = Field(default=50.0, ge=45, le=65)
    import_wh: float = Field(default=0.0, ge=0)  # the meter's registers at the start
    export_wh: float = Field(default=0.0, ge=0)


class ApplianceSpec(_Table):
    """Something that is switched on now and then."""

    name: str
    power_w: float = Field(gt=0)
    duration_s: float = Field(gt=0, le=86400)
    per_day: int = Field(ge=1, le=500)
    since: time = time(0, 0)  # local
    until: time = time(23, 59)
    phase: int | None = Field(default=None, ge=1, le=3)  # None: all phases


class LoadSpec(_Table):
    """The household: a constant base, a daily profile, appliances, and a constant extra."""

    base_w: float = Field(default=200.0, ge=0)
    profile_w: float = Field(default=250.0, ge=0)  # the mean over a day of the daily profile
    noise_pct: Percent = 15.0
    extra_w: float = 0.0
    appliance: tuple[ApplianceSpec, ...] = ()


class PvSpec(_Table):
    """The roof and its inverter."""

    peak_w: float = Field(gt=0)  # of the modules
    inverter_w: float | None = Field(default=None, gt=0)  # None: as the modules
    tilt_deg: float = Field(default=30.0, ge=0, le=90)
    azimuth_deg: float = Field(default=180.0, ge=0, le=360)  # 180: south
    cloudiness: float = Field(default=0.4, ge=0, le=1)  # 0: clear sky all day
    performance: float = Field(default=0.86, gt=0, le=1)
    phases: Literal[1, 3] = 3

    @property
    def rating_w(self) -> float:
        """The largest AC power, a magnitude."""
        return self.inverter_w if self.inverter_w is not None else self.peak_w


class BatterySpec(_Table):
    """The battery system, seen at its AC terminal."""

    capacity_wh: float = Field(gt=0)
    max_charge_w: float = Field(gt=0)
    max_discharge_w: float = Field(gt=0)
    charge_efficiency: float = Field(default=0.95, gt=0, le=1)
    discharge_efficiency: float = Field(default=0.95, gt=0, le=1)
    soc_pct: Percent = 50.0  # at the start
    min_soc_pct: Percent = 5.0
    max_soc_pct: Percent = 100.0
    taper_pct: float = Field(default=5.0, ge=0, le=50)  # width of the band below each limit in which the power falls
    response_s: float = Field(default=1.0, ge=0)  # time constant of the power
    grid_charge: bool = True


class TripSpec(_Table):
    """The car is away from `leave` to `come` and uses energy meanwhile; local times."""

    leave: time
    come: time
    energy_wh: float = Field(default=0.0, ge=0)
    days: tuple[Weekday, ...] = EVERY_DAY


class EvSpec(_Table):
    """The charging point and the car."""

    capacity_wh: float = Field(gt=0)
    soc_pct: Percent = 50.0  # at the start
    target_soc_pct: Percent = 100.0  # at which the car stops by itself
    efficiency: float = Field(default=0.92, gt=0, le=1)
    max_a: int = Field(default=16, ge=6, le=32)  # of the charging point
    car_max_a: int = Field(default=16, ge=6, le=32)
    phases: Literal[1, 3] = 3  # of the charging point
    car_phases: Literal[1, 3] = 3
    wake_s: float = Field(default=5.0, ge=0)
    follow_s: float = Field(default=3.0, ge=0)
    plugged_at_start: bool = False
    trip: tuple[TripSpec, ...] = ()


class MqttSpec(_Table):
    """The broker: an existing one by host and port, or an embedded one."""

    embedded: bool = False
    host: str = "127.0.0.1"
    port: Port = 0
    username: str | None = None
    password: str | None = None


class DeviceSpec(_Table):
    """One simulated device and how it is reached. `port` 0 takes a free one."""

    id: Id
    kind: Kind
    host: str = "127.0.0.1"
    port: Port = 0
    unit: int = Field(default=1, ge=1, le=247)
    serial: str = Field(default="", max_length=32)
    topic_prefix: str = "go-eCharger/"


class FaultSpec(_Table):
    """One fault of one device, in seconds since the start."""

    kind: FaultKind
    target: Id
    start_s: float = Field(ge=0)
    for_s: float = Field(gt=0)


class Home(_Table):
    """The whole home file."""

    home: Literal[1]  # version of the format
    name: str = "home"
    zone: Annotated[str, AfterValidator(_known_zone)] = "Europe/Berlin"
    latitude: float = Field(default=52.5, ge=-66, le=66)
    longitude: float = Field(default=13.4, ge=-180, le=180)
    seed: int = 1
    start: datetime | None = None  # local where it names no offset; None: now
    grid: GridSpec = GridSpec()
    load: LoadSpec = LoadSpec()
    pv: PvSpec | None = None
    battery: BatterySpec | None = None
    ev: EvSpec | None = None
    mqtt: MqttSpec = MqttSpec(embedded=True)
    device: tuple[DeviceSpec, ...] = ()
    fault: tuple[FaultSpec, ...] = ()

    def begins_at(self, text: str | None = None) -> datetime | None:
        """The start as aware UTC: of the text (ISO 8601) if given, else the file's; None: neither. Raises ValueError.

        Without an offset it is the local time of the home's zone.
        """
        asked = self.start if text is None else datetime.fromisoformat(text)
        if asked is None:
            return None
        local = asked if asked.tzinfo is not None else asked.replace(tzinfo=ZoneInfo(self.zone))
        return local.astimezone(UTC)

    def find(self, device_id: str) -> DeviceSpec:
        """The device of that id; raises KeyError."""
        for spec in self.device:
            if spec.id == device_id:
                return spec
        raise KeyError(f"no device '{device_id}'; known: {', '.join(d.id for d in self.device) or 'none'}")


_NEEDS = {"sunspec.inverter": "pv", "sunspec.battery": "battery", "goe.charger": "ev"}


def _cross_faults(home: Home) -> list[str]:
    faults: list[str] = []
    seen: set[str] = set()
    plants: set[str] = set()
    ports: set[int] = {home.mqtt.port} if home.mqtt.embedded else set()
    for i, device in enumerate(home.device):
        if device.id in seen:
            faults.append(f"device.{i}.id: '{device.id}' is there twice")
        seen.add(device.id)
        need = _NEEDS.get(device.kind)
        if need is not None:
            if getattr(home, need) is None:
                faults.append(f"device.{i}.kind: '{device.kind}' needs a [{need}] table")
            if device.kind in plants:
                faults.append(f"device.{i}.kind: a second '{device.kind}' for the same [{need}]")
            plants.add(device.kind)
        if device.kind != "goe.charger":
            if device.port and device.port in ports:
                faults.append(f"device.{i}.port: {device.port} is taken already")
            ports.add(device.port)
    for i, fault in enumerate(home.fault):
        if fault.target not in seen:
            faults.append(f"fault.{i}.target: no device '{fault.target}'")
    if not home.mqtt.embedded and home.mqtt.port == 0 and "goe.charger" in plants:
        faults.append("mqtt.port: 0; an existing broker needs its port, or say embedded = true")
    if home.battery is not None and home.battery.min_soc_pct >= home.battery.max_soc_pct:
        faults.append(f"battery.min_soc_pct: {home.battery.min_soc_pct} is not below max_soc_pct")
    return faults


def parse_home(text: str, source: str = "home") -> Home:
    """The home of a TOML text; raises HomeError with every fault and its path."""
    try:
        home = Home.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as exc:
        raise HomeError(source, [f"not TOML: {exc}"]) from exc
    except ValidationError as exc:
        faults = [f"{'.'.join(str(part) for part in e['loc']) or 'home'}: {e['msg']}" for e in exc.errors()]
        raise HomeError(source, faults) from exc
    faults = _cross_faults(home)
    if faults:
        raise HomeError(source, faults)
    return home


def load_home(path: Path) -> Home:
    """The home of a file; raises HomeError, also where the file can't be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise HomeError(str(path), [f"can't be read: {exc}"]) from exc
    return parse_home(text, str(path))
