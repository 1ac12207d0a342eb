"""Planning problems from files: judged by an evaluator and a textbook model that share nothing with the planner."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cem.planning.answer_file import answer_of
from cem.planning.optimiser import GAP, Warm, prepare
from cem.planning.problem_file import ProblemFileError, read_problem
from support.plan_evaluator import Verdict, evaluate
from support.plan_problems import KINDS, random_problem
from support.plan_textbook import textbook


def solved(raw: dict[str, Any], warm: Warm | None = None) -> tuple[dict[str, Any], Verdict, float, float]:
    """The answer, the verdict on it, and the price scale and gross bill of the problem."""
    file, problem, notes = read_problem(json.dumps(raw))
    answer = answer_of(file, problem, prepare(problem, warm).solve(), notes, 0.0, 0.0)
    return answer, evaluate(raw, answer), problem.price_scale, problem.gross_bill


def house(**changes: Any) -> dict[str, Any]:
    """Eight hours with a dear evening."""
    return {
        "step_s": 3600,
        "import_price_per_kwh": [0.1] * 4 + [0.5] * 4,
        "export_price_per_kwh": 0.05,
        "base_load_w": 1000,
        "pv_w": 0,
    } | changes


BATTERY = {"id": "b", "capacity_wh": 4000, "soc_wh": 0, "max_charge_w": 2000, "max_discharge_w": 2000}
CAR: dict[str, Any] = {
    "id": "c",
    "efficiency": 0.92,
    "soc_wh": 10000,
    "capacity_wh": 50000,
    "min_w": 4140,
    "max_w": 11000,
}


@given(
    st.integers(0, 10**6),
    st.sampled_from([24, 48]),
    st.integers(0, 3),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 1),
)
@settings(max_examples=40, deadline=None)
def test_every_answer_can_be_carried_out_and_costs_what_it_says(
    seed: int, slots: int, batteries: int, evs: int, loads: int, heat_pumps: int
) -> None:
    raw = random_problem(seed, slots, batteries=batteries, evs=evs, loads=loads, heat_pumps=heat_pumps)
    answer, verdict, _, _ = solved(raw)
    assert verdict.faults == []
    assert answer["cost"] == pytest.approx(verdict.cost, abs=1e-4)
    assert answer["bound"] <= answer["cost"] + 1e-6
    named = {one["what"] for one in answer["shortfalls"]}
    assert bool(verdict.missed_kwh > 0.002) == ("goal" in named)
    assert bool(verdict.over_kwh > 0.001) <= bool(named & {"import_limit", "export_limit"})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(2))
def test_no_answer_costs_more_than_the_textbook_model_s_but_by_the_gap_it_tells(kind: str, seed: int) -> None:
    raw = random_problem(seed, 24, kind=kind)
    answer, verdict, scale, gross = solved(raw)
    best, bound, _ = textbook(raw)
    ours = verdict.penalised(scale)
    assert ours - best <= (max(answer["gap"], GAP) + 1e-4) * gross
    assert ours >= bound - 1e-3 * gross


@pytest.mark.slow
@pytest.mark.parametrize("parts", [(1, 1, 0, 0), (2, 2, 2, 1)])
@pytest.mark.parametrize("seed", range(10))
def test_longer_problems_agree_with_the_textbook_model_too(seed: int, parts: tuple[int, int, int, int]) -> None:
    raw = random_problem(seed, 96, batteries=parts[0], evs=parts[1], loads=parts[2], heat_pumps=parts[3])
    answer, verdict, scale, gross = solved(raw)
    best, bound, _ = textbook(raw, 30.0)
    ours = verdict.penalised(scale)
    assert verdict.faults == []
    assert ours - best <= (max(answer["gap"], GAP) + 1e-4) * gross
    assert ours >= bound - 1e-3 * gross


@pytest.mark.slow
@pytest.mark.parametrize("seed", [21, 123, 134])
def test_a_battery_and_a_car_under_negative_prices_cost_hardly_more_than_the_textbook_s(seed: int) -> None:
    raw = random_problem(seed, 192, kind="negative")
    _, verdict, scale, gross = solved(raw)
    best, _, _ = textbook(raw, 30.0)
    assert verdict.faults == []
    assert verdict.penalised(scale) - best <= 0.001 * gross


def test_a_base_load_above_the_limit_is_missed_by_as_little_as_possible_and_named() -> None:
    answer, verdict, _, _ = solved(house(import_limit_w=800, batteries=[BATTERY | {"soc_wh": 1000}]))
    over = [one for one in answer["shortfalls"] if one["what"] == "import_limit"]
    assert verdict.over_kwh == pytest.approx(8 * 0.2 - 1.0 * 0.95, abs=0.01)  # the battery gives all it has
    assert all("W beyond it" in one["cause"] for one in over)


def test_a_limit_outranks_a_goal() -> None:
    late = house(import_limit_w=3000, evs=[CAR | {"goals": [{"step": 8, "soc_wh": 40000}]}])
    answer, verdict, _, _ = solved(late)
    assert verdict.over_kwh == 0.0
    assert answer["shortfalls"] == [
        {
            "what": "goal",
            "id": "c",
            "step": 8,
            "amount": 30000.0,
            "unit": "Wh",
            "cause": "c: 30000 Wh are missing of the goal at step 8, limits and other goals leave no more",
        }
    ]


@pytest.mark.parametrize(
    ("goal", "why"),
    [
        ({"step": 2, "soc_wh": 45000}, "the time until then is too short"),
        ({"step": 8, "soc_wh": 60000}, "it is above what can be stored"),
    ],
)
def test_a_goal_that_can_not_be_met_is_met_as_far_as_it_goes(goal: dict[str, Any], why: str) -> None:
    answer, verdict, _, _ = solved(house(evs=[CAR | {"goals": [goal]}]))
    possible = min(10000 + 2 * 11000 * 0.92, 50000) if goal["step"] == 2 else 50000
    assert verdict.missed_kwh == pytest.approx((goal["soc_wh"] - possible) / 1000, abs=0.01)
    assert [one["cause"].endswith(why) for one in answer["shortfalls"]] == [True]


def test_a_load_runs_once_where_it_is_cheapest_and_its_window_is_opened_when_it_is_too_short() -> None:
    prices = [0.5, 0.4, 0.1, 0.1, 0.4, 0.5, 0.5, 0.5]
    wash = {"id": "wash", "power_w": [2000, 300], "earliest_step": 0, "latest_end_step": 8}
    answer, _, _, _ = solved(house(import_price_per_kwh=prices, loads=[wash]))
    assert answer["loads"]["wash"]["start_step"] == 2
    late, _, _, _ = solved(
        house(import_price_per_kwh=prices, loads=[wash | {"earliest_step": 5, "latest_end_step": 6}])
    )
    assert late["loads"]["wash"]["steps"] == [5, 6]
    assert late["shortfalls"][0]["cause"] == "wash: ends 1 steps late, its window is shorter than its run"


def test_an_interruptible_load_takes_the_cheap_steps_in_its_own_order() -> None:
    prices = [0.1, 0.5, 0.2, 0.5, 0.1, 0.5, 0.5, 0.5]
    load = {"id": "wash", "power_w": [500, 1500, 2500], "earliest_step": 0, "latest_end_step": 8, "interruptible": True}
    answer, _, _, _ = solved(house(import_price_per_kwh=prices, loads=[load]))
    assert answer["loads"]["wash"]["steps"] == [0, 2, 4]
    assert answer["loads"]["wash"]["power_w"][4] == 2500


def test_a_battery_that_must_not_feed_in_never_does() -> None:
    raw = house(
        export_price_per_kwh=0.6,
        pv_w=[0, 0, 3000, 3000, 0, 0, 0, 0],
        batteries=[BATTERY | {"soc_wh": 4000, "grid_discharge": False}],
    )
    answer, verdict, _, _ = solved(raw)
    assert verdict.faults == []
    power, grid = answer["batteries"]["b"]["power_w"], answer["grid_w"]
    assert not any(p < -1.0 and g < -1.0 for p, g in zip(power, grid, strict=True))


def test_a_peak_price_flattens_the_import() -> None:
    car = CAR | {"min_w": 0, "goals": [{"step": 8, "soc_wh": 10000 + 8 * 920}]}
    answer, _, _, _ = solved(house(import_price_per_kwh=[0.3] * 8, peak_price_per_kw=10.0, evs=[car]))
    assert max(answer["grid_w"]) == pytest.approx(2000.0, abs=1.0)


def test_a_band_of_the_grid_and_a_reserve_are_kept_before_money() -> None:
    battery = BATTERY | {"soc_wh": 2000}
    held, _, _, _ = solved(house(grid_min_w=[None, None, 2500, 2500] + [None] * 4, batteries=[battery]))
    assert held["grid_w"][2] >= 2499.0
    kept, _, _, _ = solved(house(reserve_up_w=[0] * 4 + [1500] * 4, batteries=[battery]))
    assert all(power >= -501.0 for power in kept["batteries"]["b"]["power_w"][4:])


def test_a_site_a_thousand_times_as_large_costs_a_thousand_times_as_much() -> None:
    raw = random_problem(5, 48, kind="ordinary")
    large = json.loads(json.dumps(raw))
    for key in ("base_load_w", "pv_w"):
        large[key] = [1000 * value for value in large[key]]
    large["import_limit_w"] *= 1000
    for row in (*large["batteries"], *large["evs"]):
        for key in list(row):
            if key.endswith(("_wh", "_w")):
                row[key] *= 1000
        for goal in row.get("goals", []):
            goal["soc_wh"] *= 1000
    small, _, _, gross = solved(raw)
    big, _, _, _ = solved(large)
    assert big["cost"] / 1000 == pytest.approx(small["cost"], abs=2 * GAP * gross)


def test_the_same_problem_has_the_same_answer_and_a_warm_start_changes_only_the_way_to_it() -> None:
    raw = random_problem(3, 96)
    first, _, _, gross = solved(raw)
    again, _, _, _ = solved(raw)
    assert first == again
    warm = Warm()
    solved(raw, warm)
    warmed, verdict, _, _ = solved(raw | {"base_load_w": [1.02 * value for value in raw["base_load_w"]]}, warm)
    cold, _, _, _ = solved(raw | {"base_load_w": [1.02 * value for value in raw["base_load_w"]]})
    assert verdict.faults == []
    assert warmed["cost"] - cold["cost"] <= (warmed["gap"] + GAP) * gross


def test_what_was_decided_is_followed_though_the_programme_has_other_columns_by_now() -> None:
    raw = random_problem(48, 96)
    warm = Warm()
    prepare(read_problem(json.dumps(raw))[1], warm).solve()
    shape = warm.shape
    moved = raw | {"base_load_w": [0.95 * value for value in raw["base_load_w"]]}
    file, problem, notes = read_problem(json.dumps(moved))
    again, cold = prepare(problem, warm), prepare(problem)
    assert warm.shape != shape
    answer = answer_of(file, problem, again.solve(), notes, 0.0, 0.0)
    cold.solve()
    assert evaluate(moved, answer).faults == []
    assert again.solver.runs < cold.solver.runs


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"base_load_w": [1.0, 2.0]}, "base_load_w: 2 values for 8 steps"),
        ({"import_price_per_kwh": []}, "import_price_per_kwh: "),
        ({"batteries": [BATTERY | {"soc_wh": -1}]}, "batteries.0.soc_wh: "),
        ({"batteries": [BATTERY, BATTERY]}, "the id 'b' is there twice"),
        ({"evs": [{"id": "c"}]}, "evs.0.soc_wh: Field required"),
        ({"pv_w": "much"}, "pv_w: "),
        ({"import_price_per_kwh": [1e308] + [0.1] * 7}, "import_price_per_kwh.0: "),
        ({"base_load_w": -1.0}, "base_load_w: "),
    ],
)
def test_a_file_that_is_no_problem_is_refused_with_the_path(change: dict[str, Any], fault: str) -> None:
    with pytest.raises(ProblemFileError) as told:
        read_problem(json.dumps(house(**change)))
    assert fault in str(told.value)


def test_a_key_that_is_not_known_is_told_and_not_used() -> None:
    answer, _, _, _ = solved(house(colour="green", batteries=[BATTERY | {"brand": "X"}]))
    assert answer["reasons"][:2] == [
        "the key 'colour' is not known and not used",
        "b: the key 'brand' is not known and not used",
    ]
