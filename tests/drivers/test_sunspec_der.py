"""The newer models: 704 with reversion, the heartbeat of 715, ports of 714, curves; and ChaGriSet of 124."""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from cem.driver import Control, Curve, CurveSet, Device, DeviceConfig, DriverContext, Reading, Refused, Role
from cem_drivers.modbus import open_bus
from cem_drivers.sunspec import DRIVER
from cem_drivers.sunspec.curves import CurveModel
from cem_drivers.sunspec.definition import definition
from cem_drivers.sunspec.scan import Model
from support.driver_devices import sunspec_config
from support.modbus_wire import (
    Registers,
    common_model,
    controls_123,
    inverter_103,
    model_words,
    nameplate_120,
    storage_124,
    sunspec_map,
)
from support.sunspec_curves import CURVES, Adopting, curve_words, named

LINK: dict[str, str | int | float | bool] = {"host": "memory", "timeout_s": 0.1}
PV, BATTERY = Control.PV_LIMIT_W, Control.BATTERY_SETPOINT_W


def der(**changes: int) -> list[int]:
    """Model 704 with nothing in force: percentages to hundredths, watts as they are."""
    return named(704, {"WMaxLimPct": 10_000, "WMaxLimPct_SF": -2, **changes})


DER_MEASURED = named(701, {"W": -1500, "Hz_SF": -2, "Hz": 5000})
DER_RATED = named(702, {"WMaxRtg": 8000, "WMax": 8000, "WChaRteMaxRtg": 5000, "WDisChaRteMaxRtg": 4000})
STORED = named(713, {"WHRtg": 1000, "WH_SF": 1, "SoC": 555, "Pct_SF": -1})


@dataclass
class Bench:
    """A device over registers in memory, and the clock that its driver sees."""

    registers: Registers
    now_s: float = 100.0

    def device(self, config: DeviceConfig) -> Device:
        """The driver's device."""
        assert DRIVER.faults(config) == []
        return DRIVER.device(config, DriverContext(lambda: self.now_s, pdu=lambda _link: self.registers))

    def at(self, model: int) -> int:
        """Where a model lies."""
        address = 40002
        while self.registers.words[address] != model:
            address += 2 + self.registers.words[address + 1]
        return address

    def held(self, model: int, name: str) -> int:
        """A point as the registers hold it."""
        known = definition(model)
        assert known is not None
        point = known.point(name)
        first = self.at(model) + point.offset
        packed = struct.pack(f">{point.size}H", *(self.registers.words[first + at] for at in range(point.size)))
        return int(struct.unpack(">" + point.format, packed)[0])


def bench(*models: list[int]) -> Bench:
    """One device with a serial number."""
    registers = Registers()
    sunspec_map(registers, [common_model("SN-1"), *models])
    return Bench(registers)


def run(stage: Bench, config: DeviceConfig, act: Callable[[Device], Awaitable[None]]) -> None:
    async def main() -> None:
        device = stage.device(config)
        await device.open()
        await act(device)
        await device.close()

    asyncio.run(main())


def values(readings: list[Reading]) -> dict[str, object]:
    return {f"{reading.resource_id}.{reading.point}": reading.value for reading in readings}


@pytest.mark.parametrize(("power_w", "written"), [(2500.0, -2500), (-3000.0, 3000), (9000.0, -5000), (-9000.0, 4000)])
def test_a_set_point_by_704_is_armed_then_enabled_in_the_signs_of_the_device(power_w: float, written: int) -> None:
    stage = bench(DER_MEASURED, DER_RATED, der(WSetRvrtTms=0), STORED)

    async def act(device: Device) -> None:
        assert device.controls()[0].device_timeout_s == 60.0
        await device.write("battery", BATTERY, power_w)
        assert await device.read_back("battery", BATTERY) == -written
        read = values(list(await device.poll()))
        assert (read["battery.setpoint_w"], read["battery.soc_pct"]) == (float(-written), 55.5)
        assert (read["battery.capacity_wh"], read["battery.power_w"]) == (10_000.0, 1500.0)

    run(stage, sunspec_config(LINK, Role.BATTERY), act)
    assert [stage.held(704, name) for name in ("WSetEna", "WSetMod", "WSet", "WSetRvrtTms")] == [1, 1, written, 60]
    known = definition(704)
    assert known is not None
    timer = stage.at(704) + known.point("WSetRvrtTms").offset
    assert struct.unpack_from(">BH", stage.registers.writes[0]) == (16, timer)


def test_a_release_disables_and_gives_the_timer_back_as_found() -> None:
    stage = bench(DER_MEASURED, DER_RATED, der(WSetRvrtTms=900), STORED)

    async def act(device: Device) -> None:
        await device.write("battery", BATTERY, 1000)
        await device.release("battery", BATTERY)
        assert await device.read_back("battery", BATTERY) is None

    run(stage, sunspec_config(LINK, Role.BATTERY), act)
    assert (stage.held(704, "WSetEna"), stage.held(704, "WSetRvrtTms")) == (0, 900)


def test_the_timer_of_123_is_given_back_as_found_too() -> None:
    stage = bench(inverter_103(4200), nameplate_120(8000), controls_123(revert=300))

    async def act(device: Device) -> None:
        await device.write("pv", PV, 4000)
        assert stage.held(123, "WMaxLimPct_RvrtTms") == 60
        await device.release("pv", PV)

    run(stage, sunspec_config(LINK, Role.PV), act)
    assert (stage.held(123, "WMaxLim_Ena"), stage.held(123, "WMaxLimPct_RvrtTms")) == (0, 300)


def test_a_limit_by_704_is_a_percentage_of_wmax() -> None:
    stage = bench(DER_MEASURED, DER_RATED, der())

    async def act(device: Device) -> None:
        await device.write("pv", PV, 2000)
        assert await device.read_back("pv", PV) == 2000.0
        assert values(list(await device.poll()))["pv.limit_w"] == 2000.0
        await device.write("pv", PV, 0)
        assert await device.read_back("pv", PV) == 80.0  # 1 %: 0 may send it to standby

    run(stage, sunspec_config(LINK, Role.PV), act)
    assert [stage.held(704, name) for name in ("WMaxLimPctEna", "WMaxLimPctRvrtTms")] == [1, 60]


def test_704_takes_over_where_123_can_not_be_used() -> None:
    stage = bench(DER_MEASURED, DER_RATED, controls_123(percent_sf=11), der())

    async def act(device: Device) -> None:
        await device.write("pv", PV, 2000)

    run(stage, sunspec_config(LINK, Role.PV), act)
    assert stage.held(704, "WMaxLimPct") == 2500


def test_the_heartbeat_runs_while_a_control_is_held_and_only_then() -> None:
    stage = bench(DER_MEASURED, DER_RATED, der(), STORED, named(715, {"ControllerHb": 7}))

    async def act(device: Device) -> None:
        await device.poll()
        assert stage.held(715, "ControllerHb") == 7
        await device.write("battery", BATTERY, 1000)
        for _ in range(3):
            stage.now_s += 1.0
            await device.poll()
        assert stage.held(715, "ControllerHb") == 11
        await device.release("battery", BATTERY)
        stage.now_s += 5.0
        await device.poll()

    run(stage, sunspec_config(LINK, Role.BATTERY), act)
    assert stage.held(715, "ControllerHb") == 11


@pytest.mark.parametrize(("local", "counted"), [(0, [65534, 0, 1, 2]), (1, [65533] * 4)])
def test_a_battery_bank_hears_from_us_while_its_set_point_is_held_unless_it_is_in_local_control(
    local: int, counted: list[int]
) -> None:
    bank = named(802, {"CtrlHb": 65533, "LocRemCtl": local, "State": 3, "SoC": 55})
    stage = bench(DER_MEASURED, DER_RATED, der(), STORED, bank)

    async def act(device: Device) -> None:
        await device.poll()
        assert stage.held(802, "CtrlHb") == 65533
        await device.write("battery", BATTERY, 1000)
        seen = [stage.held(802, "CtrlHb")]
        for _ in range(3):
            stage.now_s += 1.0
            await device.poll()
            seen.append(stage.held(802, "CtrlHb"))
        assert seen == counted
        await device.release("battery", BATTERY)
        stage.now_s += 5.0
        await device.poll()
        assert stage.held(802, "CtrlHb") == counted[-1]

    run(stage, sunspec_config(LINK, Role.BATTERY), act)
    assert stage.held(802, "SetOp") == 0


def test_a_device_in_local_control_is_not_written() -> None:
    stage = bench(DER_MEASURED, DER_RATED, der(), STORED, named(715, {"LocRemCtl": 1}))

    async def act(device: Device) -> None:
        with pytest.raises(Refused, match="local control"):
            await device.write("battery", BATTERY, 1000)

    run(stage, sunspec_config(LINK, Role.BATTERY), act)
    assert stage.registers.writes == []


def test_dc_ports_tell_generator_and_battery_apart() -> None:
    known = definition(714)
    assert known is not None
    ports = named(714, {"NPrt": 2}, 2 * known.group_size)
    for number, (kind, watts) in enumerate(((0, 3500), (1, -2000))):
        begin = known.fixed_size + number * known.group_size
        offsets = {point.name: point.offset for point in known.group}
        ports[begin + offsets["PrtTyp"]], ports[begin + offsets["DCW"]] = kind, watts & 0xFFFF
    stage = bench(DER_MEASURED, DER_RATED, ports, STORED)

    async def act(device: Device) -> None:
        read = values(list(await device.poll()))
        assert (read["pv.power_w"], read["battery.power_w"]) == (-3500.0, 5000.0)

    run(stage, sunspec_config(LINK, Role.PV, Role.BATTERY), act)


# --- charging from the grid --------------------------------------------------------------------------------------


def _forbidding() -> Bench:
    stage = bench(inverter_103(0), nameplate_120(5000, 5000, 10_000), storage_124(5000))
    stage.registers.words[stage.at(124) + 17] = 0  # ChaGriSet: PV only
    return stage


def test_a_battery_that_forbids_charging_from_the_grid_is_told_instead_of_failing_silently() -> None:
    stage = _forbidding()

    async def act(device: Device) -> None:
        await device.write("battery", BATTERY, 2000)  # nobody knows yet: the sun may do it
        stage.now_s += 31
        await device.poll()
        with pytest.raises(Refused, match=r"not effective: the battery forbids charging from the grid \(ChaGriSet\)"):
            await device.write("battery", BATTERY, 2000)
        await device.write("battery", BATTERY, -2000)

    run(stage, sunspec_config(LINK, Role.BATTERY), act)
    assert stage.held(124, "ChaGriSet") == 0


def _charges(stage: Bench, watts: int) -> None:
    first = stage.at(103)
    known = definition(103)
    assert known is not None
    at = known.point("W").offset
    stage.registers.words[first + at] = -watts & 0xFFFF


@pytest.mark.parametrize(
    ("told_w", "charges_w"),
    [(2000, 2000), (80, 0)],  # it followed until now; so little lacks that it may be a rounding
)
def test_a_battery_that_charges_from_the_sun_is_not_blamed_when_the_sun_falls_short(
    told_w: float, charges_w: int
) -> None:
    stage = _forbidding()

    async def act(device: Device) -> None:
        await device.write("battery", BATTERY, told_w)
        _charges(stage, charges_w)
        stage.now_s += 31
        await device.poll()
        await device.write("battery", BATTERY, told_w)
        _charges(stage, 0)
        for _ in range(2):  # seen not to do it for 20 s, although it was last seen to do it 40 s ago
            stage.now_s += 20
            await device.poll()
            await device.write("battery", BATTERY, told_w)
        assert await device.read_back("battery", BATTERY) == pytest.approx(told_w, abs=1.0)

    run(stage, sunspec_config(LINK, Role.BATTERY), act)


def test_with_permission_it_is_switched_on_for_charging_and_off_with_the_release() -> None:
    stage = _forbidding()

    async def act(device: Device) -> None:
        await device.write("battery", BATTERY, 2000)
        assert stage.held(124, "ChaGriSet") == 1
        await device.release("battery", BATTERY)

    run(stage, sunspec_config({**LINK, "grid_charge": True}, Role.BATTERY), act)
    assert (stage.held(124, "ChaGriSet"), stage.held(124, "StorCtl_Mod")) == (0, 0)


# --- curves ------------------------------------------------------------------------------------------------------


CASES = {
    705: Curve(
        ((92.0, 44.0), (98.0, 0.0), (102.0, 0.0), (108.0, -44.0)), {"DeptRef": 1, "Pri": 1, "VRef": 100, "RspTms": 5}
    ),
    706: Curve(((106.0, 100.0), (110.0, 20.0)), {"DeptRef": 0, "RspTms": 10}),
    711: Curve((), {"DbOf": 0.2, "DbUf": 0.2, "KOf": 0.4, "KUf": 0.4, "RspTms": 0.6, "PMin": 5}),
    712: Curve(((-100.0, 44.0), (0.0, 0.0), (100.0, -44.0)), {"DeptRef": 1, "Pri": 1}),
}


def _curves(model: int, work: Callable[[CurveModel], Awaitable[None]], verdict: int = 1) -> Registers:
    registers = Registers()
    sunspec_map(registers, [common_model("SN-1"), curve_words(model)])
    address = 40002 + 68
    port = Adopting(registers, model, address, verdict)

    async def main() -> None:
        bus = open_bus(LINK, DriverContext(lambda: 0.0, pdu=lambda _link: port))
        await work(CurveModel(bus, Model(model, address, registers.words[address + 1])))
        bus.close()

    asyncio.run(main())
    return registers


@pytest.mark.parametrize("model", CASES)
def test_a_curve_is_written_adopted_read_back_and_enabled(model: int) -> None:
    async def work(curves: CurveModel) -> None:
        before = await curves.read()
        assert (before.enabled, len(before.curves), before.curves[0].read_only) == (False, CURVES, True)
        after: CurveSet = await curves.adopt(CASES[model], revert_s=3600)
        assert after.enabled
        assert after.revert_s == 3600
        assert after.active is not None
        assert after.active.points == CASES[model].points
        assert {name: after.active.settings[name] for name in CASES[model].settings} == CASES[model].settings
        await curves.disable()
        assert not (await curves.read()).enabled

    _curves(model, work)


def test_a_curve_that_the_device_fails_is_refused_and_not_enabled() -> None:
    async def work(curves: CurveModel) -> None:
        with pytest.raises(Refused, match="not adopted"):
            await curves.adopt(CASES[705])
        assert not (await curves.read()).enabled

    _curves(705, work, verdict=2)


@pytest.mark.parametrize(
    ("curve", "place", "words"),
    [
        (Curve(((1.0, 1.0),) * 5), 2, "5 points, it has room for 4"),
        (CASES[705], 1, "the one in force"),
        (CASES[705], 9, "it has 3 curves"),
        (Curve(((1.0, 1.0),), {"Colour": 1}), 2, "no setting 'Colour'"),
        (Curve(((99_999.0, 1.0),)), 2, "does not fit"),
    ],
)
def test_a_curve_that_does_not_fit_is_refused_before_anything_is_written(curve: Curve, place: int, words: str) -> None:
    async def work(curves: CurveModel) -> None:
        with pytest.raises(Refused, match=words):
            await curves.adopt(curve, place=place)

    assert _curves(705, work).writes == []


def test_a_device_that_tells_more_curves_than_its_length_holds_is_not_believed() -> None:
    async def work(curves: CurveModel) -> None:
        with pytest.raises(Refused, match="do not fit"):
            await curves.read()

    registers = Registers()
    words = curve_words(705)
    sunspec_map(registers, [common_model("SN-1"), words[:2] + words[2 : len(words) - 8]])

    async def main() -> None:
        bus = open_bus(LINK, DriverContext(lambda: 0.0, pdu=lambda _link: registers))
        await work(CurveModel(bus, Model(705, 40070, len(words) - 10)))
        bus.close()

    asyncio.run(main())


def test_an_inverter_without_a_battery_that_carries_model_124_all_the_same_is_no_battery() -> None:
    empty = model_words(124, 24, {2: 0, 5: 0, 18: 0}, fill=0xFFFF)
    stage = bench(inverter_103(4200), nameplate_120(8000), empty)
    context = DriverContext(lambda: 0.0, pdu=lambda _link: stage.registers)
    (found,) = asyncio.run(DRIVER.probe(LINK, context, 0.1))
    assert [role for role, _, _ in found.resources] == [Role.PV]


@pytest.mark.parametrize(
    ("ecp", "state", "mode", "told"),
    [
        (1, 4, None, 1.0),  # model 122: connected
        (1, 2, None, 1.0),
        (0, 4, None, 0.0),  # works without the grid
        (0, 5, None, 0.0),
        (0, 2, None, None),  # sleeps: it may have left the grid alone
        (0, 8, None, None),
        (None, None, 0b01, 1.0),  # model 701: follows
        (None, None, 0b10, 0.0),  # forms
        (None, None, 0b11, 1.0),  # forms along with the grid
        (None, None, 0b100, None),
    ],
)
def test_a_battery_says_whether_it_follows_the_grid(
    ecp: int | None, state: int | None, mode: int | None, told: float | None
) -> None:
    if mode is None:
        assert ecp is not None
        assert state is not None
        models = [inverter_103(-1500, state), nameplate_120(5000), storage_124(5000), named(122, {"ECPConn": ecp})]
    else:
        models = [named(701, {"W": -1500, "Hz_SF": -2, "Hz": 5000, "DERMode": mode}), DER_RATED, der(), STORED]
    stage = bench(*models)

    async def act(device: Device) -> None:
        assert values(list(await device.poll())).get("battery.on_grid") == told

    run(stage, sunspec_config(LINK, Role.BATTERY), act)
