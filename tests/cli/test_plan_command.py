"""`cem plan` as somebody types it."""

import json
from pathlib import Path
from xml.etree import ElementTree

from click.testing import CliRunner

from cem.cli.plan import plan
from support.plan_evaluator import evaluate
from support.plan_problems import random_problem

SVG = "{http://www.w3.org/2000/svg}"


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


def test_a_plan_is_drawn_and_the_picture_in_the_documentation_is_that_of_its_problem(tmp_path: Path) -> None:
    folder = Path(__file__).resolve().parents[2] / "deploy" / "docs"
    picture = tmp_path / "day.svg"
    drawn = CliRunner().invoke(plan, ["--problem", str(folder / "plan-day.json"), "--plot", str(picture)])
    assert drawn.exit_code == 0
    names = [text.text for text in ElementTree.fromstring(picture.read_text()).iter(f"{SVG}text")]
    assert {"grid", "sun", "battery", "car", "dishwasher", "price of a kWh"} <= {*names}
    assert picture.read_text().count("<polyline") == (folder / "plan-day.svg").read_text().count("<polyline")
    wrong = CliRunner().invoke(plan, ["--problem", str(folder / "plan-day.json"), "--plot", "day.png"])
    assert wrong.exit_code == 2
    assert ".svg" in wrong.output
