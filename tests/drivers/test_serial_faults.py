"""F10, F11 on a serial line: noise makes no wrong value and is told; a pulled adapter is found by its lasting name."""

import asyncio
import os
import random
from pathlib import Path

from cem.driver import DeviceConfig, DriverContext, Resource, Role
from cem.model.setpoint import Health
from cem_drivers.modbus.rtu import framed
from cem_drivers.profiled.catalogue import parse_profile
from cem_drivers.profiled.device import ProfiledDevice
from cem_drivers.profiles.store import shipped_texts
from support.profile_image import ProfileImage, image_of
from support.serial_line import SerialLine, serial_line
from support.supervised import supervised

TEXT = shipped_texts(mqtt=False)["eastron.sdm630"].replace("fast = { period_s = 1,", "fast = { period_s = 0.1,")
POWER_W = 1234.0
BACK_S = 30.0


def _meter(line: SerialLine) -> tuple[ProfiledDevice, DeviceConfig]:
    profile, faults = parse_profile(TEXT)
    assert profile is not None, faults
    link: dict[str, str | int | float | bool] = {"kind": "rtu", "device": str(line.device), "timeout_s": 0.1}
    resource = Resource("grid", Role.GRID, "meter", "Meter")
    config = DeviceConfig("meter", "Meter", "modbus", link, (resource,), profile.id, poll_s=0.1)
    loop = asyncio.get_running_loop()
    return ProfiledDevice(config, profile.model_copy(update={"status": "documented"}), DriverContext(loop.time)), config


def _image() -> ProfileImage:
    image = image_of(TEXT)
    image.put("grid.power_w", POWER_W)
    return image


def test_noise_makes_no_wrong_value_and_no_failed_driver_and_is_told(tmp_path: Path) -> None:
    chance, image, damaged = random.Random(3), _image(), 0

    def noisy(unit: int, pdu: bytes) -> bytes | None:
        nonlocal damaged
        answer = image.respond(unit, pdu)
        assert answer is not None
        whole = bytearray(framed(unit, answer))
        if chance.random() < 0.1:
            damaged += 1
            at = chance.randrange(len(whole))
            if chance.random() < 0.5:
                whole[at] ^= 1 << chance.randrange(8)
            else:
                del whole[at]
        if chance.random() < 0.2:
            whole[:0] = chance.randbytes(chance.randrange(1, 4))
        return bytes(whole)

    async def main() -> None:
        async with serial_line(tmp_path, noisy) as line:
            device, config = _meter(line)
            async with supervised(device, config, tmp_path) as meter:
                seen: set[object] = set()

                def told() -> bool:
                    assert meter.health is not Health.FAULT, meter.board.devices()
                    seen.add(meter.value("grid", "power_w"))
                    return bool(meter.task.quality.trouble())

                await meter.until(told, 60.0)
                assert damaged >= 3
                assert seen <= {None, POWER_W}
                assert POWER_W in seen
                assert "readings failed" in meter.task.quality.trouble()
                line.answer = lambda unit, pdu: framed(unit, image.respond(unit, pdu) or b"")
                await meter.until(lambda: not meter.task.quality.trouble() and meter.health is Health.ONLINE, 60.0)

    asyncio.run(main())


def test_an_adapter_that_comes_back_under_another_number_is_found_by_its_lasting_name(tmp_path: Path) -> None:
    image = _image()

    async def main() -> None:
        async with serial_line(tmp_path, lambda unit, pdu: framed(unit, image.respond(unit, pdu) or b"")) as line:
            device, config = _meter(line)
            async with supervised(device, config, tmp_path) as meter:
                await meter.until(lambda: meter.value("grid", "power_w") == POWER_W, 10.0)
                first = os.readlink(line.device)
                line.pull_out()
                await meter.until(lambda: meter.health is Health.SILENT, 10.0)
                taken = os.openpty()  # the old number belongs to another adapter now
                image.put("grid.power_w", POWER_W + 1.0)
                line.plug_in()
                assert os.readlink(line.device) != first
                await meter.until(lambda: meter.value("grid", "power_w") == POWER_W + 1.0, BACK_S)
                assert meter.health is Health.ONLINE
                for end in taken:
                    os.close(end)

    asyncio.run(main())
