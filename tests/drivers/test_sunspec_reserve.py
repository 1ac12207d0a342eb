"""The reserve that a battery keeps by itself: SoCRsvMin of pysunspec2's model 802, else MinRsvPct of 124."""

import asyncio
import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import sunspec2.device

from cem.driver import Control, Device, DeviceConfig, Driver, DriverContext, Json, Refused, Resource, Role
from cem.driver.conformance import CHECKS
from cem_drivers.sunspec import DRIVER
from support.modbus_wire import (
    Registers,
    common_model,
    inverter_103,
    nameplate_120,
    storage_124,
    sunspec_map,
    wire_server,
)

RESERVE = Control.BATTERY_RESERVE_PCT
LINK: dict[str, str | int | float | bool] = {"host": "memory", "timeout_s": 0.2}
BATTERY = Resource("battery", Role.BATTERY, "dev", "Battery", controls=frozenset({RESERVE}))


def bank_802(**values: float) -> list[int]:
    """Model 802 as pysunspec2 writes it, per mille of charge; what is not named is not implemented."""
    model: Any = sunspec2.device.Model(802, data=b"\xff" * 2 * 64)
    model.points["SoC_SF"].value = -1
    for name, value in values.items():
        model.points[name].cvalue = value
    raw = model.get_mb(computed=False)
    words = list(struct.unpack(f">{len(raw) // 2}H", raw))
    words[0:2] = [802, len(words) - 2]
    return words


@dataclass
class Kept:
    """A place that outlives a device object."""

    rows: dict[str, Json] = field(default_factory=dict)

    async def load(self, key: str) -> Json:
        return self.rows.get(key)

    async def save(self, key: str, value: Json) -> None:
        self.rows[key] = value


class ReserveBench:
    """Satisfies cem.driver.conformance.Bench."""

    role = Role.BATTERY
    control = RESERVE
    values: Sequence[float] = (35.0, 20.5, 50.0)
    serial = "SN-1"
    driver: Driver = DRIVER

    def __init__(self, *storage: list[int]) -> None:
        self.registers = Registers()
        self.keep = Kept()
        self.now_s = 100.0
        models = [common_model(self.serial), inverter_103(0), nameplate_120(5000), *storage]
        sunspec_map(self.registers, models)
        address = 40002
        for words in models[:-1]:
            address += len(words)
        self.at = address + (10 if storage[-1][0] == 802 else 7)  # SoCRsvMin, MinRsvPct

    @property
    def held(self) -> int:
        return self.registers.words[self.at]

    def config(self, serial: str | None, read_only: bool = False) -> DeviceConfig:
        return DeviceConfig("dev", "Device", "sunspec", LINK, (BATTERY,), serial=serial, read_only=read_only)

    def device(self, config: DeviceConfig) -> Device:
        assert DRIVER.faults(config) == []
        context = DriverContext(lambda: self.now_s, pdu=lambda _link: self.registers, keep=self.keep)
        return DRIVER.device(config, context)

    def writes(self) -> Sequence[str]:
        return [pdu.hex() for pdu in self.registers.writes]

    def strays(self) -> Sequence[str]:
        own = {struct.pack(">BH", 6, self.at), struct.pack(">BHH", 16, self.at, 1)}
        return [pdu.hex() for pdu in self.registers.writes if own.isdisjoint({pdu[:3], pdu[:5]})]

    async def pass_s(self, seconds: float) -> None:
        self.now_s += seconds

    def silence(self, silent: bool) -> None:
        self.registers.silent = silent

    def refuse(self, refusing: bool) -> None:
        self.registers.refuses = frozenset({6, 16} if refusing else ())

    async def meddle(self, value: float) -> bool:
        self.registers.put(self.at, [round(10 * value)])
        return True


def bank_bench() -> ReserveBench:
    return ReserveBench(bank_802(SoC=60.0, WHRtg=10.0, SoCRsvMin=12.5, SocRsvMax=80.0))


def inverter_bench() -> ReserveBench:
    words = storage_124(5000)
    words[7], words[21] = 125, 0xFFFF  # 12.5 %
    return ReserveBench(words)


BENCHES = {"802": bank_bench, "124": inverter_bench}


def played(bench: ReserveBench, act: Callable[[Device], Awaitable[None]]) -> None:
    async def main() -> None:
        device = bench.device(bench.config(bench.serial))
        await device.open()
        await act(device)
        await device.close()

    asyncio.run(main())


@pytest.mark.parametrize("model", BENCHES)
@pytest.mark.parametrize("check", CHECKS)
def test_the_reserve_keeps_the_contract(check: str, model: str) -> None:
    bench = BENCHES[model]()
    asyncio.run(CHECKS[check](bench))  # type: ignore[arg-type]  # a coroutine function, typed as Awaitable
    assert bench.strays() == []


@pytest.mark.parametrize("model", BENCHES)
def test_a_release_gives_back_what_was_found_after_a_crash_too(model: str) -> None:
    bench = BENCHES[model]()

    async def write(device: Device) -> None:
        assert await device.write("battery", RESERVE, 35.0) == 35.0
        assert await device.write("battery", RESERVE, 40.0) == 40.0

    async def release(device: Device) -> None:
        assert await device.read_back("battery", RESERVE) == 40.0
        await device.release("battery", RESERVE)
        assert await device.read_back("battery", RESERVE) is None

    played(bench, write)
    assert bench.held == 400
    played(bench, release)
    assert bench.held == 125
    assert len(bench.writes()) == 3


def test_what_its_owner_set_meanwhile_is_left() -> None:
    bench = bank_bench()

    async def act(device: Device) -> None:
        await device.write("battery", RESERVE, 35.0)
        await bench.meddle(60.0)
        await device.release("battery", RESERVE)
        assert await device.read_back("battery", RESERVE) is None

    played(bench, act)
    assert bench.held == 600


def test_a_reserve_that_stands_already_is_not_written_and_still_ours_to_give_back() -> None:
    bench = bank_bench()

    async def act(device: Device) -> None:
        await device.write("battery", RESERVE, 12.5)
        assert await device.read_back("battery", RESERVE) == 12.5
        await device.release("battery", RESERVE)

    played(bench, act)
    assert bench.writes() == []


@pytest.mark.parametrize(("value", "said"), [(101.0, "0 to 100"), (-1.0, "0 to 100"), (85.0, "SocRsvMax, 80 %")])
def test_beyond_what_it_takes_it_is_refused_in_words(value: float, said: str) -> None:
    bench = bank_bench()

    async def act(device: Device) -> None:
        with pytest.raises(Refused, match=said):
            await device.write("battery", RESERVE, value)

    played(bench, act)
    assert bench.writes() == []
    assert bench.keep.rows == {}


def test_one_that_does_not_go_back_is_told() -> None:
    bench = bank_bench()

    async def act(device: Device) -> None:
        await device.write("battery", RESERVE, 35.0)
        bench.registers.ignores = frozenset({bench.at})
        with pytest.raises(Refused, match="does not go back"):
            await device.release("battery", RESERVE)
        assert await device.read_back("battery", RESERVE) == 35.0

    played(bench, act)


def test_without_a_point_for_it_the_control_is_not_offered() -> None:
    bench = ReserveBench(bank_802(SoC=60.0, WHRtg=10.0))

    async def act(device: Device) -> None:
        assert list(device.controls()) == []

    played(bench, act)


def test_over_real_bytes_pysunspec2_reads_what_was_set() -> None:
    bench = bank_bench()

    async def main() -> None:
        async with wire_server(bench.registers.respond) as server:
            config = replace(bench.config("SN-1"), link={"host": "127.0.0.1", "port": server.port, "timeout_s": 1.0})
            device = DRIVER.device(config, DriverContext(lambda: 100.0, keep=bench.keep))
            await device.open()
            await device.write("battery", RESERVE, 42.5)
            await device.close()

    asyncio.run(main())
    begin = bench.at - 10
    raw = struct.pack(">64H", *(bench.registers.words[begin + offset] for offset in range(64)))
    model: Any = sunspec2.device.Model(802, data=raw)
    assert (model.points["SoCRsvMin"].cvalue, model.points["SocRsvMax"].cvalue) == (42.5, 80.0)
    assert model.points["SoC"].cvalue == 60.0
