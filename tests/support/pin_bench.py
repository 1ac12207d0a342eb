"""Gpio devices on the pins of a simulated board, for the contract kit and for tests of the driver."""

import asyncio
from dataclasses import dataclass, field, replace

from cem.driver import Contact, Control, Device, DeviceConfig, Driver, DriverContext, Json, LevelSink, Ratings, Resource
from cem.driver import Role as Roles
from cem_drivers.gpio import DRIVER
from hw_sim.pins import PinBoard, PinProcess

Link = dict[str, str | int | float | bool]
RELAY: Link = {"relay": 17}
SG_READY: Link = {"contact_1": 17, "contact_2": 27}
BOX: Link = {"w3": 5, "s1": 6, "s2": 13, "w4": 19}
METER: Link = {"s0": 22, "pulses_per_kwh": 1000}
SERIAL = "SIM-PI"


def pins_config(
    link: Link, role: Roles, control: Control | None = None, *, serial: str | None = "", most_w: float | None = None
) -> DeviceConfig:
    """A device table; with its right serial number unless another one (or None) is given. The resource is the role."""
    contacts = frozenset(contact for contact in Contact if contact in link)
    pv_w = most_w if role is Roles.PV else None
    ratings = Ratings(max_power_w=None if role is Roles.PV else most_w, max_generation_w=pv_w)
    controls = frozenset({control}) if control is not None else frozenset[Control]()
    numbers = sorted(int(str(value).split(maxsplit=1)[0]) for name, value in link.items() if name in _PINS)
    right = f"{SERIAL}/{'-'.join(map(str, numbers))}"
    resource = Resource(role.value, role, "pins", role.value, ratings, controls, contacts=contacts)
    config = DeviceConfig("pins", "pins", "gpio", link, (resource,), serial=right if serial == "" else serial)
    assert DRIVER.faults(config) == []
    return config


_PINS = {*RELAY, *SG_READY, *BOX, "island", "s0"}


@dataclass
class Kept:
    """What drivers keep, in memory."""

    rows: dict[str, Json] = field(default_factory=dict)

    async def load(self, key: str) -> Json:
        return self.rows.get(key)

    async def save(self, key: str, value: Json) -> None:
        self.rows[key] = value


@dataclass
class Pins:
    """A board, the clock beside it, and every message that went to it, in order."""

    board: PinBoard = field(default_factory=lambda: PinBoard(SERIAL))
    now_s: float = 100.0
    writes: list[tuple[int, bool | None]] = field(default_factory=list)
    kept: Kept = field(default_factory=Kept)
    silent: bool = False
    refusing: bool = False

    def __post_init__(self) -> None:
        for pin in (5, 6, 13, 19, 22):
            self.board.levels[pin] = True

    def context(self) -> DriverContext:
        """A new process's."""
        return DriverContext(
            lambda: self.now_s, pins=lambda _link: _Watched(self, self.board.process()), keep=self.kept
        )

    def edge(self, pin: int, high: bool, at_s: float) -> None:
        """One edge at a time."""
        self.now_s = at_s
        self.board.pulse(pin, high)


@dataclass
class _Watched:
    pins: Pins
    process: PinProcess

    @property
    def connected(self) -> bool:
        return self.process.connected and not self.pins.silent

    async def start(self, on_level: LevelSink) -> str:
        if self.pins.silent:
            raise ConnectionError("silent")
        return await self.process.start(on_level)

    def left(self) -> frozenset[int]:
        return self.process.left()

    def drive(self, pin: int, high: bool | None) -> None:
        if self.pins.refusing:
            raise PermissionError("refused")
        self.pins.writes.append((pin, high))
        self.process.drive(pin, high)

    async def stop(self) -> None:
        await self.process.stop()


class PinBench:
    """A bench of the contract kit."""

    def __init__(self, link: Link, role: Roles, control: Control | None, values: tuple[float, ...]) -> None:
        self.driver: Driver = DRIVER
        self.role = role
        self.control = control
        self.values = values
        self.serial = pins_config(link, role, control).serial or ""
        self._link = link
        self._pins = Pins()
        self._context = self._pins.context()

    def config(self, serial: str | None, read_only: bool = False) -> DeviceConfig:
        return replace(pins_config(self._link, self.role, self.control, serial=serial), read_only=read_only)

    def device(self, config: DeviceConfig) -> Device:
        return DRIVER.device(config, self._context)

    def writes(self) -> list[str]:
        return [f"{pin} {high}" for pin, high in self._pins.writes]

    def strays(self) -> list[str]:
        owned = {int(str(value).split(maxsplit=1)[0]) for name, value in self._link.items() if name in _PINS}
        return [f"{pin} {high}" for pin, high in self._pins.writes if pin not in owned]

    async def pass_s(self, seconds: float) -> None:
        self._pins.now_s += seconds
        await asyncio.sleep(0)

    def silence(self, silent: bool) -> None:
        self._pins.silent = silent

    def refuse(self, refusing: bool) -> None:
        self._pins.refusing = refusing

    async def meddle(self, value: float) -> bool:
        return False  # the kernel gives a line to one process
