"""A toy house of four Modbus units in memory, with its physics and its faults: real request and answer PDUs.

Holding registers: 0-7 serial (ASCII), 8 kind, 10 power W, 11 voltage dV, 12 frequency cHz, 13 state of charge per
mille, 14 EV state, 20 control on, 21 control value. Signed values are two's complement; charging is positive.
"""

import asyncio
import struct
from dataclasses import dataclass, field

GRID, PV, BATTERY, EV = 1, 2, 3, 4


@dataclass
class ToyUnit:
    """One device. The flags are its faults."""

    serial: str
    kind: int
    power_w: float = 0.0
    voltage_v: float = 231.0
    frequency_hz: float = 50.0
    soc_pct: float = 50.0
    ev_state: int = 1  # 0: A, 1: B, 2: C
    control_on: bool = False
    control_value: int = 0
    sign: int = 1  # -1: the meter was mounted the wrong way round
    silent: bool = False
    refuses_writes: bool = False
    ignores_control: bool = False
    ignores_release: bool = False
    writes: list[tuple[int, int]] = field(default_factory=list)


class ToyHouse:
    """Units by Modbus unit id; `exchange` is the whole wire."""

    def __init__(self, units: dict[int, ToyUnit], load_w: float = 400.0) -> None:
        self.units = units
        self.load_w = load_w
        self.drift_w = 0.0  # added to the load with every reading of the meter
        self.late_s = 0.0  # so old is what the meter tells
        self._grid_w: list[tuple[float, float]] = []

    async def exchange(self, unit: int, pdu: bytes) -> bytes:
        """One request and its answer; an unknown or silent unit is a TimeoutError, as on the bus."""
        toy = self.units.get(unit)
        if toy is None or toy.silent:
            raise TimeoutError
        if pdu[0] == 3:
            first, count = struct.unpack(">HH", pdu[1:])
            if first == 10 and toy.kind == GRID:
                self.load_w += self.drift_w
            registers = self._registers(toy)[first : first + count]
            return struct.pack(f">BB{count}H", 3, 2 * count, *registers)
        address, value = struct.unpack(">HH", pdu[1:])
        if toy.refuses_writes:
            return bytes([pdu[0] | 0x80, 4])
        self._store(toy, address, value)
        return pdu

    def _store(self, toy: ToyUnit, address: int, value: int) -> None:
        toy.writes.append((address, value))
        if address == 21:
            toy.control_value = _signed(value)
        elif address == 20 and not (value == 0 and toy.ignores_release):
            toy.control_on = bool(value)

    def _power_w(self, toy: ToyUnit) -> float:
        steered = toy.control_on and not toy.ignores_control
        if toy.kind == GRID:
            inside_w = sum(self._power_w(unit) for unit in self.units.values() if unit.kind != GRID)
            now_s = asyncio.get_running_loop().time()
            self._grid_w.append((now_s, self.load_w + inside_w))
            old = [watts for at_s, watts in self._grid_w if now_s - at_s >= self.late_s]
            return toy.sign * (old[-1] if old else self._grid_w[0][1])
        if toy.kind == PV:
            return max(toy.power_w, -toy.control_value) if steered else toy.power_w
        if toy.kind == BATTERY:
            return toy.control_value if steered else toy.power_w
        return toy.power_w

    def _registers(self, toy: ToyUnit) -> list[int]:
        registers = [0] * 32
        registers[0:8] = struct.unpack(">8H", toy.serial.encode().ljust(16, b"\0"))
        registers[8] = toy.kind
        registers[10] = round(self._power_w(toy)) & 0xFFFF
        registers[11] = round(toy.voltage_v * 10)
        registers[12] = round(toy.frequency_hz * 100)
        registers[13] = round(toy.soc_pct * 10)
        registers[14] = toy.ev_state
        registers[20] = int(toy.control_on)
        registers[21] = toy.control_value & 0xFFFF
        return registers


def _signed(value: int) -> int:
    return value - 0x10000 if value & 0x8000 else value


def toy_house() -> ToyHouse:
    """A meter, a roof, a battery and a charging point at units 1 to 4, all well."""
    return ToyHouse(
        {
            1: ToyUnit("MT-1", GRID),
            2: ToyUnit("PV-1", PV, power_w=-3000.0),
            3: ToyUnit("BAT-1", BATTERY, power_w=0.0),
            4: ToyUnit("WB-1", EV),
        }
    )
