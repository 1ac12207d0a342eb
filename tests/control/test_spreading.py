"""After what ended for many houses at once, each waits for its own time; only more is delayed, never the owner."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem.control import Memory, decide, from_json, lasting, to_json
from cem.control.memory import ChargerMemory, Release, SwitchMemory
from cem.control.spreading import IMPORT
from cem.model.chance import share
from cem.model.directive import Directive, GridPresence, PriceWindow
from cem.model.envelope import SITE, Envelope, Rank
from cem.model.plan import Intent, IntentKind
from cem.model.reading import Snapshot, Value
from cem.model.request import RequestKind, UserRequest
from cem.model.resource import Control, SgReady
from cem.model.setpoint import Decision, Outcome, WriteState
from cem.model.site import SPREAD_S, ChargeGoal, ControlPolicy, Site
from cem.model.tick import Inputs
from support.houses import (
    BATTERY,
    BOILER,
    CAR,
    GRID,
    HEAT_PUMP,
    NOON,
    PV,
    SECOND_CAR,
    house,
    inputs,
    of,
    plan,
    snapshot,
    watts,
)
from support.lag_house import LagHouse

MOST_S = 600.0
SEEDS = 1000
KS_1_PERCENT = 1.628  # Kolmogorov-Smirnov, large n: critical value of sqrt(n) * D at 1 %
END = NOON + timedelta(minutes=10)


def spreading(site: Site, identity: str = "house", **policy: Any) -> Site:
    """The site with a wait of up to ten minutes."""
    return replace(site, identity=identity, policy=ControlPolicy(**({"spread_s": MOST_S} | policy)))


def limit(limit_w: float, *, rank: Rank = Rank.OBLIGATION, spread: bool = False, until: datetime = END) -> Directive:
    """An import limit with an end."""
    return Directive(envelopes=(Envelope(SITE, None, limit_w, rank, "utility", "import limit", until, spread),))


def ks(samples: Sequence[float]) -> float:
    """sqrt(n) times the largest distance of the samples, on [0, 1), from a uniform distribution."""
    ordered, n = sorted(samples), len(samples)
    return math.sqrt(n) * max(max((i + 1) / n - x, x - i / n) for i, x in enumerate(ordered))


def plugged(mono_s: float, car_w: float = 0.0, load_w: float = 500.0, **battery: float) -> Snapshot:
    """A house whose car is plugged."""
    power_w = battery.get("power_w", 0.0)
    return snapshot(
        {
            "grid": {"power_w": load_w + car_w + power_w},
            "car": {"power_w": car_w, "state": "C" if car_w else "B"},
            "battery": {"power_w": power_w, "soc_pct": 50.0},
        },
        mono_s=mono_s,
    )


def at(second: float, directive: Directive, image: Snapshot | None = None, **more: Any) -> Inputs:
    """The inputs so many seconds after noon."""
    shown = image or plugged(1000.0 + second)
    return inputs(shown, directive=directive, wall=NOON + timedelta(seconds=second), **more)


def limited_then_free(site: Site, second: float, **more: Any) -> tuple[Decision, Memory]:
    """The decision so many seconds after a limit of half an hour ended."""
    memory = Memory()
    for tick in (0.0, 599.0):
        _, memory = decide(site, at(tick, limit(3000.0)), memory)
    for tick in (600.0, 600.0 + second):
        decision, memory = decide(site, at(tick, Directive(), **more), memory)
    return decision, memory


def delay_s(site: Site) -> float:
    """The wait that the site has drawn for the end of the limit."""
    return limited_then_free(site, 0.0)[1].releases[0].delay_s


def test_over_a_thousand_houses_the_wait_is_uniform_and_never_the_same_for_many() -> None:
    delays = [delay_s(spreading(house(GRID, CAR), f"house {n}")) for n in range(SEEDS)]
    assert all(0.0 <= delay <= MOST_S and delay == int(delay) for delay in delays)
    assert ks([delay / MOST_S for delay in delays]) < KS_1_PERCENT
    assert max(delays.count(delay) for delay in set(delays)) <= 10
    assert ks([0.5 * share(f"house {n}", "x") for n in range(SEEDS)]) > KS_1_PERCENT  # the measure can tell


def test_after_an_outage_loads_cars_and_grid_charging_come_back_apart_over_a_thousand_houses() -> None:
    for thing in ("car", "battery", "boiler"):
        waits = [share(f"house {n}", f"{thing}/outage/2026-06-15T10:00:00") for n in range(SEEDS)]
        assert ks(waits) < KS_1_PERCENT


def test_the_occasion_and_the_house_make_the_wait_and_nothing_else() -> None:
    site = spreading(house(GRID, CAR))
    assert delay_s(site) == delay_s(site)
    renamed = replace(site, name="another name")
    assert delay_s(renamed) == delay_s(site)
    assert len({delay_s(replace(site, identity=str(n))) for n in range(20)}) > 10


def test_when_a_limit_ends_the_car_goes_on_as_it_was_and_then_charges() -> None:
    site = spreading(house(GRID, CAR))
    wait = delay_s(site)
    assert 30 < wait < 570
    before, _ = limited_then_free(site, wait - 1)
    assert watts(before, "car") == 0
    minutes, seconds = divmod(int(wait), 60)
    words = f"waits {minutes} min {seconds} s by chance, so that not every house starts at once"
    assert words in of(before, "car").reason
    assert words in before.headline
    assert watts(limited_then_free(site, wait)[0], "car") == 16


def test_the_wait_outlives_a_restart() -> None:
    site = spreading(house(GRID, CAR))
    wait = delay_s(site)
    _, memory = limited_then_free(site, 10.0)
    kept = from_json(to_json(memory, at(610.0, Directive()).now), at(0.0, Directive()).now)
    assert kept.releases[0].delay_s == wait
    assert lasting(memory) != lasting(Memory())
    # another boot: its monotonic clock begins anew
    later = at(620.0, Directive(), plugged(1020.0 - 1000.0))
    restored = from_json(to_json(memory, at(610.0, Directive()).now), replace(later.now, mono_s=10.0))
    decision, _ = decide(site, later, restored)
    assert watts(decision, "car") == 0
    decision, _ = decide(site, at(600.0 + wait, Directive(), plugged(wait + 1.0)), restored)
    assert decision.headline != ""
    assert "by chance" not in of(decision, "car").reason


def test_a_car_that_began_while_the_gateway_was_away_goes_on_through_the_wait() -> None:
    """Its charger was handed back when the gateway ended; it takes 10 A when that is there again, and keeps them."""
    site = spreading(house(GRID, CAR))
    _, memory = limited_then_free(site, 10.0)
    assert memory.chargers["car"].limit_a == 0.0
    later = at(620.0, Directive(), plugged(1620.0, car_w=6900.0))
    restored = from_json(to_json(memory, at(610.0, Directive()).now), later.now)
    decision, restored = decide(site, later, restored)
    assert watts(decision, "car") == 10.0
    decision, _ = decide(site, at(622.0, Directive(), plugged(1622.0, car_w=6900.0)), restored)
    assert watts(decision, "car") == 10.0
    assert "by chance" in of(decision, "car").reason


def test_a_charger_that_does_not_follow_takes_no_room_of_the_wait_from_another() -> None:
    """Both cars took 10 A when the limit ended; one charger refuses since, and goes on."""
    site = spreading(house(GRID, CAR, SECOND_CAR))
    _, memory = limited_then_free(site, 10.0)
    charges = ChargerMemory(10.0, switched_at_s=0.0, offered_at_s=0.0, drew=True, closed=True)
    memory = replace(memory, chargers={"car": charges, "second_car": replace(charges, limit_a=6.0)})
    cars: dict[str, dict[str, Value]] = {key: {"power_w": 6900.0, "state": "C"} for key in ("car", "second_car")}
    image = snapshot({"grid": {"power_w": 14_300.0}, **cars}, mono_s=1620.0)
    refuses = Outcome("second_car", Control.EV_LIMIT_A, WriteState.REFUSED, 6.0, 1600.0)
    decision, _ = decide(site, replace(at(620.0, Directive(), image), outcomes=(refuses,)), memory)
    assert watts(decision, "car") == 10.0


def test_a_limit_that_ended_while_the_gateway_slept_is_waited_for_from_its_end() -> None:
    site = spreading(house(GRID, CAR))
    wait = delay_s(site)
    _, memory = decide(site, at(0.0, limit(3000.0)), Memory())
    for second, waits in ((wait - 20.0, True), (wait + 20.0, False)):
        _, after = decide(site, at(600.0 + second, Directive()), memory)
        assert bool(after.releases) == waits


@pytest.mark.parametrize(
    ("directive", "most_s", "why"),
    [
        (limit(3000.0, spread=True), MOST_S, "its sender spreads it"),
        (limit(3000.0), 0.0, "the site wants no wait"),
    ],
)
def test_nothing_waits_where_nothing_should(directive: Directive, most_s: float, why: str) -> None:
    site = spreading(house(GRID, CAR), spread_s=most_s)
    _, memory = decide(site, at(0.0, directive), Memory())
    decision, memory = decide(site, at(600.0, Directive()), memory)
    assert memory.releases == (), why
    assert "by chance" not in of(decision, "car").reason


def test_a_provider_may_have_a_wait_of_its_own() -> None:
    site = spreading(house(GRID, CAR))
    site = replace(site, policy=replace(site.policy, spread_s=0.0, spread_by={"utility": MOST_S}))
    assert delay_s(site) > 0
    assert (
        limited_then_free(replace(site, policy=replace(site.policy, spread_by={"other": 9.0})), 0.0)[1].releases == ()
    )


def test_who_opts_out_of_a_voluntary_limit_does_not_wait() -> None:
    site = spreading(house(GRID, CAR))
    _, memory = decide(site, at(0.0, limit(3000.0, rank=Rank.PROGRAMME)), Memory())
    out = UserRequest("1", SITE, RequestKind.OPT_OUT, NOON + timedelta(hours=1), NOON)
    _, memory = decide(site, at(60.0, Directive(), requests=(out,)), memory)
    assert memory.releases == ()


def test_the_owners_charge_now_and_a_goal_that_would_be_missed_do_not_wait() -> None:
    site = spreading(house(GRID, CAR))
    now = UserRequest("1", "car", RequestKind.CHARGE_NOW, NOON + timedelta(hours=1), NOON)
    assert watts(limited_then_free(site, 1.0, requests=(now,))[0], "car") == 16
    ready = NOON + timedelta(minutes=40)
    late = UserRequest("1", "car", RequestKind.CHARGE_BY, ready, NOON, energy_wh=9000.0, ready_at=ready)
    assert watts(limited_then_free(site, 1.0, requests=(late,))[0], "car") == 16
    assert watts(limited_then_free(site, 1.0)[0], "car") == 0


def test_the_battery_is_not_emptied_into_a_car_that_does_not_wait() -> None:
    site = spreading(house(GRID, BATTERY, CAR))
    now = UserRequest("1", "car", RequestKind.CHARGE_NOW, NOON + timedelta(hours=1), NOON)
    home = LagHouse(site, directive=limit(3000.0))
    home.run(60)
    assert home.powers["car"] == 0
    memory = home.memory
    for second in range(60, 120):
        image = plugged(1000.0 + second, car_w=11040.0, power_w=-500.0)
        decision, memory = decide(site, at(float(second), Directive(), image, requests=(now,)), memory)
    assert memory.releases
    assert watts(decision, "battery") == pytest.approx(-500.0, abs=25)


def test_a_fallback_that_stands_in_for_a_moment_draws_no_new_time() -> None:
    site = spreading(house(GRID, CAR))
    _, memory = limited_then_free(site, 1.0)
    stands_in = Directive(envelopes=(Envelope(SITE, None, 3000.0, Rank.OBLIGATION, "utility", "default limit"),))
    _, after = decide(site, at(602.0, stands_in), memory)
    _, after = decide(site, at(603.0, Directive()), after)
    assert after.releases == memory.releases


def test_a_looser_limit_is_reached_after_the_wait() -> None:
    site = spreading(house(GRID, CAR))
    _, memory = decide(site, at(0.0, limit(3000.0)), Memory())
    decision, memory = decide(site, at(600.0, limit(8000.0, until=NOON + timedelta(hours=1))), memory)
    assert watts(decision, "car") == 0
    decision, _ = decide(site, at(600.0 + MOST_S, limit(8000.0, until=NOON + timedelta(hours=1))), memory)
    assert watts(decision, "car") == 10


def test_less_is_never_delayed_and_what_runs_goes_on() -> None:
    site = spreading(house(GRID, BATTERY, CAR))
    home = LagHouse(site, load_w=300.0, directive=limit(5500.0))
    home.run(60)
    assert home.powers["car"] == 7 * 690
    home.directive = Directive()
    home.load_w = 4000.0
    offers = [watts(decision, "car") for decision in home.run(20)]
    assert home.memory.releases
    assert set(offers) == {7.0}


def test_a_limit_that_ended_is_given_up_along_the_sites_ramp() -> None:
    site = spreading(house(GRID, CAR), spread_s=0.0, ramp_w_per_s=100.0)
    home = LagHouse(site, directive=limit(5500.0), car_dead_s=0)
    home.run(60)
    assert home.powers["car"] == 7 * 690
    home.directive = Directive()
    powers = [(home.tick(), home.grid_w())[1] for _ in range(120)]
    assert all(power <= 5500.0 + 100.0 * (second + 2) for second, power in enumerate(powers))
    assert powers[-1] == 500.0 + 16 * 690


def test_after_a_price_event_nothing_starts_before_its_time() -> None:
    site = spreading(house(GRID, BATTERY, CAR))
    cheap = plan({"car": Intent(IntentKind.CHARGE_TO), "battery": Intent(IntentKind.CHARGE_TO, 90.0)})
    dear = Directive(prices=(PriceWindow(NOON, END, 0.90, None, "market"),))
    waits = plan({"car": Intent(IntentKind.HOLD), "battery": Intent(IntentKind.HOLD)})
    _, memory = decide(site, at(0.0, dear, plan=waits), Memory())
    _, memory = decide(site, at(599.0, dear, plan=waits), memory)
    for second in (600.0, 601.0, 602.0):
        decision, memory = decide(site, at(second, Directive(), plan=cheap), memory)
    (release,) = memory.releases
    assert (release.source, release.firm) == ("market", False)
    assert watts(decision, "car") == watts(decision, "battery") == 0
    assert "by chance" in of(decision, "car").reason
    assert "by chance" in of(decision, "battery").reason
    decision, memory = decide(site, at(600.0 + release.delay_s, Directive(), plan=cheap), memory)
    assert watts(decision, "car") == 16
    assert memory.releases == ()


def test_after_an_export_limit_the_roof_opens_at_its_own_time() -> None:
    site = spreading(house(GRID, PV))
    image = snapshot({"grid": {"power_w": -2000.0}, "pv": {"power_w": -2500.0}}, mono_s=1000.0)
    bound = Directive(envelopes=(Envelope(SITE, -2000.0, None, Rank.OBLIGATION, "utility", "export limit", END),))
    _, memory = decide(site, at(0.0, bound, image), Memory())
    decision, memory = decide(site, at(600.0, Directive(), replace(image, mono_s=1600.0)), memory)
    assert memory.releases
    decision, memory = decide(site, at(601.0, Directive(), _aged(image, 1601.0)), memory)
    assert watts(decision, "pv") == 2450
    assert "by chance" in of(decision, "pv").reason
    decision, _ = decide(site, at(600.0 + MOST_S, Directive(), _aged(image, 2200.0)), memory)
    assert of(decision, "pv").value is None


def _aged(image: Snapshot, mono_s: float) -> Snapshot:
    """The same values, read at another time."""
    values = {key: {p: r.value for p, r in points.items()} for key, points in image.readings.items()}
    return snapshot(values, mono_s=mono_s)


def test_after_an_outage_the_battery_buys_nothing_before_its_time_and_a_restart_changes_nothing() -> None:
    site = spreading(house(GRID, BATTERY, CAR, BOILER, HEAT_PUMP))
    buys = plan({"battery": Intent(IntentKind.CHARGE_TO, 90.0)})
    _, memory = decide(site, at(0.0, Directive(grid=GridPresence.ISLANDED)), Memory())
    _, memory = decide(site, at(1.0, Directive(), plan=buys), memory)
    starts = []
    for second in range(2, 1210):
        if second == 30:
            now = at(float(second), Directive()).now
            memory = from_json(to_json(memory, now), now)
        decision, memory = decide(site, at(float(second), Directive(), plan=buys), memory)
        if watts(decision, "battery") > 0:
            starts.append(second)
        else:
            assert "after the outage" in of(decision, "battery").reason or memory.islanded
    chance = site.chance("outage/" + (NOON + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%S"))
    assert starts[0] == pytest.approx(1 + 300 + SPREAD_S * chance, abs=5)


@given(st.floats(0.0, 9000.0), st.floats(0.0, 9000.0), st.floats(0.0, 6000.0), st.integers(0, 700), st.booleans())
def test_while_it_waits_a_house_commands_no_more_than_the_former_limit_or_what_it_had(
    old_w: float, new_w: float, load_w: float, second: int, has_goal: bool
) -> None:
    goals = (ChargeGoal("car", (NOON + timedelta(hours=14)).time(), energy_wh=5000.0),) if has_goal else ()
    site = replace(spreading(house(GRID, CAR)), goals=goals)
    until = NOON + timedelta(hours=2)
    image = plugged(1000.0, load_w=load_w)
    _, memory = decide(site, at(0.0, limit(old_w), image), Memory())
    _, memory = decide(site, at(600.0, limit(new_w, until=until), _aged(image, 1600.0)), memory)
    moment = 600.0 + second
    decision, after = decide(site, at(moment, limit(new_w, until=until), _aged(image, 1000.0 + moment)), memory)
    car_w = 690 * watts(decision, "car")
    assert decision.band.max_w == pytest.approx(min(new_w, site.connection.fuse_w))
    allowed = min(new_w, old_w) if after.releases else new_w
    assert car_w == 0 or load_w + car_w <= allowed


def test_a_wait_by_chance_does_not_lock_a_heat_pump_that_was_just_switched() -> None:
    """A car that does not follow takes more than is waited with, and what the heat pump has too."""
    site, memory, car_w = spreading(house(GRID, CAR, HEAT_PUMP)), Memory(), 0.0
    said: dict[str, Any] = {}
    for second in (0.0, 599.0, 600.0, 601.0, 602.0, 610.0):
        if second == 600.0:
            memory, car_w = replace(memory, switches={"heat_pump": SwitchMemory(SgReady.RECOMMENDED, 1350.0)}), 11040.0
        values: dict[str, dict[str, Value]] = {
            "grid": {"power_w": 4000.0 + car_w},
            "car": {"power_w": car_w, "state": "C" if car_w else "B"},
            "heat_pump": {"power_w": 3000.0},
        }
        now = at(second, Directive() if car_w else limit(6000.0), snapshot(values, mono_s=1000.0 + second))
        deaf = (Outcome("car", Control.EV_LIMIT_A, WriteState.NOT_EFFECTIVE, 0.0, 990.0),)
        decision, memory = decide(site, replace(now, outcomes=deaf), memory)
        if car_w:
            said[of(decision, "heat_pump").reason] = of(decision, "heat_pump").value
    assert memory.releases[0].delay_s > 10.0
    assert set(said.values()) == {float(SgReady.RECOMMENDED)}, said


@pytest.mark.parametrize(("forced_s", "state"), [(300.0, SgReady.FORCED), (601.0, SgReady.NORMAL)])
def test_a_wait_by_chance_leaves_a_forced_heat_pump_in_its_state_for_its_ten_minutes(
    forced_s: float, state: SgReady
) -> None:
    """Forced while a kWh cost less than nothing, which is over; other prices have begun a wait meanwhile."""
    site = spreading(house(GRID, HEAT_PUMP))
    switches = {"heat_pump": SwitchMemory(SgReady.FORCED, 1000.0 - forced_s)}
    wait = Release(IMPORT, 4000.0, "market", since_s=990.0, delay_s=300.0, firm=False)
    memory = Memory(decided_at_s=999.0, switches=switches, releases=(wait,))
    values: dict[str, dict[str, Value]] = {"grid": {"power_w": 4000.0}, "heat_pump": {"power_w": 3000.0}}
    decision, _ = decide(site, at(0.0, Directive(), snapshot(values, mono_s=1000.0)), memory)
    assert watts(decision, "heat_pump") == state
