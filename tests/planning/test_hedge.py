"""How much is bought for later when the sun is not sure."""

from dataclasses import replace

import pytest

from cem.model.plan import Course, IntentKind, PlanRequest
from cem.planning.hedge import outlook
from cem.planning.problem import problem_of
from cem.planning.solve import solve
from support.planning import problem

NIGHT, DAY = 24, 40
"""Quarter hours: six hours of night and ten of day."""
SURE = 1500.0


def _request(day_price: float, export_price: float, high_w: float = 4000.0, low_w: float = 0.0) -> PlanRequest:
    """A cheap night and a dear day, in which 1.5 kW of sun are expected, and 3 kW are used."""
    request = problem(
        NIGHT + DAY,
        price=[0.22] * NIGHT + [day_price] * DAY,
        export_price=export_price,
        load_w=[300.0] * NIGHT + [2000.0] * DAY,
        pv_w=[0.0] * NIGHT + [SURE] * DAY,
        soc_pct=10.0,
    )
    suns = ((0.3, low_w), (0.4, SURE), (0.3, high_w))
    night = (0.0,) * NIGHT
    return replace(request, courses=tuple(Course(w, request.load_w, night + (sun_w,) * DAY) for w, sun_w in suns))


def _level(request: PlanRequest) -> float:
    """What the battery holds by plan when the night is over, %."""
    return solve(request).slots[NIGHT - 1].soc_pct["battery"]


def test_where_too_much_costs_more_than_too_little_less_is_bought() -> None:
    request = _request(day_price=0.27, export_price=0.0)
    assert _level(request) < _level(replace(request, courses=())) - 5.0


def test_where_too_little_costs_more_than_too_much_no_less_is_bought() -> None:
    request = _request(day_price=0.60, export_price=0.2)
    assert _level(request) >= _level(replace(request, courses=())) - 0.1


def test_it_is_still_bought_in_the_cheap_hours_alone() -> None:
    plan = solve(_request(day_price=0.27, export_price=0.0))
    kinds = {slot.intents["battery"].kind for slot in plan.slots[NIGHT:]}
    assert IntentKind.CHARGE_TO not in kinds


@pytest.mark.parametrize("change", [{"courses": ()}, {"grid_charge": {"battery": False}}, {"soc_pct": {}}])
def test_nothing_is_hedged_where_nothing_is_unsure_or_bought(change: dict[str, object]) -> None:
    request = replace(_request(0.27, 0.0), **change)  # type: ignore[arg-type]
    found = outlook(request, problem_of(request)[0])
    assert found is None or found.level is None


def test_courses_that_are_alike_change_nothing() -> None:
    request = _request(0.27, 0.0, high_w=SURE, low_w=SURE)
    found = outlook(request, problem_of(request)[0])
    assert found is not None
    assert found.level is None


def test_a_course_that_is_no_number_is_passed_over() -> None:
    request = _request(0.27, 0.0, high_w=float("nan"))
    assert solve(request).status == "optimal"


def test_a_course_of_another_length_is_refused() -> None:
    request = _request(0.27, 0.0)
    with pytest.raises(ValueError, match="course"):
        solve(replace(request, courses=(Course(1.0, (), ()),)))


def test_the_likelier_day_decides() -> None:
    """A dull day and a bright one: what is bought is between what either wants, nearer to the likelier one's."""

    def level(dull: float) -> float:
        courses = [replace(one, weight=w) for one, w in zip(request.courses, (dull, 0.0, 1.0 - dull), strict=True)]
        return _level(replace(request, courses=tuple(courses)))

    request = _request(day_price=0.35, export_price=0.1)
    assert level(0.1) < level(0.9)


def test_of_equal_hours_the_last_are_used_to_buy_for_later() -> None:
    """More is known then: what the sun of the morning brought need not be bought."""
    plan = solve(replace(_request(0.6, 0.08), courses=()))
    bought = [k for k, slot in enumerate(plan.slots) if slot.intents["battery"].kind is IntentKind.CHARGE_TO]
    assert bought
    assert bought == list(range(bought[0], NIGHT))
    assert bought[0] == NIGHT - 10  # 9 kWh at 0.95 kWh a slot


def test_what_is_stored_is_held_back_only_where_it_is_likely_to_be_needed() -> None:
    """At night for a day that is dearer: on a bright day the sun will fill the battery anyhow."""

    def holds(dull: float) -> bool:
        request = replace(_request(day_price=0.4, export_price=0.08, high_w=9000.0), soc_pct={"battery": 60.0})
        courses = [replace(one, weight=w) for one, w in zip(request.courses, (dull, 0.0, 1.0 - dull), strict=True)]
        found = solve(replace(request, courses=tuple(courses), grid_charge={"battery": False}))
        return found.slots[0].intents["battery"].kind is IntentKind.HOLD

    assert holds(0.9)
    assert not holds(0.1)
