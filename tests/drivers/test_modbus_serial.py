"""RTU over real pseudo terminals: pieces, noise, damage, a second master, and an adapter pulled out."""

import asyncio
import random
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem.driver import BadAnswer, DeviceError, DriverContext, NoAnswer, serial_ports
from cem_drivers.modbus import Bus, open_bus
from cem_drivers.modbus.rtu import crc16, find_answer, framed, gap_s
from support.serial_line import SerialLine, counting, serial_line

CONTEXT = DriverContext(time.monotonic)


def _bus(line: SerialLine, unit: int = 1, timeout_s: float = 0.15) -> Bus:
    link: dict[str, str | int | float | bool] = {
        "kind": "rtu",
        "device": str(line.device),
        "baud": 115_200,
        "unit": unit,
        "slowest_answer_s": 0.2,
    }
    return open_bus({**link, "timeout_s": timeout_s}, CONTEXT)


async def _value(bus: Bus, address: int) -> int:
    return int(struct.unpack(">H", await bus.read(address, 1))[0])


def test_the_checksum_is_that_of_the_specification() -> None:
    assert crc16(bytes.fromhex("0207")) == 0x1241  # clause 6.2.2: sent as 41 12
    assert framed(2, b"\x07").hex() == "02074112"


GAPS = [(9600, 35 / 9600), (19_200, 35 / 19_200), (38_400, 0.00175)]


@pytest.mark.parametrize(("baud", "expected"), GAPS)
def test_the_gap_is_three_and_a_half_characters_or_fixed_above_19200_baud(baud: int, expected: float) -> None:
    assert gap_s(baud) == pytest.approx(expected)


@given(st.binary(max_size=4), st.binary(min_size=2, max_size=2), st.integers(0, 20))
def test_an_answer_is_found_behind_noise_and_never_before_it_is_whole(noise: bytes, value: bytes, missing: int) -> None:
    pdu, answer = b"\x03\x00\x07\x00\x01", framed(17, b"\x03\x02" + value)
    whole = noise + answer
    found = find_answer(whole, 17, pdu)
    assert found is not None
    assert found.pdu == b"\x03\x02" + value or len(noise) > 0
    cut = min(missing, len(answer))
    if cut and not noise:
        assert find_answer(whole[: len(whole) - cut], 17, pdu) is None


@given(st.binary(max_size=40))
def test_random_bytes_are_not_an_answer(data: bytes) -> None:
    try:
        found = find_answer(data, 17, b"\x03\x00\x07\x00\x05")
    except BadAnswer:
        return
    assert found is None


def test_pieces_split_anywhere_make_whole_answers(tmp_path: Path) -> None:
    async def main() -> None:
        async with serial_line(tmp_path, counting) as line:
            bus = _bus(line, timeout_s=0.5)
            size = 5 + 2 * 3
            for cut in range(1, size):
                line.pieces = lambda whole, cut=cut: [whole[:cut], whole[cut:]]  # type: ignore[misc]
                assert await bus.read(cut, 3) == struct.pack(">3H", *(1000 + cut + at for at in range(3)))
            line.pieces = lambda whole: [bytes((byte,)) for byte in whole]
            assert await _value(bus, 5) == 1005
            assert bus.link.statistics.errors == 0
            bus.close()

    asyncio.run(main())


def test_noise_in_front_and_behind_is_forgiven(tmp_path: Path) -> None:
    async def main() -> None:
        async with serial_line(tmp_path, lambda unit, pdu: b"\x00\xff" + counting(unit, pdu) + b"\x00") as line:
            bus = _bus(line)
            assert [await _value(bus, address) for address in range(5)] == [1000, 1001, 1002, 1003, 1004]
            assert bus.link.statistics.errors == 0
            bus.close()

    asyncio.run(main())


@pytest.mark.parametrize("damage", ["checksum", "missing", "garbage", "unit", "function", "count"])
def test_a_damaged_answer_is_an_error_and_the_next_one_is_right(tmp_path: Path, damage: str) -> None:
    def damaged(unit: int, pdu: bytes) -> bytes:
        whole = counting(unit, pdu)
        return {
            "checksum": whole[:-1] + bytes((whole[-1] ^ 1,)),
            "missing": whole[:3] + whole[4:],
            "garbage": bytes(range(30, 60)),
            "unit": counting(unit + 1, pdu),
            "function": framed(unit, b"\x04" + whole[2:-2]),
            "count": framed(unit, b"\x03\x04" + whole[3:-2] + b"\x00\x00"),
        }[damage]

    async def main() -> None:
        async with serial_line(tmp_path, damaged) as line:
            bus = _bus(line)
            with pytest.raises(DeviceError):
                await _value(bus, 7)
            line.answer = counting
            assert await _value(bus, 8) == 1008
            assert len(line.asked) == 2  # never asked again by itself
            bus.close()

    asyncio.run(main())


def test_a_late_answer_is_drained_and_the_port_stays_open(tmp_path: Path) -> None:
    async def main() -> None:
        async with serial_line(tmp_path, lambda _unit, _pdu: None) as line:
            bus = _bus(line)
            with pytest.raises(NoAnswer):
                await _value(bus, 7)
            asyncio.get_running_loop().call_later(0.03, line.say, counting(1, b"\x03\x00\x07\x00\x01"))
            line.answer = counting
            assert await _value(bus, 8) == 1008
            seen = bus.link.statistics
            assert (seen.late, seen.opened) == (1, 1)
            bus.close()

    asyncio.run(main())


def test_a_second_master_never_makes_a_wrong_value(tmp_path: Path) -> None:
    chance = random.Random(7)
    spoken = 0

    async def chatter(line: SerialLine, stop: asyncio.Event) -> None:
        """Asks the same unit for as many registers as we do, at any moment."""
        nonlocal spoken
        while not stop.is_set():
            question = struct.pack(">BHH", 3, 500 + chance.randrange(99), 1)
            line.say(framed(1, question))
            spoken += 1
            await asyncio.sleep(0.01)
            line.say(counting(1, question))
            await asyncio.sleep(chance.uniform(0.05, 0.3))

    async def main() -> None:
        async with serial_line(tmp_path, counting) as line:
            bus = _bus(line)
            stop = asyncio.Event()
            other = asyncio.create_task(chatter(line, stop))
            right = errors = address = 0
            while spoken < 20:  # enough to meet in every way: before our question, during it, behind the answer
                address = (address + 1) % 400
                try:
                    assert await _value(bus, address) == 1000 + address
                    right += 1
                except DeviceError:
                    errors += 1
                    await asyncio.sleep(0.01)
            stop.set()
            await other
            assert errors > 0  # they did meet
            assert right > errors
            await asyncio.sleep(0)
            assert await _value(bus, 77) == 1077
            bus.close()

    asyncio.run(main())


def test_an_adapter_that_was_pulled_out_comes_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with serial_line(tmp_path, counting) as line:
            bus = _bus(line)
            assert await _value(bus, 1) == 1001
            line.pull_out()
            with pytest.raises(NoAnswer, match="no connection"):
                await _value(bus, 2)
            with pytest.raises(NoAnswer, match="adapters present"):
                await _value(bus, 3)
            line.plug_in()
            assert await _value(bus, 4) == 1004
            assert bus.link.statistics.opened == 2
            bus.close()

    asyncio.run(main())


def test_two_units_share_the_line_with_one_question_at_a_time(tmp_path: Path) -> None:
    async def main() -> None:
        async with serial_line(tmp_path, counting) as line:
            buses = [_bus(line, unit) for unit in (1, 2)]
            values = await asyncio.gather(*(_value(bus, at) for at in range(10) for bus in buses))
            assert values == [bus.unit * 1000 + at for at in range(10) for bus in buses]
            assert buses[0].link is buses[1].link
            for bus in buses:
                bus.close()

    asyncio.run(main())


def test_adapters_are_found_by_their_lasting_names(tmp_path: Path) -> None:
    (tmp_path / "usb-FTDI_A1-if00-port0").touch()
    (tmp_path / "usb-CH340-if00-port0").touch()
    assert [Path(name).name for name in serial_ports(tmp_path)] == ["usb-CH340-if00-port0", "usb-FTDI_A1-if00-port0"]
    assert serial_ports(tmp_path / "nowhere") == []
