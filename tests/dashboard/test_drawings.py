"""The flow drawing and the plan strip."""

import dataclasses
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem.dashboard import flow_art, strip_art
from cem.model.plan import IntentKind
from cem.model.status import Flow, Status
from support.statuses import NOON, fallback, islanded, limited, normal, safe, sample_plan, starting

BUILDS = [normal, limited, fallback, safe, islanded, starting]


@pytest.mark.parametrize("build", BUILDS)
@given(width=st.integers(1, 160), height=st.integers(1, 60), beat=st.integers(0, 100))
def test_a_flow_drawing_fills_its_panel_exactly(
    build: Callable[[], Status], width: int, height: int, beat: int
) -> None:
    lines = flow_art.draw(build(), width, height, beat).content().plain.split("\n")
    assert len(lines) == height
    assert {len(line) for line in lines} == {width}


@given(beat=st.integers(0, 20), large=st.booleans(), share=st.sampled_from([-1.0, 1.0]))
def test_arrows_point_the_way_the_energy_goes(beat: int, large: bool, share: float) -> None:
    flow = Flow(grid_w=2000 * share, pv_w=-3000.0, battery_w=1500 * share, ev_w=2000.0, load_w=500.0)
    size = (64, 19) if large else (37, 9)
    drawn = flow_art.draw(dataclasses.replace(normal(), flow=flow), *size, beat).content().plain
    assert drawn.count("▶") == (2 if share > 0 else 0)  # grid to house, house to battery
    assert drawn.count("◀") == (0 if share > 0 else 2)
    assert drawn.count("▼") == 2  # sun to house, house to car
    assert "▲" not in drawn


@pytest.mark.parametrize("size", [(37, 8), (64, 19)])
def test_unknown_flows_are_called_unknown(size: tuple[int, int]) -> None:
    drawn = flow_art.draw(starting(), *size, 0).content().plain
    assert "unknown" in drawn
    assert not set("▶◀▼▲") & set(drawn)


@given(width=st.integers(30, 200), height=st.integers(4, 14))
def test_a_strip_fits_its_panel(width: int, height: int) -> None:
    lines = strip_art.draw(normal(), width, height).plain.split("\n")
    assert len(lines) <= height
    assert max(len(line) for line in lines) <= width


def test_the_strip_covers_the_next_24_hours_in_order() -> None:
    plan = sample_plan()
    columns = strip_art.columns(plan, NOON, 96)
    assert [column.slot for column in columns] == list(plan.slots)
    assert (columns[-1].end - columns[0].start) == strip_art.SPAN


def test_a_short_plan_leaves_the_rest_empty() -> None:
    plan = dataclasses.replace(sample_plan(), slots=sample_plan().slots[:8])
    columns = strip_art.columns(plan, NOON, 48)
    assert [column.slot is not None for column in columns] == [True] * 4 + [False] * 44


def test_bars_grow_with_their_values_and_the_smallest_still_shows() -> None:
    assert strip_art.bars([0.0, 0.5, 1.0, None], 2, 0.0, 1.0) == ["  █ ", "▁██ "]


def test_equal_prices_are_no_fault() -> None:
    plan = sample_plan()
    flat = tuple(dataclasses.replace(slot, import_price_per_kwh=0.3) for slot in plan.slots)
    status = dataclasses.replace(normal(), plan=dataclasses.replace(plan, slots=flat))
    assert "0.30 max" in strip_art.draw(status, 80, 6).plain


def test_every_intent_has_a_mark_of_its_own() -> None:
    marks = [strip_art.INTENT[kind][0] for kind in IntentKind]
    assert len(set(marks)) == len(IntentKind)


def test_when_the_plan_is_no_better_than_the_rules_the_first_line_says_so() -> None:
    words = (
        "over the last 7 days the plan cost 21.40 where the rules would have cost 20.10: the rules are used for a week"
    )
    plan = dataclasses.replace(sample_plan(), status="rules", reasons=(words,))
    status = dataclasses.replace(normal(), plan=plan)
    drawn = strip_art.draw(status, 80, 8).plain.splitlines()
    assert drawn[0].startswith("by rules: over the last 7 days the plan cost 21.40")
    assert len(drawn) <= 8
    assert all(len(line) <= 80 for line in drawn)
    assert not strip_art.draw(normal(), 80, 8).plain.startswith("by rules")


def test_without_a_plan_the_rules_are_named() -> None:
    assert "no plan yet" in strip_art.draw(starting(), 80, 6).plain
