"""One sample of the meter that contradicts itself, or that a fuse could not carry, changes nothing."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from cem.control import Memory, decide
from cem.model.reading import Snapshot, Value
from cem.model.resource import Ratings
from cem.model.setpoint import Decision, Mode
from cem.model.site import ElectricalConnection
from support.houses import BATTERY, CAR, GRID, house, inputs, of, settled, snapshot, watts

HOME = house(GRID, BATTERY, connection=ElectricalConnection(fuse_a=35))
TRUE: dict[str, Value] = {
    "power_w": 690.0,
    "frequency_hz": 50.0,
    **{f"power_l{n}_w": 230.0 for n in (1, 2, 3)},
    **{f"current_l{n}_a": 1.1 for n in (1, 2, 3)},
    **{f"voltage_l{n}_v": 230.0 for n in (1, 2, 3)},
}


def seen(grid: Mapping[str, Value], mono_s: float) -> Snapshot:
    """The meter's values beside a battery that gives nothing yet."""
    return snapshot({"grid": grid, "battery": {"power_w": 0.0, "soc_pct": 50.0}}, mono_s=mono_s)


def played(*samples: Mapping[str, Value]) -> tuple[list[Decision], Memory]:
    """The decisions on these samples, a second apart, after a calm half minute."""
    memory, decisions = Memory(), []
    for second, values in enumerate([TRUE] * 30 + list(samples)):
        decision, memory = decide(HOME, inputs(seen(values, 1000.0 + second)), memory)
        decisions.append(decision)
    return decisions[29:], memory


@pytest.mark.parametrize(
    "wrong",
    [
        {"power_w": 32767.0},
        {"power_w": -32768.0},
        {"power_w": 6900.0, **{f"power_l{n}_w": 2300.0 for n in (1, 2, 3)}},  # a scale factor of ten
        {"frequency_hz": 0.05},
        {"frequency_hz": 5000.0},
        {"voltage_l2_v": 23000.0},
    ],
)
def test_a_sample_that_contradicts_itself_moves_no_set_point_and_is_counted(wrong: dict[str, Value]) -> None:
    (before, after, later), memory = played(TRUE | wrong, TRUE)
    assert [s.value for s in after.setpoints] == [s.value for s in before.setpoints]
    assert "contradicts itself" in after.notes["grid"]
    assert [d.count for d in memory.dropped.values()] == [1]
    assert not later.notes


def test_samples_that_contradict_themselves_for_long_are_a_silent_meter() -> None:
    decisions, _ = played(*[TRUE | {"frequency_hz": 0.05}] * 12)
    assert [decision.mode for decision in decisions[:10]] == [Mode.NORMAL] * 10
    assert decisions[-1].mode is Mode.SAFE


@pytest.mark.parametrize(
    "right",
    [
        {"current_l1_a": 1.0, "current_l2_a": 1.0, "current_l3_a": 1.0},  # whole amperes
        {"power_w": 460.0, "power_l1_w": 0.0, "current_l1_a": 2.0},  # reactive current alone
        {"power_w": 460.0, "power_l1_w": 0.0, "current_l1_a": 0.0, "voltage_l1_v": 0.0},  # a phase is lost
        {"frequency_hz": 0.0, **{f"voltage_l{n}_v": 0.0 for n in (1, 2, 3)}, "power_w": 0.0}
        | {f"power_l{n}_w": 0.0 for n in (1, 2, 3)},  # no grid
        {"voltage_l1_v": None, "current_l2_a": None, "frequency_hz": None},
    ],
)
def test_samples_that_can_be_true_are_believed(right: dict[str, Value]) -> None:
    _, memory = played(TRUE | right)
    assert memory.dropped == {}


def test_values_that_were_not_read_together_are_not_compared() -> None:
    image = snapshot(
        {"grid": {"power_w": 5000.0} | {f"power_l{n}_w": 0.0 for n in (1, 2, 3)}, "battery": {"power_w": 0.0}}
    )
    early = {p: replace(r, taken_at_s=r.taken_at_s - (p != "power_w")) for p, r in image.readings["grid"].items()}
    later = Snapshot(image.mono_s, {**image.readings, "grid": early})
    assert decide(HOME, inputs(later), Memory())[1].dropped == {}


def test_more_than_the_fuse_carries_is_believed_when_it_comes_twice() -> None:
    over: dict[str, Value] = {"power_w": 36_000.0}
    (before, once, back), memory = played(over, {"power_w": 690.0})
    assert watts(once, "battery") == watts(before, "battery")
    assert "comes twice" in once.notes["grid"]
    assert watts(back, "battery") == watts(before, "battery")
    assert [d.count for d in memory.dropped.values()] == [1]
    (_, _, twice), _ = played(over, over)
    assert watts(twice, "battery") < -2000


def test_on_a_phase_that_the_meter_lost_nothing_may_draw_more_than_before() -> None:
    car = replace(CAR, ratings=Ratings(max_current_a=16, phases=1, phase=1))
    site = house(GRID, car, connection=ElectricalConnection(fuse_a=25))

    def at(lost: bool, car_a: float) -> Snapshot:
        load_a = 12.0
        shown: dict[str, Value] = {"power_w": 460.0 + (0.0 if lost else 230.0 * (load_a + car_a))}
        for phase, amps in ((1, load_a + car_a), (2, 1.0), (3, 1.0)):
            gone = lost and phase == 1
            shown |= {f"power_l{phase}_w": 0.0 if gone else 230.0 * amps, f"voltage_l{phase}_v": 0.0 if gone else 230.0}
        return snapshot({"grid": shown, "car": {"power_w": 230.0 * car_a, "state": "C"}})

    decision, memory = settled(site, inputs(at(False, 12.0)))
    assert watts(decision, "car") == 12
    decision, memory = settled(site, inputs(at(True, 12.0)), memory=memory)
    assert watts(decision, "car") <= 12
    assert "no voltage on phase L1" in decision.notes["grid"]
    back, _ = settled(site, inputs(at(False, 12.0)), memory=memory)
    assert not back.notes


def test_a_car_on_one_phase_of_three_is_told_by_its_current_and_does_not_hunt() -> None:
    site = house(GRID, CAR, connection=ElectricalConnection(fuse_a=25))
    memory, offers, drawn_a = Memory(), [], 9.0
    for second in range(120):
        told: dict[str, Value] = {"power_w": 230.0 * (15.0 + drawn_a + 2.0), "power_l1_w": 230.0 * (15.0 + drawn_a)}
        told |= {"power_l2_w": 460.0, "power_l3_w": 0.0}
        car: dict[str, Value] = {"power_w": 230.0 * drawn_a, "current_a": drawn_a, "state": "C", "phases": 3.0}
        image = snapshot({"grid": told, "car": car}, mono_s=1000.0 + second)
        decision, memory = decide(site, inputs(image), memory)
        offers.append(watts(decision, "car"))
        drawn_a = offers[-1]
    assert set(offers) == {9.0}


def test_a_battery_whose_management_falls_silent_idles_and_says_so() -> None:
    def at(soc_pct: float | None) -> Snapshot:
        return snapshot({"grid": {"power_w": 1500.0}, "battery": {"power_w": 0.0, "soc_pct": soc_pct}})

    decision, memory = settled(HOME, inputs(at(50.0)))
    assert watts(decision, "battery") < -1000
    decision, _ = decide(HOME, inputs(at(None)), memory)
    assert of(decision, "battery").value == 0.0
    assert "no state of charge" in of(decision, "battery").reason
    assert "no state of charge" in decision.notes["battery"]


def test_a_battery_that_never_told_its_state_of_charge_is_left_alone() -> None:
    image = snapshot({"grid": {"power_w": 1500.0}, "battery": {"power_w": 0.0, "soc_pct": None}})
    decision, _ = settled(HOME, inputs(image))
    assert not [s for s in decision.setpoints if s.resource_id == "battery"]
