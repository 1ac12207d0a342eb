"""pysunspec2's own device data on real bytes, with a proxy in between that spoils some of the answers."""

import asyncio
import random
import struct
import time

import pytest
from sunspec2.file.client import FileClientDevice

from cem.driver import DriverContext, Found
from cem_drivers.sunspec import DRIVER
from support.modbus_wire import Registers
from support.sunspec_images import recorded_device

FAULTS = ("silent", "late", "twice", "short", "half", "unit", "drop", "number")


def _image(device: FileClientDevice, base: int = 40000) -> Registers:
    registers = Registers()
    address = registers.put(base, [0x5375, 0x6E53])
    for model in device.model_list:
        raw = model.get_mb()
        words = list(struct.unpack(f">{len(raw) // 2}H", raw))
        words[0:2] = [model.model_id, len(words) - 2]
        address = registers.put(address, words)
    registers.put(address, [0xFFFF, 0])
    return registers


class SpoilingProxy:
    """Answers from registers; `share` of the answers are spoiled in one of the ways."""

    def __init__(self, registers: Registers, share: float, seed: int) -> None:
        self._registers = registers
        self._share = share
        self._chance = random.Random(seed)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readexactly(7)
                number, _, length, unit = struct.unpack(">HHHB", head)
                answer = self._registers.respond(unit, await reader.readexactly(length - 1))
                assert answer is not None
                whole = struct.pack(">HHHB", number, 0, len(answer) + 1, unit) + answer
                fault = self._chance.choice(FAULTS) if self._chance.random() < self._share else ""
                if fault == "drop":
                    return
                await self._send(writer, fault, whole, answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.transport.abort()

    async def _send(self, writer: asyncio.StreamWriter, fault: str, whole: bytes, answer: bytes) -> None:
        number, unit = struct.unpack_from(">H", whole)[0], whole[6]
        if fault == "late":
            await asyncio.sleep(0.15)
        short = answer[:1] + bytes((max(answer[1] - 2, 0),)) + answer[2:-2] if answer[0] < 0x80 else answer
        writer.write(
            {
                "silent": b"",
                "twice": whole * 2,
                "short": struct.pack(">HHHB", number, 0, len(short) + 1, unit) + short,
                "half": whole[: len(whole) // 2],
                "unit": whole[:6] + bytes((unit ^ 3,)) + whole[7:],
                "number": struct.pack(">H", number ^ 5) + whole[2:],
            }.get(fault, whole)
        )


async def _probed(registers: Registers, share: float, seed: int) -> list[Found]:
    proxy = SpoilingProxy(registers, share, seed)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    link = {"host": "127.0.0.1", "port": server.sockets[0].getsockname()[1], "unit": 1, "timeout_s": 0.1}
    try:
        return await DRIVER.probe(link, DriverContext(time.monotonic), 0.1)
    finally:
        server.close()
        await asyncio.sleep(0)


def _misread(found: Found, device: FileClientDevice) -> list[str]:
    """Points that are not what the device's file says."""
    faults: list[str] = []
    models = found.details["models"]
    assert isinstance(models, list)
    for entry in models:
        assert isinstance(entry, dict)
        number, points = entry["id"], entry.get("points", {})
        assert isinstance(number, int)
        assert isinstance(points, dict)
        truth = device.models[number][0].points
        for name, value in points.items():
            plain = name in truth and "." not in name
            expected = truth[name].cvalue if plain else None
            if expected is not None and value != expected and abs(float(str(value)) - float(expected)) > 1e-6:
                faults.append(f"{number}.{name}: {value}, not {expected}")
    return faults


@pytest.mark.parametrize("name", ["device_1547.json", "inverter_123.json"])
def test_a_recorded_device_is_read_whole(name: str) -> None:
    device = recorded_device(name)
    (found,) = asyncio.run(_probed(_image(device), 0.0, 1))
    models = found.details["models"]
    assert isinstance(models, list)
    assert [model["id"] for model in models if isinstance(model, dict)] == [m.model_id for m in device.model_list]
    assert found.identity.maker == device.models[1][0].Mn.value
    assert _misread(found, device) == []


@pytest.mark.parametrize("seed", range(6))
def test_behind_a_spoiling_proxy_it_is_never_misread(seed: int) -> None:
    device = recorded_device("device_1547.json")

    async def main() -> list[list[Found]]:
        shares = (0.1, 0.3, 0.9)
        return list(await asyncio.gather(*(_probed(_image(device), share, seed) for share in shares)))

    seldom, often, mostly = asyncio.run(main())
    for found in (*seldom, *often, *mostly):
        assert found.identity.serial in ("", device.models[1][0].SN.value)
        assert _misread(found, device) == []
    assert [found.identity.serial for found in seldom] == [device.models[1][0].SN.value]


class Deaf(Registers):
    """Registers that keep silent from an address on."""

    silent_from = 0x10000

    def respond(self, unit: int, pdu: bytes) -> bytes | None:
        return None if int.from_bytes(pdu[1:3]) >= self.silent_from else super().respond(unit, pdu)


@pytest.mark.parametrize(("silent_from", "told"), [(0x10000, None), (40225, "no answer at 40225")])
def test_a_map_that_could_not_be_read_on_is_told(silent_from: int, told: str | None) -> None:
    device = Deaf(_image(recorded_device("device_1547.json")).words)
    device.silent_from = silent_from
    context = DriverContext(time.monotonic, pdu=lambda _link: device)
    (found,) = asyncio.run(DRIVER.probe({"host": "memory", "unit": 1, "timeout_s": 0.1}, context, 0.1))
    advice = found.details.get("advice")
    assert (advice is None) is (told is None)
    assert told is None or (isinstance(advice, list) and str(advice[0]).startswith(told))
    assert _misread(found, recorded_device("device_1547.json")) == []
