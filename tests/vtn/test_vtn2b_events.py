"""Events at the VTN of OpenADR 2.0b: modification numbers, cancelling, answers, opts; all of it over restarts."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cem.sgcp.vtn.objects import Change
from cem.wire.openadr2b.messages import (
    CanceledOpt,
    CancelOpt,
    CreatedEvent,
    CreatedOpt,
    CreateOpt,
    DistributeEvent,
    OadrResponse,
    Poll,
    RequestEvent,
    RequestReregistration,
)
from cem.wire.openadr2b.parts import Availability, Available, EventResponse, QualifiedEventId, Response
from support.vtn2b_desk import NOON, Desk, versions

ASK = RequestEvent(request_id="q", ven_id="ven-1")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path)
    found.register()
    yield found
    found.close()


def test_numbers_go_up_by_one_per_change_that_the_ven_saw_and_over_restarts(desk: Desk) -> None:
    desk.limit(4.2)
    assert versions(desk.poll()) == [("e1", 0, "active")]
    desk.limit(4.2)  # put again, the same
    assert isinstance(desk.poll(), OadrResponse)
    for kw in (4.0, 3.0, 2.0):  # three changes between two polls are one for the VEN
        desk.later(seconds=1)
        desk.limit(kw)
    desk.restart()
    assert versions(desk.poll()) == [("e1", 1, "active")]
    desk.restart()
    assert isinstance(desk.poll(), OadrResponse)
    assert versions(desk.say(ASK)) == [("e1", 1, "active")]
    desk.limit(5.0)
    assert versions(desk.say(ASK)) == [("e1", 2, "active")]


def test_a_deleted_event_is_cancelled_by_word_and_left_out_once_that_is_answered(desk: Desk) -> None:
    desk.limit(4.2)
    told = desk.poll().events[0]
    desk.answer(told)
    desk.delete()
    desk.restart()
    ended = desk.poll()
    assert versions(ended) == [("e1", 1, "cancelled")]
    assert ended.events[0].signals == told.signals
    assert versions(desk.say(ASK)) == [("e1", 1, "cancelled")]
    desk.answer(ended.events[0])
    assert versions(desk.say(ASK)) == []
    assert isinstance(desk.poll(), OadrResponse)


def test_an_event_that_comes_back_goes_on_counting(desk: Desk) -> None:
    desk.limit(4.2)
    desk.poll()
    desk.delete()
    desk.poll()
    desk.limit(4.2)
    assert versions(desk.poll()) == [("e1", 2, "active")]


def test_an_event_that_no_ven_was_told_of_goes_without_a_word(desk: Desk) -> None:
    desk.limit(4.2)
    desk.delete()
    assert isinstance(desk.poll(), OadrResponse)


def test_a_ven_that_may_no_longer_see_an_event_is_told_so(desk: Desk) -> None:
    desk.limit(4.2)
    desk.poll()
    desk.limit(4.2, targets=["others"])
    assert versions(desk.poll()) == [("e1", 1, "cancelled")]


def test_what_is_not_answered_is_told_three_times(desk: Desk) -> None:
    desk.limit(4.2)
    seen = []
    for _ in range(12):
        seen.append(isinstance(desk.poll(), DistributeEvent))
        desk.later(seconds=10)
    assert seen == [True, False, False, True, False, False, True, False, False, False, False, False]


def test_what_is_over_is_left_out_and_a_longer_one_goes_on_counting(desk: Desk) -> None:
    desk.limit(4.2, hours=1)
    desk.answer(desk.poll().events[0])
    desk.later(hours=1, seconds=1)
    assert isinstance(desk.poll(), OadrResponse)
    assert versions(desk.say(ASK)) == []
    desk.limit(4.2, hours=2)
    assert versions(desk.poll()) == [("e1", 1, "active")]
    desk.later(days=3)
    desk.say(ASK)
    assert list(desk.objects.all("OPENADR_2B_TOLD")) == []


def test_an_event_with_a_late_start_by_chance_is_there_until_the_last_ven_is_through(desk: Desk) -> None:
    period = {"start": "2026-01-15T12:00:00Z", "duration": "PT1H", "randomizeStart": "PT10M"}
    desk.limit(4.2, intervalPeriod=period)
    assert desk.poll().events[0].period.start_after == timedelta(minutes=10)
    desk.later(hours=1, minutes=5)
    assert versions(desk.say(ASK)) == [("e1", 0, "active")]
    desk.later(minutes=5)
    assert versions(desk.say(ASK)) == []


def test_an_event_without_a_start_begins_when_it_was_made_at_every_poll(desk: Desk) -> None:
    desk.limit(4.2, intervalPeriod={"duration": "PT1H"})
    assert desk.poll().events[0].period.start == NOON
    desk.later(minutes=5)
    assert desk.say(ASK).events[0].period.start == NOON


@pytest.mark.parametrize(
    ("payloads", "levels"),
    [
        ([("SIMPLE", 1), ("SIMPLE", 3), ("SIMPLE", 0), ("SIMPLE", 2)], [1, 3, 0, 2]),
        ([("ALERT_GRID_EMERGENCY", "help")], [3]),
        ([("ALERT_FLEX_ALERT", "please")], [1]),
    ],
)
def test_levels_of_load_shedding_are_simple_signals(desk: Desk, payloads: list[Any], levels: list[float]) -> None:
    intervals = [{"id": n, "payloads": [{"type": t, "values": [v]}]} for n, (t, v) in enumerate(payloads)]
    desk.limit(intervals=intervals)
    (signal,) = desk.poll().events[0].signals
    assert (signal.name, signal.type, signal.unit) == ("SIMPLE", "level", None)
    assert [interval.value for interval in signal.intervals] == levels


def test_a_limit_that_is_a_level_for_a_part_of_the_time_is_not_sent_on(desk: Desk) -> None:
    kinds = [("SIMPLE", 1), ("IMPORT_CAPACITY_LIMIT", 5)]
    desk.limit(intervals=[{"id": n, "payloads": [{"type": t, "values": [v]}]} for n, (t, v) in enumerate(kinds)])
    assert isinstance(desk.poll(), OadrResponse)


def test_the_time_of_notification_is_always_said(desk: Desk) -> None:
    desk.limit(4.2)
    assert desk.poll().events[0].period.notification == timedelta()


def test_answers_are_kept_and_wrong_ones_refused(desk: Desk) -> None:
    desk.limit(4.2)
    event = desk.poll().events[0]
    assert desk.answer(event, number=1).response.code == "450"
    assert desk.vtn.opt_of("ven-1", "e1") is None
    assert desk.answer(event, "none").response.code == "200"  # from a VEN that has not made up its mind
    assert desk.vtn.opt_of("ven-1", "e1") is None
    assert desk.answer(event, "optOut").response.code == "200"
    desk.restart()
    assert desk.vtn.opt_of("ven-1", "e1") == "optOut"
    desk.answer(event, "optIn")  # in again
    assert desk.vtn.opt_of("ven-1", "e1") == "optIn"
    desk.limit(3.0)
    changed = desk.poll().events[0]
    assert desk.vtn.opt_of("ven-1", "e1") is None
    assert desk.answer(event, "optOut").response.code == "200"  # to the version before: says nothing now
    assert desk.vtn.opt_of("ven-1", "e1") is None
    desk.answer(changed)
    assert desk.vtn.opt_of("ven-1", "e1") == "optIn"


def opt_of_event(opt_id: str, opt_type: str) -> CreateOpt:
    event = QualifiedEventId(event_id="e1", modification_number=0)
    return CreateOpt(
        opt_id=opt_id,
        opt_type=opt_type,
        reason="economic",
        ven_id="ven-1",
        created_at=NOON,
        request_id="o",
        event=event,
    )


def test_a_refused_opt_is_answered_by_its_service_with_the_code(desk: Desk) -> None:
    created = desk.say(opt_of_event("o0", "optOut"))
    assert (type(created), created.opt_id, created.response.code) == (CreatedOpt, "o0", "452")
    canceled = desk.say(CancelOpt(request_id="c", opt_id="nobody", ven_id="ven-1"))
    assert (type(canceled), canceled.opt_id, canceled.response.code) == (CanceledOpt, "nobody", "452")
    assert canceled.response.request_id == "c"
    stranger = desk.say(CancelOpt(request_id="c", opt_id="o0", ven_id="ven-2"))
    assert (type(stranger), stranger.response.code) == (OadrResponse, "463")


def test_answers_may_carry_the_request_s_identifier_alone(desk: Desk) -> None:
    desk.limit(4.2)
    event = desk.poll().events[0]
    version = QualifiedEventId(event_id=event.descriptor.event_id, modification_number=0)
    one = EventResponse(code="200", request_id="d7", event=version, opt_type="optIn")
    answer = desk.say(CreatedEvent(response=Response(code="200"), answers=(one,), ven_id="ven-1"))
    assert (answer.response.code, answer.response.request_id) == ("200", "d7")


def test_an_opt_of_an_event_outranks_later_answers_until_it_is_taken_back(desk: Desk) -> None:
    assert desk.say(opt_of_event("o0", "optOut")).response.code == "452"  # no such event yet
    desk.limit(4.2)
    event = desk.poll().events[0]
    desk.say(opt_of_event("o1", "optOut"))
    desk.answer(event, "optIn")
    desk.restart()
    assert desk.vtn.opt_of("ven-1", "e1") == "optOut"
    desk.later(seconds=1)
    desk.say(opt_of_event("o2", "optIn"))
    assert desk.vtn.opt_of("ven-1", "e1") == "optIn"
    desk.say(CancelOpt(request_id="c", opt_id="o2", ven_id="ven-1"))
    assert desk.vtn.opt_of("ven-1", "e1") == "optOut"
    desk.say(CancelOpt(request_id="c", opt_id="o1", ven_id="ven-1"))
    assert desk.vtn.opt_of("ven-1", "e1") == "optIn"


def test_opt_schedules_are_kept_until_they_are_over(desk: Desk) -> None:
    stretch = Available(start=NOON + timedelta(hours=1), duration=timedelta(hours=2))
    schedule = CreateOpt(
        opt_id="s1",
        opt_type="optOut",
        reason="x-schedule",
        ven_id="ven-1",
        created_at=NOON,
        request_id="o",
        availability=Availability(stretches=(stretch,)),
    )
    desk.say(schedule)
    desk.restart()
    (kept,) = desk.vtn.orders.ven("ven-1", desk.now)["opts"]
    assert (kept["opt_id"], kept["stretches"]) == ("s1", [["2026-01-15T13:00:00Z", "PT2H"]])
    desk.later(hours=4)
    desk.limit(4.2, hours=9)
    desk.poll()
    desk.say(opt_of_event("o1", "optOut"))
    assert [opt["opt_id"] for opt in desk.vtn.orders.ven("ven-1", desk.now)["opts"]] == ["o1"]


def test_a_restarted_vtn_goes_on_with_its_vens_and_a_new_registration_hears_of_everything_again(desk: Desk) -> None:
    desk.limit(4.2)
    desk.answer(desk.poll().events[0])
    desk.restart()
    assert isinstance(desk.poll(), OadrResponse)
    assert isinstance(desk.say(Poll(ven_id="ven-2"), ven=1), RequestReregistration)
    assert desk.say(Poll(ven_id="ven-1"), ven=1).response.code == "463"
    desk.register()
    assert versions(desk.poll()) == [("e1", 0, "active")]
    assert desk.vtn.opt_of("ven-1", "e1") is None


def test_a_ven_that_business_removed_must_register_again(desk: Desk) -> None:
    desk.keep((Change("VEN", "ven-1", None),))
    assert isinstance(desk.poll(), RequestReregistration)
    assert desk.register().response.code == "200"
