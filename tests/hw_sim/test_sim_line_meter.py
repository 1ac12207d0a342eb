"""The simulated meter that speaks by itself: two foreign readers understand it, and it fails as the time line says."""

import asyncio
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from dsmr_parser import telegram_specifications
from dsmr_parser.parsers import TelegramParser
from smllib.reader import SmlStreamReader

from hw_sim.devices.p1_text import crc16_arc
from hw_sim.devices.sml_frame import crc16_x25, server_id
from hw_sim.home import FaultKind, HomeError, parse_home
from hw_sim.lines import MemoryLine, PtyLineEndpoint, TcpLineEndpoint
from hw_sim.simulation import SimulatedHome
from support.meter_lines import metered_home
from support.sim_homes import HOUSE
from support.waiting import until


def _heard(home: SimulatedHome, steps: int = 3) -> list[bytes]:
    told: list[bytes] = []
    home.line("meter").listen(told.append, lambda _error: None)
    for _ in range(steps):
        home.step(1.0)
    home.line("meter").leave()
    return told


def test_check_sums_are_those_of_the_catalogue() -> None:
    assert crc16_arc(b"123456789") == 0xBB3D
    assert crc16_x25(b"123456789") == (0x906E).to_bytes(2, "little")


def test_dsmr_parser_reads_what_is_really_the_case() -> None:
    home = metered_home("p1.meter")
    telegram = TelegramParser(telegram_specifications.V5).parse(_heard(home)[-1].decode("ascii"))
    truth, phases = home.truth(), home.house.grid_phases_w
    taken, given = telegram.CURRENT_ELECTRICITY_USAGE, telegram.CURRENT_ELECTRICITY_DELIVERY
    assert (taken.unit, given.unit) == ("kW", "kW")
    assert 1000 * float(taken.value - given.value) == pytest.approx(truth.grid_w, abs=0.6)
    assert truth.grid_w < -1000
    given_l2 = telegram.INSTANTANEOUS_ACTIVE_POWER_L2_NEGATIVE
    assert 1000 * float(given_l2.value) == pytest.approx(-phases[1], abs=0.6)
    assert float(telegram.INSTANTANEOUS_VOLTAGE_L1.value) == 230.0
    assert 1000 * float(telegram.ELECTRICITY_DELIVERED_TARIFF_1.value) == pytest.approx(home.house.export_wh, abs=0.6)
    assert bytes.fromhex(telegram.EQUIPMENT_IDENTIFIER.value).decode() == home.serial("meter")


def test_smllib_reads_what_is_really_the_case() -> None:
    home = metered_home("sml.meter")
    stream = SmlStreamReader()
    stream.add(_heard(home)[-1])
    frame = stream.get_frame()
    assert frame is not None
    entries = {entry.obis.obis_code: entry for entry in frame.get_obis()}
    power = entries["1-0:16.7.0*255"]
    assert power.unit == 27
    assert power.get_value() == pytest.approx(home.truth().grid_w, abs=0.06)
    assert entries["1-0:56.7.0*255"].get_value() == pytest.approx(home.house.grid_phases_w[1], abs=0.06)
    assert entries["1-0:2.8.0*255"].get_value() == pytest.approx(home.house.export_wh, abs=0.06)
    assert entries["1-0:1.8.0*255"].status == 0x1C0904  # outward
    assert entries["1-0:96.1.0*255"].value == server_id(home.serial("meter")).hex()


def test_mode_d_has_seven_bits_and_even_parity() -> None:
    home = metered_home("d0.meter")
    (octets,) = _heard(home, 1)
    assert all(byte.bit_count() % 2 == 0 for byte in octets)
    text = bytes(byte & 0x7F for byte in octets).decode("ascii")
    told = re.search(r"^1-0:16\.7\.0\*255\(([-0-9.]+)\*W\)\r$", text, re.MULTILINE)
    assert told is not None
    assert float(told[1]) == pytest.approx(home.truth().grid_w, abs=0.006)
    assert text.endswith("\r\n!\r\n")


def test_it_speaks_every_second_or_as_seldom_as_it_is_told_to() -> None:
    assert len(_heard(metered_home(every_s=0), 20)) == 20
    assert len(_heard(metered_home(every_s=10), 20)) == 2


SENDS: dict[FaultKind, Callable[[bytes, bytes], bool]] = {
    "bad_crc": lambda octets, whole: len(octets) == len(whole) and octets != whole,
    "cut": lambda octets, whole: len(octets) < 0.8 * len(whole) and whole.startswith(octets[: len(octets) // 4]),
    "noise": lambda octets, whole: whole in octets and octets != whole,
    "garbage": lambda octets, whole: len(octets) == len(whole) and octets[:8] != whole[:8],
    "nan": lambda octets, _whole: b"1-0:1.7.0" not in octets,
    "no_pin": lambda octets, _whole: b"1-0:1.7.0" not in octets and b"1-0:1.8.1" in octets,
    "no_sign": lambda octets, _whole: b"1-0:1.7.0" not in octets and b"1-0:15.7.0" in octets,
    "stranger": lambda octets, whole: octets != whole and b"2D58)" in octets,
}


@pytest.mark.parametrize("kind", SENDS)
def test_a_fault_of_the_line_spoils_telegrams_until_it_ends(kind: FaultKind) -> None:
    home = metered_home("p1.meter")
    twin = metered_home("p1.meter")
    home.faults.inject("meter", kind)
    spoilt, whole = _heard(home), _heard(twin)
    assert len(spoilt) == len(whole) == 3
    assert all(SENDS[kind](one, other) for one, other in zip(spoilt[1:], whole[1:], strict=True))
    home.faults.clear("meter", kind)
    assert _heard(home)[-1] == _heard(twin)[-1]


@pytest.mark.parametrize("kind", ["silence", "disconnect"])
def test_a_silent_meter_says_nothing_and_a_pulled_adapter_is_told(kind: FaultKind) -> None:
    home, told, lost = metered_home(), list[bytes](), list[Exception]()
    home.line("meter").listen(told.append, lost.append)
    home.faults.inject("meter", kind)
    for _ in range(3):
        home.step(1.0)
    assert told == []
    assert len(lost) == (kind == "disconnect")
    home.faults.clear("meter", kind)
    home.step(1.0)
    if kind == "disconnect":
        home.line("meter").listen(told.append, lost.append)
    home.step(1.0)
    assert told


def test_frozen_values_stand_still_and_turned_clamps_change_the_sign() -> None:
    home = metered_home("d0.meter")
    home.faults.inject("meter", "freeze")
    home.step(1.0)
    frozen = _heard(home, 5)
    assert len(set(frozen)) == 1
    home = metered_home("d0.meter")
    home.faults.inject("meter", "sign")
    text = bytes(byte & 0x7F for byte in _heard(home)[-1]).decode("ascii")
    told = re.search(r"16\.7\.0\*255\(([-0-9.]+)\*W\)", text)
    assert told is not None
    assert float(told[1]) == pytest.approx(-home.truth().grid_w, abs=0.006)


def test_a_line_has_one_listener() -> None:
    line = MemoryLine()
    line.listen(lambda _data: None, lambda _error: None)
    with pytest.raises(ConnectionError, match="somebody else listens"):
        line.listen(lambda _data: None, lambda _error: None)


def test_a_terminal_carries_what_is_said_and_goes_and_comes_with_its_name(tmp_path: Path) -> None:
    async def main() -> None:
        line, path = MemoryLine(), tmp_path / "usb-meter"
        end = PtyLineEndpoint(line, path)
        for _ in range(2):
            await end.start()
            reader = os.open(path, os.O_RDONLY | os.O_NOCTTY)
            line.say(bytes(range(256)))
            assert os.read(reader, 1000) == bytes(range(256))
            for _ in range(100):
                line.say(b"x" * 1000)  # nobody reads: what does not fit is lost, and nothing blocks
            await end.stop()
            os.close(reader)
            assert not path.is_symlink()
            assert not end.listening

    asyncio.run(main())


def test_a_serial_server_takes_one_client_and_keeps_its_port() -> None:
    async def main() -> None:
        line = MemoryLine()
        end = TcpLineEndpoint(line, "127.0.0.1", 0)
        await end.start()
        port = end.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        second, other = await asyncio.open_connection("127.0.0.1", port)
        assert await second.read() == b""
        line.say(b"telegram")
        assert await reader.readexactly(8) == b"telegram"
        await end.stop()
        assert await reader.read() == b""
        writer.close()
        other.close()
        await end.start()
        assert end.port == port
        with socket.create_connection(("127.0.0.1", port), timeout=5) as again:
            again.setblocking(False)
            await until(lambda: end.busy)
            line.say(b"anew")
            await asyncio.sleep(0)
            assert await asyncio.get_running_loop().sock_recv(again, 4) == b"anew"
        await end.stop()

    asyncio.run(main())


def test_the_home_file_takes_a_name_for_a_terminal_only() -> None:
    device = '[[device]]\nid = "m"\nkind = "p1.meter"\ntty = "/tmp/x"\n'
    with pytest.raises(HomeError, match=r"device\.0\.tty: for line = 'pty' only"):
        parse_home(HOUSE + device, "test")
    assert parse_home(HOUSE + device + 'line = "pty"\n', "test").device[0].tty == "/tmp/x"
