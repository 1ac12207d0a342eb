"""The decision of one tick: what each resource is told, and why."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from cem.control import Memory, decide
from cem.control.memory import ChargerMemory
from cem.model.directive import Directive, Dispatch
from cem.model.envelope import SITE, Envelope, Rank
from cem.model.plan import Intent, IntentKind
from cem.model.reading import Snapshot
from cem.model.request import RequestKind, UserRequest
from cem.model.resource import Control, Ratings
from cem.model.setpoint import Decision, Mode, Setpoint
from cem.model.site import ElectricalConnection, Site
from cem.model.tick import Inputs
from support.houses import BATTERY, GRID, NOON, PV, house, inputs, plan, snapshot, watts, world


def settled(site: Site, given_inputs: Inputs, ticks: int = 30) -> tuple[Decision, Memory]:
    """Decides the same inputs until the damping has died out."""
    memory = Memory()
    decision, memory = decide(site, given_inputs, memory)
    for _ in range(ticks):
        decision, memory = decide(site, given_inputs, memory)
    return decision, memory


def of(decision: Decision, resource_id: str) -> Setpoint:
    """The set point of a resource."""
    return next(s for s in decision.setpoints if s.resource_id == resource_id)


def import_limit(limit_w: float, rank: Rank = Rank.OBLIGATION) -> Directive:
    """A limit of the utility for ten minutes."""
    until = NOON + timedelta(minutes=10)
    reason = f"import limit {limit_w / 1000:g} kW of utility"
    return Directive(envelopes=(Envelope(SITE, None, limit_w, rank, "utility", reason, until),))


def export_limit(limit_w: float) -> Directive:
    """A feed-in limit of the utility."""
    return Directive(envelopes=(Envelope(SITE, -limit_w, None, Rank.OBLIGATION, "utility", "export limit"),))


def test_without_a_plan_the_battery_stores_the_surplus_and_covers_the_deficit() -> None:
    stores, _ = settled(house(), inputs(world(load_w=500, pv_w=-3500)))
    covers, _ = settled(house(), inputs(world(load_w=1500)))
    assert abs((of(stores, "battery").value or 0) - 3000) <= 25
    assert "stores the surplus of 3.0 kW" in of(stores, "battery").reason
    assert abs((of(covers, "battery").value or 0) + 1500) <= 25


def test_a_battery_that_the_plan_holds_lets_the_grid_cover_the_deficit_but_takes_the_surplus() -> None:
    hold = plan({"battery": Intent(IntentKind.HOLD)})
    deficit, _ = settled(house(), inputs(world(load_w=1500), plan=hold))
    surplus, _ = settled(house(), inputs(world(load_w=500, pv_w=-3500), plan=hold))
    assert of(deficit, "battery").value == 0
    assert (of(surplus, "battery").value or 0) > 2900


def test_an_expired_plan_is_not_followed() -> None:
    charge = plan({"battery": Intent(IntentKind.CHARGE_TO, target_soc_pct=90)})
    stale = replace(charge, expires_at=NOON)
    assert (of(settled(house(), inputs(world(), plan=charge))[0], "battery").value or 0) > 4900
    assert (of(settled(house(), inputs(world(), plan=stale))[0], "battery").value or 0) < 0


def test_an_untrusted_clock_runs_no_schedule() -> None:
    charge = plan({"battery": Intent(IntentKind.CHARGE_TO, target_soc_pct=90)})
    given_inputs = inputs(world(), plan=charge)
    given_inputs = replace(given_inputs, now=replace(given_inputs.now, trusted=False))
    assert (of(settled(house(), given_inputs)[0], "battery").value or 0) < 0


def test_charging_from_the_grid_stops_at_the_target() -> None:
    charge = plan({"battery": Intent(IntentKind.CHARGE_TO, target_soc_pct=50)})
    assert of(settled(house(), inputs(world(soc_pct=50), plan=charge))[0], "battery").value == 0


def test_an_import_limit_first_reduces_the_car_to_whole_amperes_above_its_minimum() -> None:
    decision, _ = settled(house(), inputs(world(car_state="C", car_w=11040), directive=import_limit(6000)))
    car = of(decision, "car")
    assert car.value == 7  # (6000 - 50 - 500) / 690
    assert car.rank is Rank.OBLIGATION
    assert car.demanded
    assert "import limit 6 kW of utility until 12:10" in car.reason
    assert decision.mode is Mode.LIMITED


def test_below_six_amperes_the_car_is_paused_never_throttled_further() -> None:
    decision, _ = settled(house(), inputs(world(car_state="C", car_w=4140), directive=import_limit(4000)))
    assert of(decision, "car").value == 0


def test_an_import_limit_below_the_load_is_met_from_the_battery_even_if_the_plan_or_the_owner_holds_it() -> None:
    hold = plan({"battery": Intent(IntentKind.HOLD)})
    held = UserRequest("1", "battery", RequestKind.HOLD, NOON + timedelta(hours=1), NOON)
    decision, _ = settled(
        house(), inputs(world(load_w=3000), directive=import_limit(1000), plan=hold, requests=(held,))
    )
    assert (of(decision, "battery").value or 0) <= -2000
    assert of(decision, "battery").rank is Rank.OBLIGATION


def test_a_voluntary_limit_does_not_take_from_a_battery_that_the_owner_holds() -> None:
    held = UserRequest("1", "battery", RequestKind.HOLD, NOON + timedelta(hours=1), NOON)
    directive = import_limit(1000, Rank.PROGRAMME)
    decision, _ = settled(house(), inputs(world(load_w=3000), directive=directive, requests=(held,)))
    assert of(decision, "battery").value == 0


def test_a_battery_at_its_reserve_gives_nothing_until_it_is_clearly_above() -> None:
    site = house(reserve_pct=20)
    decision, memory = decide(site, inputs(world(load_w=1500, soc_pct=20)), Memory())
    assert of(decision, "battery").value == 0
    assert "reserve" in of(decision, "battery").reason
    decision, memory = decide(site, inputs(world(load_w=1500, soc_pct=21.9)), memory)
    assert of(decision, "battery").value == 0
    decision, _ = decide(site, inputs(world(load_w=1500, soc_pct=22.1)), memory)
    assert (of(decision, "battery").value or 0) < 0


def test_the_battery_is_never_emptied_into_the_car() -> None:
    decision, _ = settled(house(), inputs(world(load_w=500, car_state="C", car_w=11040)))
    assert abs((of(decision, "battery").value or 0) + 500) <= 25


def test_an_export_limit_fills_the_battery_first_and_curtails_the_rest() -> None:
    hungry, _ = settled(house(), inputs(world(load_w=500, pv_w=-8000, battery_w=5000), directive=export_limit(1000)))
    full = snapshot(
        {
            "grid": {"power_w": -7500.0},
            "pv": {"power_w": -8000.0},
            "battery": {"power_w": 0.0, "soc_pct": 100.0, "max_charge_w": 0.0},
        }
    )
    full_site = house(GRID, PV, BATTERY)
    curtailed, _ = settled(full_site, inputs(full, directive=export_limit(1000)))
    assert of(hungry, "battery").value == 5000
    assert of(hungry, "pv").value == 500 + 5000 + 1000 - 50
    assert of(curtailed, "pv").value == 500 + 1000 - 50


def test_without_an_export_limit_the_roof_is_handed_back() -> None:
    assert of(settled(house(), inputs(world(pv_w=-3000)))[0], "pv").value is None


def test_a_dispatch_of_the_site_is_met_by_the_battery() -> None:
    dispatch = Dispatch(SITE, 2000.0, Rank.PROGRAMME, "market", "asked to draw 2.0 kW", None)
    decision, _ = settled(house(), inputs(world(load_w=500), directive=Directive(dispatches=(dispatch,))))
    assert abs((of(decision, "battery").value or 0) - 1500) <= 25
    assert decision.headline == "Follows market: asked to draw 2.0 kW."


def test_a_stale_meter_idles_the_battery_and_derates_then_stops_the_car() -> None:
    site = house()

    def stale(mono_s: float) -> Snapshot:
        return world(car_state="C", car_w=11040, ages_s={"grid": 11.0}, mono_s=mono_s)

    decision, memory = decide(site, inputs(stale(1000)), Memory())
    assert decision.mode is Mode.SAFE
    assert of(decision, "battery").value == 0
    assert of(decision, "car").value == 6
    decision, memory = decide(site, inputs(stale(1061)), memory)
    assert of(decision, "car").value == 0


def test_with_a_stale_meter_a_car_that_takes_no_less_than_8_a_is_not_told_6_to_stop_it() -> None:
    blind = inputs(world(car_state="C", car_w=5520, ages_s={"grid": 11.0}))
    charges = ChargerMemory(13.0, least_a=8.0, drew=True)
    decision, _ = decide(house(), blind, Memory(chargers={"car": charges}, decided_at_s=999.0))
    assert of(decision, "car").value == 8


def test_with_a_stale_meter_a_battery_eases_off_while_the_roof_still_gives_more_than_the_limit() -> None:
    given_inputs = inputs(world(load_w=500, pv_w=-3500, battery_w=3000), directive=export_limit(0))
    _, memory = settled(house(), given_inputs)
    told = []
    for second, sun_w in enumerate((3500.0, 3500.0, 1000.0, 50.0)):
        mono_s = given_inputs.now.mono_s + 31.0 + second
        blind = world(battery_w=3000, pv_w=-sun_w, ages_s={"grid": 11.0}, mono_s=mono_s)
        decision, memory = decide(house(), inputs(blind, directive=export_limit(0)), memory)
        assert of(decision, "pv").value == 0
        told.append(of(decision, "battery").value or 0.0)
    assert 2300 <= told[0] <= 2500
    assert abs(told[1] - 0.8 * told[0]) <= 1.0
    assert told[2:] == [1000.0, 0.0]


def test_with_a_stale_meter_under_both_limits_roof_and_battery_ease_off_in_step() -> None:
    """The house takes 500 W of the sun, the battery the rest: nothing is drawn from the grid until it idles."""
    limits = Directive(envelopes=(*export_limit(0).envelopes, *import_limit(0).envelopes))
    site, pv_w, battery_w = house(GRID, PV, BATTERY), -3500.0, 3000.0
    image = world(load_w=500, pv_w=pv_w, battery_w=battery_w)
    _, memory = settled(site, inputs(image, directive=limits))
    drawn, takes = [], []
    for second in range(20):
        blind = world(pv_w=pv_w, battery_w=battery_w, ages_s={"grid": 11.0}, mono_s=1001.0 + second)
        decision, memory = decide(site, inputs(blind, directive=limits), memory)
        battery_w, pv_w = watts(decision, "battery"), -watts(decision, "pv")
        drawn.append(500.0 + pv_w + battery_w)
        takes.append(battery_w)
    assert takes[0] > 2000.0
    assert takes == sorted(takes, reverse=True)
    assert all(abs(watts_) <= 100.0 for watts_, takes_w in zip(drawn, takes, strict=True) if takes_w > 0.0)
    assert (takes[-1], pv_w) == (0.0, 0.0)


def test_with_a_stale_meter_a_battery_stands_still_where_no_limit_is_on_what_flows_out() -> None:
    _, memory = settled(house(), inputs(world(load_w=500, pv_w=-3500, battery_w=3000)))
    blind = world(battery_w=3000, pv_w=-3500, ages_s={"grid": 11.0}, mono_s=2000)
    assert of(decide(house(), inputs(blind), memory)[0], "battery").value == 0


def test_a_silent_battery_is_not_steered_and_counts_as_load() -> None:
    decision, _ = settled(house(), inputs(world(battery_w=-1000, load_w=1500, ages_s={"battery": 31.0})))
    assert all(s.resource_id != "battery" for s in decision.setpoints)
    assert decision.load_w == 500


def test_a_car_switched_off_stays_off_for_its_minimum_time() -> None:
    site = house()
    _, memory = decide(site, inputs(world(car_state="C", car_w=4140), directive=import_limit(3000)), Memory())
    decision, memory = decide(site, inputs(world(car_state="B", mono_s=1004)), memory)
    decision, memory = decide(site, inputs(world(car_state="B", mono_s=1303)), memory)
    assert of(decision, "car").value == 0
    decision, _ = decide(site, inputs(world(car_state="B", mono_s=1305)), memory)
    assert of(decision, "car").value == 16


def test_the_minimum_time_counts_from_the_contactors_own_doing_not_from_our_word() -> None:
    _, memory = settled(house(), inputs(world(car_state="B")), 2)
    _, memory = decide(house(), inputs(world(car_state="C", car_w=4140, mono_s=1280)), memory)  # the car wakes late
    waits = plan({"car": Intent(IntentKind.HOLD)})
    for mono_s, amps in ((1320.0, 6.0), (1579.0, 6.0), (1581.0, 0.0)):
        given = inputs(world(car_state="C", car_w=4140, mono_s=mono_s), plan=waits)
        decision, memory = decide(house(), given, memory)
        assert of(decision, "car").value == amps


def test_what_a_charger_allows_by_itself_when_it_is_first_seen_is_left_to_it() -> None:
    offering = world(car_state="B", car_limit_a=10.0)
    assert of(decide(house(), inputs(offering), Memory())[0], "car").value == 10
    decision, left = decide(house(), inputs(world(car_state="B", car_limit_a=0.0)), Memory())
    assert of(decision, "car").value == 0
    again = replace(
        left, chargers={"car": replace(left.chargers["car"], met=False)}
    )  # a restart; meanwhile it was let go
    decision, _ = decide(house(), inputs(world(car_state="C", car_w=11040, car_limit_a=16.0)), again)
    assert of(decision, "car").value == 16


def test_an_unplugged_car_is_handed_back() -> None:
    assert of(settled(house(), inputs(world(car_state="A")))[0], "car").value is None


def test_two_batteries_never_work_against_each_other() -> None:
    second = replace(BATTERY, id="second")
    site = house(GRID, BATTERY, second)
    image = snapshot(
        {
            "grid": {"power_w": 1500.0},
            "battery": {"power_w": 0.0, "soc_pct": 50.0},
            "second": {"power_w": 0.0, "soc_pct": 50.0},
        }
    )
    charge_one = plan({"battery": Intent(IntentKind.CHARGE_TO, 90), "second": Intent(IntentKind.SELF_CONSUME)})
    decision, _ = settled(site, inputs(image, plan=charge_one))
    values = [s.value or 0 for s in decision.setpoints if s.control is Control.BATTERY_SETPOINT_W]
    assert min(values) >= 0 or max(values) <= 0, values


def test_a_battery_takes_over_from_a_slow_one_only_as_that_one_makes_room() -> None:
    second = replace(BATTERY, id="second")
    site = house(GRID, BATTERY, second)
    swap = plan({"battery": Intent(IntentKind.HOLD), "second": Intent(IntentKind.CHARGE_TO, 90)})
    memory = Memory(batteries_w={"battery": 2500.0, "second": 0.0}, decided_at_s=999.0, load_w=500.0)
    for second_no, (old_w, new_w) in enumerate(((2500.0, 0.0), (2500.0, 0.0), (1500.0, 0.0), (0.0, 900.0))):
        image = snapshot(
            {
                "grid": {"power_w": 500.0 + old_w + new_w},
                "battery": {"power_w": old_w, "soc_pct": 50.0},
                "second": {"power_w": new_w, "soc_pct": 50.0},
            },
            mono_s=1000.0 + second_no,
        )
        decision, memory = decide(site, inputs(image, plan=swap, directive=import_limit(3050)), memory)
        assert old_w + (of(decision, "second").value or 0.0) <= 2500 + 1


@given(
    load=st.floats(0, 20000),
    pv=st.floats(-8000, 0),
    battery=st.floats(-5000, 5000),
    soc=st.floats(0, 100),
    car=st.floats(0, 11040),
    limit=st.floats(0, 20000),
    kind=st.sampled_from(IntentKind),
)
def test_whatever_is_measured_every_set_point_stays_in_its_envelope(
    load: float, pv: float, battery: float, soc: float, car: float, limit: float, kind: IntentKind
) -> None:
    image = world(load_w=load, pv_w=pv, battery_w=battery, soc_pct=soc, car_w=car, car_state="C")
    given_inputs = inputs(
        image, directive=import_limit(limit), plan=plan({"battery": Intent(kind), "car": Intent(kind)})
    )
    decision, _ = decide(house(), given_inputs, Memory())
    power, amperes = of(decision, "battery").value or 0.0, of(decision, "car").value
    assert -5000 <= power <= 5000
    assert amperes == 0 or (amperes is not None and 6 <= amperes <= 16)
    if soc <= 10:
        assert power >= 0
    # what can be commanded is enough for the limit, or everything that can help already does
    total = load + pv + car + power
    assert total <= limit + 1 or power == -5000 or soc <= 10


def test_a_small_site_and_a_ten_megawatt_one_decide_alike() -> None:
    factor = 1000.0
    big_battery = replace(BATTERY, ratings=Ratings(5000 * factor, 5000 * factor, 10000 * factor))
    connection = ElectricalConnection(fuse_a=35 * factor)
    small, _ = settled(house(GRID, BATTERY), inputs(snapshot(_one(1500.0))))
    big, _ = settled(house(GRID, big_battery, connection=connection), inputs(snapshot(_one(1500.0 * factor))), 60)
    assert abs((of(big, "battery").value or 0) / factor - (of(small, "battery").value or 0)) <= 25


def _one(grid_w: float) -> dict[str, dict[str, float]]:
    return {"grid": {"power_w": grid_w}, "battery": {"power_w": 0.0, "soc_pct": 50.0}}
