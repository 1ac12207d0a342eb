"""A small, whole driver for the toy house: what a driver must do and nothing else."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cem.driver import (
    BadAnswer,
    Control,
    ControlSpec,
    Device,
    DeviceConfig,
    DeviceError,
    DriverContext,
    Found,
    Identity,
    NoAnswer,
    PduPort,
    Ratings,
    Reading,
    Refused,
    Role,
    Storage,
    WrongDevice,
)

Link = Mapping[str, str | int | float | bool]

ROLES = {1: Role.GRID, 2: Role.PV, 3: Role.BATTERY, 4: Role.EV}
CONTROLS = {
    Role.PV: Control.PV_LIMIT_W,
    Role.BATTERY: Control.BATTERY_SETPOINT_W,
    Role.EV: Control.EV_LIMIT_A,
}
RATINGS = {
    Role.GRID: Ratings(),
    Role.PV: Ratings(max_generation_w=8000),
    Role.BATTERY: Ratings(max_charge_w=5000, max_discharge_w=5000, capacity_wh=10000),
    Role.EV: Ratings(max_current_a=16),
}
EFFECTS = {Role.PV: "power_w", Role.BATTERY: "power_w"}


async def _read(port: PduPort, unit: int, first: int, count: int) -> tuple[int, ...]:
    answer = await _exchange(port, unit, struct.pack(">BHH", 3, first, count))
    if len(answer) != 2 + 2 * count:
        raise BadAnswer(f"{count} registers asked for, {len(answer)} bytes came", answer)
    return struct.unpack(f">{count}H", answer[2:])


async def _exchange(port: PduPort, unit: int, pdu: bytes) -> bytes:
    try:
        answer = await port.exchange(unit, pdu)
    except TimeoutError as error:
        raise NoAnswer(f"no answer from unit {unit}") from error
    if answer[0] & 0x80:
        raise Refused(f"unit {unit} refused function {pdu[0]} with exception {answer[1]}", answer[1])
    return answer


def _serial(registers: Sequence[int]) -> str:
    return struct.pack(">8H", *registers[:8]).rstrip(b"\0").decode()


@dataclass
class ToyDevice:
    """One unit of the toy house."""

    config: DeviceConfig
    context: DriverContext

    @property
    def id(self) -> str:
        return self.config.id

    async def open(self) -> Identity:
        self._port = _port(self.config.link, self.context)
        self._unit = int(self.config.link["unit"])
        serial = _serial(await _read(self._port, self._unit, 0, 9))
        if self.config.serial is not None and serial != self.config.serial:
            raise WrongDevice(f"{serial} answers, {self.config.serial} is meant")
        return Identity("Toys", "Brick", serial)

    def controls(self) -> Sequence[ControlSpec]:
        return [
            ControlSpec(
                resource.id,
                control,
                falls_back_to="returns to its own control",
                storage=Storage.RAM,
                device_timeout_s=60.0,
                effect_point=EFFECTS.get(resource.role),
                effect_tolerance=50.0,
                effect_within_s=5.0,
            )
            for resource in self.config.resources
            for control in resource.controls
        ]

    async def poll(self) -> Sequence[Reading]:
        power, voltage, frequency, soc, state = await _read(self._port, self._unit, 10, 5)
        now_s = self.context.monotonic()
        (resource,) = self.config.resources
        values: dict[str, float | str | None] = {"power_w": float(_signed(power))}
        if resource.role is Role.GRID:
            values |= {"voltage_l1_v": voltage / 10, "frequency_hz": frequency / 100}
        if resource.role is Role.BATTERY:
            values["soc_pct"] = soc / 10
        if resource.role is Role.EV:
            values["state"] = "ABCDEF"[state]
        return [Reading(resource.id, point, value, now_s) for point, value in values.items()]

    async def write(self, resource_id: str, control: Control, value: float) -> None:
        await self._put(21, round(value) & 0xFFFF)
        await self._put(20, 1)

    async def read_back(self, resource_id: str, control: Control) -> float | None:
        on, value = await _read(self._port, self._unit, 20, 2)
        return float(_signed(value)) if on else None

    async def release(self, resource_id: str, control: Control) -> None:
        await self._put(20, 0)

    async def close(self) -> None:
        """Nothing is kept open."""

    async def _put(self, address: int, value: int) -> None:
        await _exchange(self._port, self._unit, struct.pack(">BHH", 6, address, value))


class ToyDriver:
    """Finds and builds toy devices; links are `{ kind = "tcp", host, port, unit }` as with Modbus TCP."""

    name = "toy"

    def faults(self, config: DeviceConfig) -> list[str]:
        known = {"kind", "host", "port", "unit"}
        faults = [f"link.{key}: unknown key; allowed: {', '.join(sorted(known))}" for key in set(config.link) - known]
        if not isinstance(port := config.link.get("port"), int) or not 0 < port < 65536:
            faults.append(f"link.port: {port} seen; 1 to 65535 is needed")
        return faults

    def device(self, config: DeviceConfig, context: DriverContext) -> Device:
        return ToyDevice(config, context)

    async def probe(self, link: Link, context: DriverContext, timeout_s: float) -> list[Found]:
        if link.get("kind") != "tcp":
            return []
        try:
            registers = await _read(_port(link, context), int(link["unit"]), 0, 9)
        except DeviceError:
            return []
        role = ROLES[registers[8]]
        controls = frozenset({CONTROLS[role]} if role in CONTROLS else ())
        identity = Identity("Toys", "Brick", _serial(registers))
        return [Found(self.name, None, identity, dict(link), ((role, RATINGS[role], controls),), 1.0)]


def _signed(value: int) -> int:
    return value - 0x10000 if value & 0x8000 else value


def _port(link: Link, context: DriverContext) -> PduPort:
    assert context.pdu is not None
    return context.pdu(link)
