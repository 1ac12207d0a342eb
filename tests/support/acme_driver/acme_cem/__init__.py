"""A driver as somebody else would write it: one wallbox, and `cem.driver` as its only import of the house.

Registers: 0 to 3 serial number (text), 10 power in W, 11 current in 0.1 A, 20 enable, 21 current in 0.1 A.
"""

import math
import struct
from collections.abc import Mapping, Sequence

from cem.driver import (
    BadAnswer,
    Control,
    ControlSpec,
    Device,
    DeviceConfig,
    DriverContext,
    Found,
    Identity,
    NoAnswer,
    PduPort,
    Reading,
    Refused,
    Storage,
    WrongDevice,
)

Link = Mapping[str, str | int | float | bool]


class AcmeBox:
    """One wallbox."""

    def __init__(self, config: DeviceConfig, context: DriverContext) -> None:
        self._config = config
        self._context = context
        self._port: PduPort | None = None

    @property
    def id(self) -> str:
        """The device's id in the site file."""
        return self._config.id

    async def open(self) -> Identity:
        """Connects and identifies."""
        self._port = None
        assert self._context.pdu is not None
        port = self._context.pdu(self._config.link)
        raw = await _ask(port, struct.pack(">BHH", 3, 0, 4), 8)
        serial = raw.rstrip(b"\0").decode()
        if self._config.serial is not None and serial != self._config.serial:
            raise WrongDevice(f"{self.id}: {serial!r} answers, the site file says {self._config.serial!r}")
        self._port = port
        return Identity("Acme", "Box", serial)

    def controls(self) -> Sequence[ControlSpec]:
        """The current, unless it is not to be written."""
        if self._config.read_only or self._config.serial is None:
            return ()
        return [
            ControlSpec(
                resource.id,
                Control.EV_LIMIT_A,
                falls_back_to="charges on with the last current",
                storage=Storage.RAM,
                dead_band=0.1,
                effect_point="current_a",
            )
            for resource in self._config.resources
            if Control.EV_LIMIT_A in resource.controls
        ]

    async def poll(self) -> Sequence[Reading]:
        """Power and current."""
        power, current = struct.unpack(">2H", await _ask(self._opened(), struct.pack(">BHH", 3, 10, 2), 4))
        now_s = self._context.monotonic()
        return [
            reading
            for resource in self._config.resources
            for reading in (
                Reading(resource.id, "power_w", float(power), now_s),
                Reading(resource.id, "current_a", current / 10, now_s),
            )
        ]

    async def write(self, resource_id: str, control: Control, value: float) -> None:
        """Current first, then enable; 0 disables."""
        port = self._opened()
        if not self.controls() or not math.isfinite(value) or value < 0:
            raise Refused(f"{self.id}: {control} = {value} is not written")
        await _put(port, 21, int(value * 10))
        await _put(port, 20, 1 if value else 2)

    async def read_back(self, resource_id: str, control: Control) -> float | None:
        """None while the box steers itself."""
        enabled, tenths = struct.unpack(">2H", await _ask(self._opened(), struct.pack(">BHH", 3, 20, 2), 4))
        return None if enabled == 0 else tenths / 10 if enabled == 1 else 0.0

    async def release(self, resource_id: str, control: Control) -> None:
        """Back to its own control."""
        if self.controls() and await self.read_back(resource_id, control) is not None:
            await _put(self._opened(), 20, 0)

    async def close(self) -> None:
        """Nothing is kept open."""
        self._port = None

    def _opened(self) -> PduPort:
        if self._port is None:
            raise NoAnswer(f"{self.id}: not open")
        return self._port


async def _ask(port: PduPort, pdu: bytes, size: int) -> bytes:
    try:
        answer = await port.exchange(1, pdu)
    except TimeoutError as error:
        raise NoAnswer("no answer") from error
    if answer[0] & 0x80:
        raise Refused(f"exception {answer[1]}", answer[1])
    if len(answer) != size + 2:
        raise BadAnswer("an answer of the wrong length", answer)
    return answer[2:]


async def _put(port: PduPort, address: int, value: int) -> None:
    pdu = struct.pack(">BHH", 6, address, value)
    try:
        answer = await port.exchange(1, pdu)
    except TimeoutError as error:
        raise NoAnswer("no answer") from error
    if answer[0] & 0x80:
        raise Refused(f"exception {answer[1]}", answer[1])


class AcmeDriver:
    """Satisfies cem.driver.Driver."""

    name = "acme"

    def faults(self, config: DeviceConfig) -> list[str]:
        """What is wrong with a device table."""
        return [] if config.link.get("host") else ["link.host: missing"]

    def device(self, config: DeviceConfig, context: DriverContext) -> Device:
        """Builds the device."""
        return AcmeBox(config, context)

    async def probe(self, link: Link, context: DriverContext, timeout_s: float) -> list[Found]:
        """Acme boxes are not looked for."""
        return []


DRIVER = AcmeDriver()
