"""The life of a 2.0b VEN over days: opting out and in, settlement, history, chance, refused reports, two VTNs."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cem.io.virtual import VirtualClock, run_virtual
from cem.model.directive import LinkState
from cem.model.provider import Programme
from cem.ports import HttpAnswer, StateKind
from cem.runtime.ven2b_client import Plain
from cem.runtime.ven_settlement import Books
from cem.sgcp.opt.cut import OptOut
from cem.sgcp.point import ConnectionPoint
from cem.wire.openadr2b import decode, encode
from cem.wire.openadr2b.messages import (
    CancelOpt,
    CancelReport,
    CreatedEvent,
    CreatedReport,
    CreateOpt,
    CreatePartyRegistration,
    CreateReport,
    Message,
    OadrResponse,
    Poll,
    RegisterReport,
    RequestEvent,
    RequestReregistration,
    UpdatedReport,
    UpdateReport,
)
from cem.wire.openadr2b.parts import EiEvent, ReportWindow, Response
from support.scripted_vtn2b import Home, ScriptedVtn, asked, event, played, provider_2b
from support.ven_world import T0, MemoryStore

VOLUNTARY = (Programme("dimming"),)
HOUR = timedelta(hours=1)


class Recorded:
    """Satisfies cem.ports.History: 4 kW on every day, 2.5 kW from T0 on, of the meter; the battery gives 1 kW."""

    async def minute_means(self, signal: str, since_s: int, until_s: int) -> list[tuple[int, float]]:
        if signal == "battery.power_w":
            return [(at, -1000.0) for at in range(since_s, until_s, 60)]
        assert signal == "grid.power_w"
        return [(at, 2500.0 if at >= T0.timestamp() else 4000.0) for at in range(since_s, until_s, 60)]


BOOKS = Books(Recorded(), "grid.power_w", ZoneInfo("UTC"), "EUR")


def opts_told(vtn: ScriptedVtn) -> list[str]:
    return [answer.opt_type for message in vtn.got(CreatedEvent) for answer in message.answers]


@pytest.mark.parametrize("offered", [True, False])
def test_opting_out_and_in_again_is_told_at_once_by_opt_and_answer(offered: bool) -> None:
    def without(message: Message) -> HttpAnswer | None:
        return None if offered or not isinstance(message, CreateOpt) else HttpAnswer(404, {}, b"")

    async def play(home: Home, vtn: ScriptedVtn) -> None:
        vtn.events, vtn.answer = [event()], without
        vtn.queue = [vtn.distribution()]
        await asyncio.sleep(11.0)
        assert opts_told(vtn) == ["optIn"]
        for outs in ([OptOut(T0, T0 + 2 * HOUR, "e1")], []):
            home.point.opt_out(outs)
            home.session.owner_decided()
            await asyncio.sleep(0.5)
        assert opts_told(vtn) == ["optIn", "optOut", "optIn"]
        assert {a.event.modification_number for m in vtn.got(CreatedEvent) for a in m.answers} == {0}
        assert home.link.state is LinkState.ONLINE
        await asyncio.sleep(30.0)
        assert len(vtn.got(CreatedEvent)) == 3

    vtn = played(play, programmes=VOLUNTARY)
    assert len(vtn.got(CreateOpt)) == 1
    assert [m.opt_id for m in vtn.got(CancelOpt)] == [m.opt_id for m in vtn.got(CreateOpt)][: int(offered)]


def test_an_event_that_wants_no_answer_is_not_answered_anew_either() -> None:
    async def play(home: Home, vtn: ScriptedVtn) -> None:
        vtn.events = [replace(event(), response_required="never")]
        vtn.queue = [vtn.distribution()]
        await asyncio.sleep(11.0)
        home.point.opt_out([OptOut(T0, T0 + 2 * HOUR, "e1")])
        await asyncio.sleep(11.0)

    assert played(play, programmes=VOLUNTARY).got(CreatedEvent) == []


def test_a_time_is_opted_out_of_by_the_names_of_what_is_voluntary_where_not_all_is() -> None:
    async def play(home: Home, vtn: ScriptedVtn) -> None:
        home.point.opt_out([OptOut(T0, T0 + 2 * HOUR)])
        await asyncio.sleep(11.0)

    programmes = (Programme("dimming", mandatory=True), Programme("http://p.test/peak"), Programme("wind"))
    opts = played(play, programmes=programmes).got(CreateOpt)
    assert {opt.market_context for opt in opts} == {"http://p.test/peak", "wind"}
    assert len({opt.opt_id for opt in opts}) == 2
    for opt in opts:
        assert [(s.start, s.duration) for s in opt.availability.stretches] == [(T0, 2 * HOUR)]


def test_an_event_that_is_over_is_settled_once_and_kept_here() -> None:
    async def play(home: Home, vtn: ScriptedVtn) -> None:
        vtn.events = [event(3.0)]
        vtn.queue = [vtn.distribution()]
        await asyncio.sleep(3600.0 + 300.0)
        (row,) = home.store.rows[StateKind.SETTLEMENT].values()
        for part in ('"verdict": "met"', '"asked_w": 3000.0', '"delivered_w": 2500.0', '"sent": null'):
            assert part in row, row

    played(play, books=BOOKS)


def test_history_of_before_the_start_comes_from_the_record() -> None:
    async def play(home: Home, vtn: ScriptedVtn) -> None:
        window = ReportWindow(start=T0 - 2 * HOUR, duration=2 * HOUR)
        request = replace(
            asked("h1", "site-power", "battery-export", specifier="history-usage", back_s=0),
            granularity=timedelta(minutes=15),
            window=window,
        )
        vtn.requests = (request,)
        vtn.queue = [RequestReregistration(ven_id="ven-1")]
        await home.live(30)

    (update,) = played(play, books=BOOKS).got(UpdateReport)
    (report,) = update.reports
    assert (report.name, len(report.intervals)) == ("HISTORY_USAGE", 16)
    values = {(p.r_id, p.value, p.quality) for i in report.intervals for p in i.payloads}
    good = "Quality Good - Non Specific"
    assert values == {("site-power", 4000.0, good), ("battery-export", 250.0, good)}


def test_a_report_that_the_vtn_does_not_want_any_longer_ends() -> None:
    async def play(home: Home, vtn: ScriptedVtn) -> None:
        refused = Response(code="452", description="no such request", request_id="1")
        vtn.update = refused
        await home.live(400)
        assert home.link.state is LinkState.ONLINE

    assert len(played(play, ScriptedVtn(requests=(asked("r1", "site-power"),))).got(UpdateReport)) == 1


def late(number: int = 0, start: datetime = T0 + timedelta(seconds=20), status: str = "far") -> EiEvent:
    made = event(number=number, start=start, status=status)
    return replace(made, period=replace(made.period, start_after=timedelta(minutes=10)))


def begins(home: Home) -> list[datetime]:
    events = home.point.events(home.provider.id, home.clock.now())
    return [e.intervals[0].start for e in events.values()]


def test_a_start_that_was_drawn_holds_over_restart_and_modification_and_a_cancelled_event_ends_as_late() -> None:
    async def story(clock: VirtualClock) -> None:
        vtn = ScriptedVtn(events=[late()])
        home = Home(clock, vtn)
        home.start()
        await asyncio.sleep(2.0)
        (drawn,) = begins(home)
        shift = drawn - T0 - timedelta(seconds=20)
        assert timedelta() < shift < timedelta(minutes=10)
        await home.stop()

        again = Home(clock, vtn, home.store)
        again.start()
        await asyncio.sleep(15.0)
        assert begins(again) == [drawn]
        vtn.events = [late(1, T0 + timedelta(seconds=80))]
        vtn.queue = [vtn.distribution()]
        await asyncio.sleep(11.0)
        assert begins(again) == [drawn + timedelta(minutes=1)]

        await asyncio.sleep(700.0)
        cancelled = replace(late(2, T0 + timedelta(seconds=80)), signals=late().signals)
        vtn.events = [replace(cancelled, descriptor=replace(cancelled.descriptor, status="cancelled"))]
        vtn.queue = [vtn.distribution()]
        await asyncio.sleep(11.0)
        assert again.limits_w() == [4200.0]
        events = again.point.events(again.provider.id, clock.now())
        (end,) = [e.intervals[-1].end for e in events.values()]
        assert end is not None
        left = end - clock.now().wall
        assert shift - timedelta(seconds=12) <= left <= shift
        await again.stop()

    run_virtual(story, T0)


def test_two_vtns_in_one_gateway_do_not_hear_of_each_other() -> None:
    async def story(clock: VirtualClock) -> None:
        names: dict[str, dict[str, Any]] = {"a": {"id": "a"}, "b": {"id": "b", "programmes": VOLUNTARY}}
        providers = {name: provider_2b(**fields) for name, fields in names.items()}
        point = ConnectionPoint(tuple(providers.values()), resources=frozenset({"battery"}))
        store = MemoryStore()
        vtns = {name: ScriptedVtn(vtn_id=f"VTN-{name}") for name in names}
        homes = {name: Home(clock, vtns[name], store, point=point, **fields) for name, fields in names.items()}
        vtns["a"].events, vtns["b"].events = [event(4.2)], [event(3.0)]  # the same id at both
        vtns["b"].requests = (asked("r1", "site-power"),)
        for home in homes.values():
            home.start()
        await asyncio.sleep(2.0)
        assert [home.limits_w() for home in homes.values()] == [[4200.0], [3000.0]]
        point.opt_out([OptOut(T0, T0 + HOUR, "e1")])
        for home in homes.values():
            home.session.owner_decided()
        await asyncio.sleep(1.0)
        assert opts_told(vtns["a"]) == ["optIn"]  # an obligation
        assert opts_told(vtns["b"]) == ["optIn", "optOut"]
        await asyncio.gather(*(home.live(130) for home in homes.values()))
        assert not vtns["a"].got(UpdateReport)
        assert vtns["b"].got(UpdateReport)
        vtns["a"].events = []
        vtns["a"].queue = [vtns["a"].distribution()]
        await asyncio.sleep(11.0)
        assert [home.limits_w() for home in homes.values()] == [[], [3000.0]]
        for home in homes.values():
            await home.stop()

    run_virtual(story, T0)


def test_a_vtn_that_fails_for_a_while_with_5xx_is_tried_again() -> None:
    async def play(home: Home, vtn: ScriptedVtn) -> None:
        vtn.answer = lambda message: HttpAnswer(503, {}, b"")
        await asyncio.sleep(40.0)
        vtn.answer = lambda message: None
        vtn.events = [event()]
        vtn.queue = [vtn.distribution()]
        await asyncio.sleep(70.0)
        assert home.limits_w() == [4200.0]
        assert home.link.state is LinkState.ONLINE

    played(play)


def test_a_vtn_that_says_when_to_come_back_is_left_alone_until_then() -> None:
    async def play(home: Home, vtn: ScriptedVtn) -> None:
        vtn.answer = lambda message: HttpAnswer(503, {"retry-after": "120"}, b"")
        await home.live(30)
        asked = len(vtn.heard)
        await home.live(85)
        assert len(vtn.heard) == asked
        await home.live(40)
        assert len(vtn.heard) > asked

    played(play)


def test_a_report_that_fails_with_5xx_and_is_answered_with_a_cancel_ends() -> None:
    tries: list[Message] = []

    def busy(message: Message) -> HttpAnswer | None:
        if not isinstance(message, UpdateReport):
            return None
        tries.append(message)
        if len(tries) == 1:
            return HttpAnswer(500, {}, b"")
        fine = Response(code="200", request_id=message.request_id)
        cancel = CancelReport(request_id="c", report_request_ids=("r1",), to_follow=False)
        return HttpAnswer(200, {}, encode(UpdatedReport(response=fine, cancel=cancel)))

    async def play(home: Home, vtn: ScriptedVtn) -> None:
        vtn.answer = busy
        await home.live(400)

    played(play, ScriptedVtn(requests=(asked("r1", "site-power"),)))
    assert len(tries) == 2


def no(code: int) -> bytes:
    return encode(OadrResponse(response=Response(code=str(code), description="no", request_id="1")))


@pytest.mark.parametrize(
    "answer", [HttpAnswer(200, {}, no(459)), HttpAnswer(404, {}, b""), HttpAnswer(501, {}, b"")], ids=str
)
def test_a_vtn_that_wants_nothing_but_to_be_asked_for_events_has_a_good_link(answer: HttpAnswer) -> None:
    served = CreatePartyRegistration, RequestEvent, Poll

    async def play(home: Home, vtn: ScriptedVtn) -> None:
        vtn.answer = lambda message: None if isinstance(message, served) else answer
        vtn.events = [event()]
        home.point.opt_out([OptOut(T0, T0 + HOUR)])
        vtn.queue = [RequestReregistration(ven_id="ven-1"), vtn.distribution()]
        await asyncio.sleep(900.0)
        assert home.link.state is LinkState.ONLINE
        assert home.limits_w() == [4200.0]

    vtn = played(play, programmes=VOLUNTARY)
    assert len(vtn.got(CreateOpt)) == 1
    assert len(vtn.got(CreatedEvent)) == 2  # with the fetch after registering, and with the queue


def test_a_vtn_that_refuses_polls_in_http_alone_is_registered_with_again() -> None:
    async def play(home: Home, vtn: ScriptedVtn) -> None:
        def forgotten(message: Message) -> HttpAnswer | None:
            again = len(vtn.got(CreatePartyRegistration)) > 1
            return HttpAnswer(404, {}, b"") if isinstance(message, Poll) and not again else None

        vtn.answer = forgotten
        await asyncio.sleep(60.0)
        assert home.link.state is LinkState.ONLINE

    assert [r.registration_id for r in played(play).got(CreatePartyRegistration)] == [None, "reg-1"]


def test_a_ramp_a_recovery_and_a_notification_period_are_read_whatever_their_sign() -> None:
    async def play(home: Home, vtn: ScriptedVtn) -> None:
        made = event()
        minutes = timedelta(minutes=-5), timedelta(minutes=10)
        period = replace(made.period, ramp_up=minutes[0], recovery=minutes[1], notification=timedelta())
        vtn.events = [replace(made, period=period)]
        vtn.queue = [decode_again(vtn.distribution())]
        await asyncio.sleep(11.0)
        assert home.limits_w() == [4200.0]
        assert begins(home) == [T0]

    assert opts_told(played(play)) == ["optIn"]


def decode_again(message: Message) -> Message:
    """As it comes over the wire."""
    return decode(encode(message))


def test_a_vtn_that_asks_for_too_much_or_too_often_is_given_what_was_offered() -> None:
    async def play(home: Home, vtn: ScriptedVtn) -> None:
        often = asked("often", "site-status", specifier="telemetry-status", back_s=1)
        vtn.queue = [CreateReport(request_id="c1", requests=(often,))]
        again = [asked(f"m{n}", "0", specifier="METADATA") for n in range(500)]
        wrong = [asked(f"w{n}", "pool-power") for n in range(500)]
        vtn.queue.append(CreateReport(request_id="c2", requests=(*again, *wrong)))
        await home.live(300)
        assert home.link.state is LinkState.ONLINE

    vtn = played(play)
    assert 3 <= len(vtn.got(UpdateReport)) <= 5
    assert len(vtn.got(RegisterReport)) <= 201
    (many,) = [m for m in vtn.got(CreatedReport) if m.response.request_id == "c2"]
    assert (many.response.code, many.pending) == ("461", ("often",))
    assert len(many.response.description) < 300


def test_a_registration_does_not_say_that_plain_messages_are_signed() -> None:
    async def play(home: Home, vtn: ScriptedVtn) -> None:
        assert home.link.state is LinkState.ONLINE

    (registration,) = played(play, envelope=Plain()).got(CreatePartyRegistration)
    assert registration.xml_signature is False
