"""A roof under an export limit; a charging point without a car where a limit or a fuse binds; a pump asked for more."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cem.control import Memory, decide
from cem.control.memory import ChargerMemory, SwitchMemory
from cem.control.tuning import EMPTY_HELD_S
from cem.model.directive import Directive
from cem.model.envelope import SITE, Envelope, Rank
from cem.model.plan import Intent, IntentKind
from cem.model.reading import Value
from cem.model.request import RequestKind, UserRequest
from cem.model.resource import Control, Ratings, SgReady
from cem.model.setpoint import Outcome, WriteState
from cem.model.site import Circuit, LoadPolicy
from support.houses import (
    BATTERY,
    CAR,
    GRID,
    HEAT_PUMP,
    NOON,
    PV,
    SECOND_BATTERY,
    house,
    inputs,
    limited,
    plan,
    snapshot,
    watts,
)

NO_EXPORT = Envelope(SITE, 0.0, None, Rank.OBLIGATION, "utility", "export at most 0 W")
PAUSED = UserRequest("1", "car", RequestKind.PAUSE, NOON + timedelta(hours=1), NOON, "owner")
NO_IMPORT = Envelope(SITE, None, 0.0, Rank.OBLIGATION, "utility", "import at most 0 W")


def bounded(
    battery_w: float, soc_pct: float, *envelopes: Envelope, max_charge_w: float = 5000.0
) -> tuple[float, float]:
    """(what the roof may give, what the battery is told) where the house takes 500 W and nothing flows at the meter."""
    battery: dict[str, Value] = {"power_w": battery_w, "soc_pct": soc_pct, "max_charge_w": max_charge_w}
    image = snapshot({"grid": {"power_w": 0.0}, "pv": {"power_w": -500.0 - battery_w}, "battery": battery})
    memory = Memory(decided_at_s=999.0, batteries_w={"battery": battery_w})
    decision, _ = decide(house(GRID, PV, BATTERY), inputs(image, directive=Directive(envelopes=envelopes)), memory)
    return watts(decision, "pv"), watts(decision, "battery")


def test_a_bounded_roof_opens_while_a_battery_can_take_more() -> None:
    roof_w, told_w = bounded(2000.0, 50.0, NO_EXPORT)
    assert 2500.0 < roof_w <= 2550.0  # beyond what it gives, and less beyond the limit than a minute may be
    assert told_w > 2000.0


def test_a_bounded_roof_stays_within_the_limit_where_the_battery_takes_all_it_can() -> None:
    roof_w, _ = bounded(2000.0, 50.0, NO_EXPORT, max_charge_w=2000.0)
    assert roof_w == 2450.0


def test_a_roof_opens_once_on_one_word_of_the_meter() -> None:
    """The battery takes all it can; the meter, which showed 500 W from the grid, says nothing new for ten seconds."""
    site, directive, memory, roof_w = house(GRID, PV, BATTERY), Directive(envelopes=(NO_EXPORT,)), Memory(), 2000.0
    battery: dict[str, Value] = {"power_w": 2000.0, "soc_pct": 50.0, "max_charge_w": 2000.0}
    for second in range(10):
        values: dict[str, dict[str, Value]] = {"grid": {"power_w": 500.0}, "pv": {"power_w": -roof_w}}
        image = snapshot(values | {"battery": battery}, mono_s=1000.0 + second, ages_s={"grid": float(second)})
        decision, memory = decide(site, inputs(image, directive=directive), memory)
        roof_w = watts(decision, "pv")
    assert 2300.0 < roof_w <= 2550.0


def test_a_roof_that_answers_again_beside_an_old_word_of_the_meter_is_no_surplus() -> None:
    """It was hidden in the load: 1,300 W of sun for the house's 500 and the battery's 800."""
    site, battery = house(GRID, PV, BATTERY), {"power_w": 800.0, "soc_pct": 50.0}
    hidden = snapshot({"grid": {"power_w": 0.0}, "battery": {**battery}}, mono_s=1000.0)
    memory = decide(site, inputs(hidden), Memory(decided_at_s=999.0, batteries_w={"battery": 800.0}))[1]
    shown: dict[str, dict[str, Value]] = {"grid": {"power_w": 0.0}, "battery": {**battery}, "pv": {"power_w": -1300.0}}
    image = snapshot(shown, mono_s=1001.0, ages_s={"grid": 1.0})
    assert watts(decide(site, inputs(image), memory)[0], "battery") == pytest.approx(800.0, abs=20.0)


def test_a_pump_that_is_told_later_than_the_meter_is_not_counted_twice() -> None:
    """The meter, silent since, showed its 2.5 kW five seconds before it told them itself."""
    site, memory = house(GRID, BATTERY, HEAT_PUMP), Memory(decided_at_s=999.0, batteries_w={"battery": -3000.0})
    battery: dict[str, Value] = {"power_w": -3000.0, "soc_pct": 50.0}
    for second in range(6):
        told = second >= 2
        values: dict[str, dict[str, Value]] = {"grid": {"power_w": 0.0}, "battery": battery}
        values["heat_pump"] = {"power_w": 2500.0 * told}
        ages_s = {"grid": float(second), "heat_pump": float(second - 2 if told else second + 8)}
        image = snapshot(values, mono_s=1000.0 + second, ages_s=ages_s)
        memory = decide(site, inputs(image, directive=Directive(envelopes=(NO_EXPORT,))), memory)[1]
    assert memory.load_w == pytest.approx(3000.0, abs=1.0)


def test_roof_and_battery_do_not_push_each_other_down_between_two_limits_of_nothing() -> None:
    roof_w, told_w = bounded(2000.0, 50.0, NO_EXPORT, NO_IMPORT)
    assert roof_w >= 2500.0
    assert told_w == pytest.approx(2000.0)


@pytest.mark.parametrize(
    ("state", "roof_w"), [(WriteState.EFFECTIVE, 2500.0), (WriteState.NOT_EFFECTIVE, 700.0)], ids=str
)
def test_a_car_that_ended_between_two_limits_of_nothing_closes_no_roof_for_what_the_battery_takes_now(
    state: WriteState, roof_w: float
) -> None:
    """The car took 1.8 kW a moment ago: they are stored from now on, unless the battery is known not to follow."""
    battery: dict[str, Value] = {"power_w": 200.0, "soc_pct": 50.0, "max_charge_w": 5000.0}
    image = snapshot({"grid": {"power_w": -1800.0}, "pv": {"power_w": -2500.0}, "battery": battery})
    memory = Memory(decided_at_s=990.0, batteries_w={"battery": 200.0})
    outcome = Outcome("battery", Control.BATTERY_SETPOINT_W, state, 200.0, 990.0)
    asked = replace(inputs(image, directive=Directive(envelopes=(NO_EXPORT, NO_IMPORT))), outcomes=(outcome,))
    decision, _ = decide(house(GRID, PV, BATTERY), asked, memory)
    assert watts(decision, "pv") == pytest.approx(roof_w, abs=50.0)


@pytest.mark.parametrize(("limits", "amps"), [((NO_IMPORT,), 8.0), ((NO_EXPORT, NO_IMPORT), 0.0)])
def test_no_car_begins_on_what_an_export_limit_takes_back_at_once(limits: tuple[Envelope, ...], amps: float) -> None:
    """5.6 kW flow out: where none may, the battery takes them in this tick, and the car's would come from the grid."""
    battery: dict[str, Value] = {"power_w": 300.0, "soc_pct": 50.0, "max_charge_w": 6000.0}
    car: dict[str, Value] = {"power_w": 0.0, "state": "B"}
    image = snapshot({"grid": {"power_w": -5600.0}, "pv": {"power_w": -6400.0}, "battery": battery, "car": car})
    waiting = {"car": ChargerMemory(0.0, switched_at_s=0.0)}
    memory = Memory(decided_at_s=990.0, batteries_w={"battery": 300.0}, chargers=waiting)
    asked = inputs(image, directive=Directive(envelopes=limits))
    decision, _ = decide(house(GRID, PV, BATTERY, CAR), asked, memory)
    assert watts(decision, "car") == amps


@pytest.mark.parametrize(
    ("state", "told_w"), [(WriteState.EFFECTIVE, (2950.0, 2950.0)), (WriteState.REFUSED, (1900.0, 2950.0))]
)
def test_a_roof_makes_up_for_another_that_does_not_follow(state: WriteState, told_w: tuple[float, float]) -> None:
    """Two alike, 950 W of house and 5 kW that may be fed in, 50 W of margin; one gives 4 kW whatever it is told."""
    site = house(GRID, PV, replace(PV, id="pv2", device_id="pv2"))
    image = snapshot({"grid": {"power_w": -6000.0}, "pv": {"power_w": -2950.0}, "pv2": {"power_w": -4000.0}})
    outcome = Outcome("pv2", Control.PV_LIMIT_W, state, 2950.0, 990.0)
    limit = Envelope(SITE, -5000.0, None, Rank.OBLIGATION, "utility", "export at most 5 kW")
    asked = replace(inputs(image, directive=Directive(envelopes=(limit,))), outcomes=(outcome,))
    decision, _ = decide(site, asked, Memory(decided_at_s=999.0))
    assert (watts(decision, "pv"), watts(decision, "pv2")) == told_w


@pytest.mark.parametrize(("also", "roof_w"), [((), 450.0), ((NO_IMPORT,), 11_540.0)])
def test_a_roof_is_closed_with_the_word_that_stops_a_car_where_the_grid_may_give_meanwhile(
    also: tuple[Envelope, ...], roof_w: float
) -> None:
    """The panels give 11.54 kW, all of it taken, when the owner pauses the car: 11 kW would flow out in a moment."""
    roof = replace(PV, ratings=replace(PV.ratings, max_generation_w=20_000.0))
    car: dict[str, Value] = {"power_w": 11_040.0, "state": "C"}
    image = snapshot({"grid": {"power_w": 0.0}, "pv": {"power_w": -11_540.0}, "car": car})
    memory = Memory(chargers={"car": ChargerMemory(16.0, 100.0, 100.0, closed=True)}, decided_at_s=999.0)
    given = inputs(image, directive=Directive(envelopes=(NO_EXPORT, *also)), requests=(PAUSED,))
    decision, _ = decide(house(GRID, roof, CAR), given, memory)
    assert watts(decision, "car") == 0.0
    assert watts(decision, "pv") == pytest.approx(roof_w, abs=1.0)


@pytest.mark.parametrize(
    ("limits", "state", "roof_w"),
    [
        ((), SgReady.NORMAL, 450.0),
        ((2100.0,), SgReady.NORMAL, 450.0),
        ((1000.0,), SgReady.RECOMMENDED, 2500.0),
        ((0.0,), SgReady.RECOMMENDED, 2500.0),
    ],
)
def test_a_roof_closes_with_the_word_that_eases_a_heat_pump_where_the_grid_may_give_meanwhile_or_it_is_not_eased(
    limits: tuple[float, ...], state: SgReady, roof_w: float
) -> None:
    """The pump takes 2 kW of sun and is asked for no more than it needs: its own thermostat may stop it in a moment,
    and nobody can tell whether it does."""
    pump: dict[str, Value] = {"power_w": 2000.0, "state": "recommended"}
    image = snapshot({"grid": {"power_w": 0.0}, "pv": {"power_w": -2500.0}, "heat_pump": pump})
    memory = Memory(decided_at_s=999.0, switches={"heat_pump": SwitchMemory(SgReady.RECOMMENDED, switched_at_s=0.0)})
    said = Directive(envelopes=(NO_EXPORT, *[replace(NO_IMPORT, max_w=most_w) for most_w in limits]))
    needs_no_more = plan({"heat_pump": Intent(IntentKind.HOLD)})
    decision, _ = decide(house(GRID, PV, HEAT_PUMP), inputs(image, directive=said, plan=needs_no_more), memory)
    assert watts(decision, "heat_pump") == state
    assert watts(decision, "pv") == pytest.approx(roof_w, abs=50.0)


def test_a_pump_that_stores_the_sun_under_two_limits_of_nothing_is_eased_when_its_store_is_warm_enough() -> None:
    pump: dict[str, Value] = {"power_w": 2000.0, "state": "recommended", "temperature_c": 60.0}
    image = snapshot({"grid": {"power_w": 0.0}, "pv": {"power_w": -2500.0}, "heat_pump": pump})
    memory = Memory(decided_at_s=999.0, switches={"heat_pump": SwitchMemory(SgReady.RECOMMENDED, switched_at_s=0.0)})
    site = replace(house(GRID, PV, HEAT_PUMP), loads=(LoadPolicy("heat_pump", comfort_max_c=52.0),))
    decision, _ = decide(site, inputs(image, directive=Directive(envelopes=(NO_EXPORT, NO_IMPORT))), memory)
    assert watts(decision, "heat_pump") == SgReady.NORMAL


@pytest.mark.parametrize(("ago_s", "roof_w"), [(10.0, 450.0), (100.0, 2450.0)])
def test_a_roof_stays_closed_for_a_pump_that_was_just_locked_and_still_runs(ago_s: float, roof_w: float) -> None:
    pump: dict[str, Value] = {"power_w": 2000.0, "state": "locked"}
    image = snapshot({"grid": {"power_w": 0.0}, "pv": {"power_w": -2500.0}, "heat_pump": pump})
    locked = SwitchMemory(SgReady.LOCKED, switched_at_s=1000.0 - ago_s)
    said = Directive(envelopes=(NO_EXPORT,))
    memory = Memory(decided_at_s=999.0, switches={"heat_pump": locked})
    decision, _ = decide(house(GRID, PV, HEAT_PUMP), inputs(image, directive=said), memory)
    assert watts(decision, "heat_pump") == SgReady.LOCKED
    assert watts(decision, "pv") == pytest.approx(roof_w, abs=50.0)


@pytest.mark.parametrize(("later_s", "roof_w"), [(1.5, 450.0), (15.0, 450.0), (40.0, 2450.0)])
def test_a_roof_stays_closed_for_a_pump_that_was_just_eased_whatever_news_comes_in_between(
    later_s: float, roof_w: float
) -> None:
    """It is told again what it was told, before anybody can have seen that it stopped; one that runs on is load."""
    site, said = house(GRID, PV, HEAT_PUMP), Directive(envelopes=(NO_EXPORT,))
    memory = Memory(decided_at_s=999.0, switches={"heat_pump": SwitchMemory(SgReady.RECOMMENDED, switched_at_s=0.0)})
    for at_s, state in ((1000.0, "recommended"), (1000.0 + later_s, "normal")):
        pump: dict[str, Value] = {"power_w": 2000.0, "state": state}
        values: dict[str, dict[str, Value]] = {"grid": {"power_w": 0.0}, "pv": {"power_w": -2500.0}, "heat_pump": pump}
        given = inputs(snapshot(values, mono_s=at_s), directive=said, plan=plan({"heat_pump": Intent(IntentKind.HOLD)}))
        decision, memory = decide(site, given, memory)
    assert watts(decision, "heat_pump") == SgReady.NORMAL
    assert watts(decision, "pv") == pytest.approx(roof_w, abs=50.0)


def test_a_roof_does_not_close_once_more_for_an_eased_pump_of_which_the_meter_shows_that_it_stopped() -> None:
    """Its own reading is older than the meter's."""
    site, said = house(GRID, PV, HEAT_PUMP), Directive(envelopes=(NO_EXPORT,))
    memory = Memory(decided_at_s=999.0, switches={"heat_pump": SwitchMemory(SgReady.RECOMMENDED, switched_at_s=0.0)})
    for at_s, grid_w, state in ((1000.0, 0.0, "recommended"), (1002.0, -2000.0, "normal")):
        values: dict[str, dict[str, Value]] = {
            "grid": {"power_w": grid_w},
            "pv": {"power_w": -2500.0},
            "heat_pump": {"power_w": 2000.0, "state": state},
        }
        given = inputs(snapshot(values, mono_s=at_s), directive=said, plan=plan({"heat_pump": Intent(IntentKind.HOLD)}))
        decision, memory = decide(site, given, memory)
    assert watts(decision, "pv") == pytest.approx(450.0, abs=60.0)


@pytest.mark.parametrize(("most_w", "told_w"), [(9000.0, 0.0), (1000.0, -1050.0)])
def test_no_battery_gives_under_an_export_limit_what_an_eased_heat_pump_may_leave_in_a_moment(
    most_w: float, told_w: float
) -> None:
    pump: dict[str, Value] = {"power_w": 2000.0, "state": "recommended"}
    battery: dict[str, Value] = {"power_w": -2000.0, "soc_pct": 50.0}
    image = snapshot({"grid": {"power_w": 0.0}, "pv": {"power_w": 0.0}, "heat_pump": pump, "battery": battery})
    used = {"heat_pump": SwitchMemory(SgReady.RECOMMENDED, switched_at_s=0.0)}
    memory = Memory(decided_at_s=999.0, batteries_w={"battery": -2000.0}, switches=used)
    said = Directive(envelopes=(NO_EXPORT, replace(NO_IMPORT, max_w=most_w)))
    given = inputs(image, directive=said, plan=plan({"heat_pump": Intent(IntentKind.HOLD)}))
    decision, _ = decide(house(GRID, PV, BATTERY, HEAT_PUMP), given, memory)
    assert watts(decision, "battery") == pytest.approx(told_w, abs=50.0)


def test_a_battery_takes_nothing_from_the_grid_to_run_ahead_of_a_roof_that_opens_with_it() -> None:
    """4.8 kW of sun, bounded to 2.5: what the roof gives more by our own word is no trend to keep room for."""
    site, said = house(GRID, PV, BATTERY), Directive(envelopes=(NO_EXPORT,))
    pv_w, battery_w, memory, bought = -2500.0, 2000.0, Memory(decided_at_s=998.0, batteries_w={"battery": 2000.0}), []
    for tick in range(80):
        bought.append(500.0 + pv_w + battery_w)
        image = snapshot(
            {
                "grid": {"power_w": bought[-1]},
                "pv": {"power_w": pv_w},
                "battery": {"power_w": battery_w, "soc_pct": 50.0, "max_charge_w": 5000.0},
            },
            mono_s=1000.0 + 2.0 * tick,
        )
        decision, memory = decide(site, inputs(image, directive=said), memory)
        battery_w = watts(decision, "battery")
        pv_w = max(-4800.0, -watts(decision, "pv"))
    assert pv_w == -4800.0
    assert max(bought) < 100.0


@pytest.mark.parametrize(("most_w", "least_ticks"), [(1500.0, 2), (200.0, 10), (0.0, 30)])
def test_between_two_limits_one_battery_hands_over_to_another_in_parts(most_w: float, least_ticks: int) -> None:
    """The roof closes at once, and batteries follow before the next tick: until then the grid gives what one takes."""
    site = house(GRID, PV, BATTERY, SECOND_BATTERY)
    said = Directive(envelopes=(NO_EXPORT, replace(NO_IMPORT, max_w=most_w)))
    stores_nothing = Intent(IntentKind.HOLD, value_per_kwh=0.01)  # and feeding in pays 0.08
    hand_over = plan({"battery": stores_nothing, "second": Intent(IntentKind.SELF_CONSUME)})
    sun_w = 4500.0 - min(500.0, 0.5 * most_w)
    pv_w, battery_w, second_w = -sun_w, 4000.0, 0.0
    memory = Memory(decided_at_s=990.0, batteries_w={"battery": battery_w, "second": second_w})
    drawn, takes = [], []
    for tick in range(400):
        image = snapshot(
            {
                "grid": {"power_w": 500.0 + pv_w + battery_w + second_w},
                "pv": {"power_w": pv_w},
                "battery": {"power_w": battery_w, "soc_pct": 50.0, "max_charge_w": 5000.0},
                "second": {"power_w": second_w, "soc_pct": 50.0, "max_charge_w": 5000.0},
            },
            mono_s=1000.0 + 10.0 * tick,
        )
        decision, memory = decide(site, inputs(image, directive=said, plan=hand_over), memory)
        pv_w = max(-sun_w, -watts(decision, "pv"))
        drawn.append(500.0 + pv_w + battery_w + second_w)
        battery_w, second_w = watts(decision, "battery"), watts(decision, "second")
        takes.append(battery_w)
    assert max(drawn) < most_w + 50.0
    assert takes[-1] == 0.0
    assert sum([1 for watts_ in takes if watts_ > 0.0]) > least_ticks


def test_who_takes_over_from_a_slow_battery_between_two_limits_goes_up_in_parts_as_that_goes_down() -> None:
    """The roof closes and the second battery follows at once, the first only a tick later: 4.2 kW may be drawn."""
    site = house(GRID, PV, BATTERY, SECOND_BATTERY)
    said = Directive(envelopes=(NO_EXPORT, replace(NO_IMPORT, max_w=4200.0)))
    stores_nothing = Intent(IntentKind.HOLD, value_per_kwh=0.01)
    hand_over = plan({"battery": stores_nothing, "second": Intent(IntentKind.SELF_CONSUME)})
    sun_w, pv_w, battery_w, second_w, told_w = 3900.0, -3900.0, 3400.0, 0.0, 3400.0
    memory, drawn = Memory(decided_at_s=990.0, batteries_w={"battery": battery_w, "second": 0.0}), []
    for tick in range(60):
        drawn.append(500.0 + pv_w + battery_w + second_w)
        image = snapshot(
            {
                "grid": {"power_w": drawn[-1]},
                "pv": {"power_w": pv_w},
                "battery": {"power_w": battery_w, "soc_pct": 50.0, "max_charge_w": 5000.0},
                "second": {"power_w": second_w, "soc_pct": 50.0, "max_charge_w": 5000.0},
            },
            mono_s=1000.0 + 10.0 * tick,
        )
        decision, memory = decide(site, inputs(image, directive=said, plan=hand_over), memory)
        battery_w, told_w = told_w, watts(decision, "battery")
        second_w, pv_w = watts(decision, "second"), max(-sun_w, -watts(decision, "pv"))
    assert max(drawn) < 4250.0
    assert battery_w == 0.0
    assert second_w == pytest.approx(3400.0, abs=150.0)


@pytest.mark.parametrize(
    ("given_w", "told_w"),
    [
        ((-2950.0, -2950.0), (2950.0, 2950.0)),  # both at their bound
        ((-4400.0, -500.0), (4400.0, 1500.0)),  # in the shade: a tenth of its rating above what it gives
        ((-2950.0, -500.0), (4000.0, 1500.0)),  # 4,400, in coarse steps until it gives nearly as much
        ((-3600.0, -2300.0), (3590.0, 2310.0)),  # what flows may flow: none is closed for what another can't give
        ((-1000.0, -200.0), (2500.0, 2500.0)),  # too little sun for either to need its part
    ],
)
def test_what_the_sun_does_not_give_one_roof_is_the_others(
    given_w: tuple[float, float], told_w: tuple[float, float]
) -> None:
    """Two alike of 10 kW, 950 W of house and 5 kW that may be fed in, 50 W of margin."""
    rated = replace(PV, ratings=replace(PV.ratings, max_generation_w=10_000.0))
    site = house(GRID, rated, replace(rated, id="pv2", device_id="pv2"))
    grid_w = 950.0 + sum(given_w)
    image = snapshot({"grid": {"power_w": grid_w}, "pv": {"power_w": given_w[0]}, "pv2": {"power_w": given_w[1]}})
    limit = Envelope(SITE, -5000.0, None, Rank.OBLIGATION, "utility", "export at most 5 kW")
    decision, _ = decide(site, inputs(image, directive=Directive(envelopes=(limit,))), Memory(decided_at_s=999.0))
    assert (watts(decision, "pv"), watts(decision, "pv2")) == pytest.approx(told_w)


def test_a_roof_far_from_its_bound_is_not_told_anew_with_each_watt_of_the_load() -> None:
    site = house(GRID, replace(PV, ratings=replace(PV.ratings, max_generation_w=10_000.0)))
    told = []
    for load_w in (951.0, 1010.0, 1180.0, 1440.0):
        image = snapshot({"grid": {"power_w": load_w - 2000.0}, "pv": {"power_w": -2000.0}})
        limit = Envelope(SITE, -5000.0, None, Rank.OBLIGATION, "utility", "export at most 5 kW")
        decision, _ = decide(site, inputs(image, directive=Directive(envelopes=(limit,))), Memory(decided_at_s=999.0))
        told.append(watts(decision, "pv"))
    assert told == [5500.0, 5500.0, 6000.0, 6000.0]


@pytest.mark.parametrize("w_per_s", [18.5, -18.5])
def test_between_two_limits_of_nothing_a_battery_runs_ahead_of_the_sun(w_per_s: float) -> None:
    """Ticks of 5 s: what the sun changes meanwhile is at the meter, and may be neither taken nor given for a minute."""
    site, said = house(GRID, PV, BATTERY), Directive(envelopes=(NO_EXPORT, NO_IMPORT))
    pv_w, battery_w, memory, at_meter = -3500.0, 3000.0, Memory(decided_at_s=995.0), []
    for tick in range(15):
        grid_w = 500.0 + pv_w + battery_w
        at_meter.append(grid_w)
        image = snapshot(
            {
                "grid": {"power_w": grid_w},
                "pv": {"power_w": pv_w},
                "battery": {"power_w": battery_w, "soc_pct": 50.0, "max_charge_w": 5000.0},
            },
            mono_s=1000.0 + 5.0 * tick,
        )
        decision, memory = decide(site, inputs(image, directive=said), memory)
        battery_w = watts(decision, "battery")
        pv_w += 5.0 * w_per_s
    assert max(abs(grid_w) for grid_w in at_meter[5:]) <= 50.0


@pytest.mark.parametrize(("limit_w", "told_a"), [(None, None), (4000.0, 0.0), (20000.0, 0.0)])
def test_a_charging_point_without_a_car_is_held_under_an_import_limit_alone(
    limit_w: float | None, told_a: float | None
) -> None:
    image = snapshot({"grid": {"power_w": 500.0}, "car": {"power_w": 0.0, "state": "A"}})
    said = Directive() if limit_w is None else limited(limit_w)
    decision, memory = decide(house(GRID, CAR), inputs(image, directive=said), Memory(decided_at_s=999.0))
    assert decision.setpoints[0].value == told_a
    assert "no car is connected" in decision.setpoints[0].reason
    assert not memory.chargers  # nothing counts as switched


@pytest.mark.parametrize(
    ("rated_w", "bounded", "age_s", "told_w"),
    [
        (3000.0, True, 1.0, 4490.0),  # what the other leaves, which goes on as it is
        (3000.0, True, 300.0, 3000.0),  # it may give all that it can, as soon as its own timer lets it
        (None, True, 300.0, 4500.0),  # which nobody knows: what it gave last
        (3000.0, False, 1.0, 3000.0),  # nor need it be written whenever that changes
    ],
)
def test_while_the_meter_is_silent_a_roof_leaves_room_for_what_another_may_give_that_is_told_nothing(
    rated_w: float | None, *, bounded: bool, age_s: float, told_w: float
) -> None:
    """It may give 8 kW, the other gave 1.5; no more than 6 kW may flow out."""
    controls = frozenset({Control.PV_LIMIT_W}) if bounded else frozenset()
    other = replace(PV, id="pv2", device_id="inverter2", ratings=Ratings(max_generation_w=rated_w), controls=controls)
    values: dict[str, dict[str, Value]] = {
        "grid": {"power_w": -6000.0},
        "pv": {"power_w": -5000.0},
        "pv2": {"power_w": -1500.0},
    }
    image = snapshot(values, ages_s={"grid": 100.0, "pv2": age_s})
    said = Directive(envelopes=(replace(NO_EXPORT, min_w=-6000.0),))
    decision, _ = decide(house(GRID, PV, other), inputs(image, directive=said), Memory(decided_at_s=999.0))
    assert watts(decision, "pv") == pytest.approx(told_w, abs=1.0)


def test_under_an_import_limit_a_roof_gives_the_house_its_part_though_another_may_give_all_that_may_flow_out() -> None:
    """The house takes 4 kW; the other roof may give 6, and gives nothing."""
    other = replace(PV, id="pv2", device_id="inverter2", ratings=Ratings(max_generation_w=6000.0), controls=frozenset())
    values: dict[str, dict[str, Value]] = {
        "grid": {"power_w": 0.0},
        "pv": {"power_w": -4000.0},
        "pv2": {"power_w": 0.0},
    }
    image = snapshot(values, ages_s={"grid": 100.0})
    said = Directive(envelopes=(replace(NO_EXPORT, min_w=-6000.0), replace(NO_IMPORT, max_w=1500.0)))
    memory = Memory(decided_at_s=999.0, house_w=4000.0, load_w=4000.0)
    decision, _ = decide(house(GRID, PV, other), inputs(image, directive=said), memory)
    assert watts(decision, "pv") == pytest.approx(4000.0, abs=1.0)


@pytest.mark.parametrize(
    ("house_a", "garage_a", "full_ago_s", "told_a"),
    [
        (28.7, 25.0, 1e5, None),
        (28.9, 25.0, 1e5, 0.0),
        (40.0, 25.0, 1e5, 0.0),
        (10.0, 5.9, 1e5, 0.0),
        (10.0, 25.0, EMPTY_HELD_S - 10.0, 0.0),  # no load that wavers means a write each time
        (10.0, 25.0, EMPTY_HELD_S + 10.0, None),
    ],
)
def test_a_charging_point_without_a_car_is_held_where_a_fuse_has_no_room_for_the_smallest_current(
    house_a: float, garage_a: float, full_ago_s: float, told_a: float | None
) -> None:
    volts: dict[str, Value] = {f"voltage_l{phase}_v": 230.0 for phase in (1, 2, 3)}
    amperes: dict[str, Value] = {"current_l1_a": house_a, "current_l2_a": 5.0, "current_l3_a": 5.0}
    grid: dict[str, Value] = {"power_w": 230.0 * (house_a + 10.0), **amperes, **volts}
    image = snapshot({"grid": grid, "car": {"power_w": 0.0, "state": "A"}})
    site = replace(house(GRID, CAR), circuits=(Circuit("garage", garage_a, ("car",)),))
    memory = Memory(decided_at_s=999.0, full_at_s={"car": 1000.0 - full_ago_s})
    decision, memory = decide(site, inputs(image), memory)
    assert site.connection.fuse_a == 35.0
    assert decision.setpoints[0].value == told_a
    assert decision.setpoints[0].demanded is None  # within the day's budget of writes
    assert ("car" in memory.full_at_s) is (told_a is not None)
    assert "no car is connected" in decision.setpoints[0].reason


@pytest.mark.parametrize("said", [Directive(), limited(9000.0)], ids=["no limit", "a limit"])
@pytest.mark.parametrize("for_s", [10.0, 30.0])
def test_a_silent_meter_lets_no_car_begin_unless_it_is_silent_for_a_moment_and_there_is_no_limit(
    said: Directive, for_s: float
) -> None:
    car: dict[str, Value] = {"power_w": 0.0, "state": "A"}
    image = snapshot({"grid": {"power_w": 500.0}, "car": car}, ages_s={"grid": 60.0})
    memory = Memory(decided_at_s=999.0, meter_lost_at_s=1000.0 - for_s)
    decision, memory = decide(house(GRID, CAR), inputs(image, directive=said), memory)
    held = for_s > 20.0 or bool(said.envelopes)
    assert [s.value for s in decision.setpoints] == [0.0] * held
    assert not memory.chargers  # nothing counts as switched


def test_a_battery_that_does_not_follow_opens_no_roof() -> None:
    battery: dict[str, Value] = {"power_w": 2000.0, "soc_pct": 50.0}
    image = snapshot({"grid": {"power_w": 0.0}, "pv": {"power_w": -2500.0}, "battery": battery})
    deaf = Outcome("battery", Control.BATTERY_SETPOINT_W, WriteState.NOT_EFFECTIVE, 2000.0, 990.0)
    asked = replace(inputs(image, directive=Directive(envelopes=(NO_EXPORT,))), outcomes=(deaf,))
    decision, _ = decide(house(GRID, PV, BATTERY), asked, Memory(decided_at_s=999.0))
    assert 0.0 < watts(decision, "pv") <= 2450.0


@pytest.mark.parametrize(("ago_s", "most_w"), [(1.0, 6000.0 - 500.0 - 3000.0), (200.0, 5000.0)])
def test_a_battery_leaves_room_to_a_heat_pump_that_was_just_asked_for_more(ago_s: float, most_w: float) -> None:
    """Bought energy is cheap for both; the pump draws nothing yet, and after a while nobody waits for it any more."""
    asked = SwitchMemory(SgReady.RECOMMENDED, switched_at_s=1000.0 - ago_s)
    battery: dict[str, Value] = {"power_w": 5000.0, "soc_pct": 50.0}
    pump: dict[str, Value] = {"power_w": 0.0, "state": "recommended"}
    charge = plan({"battery": Intent(IntentKind.CHARGE_TO, 90.0)})
    memory = Memory(decided_at_s=999.0, batteries_w={"battery": 5000.0}, switches={"heat_pump": asked})
    image = snapshot({"grid": {"power_w": 5500.0}, "battery": battery, "heat_pump": pump})
    decision, _ = decide(house(GRID, BATTERY, HEAT_PUMP), inputs(image, directive=limited(6000.0), plan=charge), memory)
    assert watts(decision, "heat_pump") == SgReady.RECOMMENDED
    assert most_w - 600.0 < watts(decision, "battery") <= most_w


def test_at_sunrise_a_battery_that_covers_the_house_makes_room_for_a_bound_roof() -> None:
    limit = Directive(envelopes=(Envelope(SITE, 0.0, None, Rank.OBLIGATION, "utility", "feed in nothing"),))
    site, memory, limit_w = house(GRID, PV, BATTERY), Memory(), 0.0
    for second in range(60):
        gives_w = min(limit_w, 2000.0)
        image = snapshot(
            {
                "grid": {"power_w": 0.0},
                "pv": {"power_w": -gives_w},
                "battery": {"power_w": gives_w - 400.0, "soc_pct": 60.0},
            },
            mono_s=1000.0 + second,
        )
        decision, memory = decide(site, inputs(image, directive=limit), memory)
        told_w = watts(decision, "pv")
        assert told_w <= gives_w + 80.0
        limit_w = told_w
    assert limit_w > 1000.0
