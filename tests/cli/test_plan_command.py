"""`cem plan` as somebody types it."""

import json
from pathlib import Path

from click.testing import CliRunner

from cem.cli.plan import plan
from support.plan_evaluator import evaluate
from support.plan_problems import random_problem


def test_a_problem_is_solved_with_cost_bound_and_gap(tmp_path: Path) -> None:
    raw = random_problem(1, 24, kind="ordinary")
    file = tmp_path / "problem.json"
    file.write_text(json.dumps(raw))
    result = CliRunner().invoke(plan, ["--problem", str(file), "--json"])
    assert result.exit_code == 0
    answer = json.loads(result.stdout)
    assert evaluate(raw, answer).faults == []
    assert answer["status"] in {"optimal", "feasible"}
    assert answer["bound"] <= answer["cost"]
    words = CliRunner().invoke(plan, ["--problem", "-"], input=json.dumps(raw))
    assert "no plan costs less than" in words.stdout


def test_something_missed_is_exit_code_1_and_no_problem_exit_code_2(tmp_path: Path) -> None:
    raw = random_problem(1, 24, kind="ordinary") | {"import_limit_w": 10.0, "pv_w": 0.0, "batteries": [], "evs": []}
    file = tmp_path / "problem.json"
    file.write_text(json.dumps(raw))
    short = CliRunner().invoke(plan, ["--problem", str(file)])
    assert short.exit_code == 1
    assert "import limit of 10 W at step 0" in short.stdout
    file.write_text("{}")
    wrong = CliRunner().invoke(plan, ["--problem", str(file)])
    assert wrong.exit_code == 2
    assert "import_price_per_kwh: Field required" in wrong.output
