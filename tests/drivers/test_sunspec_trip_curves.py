"""The trip curves of models 707 to 710: written, adopted, read back, and laid out as pysunspec2 does it."""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sunspec2.device

from cem.driver import Curve, DriverContext, GridFunction, HoldsCurves, Refused, Role, TripRegion
from cem.model.inverter_curve import WantedCurve
from cem.runtime.curves import put_in_force
from cem_drivers.modbus import open_bus
from cem_drivers.sunspec import DRIVER
from cem_drivers.sunspec.curves import TRIPS, CurveModel
from cem_drivers.sunspec.scan import Model
from support.driver_devices import sunspec_config
from support.modbus_wire import Registers, common_model, inverter_103, sunspec_map
from support.sunspec_curves import CURVES, POINTS, Adopting, curve_words
from support.sunspec_images import recorded_device

MUST, MAY, CEASES = TripRegion.MUST_TRIP, TripRegion.MAY_TRIP, TripRegion.MOMENTARY_CESSATION
GROUPS = {"MustTrip": MUST, "MayTrip": MAY, "MomCess": CEASES}
ADDRESS = 40070
CASES = {  # IEEE 1547-2018, tables 13 (category III) and 18, the must-trip regions of 707 and 710 as outlines
    707: {MUST: ((0.0, 2.0), (50.0, 2.0), (50.0, 21.0), (88.0, 21.0)), MAY: ((50.0, 1.0), (88.0, 20.0)), CEASES: ()},
    708: {MUST: ((120.0, 0.1), (110.0, 13.0)), MAY: ((110.0, 0.1),), CEASES: ((110.0, 0.0), (110.0, 13.0))},
    709: {MUST: ((56.5, 0.1), (58.5, 300.0)), MAY: ((57.0, 0.1), (58.8, 299.0)), CEASES: ()},
    710: {MUST: ((64.0, 0.1), (62.0, 0.1), (62.0, 300.0), (61.2, 300.0)), MAY: ((61.8, 0.1), (61.0, 299.0))},
}


def _play(words: list[int], work: Callable[[CurveModel], Awaitable[None]]) -> Registers:
    """A device that adopts, in memory."""
    registers = Registers()
    registers.put(ADDRESS, words)
    device = Adopting(registers, words[0], ADDRESS)

    async def main() -> None:
        bus = open_bus({"host": "memory", "timeout_s": 0.1}, DriverContext(lambda: 0.0, pdu=lambda _link: device))
        await work(CurveModel(bus, Model(words[0], ADDRESS, words[1])))
        bus.close()

    asyncio.run(main())
    return registers


def _theirs(model: int, words: list[int]) -> Any:
    """What pysunspec2 reads in the words of a model."""
    return sunspec2.device.Model(model, data=struct.pack(f">{len(words)}H", *words))


@pytest.mark.parametrize("model", CASES)
def test_a_trip_curve_is_adopted_in_force_and_read_alike_by_another_library(model: int) -> None:
    async def work(curves: CurveModel) -> None:
        before = await curves.read()
        assert (before.enabled, before.revert_s, before.most_points, len(before.curves)) == (
            False,
            None,
            POINTS,
            CURVES,
        )
        after = await curves.adopt(Curve(regions=CASES[model]), place=3)
        assert after.enabled
        assert after.active is not None
        assert {region: after.active.regions[region] for region in CASES[model]} == CASES[model]

    words = curve_words(model)
    registers = _play(words, work)
    theirs = _theirs(model, [registers.words[ADDRESS + at] for at in range(len(words))])
    assert theirs.Ena.value == 1
    for place in (1, 3):  # in force, and where it came from
        for name, region in GROUPS.items():
            part = getattr(theirs.Crv[place - 1], name)
            x_name = "V" if model < 709 else "Hz"
            points = [(getattr(point, x_name).cvalue, point.Tms.cvalue) for point in part.Pt[: part.ActPt.value]]
            rounded = tuple((round(x, 6), round(time_s, 6)) for x, time_s in points)
            assert rounded == CASES[model].get(region, ()), (place, name)


@pytest.mark.parametrize("model", CASES)
def test_what_another_library_wrote_is_read_and_written_over_only_where_it_differs(model: int) -> None:
    theirs = _theirs(model, curve_words(model))
    theirs.Ena.value = 1
    for name, region in GROUPS.items():
        part = getattr(theirs.Crv[0], name)
        points = CASES[model].get(region, ())
        part.ActPt.value = len(points)
        for point, (x, time_s) in zip(part.Pt, points, strict=False):
            getattr(point, "V" if model < 709 else "Hz").cvalue = x
            point.Tms.cvalue = time_s

    async def work(curves: CurveModel) -> None:
        held = (await curves.read()).active
        assert held is not None
        assert held.regions == {CEASES: (), **CASES[model]}
        await curves.adopt(Curve(regions={MUST: CASES[model][MUST]}))

    raw = theirs.get_mb()
    assert _play(list(struct.unpack(f">{len(raw) // 2}H", raw)), work).writes == []


@pytest.mark.parametrize("model", [707, 708])
def test_the_recorded_device_shows_its_trip_curves_and_has_no_place_for_another(model: int) -> None:
    theirs = recorded_device("device_1547.json").models[model][0]
    raw = theirs.get_mb()
    words = list(struct.unpack(f">{len(raw) // 2}H", raw))
    words[0:2] = [model, len(words) - 2]

    async def work(curves: CurveModel) -> None:
        held = await curves.read()
        assert held.active is not None
        told = {GROUPS[name]: getattr(theirs.Crv[0], name).Pt[0] for name in GROUPS}
        assert held.active.regions == {region: ((pt.V.cvalue, pt.Tms.cvalue),) for region, pt in told.items()}
        with pytest.raises(Refused, match="it has 1 curves, no curve 2"):
            await curves.adopt(Curve(regions={MUST: ((49.0, 4.0),)}))

    assert _play(words, work).writes == []


@pytest.mark.parametrize(
    ("curve", "revert_s", "words"),
    [
        (Curve(regions={MUST: ((1.0, 1.0),) * 5}), 0, "5 points, it has room for 4"),
        (Curve(regions={MAY: ((1.0, 1.0),)}), 0, "it has no may-trip curve"),
        (Curve(((1.0, 1.0),)), 0, "no points but in their regions"),
        (Curve(regions={MUST: ((-1.0, 1.0),)}), 0, "does not fit"),
        (Curve(regions={MUST: ((1.0, 1.0),)}), 60, "no timer"),
    ],
)
def test_a_trip_curve_that_does_not_fit_is_refused_before_anything_is_written(
    curve: Curve, revert_s: int, words: str
) -> None:
    model = curve_words(707)
    size = (len(model) - 9) // CURVES  # registers of one curve: 1, then 1 and 3 for each point, three times
    for place in range(CURVES):
        model[9 + place * size + 1 + 13] = 0xFFFF  # ActPt of the may-trip curve: not implemented

    async def work(curves: CurveModel) -> None:
        with pytest.raises(Refused, match=words):
            await curves.adopt(curve, revert_s=revert_s)

    assert _play(model, work).writes == []


def test_a_curve_that_contradicts_what_stays_in_force_is_not_written_for_a_program_either() -> None:
    held = curve_words(709)
    held[9 + 1 : 9 + 6] = [1, 0, 580, 0, 20]  # must-trip: one point, 58 Hz after 2 s
    held[9 + 18 : 9 + 23] = [1, 0, 585, 0, 10]  # may-trip: 58.5 Hz after 1 s
    registers = Registers()
    sunspec_map(registers, [common_model("SN-1"), inverter_103(0), held])
    wanted = WantedCurve(GridFunction.LOW_FREQUENCY_TRIP, Curve(regions={MUST: ((58.6, 2.0),)}))

    async def main() -> None:
        device = DRIVER.device(
            sunspec_config({"host": "memory"}, Role.PV), DriverContext(lambda: 0.0, pdu=lambda _link: registers)
        )
        assert isinstance(device, HoldsCurves)
        await device.open()
        with pytest.raises(Refused, match=r"below 58\.6 Hz after 2 s.*nothing was written"):
            await put_in_force(device, wanted)
        await device.close()

    asyncio.run(main())
    assert registers.writes == []


def test_every_trip_model_is_met() -> None:
    assert set(CASES) == TRIPS
