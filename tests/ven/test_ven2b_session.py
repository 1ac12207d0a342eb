"""Our OpenADR 2.0b VEN against a scripted VTN: everything that may wait in its queue, and answers that are none."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from cem.io.virtual import VirtualClock, run_virtual
from cem.model.directive import LinkState
from cem.model.errors import GridError
from cem.model.provider import Programme
from cem.ports import HttpAnswer, StateKind
from cem.sgcp.opt.cut import OptOut
from cem.wire.openadr2b import encode
from cem.wire.openadr2b.messages import (
    CanceledPartyRegistration,
    CanceledReport,
    CancelOpt,
    CancelPartyRegistration,
    CancelReport,
    CreatedEvent,
    CreatedReport,
    CreateOpt,
    CreatePartyRegistration,
    CreateReport,
    Message,
    OadrResponse,
    Poll,
    QueryRegistration,
    RegisteredReport,
    RegisterReport,
    RequestEvent,
    RequestReregistration,
    UpdateReport,
)
from cem.wire.openadr2b.parts import (
    Response,
)
from support.scripted_vtn2b import Home, ScriptedVtn, asked, event, played
from support.ven_world import T0


def test_a_session_begins_in_the_order_of_the_profile_at_the_services_of_the_profile() -> None:
    async def play(home: Home, vtn: ScriptedVtn) -> None:
        assert home.link.state is LinkState.ONLINE

    vtn = played(play)
    assert [(service, type(message)) for service, message in vtn.heard] == [
        ("EiRegisterParty", QueryRegistration),
        ("EiRegisterParty", CreatePartyRegistration),
        ("EiEvent", RequestEvent),
        ("EiReport", RegisterReport),
        ("OadrPoll", Poll),
    ]


def test_the_queue_is_drained_in_one_turn_and_everything_in_it_is_answered() -> None:
    async def play(home: Home, vtn: ScriptedVtn) -> None:
        vtn.events = [event()]
        vtn.queue = [
            vtn.distribution(),
            CreateReport(request_id="c1", requests=(asked("r1", "site-power"), asked("r2", "pool-power"))),
            RegisterReport(request_id="c2"),
            RequestReregistration(ven_id="ven-1"),
        ]
        await asyncio.sleep(11.0)
        assert home.limits_w() == [4200.0]

    vtn = played(play)
    assert [(a.code, a.opt_type) for a in vtn.got(CreatedEvent)[0].answers] == [("200", "optIn")]
    assert vtn.got(CreatedEvent)[0].response.request_id == ""  # it stands in each answer
    created = vtn.got(CreatedReport)[0]
    assert (created.response.code, created.response.request_id, created.pending) == ("461", "c1", ("r1",))
    assert vtn.got(RegisteredReport)[0].response.request_id == "c2"
    assert [r.registration_id for r in vtn.got(CreatePartyRegistration)] == [None, "reg-1"]


def test_a_poll_is_no_more_frequent_than_the_vtn_allows() -> None:
    async def play(home: Home, vtn: ScriptedVtn) -> None:
        await asyncio.sleep(100.0)

    assert len(played(play).got(Poll)) <= 11


def test_events_of_another_vtn_are_refused_and_change_nothing() -> None:
    async def play(home: Home, vtn: ScriptedVtn) -> None:
        vtn.events = [event()]
        vtn.queue = [replace(vtn.distribution(), vtn_id="MALLORY")]
        await asyncio.sleep(11.0)
        assert home.limits_w() == []

    answer = played(play).got(CreatedEvent)[0]
    assert (answer.response.code, answer.answers) == ("452", ())


@pytest.mark.parametrize(("mandatory", "opt"), [(False, "optOut"), (True, "optIn")])
def test_the_owner_s_opting_out_is_told_and_an_obligation_is_not_opted_out_of(mandatory: bool, opt: str) -> None:
    async def play(home: Home, vtn: ScriptedVtn) -> None:
        vtn.events = [event()]
        home.point.opt_out([OptOut(T0, T0 + timedelta(hours=2))])
        vtn.queue = [vtn.distribution()]
        await asyncio.sleep(11.0)

    vtn = played(play, programmes=(Programme("dimming", mandatory),))
    assert [a.opt_type for a in vtn.got(CreatedEvent)[0].answers] == [opt]


VOLUNTARY = (Programme("dimming", mandatory=False),)


def test_the_owner_s_opting_out_is_an_opt_of_its_own_and_is_taken_back_after_a_restart_too() -> None:
    async def story(clock: VirtualClock) -> None:
        vtn = ScriptedVtn(events=[event()])
        outs = [OptOut(T0, T0 + timedelta(hours=2), "e1"), OptOut(T0, T0 + timedelta(hours=3))]
        home = Home(clock, vtn, programmes=VOLUNTARY)
        home.start()
        await asyncio.sleep(1.0)
        home.point.opt_out([*outs, OptOut(T0, T0 + timedelta(hours=2), "nobody's"), OptOut(T0, T0)])
        await asyncio.sleep(45.0)
        created = vtn.got(CreateOpt)
        assert [service for service, message in vtn.heard if isinstance(message, CreateOpt)] == ["EiOpt"] * 2
        (of_event,) = [opt for opt in created if opt.event is not None]
        (of_time,) = [opt for opt in created if opt.availability is not None]
        assert of_event.event.event_id == "e1"
        assert [(s.start, s.duration) for s in of_time.availability.stretches] == [(T0, timedelta(hours=3))]
        await home.stop()

        again = Home(clock, vtn, home.store, programmes=VOLUNTARY)
        again.point.opt_out(outs[:1])
        again.start()
        await asyncio.sleep(25.0)
        assert [opt.opt_id for opt in vtn.got(CancelOpt)] == [of_time.opt_id]
        assert len(vtn.got(CreateOpt)) == 2
        await again.stop()

    run_virtual(story, T0)


def test_a_vtn_without_the_service_of_opts_is_no_fault_of_the_link() -> None:
    async def play(home: Home, vtn: ScriptedVtn) -> None:
        vtn.answer = lambda message: HttpAnswer(404, {}, b"") if isinstance(message, CreateOpt) else None
        home.point.opt_out([OptOut(T0, T0 + timedelta(hours=2))])
        await asyncio.sleep(45.0)
        assert home.link.state is LinkState.ONLINE

    assert len(played(play, programmes=VOLUNTARY).got(CreateOpt)) == 1


def test_reports_come_in_time_and_what_fails_comes_later_whole() -> None:
    async def play(home: Home, vtn: ScriptedVtn) -> None:
        await home.live(200)
        before = len(vtn.got(UpdateReport))
        assert before >= 2
        vtn.answer = lambda message: HttpAnswer(500, {}, b"") if isinstance(message, UpdateReport) else None
        await home.live(130)
        vtn.answer = lambda message: None
        await home.live(120)

    vtn = ScriptedVtn(requests=(asked("r1", "site-import", "site-power"),))
    played(play, vtn)
    good = vtn.got(UpdateReport)
    starts = sorted({i.start for m in good for r in m.reports for i in r.intervals})
    assert all(later - earlier == timedelta(minutes=1) for earlier, later in pairwise(starts))
    assert len(starts) >= 6
    powers = {
        p.value for m in good for r in m.reports for i in r.intervals for p in i.payloads if p.r_id == "site-power"
    }
    assert 600.0 in powers
    assert vtn.got(CreatedReport)[0].pending == ("r1",)


def test_what_was_not_delivered_is_delivered_after_a_restart() -> None:
    async def story(clock: VirtualClock) -> None:
        vtn = ScriptedVtn(requests=(asked("r1", "site-power"),))
        home = Home(clock, vtn)
        home.start()
        await asyncio.sleep(1.0)
        vtn.answer = lambda message: HttpAnswer(500, {}, b"") if isinstance(message, UpdateReport) else None
        await home.live(150)
        assert home.store.rows[StateKind.OUTBOX]
        await home.stop()
        lost = {i.start for m in vtn.got(UpdateReport) for r in m.reports for i in r.intervals}
        assert lost
        vtn.heard.clear()
        vtn.answer, vtn.requests = (lambda message: None), ()
        again = Home(clock, vtn, home.store)
        again.start()
        await again.live(70)
        found = {i.start for m in vtn.got(UpdateReport) for r in m.reports for i in r.intervals}
        assert lost <= found
        assert not again.store.rows[StateKind.OUTBOX]
        await again.stop()

    run_virtual(story, T0)


def test_a_cancelled_report_ends_with_a_last_one_where_that_is_wanted() -> None:
    async def play(home: Home, vtn: ScriptedVtn) -> None:
        await home.live(100)
        vtn.queue = [CancelReport(request_id="c9", report_request_ids=("r1", "nobody"), to_follow=True)]
        await home.live(30)
        told = len(vtn.got(UpdateReport))
        await home.live(200)
        assert len(vtn.got(UpdateReport)) == told

    vtn = played(play, ScriptedVtn(requests=(asked("r1", "site-status", specifier="telemetry-status", back_s=3600),)))
    answer = vtn.got(CanceledReport)[0]
    assert (answer.response.code, answer.pending) == ("452", ())
    assert len(vtn.got(UpdateReport)) == 1


def test_the_metadata_are_given_again_when_they_are_asked_for() -> None:
    async def play(home: Home, vtn: ScriptedVtn) -> None:
        vtn.queue = [CreateReport(request_id="c1", requests=(asked("again", "0", specifier="METADATA"),))]
        await asyncio.sleep(11.0)

    offers = played(play).got(RegisterReport)
    assert [offer.report_request_id for offer in offers] == [None, "again"]
    assert {report.request_id for report in offers[1].reports} == {"again"}


def test_a_registration_that_the_vtn_ends_is_over_and_is_tried_again_later() -> None:
    async def play(home: Home, vtn: ScriptedVtn) -> None:
        vtn.queue = [CancelPartyRegistration(request_id="c1", registration_id="reg-1", ven_id="ven-1")]
        await asyncio.sleep(11.0)
        assert vtn.got(CanceledPartyRegistration)[0].response.code == "200"
        polls = len(vtn.got(Poll))
        await asyncio.sleep(200.0)
        assert len(vtn.got(Poll)) == polls
        await asyncio.sleep(200.0)
        assert vtn.got(CreatePartyRegistration)[-1].registration_id is None

    played(play)


def test_a_foreign_registration_is_not_ended() -> None:
    async def play(home: Home, vtn: ScriptedVtn) -> None:
        vtn.queue = [CancelPartyRegistration(request_id="c1", registration_id="reg-9")]
        await asyncio.sleep(25.0)
        assert home.link.state is LinkState.ONLINE

    vtn = played(play)
    assert vtn.got(CanceledPartyRegistration)[0].response.code == "452"
    assert len(vtn.got(Poll)) >= 3


HOSTILE = [
    (HttpAnswer(200, {}, b"<html>maintenance</html>"), "not an oadrPayload"),
    (HttpAnswer(200, {}, b'<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><a>&b;</a>'), "document type"),
    (HttpAnswer(200, {}, b"\xff" * 100), "not utf-8"),
    (HttpAnswer(302, {"location": "https://elsewhere.test"}, b""), "HTTP 302"),
    (HttpAnswer(403, {}, b""), "HTTP 403"),
    (HttpAnswer(500, {}, b"x"), "HTTP 500"),
    (HttpAnswer(200, {}, encode(OadrResponse(response=Response(code="452", description="no", request_id="1")))), "452"),
]


@pytest.mark.parametrize(("answer", "words"), HOSTILE, ids=[words for _, words in HOSTILE])
def test_an_answer_that_is_none_keeps_what_holds_and_the_link_says_why(answer: HttpAnswer, words: str) -> None:
    async def play(home: Home, vtn: ScriptedVtn) -> None:
        vtn.events = [event()]
        vtn.queue = [vtn.distribution()]
        await asyncio.sleep(11.0)
        assert home.limits_w() == [4200.0]
        vtn.answer = lambda message: answer
        await asyncio.sleep(45.0)
        assert home.limits_w() == [4200.0]
        assert words in home.link.detail
        vtn.answer = lambda message: None
        await asyncio.sleep(1000.0)
        assert home.link.state is LinkState.ONLINE

    played(play)


def test_a_vtn_that_is_gone_is_outlived_and_met_again() -> None:
    async def play(home: Home, vtn: ScriptedVtn) -> None:
        def gone(message: Message) -> HttpAnswer:
            raise GridError("no connection")

        vtn.events = [event()]
        vtn.queue = [vtn.distribution()]
        await asyncio.sleep(11.0)
        vtn.answer = gone
        await asyncio.sleep(600.0)
        assert str(home.link.state) == "hold"
        assert home.limits_w() == [4200.0]
        vtn.answer = lambda message: None
        vtn.events = []
        await asyncio.sleep(600.0)
        assert str(home.link.state) == "online"
        assert home.limits_w() == []

    played(play)
