"""Scenario files through `cem simulate`: faults named by their place; promises and expectations in the summary."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cem.cli.main import main
from cem.simulation.play import Setting, play
from cem.simulation.scenario import changed, open_scenario, text_of
from support.oracle_random import saved, scenario, shrunk

HEAD = 'scenario = 1\nhome = "demo.toml"\nstart = 2026-06-15T20:30:00Z\nfor_s = 120\n'
ACT = HEAD + "[[act]]\nat_s = 1\n"
CONTESTED = HEAD + "change = { battery = { soc_pct = 80.0 } }\n" + '[[act]]\nat_s = 20\ndo = "load"\nwatts = 2500\n'
CONTESTED += "".join(
    f'[[act]]\nat_s = {at_s}\ndo = "meddle"\ntarget = "battery"\nmodel = 124\noffset = 12\nwords = [500, 65036]\n'
    for at_s in (60, 70, 80)
)
"""Somebody else holds the battery at 250 W, which the scenario does not leave out."""
EXPECT = HEAD + "[[expect]]\nby_s = 60\n"


def _simulate(folder: Path, text: str, *options: str) -> Result:
    path = folder / "one.toml"
    path.write_text(text)
    return CliRunner().invoke(main, ["simulate", str(path), *options])


def _summary(folder: Path, text: str, *options: str) -> tuple[int, dict[str, Any]]:
    result = _simulate(folder, text, "--json", *options)
    assert result.exit_code in {0, 1}, result.output
    return result.exit_code, json.loads(result.stdout)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (HEAD + "colour = 1", "colour: "),
        (HEAD + "[change]\nbattery.colour = 1", "battery.0.colour: "),
        (HEAD + 'leave_out = ["I99"]', "leave_out.0: 'I99' is no invariant"),
        (HEAD + "[site]\ntelephone = 1", "telephone: "),
        (HEAD + "[[grid]]\ncolour = 1", "grid.0: Value error, colour is not known"),
        (HEAD + '[[grid]]\nid = "a"\n[[grid]]\nid = "a"', "grid.1.id: 'a' is there twice"),
        (HEAD + '[[order]]\nsignal = "x"\nvalues = [1]\nstart_s = 0\nfor_s = 1', "order.0.signal: "),
        (ACT + 'do = "dance"', "act.0: "),
        (ACT + 'do = "load"\nwatts = 1\ncolour = 1', "act.0.colour: "),
        (ACT + 'do = "load"\nwatts = "many"', "act.0.watts: "),
        (ACT + 'do = "clock"', "act.0: Value error, give by_s, trusted, or both"),
        (ACT + 'do = "fault"\ntarget = "toaster"\nkind = "silence"', "act.0.target: no device 'toaster'"),
        (ACT + 'do = "fault"\ntarget = "meter"\nkind = "hunger"', "act.0.kind: "),
        (ACT + 'do = "fault"\ntarget = "meter"\nkind = "silence"\nvalue = 2', "act.0.value: not for 'silence'"),
        (ACT + 'do = "fault"\ntarget = "wallbox"\nkind = "sign"', "act.0.target: 'sign' is nothing for"),
        (ACT + 'do = "meddle"\ntarget = "wallbox"\nmodel = 1\noffset = 0\nwords = [1]', "act.0.target: "),
        (ACT + 'do = "meddle"\ntarget = "meter"\nmodel = 9\noffset = 0\nwords = [1]', "act.0.model: "),
        (ACT + 'do = "meddle"\ntarget = "meter"\nmodel = 1\noffset = 67\nwords = [1, 2]', "act.0.offset: "),
        (ACT + 'do = "signal"\nsignal = "price"\nvalues = [1]\nfor_s = 9', "act.0.grid: no [[grid]] 'utility'"),
        (ACT + 'do = "ask"\nrole = "battery"\nkind = "pause"\nfor_s = 9', "act.0.kind: 'pause' is nothing for"),
        (ACT + 'do = "ask"\nrole = "heat_pump"\nkind = "pause"\nfor_s = 9', "act.0.kind: "),
        (EXPECT + 'see = "ghosts"', "expect.0: "),
        (EXPECT + 'see = "power"\nof = "toaster"\nmax = 1', "expect.0.of: 'toaster'"),
        (EXPECT + 'see = "power"\nof = "grid"', "expect.0: Value error, give min, max, or both"),
        (EXPECT + 'see = "writes"\nof = "toaster"\nmax = 1', "expect.0.of: no device 'toaster'"),
        (EXPECT + 'see = "health"\nof = "toaster"\nis = "online"', "expect.0.of: 'toaster' is no role"),
        (EXPECT + 'see = "mode"\nis = "merry"', "expect.0.is: "),
        (EXPECT + 'see = "alarm"\nsays = "("', "expect.0.says: "),
        (EXPECT + 'see = "alarm"\nof = "grid"\nsays = "x"', "expect.0: "),
        (HEAD + '[[expect]]\nsee = "mode"\nis = "safe"', "expect.0: Value error, give either by_s"),
        (HEAD + '[[expect]]\nsee = "mode"\nis = "safe"\nuntil_s = 900', "expect.0: it ends at 900 s"),
        (HEAD + '[twin]\ninvariant = "I20"\nleaving_out = ["toaster"]', "twin.leaving_out.0: no resource 'toaster'"),
        (HEAD + '[twin]\ninvariant = "I20"\n[[twin.act]]\ndo = "dance"', "twin.act.0: "),
    ],
)
def test_a_fault_of_a_scenario_is_named_with_its_place_and_nothing_is_played(
    tmp_path: Path, text: str, fault: str
) -> None:
    result = _simulate(tmp_path, text)
    assert result.exit_code == 2, result.output
    assert fault in result.stderr
    assert result.stdout == ""


def test_a_time_line_of_events_and_faults_works_together_with_acts(tmp_path: Path) -> None:
    text = (
        HEAD
        + '[[event]]\nkind = "load"\nat_s = 40\nextra_w = 1500\n'
        + '[[fault]]\nkind = "silence"\ntarget = "wallbox"\nat_s = 50\n'
        + '[[act]]\nat_s = 80\ndo = "fault"\ntarget = "battery"\nkind = "disconnect"\n'
        + '[[expect]]\nsee = "power"\nof = "load"\nmin = 1800\nfrom_s = 42\nuntil_s = 120\n'
        + '[[expect]]\nsee = "health"\nof = "ev"\nis = "silent"\nfrom_s = 50\nby_s = 120\n'
        + '[[expect]]\nsee = "health"\nof = "storage"\nis = "online"\nfrom_s = 10\nuntil_s = 80\n'
        + '[[expect]]\nsee = "health"\nof = "battery"\nis = "silent"\nfrom_s = 81\nby_s = 110\n'
    )
    code, summary = _summary(tmp_path, text)
    assert (code, [one["met"] for one in summary["expectations"]]) == (0, [True] * 4)
    assert summary["promises"]["judged_steps"] == 120


def test_a_missed_expectation_is_status_one_and_says_what_was_seen(tmp_path: Path) -> None:
    text = HEAD + '[[expect]]\nsee = "power"\nof = "grid"\nmax = -9000\nfrom_s = 30\nuntil_s = 90\n'
    code, summary = _summary(tmp_path, text)
    assert (code, summary["promises"]["violations"], summary["limits_broken"]) == (1, [], 0)
    (missed,) = summary["expectations"]
    assert (missed["met"], missed["broken_at_s"], missed["seen"].endswith(" W")) == (False, 30.0, True)
    told = _simulate(tmp_path, text)
    assert told.exit_code == 1
    assert "no promise broken (120 steps judged by 23 promises)" in told.stdout
    assert "1 expectations: 1 missed" in told.stdout


LOAD_ENDS = """
scenario = 1
name = "a load that ends"
claim = "what it took flows out for a moment"
home = "farm.toml"
start = 2026-06-15T10:00:00Z
for_s = 900.0
step_s = 30.0
site = { connection = { export_limit_w = 5000 } }
act = [
  { at_s = 0, do = "store", soc_pct = 99.9 },
  { at_s = 60, do = "load", watts = 15_000 },
  { at_s = 600, do = "load", watts = 0 },
]
"""


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        (LOAD_ENDS, 0, "which I3 excuses"),
        (LOAD_ENDS + 'leave_out = ["I3"]', 1, "broken in 1 (by"),
        (LOAD_ENDS.replace("act = [", 'act = [ { at_s = 500, do = "kill" },'), 1, "broken in"),  # nobody judges that
    ],
)
def test_a_minute_above_a_limit_is_told_and_is_status_one_unless_its_promise_excuses_it(
    tmp_path: Path, text: str, status: int, words: str
) -> None:
    told = _simulate(tmp_path, text)
    assert told.exit_code == status
    assert words in " ".join(told.stdout.split())


def test_a_shorter_run_leaves_open_what_lies_beyond_it(tmp_path: Path) -> None:
    text = HEAD + '[[expect]]\nsee = "mode"\nis = "safe"\nby_s = 90\n'
    assert _summary(tmp_path, text)[0] == 1
    code, summary = _summary(tmp_path, text, "--days", str(40 / 86400))
    assert (code, [one["met"] for one in summary["expectations"]]) == (0, [None])


def test_orders_stand_in_a_scenario_as_in_a_grid_file(tmp_path: Path) -> None:
    order = '[[order]]\nsignal = "import_limit"\nvalues = [4200]\nstart_s = 60\nfor_s = 240\nprovider = "dso"\n'
    short = HEAD.replace("for_s = 120", "for_s = 300")
    grid = tmp_path / "grid.toml"
    grid.write_text(order)
    inside = _summary(tmp_path, short + order)[1]
    beside = _summary(tmp_path, short, "--grid", str(grid))[1]
    for summary in (inside, beside):
        (kept,) = summary["limits"]
        assert (kept["limit_w"], kept["side"], kept["broken"]) == (4200.0, "import", 0)
        assert kept["minutes"] >= 3
    assert inside["energy_kwh"] == beside["energy_kwh"]


def test_a_broken_promise_is_status_one_and_says_when_what_and_why(tmp_path: Path) -> None:
    code, summary = _summary(tmp_path, CONTESTED)
    assert code == 1
    first = summary["promises"]["violations"][0]
    assert first["at"].startswith("2026-06-15T20:3")
    assert all(first[key] for key in ("invariant", "at_s", "allowed", "seen"))
    told = _simulate(tmp_path, CONTESTED).stdout
    assert "times a promise was broken (120 steps judged" in told
    assert f"{first['invariant']} at {first['at_s']:.0f} s" in told


def test_what_is_excused_is_told_with_its_reason(tmp_path: Path) -> None:
    """A flat may take nothing from the grid at night: nobody can do anything about what its household needs."""
    flat = HEAD.replace("demo.toml", "flat.toml").replace("for_s = 120", "for_s = 140")
    text = flat + "[site]\nconnection = { import_limit_w = 0 }\n"
    code, summary = _summary(tmp_path, text)
    assert (code, summary["promises"]["violations"]) == (0, [])
    (used,) = summary["promises"]["excused"]
    assert (used["invariant"], used["source"], used["times"], used["unit"]) == ("I2", "I2, unless; I4", 1, "W")
    assert (used["seconds"] > 10.0, used["most"] > 100.0) == (True, True)
    assert (
        f"excused: I2, {used['seconds']:.0f} s in 1 times, by {used['most']:.0f} W" in _simulate(tmp_path, text).stdout
    )


def test_what_a_random_house_finds_is_cut_down_saved_and_replayed(tmp_path: Path) -> None:
    path = tmp_path / "contested.toml"
    path.write_text(CONTESTED)
    contested = open_scenario(path)
    noise = [{"at_s": 10 * n, "do": "sun", "on": True} for n in range(1, 4)]
    whole = changed(contested, act=[*noise, *contested.table["act"]])
    violation = play(whole).violations[0]
    small = shrunk(whole, violation.invariant)
    assert len(small.acts) < len(whole.acts)
    assert {act.do for act in small.acts} == {"meddle"}
    path = saved(small, violation, tmp_path)
    code, summary = _summary(tmp_path, path.read_text())
    assert code == 1
    assert violation.invariant in {one["invariant"] for one in summary["promises"]["violations"]}


def test_a_random_scenario_is_a_file_that_plays_the_same(tmp_path: Path) -> None:
    drawn = scenario(5, hours=0.25)
    path = tmp_path / "random.toml"
    path.write_text(text_of(drawn))
    again = open_scenario(path)
    assert replace(again, path=drawn.path, name=drawn.name) == drawn
    one, other = (play(each, Setting(plan=False)) for each in (drawn, again))  # a solver may be cut short by its clock
    assert one.summary() == other.summary()
