"""Finding models: everything that can be forgiven is forgiven."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cem.driver import BadAnswer, DriverContext, NoAnswer, Refused
from cem_drivers.modbus import Bus, open_bus
from cem_drivers.sunspec.scan import BASES, Map, scan
from support.modbus_wire import (
    Registers,
    common_model,
    controls_123,
    inverter_103,
    meter_203,
    model_words,
    nameplate_120,
    sunspec_map,
)


def _scan(registers: Registers, base: int | None = None) -> list[Map]:
    async def main() -> list[Map]:
        bus = open_bus({"host": "memory", "port": 502}, DriverContext(time.monotonic, pdu=lambda _link: registers))
        try:
            return await scan(bus, base)
        finally:
            bus.close()

    return asyncio.run(main())


def _ids(device: Map) -> list[int]:
    return [model.id for model in device.models]


@pytest.mark.parametrize("base", BASES)
def test_every_known_base_is_found(base: int) -> None:
    registers = Registers()
    sunspec_map(registers, [common_model("SN-1"), inverter_103(100)], base)
    (device,) = _scan(registers)
    assert _ids(device) == [1, 103]
    assert (device.identity.maker, device.identity.serial, device.identity.version) == ("Maker", "SN-1", "1.2")


def test_a_configured_base_is_the_only_one_tried() -> None:
    registers = Registers()
    sunspec_map(registers, [common_model("SN-1")], 40000)
    sunspec_map(registers, [common_model("SN-2")], 2000)
    assert _scan(registers, 2000)[0].identity.serial == "SN-2"
    assert _scan(registers, 3000) == []


def test_an_unknown_model_is_passed_over() -> None:
    registers = Registers()
    odd = model_words(64999, 17, {})
    sunspec_map(registers, [common_model("SN-1"), odd, inverter_103(1), model_words(50000, 0, {}), controls_123()])
    assert _ids(_scan(registers)[0]) == [1, 64999, 103, 50000, 123]


@pytest.mark.parametrize("length", [65, 66, 67])
def test_the_length_of_the_device_wins(length: int) -> None:
    registers = Registers()
    sunspec_map(registers, [common_model("SN-1", length=length), inverter_103(1)])
    assert _ids(_scan(registers)[0]) == [1, 103]


def test_a_missing_end_marker_is_normal() -> None:
    registers = Registers()
    sunspec_map(registers, [common_model("SN-1"), inverter_103(1), nameplate_120(8000)], end=False)
    assert _ids(_scan(registers)[0]) == [1, 103, 120]


def test_a_map_that_ends_in_silence_ends_there() -> None:
    registers = Registers()
    sunspec_map(registers, [common_model("SN-1"), inverter_103(1)], end=False)
    full = registers.respond

    class Quiet(Registers):
        def respond(self, unit: int, pdu: bytes) -> bytes | None:
            answer = full(unit, pdu)
            return None if answer is not None and answer[0] & 0x80 and pdu[1:3] > b"\x9c\x40" else answer

    assert _ids(_scan(Quiet())[0]) == [1, 103]


def test_several_common_models_are_several_devices() -> None:
    registers = Registers()
    sunspec_map(registers, [common_model("SN-1"), inverter_103(1), common_model("M-7", "Meter"), meter_203(5)])
    devices = _scan(registers)
    assert [device.identity.serial for device in devices] == ["SN-1", "M-7"]
    assert [_ids(device) for device in devices] == [[1, 103], [1, 203]]


def test_a_unit_without_a_map_has_no_devices() -> None:
    registers = Registers()
    registers.put(0, [1, 2, 3])
    assert _scan(registers) == []


def test_a_dead_unit_is_no_answer() -> None:
    registers = Registers(silent=True)
    with pytest.raises(NoAnswer):
        _scan(registers)


@dataclass
class Noisy(Registers):
    """Some answers come cut off."""

    damaged: int = 0

    def respond(self, unit: int, pdu: bytes) -> bytes | None:
        answer = super().respond(unit, pdu)
        if answer is None or answer[0] & 0x80 or self.damaged <= 0:
            return answer
        self.damaged -= 1
        return answer[:-1]


def test_noise_where_the_map_lies_is_no_missing_map() -> None:
    registers = Noisy(damaged=1000)
    sunspec_map(registers, [common_model("SN-1")])
    with pytest.raises(BadAnswer):
        _scan(registers)
    registers.damaged = 1
    assert _scan(registers)[0].identity.serial == "SN-1"


@dataclass
class Occupied(Registers):
    """Says of some requests that it is busy."""

    busy: range = range(0)
    asked: int = 0

    def respond(self, unit: int, pdu: bytes) -> bytes | None:
        self.asked += 1
        return bytes((pdu[0] | 0x80, 6)) if self.asked - 1 in self.busy else super().respond(unit, pdu)


def test_a_device_that_is_busy_is_no_device_without_a_map() -> None:
    registers = Occupied(busy=range(1000))
    sunspec_map(registers, [common_model("SN-1")])
    with pytest.raises(Refused) as caught:
        _scan(registers)
    assert caught.value.code == 6


@pytest.mark.parametrize("nth", range(6))
def test_being_busy_once_neither_ends_a_map_nor_takes_its_name(nth: int) -> None:
    registers = Occupied(busy=range(nth, nth + 1))
    sunspec_map(registers, [common_model("SN-1"), inverter_103(1), nameplate_120(8000)])
    (device,) = _scan(registers)
    assert (_ids(device), device.identity.serial) == ([1, 103, 120], "SN-1")
    assert registers.asked > nth


def test_a_map_that_leads_in_a_circle_or_out_of_the_address_space_ends() -> None:
    registers = Registers()
    sunspec_map(registers, [common_model("SN-1"), model_words(9999, 0, {}), [103, 65000]], end=False)
    assert _ids(_scan(registers)[0]) == [1, 9999]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 0xFFFF), min_size=80, max_size=200))
def test_no_register_image_breaks_the_scanner(words: list[int]) -> None:
    registers = Registers()
    registers.put(40000, [0x5375, 0x6E53, *words])
    work: Callable[[Bus], Awaitable[list[Map]]] = scan

    async def main() -> list[Map] | None:
        bus = open_bus({"host": "memory", "port": 502}, DriverContext(time.monotonic, pdu=lambda _link: registers))
        try:
            return await work(bus)
        except (Refused, BadAnswer, NoAnswer):
            return None
        finally:
            bus.close()

    devices = asyncio.run(main())
    assert devices is None or all(model.id != 1 for device in devices for model in device.models[1:])
