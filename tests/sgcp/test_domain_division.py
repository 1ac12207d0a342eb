"""What is asked of the connection point divided over sub-VENs and the house, moment by moment."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cem.model.curve import Curve, CurveOver
from cem.model.directive import ChargeTarget, CurveOrder, Directive, Dispatch, LimitWindow, WeightWindow
from cem.model.envelope import SITE, Rank
from cem.model.event import GridEvent, SignalKind
from cem.model.provider import Programme
from cem.sgcp.bindings.openadr3 import Binding
from cem.sgcp.domain.course import Asked, Course, Kind, Span, course_of, told_anew
from cem.sgcp.domain.division import Division, Standing, Told
from cem.sgcp.domain.events import OBLIGATIONS, SERVICES, event_request, read_event
from cem.sgcp.domain.house import Able, House
from cem.sgcp.domain.picture import SubVen
from cem.wire.openadr3 import Event, Program, to_json, validate
from support.ven_world import T0, utility, wall

LIMIT, WISH = Asked(Kind.IMPORT_LIMIT), Asked(Kind.IMPORT_LIMIT, voluntary=True)
HOUSE = House(1000.0)


def standing(name: str, power_w: float = 0.0, **more: object) -> Standing:
    ven = SubVen(name, name, name, True, 11_000.0, 5000.0)
    return Standing(replace(ven, **{k: v for k, v in more.items() if k != "lost"}), power_w, bool(more.get("lost")))  # type: ignore[arg-type]


def shares(division: Division, course: Course, *who: Standing, at: float = 0.0) -> dict[str, float]:
    found = division.divided(course, who, HOUSE, wall(at), at)
    division.told = {key: Told(spans, f"{key[0].kind}-{key[1]}") for key, spans in found.items()}
    return {target: spans[0].value for (_, target), spans in found.items()}


def test_who_opted_out_of_what_is_voluntary_keeps_what_it_takes_and_of_an_obligation_nobody_can() -> None:
    course = {WISH: (Span(T0, None, 9000.0),)}
    division = Division()
    assert shares(division, course, standing("a"), standing("b")) == {"ven-a": 4000, "ven-b": 4000}
    out = standing("a", 3000.0, opted_out=frozenset({"import limit-ven-a"}))
    assert shares(division, course, out, standing("b"), at=100) == {"ven-a": 4000, "ven-b": 5000}
    bound = Division()
    course = {LIMIT: (Span(T0, None, 9000.0),)}
    assert shares(bound, course, standing("a"), standing("b")) == {"ven-a": 4000, "ven-b": 4000}
    out = standing("a", 4000.0, opted_out=frozenset({"import limit-ven-a"}))
    assert shares(bound, course, out, standing("b", 4000.0), at=100) == {"ven-a": 4000, "ven-b": 4000}


def test_who_is_lost_is_reckoned_with_by_what_it_was_told_and_told_nothing_new() -> None:
    course = {LIMIT: (Span(T0, None, 9000.0),)}
    division = Division()
    shares(division, course, standing("a"), standing("b"))
    tighter = {LIMIT: (Span(T0, None, 6000.0),)}
    gone = standing("a", 500.0, lost=True)
    assert shares(division, tighter, gone, standing("b"), at=100) == {"ven-a": 4000, "ven-b": 1000}


def test_a_dispatch_is_divided_by_capability_in_its_direction_beside_what_the_house_takes() -> None:
    course = {Asked(Kind.DISPATCH): (Span(T0, None, -5000.0),)}
    assert shares(Division(), course, standing("a"), standing("b")) == {"ven-a": -3000, "ven-b": -3000}
    course = {Asked(Kind.DISPATCH): (Span(T0, None, 9000.0),)}
    assert shares(Division(), course, standing("a"), standing("b", 2000.0, lost=True)) == {"ven-a": 6000}
    change = {Asked(Kind.DISPATCH_CHANGE): (Span(T0, None, -2000.0),)}
    assert shares(Division(), change, standing("a"), standing("b")) == {"ven-a": -1000, "ven-b": -1000}


def test_the_houses_own_devices_have_a_share_too() -> None:
    home = House(1000.0, Able(11_000.0), 11_000.0)
    course = {LIMIT: (Span(T0, None, 12_000.0),)}
    found = Division().divided(course, [standing("a", 11_000.0)], home, T0, 0.0)
    assert found[LIMIT, "ven-a"][0].value == 5500


def test_after_a_restart_what_was_told_before_is_gone_by() -> None:
    course = {LIMIT: (Span(T0, None, 9000.0),)}
    division = Division({(LIMIT, "ven-a"): Told((Span(T0, None, 6000.0),), "e1")})
    found = division.divided(course, [standing("a", 6000.0), standing("b", 6000.0)], HOUSE, wall(10), 10.0)
    assert (found[LIMIT, "ven-a"][0].value, found[LIMIT, "ven-b"][0].value) == (4000, 2000)


def test_the_strictest_limit_of_a_rank_counts_over_time_and_no_more_than_the_connection_bears() -> None:
    hour = timedelta(hours=1)
    windows = (
        LimitWindow(T0, T0 + 2 * hour, 8000.0, None, "a"),
        LimitWindow(T0 + hour, None, 6000.0, 3000.0, "b"),
        LimitWindow(T0, None, 2000.0, None, "c", Rank.PROGRAMME),
    )
    dispatch = Dispatch(SITE, 4000.0, Rank.PROGRAMME, "c", "", None, T0)
    found = course_of(Directive(limits=windows, dispatches=(dispatch,)), {Kind.IMPORT_LIMIT: 7000.0}, T0)
    assert found[LIMIT] == (Span(T0, T0 + hour, 7000.0), Span(T0 + hour, None, 6000.0))
    assert found[Asked(Kind.EXPORT_LIMIT)] == (Span(T0 + hour, None, 3000.0),)
    assert found[WISH] == (Span(T0, None, 2000.0),)
    assert found[Asked(Kind.DISPATCH, True)] == (Span(T0, None, 4000.0),)


def test_what_means_each_members_own_goes_to_everybody_and_what_is_asked_of_the_whole_is_left_out() -> None:
    shares, watts = (
        Curve(CurveOver.HERTZ, ((50.2, 1.0), (51.5, 0.0)), True),
        Curve(CurveOver.HERTZ, ((50, 9.0),), False),
    )
    of = (Rank.OBLIGATION, "a", "", None)
    asked = Directive(
        charges=(ChargeTarget(SITE, 80.0, None, *of), ChargeTarget(SITE, None, 5000.0, *of)),
        curves=(CurveOrder(SITE, shares, *of), CurveOrder(SITE, watts, *of), CurveOrder("pv", shares, *of)),
        weights=(WeightWindow(T0, None, 250.0, 0.5, "a"),),
    )
    course = course_of(asked, {}, T0)
    assert {one.kind: (one.voluntary, spans) for one, spans in course.items()} == {
        Kind.CHARGE: (False, (Span(T0, None, 80.0),)),
        Kind.CURVE: (False, (Span(T0, None, 0.0, shares.points),)),
        Kind.GHG: (True, (Span(T0, None, 250.0),)),
        Kind.LOAD_SHAPE: (True, (Span(T0, None, 0.5),)),
    }
    found = Division().divided(course, [standing("a"), standing("b")], HOUSE, T0, 0.0)
    assert {target for _, target in found} == {""}


@pytest.mark.parametrize("asked", [Asked(Kind.CHARGE), Asked(Kind.CURVE), Asked(Kind.GHG, True)])
def test_a_member_understands_what_is_handed_down(asked: Asked) -> None:
    points = ((1.05, 1.0), (1.1, 0.2)) if asked.kind is Kind.CURVE else ()
    request = event_request(asked, (Span(T0, None, 70.0, points),), "p1", "EUR", None)
    event = validate(Event, {**to_json(request), "id": "e1", "objectType": "EVENT"})
    program = validate(Program, {"id": "p1", "objectType": "PROGRAM", "programName": OBLIGATIONS})
    member = utility(programmes=(Programme(OBLIGATIONS, True),))
    bound = Binding(member, lambda: 0.0).event(event, program, None, {}, T0)
    assert isinstance(bound, GridEvent)
    kinds = {
        Kind.CHARGE: SignalKind.CHARGE_TARGET_PCT,
        Kind.CURVE: SignalKind.CURVE,
        Kind.GHG: SignalKind.GHG_G_PER_KWH,
    }
    value = bound.intervals[0].signals[kinds[asked.kind]]
    assert value == (0.0 if points else 70.0)
    assert [curve.points for curve in bound.curves] == ([points] if points else [])


def test_time_alone_changes_no_event() -> None:
    held = (Span(wall(0), wall(60), 1.0), Span(wall(60), wall(120), 2.0))
    assert told_anew(held, held[1:], wall(60)) == held
    assert told_anew((Span(wall(0), None, 1.0),), (Span(wall(50), None, 1.0),), wall(50)) == (Span(wall(0), None, 1.0),)
    assert told_anew((Span(wall(0), None, 1.0),), (Span(wall(50), None, 3.0),), wall(50)) == (Span(wall(0), None, 3.0),)


@pytest.mark.parametrize("asked", [Asked(kind, voluntary) for kind in Kind for voluntary in (False, True)])
def test_what_an_event_says_is_read_back_after_a_restart(asked: Asked) -> None:
    spans: tuple[Span, ...] = (Span(wall(0), wall(60), 2.0), Span(wall(60), None, 3.0))
    if asked.kind is Kind.CURVE:
        spans = (Span(wall(0), None, 0.0, ((1.05, 1.0), (1.1, 0.2))),)
    request = event_request(asked, spans, "p1", "EUR", ("flat for two", "ven-a"))
    event = validate(Event, {**to_json(request), "id": "e1", "objectType": "EVENT"})
    assert read_event(event, SERVICES if asked.voluntary else OBLIGATIONS) == (asked, "ven-a", spans)
