"""The home as a value: what stands in the house, where it is, how its devices are reached, what comes over it when."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from hw_sim.happenings import EventSpec, FaultSpec
from hw_sim.specs import (
    PROFILE,
    BatterySpec,
    ClimateSpec,
    DeviceSpec,
    EvSpec,
    GpioSpec,
    GridSpec,
    HeatPumpSpec,
    LoadSpec,
    MqttSpec,
    PvSpec,
    RelayLoadSpec,
    Table,
)

PlantSpec = PvSpec | BatterySpec | EvSpec | HeatPumpSpec | RelayLoadSpec
PLANTS = ("pv", "battery", "ev", "heat_pump", "relay_load")
NEEDS: dict[str, tuple[str, ...]] = {
    "sunspec.meter": (),
    "sunspec.inverter": ("pv",),
    "sunspec.battery": ("battery",),
    "sunspec.hybrid": ("pv", "battery"),
    "goe.charger": ("ev",),
    "shelly.relay": ("relay_load",),
    "shelly.heat_pump": ("heat_pump",),
    "p1.meter": (),
    "sml.meter": (),
    "d0.meter": (),
    "ocpp.charger": ("ev",),
    "gpio.sg_ready": ("heat_pump",),
    "gpio.relay": ("relay_load",),
    "gpio.pulses": ("pv",),
    "gpio.contacts": (),
}
"""The tables of which each kind of device needs exactly one."""


class HomeError(Exception):
    """A home or scenario file that can't be used; `faults` names every fault with its path."""

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


class Home(Table):
    """The whole home file. A scenario that is tied to its home is one, too, with its time line in it."""

    home: Literal[1]  # version of the format
    name: str = "home"
    zone: Annotated[str, AfterValidator(_known_zone)] = "Europe/Berlin"
    latitude: float = Field(default=52.5, ge=-66, le=66)
    longitude: float = Field(default=13.4, ge=-180, le=180)
    seed: int = 1
    start: datetime | None = None  # local where it names no offset; None: now
    grid: GridSpec = GridSpec()
    climate: ClimateSpec = ClimateSpec()
    load: LoadSpec = LoadSpec()
    pv: tuple[PvSpec, ...] = ()
    battery: tuple[BatterySpec, ...] = ()
    ev: tuple[EvSpec, ...] = ()
    heat_pump: tuple[HeatPumpSpec, ...] = ()
    relay_load: tuple[RelayLoadSpec, ...] = ()
    mqtt: MqttSpec = MqttSpec(embedded=True)
    profiles: tuple[str, ...] = ()  # folders in which profiles are looked for, before the catalogue
    gpio: GpioSpec = GpioSpec()
    device: tuple[DeviceSpec, ...] = ()
    event: tuple[EventSpec, ...] = ()
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

    def plants(self) -> Iterator[tuple[str, int, PlantSpec]]:
        """(table, position, plant) of everything that has a power of its own."""
        for table in PLANTS:
            for i, spec in enumerate(getattr(self, table)):
                yield table, i, spec

    def of(self, device: DeviceSpec) -> tuple[str, ...]:
        """The ids of the plants that a device stands in front of."""
        if device.of is not None or device.kind == PROFILE:  # whose plants are found when the file is read
            return device.of or ()
        return tuple(spec.id for table, _, spec in self.plants() if table in NEEDS[device.kind])

    def quiet(self) -> "Home":
        """The same home with nothing on its time line."""
        return self.model_copy(update={"event": (), "fault": ()})
