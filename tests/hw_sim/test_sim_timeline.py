"""Events come when they should, do what they say, and are gone afterwards."""

from datetime import UTC, datetime

import pytest

from hw_sim.happenings import EventSpec
from hw_sim.home import HomeError, parse_home
from hw_sim.homefile import Home
from hw_sim.physics.calendar import Calendar
from hw_sim.physics.course import Course
from hw_sim.simulation import SimulatedHome
from hw_sim.timeline import Timeline
from support.sim_homes import BATTERY, EV, HOUSE, METER, NIGHT, NOON, PV, home
from support.sim_worlds import ready

START = datetime(2026, 3, 27, 20, 0, tzinfo=UTC)  # 21:00 in Berlin, two nights before the clocks go forward


def moments(spec: EventSpec, until_s: float, step_s: float = 10.0) -> list[tuple[float, bool]]:
    line = Timeline([spec], START, Calendar("Europe/Berlin"))
    seen = []
    for k in range(int(until_s / step_s) + 1):
        seen += [(k * step_s, begins) for _, _, begins in line.take(k * step_s)]
    return seen


def load(**when: object) -> EventSpec:
    return EventSpec.model_validate({"kind": "load", "extra_w": 100.0, **when})


@pytest.mark.parametrize(
    ("when", "seen"),
    [
        ({"at_s": 20, "for_s": 30}, [(20, True), (50, False)]),
        ({"at_s": 20}, [(20, True)]),
        (
            {"at_s": 0, "for_s": 10, "repeat_s": 60, "times": 3},
            [(0, True), (10, False), (60, True), (70, False), (120, True), (130, False)],
        ),
        ({"at": "2026-03-27T21:01:00"}, [(60, True)]),
        ({"at": "2026-03-27T20:01:00+00:00", "for_s": 10}, [(60, True), (70, False)]),
        ({"at": "21:02:00"}, [(120, True)]),
        ({"at": "20:59:00"}, [(86_340, True)]),
        # the third time is an hour earlier on the clock that does not change
        ({"at": "22:00:00", "daily": True}, [(3600, True), (90_000, True), (172_800, True)]),
    ],
)
def test_a_moment_comes_when_it_is_due(when: dict[str, object], seen: list[tuple[float, bool]]) -> None:
    assert moments(load(**when), 200_000.0) == seen


@pytest.mark.parametrize(
    ("lines", "path"),
    [
        ('kind = "load"\nat_s = 1', "event.0.kind: 'load' needs extra_w"),
        ('kind = "load"\nat_s = 1\nextra_w = 1\nhz = 50', "event.0.hz: not for 'load'"),
        ('kind = "load"\nextra_w = 1', "event.0: "),
        ('kind = "load"\nextra_w = 1\nat_s = 1\nat = 10:00:00', "event.0: "),
        ('kind = "load"\nextra_w = 1\nat_s = 1\ndaily = true', "event.0: "),
        ('kind = "load"\nextra_w = 1\nat_s = 1\ntimes = 2', "event.0: "),
        ('kind = "load"\nextra_w = 1\nat_s = 1\nfor_s = 9\nrepeat_s = 5', "event.0: "),
        ('kind = "arrive"\nat_s = 1', "event.0.target: "),
        ('kind = "arrive"\ntarget = "pv"\nat_s = 1', "event.0.target: "),
        ('kind = "grid_loss"\ntarget = "pv"\nat_s = 1', "event.0.target: "),
        (
            'kind = "quirk"\ntarget = "ev"\nat_s = 1\nset = { capacity_wh = 1 }',
            "event.0.set.capacity_wh: not to be set",
        ),
        ('kind = "quirk"\ntarget = "ev"\nat_s = 1\nset = { wake_s = -1 }', "event.0.set.wake_s: "),
        ('kind = "storm"\nat_s = 1', "event.0.kind: "),
    ],
)
def test_a_fault_of_an_event_is_named_with_its_path(lines: str, path: str) -> None:
    with pytest.raises(HomeError) as caught:
        parse_home(HOUSE + PV + EV + METER + f"[[event]]\n{lines}\n")
    assert any(fault.startswith(path) for fault in caught.value.faults), caught.value.faults


def events(*tables: str) -> str:
    return "".join(f"[[event]]\n{table}\n" for table in tables)


def run(sim: SimulatedHome, seconds: int) -> None:
    for _ in range(seconds):
        sim.step(1.0)


def sim(*parts: str, start: datetime = NIGHT) -> SimulatedHome:
    return SimulatedHome(home(*parts), start)


def test_a_load_step_lies_on_its_phase_and_goes_again() -> None:
    one = sim(METER, events('kind = "load"\nat_s = 10\nfor_s = 20\nextra_w = 5000\nphase = 2'))
    run(one, 10)
    assert one.truth().grid_w == pytest.approx(300.0)
    run(one, 1)
    truth = one.truth()
    assert truth.grid_phases_w == pytest.approx((100.0, 5100.0, 100.0))
    assert truth.grid_currents_a[1] == pytest.approx(5100.0 / 230.0)
    run(one, 20)
    assert one.truth().grid_w == pytest.approx(300.0)


def test_clouds_come_over_all_roofs_and_go() -> None:
    one = sim(PV, events('kind = "weather"\nat_s = 60\nfor_s = 600\ncloudiness = 1.0\nshift_c = -9'), start=NOON)
    run(one, 60)
    clear, warm = one.truth().pv_w, one.truth().outdoor_c
    run(one, 10)
    assert -one.truth().pv_w < 0.4 * -clear
    assert one.truth().outdoor_c == pytest.approx(warm - 9.0, abs=0.1)
    run(one, 600)
    assert one.truth().pv_w == pytest.approx(clear, rel=0.05)
    assert one.truth().outdoor_c == pytest.approx(warm, abs=0.8)


def test_a_car_comes_wants_and_leaves() -> None:
    car = EV.replace("plugged_at_start = true", "plugged_at_start = false")
    arrives = 'kind = "arrive"\ntarget = "ev"\nat_s = 10\nfor_s = 7200\nsoc_pct = 20\nwants_wh = 2000'
    one = sim(car, events(arrives))
    run(one, 11)
    assert one.truth().ev["ev"].plugged
    assert one.truth().ev["ev"].missing_wh == pytest.approx(2000.0)
    run(one, 3000)
    seen = one.truth().ev["ev"]
    assert (seen.wanting, seen.state) == (False, "B")
    assert seen.soc_pct == pytest.approx(20.0 + 100.0 * 2000.0 / 60000.0)
    assert seen.session_wh == pytest.approx(2000.0 / 0.92, rel=1e-6)
    run(one, 4300)
    assert not one.truth().ev["ev"].plugged


def test_a_car_that_leaves_comes_back_with_less() -> None:
    one = sim(EV, events('kind = "leave"\ntarget = "ev"\nat_s = 5\nfor_s = 60\nused_wh = 6000'))
    run(one, 20)
    assert one.truth().ev["ev"].state == "A"
    run(one, 60)
    assert one.truth().ev["ev"].soc_pct == pytest.approx(25.0, abs=0.5)


def test_a_quirk_holds_for_its_time() -> None:
    quirk = 'kind = "quirk"\ntarget = "ev"\nat_s = 0\nfor_s = 100\nset = { wake_s = 60, car_min_a = 8 }'
    one = sim(EV, events(quirk))
    charger = one.charger
    assert charger is not None
    run(one, 50)
    assert one.truth().ev_w == 0.0
    run(one, 15)
    assert one.truth().ev_w > 0.0
    charger.set("amp", b"7")
    run(one, 10)
    assert one.truth().ev_w == 0.0  # this car needs 8 A
    run(one, 40)
    assert one.truth().ev_w == pytest.approx(3 * 230.0 * 7)


def test_a_device_may_be_slow_coarse_and_late() -> None:
    quirk = 'kind = "quirk"\ntarget = "battery"\nat_s = 0\nset = { dead_time_s = 20 }'
    one = sim(BATTERY, events(quirk))
    front = one.fronts["battery"]
    run(one, 5)
    front.contest(2000.0)
    run(one, 19)
    assert abs(one.truth().battery_w - 2000.0) > 1000.0
    assert one.truth().devices["battery"].holds["battery"].upper_w == pytest.approx(2000.0)
    run(one, 20)
    assert one.truth().battery_w == pytest.approx(2000.0)


def test_voltage_and_frequency_follow_their_courses() -> None:
    one = sim(
        METER,
        events(
            'kind = "frequency"\nat_s = 10\nfor_s = 100\nprofile = [[0, 50.0], [10, 49.5], [20, 49.8]]',
            'kind = "voltage"\nat_s = 10\nfor_s = 50\nvolts = 253\nramp_s = 20\nphase = 3',
        ),
    )
    seen = []
    for _ in range(140):
        one.step(1.0)
        truth = one.truth()
        seen.append((truth.elapsed_s, truth.frequency_hz, truth.voltages_v[2], truth.voltages_v[0]))
    at = {s: (hz, v3, v1) for s, hz, v3, v1 in seen}
    assert at[10.0] == (50.0, 230.0, 230.0)
    assert at[15.0][0] == pytest.approx(49.75)
    assert at[20.0][0] == pytest.approx(49.5)
    assert at[25.0][0] == pytest.approx(49.65)
    assert at[100.0][0] == pytest.approx(49.8)
    assert at[112.0][0] == pytest.approx(50.0)
    assert at[20.0][1] == pytest.approx(241.5)
    assert at[30.0][1] == pytest.approx(253.0)
    assert at[30.0][2] == 230.0
    assert at[70.0][1] == pytest.approx(241.5)
    assert at[81.0][1] == pytest.approx(230.0)


def test_a_course_under_another_one_comes_back() -> None:
    course = Course(50.0)
    course.lay(1, 0.0, [(0.0, 49.0)])
    assert course.move(0.0) == 49.0
    course.lay(2, 5.0, [(0.0, 51.0)], ramp_s=2.0)
    assert course.move(6.0) == pytest.approx(50.0)
    assert course.move(9.0) == 51.0
    course.lift(2, 10.0)
    assert course.move(10.0) == 49.0
    course.lift(1, 11.0, ramp_s=1.0)
    assert course.move(11.5) == pytest.approx(49.5)
    assert course.move(20.0) == 50.0


def test_a_cold_battery_outdoors_is_not_charged() -> None:
    farm = ready("farm")
    cold = farm.model_copy(
        update={"event": (EventSpec.model_validate({"kind": "weather", "at_s": 0, "shift_c": -15.0}),)}
    )

    def charged(which: Home) -> tuple[float, float]:
        one = SimulatedHome(which, datetime(2026, 2, 3, 20, tzinfo=UTC), step_s=30.0)
        for _ in range(1200):
            one.step(30.0)
        one.fronts["battery-old"].contest(3000.0)
        for _ in range(60):
            one.step(1.0)
        return one.truth().battery["old"].power_w, one.truth().battery["old"].cell_c

    power, cell = charged(cold)
    assert (power, cell < 2.0) == (0.0, True)
    mild = farm.model_copy(update={"climate": farm.climate.model_copy(update={"mean_c": 22.0})})
    power, cell = charged(mild)
    assert power == pytest.approx(3000.0)
