"""Whether the regions of a trip curve agree, by tables of points (x, s), and by a law."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem.model.inverter_curve import Curve, GridFunction, Points, TripRegion
from cem.model.trip_curve import completed, contradiction

MUST, MAY, CEASES = TripRegion.MUST_TRIP, TripRegion.MAY_TRIP, TripRegion.MOMENTARY_CESSATION
LOW_V, HIGH_V = GridFunction.LOW_VOLTAGE_TRIP, GridFunction.HIGH_VOLTAGE_TRIP
LOW_HZ, HIGH_HZ = GridFunction.LOW_FREQUENCY_TRIP, GridFunction.HIGH_FREQUENCY_TRIP
STEPS = ((50.0, 2.0), (88.0, 21.0))  # IEEE 1547-2018, table 13, category III: threshold and clearing time
OUTLINE = ((0.0, 2.0), (50.0, 2.0), (50.0, 21.0), (88.0, 21.0), (88.0, 100.0))  # the same, corner by corner
RIDES = ((0.0, 1.0), (50.0, 1.0), (50.0, 10.0), (70.0, 10.0), (70.0, 20.0), (88.0, 20.0))  # table 16
SLANTED = ((20.0, 0.0), (90.0, 7.0))  # one second later for each ten percent


@pytest.mark.parametrize(
    ("function", "must", "may", "agrees"),
    [
        (LOW_V, STEPS, RIDES, True),
        (LOW_V, OUTLINE, RIDES, True),
        (LOW_V, STEPS, STEPS, True),
        (LOW_V, OUTLINE, OUTLINE, True),
        (LOW_V, tuple(reversed(OUTLINE)), tuple(reversed(RIDES)), True),
        (LOW_V, STEPS, (), True),  # no may-trip curve: nothing that it could contradict
        (LOW_V, (), RIDES, True),
        (LOW_V, ((50.0, 0.5), (88.0, 21.0)), RIDES, False),  # too early
        (LOW_V, ((50.0, 2.0), (90.0, 21.0)), RIDES, False),  # too near to normal
        (LOW_V, ((89.0, 1000.0),), RIDES, False),
        (LOW_V, ((60.0, 4.0),), SLANTED, True),  # on the line
        (LOW_V, ((60.0, 3.9),), SLANTED, False),
        (LOW_V, ((61.0, 4.0),), SLANTED, False),
        (LOW_V, ((50.0, 5.0),), ((70.0, 5.0),), True),  # one point each, as pysunspec2's device has them
        (HIGH_V, ((120.0, 5.0),), ((100.0, 5.0),), True),
        (HIGH_V, ((120.0, 0.16), (110.0, 13.0)), ((120.0, 0.16), (120.0, 12.0), (110.0, 12.0)), True),
        (HIGH_V, ((108.0, 13.0),), ((110.0, 12.0),), False),
        (LOW_HZ, ((56.5, 0.16), (58.5, 300.0)), ((57.0, 0.16), (58.8, 299.0)), True),  # table 18
        (LOW_HZ, ((59.0, 300.0),), ((58.8, 299.0),), False),
        (HIGH_HZ, ((62.0, 0.16), (61.2, 300.0)), ((61.8, 0.16), (61.2, 299.0)), True),
        (HIGH_HZ, ((61.0, 300.0),), ((61.2, 299.0),), False),
    ],
)
def test_what_must_trip_outside_of_what_may_is_a_contradiction(
    function: GridFunction, must: Points, may: Points, agrees: bool
) -> None:
    told = contradiction(function, Curve(regions={MUST: must, MAY: may}))
    assert (told == "") is agrees, told


@given(points=st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=1, max_size=6), part=st.floats(0, 1))
def test_any_step_on_or_beyond_the_lines_of_the_may_trip_curve_agrees(
    points: list[tuple[float, float]], part: float
) -> None:
    (x0, t0), (x1, t1) = points[0], points[-1] if len(points) < 2 else points[1]
    on_line = (x0 + part * (x1 - x0), t0 + part * (t1 - t0))
    for function, further in ((LOW_V, -1.0), (HIGH_V, 1.0)):
        for must in (on_line, (on_line[0] + further, on_line[1]), (on_line[0], on_line[1] + 1.0)):
            assert contradiction(function, Curve(regions={MUST: (must,), MAY: tuple(points)})) == ""


def test_the_contradiction_is_told_in_words() -> None:
    told = contradiction(LOW_V, Curve(regions={MUST: ((90.0, 2.0),), MAY: RIDES}))
    assert told == "it would have to trip below 90 % after 2 s, where its may-trip curve does not let it"
    assert "above 61 Hz after 3 s" in contradiction(HIGH_HZ, Curve(regions={MUST: ((61.0, 3.0),), MAY: ((62.0, 1.0),)}))


def test_what_is_not_named_stays_as_it_is_in_force() -> None:
    active = Curve(regions={MUST: STEPS, MAY: RIDES, CEASES: ()}, read_only=True)
    whole = completed(LOW_V, Curve(regions={MUST: OUTLINE}), active)
    assert whole == Curve(regions={MUST: OUTLINE, MAY: RIDES, CEASES: ()})
    volt_var = Curve(((92.0, 44.0),), {"RspTms": 5})
    assert completed(GridFunction.VOLT_VAR, volt_var, Curve(((1.0, 1.0),), {"Pri": 1})) == volt_var
    assert completed(LOW_V, whole, None) == whole
