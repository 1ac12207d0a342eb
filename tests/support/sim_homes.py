"""Homes for the tests of hw-sim, and small Modbus words."""

import struct
from datetime import UTC, datetime

from hw_sim.home import Home, parse_home
from hw_sim.modbus import ModbusUnit

NOON = datetime(2026, 6, 15, 10, 0, tzinfo=UTC)  # 12:00 in Berlin, sun high
NIGHT = datetime(2026, 1, 15, 1, 0, tzinfo=UTC)

HOUSE = """
home = 1
name = "test house"
load = { base_w = 300, profile_w = 0, noise_pct = 0 }
"""
PV = """
[[pv]]
peak_w = 8000
cloudiness = 0
[[device]]
id = "inverter"
kind = "sunspec.inverter"
"""
BATTERY = """
[[battery]]
capacity_wh = 10000
max_charge_w = 5000
max_discharge_w = 4000
soc_pct = 50
[[device]]
id = "battery"
kind = "sunspec.battery"
"""
EV = """
[[ev]]
capacity_wh = 60000
soc_pct = 35
plugged_at_start = true
[[device]]
id = "wallbox"
kind = "goe.charger"
"""
METER = """
[[device]]
id = "meter"
kind = "sunspec.meter"
"""
P1_METER = METER.replace('"meter"', '"p1-meter"').replace("sunspec.meter", "p1.meter")
SML_METER = METER.replace('"meter"', '"sml-meter"').replace("sunspec.meter", "sml.meter")
D0_METER = METER.replace('"meter"', '"d0-meter"').replace("sunspec.meter", "d0.meter")
RELAY = """
[[relay_load]]
id = "boiler"
power_w = 2000
on_at_start = false
phases = 1
phase = 2
[[device]]
id = "relay"
kind = "shelly.relay"
"""
HEAT_PUMP = """
[[heat_pump]]
store_c = 40
[[device]]
id = "heat-pump"
kind = "shelly.heat_pump"
"""


def home(*parts: str, head: str = "") -> Home:
    """A home out of the parts above; `head` goes before the first table."""
    return parse_home(HOUSE + head + "".join(parts), "test")


def whole_home() -> Home:
    """Roof, battery, car and meter."""
    return home(PV, BATTERY, EV, METER)


async def read(unit: ModbusUnit, address: int, count: int) -> list[int]:
    """Words of a unit through the in-memory transport."""
    answer = await unit.exchange(unit.unit, struct.pack(">BHH", 3, address, count))
    assert answer[:2] == bytes((3, 2 * count)), answer.hex()
    return list(struct.unpack(f">{count}H", answer[2:]))


async def write(unit: ModbusUnit, address: int, *words: int) -> bytes:
    """Writes words with function 16 through the in-memory transport; gives the answer PDU."""
    count = len(words)
    return await unit.exchange(unit.unit, struct.pack(f">BHHB{count}H", 16, address, count, 2 * count, *words))
