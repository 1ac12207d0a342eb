"""The safe driver contract, held against every driver: identity, writing, verifying, releasing, silence."""

import asyncio
import dataclasses
import math
from collections.abc import Awaitable, Callable, Sequence

import pytest

from cem.driver import POINTS, Control, ControlSpec, Device, DeviceError, NoAnswer, Reading, Refused, WrongDevice
from hw_sim.home import FaultKind
from support.driver_cases import CASES, Case, Scene, scene

WRITABLE = [case for case in CASES if case.control is not None]
every_driver = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
every_writer = pytest.mark.parametrize("case", WRITABLE, ids=lambda case: case.name)


def _play(case: Case, act: Callable[[Scene], Awaitable[None]]) -> Scene:
    async def main() -> Scene:
        async with scene(case) as stage:
            await act(stage)
            return stage

    return asyncio.run(main())


def _control(case: Case) -> Control:
    assert case.control is not None
    return case.control


def _spec(device: Device) -> ControlSpec:
    (spec,) = device.controls()
    return spec


@every_driver
def test_opening_tells_who_answers(case: Case) -> None:
    async def act(stage: Scene) -> None:
        device = stage.device()
        identity = await device.open()
        assert identity.serial == stage.serial
        assert identity.maker
        assert identity.model
        await device.close()
        await device.close()

    assert _play(case, act).writes == []


@every_driver
def test_readings_are_of_the_vocabulary_dated_and_never_not_a_number(case: Case) -> None:
    async def act(stage: Scene) -> None:
        device = stage.device()
        await device.open()
        await stage.pass_s(6)
        readings = await device.poll()
        assert {"power_w"} <= {reading.point for reading in readings}
        for reading in readings:
            assert reading.resource_id == case.role.value
            assert reading.point in POINTS[case.role]
            assert 0 <= stage.home.house.elapsed_s - reading.taken_at_s <= 6
            assert reading.value is None or isinstance(reading.value, str) or math.isfinite(reading.value)
        await device.close()

    assert _play(case, act).writes == []


@every_driver
def test_signs_are_those_of_the_house(case: Case) -> None:
    async def act(stage: Scene) -> None:
        device = stage.device()
        await device.open()
        await stage.pass_s(6)
        truth = stage.home.truth()
        true_w = {"meter": truth.grid_w, "inverter": truth.pv_w, "battery": truth.battery_w, "wallbox": truth.ev_w}
        true_w |= dict.fromkeys(("p1-meter", "sml-meter", "d0-meter"), truth.grid_w)
        true_w |= {"relay": truth.relay_w, "heat-pump": truth.heat_pump_w}
        power_w = _power(await device.poll())
        assert power_w == pytest.approx(true_w[case.name], abs=1.0)
        await device.close()

    _play(case, act)


def _power(readings: Sequence[Reading]) -> float:
    (reading,) = [one for one in readings if one.point == "power_w"]
    assert isinstance(reading.value, float)
    return reading.value


@every_writer
def test_before_it_is_open_nothing_is_written(case: Case) -> None:
    async def act(stage: Scene) -> None:
        device = stage.device()
        with pytest.raises(DeviceError):
            await device.write(case.role.value, _control(case), case.values[0])

    assert _play(case, act).writes == []


@every_writer
def test_a_wrong_serial_number_is_named_and_never_written_to(case: Case) -> None:
    async def act(stage: Scene) -> None:
        device = stage.device(serial="SOMEBODY-ELSE")
        with pytest.raises(WrongDevice) as caught:
            await device.open()
        assert stage.serial in str(caught.value)
        assert "SOMEBODY-ELSE" in str(caught.value)
        with pytest.raises(DeviceError):
            await device.write(case.role.value, _control(case), case.values[0])
        await device.close()

    assert _play(case, act).writes == []


@every_writer
@pytest.mark.parametrize("why", ["read only", "no serial number"])
def test_what_must_not_be_written_is_not(case: Case, why: str) -> None:
    async def act(stage: Scene) -> None:
        device = stage.device(read_only=True) if why == "read only" else stage.device(serial=None)
        await device.open()
        await stage.pass_s(6)
        assert list(device.controls()) == []
        with pytest.raises(Refused, match=why):
            await device.write(case.role.value, _control(case), case.values[0])
        await device.release(case.role.value, _control(case))
        assert await device.poll()
        await device.close()

    assert _play(case, act).writes == []


@every_writer
def test_what_is_written_is_read_back_and_shows(case: Case) -> None:
    async def act(stage: Scene) -> None:
        device = stage.device()
        await device.open()
        await stage.pass_s(2)
        spec = _spec(device)
        for value in case.values:
            await device.write(case.role.value, _control(case), value)
            held = await device.read_back(case.role.value, _control(case))
            assert held == pytest.approx(value, abs=spec.dead_band)
        await stage.pass_s(8)
        if case.control is Control.HEAT_PUMP_SG_READY:
            assert spec.effect_point is None  # it runs when it wants to: no power proves or disproves a state
        else:
            assert spec.effect_point in POINTS[case.role]
        await device.close()

    assert _play(case, act).writes


@every_writer
def test_releasing_twice_writes_once_and_leaves_nothing_in_force(case: Case) -> None:
    async def act(stage: Scene) -> None:
        device = stage.device()
        await device.open()
        await stage.pass_s(2)
        await device.write(case.role.value, _control(case), case.values[0])
        await device.release(case.role.value, _control(case))
        assert await device.read_back(case.role.value, _control(case)) is None
        released = len(stage.writes)
        await device.release(case.role.value, _control(case))
        assert len(stage.writes) == released
        await device.close()

    _play(case, act)


@every_writer
def test_opening_and_releasing_what_nobody_set_writes_nothing(case: Case) -> None:
    async def act(stage: Scene) -> None:
        device = stage.device()
        await device.open()
        await stage.pass_s(2)
        await device.release(case.role.value, _control(case))
        await device.close()

    assert _play(case, act).writes == []


@every_writer
def test_a_refusal_is_told_as_one(case: Case) -> None:
    async def act(stage: Scene) -> None:
        device = stage.device()
        await device.open()
        stage.home.faults.inject(case.name, "refuse_writes")
        await stage.pass_s(2)
        with pytest.raises(Refused):
            await device.write(case.role.value, _control(case), case.values[0])
        await device.close()

    _play(case, act)


@every_driver
@pytest.mark.parametrize("kind", ["silence", "disconnect"])
def test_a_silent_device_is_no_answer_and_comes_back(case: Case, kind: FaultKind) -> None:
    async def act(stage: Scene) -> None:
        device = stage.device()
        await device.open()
        await stage.pass_s(6)
        assert await device.poll()
        stage.home.faults.inject(case.name, kind)
        await stage.pass_s(21)
        with pytest.raises(NoAnswer):
            await device.poll()
        await device.close()
        stage.home.faults.clear(case.name, kind)
        await stage.pass_s(2)
        await device.open()
        await stage.pass_s(6)
        assert await device.poll()
        await device.close()

    _play(case, act)


@every_writer
def test_without_us_the_device_does_what_its_specification_says(case: Case) -> None:
    async def act(stage: Scene) -> None:
        device = stage.device()
        await device.open()
        await stage.pass_s(2)
        await device.write(case.role.value, _control(case), case.values[0])
        spec = _spec(device)
        assert spec.falls_back_to
        await stage.pass_s(int(spec.device_timeout_s or 600) + 2)
        held = await device.read_back(case.role.value, _control(case))
        assert held == (None if spec.device_timeout_s else pytest.approx(case.values[0]))
        await device.close()

    _play(case, act)


@every_writer
def test_refreshing_in_time_keeps_the_value(case: Case) -> None:
    async def act(stage: Scene) -> None:
        device = stage.device()
        await device.open()
        await stage.pass_s(2)
        for _ in range(8):
            await device.write(case.role.value, _control(case), case.values[0])
            await stage.pass_s(int(_spec(device).refresh_s or 20))
        held = await device.read_back(case.role.value, _control(case))
        assert held == pytest.approx(case.values[0], abs=_spec(device).dead_band)
        await device.close()

    _play(case, act)


@every_driver
def test_probing_finds_the_device_and_writes_nothing(case: Case) -> None:
    async def act(stage: Scene) -> None:
        found = await case.driver.probe(case.link, stage.context, 0.1)
        (one,) = [entry for entry in found if entry.identity.serial == stage.serial]
        assert one.driver == case.driver.name
        assert case.role in {role for role, _, _ in one.resources}

    assert _play(case, act).writes == []


@every_driver
def test_faults_of_a_table_are_told_offline(case: Case) -> None:
    config = case.config("X")
    assert case.driver.faults(config) == []
    wrong = dataclasses.replace(config, link={**case.link, "prot": 1}, resources=())
    faults = case.driver.faults(wrong)
    assert any(fault.startswith("link.prot: unknown key") and "'port'" in fault for fault in faults)
    assert any(fault.startswith("resources: ") for fault in faults)
