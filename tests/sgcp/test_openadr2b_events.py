"""OpenADR 2.0b events in our terms, and the answer that each gets."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from cem.model.event import GridEvent, SignalKind
from cem.sgcp.bindings.openadr2b import Binding2b, Bound
from cem.sgcp.bindings.openadr2b_signals import House
from cem.sgcp.bindings.openadr3 import LOWEST_PRIORITY
from cem.sgcp.events.rows import event_of, event_row
from cem.sgcp.events.store import EventStore
from cem.sgcp.events.timeline import signals_at, summary
from cem.wire.openadr2b.messages import DistributeEvent
from cem.wire.openadr2b.parts import (
    ActivePeriod,
    EiEvent,
    EventDescriptor,
    EventSignal,
    SignalInterval,
    Target,
    Unit,
)
from support.ven_world import utility, wall

KW = Unit(
    name="power:powerReal",
    description="RealPower",
    units="W",
    scale="k",
    hertz=Decimal(50),
    voltage=Decimal(230),
    ac=True,
)
PRICE = Unit(name="oadr:currencyPerKWh", description="currencyPerKWh", units="EUR", scale="c")
ANYONE = Target()
HOUSE = House(20_000.0, (11_000.0, 4200.0, 0.0))


def signal(
    *values: float,
    name: str = "LOAD_CONTROL",
    kind: str = "x-loadControlSetpoint",
    unit: Unit | None = KW,
    each_s: float = 600,
    **more: Any,
) -> EventSignal:
    intervals = tuple(
        SignalInterval(duration=timedelta(seconds=each_s), uid=str(number), value=value)
        for number, value in enumerate(values)
    )
    return EventSignal(**{"intervals": intervals, "name": name, "type": kind, "id": "s1", "unit": unit, **more})


def event(
    *signals: EventSignal,
    event_id: str = "e1",
    number: int = 0,
    status: str = "far",
    start_s: float = 600,
    length_s: float | None = None,
    start_after_s: float = 0,
    required: str = "always",
    target: Target = ANYONE,
    **descriptor: Any,
) -> EiEvent:
    signals = signals or (signal(4.2),)
    lengths = [i.duration.total_seconds() for i in signals[0].intervals if i.duration is not None]
    return EiEvent(
        descriptor=EventDescriptor(
            event_id=event_id,
            modification_number=number,
            market_context="http://provider.test/dimming",
            created_at=wall(0),
            status=status,
            **descriptor,
        ),
        period=ActivePeriod(
            start=wall(start_s),
            duration=timedelta(seconds=sum(lengths) if length_s is None else length_s),
            start_after=timedelta(seconds=start_after_s) if start_after_s else None,
        ),
        signals=signals,
        target=target,
        response_required=required,
    )


class World:
    """A binding with what it keeps between messages."""

    def __init__(self, share: float = 0.5, out: Sequence[str] = ()) -> None:
        self.drawn = 0
        self.share = share
        self.shares: dict[str, float] = {}
        self.store = EventStore()
        self.asked = 0.0
        self.binding = Binding2b(
            utility(), HOUSE, self._draw, lambda event: event.id in out, known_resources=frozenset({"car"})
        )

    def _draw(self) -> float:
        self.drawn += 1
        return self.share

    def hears(self, *events: EiEvent, now_s: float = 0) -> Bound:
        message = DistributeEvent(request_id="r1", vtn_id="VTN", events=events)
        self.asked += 1
        bound = self.binding.bind(message, "ven-1", self.store.events, self.shares, wall(now_s), self.asked)
        self.store = self.store.after(self.store.difference(bound.listing, wall(now_s), wall(now_s)))
        return bound

    def held(self, event_id: str = "e1") -> GridEvent | None:
        return self.store.events.get(event_id)


def times(found: GridEvent | None) -> list[tuple[float, float | None, dict[SignalKind, float]]]:
    assert found is not None
    return [(_s(i.start), None if i.end is None else _s(i.end), dict(i.signals)) for i in found.intervals]


def _s(at: datetime) -> float:
    return (at - wall(0)).total_seconds()


IMPORT, EXPORT = SignalKind.IMPORT_LIMIT_W, SignalKind.EXPORT_LIMIT_W


@pytest.mark.parametrize(
    ("signals", "expected"),
    [
        ([signal(4.2)], {IMPORT: 4200.0}),
        ([signal(0.5, kind="x-loadControlCapacity", unit=None)], {IMPORT: 10_000.0}),
        ([signal(2, name="SIMPLE", kind="level", unit=None)], {IMPORT: 4200.0}),
        ([signal(0, name="simple", kind="level", unit=None)], {}),
        ([signal(-3, name="LOAD_DISPATCH", kind="setpoint")], {SignalKind.DISPATCH_W: -3000.0}),
        (
            [signal(31, name="ELECTRICITY_PRICE", kind="price", unit=PRICE)],
            {SignalKind.IMPORT_PRICE_PER_KWH: pytest.approx(0.31)},
        ),
        (
            [
                signal(31, name="ENERGY_PRICE", kind="price", unit=PRICE),
                signal(3, name="x-EXPORT_CAPACITY_LIMIT", kind="setpoint"),
            ],
            {SignalKind.IMPORT_PRICE_PER_KWH: pytest.approx(0.31), EXPORT: 3000.0},
        ),
        ([signal(1, name="SIMPLE", kind="level", unit=None), signal(9)], {IMPORT: 9000.0}),
        ([signal(1, name="SIMPLE", kind="level", unit=None), signal(9, name="BID_LOAD")], {IMPORT: 11_000.0}),
    ],
)
def test_signals_mean_what_the_table_says(signals: list[EventSignal], expected: dict[SignalKind, float]) -> None:
    world = World()
    bound = world.hears(event(*signals))
    assert [(a.code, a.opt_type) for a in bound.answers] == [("200", "optIn")]
    assert times(world.held()) == [(600, 1200, expected)]


def test_two_intervals_follow_each_other() -> None:
    world = World()
    world.hears(event(signal(4.2, 6.0)))
    assert times(world.held()) == [(600, 1200, {IMPORT: 4200.0}), (1200, 1800, {IMPORT: 6000.0})]


def test_a_duration_of_nothing_is_open_until_changed() -> None:
    world = World()
    world.hears(event(signal(4.2, each_s=0)))
    assert times(world.held()) == [(600, None, {IMPORT: 4200.0})]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (event(signal(4.2, 6.0), length_s=600), "459"),
        (event(signal(4.2, intervals=(SignalInterval(uid="1", value=1.0),))), "459"),
        (event(signal(4, name="SIMPLE", kind="level", unit=None)), "459"),
        (event(signal(1.5, name="SIMPLE", kind="level", unit=None)), "459"),
        (event(signal(-1)), "459"),
        (event(signal(1.5, kind="x-loadControlCapacity")), "459"),
        (event(signal(1, current_value=1.0), status="far"), "459"),
        (event(signal(1e9)), "459"),
        (event(signal(1, name="LOAD_DISPATCH", kind="setpoint", each_s=90_000)), "459"),
        (event(signal(1, each_s=-5)), "459"),
        (event(signal(1), start_after_s=90_000), "459"),
        (event(signal(1, name="x-OTHER", kind="setpoint")), "460"),
        (event(signal(1, name="CHARGE_STATE", kind="setpoint")), "460"),
        (event(signal(1, name="BID_PRICE", kind="price")), "460"),
        (event(signal(1, name="LOAD_DISPATCH", kind="delta")), "460"),
        (event(signal(1, unit=PRICE)), "460"),
        (event(target=Target(ven_ids=("ven-2",))), "462"),
        (event(target=Target(resource_ids=("pool",))), "462"),
        (replace(event(), descriptor=replace(event().descriptor, market_context="http://other.test/x")), "453"),
    ],
)
def test_what_the_profile_forbids_is_answered_with_its_code_and_the_rest_is_acted_on(bad: EiEvent, code: str) -> None:
    world = World()
    bound = world.hears(bad, event(event_id="e2"))
    assert [(a.code, a.opt_type) for a in bound.answers] == [(code, "optOut"), ("200", "optIn")]
    assert world.held() is None
    assert world.held("e2") is not None


@pytest.mark.parametrize(("given", "expected"), [(None, LOWEST_PRIORITY), (0, LOWEST_PRIORITY), (1, 1), (7, 7)])
def test_priority_zero_is_the_lowest(given: int | None, expected: int) -> None:
    world = World()
    world.hears(event(priority=given))
    held = world.held()
    assert held is not None
    assert held.priority == expected


def test_the_same_number_changes_nothing_and_is_answered_alike() -> None:
    world = World()
    first = world.hears(event())
    again = world.hears(event(signal(9.9)))
    assert again.answers == first.answers
    assert times(world.held())[0][2] == {IMPORT: 4200.0}


def test_a_higher_number_is_a_change_and_a_lower_one_is_refused_and_changes_nothing() -> None:
    world = World()
    world.hears(event(number=3))
    assert world.hears(event(signal(9.9), number=4)).answers[0].code == "200"
    assert world.hears(event(signal(1.0), number=2)).answers[0].code == "450"
    assert times(world.held())[0][2] == {IMPORT: 9900.0}


def test_an_event_that_is_absent_or_cancelled_is_gone() -> None:
    world = World()
    world.hears(event(), event(event_id="e2"))
    bound = world.hears(event(number=1, status="cancelled"))
    assert world.store.events == {}
    assert [(a.code, a.opt_type) for a in bound.answers] == [("200", "optIn")]


def test_an_event_that_the_vtn_calls_completed_runs_to_its_own_end() -> None:
    world = World(share=1.0)
    world.hears(event(start_after_s=400))
    bound = world.hears(event(start_after_s=400, status="completed"), now_s=1300)
    assert (bound.answers[0].code, bound.answers[0].opt_type) == ("200", "optIn")
    assert times(world.held()) == [(1000, 1600, {IMPORT: 4200.0})]


def test_an_event_that_was_completed_before_it_was_heard_of_is_answered_alone() -> None:
    world = World()
    assert world.hears(event(status="completed"), now_s=1300).answers[0].code == "200"
    assert world.held() is None


def test_a_cancelled_event_that_runs_out_does_not_begin_again_when_it_is_called_completed() -> None:
    world = World(share=0.25)
    world.hears(event(start_after_s=400))
    world.hears(event(start_after_s=400, number=1, status="cancelled"), now_s=800)
    world.hears(event(start_after_s=400, number=1, status="completed"), now_s=850)
    assert times(world.held()) == [(700, 900, {IMPORT: 4200.0})]


@pytest.mark.parametrize(
    ("target", "answered"),
    [
        (Target(), ("200", ())),
        (Target(ven_ids=("ven-2", "ven-1")), ("200", ())),
        (Target(ven_ids=("ven-2",), resource_ids=("car",)), ("200", ("car",))),
        (Target(group_ids=("north",), ven_ids=("ven-1",)), ("200", ())),
        (Target(group_ids=("north",)), ("462", None)),
        (Target(party_ids=("somebody",)), ("462", None)),
        (Target(ven_ids=("ven-2",), resource_ids=("pool",)), ("462", None)),
    ],
)
def test_an_event_is_for_us_where_one_of_the_things_it_is_for_is_ours(
    target: Target, answered: tuple[str, tuple[str, ...] | None]
) -> None:
    world = World()
    code = world.hears(event(target=target)).answers[0].code
    held = world.held()
    assert (code, None if held is None else held.targets) == answered


def test_the_start_is_late_by_chance_drawn_once() -> None:
    world = World(share=0.25)
    for _ in range(3):
        world.hears(event(start_after_s=400))
    world.hears(event(start_after_s=400, number=1))
    assert times(world.held()) == [(700, 1300, {IMPORT: 4200.0})]
    assert world.drawn == 1


@pytest.mark.parametrize("explicit", [True, False])
def test_a_running_event_that_began_late_by_chance_ends_late_by_chance(explicit: bool) -> None:
    world = World(share=0.25)
    world.hears(event(start_after_s=400))
    cancel = [event(start_after_s=400, number=1, status="cancelled")] if explicit else []
    world.hears(*cancel, now_s=800)
    assert times(world.held()) == [(700, 900, {IMPORT: 4200.0})]
    world.hears(*cancel, now_s=850)
    assert times(world.held()) == [(700, 900, {IMPORT: 4200.0})]
    world.hears(*cancel, now_s=900)
    assert world.held() is None


def test_a_test_event_is_answered_and_marked() -> None:
    world = World()
    bound = world.hears(event(test="true"), event(event_id="e2", test="false"))
    assert [a.code for a in bound.answers] == ["200", "200"]
    held, other = world.held(), world.held("e2")
    assert held is not None
    assert other is not None
    assert (held.test, other.test) == (True, False)


def test_a_test_event_is_shown_as_one_and_says_when_load_should_change() -> None:
    world = World()
    tested = event(test="anything")
    period = replace(tested.period, ramp_up=timedelta(minutes=-5), recovery=timedelta(minutes=2))
    world.hears(replace(tested, period=period))
    held = world.held()
    assert held is not None
    shown = summary(held, wall(700)).asks
    assert shown.startswith("a test, nothing is moved for it; ")
    assert "load may change within 5 min before its start; load may change within 2 min after its end" in shown
    assert list(signals_at([held], wall(700))) == []
    assert times(held) == [(600, 1200, {IMPORT: 4200.0})]


def test_what_must_not_be_answered_is_not() -> None:
    world = World()
    assert (
        world.hears(event(required="never"), event(signal(1, name="x-o"), event_id="e2", required="never")).answers
        == ()
    )
    assert world.held() is not None


def test_the_owner_s_refusal_is_told() -> None:
    world = World(out=["e1"])
    assert [a.opt_type for a in world.hears(event(), event(event_id="e2")).answers] == ["optOut", "optIn"]


def test_an_event_for_a_resource_of_ours_says_so() -> None:
    world = World()
    world.hears(event(target=Target(ven_ids=("ven-1",), resource_ids=("car", "pool"))))
    held = world.held()
    assert held is not None
    assert held.targets == ("car",)


def test_a_bound_event_survives_a_restart() -> None:
    world = World()
    world.hears(event(signal(4.2, 6.0), start_after_s=60))
    held = world.held()
    assert held is not None
    assert event_of(event_row(held)) == held
