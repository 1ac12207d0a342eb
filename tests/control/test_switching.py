"""What is switched: minimum times over restarts, heat pumps, loads, and a start without a jump."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from cem.control import Memory, decide, from_json, lasting, to_json
from cem.control.memory import ChargerMemory, SwitchMemory
from cem.control.memory_json import locked_on
from cem.model.directive import Directive, LinkState, LinkStatus, PriceWindow
from cem.model.envelope import SITE, Envelope, Rank
from cem.model.plan import Intent, IntentKind
from cem.model.reading import Snapshot, Value
from cem.model.resource import Control, SgReady
from cem.model.setpoint import DeviceState, Health, Outcome, WriteState
from cem.model.site import LoadPolicy, LoadRun
from cem.model.time import Instant
from support.houses import (
    BATTERY,
    BOILER,
    CAR,
    GRID,
    HEAT_PUMP,
    NOON,
    PV,
    house,
    inputs,
    limited,
    of,
    plan,
    settled,
    snapshot,
    watts,
    world,
)

HEATED = house(GRID, HEAT_PUMP)
SUNNY = replace(house(GRID, BOILER), loads=(LoadPolicy("boiler", LoadRun.ON_SURPLUS),))


def heated(load_w: float, heat_w: float = 0.0, mono_s: float = 1000.0) -> Snapshot:
    """A house with a heat pump that draws `heat_w`."""
    return snapshot({"grid": {"power_w": load_w + heat_w}, "heat_pump": {"power_w": heat_w}}, mono_s=mono_s)


def boiled(load_w: float, boiler_w: float = 0.0, mono_s: float = 1000.0) -> Snapshot:
    """A house with a boiler on a relay."""
    return snapshot({"grid": {"power_w": load_w + boiler_w}, "boiler": {"power_w": boiler_w}}, mono_s=mono_s)


@pytest.mark.parametrize("offers_a", [0.0, 16.0])  # the latter as it was handed back
def test_minimum_times_hold_over_a_restart_and_count_nothing_while_nobody_ran(offers_a: float) -> None:
    paused = Memory(chargers={"car": ChargerMemory(0.0, switched_at_s=950.0)}, decided_at_s=1000.0)
    document = json.loads(json.dumps(to_json(paused, Instant(NOON, 1000.0))))
    for later_s in (5.0, 70000.0):  # another process, another monotonic clock, an hour or a day later
        memory = from_json(document, Instant(NOON + timedelta(days=1), later_s))
        assert later_s - memory.chargers["car"].switched_at_s == pytest.approx(50.0)
        image = world(car_state="B", car_limit_a=offers_a, mono_s=later_s)
        values = []
        for second in range(300):
            decision, memory = decide(house(), inputs(replace_clock(image, later_s + second)), memory)
            values.append(of(decision, "car").value)
        assert values[0] == 0
        assert values.index(16.0) == 250


def test_a_car_that_began_against_its_word_and_was_stopped_by_a_restart_stays_off_for_its_minimum_time() -> None:
    began = Memory(chargers={"car": ChargerMemory(0.0, switched_at_s=100.0, closed=True)}, decided_at_s=1000.0)
    memory = from_json(json.loads(json.dumps(to_json(began, Instant(NOON, 1000.0)))), Instant(NOON, 1000.0))
    image = world(car_state="B", mono_s=1000.0)
    values = []
    for second in range(310):
        decision, memory = decide(house(), inputs(replace_clock(image, 1000.0 + second)), memory)
        values.append(of(decision, "car").value)
    assert values.index(16.0) == 300


def test_a_contactor_that_was_left_open_under_an_offer_and_is_found_closed_was_closed_just_now() -> None:
    left = Memory(chargers={"car": ChargerMemory(16.0, switched_at_s=100.0)}, decided_at_s=1000.0)
    memory = from_json(json.loads(json.dumps(to_json(left, Instant(NOON, 1000.0)))), Instant(NOON, 1000.0))
    _, memory = decide(house(), inputs(world(car_state="C", car_w=11040.0, car_limit_a=16.0, mono_s=1000.0)), memory)
    assert memory.chargers["car"].switched_at_s == 1000.0


@pytest.mark.parametrize(("passed_s", "locked_s"), [(25.0, 1025.0), (200.0, 1060.0), (None, 1060.0)])
def test_a_lock_lasts_while_nobody_runs_as_long_as_its_contacts_keep_it(
    passed_s: float | None, locked_s: float
) -> None:
    """It is written each minute for how long a heat pump was locked today."""
    pumps = {"heat_pump": SwitchMemory(SgReady.LOCKED, 900.0, locked_s=1000.0, day=7), "other": SwitchMemory(2, day=7)}
    written = Memory(switches=pumps)
    memory = locked_on(
        from_json(json.loads(json.dumps(to_json(written, Instant(NOON, 1000.0)))), Instant(NOON, 9.0)), passed_s
    )
    assert (memory.switches["heat_pump"].locked_s, memory.switches["other"].locked_s) == (locked_s, 0.0)
    longer = {"heat_pump": replace(pumps["heat_pump"], locked_s=1061.0)}
    assert lasting(written) != lasting(replace(written, switches=pumps | longer))


@pytest.mark.parametrize(("state", "begins_s"), [(WriteState.REFUSED, 1030.0), (WriteState.ACCEPTED, 1000.0)])
def test_the_time_of_a_state_begins_when_the_heat_pump_has_taken_its_word(state: WriteState, begins_s: float) -> None:
    """It is to be locked, and refuses for half a minute, or does not."""
    site, memory = house(GRID, HEAT_PUMP), Memory(decided_at_s=999.0)
    for second in range(40):
        values: dict[str, dict[str, Value]] = {"grid": {"power_w": 3000.0}, "heat_pump": {"power_w": 2500.0}}
        image = snapshot(values, mono_s=1000.0 + second)
        outcome = Outcome("heat_pump", Control.HEAT_PUMP_SG_READY, state, 1.0, 1000.0)
        outcomes = (outcome,) if 0 < second <= 30 else ()
        _, memory = decide(site, replace(inputs(image, directive=limited(1000.0)), outcomes=outcomes), memory)
    assert memory.switches["heat_pump"].state == SgReady.LOCKED
    assert memory.switches["heat_pump"].switched_at_s == begins_s


@pytest.mark.parametrize(("taken", "begins_s"), [(3.0, 1040.0), (2.0, 1000.0)])
def test_the_time_of_a_state_begins_when_a_heat_pump_that_was_away_is_reached_with_its_word(
    taken: float, begins_s: float
) -> None:
    """It goes away when it is to store the sun no longer: before it was told so, or just after."""
    stores = {"heat_pump": SwitchMemory(SgReady.RECOMMENDED, 0.0)}
    memory = Memory(switches=stores, decided_at_s=999.0, begun_at_s=0.0)
    for second in range(60):
        online, away = DeviceState("heat_pump", Health.ONLINE, 0.0), DeviceState("heat_pump", Health.SILENT, 1000.5)
        back = replace(online, since_s=1040.5)
        device, state = (online if second == 0 else away, taken) if second <= 40 else (back, 2.0)
        took = Outcome("heat_pump", Control.HEAT_PUMP_SG_READY, WriteState.ACCEPTED, state, 0.0)
        given = replace(inputs(heated(3000.0, 500.0, 1000.0 + second)), outcomes=(took,))
        decision, memory = decide(HEATED, replace(given, devices={"heat_pump": device}), memory)
        assert watts(decision, "heat_pump") == SgReady.NORMAL
    assert memory.switches["heat_pump"].switched_at_s == begins_s


@pytest.mark.parametrize(("stood", "state"), [("recommended", SgReady.NORMAL), ("normal", SgReady.RECOMMENDED)])
def test_a_heat_pump_that_goes_back_as_it_refuses_to_be_told_once_more_stays_back_for_its_minimum_time(
    stood: str, state: SgReady
) -> None:
    """It is to store the sun, and refuses: after it did so for a while, or from the beginning."""
    stores = {"heat_pump": SwitchMemory(SgReady.RECOMMENDED, 999.0, was=2)}
    memory = Memory(switches=stores, decided_at_s=999.0, begun_at_s=0.0)
    refuses = Outcome("heat_pump", Control.HEAT_PUMP_SG_READY, WriteState.REFUSED, 3.0, 1010.0)
    for second in range(100):
        image = told(-5000.0, 100.0, stood if second < 60 else "normal", 1000.0 + second)
        given = replace(inputs(image), outcomes=(refuses,) if second >= 10 else ())
        decision, memory = decide(HEATED, given, memory)
    assert watts(decision, "heat_pump") == state
    assert memory.switches["heat_pump"].switched_at_s == (1060.0 if state is SgReady.NORMAL else 1099.0)


def replace_clock(image: Snapshot, mono_s: float) -> Snapshot:
    """The same values, read at another time."""
    readings = {
        key: {p: replace(r, taken_at_s=mono_s) for p, r in points.items()} for key, points in image.readings.items()
    }
    return replace(image, mono_s=mono_s, readings=readings)


@pytest.mark.parametrize("document", [None, [], {"format": 9}, {"format": 1, "chargers": {"car": {"limit_a": "x"}}}, 7])
def test_a_memory_that_cannot_be_read_is_an_empty_one(document: object) -> None:
    memory = from_json(document, Instant(NOON, 5.0))  # type: ignore[arg-type]
    assert decide(house(), inputs(world()), memory)[0].setpoints


def test_the_memory_is_worth_a_write_only_when_something_was_switched() -> None:
    _, memory = settled(house(), inputs(world(car_state="C", car_w=11040, load_w=500)), 5)
    before = lasting(memory)
    for second in range(20):
        _, memory = decide(
            house(), inputs(world(car_state="C", car_w=11040, load_w=500 + second, mono_s=1001.0 + second)), memory
        )
    assert lasting(memory) == before


@pytest.mark.parametrize(("state", "drawn_w"), [("B", 0.0), ("C", 4140.0), ("C", 11040.0)])
def test_the_first_command_after_a_start_asks_for_no_more_than_there_is(state: str, drawn_w: float) -> None:
    decision, _ = decide(house(), inputs(world(load_w=4000, battery_w=-700, car_state=state, car_w=drawn_w)), Memory())
    assert abs(watts(decision, "battery")) <= 700
    assert watts(decision, "car") * 690 <= drawn_w + 1


def test_a_start_does_not_stop_a_car_that_charges_on_one_phase_of_three() -> None:
    image = world(load_w=500, car_state="C", car_w=3680)  # 16 A on one phase, which on three would be 5 A
    decision, memory = decide(house(), inputs(image), Memory())
    assert watts(decision, "car") == 6.0
    decision, _ = settled(house(), inputs(image), 5, memory)
    assert watts(decision, "car") >= 6.0


@pytest.mark.parametrize("limit_w", [3000.0, 2000.0])
def test_a_heat_pump_is_locked_when_a_limit_leaves_no_room_and_stays_so_for_its_minimum(limit_w: float) -> None:
    decision, memory = settled(HEATED, inputs(heated(1500.0, 2500.0), directive=limited(limit_w)), 2)
    assert watts(decision, "heat_pump") == SgReady.LOCKED
    assert of(decision, "heat_pump").demanded
    decision, memory = decide(HEATED, inputs(heated(1500.0, mono_s=1100.0)), memory)
    assert watts(decision, "heat_pump") == SgReady.LOCKED
    decision, memory = decide(HEATED, inputs(heated(1500.0, mono_s=1700.0)), memory)
    assert watts(decision, "heat_pump") == SgReady.NORMAL


@pytest.mark.parametrize("told", [None, 6200.0])
def test_a_heat_pump_of_unknown_power_is_locked_while_a_limit_is_exceeded(told: float | None) -> None:
    memory, states = Memory(), list[int]()
    for second in range(1300):
        running_w = 6200.0 if not states or states[-1] != SgReady.LOCKED else 0.0
        values: dict[str, dict[str, Value]] = {
            "grid": {"power_w": 400.0 + running_w},
            "heat_pump": {"power_w": None if told is None else running_w or 0.0},
        }
        directive = limited(1500) if 200 <= second < 600 else Directive()
        image = snapshot(values, mono_s=1000.0 + second)
        decision, memory = decide(HEATED, inputs(image, directive=directive), memory)
        states.append(int(of(decision, "heat_pump").value or 0))
        if second == 210:
            assert "import limit 1.5 kW" in of(decision, "heat_pump").reason
    assert set(states[:200]) == {SgReady.NORMAL}
    assert set(states[201:600]) == {SgReady.LOCKED}
    assert set(states[850:]) == {SgReady.NORMAL}


def test_a_load_whose_relay_is_silent_is_not_switched_on() -> None:
    memory = Memory()
    for second in range(200):
        health = Health.SILENT if second < 120 else Health.ONLINE
        state = {"relay": DeviceState("relay", health, 900.0)}
        image = snapshot({"grid": {"power_w": -4000.0}}, mono_s=1000.0 + second)
        decision, memory = decide(SUNNY, replace(inputs(image), devices=state), memory)
        if second < 120:
            assert of(decision, "boiler").value == 0.0
            assert of(decision, "boiler").reason == "off until its device answers again"
    assert of(decision, "boiler").value == 1.0


def test_a_load_makes_room_for_a_locked_heat_pump_that_finishes_its_run() -> None:
    site = replace(house(GRID, HEAT_PUMP, BOILER), loads=(LoadPolicy("boiler", LoadRun.ON_SURPLUS),))
    memory, boiler, pump = Memory(), 0.0, 0.0
    for second in range(300):
        pump = 0.0 if second < 100 else min(3000.0, pump + 100.0)  # once it runs it does not stop
        values: dict[str, dict[str, Value]] = {
            "grid": {"power_w": -2500.0 + 2000.0 * boiler + pump},
            "heat_pump": {"power_w": pump},
            "boiler": {"power_w": 2000.0 * boiler},
        }
        decision, memory = decide(
            site, inputs(snapshot(values, mono_s=1000.0 + second), directive=limited(500)), memory
        )
        boiler = of(decision, "boiler").value or 0.0
        if second == 99:
            assert boiler == 1.0
    assert of(decision, "heat_pump").value == SgReady.LOCKED
    assert boiler == 0.0


def test_a_heat_pump_of_unknown_power_heats_on_within_a_limit() -> None:
    decision, _ = decide(HEATED, inputs(snapshot({"grid": {"power_w": 1400.0}}), directive=limited(1500)), Memory())
    assert of(decision, "heat_pump").value == SgReady.NORMAL


def test_a_heat_pump_is_locked_for_two_hours_a_day_at_most() -> None:
    used = Memory(switches={"heat_pump": SwitchMemory(2, 0.0, None, 7200.0, NOON.toordinal())}, decided_at_s=999.0)
    decision, _ = decide(HEATED, inputs(heated(1500.0, 2500.0), directive=limited(2000.0)), used)
    assert watts(decision, "heat_pump") == SgReady.NORMAL


@pytest.mark.parametrize(("car_w", "said"), [(0.0, "the sun's surplus"), (11040.0, "others take beyond it comes from")])
def test_a_heat_pump_that_stores_the_sun_before_the_car_does_not_call_it_surplus(car_w: float, said: str) -> None:
    car: dict[str, Value] = {"power_w": car_w, "state": "C" if car_w else "A"}
    pump: dict[str, Value] = {"power_w": 1500.0}
    image = snapshot({"grid": {"power_w": car_w - 2500.0}, "car": car, "heat_pump": pump})
    stores = Memory(switches={"heat_pump": SwitchMemory(SgReady.RECOMMENDED, 0.0)}, decided_at_s=999.0)
    decision, _ = decide(house(GRID, CAR, HEAT_PUMP), inputs(image), stores)
    assert of(decision, "heat_pump").value == SgReady.RECOMMENDED
    assert said in of(decision, "heat_pump").reason


@pytest.mark.parametrize(("limit_w", "state"), [(2000.0, SgReady.LOCKED), (None, None)])
def test_without_a_meter_a_heat_pump_is_locked_while_a_limit_holds(limit_w: float | None, state: int | None) -> None:
    directive = Directive() if limit_w is None else limited(limit_w)
    _, memory = decide(HEATED, inputs(heated(500.0), directive=directive), Memory())
    blind = replace(heated(500.0), mono_s=1012.0)
    decision, memory = decide(HEATED, inputs(blind, directive=directive), memory)
    told = [s.value for s in decision.setpoints if s.resource_id == "heat_pump"]
    assert told == ([] if state is None else [state])


@pytest.mark.parametrize(
    ("load_w", "kind", "price", "state"),
    [
        (1000.0, None, None, SgReady.NORMAL),
        (-5000.0, None, None, SgReady.RECOMMENDED),
        (1000.0, IntentKind.CHARGE_TO, None, SgReady.RECOMMENDED),
        (-5000.0, IntentKind.HOLD, None, SgReady.NORMAL),
        (1000.0, None, -0.05, SgReady.FORCED),
    ],
)
def test_a_heat_pump_stores_heat_when_the_plan_the_sun_or_the_price_says_so(
    load_w: float, kind: IntentKind | None, price: float | None, state: SgReady
) -> None:
    intents = {} if kind is None else {"heat_pump": Intent(kind)}
    directive = (
        Directive(prices=(PriceWindow(NOON, None, price, None, "market"),)) if price is not None else Directive()
    )
    decision, _ = settled(HEATED, inputs(heated(load_w), plan=plan(intents), directive=directive), 2)
    assert watts(decision, "heat_pump") == state


@pytest.mark.parametrize(("memory", "rank"), [(SgReady.RECOMMENDED, Rank.PLAN), (SgReady.FORCED, Rank.OBLIGATION)])
def test_under_an_import_limit_no_heat_pump_is_forced_as_nobody_knows_its_rod(memory: SgReady, rank: Rank) -> None:
    price = PriceWindow(NOON, None, -0.05, None, "market")
    given = inputs(heated(1000.0, 3000.0), directive=replace(limited(9000.0), prices=(price,)))
    used = Memory(switches={"heat_pump": SwitchMemory(int(memory), 900.0)}, decided_at_s=999.0)
    decision, _ = decide(HEATED, given, used)
    assert watts(decision, "heat_pump") == SgReady.RECOMMENDED
    assert of(decision, "heat_pump").rank is rank  # what a limit asks for need not wait ten minutes


@pytest.mark.parametrize(("link", "locked_after_s"), [(LinkState.RESYNC, 10), (LinkState.ONLINE, 0)])
def test_the_default_limit_of_a_provider_that_is_not_heard_yet_switches_nothing_off_at_once(
    link: LinkState, locked_after_s: int
) -> None:
    said = replace(limited(3000.0), links=(LinkStatus("utility", link, NOON, None, ""),))
    site, memory = house(GRID, CAR, HEAT_PUMP), Memory()
    car: dict[str, Value] = {"power_w": 11000.0, "state": "C"}
    pumps, cars = [], []
    for second in range(12):
        powers = {"grid": {"power_w": 15000.0}, "heat_pump": {"power_w": 2500.0}}
        image = snapshot({**powers, "car": car}, mono_s=1000.0 + second)
        decision, memory = decide(site, inputs(image, directive=said), memory)
        pumps.append(watts(decision, "heat_pump"))
        cars.append(watts(decision, "car"))
    assert pumps == [SgReady.NORMAL] * locked_after_s + [SgReady.LOCKED] * (12 - locked_after_s)
    assert cars == [6.0] * locked_after_s + [0.0] * (12 - locked_after_s)


def test_a_relay_is_not_taken_for_switched_back_in_the_moment_in_which_it_was_told() -> None:
    used = Memory(switches={"boiler": SwitchMemory(1, 1000.0)}, decided_at_s=1000.0)
    image = snapshot({"grid": {"power_w": -3000.0}, "boiler": {"power_w": 0.0, "state": "off"}})
    devices = {"relay": DeviceState("relay", Health.ONLINE, 1000.0)}
    given = replace(inputs(image), devices=devices)
    told = Outcome("boiler", Control.LOAD_ON, WriteState.ACCEPTED, 1.0, 1000.0)
    assert watts(decide(SUNNY, replace(given, outcomes=(told,)), used)[0], "boiler") == 1.0
    assert watts(decide(SUNNY, given, used)[0], "boiler") == 0.0  # a former run's word, and it went back since


def test_what_a_load_tells_of_itself_is_believed_while_a_battery_makes_room_for_it() -> None:
    """The battery gives up just as much as the boiler takes: at the meter the load seems not to have changed."""
    site, said = house(GRID, BATTERY, BOILER), limited(3000.0)
    memory = Memory(batteries_w={"battery": 2450.0}, decided_at_s=999.0)
    for second, (battery_w, boiler_w) in enumerate([(2450.0, 0.0), (450.0, 2000.0), (450.0, 2000.0)]):
        values: dict[str, dict[str, Value]] = {
            "grid": {"power_w": 500.0 + battery_w + boiler_w},
            "battery": {"power_w": battery_w, "soc_pct": 50.0},
            "boiler": {"power_w": boiler_w},
        }
        _, memory = decide(site, inputs(snapshot(values, mono_s=1000.0 + second), directive=said), memory)
    assert memory.load_w == pytest.approx(2500.0)


def test_a_load_on_the_sun_waits_a_minute_then_runs_at_least_its_minimum_time() -> None:
    memory, states = Memory(), []
    drawn = 0.0
    for second in range(1500):
        load_w = -3000.0 if 30 <= second < 200 else 800.0
        decision, memory = decide(SUNNY, inputs(boiled(load_w, drawn, 1000.0 + second)), memory)
        states.append(watts(decision, "boiler") == 1)
        drawn = 2000.0 if states[-1] else 0.0
    first = states.index(True)
    assert 85 <= first <= 95
    assert sum(states) == 300
    assert all(states[first : first + 300])


def test_a_load_that_runs_by_itself_is_left_alone_and_only_shed_under_a_limit() -> None:
    site = house(GRID, BOILER)
    assert of(settled(site, inputs(boiled(500.0, 2000.0)))[0], "boiler").value is None
    decision, memory = settled(site, inputs(boiled(1500.0, 2000.0), directive=limited(2000.0)))
    assert of(decision, "boiler").value == 0
    decision, _ = decide(site, inputs(boiled(1500.0, mono_s=1100.0), directive=limited(2000.0)), memory)
    assert of(decision, "boiler").value == 0


def test_a_heat_pump_is_served_before_a_car_and_a_car_before_a_boiler() -> None:
    site = house(GRID, HEAT_PUMP, CAR, BOILER)
    values: dict[str, dict[str, Value]] = {
        "grid": {"power_w": 500 + 2500 + 4140 + 2000.0},
        "heat_pump": {"power_w": 2500.0},
        "car": {"power_w": 4140.0, "state": "C"},
        "boiler": {"power_w": 2000.0},
    }
    seen = []
    for limit_w in (20000.0, 8000.0, 4000.0, 2000.0):
        decision, _ = settled(site, inputs(snapshot(values), directive=limited(limit_w)))
        off = (watts(decision, "heat_pump") == 1, watts(decision, "car") == 0, of(decision, "boiler").value == 0)
        seen.append(off)
    assert seen == [(False, False, False), (False, False, True), (False, True, True), (True, True, True)]


def told(load_w: float, heat_w: float, state: str, mono_s: float) -> Snapshot:
    """As `heated`, with a heat pump that tells its state."""
    return snapshot(
        {"grid": {"power_w": load_w + heat_w}, "heat_pump": {"power_w": heat_w, "state": state}}, mono_s=mono_s
    )


@pytest.mark.parametrize("drawn_w", [2500.0, 3000.0, 3200.0])
def test_a_heat_pump_that_draws_all_it_can_from_the_grid_stores_no_surplus(drawn_w: float) -> None:
    decision, _ = settled(HEATED, inputs(heated(500.0, drawn_w)), 2)
    assert watts(decision, "heat_pump") == SgReady.NORMAL


@pytest.mark.parametrize(("drawn_w", "boiler_on"), [(12.0, True), (2800.0, False)])
def test_a_heat_pump_that_does_not_run_keeps_no_sun_from_a_boiler(drawn_w: float, boiler_on: bool) -> None:
    site = replace(house(GRID, HEAT_PUMP, BOILER), loads=(LoadPolicy("boiler", LoadRun.ON_SURPLUS),))
    used = {
        "heat_pump": SwitchMemory(int(SgReady.RECOMMENDED), 0.0),
        "boiler": SwitchMemory(0, 0.0, wanted_since_s=0.0),
    }
    values: dict[str, dict[str, Value]] = {
        "grid": {"power_w": -3100.0 + drawn_w},
        "heat_pump": {"power_w": drawn_w},
        "boiler": {"power_w": 0.0},
    }
    decision, _ = decide(site, inputs(snapshot(values)), Memory(switches=used, decided_at_s=999.0))
    assert (watts(decision, "boiler") == 1.0) is boiler_on


@pytest.mark.parametrize(("began_s", "lasts_s"), [(-6000.0, 200), (500.0, 299)])
def test_a_lock_that_runs_over_midnight_is_no_longer_than_two_hours_and_former_ones_are_the_day_befores(
    began_s: float, lasts_s: int
) -> None:
    midnight = NOON.replace(hour=22)  # in Berlin
    locked = SwitchMemory(int(SgReady.LOCKED), began_s, None, 7000.0, (midnight - timedelta(days=1)).toordinal())
    memory = Memory(switches={"heat_pump": locked}, decided_at_s=1000.0)
    states = []
    for second in range(1, 300):
        given = inputs(
            heated(1500.0, mono_s=1000.0 + second), directive=limited(2000.0), wall=midnight + timedelta(seconds=second)
        )
        decision, memory = decide(HEATED, given, memory)
        states.append(watts(decision, "heat_pump"))
    assert states.count(SgReady.LOCKED) == pytest.approx(lasts_s, abs=2)
    assert states[-1] == (SgReady.NORMAL if lasts_s < 299 else SgReady.LOCKED)


@pytest.mark.parametrize(("late_s", "state"), [(20.0, SgReady.RECOMMENDED), (40.0, SgReady.NORMAL)])
def test_a_heat_pump_that_went_back_by_itself_counts_as_switched_now(late_s: float, state: SgReady) -> None:
    used = Memory(switches={"heat_pump": SwitchMemory(int(SgReady.RECOMMENDED), 1000.0)}, decided_at_s=1000.0 + late_s)
    given = inputs(told(-5000.0, 100.0, "normal", 1001.0 + late_s))
    decision, memory = decide(HEATED, given, used)
    assert watts(decision, "heat_pump") == state
    if state is SgReady.NORMAL:
        assert memory.switches["heat_pump"].switched_at_s == 1001.0 + late_s


@pytest.mark.parametrize(
    ("health", "since_s", "state"),
    [
        (Health.SILENT, 950.0, 1.0),  # its timer still runs
        (Health.SILENT, 930.0, 0.0),
        (Health.ONLINE, 990.0, 0.0),  # reached again, and off
        (Health.ONLINE, 900.0, 1.0),  # just told, and not yet seen to have switched
    ],
)
def test_a_relay_that_was_lost_for_longer_than_its_timer_runs_is_off(
    health: Health, since_s: float, state: float
) -> None:
    used = Memory(switches={"boiler": SwitchMemory(1, 980.0)}, decided_at_s=999.0)
    values: dict[str, dict[str, Value]] = {"grid": {"power_w": -3000.0}, "boiler": {"power_w": 0.0, "state": "off"}}
    devices = {"relay": DeviceState("relay", health, since_s)}
    decision, memory = decide(SUNNY, replace(inputs(snapshot(values)), devices=devices), used)
    assert watts(decision, "boiler") == state
    assert memory.switches["boiler"].switched_at_s == (980.0 if state else 1000.0)


def test_after_a_restart_a_relay_that_is_off_waits_for_its_minimum_time() -> None:
    image = snapshot({"grid": {"power_w": -3000.0}, "boiler": {"power_w": 0.0, "state": "off"}})
    decision, _ = decide(SUNNY, inputs(image), Memory(switches={"boiler": SwitchMemory(1, 1000.0)}))
    assert watts(decision, "boiler") == 0.0


def test_a_load_that_was_let_go_while_the_meter_was_silent_keeps_its_minimum_time_off() -> None:
    memory = Memory(switches={"boiler": SwitchMemory(1, 0.0)}, decided_at_s=999.0)
    old = snapshot({"grid": {"power_w": -3000.0}, "boiler": {"power_w": 2000.0}}, ages_s={"grid": 60.0})
    for second in range(30):
        decision, memory = decide(SUNNY, inputs(replace(old, mono_s=1000.0 + second)), memory)
        assert decision.setpoints == ()
    states = []
    for second in range(30, 500):
        decision, memory = decide(SUNNY, inputs(boiled(-3000.0, 0.0, 1000.0 + second)), memory)
        states.append(watts(decision, "boiler"))
    assert states.index(1.0) >= 270


def test_what_was_not_reached_yet_is_told_nothing() -> None:
    used = Memory(switches={"boiler": SwitchMemory(1, 900.0)}, decided_at_s=999.0)
    online = {"meter": DeviceState("meter", Health.ONLINE, 0.0)}
    given = replace(inputs(snapshot({"grid": {"power_w": -3000.0}})), devices=online)
    decision, memory = decide(SUNNY, given, used)
    assert [setpoint.resource_id for setpoint in decision.setpoints] == []
    assert memory.switches["boiler"] == SwitchMemory(1, 900.0)
    both = online | {"relay": DeviceState("relay", Health.ONLINE, 0.0)}
    decision, _ = decide(SUNNY, replace(inputs(boiled(-3000.0, 2000.0)), devices=both), used)
    assert watts(decision, "boiler") == 1.0


def test_panels_make_room_for_a_load_that_is_switched_off_with_this_tick() -> None:
    unrated = replace(PV, ratings=replace(PV.ratings, max_generation_w=None))  # told to the watt
    site = replace(house(GRID, unrated, BOILER), loads=(LoadPolicy("boiler", LoadRun.ON_SURPLUS),))
    bound = Directive(envelopes=(Envelope(SITE, -3000.0, None, Rank.OBLIGATION, "utility", "export limit"),))
    image = snapshot({"grid": {"power_w": 300.0}, "pv": {"power_w": -1500.0}, "boiler": {"power_w": 1000.0}})
    limits_w = {}
    for since_s in (0.0, 900.0):  # on for long, and still within its minimum time
        used = Memory(switches={"boiler": SwitchMemory(1, since_s)}, decided_at_s=999.0)
        decision, _ = decide(site, inputs(image, directive=bound), used)
        limits_w[watts(decision, "boiler")] = watts(decision, "pv")
    assert limits_w[1.0] - limits_w[0.0] == pytest.approx(1000.0)


def test_a_read_only_site_steers_nothing_and_says_what_it_would_do() -> None:
    site = replace(house(GRID, BATTERY), read_only=True)
    image = snapshot({"grid": {"power_w": 1500.0}, "battery": {"power_w": 0.0, "soc_pct": 50.0}})
    decision, _ = settled(site, inputs(image))
    assert decision.setpoints == ()
    assert decision.notes["battery"].startswith("read-only; would be set to battery.setpoint_w -1")


@pytest.mark.parametrize(("reached_s", "state"), [(250.0, SgReady.NORMAL), (950.0, SgReady.LOCKED)])
def test_a_contact_that_was_away_keeps_its_times_from_when_it_was_reached_again(
    reached_s: float, state: SgReady
) -> None:
    pump: dict[str, Value] = {"power_w": 12.0, "state": "locked"}
    image = snapshot({"grid": {"power_w": 500.0}, "heat_pump": pump})
    locked = SwitchMemory(SgReady.LOCKED, switched_at_s=300.0)
    memory = Memory(decided_at_s=999.0, begun_at_s=100.0, switches={"heat_pump": locked})
    devices = {"heat_pump": DeviceState("heat_pump", Health.ONLINE, reached_s)}
    decision, _ = decide(HEATED, replace(inputs(image), devices=devices), memory)
    assert watts(decision, "heat_pump") == state
