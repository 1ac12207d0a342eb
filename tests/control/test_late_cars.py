"""Cars whose charger tells their power seldom: what the meter shows meanwhile is theirs, not the house's."""

from dataclasses import replace

import pytest

from cem.control import Memory, decide
from cem.control.late_cars import supposed
from cem.control.memory import ChargerMemory
from cem.control.meter import metered
from cem.control.picture import Picture, look
from cem.control.trend import Trend
from cem.control.tuning import SKEW_S
from cem.model.directive import Directive
from cem.model.envelope import SITE as SITE_ID
from cem.model.envelope import Envelope, Rank
from cem.model.reading import Reading, Snapshot, Value
from cem.model.resource import Control
from cem.model.setpoint import Outcome, WriteState
from support.houses import BATTERY, CAR, GRID, SECOND_CAR, house, inputs, snapshot, watts

SITE = house(GRID, BATTERY, CAR)


def told(grid_w: float, car_w: float, state: str, age_s: float, at_s: float = 1000.0) -> Snapshot:
    car: dict[str, Value] = {"power_w": car_w, "state": state}
    battery: dict[str, Value] = {"power_w": -500.0, "soc_pct": 50.0}
    values: dict[str, dict[str, Value]] = {"grid": {"power_w": grid_w}, "battery": battery, "car": car}
    return snapshot(values, mono_s=at_s, ages_s={"car": age_s})


def following(limit_a: float, since_s: float) -> Memory:
    """The house took 500 W, which the battery gives, when the car was last offered something else."""
    car = ChargerMemory(limit_a, switched_at_s=since_s, offered_at_s=since_s, closed=limit_a > 0.0)
    return Memory(
        chargers={"car": car}, batteries_w={"battery": -500.0}, house_w=500.0, load_w=500.0, decided_at_s=999.0
    )


@pytest.mark.parametrize(
    ("grid_w", "car_w", "limit_a", "state", "age_s", "since_s", "load_w"),
    [
        (11040.0, 0.0, 16.0, "C", 5.0, 995.0, 500.0),  # it has begun since it was last told of
        (6900.0, 0.0, 16.0, "C", 5.0, 900.0, 500.0),  # closed, and nothing told: it may have begun at any time
        (13040.0, 0.0, 16.0, "C", 5.0, 995.0, 2500.0),  # more than it may is the house's
        (4140.0, 11040.0, 6.0, "C", 5.0, 995.0, 500.0),  # it has followed a lower offer
        (0.0, 11040.0, 0.0, "B", 5.0, 995.0, 500.0),  # it has opened
        (11040.0, 0.0, 16.0, "B", 25.0, 976.0, 500.0),  # told just before its charger fell silent: it has closed since
        (4140.0, 11040.0, 6.0, "C", 25.0, 970.0, 500.0),  # likewise a lower offer
        (11040.0, 0.0, 0.0, "B", 25.0, 976.0, 11540.0),  # nothing is offered to it
        (9040.0, 11040.0, 16.0, "C", 5.0, 900.0, -1500.0),  # nothing to follow: the house it is
        (30.0, 11040.0, 16.0, "C", 5.0, 900.0, 500.0),  # the house would give but for a car that has left
        (30.0, 5520.0, 16.0, "C", 5.0, 995.0, 500.0),  # likewise one that was just offered more
        (3000.0, 11040.0, 16.0, "C", 5.0, 900.0, -7540.0),  # that is not what it took
        (11040.0, 0.0, 16.0, "C", 0.0, 995.0, 11540.0),  # told with the meter: it does not draw
    ],
)
def test_what_the_meter_shows_of_a_car_that_follows_its_offer_is_no_load(
    grid_w: float, car_w: float, limit_a: float, state: str, age_s: float, since_s: float, load_w: float
) -> None:
    decision, memory = decide(SITE, inputs(told(grid_w, car_w, state, age_s)), following(limit_a, since_s))
    assert memory.load_w == pytest.approx(load_w, abs=1.0)
    if load_w == 500.0:
        assert watts(decision, "battery") == -500.0


@pytest.mark.parametrize(
    ("state", "holds_a", "load_w"), [(WriteState.EFFECTIVE, 16.0, 6020.0), (WriteState.REFUSED, 16.0, 500.0)], ids=str
)
def test_what_the_meter_shows_of_a_car_at_a_charger_that_takes_no_word_is_no_load(
    state: WriteState, holds_a: float, load_w: float
) -> None:
    """It was told 8 A and still offers 16; its car has woken since it was last read, and takes them all."""
    image = told(11040.0, 0.0, "B", 5.0)
    car = {**image.readings["car"], "limit_a": Reading("car", "limit_a", holds_a, image.mono_s - 5.0)}
    image = replace(image, readings={**image.readings, "car": car})
    outcome = Outcome("car", Control.EV_LIMIT_A, state, 8.0, 990.0)
    decision, memory = decide(SITE, replace(inputs(image), outcomes=(outcome,)), following(8.0, 995.0))
    assert memory.load_w == pytest.approx(load_w, abs=1.0)
    assert (watts(decision, "battery") == -500.0) is (load_w == 500.0)


@pytest.mark.parametrize(("refused_s", "load_w"), [(100.0, 500.0 - 6900.0), (990.0, 500.0)])
def test_a_car_follows_from_the_moment_at_which_its_charger_takes_its_word_again(
    refused_s: float, load_w: float
) -> None:
    """It was told 6 A long ago; its charger refused that until a moment ago, and the car has gone down since."""
    memory = following(6.0, 100.0)
    memory = replace(memory, chargers={"car": replace(memory.chargers["car"], deaf_at_s=refused_s, drew=True)})
    _, after = decide(SITE, inputs(told(4140.0, 11040.0, "C", 5.0)), memory)
    assert after.load_w == pytest.approx(load_w, abs=1.0)


@pytest.mark.parametrize(("left_s", "load_w"), [(2.0, 15000.0), (0.0, 3960.0)])
def test_a_car_that_had_left_before_the_meter_was_read_takes_nothing(left_s: float, load_w: float) -> None:
    """Its charger told its power five seconds ago; the meter was read a second ago, and shows 14.5 kW of the house."""
    image = told(14500.0, 11040.0, "A", 5.0)
    left = Reading("car", "state", "A", image.mono_s - left_s)
    grid = Reading("grid", "power_w", 14500.0, image.mono_s - 1.0)
    image = replace(
        image, readings={**image.readings, "car": {**image.readings["car"], "state": left}, "grid": {"power_w": grid}}
    )
    memory = replace(following(16.0, 900.0), house_w=15000.0, load_w=15000.0)
    assert decide(SITE, inputs(image), memory)[1].load_w == pytest.approx(load_w, abs=1.0)


def test_what_a_car_leaves_as_it_was_told_is_not_taken_for_the_end_of_another() -> None:
    """One was just offered more than its 4.1 kW, the other goes from 11 kW to 6.9, as it was told."""
    cars: dict[str, dict[str, Value]] = {
        "car": {"power_w": 4140.0, "state": "C"},
        "second_car": {"power_w": 11040.0, "state": "C"},
    }
    image = snapshot({"grid": {"power_w": 300.0 + 4140.0 + 6900.0}, **cars}, ages_s=dict.fromkeys(cars, 5.0))
    asked = {
        key: ChargerMemory(limit_a, switched_at_s=100.0, offered_at_s=995.0, closed=True)
        for key, limit_a in (("car", 8.0), ("second_car", 10.0))
    }
    site, memory = house(GRID, CAR, SECOND_CAR), Memory(chargers=asked, house_w=300.0, load_w=300.0, decided_at_s=999.0)
    picture, _ = supposed(look(site, image, metered(site, image), SKEW_S), memory, 1000.0)
    assert [charger.power_w for charger in picture.chargers] == [4140.0, 6900.0]


@pytest.mark.parametrize(
    ("grid_w", "told_a", "load_w"),
    [
        (11780.0, 8.0, 4000.0),  # told to take less again, it has not followed yet
        (8280.0, 12.0, 500.0),  # a load of 3.5 kW has ended
        (9020.0, 8.0, 4000.0),  # it follows
        (8870.0, 12.0, 3850.0),  # it takes no more, and a load of 150 W has ended
        (9020.0, 12.0, 4000.0),  # it takes no more after all
        (12780.0, 12.0, 5000.0),  # it may take no more than that
    ],
)
def test_what_a_car_was_given_it_keeps_until_its_charger_tells_anew_or_the_load_has_fallen_by_it(
    grid_w: float, told_a: float, load_w: float
) -> None:
    """Read at 8 A and told 12 since, it takes 2,760 W more by the meter; a second later its charger is told anew."""
    memory = replace(following(12.0, 995.0), house_w=4000.0, load_w=4000.0)
    first, given_w = supposed(seen(11780.0, 5.0, 1000.0), memory, 1000.0)
    assert first.load_w == pytest.approx(4000.0)
    car = replace(memory.chargers["car"], limit_a=told_a, offered_at_s=995.0 if told_a == 12.0 else 1000.0)
    memory = replace(memory, chargers={"car": car}, supposed_w=given_w, decided_at_s=1000.0)
    assert supposed(seen(grid_w, 6.0, 1001.0), memory, 1001.0)[0].load_w == pytest.approx(load_w)


def seen(grid_w: float, age_s: float, at_s: float) -> Picture:
    image = told(grid_w, 5520.0, "C", age_s, at_s)
    return look(SITE, image, metered(SITE, image), SKEW_S)


def test_a_full_car_does_not_keep_the_battery_from_the_house() -> None:
    """2 kW more than before, the charger last read 25 s ago: a kettle, since the car has wanted nothing for long."""
    memory = following(16.0, 100.0)
    memory = replace(memory, chargers={"car": replace(memory.chargers["car"], idle_since_s=300.0)})
    decision, after = decide(SITE, inputs(told(2000.0, 0.0, "B", 25.0)), memory)
    assert after.load_w == pytest.approx(2500.0, abs=1.0)
    assert watts(decision, "battery") < -2000.0  # damped


@pytest.mark.parametrize(("every_s", "may_still_draw"), [(1.0, False), (10.0, False), (30.0, True)])
def test_in_long_ticks_a_car_is_seen_to_follow_after_the_next_one(every_s: float, may_still_draw: bool) -> None:
    """Told to stop 35 s ago, as it was before the last measurement: no battery gives what it is about to leave."""
    no_export = Directive(envelopes=(Envelope(SITE_ID, 0.0, None, Rank.OBLIGATION, "utility", "export at most 0 W"),))
    no_import = replace(no_export.envelopes[0], min_w=None, max_w=0.0)
    both = replace(no_export, envelopes=(*no_export.envelopes, no_import))
    memory = replace(following(0.0, 965.0), trend=Trend(500.0, 1000.0 - every_s, every_s=every_s))
    decision, _ = decide(SITE, inputs(told(7400.0, 7400.0, "C", 0.0), directive=both), memory)
    assert (watts(decision, "battery") > -600.0) is may_still_draw
