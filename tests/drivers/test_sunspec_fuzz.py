"""No register image makes the scanner crash, hang or misread; pysunspec2 agrees wherever it accepts the image."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cem.driver import DriverContext, Found
from cem_drivers.sunspec import DRIVER
from cem_drivers.sunspec.definition import definition
from support.modbus_wire import Registers, common_model, inverter_103, meter_203, nameplate_120, sunspec_map
from support.sunspec_images import disagreement, images, other_reading

RELAXED = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=60)


@dataclass
class Wire:
    """Registers behind a counted in-memory link, silent about holes where asked to be."""

    registers: Registers
    silent_holes: bool = False
    asked: int = 0
    silences: int = 0

    async def exchange(self, unit: int, pdu: bytes) -> bytes:
        self.asked += 1
        answer = self.registers.respond(unit, pdu)
        if answer is None or (self.silent_holes and answer[0] & 0x80):
            self.silences += 1
            raise TimeoutError
        return answer


def _probe(wire: Wire) -> list[Found]:
    context = DriverContext(time.monotonic, pdu=lambda _link: wire)
    return asyncio.run(DRIVER.probe({"host": "memory"}, context, 0.1))


def _models(found: list[Found]) -> list[dict[str, object]]:
    models: list[dict[str, object]] = []
    for device in found:
        seen = device.details["models"]
        assert isinstance(seen, list)
        models += [dict(model) for model in seen if isinstance(model, dict)]
    return models


@RELAXED
@given(images(faulty=False))
def test_a_sound_image_reads_as_pysunspec2_reads_it(image: tuple[Registers, int]) -> None:
    registers, _ = image
    theirs = other_reading(registers)
    ours = _models(_probe(Wire(registers)))
    assert [model["address"] for model in ours] == sorted(theirs) or not theirs
    _compare(ours, theirs)


def _compare(ours: list[dict[str, object]], theirs: dict[int, Any]) -> None:
    faults: list[str] = []
    for model in ours:
        address, number = model["address"], model["id"]
        assert isinstance(address, int)
        assert isinstance(number, int)
        other, known = theirs.get(address), definition(number)
        if other is None or known is None or "points" not in model or other.error_info:
            continue
        points = model["points"]
        assert isinstance(points, dict)
        read = other.points
        scales = {name: point.value for name, point in read.items() if name.endswith("_SF")}
        for point in known.fixed[2:]:
            if point.type in ("pad", "sunssf") or point.name not in read:
                continue
            fault = disagreement(point, points.get(point.name), read[point.name].cvalue, scales)
            if fault is not None:
                faults.append(f"model {number}: {fault}")
    assert faults == []


@RELAXED
@given(images(faulty=True), st.booleans())
def test_a_faulty_image_is_read_as_far_as_it_goes(image: tuple[Registers, int], silent_holes: bool) -> None:
    registers, base = image
    wire = Wire(registers, silent_holes)
    ours = _models(_probe(wire))
    assert wire.silences <= 40
    assert wire.asked < 4000
    assert registers.writes == []
    for model in ours:
        address = model["address"]
        assert isinstance(address, int)
        assert base < address <= 0xFFFF
        assert registers.words.get(address) == model["id"]
    if not silent_holes:
        _compare(ours, other_reading(registers))


@pytest.mark.parametrize("silent_holes", [False, True])
@pytest.mark.parametrize("longest", [125, 100, 64, 50, 30, 10, 5])
def test_a_device_that_answers_short_reads_only_is_read_whole(longest: int, silent_holes: bool) -> None:
    registers = Registers(longest_read=longest)
    sunspec_map(registers, [common_model("SN-1"), inverter_103(4200), nameplate_120(8000), meter_203(5)])
    (found,) = _probe(Wire(registers, silent_holes))
    assert found.identity.serial == ("SN-1" if longest >= 68 else found.identity.serial)
    if not silent_holes:
        assert found.identity.serial == "SN-1"
        read = {model["id"]: model["points"] for model in _models([found])}
        assert read[103]["W"] == 4200.0  # type: ignore[index]
        assert read[203]["W"] == 5.0  # type: ignore[index]
        assert read[120]["WRtg"] == 8000.0  # type: ignore[index]


@pytest.mark.parametrize("silent_holes", [False, True])
def test_a_hole_takes_its_own_point_only(silent_holes: bool) -> None:
    registers = Registers()
    sunspec_map(registers, [common_model("SN-1"), inverter_103(4200), nameplate_120(8000)])
    at = 40002 + 68
    del registers.words[at + 20]  # VA of model 103
    (found,) = _probe(Wire(registers, silent_holes))
    inverter = _models([found])[1]
    points = inverter["points"]
    assert isinstance(points, dict)
    assert (points["W"], points["Hz"]) == (4200.0, 49.98)
    assert "holes" in inverter
    assert found.resources[0][1].max_generation_w == 8000.0


def test_a_length_word_that_is_wrong_is_mended_where_the_next_model_is_known() -> None:
    registers = Registers()
    inverter = inverter_103(4200)
    inverter[1] = 48
    sunspec_map(registers, [common_model("SN-1"), inverter, nameplate_120(8000), meter_203(5)])
    assert [model["id"] for model in _models(_probe(Wire(registers)))] == [1, 103, 120, 203]


@pytest.mark.parametrize(("told", "real"), [(66, 65), (65, 66)])
def test_a_common_model_that_tells_the_wrong_one_of_two_lengths_is_mended(told: int, real: int) -> None:
    registers = Registers()
    common = common_model("SN-1", length=real)
    common[1] = told
    sunspec_map(registers, [common, inverter_103(4200), nameplate_120(8000)])
    assert [model["id"] for model in _models(_probe(Wire(registers)))] == [1, 103, 120]


def test_a_map_without_a_common_model_is_a_device_without_a_name() -> None:
    registers = Registers()
    sunspec_map(registers, [inverter_103(4200), nameplate_120(8000)])
    (found,) = _probe(Wire(registers))
    assert (found.identity.serial, [role.value for role, _, _ in found.resources]) == ("", ["pv"])


def test_an_answer_lost_now_and_then_does_not_hide_a_device() -> None:
    registers = Registers()
    sunspec_map(registers, [common_model("SN-1"), inverter_103(4200), nameplate_120(8000)])

    @dataclass
    class Flaky(Wire):
        async def exchange(self, unit: int, pdu: bytes) -> bytes:
            answer = await super().exchange(unit, pdu)
            if self.asked % 4 == 1:
                raise TimeoutError
            return answer

    (found,) = _probe(Flaky(registers))
    assert [model["id"] for model in _models([found])] == [1, 103, 120]
    assert found.identity.serial == "SN-1"
