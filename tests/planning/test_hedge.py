"""How much is bought for later when the sun is not sure."""

from dataclasses import replace

import pytest

from cem.model.plan import IntentKind, PlanRequest, Spread
from cem.planning.hedge import hedged
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
    night = (0.0,) * NIGHT
    spread = Spread(request.load_w, request.load_w, night + (low_w,) * DAY, night + (high_w,) * DAY)
    return replace(request, spread=spread)


def _level(request: PlanRequest) -> float:
    """What the battery holds by plan when the night is over, %."""
    return solve(request).slots[NIGHT - 1].soc_pct["battery"]


def test_where_too_much_costs_more_than_too_little_less_is_bought() -> None:
    request = _request(day_price=0.27, export_price=0.0)
    assert _level(request) < _level(replace(request, spread=None)) - 5.0


def test_where_too_little_costs_more_than_too_much_no_less_is_bought() -> None:
    request = _request(day_price=0.60, export_price=0.2)
    assert _level(request) >= _level(replace(request, spread=None)) - 0.1


def test_it_is_still_bought_in_the_cheap_hours_alone() -> None:
    plan = solve(_request(day_price=0.27, export_price=0.0))
    kinds = {slot.intents["battery"].kind for slot in plan.slots[NIGHT:]}
    assert IntentKind.CHARGE_TO not in kinds


@pytest.mark.parametrize("change", [{"spread": None}, {"grid_charge": {"battery": False}}, {"soc_pct": {}}])
def test_nothing_is_hedged_where_nothing_is_unsure_or_bought(change: dict[str, object]) -> None:
    request = replace(_request(0.27, 0.0), **change)  # type: ignore[arg-type]
    assert hedged(request, problem_of(request)[0]) is None


def test_a_narrow_band_changes_nothing() -> None:
    request = _request(0.27, 0.0, high_w=SURE, low_w=SURE)
    assert hedged(request, problem_of(request)[0]) is None


def test_a_band_that_is_no_number_is_passed_over() -> None:
    request = _request(0.27, 0.0, high_w=float("nan"))
    assert solve(request).status == "optimal"


def test_a_band_of_another_length_is_refused() -> None:
    request = _request(0.27, 0.0)
    with pytest.raises(ValueError, match="bands"):
        solve(replace(request, spread=Spread((), (), (), ())))


def test_of_equal_hours_the_last_are_used_to_buy_for_later() -> None:
    """More is known then: what the sun of the morning brought need not be bought."""
    plan = solve(replace(_request(0.6, 0.08), spread=None))
    bought = [k for k, slot in enumerate(plan.slots) if slot.intents["battery"].kind is IntentKind.CHARGE_TO]
    assert bought
    assert bought == list(range(bought[0], NIGHT))
    assert bought[0] == NIGHT - 10  # 9 kWh at 0.95 kWh a slot
