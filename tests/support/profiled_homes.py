"""A home with one device of a profile in it, and the contract kit's bench before that device."""

import tomllib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from cem.driver import (
    Control,
    Device,
    DeviceConfig,
    Driver,
    DriverContext,
    PduPort,
    Ratings,
    Resource,
    Role,
)
from cem_drivers.profiled import DRIVER
from cem_drivers.profiled.device import ProfiledDevice
from cem_drivers.profiled.schema import Profile
from hw_sim.home import FaultKind, parse_home
from hw_sim.profiled.find import catalogue
from hw_sim.profiled.front import ProfiledDevice as SimulatedDevice
from hw_sim.simulation import SimulatedHome
from support.profile_bench import VALUES
from support.sim_homes import NOON

HOUSE = """
home = 1
name = "profiles"
load = { base_w = 300, profile_w = 0, noise_pct = 0 }
"""
PLANTS = {
    "pv": "[[pv]]\npeak_w = 8000\ncloudiness = 0\n",
    "battery": "[[battery]]\ncapacity_wh = 10000\nmax_charge_w = 5000\nmax_discharge_w = 4000\nsoc_pct = 50\n",
    "ev": "[[ev]]\ncapacity_wh = 60000\nsoc_pct = 35\nplugged_at_start = true\nfollow_s = 1\nwake_s = 2\n",
    "heat_pump": "[[heat_pump]]\nstore_c = 40\n",
    "load": "[[relay_load]]\npower_w = 2000\n",
}
WRITES = (5, 6, 15, 16, 22, 23)


def file_of(name: str) -> Path:
    """A profile of the catalogue."""
    folder = catalogue()
    assert folder is not None
    return folder / f"{name}.toml"


def home_text(name: str, more: str = "", device: str = "") -> str:
    """A home around one device "dev" with this profile; `device` are more keys of it, `more` more tables."""
    roles = tomllib.loads(file_of(name).read_text(encoding="utf-8"))["roles"]
    plants = "".join(PLANTS[role] for role in roles if role in PLANTS)
    return f'{HOUSE}{plants}[[device]]\nid = "dev"\nkind = "profile"\nprofile = "{name}"\n{device}\n{more}'


def profiled_home(name: str, more: str = "", device: str = "", start: datetime = NOON) -> SimulatedHome:
    """That home, in memory."""
    return SimulatedHome(parse_home(home_text(name, more, device), "test"), start)


def front_of(home: SimulatedHome) -> SimulatedDevice:
    """The device with the profile."""
    front = home.fronts["dev"]
    assert isinstance(front, SimulatedDevice)
    return front


class SimulatedBench:
    """Satisfies cem.driver.conformance.Bench with a device of hw-sim. `profile` may be a draft lifted for the test."""

    def __init__(self, profile: Profile, control: int = 0, more: str = "", device: str = "") -> None:
        self.profile = profile
        self.index = control
        self.home = profiled_home(profile.id, more, device)
        self.front = front_of(self.home)
        self.sent: list[bytes] = []
        self.unit = self.home.modbus("dev")
        for _ in range(5):
            self.home.step(1.0)

    @property
    def driver(self) -> Driver:
        return DRIVER

    @property
    def role(self) -> Role:
        return Role(self.control.value.split(".")[0] if self.control is not None else self.profile.roles[0])

    @property
    def control(self) -> Control | None:
        return Control(self.profile.control[self.index].id) if self.profile.control else None

    @property
    def values(self) -> Sequence[float]:
        return VALUES[self.control] if self.control is not None else ()

    @property
    def serial(self) -> str:
        return self.home.serial("dev")

    @property
    def context(self) -> DriverContext:
        """The device as a link in memory, the home's clock as the driver's."""

        def port(_link: object) -> PduPort:
            return self

        return DriverContext(lambda: self.home.house.elapsed_s, port)

    async def exchange(self, unit: int, pdu: bytes) -> bytes:
        """Counts what is written."""
        if pdu[0] in WRITES:
            self.sent.append(pdu)
        return await self.unit.exchange(unit, pdu)

    def config(self, serial: str | None, read_only: bool = False) -> DeviceConfig:
        controls = frozenset({self.control} if self.control is not None else ())
        ratings = Ratings(phases=3, max_current_a=16.0)
        resource = Resource(self.role.value, self.role, "dev", "Device", ratings, controls)
        kind = "tcp" if "tcp" in self.profile.link.kinds else "rtu-tcp"
        link: dict[str, Any] = {"kind": kind, "host": "memory", "timeout_s": 0.1}
        return DeviceConfig(
            "dev", "Device", "modbus", link, (resource,), self.profile.id, serial or None, read_only=read_only
        )

    def device(self, config: DeviceConfig) -> Device:
        return ProfiledDevice(config, self.profile, self.context)

    def writes(self) -> Sequence[str]:
        return [pdu.hex() for pdu in self.sent]

    def strays(self) -> Sequence[str]:
        """What it refused: a device here takes nothing that its profile does not own."""
        return [f"{self.front.refused} refused"] if self.front.refused else []

    async def pass_s(self, seconds: float) -> None:
        left_s, step_s = seconds, 1.0 if seconds <= 120 else 10.0
        while left_s > 0:
            self.home.step(min(left_s, step_s))
            left_s -= step_s

    def silence(self, silent: bool) -> None:
        self.befall("silence", silent)

    def refuse(self, refusing: bool) -> None:
        self.befall("refuse_writes", refusing)

    def befall(self, kind: FaultKind, begins: bool = True, **given: Any) -> None:
        """A fault begins or ends at once, with no time passing."""
        if begins:
            self.home.faults.inject("dev", kind, **given)
        else:
            self.home.faults.clear("dev", kind)
        self.home.faults.by_hand()
        for condition in self.home.faults.take_changed().values():
            self.front.take(condition)
            self.unit.take(condition)

    async def meddle(self, value: float) -> bool:
        assert self.control is not None
        self.front.meddle(self.control.value, value)
        return True
