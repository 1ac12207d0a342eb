"""A SunSpec device: roles, signs, identity, and controls that are written as the models say."""

import asyncio
import logging
import struct
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cem.driver import (
    Control,
    Device,
    DeviceConfig,
    DriverContext,
    NoAnswer,
    Reading,
    Refused,
    Role,
    Value,
    WrongDevice,
)
from cem_drivers.sunspec import DRIVER
from support.driver_devices import sunspec_config
from support.modbus_wire import (
    Registers,
    common_model,
    controls_123,
    inverter_103,
    meter_203,
    model_words,
    nameplate_120,
    storage_124,
    sunspec_map,
)

LINK = {"host": "memory"}
PV, BATTERY = Control.PV_LIMIT_W, Control.BATTERY_SETPOINT_W


def _registers(*models: Sequence[int], serial: str = "SN-1") -> Registers:
    registers = Registers()
    sunspec_map(registers, [common_model(serial), *models])
    return registers


def _device(registers: Registers, config: DeviceConfig) -> Device:
    assert DRIVER.faults(config) == []
    return DRIVER.device(config, DriverContext(time.monotonic, pdu=lambda _link: registers))


def _values(readings: Sequence[Reading]) -> dict[str, Value]:
    return {f"{reading.resource_id}.{reading.point}": reading.value for reading in readings}


def _poll(registers: Registers, config: DeviceConfig) -> dict[str, Value]:
    async def main() -> dict[str, Value]:
        device = _device(registers, config)
        await device.open()
        readings = await device.poll()
        await device.close()
        return _values(readings)

    return asyncio.run(main())


def _pv_registers(**changes: int) -> Registers:
    return _registers(inverter_103(4200), nameplate_120(8000), controls_123(**changes))


def _battery_registers(**changes: int) -> Registers:
    return _registers(inverter_103(-1500), nameplate_120(5000, 5000, 10000), storage_124(5000, **changes))


def test_generation_is_negative_and_counted() -> None:
    values = _poll(_pv_registers(), sunspec_config(LINK, Role.PV))
    assert values == {
        "pv.power_w": -4200.0,
        "pv.voltage_v": 230.1,
        "pv.frequency_hz": 49.98,
        "pv.state": "mppt",
        "pv.energy_wh": 70000.0,
        "pv.rating_w": 8000.0,
        "pv.limit_w": None,
    }


def test_a_sleeping_inverter_does_not_know_its_power() -> None:
    values = _poll(_registers(inverter_103(-0x8000, state=2)), sunspec_config(LINK, Role.PV))
    assert values["pv.power_w"] is None
    assert values["pv.state"] == "sleeping"


def test_charging_is_positive() -> None:
    values = _poll(_battery_registers(), sunspec_config(LINK, Role.BATTERY))
    assert values["battery.power_w"] == 1500.0
    assert values["battery.soc_pct"] == 55.5
    assert values["battery.capacity_wh"] == 10000.0
    assert (values["battery.max_charge_w"], values["battery.max_discharge_w"]) == (5000.0, 5000.0)
    assert (values["battery.state"], values["battery.setpoint_w"]) == ("holding", None)


@pytest.mark.parametrize(("sign", "power_w"), [(1, 900.0), (-1, -900.0)])
def test_a_meter_counts_import_positive_unless_it_is_turned(sign: int, power_w: float) -> None:
    registers = _registers(meter_203(900, (1000, 200, -300)))
    values = _poll(registers, sunspec_config({**LINK, "meter_sign": sign}, Role.GRID))
    assert [values["grid.power_w"], values["grid.power_l1_w"], values["grid.power_l3_w"]] == [
        power_w,
        sign * 1000.0,
        sign * -300.0,
    ]
    assert values["grid.current_l1_a"] == 1.5
    counters = (values["grid.import_wh"], values["grid.export_wh"])
    assert counters == ((70000.0, 5000.0) if sign == 1 else (5000.0, 70000.0))


def test_a_meter_behind_a_second_common_model_is_found() -> None:
    registers = _registers(inverter_103(4200), common_model("M-7"), meter_203(-250))
    values = _poll(registers, sunspec_config(LINK, Role.PV, Role.GRID))
    assert (values["pv.power_w"], values["grid.power_w"]) == (-4200.0, -250.0)


def test_behind_a_hybrid_inverter_the_generator_and_the_battery_are_told_apart() -> None:
    modules = [160, 68, 0, 0, 0, 0, 0, 0, 3, 0]
    for name, watts in (("MPPT 1", 3000), ("MPPT 2", 500), ("StCha 3", 2000)):
        words = list(struct.unpack(">8H", name.encode().ljust(16, b"\0")))
        modules += [1, *words, 0, 0, watts, 0, 0, 0, 0, 0, 0, 0, 0]
    registers = _registers(inverter_103(1500), [*modules[:1], len(modules) - 2, *modules[2:]], storage_124(5000))
    values = _poll(registers, sunspec_config(LINK, Role.PV, Role.BATTERY))
    assert (values["pv.power_w"], values["battery.power_w"]) == (-3500.0, 2000.0)


def test_without_modules_a_hybrid_inverter_knows_neither_power() -> None:
    values = _poll(_registers(inverter_103(1500), storage_124(5000)), sunspec_config(LINK, Role.PV, Role.BATTERY))
    assert (values["pv.power_w"], values["battery.power_w"]) == (None, None)


def test_a_model_that_is_announced_and_refused_leaves_the_others_alone(caplog: pytest.LogCaptureFixture) -> None:
    registers = _registers(inverter_103(4200), nameplate_120(8000))
    for address in range(40000 + 2 + 68 + 52 + 2, 40000 + 2 + 68 + 52 + 28):  # model 120 without its header
        del registers.words[address]
    with caplog.at_level(logging.WARNING):
        values = _poll(registers, sunspec_config(LINK, Role.PV))
    assert values["pv.power_w"] == -4200.0
    assert "pv.rating_w" not in values
    assert "model 120" in caplog.text


def test_a_device_that_answers_short_reads_only_is_read_model_by_model() -> None:
    registers = _pv_registers()
    registers.longest_read = 70
    assert _poll(registers, sunspec_config(LINK, Role.PV))["pv.rating_w"] == 8000.0


def test_a_length_beyond_all_bounds_is_read_as_far_as_the_definition_goes() -> None:
    registers = _registers(model_words(103, 6000, {14: 4200, 15: 0, 38: 4}))
    assert _poll(registers, sunspec_config(LINK, Role.PV))["pv.power_w"] == -4200.0
    assert all(struct.unpack_from(">HH", pdu, 1)[1] <= 68 for pdu in registers.log)


def test_a_device_without_the_models_of_its_role_is_the_wrong_one() -> None:
    with pytest.raises(WrongDevice, match=r"no model for battery.*models 1, 103"):
        _poll(_registers(inverter_103(1)), sunspec_config(LINK, Role.BATTERY))


def test_another_serial_number_is_named_and_nothing_is_written() -> None:
    registers = _pv_registers()

    async def main() -> None:
        device = _device(registers, sunspec_config(LINK, Role.PV, serial="OTHER"))
        with pytest.raises(WrongDevice, match=r"'SN-1'.*'OTHER'"):
            await device.open()
        with pytest.raises(NoAnswer):
            await device.write("pv", PV, 1000)

    asyncio.run(main())
    assert registers.writes == []


@pytest.mark.parametrize(("serial", "read_only"), [(None, False), ("SN-1", True)])
def test_without_a_serial_number_or_when_read_only_nothing_is_written(serial: str | None, read_only: bool) -> None:
    registers = _pv_registers()

    async def main() -> None:
        device = _device(registers, sunspec_config(LINK, Role.PV, serial=serial, read_only=read_only))
        await device.open()
        assert device.controls() == []
        with pytest.raises(Refused, match="not written"):
            await device.write("pv", PV, 1000)
        await device.release("pv", PV)
        assert await device.read_back("pv", PV) is None
        await device.close()

    asyncio.run(main())
    assert registers.writes == []


def test_another_device_after_a_reconnect_is_not_written_to() -> None:
    registers = _pv_registers()

    async def main() -> None:
        device = _device(registers, sunspec_config({**LINK, "timeout_s": 0.1}, Role.PV))
        await device.open()
        registers.silent = True
        with pytest.raises(NoAnswer):
            await device.poll()
        registers.silent = False
        registers.put(40002, common_model("SN-2"))
        with pytest.raises(WrongDevice, match=r"'SN-2'.*'SN-1'"):
            await device.write("pv", PV, 1000)
        await device.close()

    asyncio.run(main())
    assert registers.writes == []


# --- limiting generation -------------------------------------------------------------------------------------

ENABLE, PERCENT, REVERT = 9, 5, 7


def _write(registers: Registers, config: DeviceConfig, control: Control, *values: float) -> list[float | None]:
    """Writes the values and gives what was read back after each."""

    async def main() -> list[float | None]:
        device = _device(registers, config)
        await device.open()
        held: list[float | None] = []
        name = config.resources[0].id
        for value in values:
            await device.write(name, control, value)
            held.append(await device.read_back(name, control))
        await device.close()
        return held

    return asyncio.run(main())


def _model_at(registers: Registers, model: int) -> int:
    address = 40002
    while registers.words[address] != model:
        address += 2 + registers.words[address + 1]
    return address


def test_a_limit_is_armed_before_it_is_enabled_and_then_changes_in_one_request() -> None:
    registers = _pv_registers()
    assert _write(registers, sunspec_config(LINK, Role.PV), PV, 2000, 4000) == [2000.0, 4000.0]
    at = _model_at(registers, 123)
    arm = struct.pack(">BHHBH", 16, at + REVERT, 1, 2, 60)
    blocks = [struct.pack(">BHHB5H", 16, at + PERCENT, 5, 10, pct, 0, 60, 0, 1) for pct in (2500, 5000)]
    assert registers.writes == [arm, *blocks]
    last_read = max(index for index, pdu in enumerate(registers.log) if pdu == blocks[0])
    assert registers.log[last_read - 1][0] == 3  # the timer was read back before


def test_the_percentage_is_of_wmax_where_it_is_set() -> None:
    settings_121 = model_words(121, 30, {2: 6000, 22: 0}, fill=0x8000)
    registers = _registers(inverter_103(1), nameplate_120(8000), settings_121, controls_123())
    assert _write(registers, sunspec_config(LINK, Role.PV), PV, 3000) == [3000.0]
    assert registers.words[_model_at(registers, 123) + PERCENT] == 5000


@pytest.mark.parametrize(("proven", "held"), [(False, 80.0), (True, 0.0)])
def test_zero_is_one_per_cent_unless_it_is_proven(proven: bool, held: float) -> None:
    config = sunspec_config({**LINK, "zero_limit_proven": proven}, Role.PV)
    assert _write(_pv_registers(), config, PV, 0) == [held]


def test_a_limit_above_the_rating_is_the_rating() -> None:
    assert _write(_pv_registers(), sunspec_config(LINK, Role.PV), PV, 99_999) == [8000.0]


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_what_is_no_limit_is_refused(value: float) -> None:
    registers = _pv_registers()
    with pytest.raises(Refused):
        _write(registers, sunspec_config(LINK, Role.PV), PV, value)
    assert registers.writes == []


def test_a_timer_that_is_not_there_is_not_written_and_said() -> None:
    registers = _pv_registers(revert=0xFFFF, window=0xFFFF)

    async def main() -> None:
        device = _device(registers, sunspec_config(LINK, Role.PV))
        await device.open()
        (spec,) = device.controls()
        assert (spec.device_timeout_s, spec.refresh_s) == (None, None)
        assert "keeps the last limit" in spec.falls_back_to
        await device.write("pv", PV, 2000)
        await device.close()

    asyncio.run(main())
    at = _model_at(registers, 123)
    assert (registers.words[at + REVERT], registers.words[at + 6]) == (0xFFFF, 0xFFFF)
    assert (registers.words[at + PERCENT], registers.words[at + ENABLE]) == (2500, 1)


def test_a_timer_that_forgets_is_found_out(caplog: pytest.LogCaptureFixture) -> None:
    registers = _pv_registers()
    registers.ignores = frozenset({_model_at(registers, 123) + REVERT})

    async def main() -> None:
        device = _device(registers, sunspec_config(LINK, Role.PV))
        await device.open()
        assert device.controls()[0].device_timeout_s == 60.0
        with caplog.at_level(logging.WARNING):
            await device.write("pv", PV, 2000)
        assert device.controls()[0].device_timeout_s is None
        await device.close()

    asyncio.run(main())
    assert "does not keep" in caplog.text


def test_a_timer_that_was_not_kept_while_the_device_stood_still_is_set_later(caplog: pytest.LogCaptureFixture) -> None:
    registers = _pv_registers()
    timer = _model_at(registers, 123) + REVERT
    registers.ignores = frozenset({timer})

    async def main() -> None:
        device = _device(registers, sunspec_config(LINK, Role.PV))
        await device.open()
        for watts in range(1000, 1007):
            await device.write("pv", PV, watts)
        assert caplog.text.count("does not keep") == 1
        registers.ignores = frozenset()
        for watts in range(1007, 1010):
            await device.write("pv", PV, watts)
        assert device.controls()[0].device_timeout_s == 60.0
        await device.close()

    asyncio.run(main())
    assert registers.words[timer] == 60


def test_an_unusable_scale_factor_takes_the_control_away(caplog: pytest.LogCaptureFixture) -> None:
    registers = _pv_registers(percent_sf=11)

    async def main() -> None:
        device = _device(registers, sunspec_config(LINK, Role.PV))
        with caplog.at_level(logging.WARNING):
            await device.open()
        assert device.controls() == []
        await device.close()

    asyncio.run(main())
    assert "-10 to 10" in caplog.text


def test_releasing_switches_off_once() -> None:
    registers = _pv_registers()

    async def main() -> None:
        device = _device(registers, sunspec_config(LINK, Role.PV))
        await device.open()
        await device.write("pv", PV, 2000)
        before = len(registers.writes)
        await device.release("pv", PV)
        await device.release("pv", PV)
        assert len(registers.writes) == before + 1
        assert await device.read_back("pv", PV) is None
        assert _values(await device.poll())["pv.limit_w"] is None
        await device.close()

    asyncio.run(main())


def test_a_device_without_function_16_is_limited_register_by_register() -> None:
    registers = _pv_registers()
    registers.refuses = frozenset({16})
    assert _write(registers, sunspec_config(LINK, Role.PV), PV, 2000) == [2000.0]
    assert registers.words[_model_at(registers, 123) + ENABLE] == 1


# --- steering a battery --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("power_w", "out_pct", "in_pct"), [(2500, -5000, 5000), (-2500, 5000, -5000), (0, 0, 0), (9000, -10000, 10000)]
)
def test_both_rates_are_pinned_to_the_power(power_w: float, out_pct: int, in_pct: int) -> None:
    registers = _battery_registers()
    held = _write(registers, sunspec_config(LINK, Role.BATTERY), BATTERY, power_w)
    assert held == [min(power_w, 5000.0)]
    at = _model_at(registers, 124)
    assert [registers.words[at + 12], registers.words[at + 13]] == [out_pct & 0xFFFF, in_pct & 0xFFFF]
    assert (registers.words[at + 5], registers.words[at + 15]) == (3, 60)


def test_rates_change_together_and_before_the_mode() -> None:
    registers = _battery_registers()
    _write(registers, sunspec_config(LINK, Role.BATTERY), BATTERY, 2500, -1000)
    at = _model_at(registers, 124)
    addresses = [struct.unpack_from(">HH", pdu, 1) for pdu in registers.writes]
    assert addresses == [(at + 15, 1), (at + 12, 4), (at + 5, 1), (at + 12, 4)]


@settings(max_examples=40, deadline=None)
@given(st.floats(-5000, 5000), st.integers(-2, 0))
def test_what_was_written_is_read_back_within_one_step(power_w: float, percent_sf: int) -> None:
    registers = _battery_registers(percent_sf=percent_sf)
    registers.words[_model_at(registers, 124) + 12] = 100
    (held,) = _write(registers, sunspec_config(LINK, Role.BATTERY), BATTERY, power_w)
    assert held == pytest.approx(power_w, abs=5000 / 100 * 10**percent_sf)


def test_a_battery_that_somebody_else_steers_is_not_read_as_ours() -> None:
    registers = _battery_registers()
    at = _model_at(registers, 124)
    registers.put(at + 5, [3])
    registers.put(at + 12, [10000, 0])  # may discharge, may not charge

    async def main() -> None:
        device = _device(registers, sunspec_config(LINK, Role.BATTERY))
        await device.open()
        assert await device.read_back("battery", BATTERY) is None
        assert _values(await device.poll())["battery.setpoint_w"] is None
        await device.close()

    asyncio.run(main())


def test_a_control_of_a_resource_that_has_none_is_refused() -> None:
    registers = _battery_registers()

    async def main() -> None:
        device = _device(registers, sunspec_config(LINK, Role.BATTERY))
        await device.open()
        with pytest.raises(Refused, match="no such control"):
            await device.write("battery", PV, 1)
        await device.close()

    asyncio.run(main())
    assert registers.writes == []


# --- the driver ----------------------------------------------------------------------------------------------


def test_every_fault_of_a_table_is_told_with_its_path() -> None:
    link: dict[str, str | int | float | bool] = {
        "hots": "192.0.2.4",
        "port": 70000,
        "unit": "1",
        "timeout_s": 3,
        "meter_sign": 0,
    }
    faults = DRIVER.faults(sunspec_config(link, Role.PV, Role.PV, Role.EV))
    assert faults == [
        "link.host: missing",
        "link.hots: unknown key; did you mean 'host'?",
        "link.port: 70000 is outside 1 to 65535",
        "link.unit: '1' is not a whole number",
        "link.timeout_s: 3 is outside 0.1 to 1.5",
        "link.meter_sign: 0 is not one of 1, -1",
        "resources[1].role: a second pv at one device; make it a device",
        "resources[2].role: ev is none of grid, pv, battery",
    ]


def test_probing_finds_roles_ratings_and_controls() -> None:
    registers = _registers(inverter_103(1), nameplate_120(5000, 4000, 10000), storage_124(5000))
    context = DriverContext(time.monotonic, pdu=lambda _link: registers)
    (found,) = asyncio.run(DRIVER.probe(LINK, context, 0.2))
    ((role, ratings, controls),) = found.resources
    assert (role, controls, found.identity.serial) == (Role.BATTERY, frozenset({BATTERY}), "SN-1")
    assert (ratings.max_charge_w, ratings.capacity_wh) == (4000.0, 10000.0)
    assert registers.writes == []


@pytest.mark.parametrize("registers", [Registers(silent=True), Registers()])
def test_probing_where_nothing_is_finds_nothing(registers: Registers) -> None:
    context = DriverContext(time.monotonic, pdu=lambda _link: registers)
    assert asyncio.run(DRIVER.probe({**LINK, "timeout_s": 0.1}, context, 0.1)) == []
