"""The contract kit's bench for OCPP: the real driver in front of hw-sim's charger, in memory, on the house's clock."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cem.driver import Control, Device, DeviceConfig, Driver, DriverContext, Ratings, Resource, Role
from cem.model.time import Instant
from cem.simulation.plant import SimulatedHome, Wire
from cem_drivers.ocpp import DRIVER
from hw_sim.devices.ocpp_charger import OcppCharger
from hw_sim.home import parse_home
from support.sim_homes import NOON

LINK: Mapping[str, str | int | float | bool] = {
    "kind": "ocpp",
    "listen": "memory",
    "identity": "WALLBOX",
    "timeout_s": 0.3,
}
OWNED = frozenset({"SetChargingProfile", "ClearChargingProfile", "ChangeConfiguration", "SetVariables"})

HOME = """
home = 1
name = "One charger"
zone = "Europe/Berlin"
latitude = 52.5
longitude = 13.4
seed = 1
[[ev]]
capacity_wh = 60000
soc_pct = 20
plugged_at_start = true
[[device]]
id = "wallbox"
kind = "ocpp.charger"
serial = "OC-77"
"""


@dataclass
class HouseClock:
    """The house's time for a wire: it stands still while a test waits."""

    home: SimulatedHome

    def now(self) -> Instant:
        return Instant(self.home.house.now, self.monotonic(), True)

    def monotonic(self) -> float:
        return self.home.house.elapsed_s


class OcppBench:
    """Satisfies cem.driver.conformance.Bench. `quirks` are keys of the simulated charger."""

    role = Role.EV
    control: Control | None = Control.EV_LIMIT_A
    values: Sequence[float] = (10.0, 8.0, 0.0, 6.0)

    def __init__(self, quirks: str = "", profile: str = "ocpp.generic", **link: str | int | float | bool) -> None:
        self.profile = profile
        self.link = {**LINK, **link}
        self.home = SimulatedHome(parse_home(HOME + quirks), NOON)
        self.sent: list[str] = []

        def wrote(_device: str, what: bytes) -> None:
            self.sent.append(what.decode())

        self.wire = Wire(self.home, HouseClock(self.home), on_write=wrote)  # type: ignore[arg-type]  # all it asks

    async def begin(self) -> "OcppBench":
        """The house has lived for ten seconds, and the charger would like to call."""
        await self.home.start()
        await self.pass_s(10)
        return self

    @property
    def charger(self) -> OcppCharger:
        front = self.home.fronts["wallbox"]
        assert isinstance(front, OcppCharger)
        return front

    @property
    def driver(self) -> Driver:
        return DRIVER

    @property
    def serial(self) -> str:
        return self.home.serial("wallbox")

    @property
    def context(self) -> DriverContext:
        return self.wire.context()

    def config(self, serial: str | None, read_only: bool = False) -> DeviceConfig:
        controls = frozenset({self.control} if self.control is not None else ())
        resource = Resource("ev", self.role, "wallbox", "Wallbox", Ratings(max_current_a=16.0), controls)
        return DeviceConfig(
            "wallbox", "Wallbox", "ocpp", self.link, (resource,), self.profile, serial, read_only=read_only
        )

    def device(self, config: DeviceConfig) -> Device:
        return DRIVER.device(config, self.context)

    def writes(self) -> Sequence[str]:
        return list(self.sent)

    def strays(self) -> Sequence[str]:
        return [text for text in self.sent if not any(f'"{action}"' in text for action in OWNED)]

    async def pass_s(self, seconds: float) -> None:
        for _ in range(max(1, round(seconds))):
            self.home.step(1.0)
            await self.home.follow()
            await settled()

    def silence(self, silent: bool) -> None:
        self._fault("silence", silent)

    def refuse(self, refusing: bool) -> None:
        self._fault("refuse_writes", refusing)

    def _fault(self, kind: str, on: bool) -> None:
        if on:
            self.home.faults.inject("wallbox", kind)  # type: ignore[arg-type]  # one of its kinds
        else:
            self.home.faults.clear("wallbox", kind)  # type: ignore[arg-type]
        self.home.step(0.01)

    async def meddle(self, value: float) -> bool:
        self.charger.contest(value)
        return True


async def settled() -> None:
    """Lets everything that is under way in memory come to its end."""
    for _ in range(12):
        await asyncio.sleep(0)
