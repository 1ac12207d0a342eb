"""What judges go on finding beside what they excuse."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from cem.model.directive import Directive
from cem.model.envelope import SITE as ALL
from cem.model.envelope import Band, Envelope, Rank
from cem.model.request import RequestKind, UserRequest
from cem.model.resource import Control
from cem.model.setpoint import Decision, Mode, Outcome, Setpoint, WriteState
from cem.model.site import ControlPolicy
from cem.simulation.oracle.contactors import Switching
from cem.simulation.oracle.contacts import Contacts
from cem.simulation.oracle.electrical import Fuse
from cem.simulation.oracle.facts import BatteryFact, ChargerFact, Facts, SwitchedFact
from cem.simulation.oracle.life import Bumpless
from cem.simulation.oracle.limits import ImportLimit
from cem.simulation.oracle.seen import Bounds, Seen, TrueLimit, Violation, Write
from cem.simulation.oracle.storage import OneDirection
from cem.simulation.oracle.switching import Spread
from support.houses import BATTERY, BOILER, CAR, GRID, HEAT_PUMP, NOON, SECOND_CAR, house, inputs, world

SITE = house(GRID, BATTERY, CAR, SECOND_CAR)
CALM = Facts(0.0, 0.0, (0.0, 0.0, 0.0), 0.0, 230.0, 50.0, (), (), (), (), (), frozenset(), "ok")


@dataclass(frozen=True, slots=True)
class Part:
    """Of a course: from this second on a car is told so much, offered so much, and its contactor closed or not."""

    at_s: int
    told_a: float
    offered_a: float
    closed: bool


def decided(resource_id: str, control: Control, value: float) -> Decision:
    said = Setpoint(resource_id, control, value, 10.0, Rank.PLAN, "rule", "because")
    return Decision((said,), Band(float("-inf"), float("inf")), Mode.NORMAL, "")


def course(parts: Sequence[Part], seconds: int, died_s: float | None = None) -> Iterator[Seen]:
    """Every second of it; what is told is written when it changes."""
    before = None
    for second in range(seconds):
        part = [one for one in parts if one.at_s <= second][-1]
        writes: tuple[Write, ...] = ()
        if part.told_a != before:
            writes, before = (Write(second, "wallbox", b"", False, profiled=True, offered_a=part.told_a),), part.told_a
        car = ChargerFact(CAR, 0.0, "C" if part.closed else "B", part.offered_a, 0.0, 3, obeys=True, plug_ins=1)
        decision = decided("car", Control.EV_LIMIT_A, part.told_a)
        facts = replace(CALM, at_s=float(second), chargers=(car,))
        yield Seen(float(second), facts, inputs(world()), decision, died_s=died_s, writes=writes, decisions=(decision,))


def broken(steps: Iterator[Seen]) -> list[Violation]:
    judge = Switching(SITE, Bounds())
    return [found for seen in steps for found in judge.observe(seen)]


@pytest.mark.parametrize("died_s", [None, 5.0])
def test_a_car_may_stop_at_a_lower_offer_once_whenever_a_gateway_ended_before(died_s: float | None) -> None:
    """It takes 16 A and not 6, which the gateway offers it again and again."""
    parts = [Part(0, 16.0, 16.0, closed=False)]
    for turn in range(6):
        at_s = 400 + 400 * turn
        parts += [
            Part(at_s, 16.0, 16.0, closed=True),
            Part(at_s + 60, 6.0, 6.0, closed=True),
            Part(at_s + 62, 6.0, 6.0, closed=False),
            Part(at_s + 300, 16.0, 16.0, closed=False),
        ]
    assert len(broken(course(parts, 2800, died_s))) == 5


@pytest.mark.parametrize(("offered", "found"), [(True, 3), (False, 0)])
def test_an_offer_taken_back_before_the_car_followed_is_a_switching_and_a_charger_of_its_own_will_is_none(
    offered: bool, found: int
) -> None:
    parts = [Part(0, 0.0, 0.0, closed=False)]
    for turn in range(3):
        at_s = 400 + 400 * turn
        parts += [
            Part(at_s, 16.0 if offered else 0.0, 16.0, closed=False),
            Part(at_s + 1, 0.0, 16.0, closed=False),
            Part(at_s + 2, 0.0, 16.0, closed=True),
            Part(at_s + 4, 0.0, 0.0, closed=True),
            Part(at_s + 6, 0.0, 0.0, closed=False),
        ]
    assert len(broken(course(parts, 1700))) == found


@pytest.mark.parametrize(("taken_back_s", "found"), [(465, 0), (430, 1)])
def test_a_car_closes_for_the_owner_who_has_just_thought_better_of_it_and_not_long_after(
    taken_back_s: int, found: int
) -> None:
    parts = [Part(0, 16.0, 16.0, closed=False), Part(20, 16.0, 16.0, closed=True), Part(400, 0.0, 0.0, closed=False)]
    parts += [Part(460, 16.0, 16.0, closed=False), Part(470, 16.0, 16.0, closed=True)]
    charge = UserRequest("1", "car", RequestKind.CHARGE_NOW, NOON + timedelta(hours=1), NOON)
    steps = [
        replace(seen, inputs=inputs(world(), requests=(charge,))) if 410 <= seen.at_s < taken_back_s else seen
        for seen in course(parts, 500)
    ]
    assert len(broken(iter(steps))) == found


def test_two_wishes_at_once_excuse_no_closing_after_each() -> None:
    parts = [Part(0, 16.0, 16.0, closed=True)]
    for at_s in range(400, 1200, 100):
        parts += [Part(at_s, 0.0, 0.0, closed=False), Part(at_s + 50, 16.0, 16.0, closed=True)]
    until = NOON + timedelta(hours=1)
    wishes = tuple(UserRequest(name, "car", RequestKind.CHARGE_NOW, until, NOON) for name in ("1", "2"))
    steps = [replace(seen, inputs=inputs(world(), requests=wishes)) for seen in course(parts, 1200)]
    assert len(broken(iter(steps))) >= 7


@pytest.mark.parametrize(
    ("hung", "state", "asked_w", "found"),
    [
        (True, WriteState.ACCEPTED, 5000.0, 0),
        (True, WriteState.REFUSED, 1000.0, 0),
        (True, WriteState.REFUSED, 5000.0, 1),
        (False, WriteState.REFUSED, 1000.0, 1),
    ],
)
def test_a_battery_that_hangs_has_had_its_first_word_if_it_took_it_or_that_was_what_flows(
    hung: bool, state: WriteState, asked_w: float, found: int
) -> None:
    """The words of its maker are not known while it hangs; then it is told 5 kW where 1 kW flows."""
    judge, told = Bumpless(house(GRID, BATTERY), Bounds(), {}), []
    for second in range(10):
        told_w = 5000.0 if second == 8 else None
        writes = (Write(second, "storage", b"", False, profiled=True, held_w=told_w),) if second in {2, 8} else ()
        battery = BatteryFact(BATTERY, 1000.0, 50.0, 1000.0, obeys=True)
        hangs = frozenset({"storage"}) if hung and second < 5 else frozenset[str]()
        facts = replace(CALM, at_s=float(second), batteries=(battery,), hung=hangs)
        outcome = Outcome("battery", Control.BATTERY_SETPOINT_W, state, 1000.0, 0.0)
        asked = (decided("battery", Control.BATTERY_SETPOINT_W, asked_w),)
        seen = Seen(float(second), facts, inputs(world()), None, writes=writes, outcomes=(outcome,), decisions=asked)
        told += judge.observe(seen)
    assert len(told) == found


LET_GO = Write(1, "wallbox", b"go-eCharger/1/frc/set 0", True, former=True)
WHOLE = Write(1, "wallbox", b"", False, profiled=True, offered_a=32.0, former=True)  # no register that lets it go
LESS = replace(WHOLE, offered_a=10.0)


@pytest.mark.parametrize(
    ("former", "told_at_s", "found"), [(LET_GO, 3, 0), (LET_GO, 30, 1), (WHOLE, 3, 0), (WHOLE, 30, 1), (LESS, 3, 1)]
)
def test_a_charger_that_was_just_handed_back_may_be_told_what_it_is_about_to_offer(
    former: Write, told_at_s: int, found: int
) -> None:
    """It offers nothing yet; a former gateway gave it back to itself in the first second."""
    judge, told = Bumpless(house(GRID, CAR), Bounds(), {}), []
    for second in range(40):
        writes: tuple[Write, ...] = ()
        if second == 1:
            writes = (former,)
        elif second == told_at_s:
            writes = (Write(second, "wallbox", b"go-eCharger/1/amp/set 16", True),)
        car = ChargerFact(CAR, 0.0, "B", 0.0, 0.0, 3, obeys=True, plug_ins=1)
        facts = replace(CALM, at_s=float(second), chargers=(car,))
        told += judge.observe(Seen(float(second), facts, inputs(world()), None, writes=writes))
    assert len(told) == found


@pytest.mark.parametrize(("obeying_w", "found"), [(4000.0, 1), (0.0, 0)])
def test_a_battery_may_keep_a_limit_beside_a_car_whose_charger_does_not_obey_and_not_for_one_that_does(
    obeying_w: float, found: int
) -> None:
    """7 kW may be drawn, and 7 kW are; the battery gives 4 kW."""
    deaf = ChargerFact(SECOND_CAR, 11000.0 - obeying_w, "C", 16.0, 16.0, 3, obeys=False, plug_ins=1)
    other = ChargerFact(CAR, obeying_w, "C" if obeying_w else "B", 6.0, 6.0, 3, obeys=True, plug_ins=1)
    battery = BatteryFact(BATTERY, -4000.0, 50.0, -4000.0, obeys=True)
    facts = replace(CALM, grid_w=7000.0, chargers=(other, deaf), batteries=(battery,))
    judge, decision = OneDirection(SITE, Bounds()), decided("battery", Control.BATTERY_SETPOINT_W, -4000.0)
    limits = (TrueLimit(7000.0, 0.0, "utility"),)
    seconds = [
        Seen(float(second), replace(facts, at_s=float(second)), inputs(world()), decision, imports=limits)
        for second in range(200)
    ]
    assert len([violation for seen in seconds for violation in judge.observe(seen)]) == found


@pytest.mark.parametrize(
    ("between_w", "steps", "found"), [(0.0, 1, 1), (4200.0, 1, 0), (4200.0, 4, 0), (4200.0, 8, 1), (float("inf"), 1, 0)]
)
def test_what_held_while_a_limit_began_anew_may_flow_until_that_could_be_followed_and_nothing_else_may(
    between_w: float, steps: int, found: int
) -> None:
    """The clock goes back to before its begin for a moment: 4 kW flow for so many steps, as a mean shows."""
    judge, battery, told = ImportLimit(SITE, Bounds(step_s=10.0)), BATTERY, []
    for step in range(22):
        at_s, anew = 10.0 * step, step >= 8
        power_w = 4000.0 if 8 <= step < 8 + steps else 0.0
        facts = replace(
            CALM, at_s=at_s, grid_w=power_w, batteries=(BatteryFact(battery, power_w, 50.0, power_w, True),)
        )
        limits = (TrueLimit(0.0, 200.0 if anew else 0.0, "utility"),)
        decision = decided("battery", Control.BATTERY_SETPOINT_W, power_w)
        between = {"import": between_w if step == 8 else 0.0}
        seen = Seen(at_s, facts, inputs(world()), decision, imports=limits, decided_under_w=between.get)
        told += judge.observe(seen)
    assert len(told) == found


@pytest.mark.parametrize(("told", "found"), [(True, 0), (False, 1)])
def test_a_contact_that_goes_back_though_it_is_told_the_same_again_was_not_switched_by_the_gateway(
    told: bool, found: int
) -> None:
    """It closes after 100 s; its timer is fed each 20 s until it refuses, or it is told to open 140 s later."""
    judge, violations = Contacts(house(GRID, BOILER), Bounds()), []
    for second in range(260):
        closed = 100 <= second < 242
        fed = 100 <= second < 240 and second % 20 == 0
        on = second < 240 or told
        writes = (Write(second, "relay", _switch(on), True),) if fed or second == 240 else ()
        part = SwitchedFact(BOILER, 0.0, int(closed), int(closed), obeys=True, well=True)
        decision = decided("boiler", Control.LOAD_ON, float(second >= 100 and on))
        facts = replace(CALM, at_s=float(second), loads=(part,))
        seen = Seen(float(second), facts, inputs(world()), decision, writes=writes, decisions=(decision,))
        violations += judge.observe(seen)
    assert len(violations) == found


@pytest.mark.parametrize(("locked_s", "found"), [(7190, 0), (5000, 1)])
def test_a_heat_pump_may_leave_a_lock_early_when_its_two_hours_are_used_up_and_not_before(
    locked_s: int, found: int
) -> None:
    """It is locked, let go for 20 minutes, and locked for 300 s more, the last ones of its day or not."""
    judge, violations, before = Contacts(house(GRID, HEAT_PUMP), Bounds(step_s=10.0, lag_s=32.0)), [], 0
    for second in range(0, locked_s + 1300, 10):
        state = 1 if 100 <= second < locked_s - 200 or locked_s + 1000 <= second < locked_s + 1280 else 2
        writes: tuple[Write, ...] = ()
        if state != before:
            writes, before = (Write(second, HEAT_PUMP.device_id, _switch(state == 1), True),), state
        pump = SwitchedFact(HEAT_PUMP, 0.0, state, state, obeys=True, well=True)
        decision = decided("heat_pump", Control.HEAT_PUMP_SG_READY, float(state))
        facts = replace(CALM, at_s=float(second), heat_pumps=(pump,))
        seen = Seen(float(second), facts, inputs(world()), decision, writes=writes, decisions=(decision,))
        violations += judge.observe(seen)
    assert [one.invariant for one in violations] == ["I8"] * found


def _switch(on: bool) -> bytes:
    frame = {"id": 1, "method": "Switch.Set", "params": {"id": 0, "on": on, "toggle_after": 60}}
    return b"shelly/rpc " + json.dumps(frame).encode()


@pytest.mark.parametrize(("kept_w", "found"), [(0.0, 0), (900.0, 3)])
def test_a_mean_of_ten_minutes_is_broken_only_while_something_could_take_less(kept_w: float, found: int) -> None:
    """The house draws half an ampere less than the fuse; each hundred seconds a car comes that draws 16 A for 8 s."""
    judge, told = Fuse(SITE, Bounds()), []
    fuse_a = SITE.connection.fuse_a
    for second in range(700):
        car_w = 11_040.0 if second % 100 < 8 and second < 600 else kept_w
        phase_w = (fuse_a - 0.5) * 230.0 + car_w / 3
        car = ChargerFact(CAR, car_w, "C", car_w / 690.0, car_w / 690.0, 3, obeys=True, plug_ins=1)
        facts = replace(CALM, at_s=float(second), phases_w=(phase_w,) * 3, grid_w=3 * phase_w, chargers=(car,))
        told += judge.observe(Seen(float(second), facts, inputs(world()), None))
    assert len(told) == found


@pytest.mark.parametrize(("state", "goes_back", "found"), [(2, False, 0), (3, False, 1), (3, True, 1)])
def test_during_a_wait_by_chance_a_heat_pump_may_start_by_its_own_thermostat_and_not_because_it_is_told_more(
    state: int, *, goes_back: bool, found: int
) -> None:
    """A limit of 4.2 kW ends, and a quarter of an hour is the longest wait; ten seconds later the pump starts, and may
    run on when it is told less again."""
    limit = Envelope(ALL, None, 4200.0, Rank.OBLIGATION, "utility", "", NOON + timedelta(seconds=20))
    site = replace(house(GRID, HEAT_PUMP), identity="house", policy=ControlPolicy(spread_s=900.0))
    assert site.chance(f"utility/import/{limit.until:%Y-%m-%dT%H:%M:%S+00:00}") * 900.0 > 100.0
    judge, told = Spread(site, Bounds()), []
    for second in range(60):
        ended, runs = second >= 20, second >= 30
        pump_w = 3000.0 if runs else 0.0
        stands = state if runs and not (goes_back and second >= 33) else 2
        pump = SwitchedFact(HEAT_PUMP, pump_w, stands, None, obeys=True, well=True)
        facts = replace(CALM, at_s=float(second), grid_w=3500.0 + pump_w, heat_pumps=(pump,))
        directive = Directive(envelopes=() if ended else (limit,))
        given = inputs(world(), directive=directive, wall=NOON + timedelta(seconds=second))
        told += judge.observe(Seen(float(second), facts, given, decided("heat_pump", Control.HEAT_PUMP_SG_READY, 2.0)))
    assert [one.invariant for one in told] == ["I9"] * found
