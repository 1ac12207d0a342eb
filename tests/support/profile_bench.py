"""The contract kit's bench for a profile: the real driver in front of a register image made from the same file."""

from collections.abc import Sequence

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
from support.profile_image import ProfileImage, image_of

VALUES = {
    Control.EV_LIMIT_A: (10.0, 8.0, 0.0, 6.0),
    Control.BATTERY_SETPOINT_W: (1500.0, -2500.0, 0.0),
    Control.PV_LIMIT_W: (2000.0, 5000.0),
    Control.HEAT_PUMP_SG_READY: (3.0, 1.0, 4.0, 2.0),
}


class ProfileBench:
    """Satisfies cem.driver.conformance.Bench. `profile` may be a draft lifted for the test: the image is its file's.

    `chosen` is which of its controls is under test, counted from 0.
    """

    def __init__(self, profile: Profile, source: str, phases: int = 3, chosen: int = 0) -> None:
        self.profile = profile
        self.image: ProfileImage = image_of(source)
        self.image.chosen = self.chosen = chosen
        self.phases = phases

    @property
    def driver(self) -> Driver:
        return DRIVER

    @property
    def role(self) -> Role:
        return Role(self.control.split(".")[0] if self.control is not None else self.profile.roles[0])

    @property
    def control(self) -> Control | None:
        return Control(self.profile.control[self.chosen].id) if self.profile.control else None

    @property
    def values(self) -> Sequence[float]:
        return VALUES[self.control] if self.control is not None else ()

    @property
    def serial(self) -> str:
        return self.image.serial

    @property
    def context(self) -> DriverContext:
        """The image as a link in memory, its clock as the driver's."""

        def port(_link: object) -> PduPort:
            return self.image

        return DriverContext(lambda: self.image.now_s, port)

    def config(self, serial: str | None, read_only: bool = False) -> DeviceConfig:
        controls = frozenset({self.control} if self.control is not None else ())
        ratings = Ratings(phases=self.phases, max_current_a=16.0)
        resource = Resource(self.role.value, self.role, "dev", "Device", ratings, controls)
        kind = "tcp" if "tcp" in self.profile.link.kinds else "rtu-tcp"
        link: dict[str, str | int | float | bool] = {"kind": kind, "host": "memory", "timeout_s": 0.1}
        return DeviceConfig(
            "dev", "Device", "modbus", link, (resource,), self.profile.id, serial or None, read_only=read_only
        )

    def device(self, config: DeviceConfig) -> Device:
        return ProfiledDevice(config, self.profile, self.context)

    def writes(self) -> Sequence[str]:
        return [pdu.hex() for pdu in self.image.writes]

    def strays(self) -> Sequence[str]:
        return [f"register {at}" for at in sorted(self.image.written - self.image.may_be_written)]

    async def pass_s(self, seconds: float) -> None:
        left_s = seconds
        while left_s > 0:
            self.image.pass_s(min(left_s, 1.0))
            left_s -= 1.0

    def silence(self, silent: bool) -> None:
        self.image.silent = silent

    def refuse(self, refusing: bool) -> None:
        self.image.refuses = frozenset({6, 16} if refusing else ())

    async def meddle(self, value: float) -> bool:
        self.image.steer(value)
        return True
