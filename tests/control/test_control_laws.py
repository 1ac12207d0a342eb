"""Laws that hold whatever is measured: nothing widens, nothing jumps about, order and size play no part."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cem.control import Memory, decide
from cem.control.phase_place import PlaceMemory
from cem.io.frozen_json import decode, encode
from cem.model import values
from cem.model.directive import Directive
from cem.model.envelope import SITE, Envelope, Rank
from cem.model.plan import Intent, IntentKind
from cem.model.reading import Snapshot, Value
from cem.model.request import RequestKind, UserRequest
from cem.model.resource import Control, Ratings, Resource, Role
from cem.model.setpoint import Decision, Setpoint
from cem.model.site import ElectricalConnection, Site
from cem.model.tick import Inputs
from support.houses import (
    BATTERY,
    BOILER,
    CAR,
    GRID,
    HEAT_PUMP,
    NOON,
    PV,
    SECOND_BATTERY,
    SECOND_CAR,
    house,
    inputs,
    limited,
    plan,
    settled,
    snapshot,
    watts,
)
from support.lag_house import LagHouse

ALL = (GRID, PV, BATTERY, SECOND_BATTERY, CAR, SECOND_CAR, HEAT_PUMP, BOILER)
LARGE = house(*ALL, connection=ElectricalConnection(fuse_a=63))


@st.composite
def images(draw: st.DrawFn) -> Snapshot:
    """Any consistent state of the large house."""
    powers = {
        "pv": draw(st.floats(-8000, 0)),
        "battery": draw(st.floats(-5000, 5000)),
        "second": draw(st.floats(-5000, 5000)),
        "heat_pump": draw(st.floats(0, 3000)),
        "boiler": draw(st.sampled_from([0.0, 2000.0])),
    }
    values: dict[str, dict[str, Value]] = {key: {"power_w": power} for key, power in powers.items()}
    for key in ("battery", "second"):
        values[key]["soc_pct"] = draw(st.floats(0, 100))
    for key in ("car", "second_car"):
        state = draw(st.sampled_from("ABC"))
        powers[key] = draw(st.floats(4140, 11040)) if state == "C" else 0.0
        values[key] = {"power_w": powers[key], "state": state}
    values["grid"] = {"power_w": draw(st.floats(0, 20000)) + sum(powers.values())}
    return snapshot(values)


intents = st.fixed_dictionaries(
    {key: st.builds(Intent, st.sampled_from(IntentKind), st.just(60.0)) for key in ("battery", "second", "car")}
)
directives = st.floats(0, 40000).map(limited)


def commanded_w(site: Site, decision: Decision, image: Snapshot) -> float:
    """The largest power of the connection point that the set points ask for."""
    total = (image.number("grid", "power_w", 99) or 0.0) - sum(
        image.number(r.id, "power_w", 99) or 0.0 for r in site.resources if r.role in {Role.BATTERY, Role.EV}
    )
    for setpoint in decision.setpoints:
        value = setpoint.value or 0.0
        if setpoint.control is Control.BATTERY_SETPOINT_W:
            total += value
        elif setpoint.control is Control.EV_LIMIT_A:
            ratings = site.resource(setpoint.resource_id).ratings
            total += value * ratings.phases * ratings.nominal_voltage_v
        elif (setpoint.control is Control.HEAT_PUMP_SG_READY and value == 1) or (
            setpoint.control is Control.LOAD_ON and setpoint.value == 0
        ):
            total -= image.number(setpoint.resource_id, "power_w", 99) or 0.0
    return total


def followed(site: Site, image: Snapshot, directive: Directive, ticks: int = 12) -> tuple[Decision, Snapshot]:
    """The decision when everything does at once what it is told, and what is then measured."""
    memory = Memory()
    for _ in range(ticks):
        decision, memory = decide(site, inputs(image, directive=directive), memory)
        moved_w = 0.0
        readings = dict(image.readings)
        for setpoint in decision.setpoints:
            power = readings[setpoint.resource_id]["power_w"]
            told_w = _followed_w(site, setpoint)
            if told_w is None or readings[setpoint.resource_id].get("state", power).value == "A":
                continue
            moved_w += told_w - float(power.value or 0.0)
            readings[setpoint.resource_id] = {
                **readings[setpoint.resource_id],
                "power_w": replace(power, value=told_w),
            }
        grid = readings["grid"]["power_w"]
        readings["grid"] = {"power_w": replace(grid, value=float(grid.value or 0.0) + moved_w)}
        image = replace(image, readings=readings)
    return decision, image


def _followed_w(site: Site, setpoint: Setpoint) -> float | None:
    """What is drawn by who follows; None: what it draws by itself."""
    if setpoint.control is Control.BATTERY_SETPOINT_W:
        return setpoint.value or 0.0
    if setpoint.control is Control.EV_LIMIT_A and setpoint.value is not None:
        ratings = site.resource(setpoint.resource_id).ratings
        return setpoint.value * ratings.phases * ratings.nominal_voltage_v
    off = {Control.HEAT_PUMP_SG_READY: 1.0, Control.LOAD_ON: 0.0}
    return 0.0 if off.get(setpoint.control, -1.0) == setpoint.value else None


@given(images(), intents, st.floats(0, 40000))
def test_what_is_commanded_keeps_the_limit_or_everything_that_can_help_already_does(
    image: Snapshot, planned: dict[str, Intent], limit_w: float
) -> None:
    given_inputs = inputs(image, plan=plan(planned), directive=limited(limit_w))
    decision, _ = settled(LARGE, given_inputs, 3)
    if commanded_w(LARGE, decision, image) <= limit_w + 1:
        return
    for setpoint in decision.setpoints:
        if setpoint.control is Control.EV_LIMIT_A:
            assert not setpoint.value
        if setpoint.control is Control.BATTERY_SETPOINT_W:
            soc = image.number(setpoint.resource_id, "soc_pct", 99) or 0.0
            assert setpoint.value == -5000 or (soc <= 12 and (setpoint.value or 0) <= 0)


@given(images(), intents, directives)
def test_every_value_stays_in_the_envelope_of_its_device(
    image: Snapshot, planned: dict[str, Intent], directive: Directive
) -> None:
    decision, _ = decide(LARGE, inputs(image, plan=plan(planned), directive=directive), Memory())
    for setpoint in decision.setpoints:
        value = setpoint.value
        if value is None:
            continue
        if setpoint.control is Control.EV_LIMIT_A:
            assert value == 0 or 6 <= value <= 16
            assert value == int(value)
        elif setpoint.control is Control.BATTERY_SETPOINT_W:
            assert -5000 <= value <= 5000
        elif setpoint.control is Control.PV_LIMIT_W:
            assert 0 <= value <= 8000


@given(images(), intents, directives)
def test_the_same_inputs_and_memory_give_the_same_decision(
    image: Snapshot, planned: dict[str, Intent], directive: Directive
) -> None:
    given_inputs = inputs(image, plan=plan(planned), directive=directive)
    assert decide(LARGE, given_inputs, Memory()) == decide(LARGE, given_inputs, Memory())


@given(images(), st.floats(0, 40000), st.floats(0, 40000))
def test_a_tighter_import_limit_never_raises_what_is_commanded(image: Snapshot, one: float, two: float) -> None:
    tight, loose = min(one, two), max(one, two)
    less, image_of_less = followed(LARGE, image, limited(tight))
    more, image_of_more = followed(LARGE, image, limited(loose))
    # the dead band of the batteries, and a heat pump that is locked makes room for whole amperes
    assert commanded_w(LARGE, less, image_of_less) <= commanded_w(LARGE, more, image_of_more) + 100


@given(images(), directives, st.permutations(ALL))
def test_the_order_of_the_devices_in_the_site_plays_no_part(
    image: Snapshot, directive: Directive, order: list[Resource]
) -> None:
    shuffled = house(*order, connection=LARGE.connection)
    one, _ = settled(LARGE, inputs(image, directive=directive), 2)
    two, _ = settled(shuffled, inputs(image, directive=directive), 2)
    assert {s.resource_id: s.value for s in one.setpoints} == pytest.approx(
        {s.resource_id: s.value for s in two.setpoints}, abs=2
    )


@given(images(), directives, st.sampled_from(Rank), st.floats(0, 20000))
def test_an_added_limit_never_widens_the_band(
    image: Snapshot, directive: Directive, rank: Rank, limit_w: float
) -> None:
    added = Envelope(SITE, -limit_w, limit_w, rank, "other", "other limit")
    both = replace(directive, envelopes=(*directive.envelopes, added))
    one, _ = decide(LARGE, inputs(image, directive=directive), Memory())
    two, _ = decide(LARGE, inputs(image, directive=both), Memory())
    assert one.band.min_w <= two.band.min_w <= two.band.max_w <= one.band.max_w


@given(st.floats(-3000, 15000), st.floats(10, 90), st.floats(1000, 20000))
def test_a_house_of_ten_kilowatts_and_a_site_of_ten_megawatts_decide_alike(
    load_w: float, soc: float, limit_w: float
) -> None:
    def decided(factor: float) -> tuple[float, float]:
        battery = replace(BATTERY, ratings=Ratings(5000 * factor, 5000 * factor, 10000 * factor))
        car = replace(CAR, ratings=Ratings(max_current_a=16 * factor, min_current_a=6 * factor))
        site = house(GRID, battery, car, connection=ElectricalConnection(fuse_a=35 * factor))
        image = snapshot(
            {
                "grid": {"power_w": (load_w + 11040.0) * factor},
                "battery": {"power_w": 0.0, "soc_pct": soc},
                "car": {"power_w": 11040.0 * factor, "state": "C"},
            }
        )
        decision, _ = settled(site, inputs(image, directive=limited(limit_w * factor)), 60)
        return watts(decision, "battery") / factor, watts(decision, "car") / factor

    small, large = decided(1.0), decided(1000.0)
    # whole amperes and the margin of 50 W are the grain of the small house
    assert abs(large[1] - small[1]) <= 1.1 or large[1] < 6.2
    assert abs(large[0] - small[0]) <= 1000 or abs(large[1] - small[1]) > 0.01


@given(images(), st.timedeltas(timedelta(days=-3000), timedelta(days=3000)))
def test_a_step_of_the_wall_clock_moves_no_set_point(image: Snapshot, step: timedelta) -> None:
    given_inputs = inputs(image)
    _, memory = settled(LARGE, given_inputs, 2)
    later = replace(given_inputs, now=replace(given_inputs.now, wall=given_inputs.now.wall + step))
    assert [s.value for s in decide(LARGE, later, memory)[0].setpoints] == [
        s.value for s in decide(LARGE, given_inputs, memory)[0].setpoints
    ]


@given(images(), st.floats(-1e12, 1e12) | st.just(float("nan")))
def test_what_one_car_tells_of_its_power_changes_only_powers_never_another_devices_bounds(
    image: Snapshot, told: float
) -> None:
    broken = {key: dict(points) for key, points in image.readings.items()}
    broken["second_car"]["power_w"] = replace(broken["second_car"]["power_w"], value=told)
    decision, _ = decide(LARGE, Inputs(inputs(image).now, replace(image, readings=broken)), Memory())
    assert decision.band == decide(LARGE, inputs(image), Memory())[0].band
    assert all(s.value is None or abs(s.value) <= 8000 for s in decision.setpoints)


@settings(max_examples=25, deadline=None)
@given(
    st.floats(-4000, 6000),
    st.sampled_from([1.0, 2.0, 4.0]),
    st.integers(0, 20),
    st.sampled_from([6000.0, 12000.0, 30000.0]),
    st.integers(1, 15),
)
def test_under_constant_conditions_nothing_hunts(
    load_w: float, lag_s: float, late_s: int, limit_w: float, dead_s: int
) -> None:
    home = LagHouse(
        house(GRID, BATTERY, CAR),
        load_w=load_w,
        battery_lag_s=lag_s,
        meter_late_s=late_s,
        car_dead_s=dead_s,
        directive=limited(limit_w),
    )
    home.run(60)
    values = [watts(decision, "battery") for decision in home.run(600)]
    signs = [value > 0 for value in values if value != 0]
    assert sum(a != b for a, b in itertools.pairwise(signs)) <= 2
    assert max(values[300:]) - min(values[300:]) <= 200
    assert home.grid_w() <= max(limit_w, load_w - 5000) + 50


@pytest.mark.parametrize("lag_s", [1.0, 2.0, 3.0])
def test_a_step_of_five_kilowatts_is_back_below_the_limit_within_three_ticks_and_the_devices_delay(
    lag_s: float,
) -> None:
    home = LagHouse(house(GRID, BATTERY), load_w=2500.0, battery_lag_s=lag_s, directive=limited(4000.0))
    home.run(60)
    home.load_w = 7500.0
    home.run(3 + int(5 * lag_s))
    assert home.grid_w() <= 4000.0 + 80


requests = st.builds(
    UserRequest,
    id=st.just("r"),
    resource_id=st.sampled_from(["battery", "second", "car"]),
    kind=st.sampled_from([RequestKind.RESERVE, RequestKind.HOLD, RequestKind.PAUSE, RequestKind.CHARGE_NOW]),
    until=st.just(NOON + timedelta(hours=2)),
    made_at=st.just(NOON - timedelta(hours=2)),
    target_soc_pct=st.sampled_from([20.0, 50.0]),
)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(images(), directives, intents, st.lists(requests, max_size=2)), min_size=2, max_size=8))
def test_what_is_kept_of_a_site_between_ticks_changes_no_decision(
    course: list[tuple[Snapshot, Directive, dict[str, Intent], list[UserRequest]]],
) -> None:
    memory, anew_memory = Memory(), Memory()
    for number, (image, directive, wanted, acts) in enumerate(course):
        given_now = inputs(
            replace(image, mono_s=image.mono_s + number),
            directive=directive,
            plan=plan(wanted),
            requests=tuple(acts),
            wall=NOON + timedelta(seconds=number),
        )
        decision, memory = decide(LARGE, given_now, memory)
        # a site that was never asked anything, and a memory equal to the other, not the same
        anew, anew_memory = decide(replace(LARGE), given_now, decode(Memory, encode(anew_memory)))
        assert anew == decision
        assert anew_memory == memory


@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.sampled_from(Rank))
def test_a_value_is_replaced_as_a_dataclass_is(low: float, high: float, rank: Rank) -> None:
    envelope = Envelope("battery", low, high, Rank.PLAN, "rule", "as it comes")
    assert values.replace(envelope, max_w=low, rank=rank) == replace(envelope, max_w=low, rank=rank)
    assert values.replace(LARGE, name="other") == replace(LARGE, name="other")
    assert values.replace(PlaceMemory(1.0), missing_since_s=None) == PlaceMemory(None)
    assert values.replace(envelope) == envelope
