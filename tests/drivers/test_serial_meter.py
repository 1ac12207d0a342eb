"""A meter on a line, under the driver and under its task: real terminals and sockets, and faults in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cem.driver import Device, NoAnswer, Reading, Role, WrongDevice
from cem.io.virtual import VirtualClock, run_virtual
from cem.model.setpoint import Health
from cem_drivers.serial import DRIVER
from cem_drivers.serial.device import SerialMeter
from hw_sim.home import FaultKind
from hw_sim.simulation import SimulatedHome
from support.driver_devices import serial_config
from support.meter_frames import SML, TEXT, Recorded
from support.meter_lines import REAL, memory_context, meter, metered_home, pty_line, tcp_line
from support.sim_homes import NOON
from support.supervised import supervised

MT175 = SML["iskra-mt175-giving"]
ED300L = SML["emh-ed300l-giving"]
DSMR5 = TEXT["iskra-dsmr5"]
LINK = {"device": "/dev/x"}


async def _power_w(device: Device) -> float:
    (power,) = [one for one in await device.poll() if one.point == "power_w"]
    assert isinstance(power.value, float)
    return power.value


async def _until_it_fails(device: Device, power_w: float) -> None:
    while True:
        assert await _power_w(device) == power_w
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(("one", "profile"), [(MT175, "sml.generic"), (DSMR5, "p1.dsmr")])
def test_a_meter_on_a_terminal_is_read_in_whatever_pieces_it_comes(tmp_path: Path, one: Recorded, profile: str) -> None:
    async def main() -> None:
        async with pty_line(tmp_path, one.octets) as line:
            for size in (1, 7, 64, 5000):
                line.piece = size
                device = meter(line.link, profile, one.serial)
                assert (await device.open()).serial == one.serial
                assert await _power_w(device) == one.expect["power_w"]
                await device.close()

    asyncio.run(main())


def test_a_meter_behind_a_serial_server_is_read_and_a_server_that_hangs_up_is_no_answer() -> None:
    async def main() -> None:
        async with tcp_line(MT175.octets) as line:
            device = meter(line.link, "sml.generic", MT175.serial)
            await device.open()
            assert await _power_w(device) == -4308.0
            await line.end.stop()
            with pytest.raises(NoAnswer, match=r"is gone .*Check the adapter"):
                await _until_it_fails(device, -4308.0)
            await device.close()
            with pytest.raises(
                NoAnswer, match=r"no connection to 127\.0\.0\.1:\d+ .*Check that the serial server runs"
            ):
                await device.open()
            await line.end.start()
            await device.open()
            assert await _power_w(device) == -4308.0
            await device.close()

    asyncio.run(main())


def test_an_adapter_that_is_pulled_out_and_put_back_is_read_again_by_itself(tmp_path: Path) -> None:
    async def main() -> None:
        async with pty_line(tmp_path, MT175.octets) as line:
            config = serial_config(line.link, Role.GRID, "sml.generic", MT175.serial)
            async with supervised(DRIVER.device(config, REAL), config, tmp_path) as run:
                await run.until(lambda: run.health is Health.ONLINE, 5)
                await line.end.stop()
                await run.until(lambda: run.health is Health.SILENT, 5)
                detail = run.board.health("dev").detail
                assert "no such port; adapters present" in detail or "is gone" in detail
                await line.end.start()
                await run.until(lambda: run.health is Health.ONLINE, 5)
                assert run.value("grid", "power_w") == -4308.0

    asyncio.run(main())


def test_a_second_reader_of_a_port_is_refused_in_words(tmp_path: Path) -> None:
    async def main() -> None:
        async with pty_line(tmp_path, MT175.octets) as line:
            first = meter(line.link, "sml.generic")
            await first.open()
            with pytest.raises(
                NoAnswer, match=r"dev reads .* already, and a line has one reader. Check the link tables"
            ):
                await meter(line.link, "sml.generic").open()
            by_another_name = tmp_path / "ttyUSB0"
            by_another_name.symlink_to((tmp_path / "usb-meter").resolve())
            with pytest.raises(NoAnswer, match="somebody else reads this port already"):
                await meter({"device": str(by_another_name)}, "sml.generic").open()
            assert await _power_w(first) == -4308.0
            await first.close()
            second = meter({"device": str(by_another_name)}, "sml.generic")
            await second.open()
            await second.close()

    asyncio.run(main())


def test_another_meter_on_the_line_is_the_wrong_device_once_it_speaks_twice(tmp_path: Path) -> None:
    async def main() -> None:
        async with pty_line(tmp_path, MT175.octets) as line:
            device = meter(line.link, "sml.generic", MT175.serial)
            await device.open()
            line.says = ED300L.octets
            with pytest.raises(WrongDevice, match=f"is {ED300L.serial}, not {MT175.serial}"):
                await _until_it_fails(device, -4308.0)
            await device.close()
            with pytest.raises(WrongDevice, match=f"is {ED300L.serial}, not {MT175.serial}"):
                await device.open()

    asyncio.run(main())


def test_a_meter_without_a_number_cannot_be_insisted_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with pty_line(tmp_path, TEXT["sagemcom-estonia"].octets) as line:
            with pytest.raises(WrongDevice, match=r"tells no number, and 4711 is insisted on\. Leave 'serial' out"):
                await meter(line.link, "p1.dsmr", "4711").open()
            device = meter(line.link, "p1.dsmr")
            assert (await device.open()).serial == ""
            assert await _power_w(device) == 286.0
            await device.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("octets", "profile", "advice"),
    [
        (MT175.octets, "sml.generic", []),
        (SML["iskra-mt631-without-pin"].octets, "sml.generic", ["enter its PIN"]),
        (DSMR5.octets, "p1.dsmr", []),
        (TEXT["easymeter-q3d"].octets, "d0.push", []),
    ],
)
def test_listening_tells_the_profile_and_what_the_owner_has_to_do(
    tmp_path: Path, octets: bytes, profile: str, advice: list[str]
) -> None:
    async def main() -> None:
        async with pty_line(tmp_path, octets) as line, tcp_line(octets) as server:
            for link in (line.link, server.link):
                (found,) = await DRIVER.probe(
                    {**link, "kind": "serial" if link is line.link else "serial-tcp"}, REAL, 1
                )
                assert (found.driver, found.profile) == ("serial", profile)
                assert found.confidence == (0.8 if profile == "d0.push" else 0.95)
                told = found.details["advice"]
                assert isinstance(told, list)
                assert len(told) == len(advice)
                assert all(words in str(line) for words, line in zip(advice, told, strict=True))
                config = serial_config(found.link, Role.GRID, profile, found.identity.serial)
                assert DRIVER.faults(config) == []

    asyncio.run(main())


# --- faults in virtual time ------------------------------------------------------------------------------------

Act = Callable[[SimulatedHome, SerialMeter, VirtualClock], Awaitable[None]]


def _play(act: Act, kind: str = "sml.meter", profile: str = "sml.generic", every_s: float = 1.0) -> None:
    async def main(clock: VirtualClock) -> None:
        home = metered_home(kind, every_s)
        running = asyncio.create_task(home.run())
        device = DRIVER.device(serial_config(LINK, Role.GRID, profile), memory_context(home, clock.monotonic))
        assert isinstance(device, SerialMeter)
        try:
            await act(home, device, clock)
        finally:
            await device.close()
            running.cancel()
            await asyncio.wait([running])

    run_virtual(main, NOON)


async def _power(device: Device) -> Reading:
    (power,) = [one for one in await device.poll() if one.point == "power_w"]
    return power


def test_a_meter_that_speaks_every_ten_seconds_is_opened_in_one_go(tmp_path: Path) -> None:
    async def act(home: SimulatedHome, device: SerialMeter, clock: VirtualClock) -> None:
        await asyncio.sleep(1.5)  # it has just spoken
        config = serial_config(LINK, Role.GRID, "p1.dsmr")
        async with supervised(device, config, tmp_path, clock) as run:
            await asyncio.sleep(10.0)
            assert run.health is Health.ONLINE
            await asyncio.sleep(60.0)
            assert run.health is Health.ONLINE
            assert run.value("grid", "power_w", 10.5) == pytest.approx(home.truth().grid_w, abs=20)

    _play(act, "p1.meter", "p1.dsmr", 10.0)


def test_age_counts_from_arrival_and_silence_is_no_answer() -> None:
    async def act(home: SimulatedHome, device: SerialMeter, clock: VirtualClock) -> None:
        await device.open()
        await asyncio.sleep(3)
        assert clock.monotonic() - (await _power(device)).taken_at_s <= 1.0
        home.faults.inject("meter", "silence")
        await asyncio.sleep(4)
        assert 3.0 <= clock.monotonic() - (await _power(device)).taken_at_s <= 5.0
        await asyncio.sleep(3)
        with pytest.raises(NoAnswer, match=r"no whole telegram from /dev/x in [678] s .*Check baud rate and profile"):
            await device.poll()
        with pytest.raises(NoAnswer, match=r"nothing came from /dev/x in 12 s. Check that the head sits on"):
            await device.open()
        home.faults.clear("meter", "silence")
        await device.open()

    _play(act)


def test_listening_to_silence_finds_nothing_and_to_garbage_says_so() -> None:
    async def act(home: SimulatedHome, device: SerialMeter, clock: VirtualClock) -> None:
        context = memory_context(home, clock.monotonic)
        home.faults.inject("meter", "garbage")
        await asyncio.sleep(1)
        began_s = clock.monotonic()
        with pytest.raises(NoAnswer, match=r"bytes come, but no whole telegram in them .* or an encrypted one"):
            await DRIVER.probe({"kind": "serial", "device": "/dev/x"}, context, 1)
        assert clock.monotonic() - began_s < 13
        home.faults.inject("meter", "silence")
        await asyncio.sleep(1)
        assert await DRIVER.probe({"kind": "serial", "device": "/dev/x"}, context, 1) == []
        home.faults.inject("meter", "disconnect")
        await asyncio.sleep(1)
        with pytest.raises(NoAnswer, match="no such line"):
            await DRIVER.probe({"kind": "serial", "device": "/dev/x"}, context, 1)

    _play(act)


@pytest.mark.parametrize("kind", ["bad_crc", "cut", "garbage"])
@pytest.mark.parametrize(("dialect", "profile"), [("sml.meter", "sml.generic"), ("p1.meter", "p1.dsmr")])
def test_damaged_telegrams_leave_the_last_reading_to_age_and_are_told(
    dialect: str, profile: str, kind: FaultKind
) -> None:
    async def act(home: SimulatedHome, device: SerialMeter, clock: VirtualClock) -> None:
        await device.open()
        await asyncio.sleep(2)
        last = await _power(device)
        home.faults.inject("meter", kind)
        for _ in range(3):
            await asyncio.sleep(1)
            assert (await _power(device)).taken_at_s <= last.taken_at_s + 1.0
        await asyncio.sleep(6)
        with pytest.raises(NoAnswer, match="no whole telegram"):
            await device.poll()
        await asyncio.sleep(60)
        told = device.complaint
        assert (told is not None and "came damaged and were dropped" in told.says) is (kind != "garbage")
        home.faults.clear("meter", kind)
        await asyncio.sleep(3)
        assert (await _power(device)).value == pytest.approx(home.truth().grid_w, abs=20)
        await asyncio.sleep(80)
        assert device.complaint is None

    _play(act, dialect, profile)


def test_noise_between_telegrams_costs_nothing() -> None:
    async def act(home: SimulatedHome, device: SerialMeter, clock: VirtualClock) -> None:
        await device.open()
        home.faults.inject("meter", "noise")
        for _ in range(30):
            await asyncio.sleep(1)
            power = await _power(device)
            assert clock.monotonic() - power.taken_at_s <= 1.0
            assert power.value == pytest.approx(home.truth().grid_w, abs=20)

    for dialect, profile in (("sml.meter", "sml.generic"), ("p1.meter", "p1.dsmr")):
        _play(act, dialect, profile)


@pytest.mark.parametrize(
    ("kind", "words"), [("no_pin", "Enter its PIN"), ("no_sign", "without a direction that could be trusted")]
)
def test_a_meter_that_tells_no_power_or_no_sign_gives_none_and_the_owner_is_told(kind: FaultKind, words: str) -> None:
    async def act(home: SimulatedHome, device: SerialMeter, clock: VirtualClock) -> None:
        await device.open()
        await asyncio.sleep(2)
        before = await _power(device)
        home.faults.inject("meter", kind)
        await asyncio.sleep(10)
        power = await _power(device)
        points = {one.point for one in await device.poll()}
        assert {"import_wh", "export_wh"} <= points
        if kind == "no_pin":
            assert power.value is None
        else:
            assert power.taken_at_s <= before.taken_at_s + 1.0  # it stands, and ages
        assert device.complaint is not None
        assert words in f"{device.complaint.says} {device.complaint.do}"
        home.faults.clear("meter", kind)
        await asyncio.sleep(2)
        assert (await _power(device)).value == pytest.approx(home.truth().grid_w, abs=20)
        assert device.complaint is None

    _play(act)


def test_a_meter_in_front_of_the_roof_tells_generation_as_negative_and_can_be_turned_round() -> None:
    octets = SML["dzg-dvs7420-giving"].octets

    async def main() -> None:
        async with tcp_line(octets) as line:
            device = meter(line.link, "sml.generic", "1DZG0060694611", Role.PV)
            await device.open()
            points = {one.point: one.value for one in await device.poll()}
            assert points == {"power_w": -105.5, "energy_wh": 1500321.3}
            await device.close()
            device = meter({**line.link, "meter_sign": -1}, "sml.generic", "1DZG0060694611", Role.PV)
            await device.open()
            points = {one.point: one.value for one in await device.poll()}
            assert points == {"power_w": 105.5, "energy_wh": 13232.9}
            await device.close()

    asyncio.run(main())


def test_a_device_table_is_checked_offline() -> None:
    def faults(link: dict[str, str | int | float | bool], profile: str = "sml.generic", role: Role = Role.GRID) -> str:
        return "\n".join(DRIVER.faults(serial_config(link, role, profile)))

    assert faults({"device": "/dev/ttyUSB0", "baud": 9600}) == ""
    assert faults({"host": "192.0.2.7", "port": 2001, "meter_sign": -1}) == ""
    assert faults({"device": "/dev/ttyUSB0"}, role=Role.PV) == ""
    assert "link.device: missing" in faults({})
    assert "link.port: missing" in faults({"host": "192.0.2.7"})
    assert "link.baud: unknown key" in faults({"host": "192.0.2.7", "port": 2001, "baud": 9600})
    assert "link.meter_sign: 0; 1, or -1" in faults({"device": "/dev/ttyUSB0", "meter_sign": 0})
    assert "no profile 'sml.generik'; did you mean 'sml.generic'?" in faults({"device": "/dev/x"}, "sml.generik")
    assert "resources[0].role: battery is none of grid, pv" in faults({"device": "/dev/x"}, role=Role.BATTERY)
