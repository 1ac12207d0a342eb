"""Push to our OpenADR 2.0b VEN: what a VTN sends by itself, what is refused, and what makes up for what is lost."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from cem.model.directive import LinkState
from cem.model.errors import GridError
from cem.ports import HttpAnswer
from cem.runtime.ven_notices import Ears
from cem.wire.http import HttpRequest, HttpResponse
from cem.wire.openadr2b import decode, encode
from cem.wire.openadr2b.messages import (
    CanceledPartyRegistration,
    CanceledReport,
    CancelPartyRegistration,
    CancelReport,
    CreatedEvent,
    CreatedReport,
    CreatePartyRegistration,
    CreateReport,
    Message,
    OadrResponse,
    Poll,
    RegisteredReport,
    RegisterReport,
    RequestEvent,
    RequestReregistration,
    UpdatedReport,
    UpdateReport,
)
from cem.wire.openadr2b.names import PATH_PREFIX
from cem.wire.openadr2b.parts import Response
from support.scripted_vtn2b import FINE, Home, ScriptedVtn, asked, event, played

ADDRESS = "https://house-1.test:8443/grid"


@dataclass
class Socket:
    """The port of a callback, without a socket: what is posted to it is given to whoever listens."""

    exchange: Callable[[HttpRequest], Awaitable[HttpResponse]] | None = None
    broken: bool = False

    async def start(self, answer: Callable[[HttpRequest], Awaitable[HttpResponse]]) -> None:
        if self.broken:
            raise OSError(98, "Address already in use")
        self.exchange = answer

    async def stop(self) -> None:
        self.exchange = None

    async def post(self, path: str, body: bytes, method: str = "POST") -> HttpResponse:
        assert self.exchange is not None
        return await self.exchange(HttpRequest(method, path, body=body, peer="192.0.2.1"))

    async def push(self, message: Message) -> Message:
        """The answer to a message that is sent to the service it belongs to."""
        answer = await self.post(f"/grid{PATH_PREFIX}/{message.SERVICE}", encode(message))
        assert answer.status == 200, answer.body
        return decode(answer.body)


Play = Callable[[Home, ScriptedVtn, Socket], Awaitable[None]]


def pushed(play: Play, vtn: ScriptedVtn | None = None, **changes: Any) -> ScriptedVtn:
    """Plays against a VTN that sends, in virtual time; the VTN with what it heard."""
    socket = Socket()
    fields: dict[str, Any] = {"callback_url": ADDRESS, "ears": Ears(callback=socket), **changes}

    async def story(home: Home, peer: ScriptedVtn) -> None:
        await play(home, peer, socket)

    return played(story, vtn, **fields)


def test_a_ven_with_a_callback_registers_as_one_that_is_sent_to_and_does_not_poll() -> None:
    async def play(home: Home, vtn: ScriptedVtn, socket: Socket) -> None:
        await asyncio.sleep(100.0)
        assert home.link.state is LinkState.ONLINE

    vtn = pushed(play)
    (registration,) = vtn.got(CreatePartyRegistration)
    assert (registration.pull, registration.transport_address) == (False, ADDRESS)
    assert vtn.got(Poll) == []
    assert len(vtn.got(RequestEvent)) in (11, 12)  # all events each poll_s, so that nothing is lost for long


def test_a_pushed_event_holds_when_it_is_answered_and_the_opt_follows() -> None:
    async def play(home: Home, vtn: ScriptedVtn, socket: Socket) -> None:
        vtn.events = [event()]
        answer = await socket.push(vtn.distribution())
        assert isinstance(answer, OadrResponse)
        assert (answer.response.code, answer.response.request_id, answer.ven_id) == ("200", "d1", "ven-1")
        assert home.limits_w() == [4200.0]
        await asyncio.sleep(0.5)
        assert [(a.code, a.opt_type) for a in vtn.got(CreatedEvent)[-1].answers] == [("200", "optIn")]

        vtn.events = [event(3.0, number=1)]
        await socket.push(vtn.distribution())
        assert home.limits_w() == [3000.0]
        await asyncio.sleep(0.5)
        assert vtn.got(CreatedEvent)[-1].answers[0].event.modification_number == 1

        vtn.events = []
        await socket.push(vtn.distribution())
        assert home.limits_w() == []

    assert pushed(play).got(Poll) == []


def test_everything_that_a_vtn_may_begin_is_answered_and_done() -> None:
    async def play(home: Home, vtn: ScriptedVtn, socket: Socket) -> None:
        created = await socket.push(CreateReport(request_id="c1", requests=(asked("r1", "site-power"),)))
        assert isinstance(created, CreatedReport)
        assert (created.response.request_id, created.pending) == ("c1", ("r1",))
        assert isinstance(await socket.push(RegisterReport(request_id="c2")), RegisteredReport)
        assert isinstance(await socket.push(UpdateReport(request_id="c3")), UpdatedReport)

        await socket.push(CreateReport(request_id="c4", requests=(asked("again", "0", specifier="METADATA"),)))
        await asyncio.sleep(0.5)
        assert vtn.got(RegisterReport)[-1].report_request_id == "again"

        await home.live(130)
        assert vtn.got(UpdateReport)
        ended = await socket.push(CancelReport(request_id="c5", report_request_ids=("r1",), to_follow=False))
        assert isinstance(ended, CanceledReport)
        assert ended.pending == ()

        assert isinstance(await socket.push(RequestReregistration(ven_id="ven-1")), OadrResponse)
        await asyncio.sleep(0.5)
        assert [r.registration_id for r in vtn.got(CreatePartyRegistration)] == [None, "reg-1"]
        offers = len(vtn.got(RegisterReport))
        assert offers == 3

        over = await socket.push(CancelPartyRegistration(request_id="c6", registration_id="reg-1"))
        assert isinstance(over, CanceledPartyRegistration)
        assert over.response.code == "200"
        await asyncio.sleep(0.5)
        asked_before = len(vtn.got(RequestEvent))
        await asyncio.sleep(200.0)
        assert len(vtn.got(RequestEvent)) == asked_before

    pushed(play)


def test_what_is_not_for_us_or_no_message_is_refused_without_effect() -> None:
    async def play(home: Home, vtn: ScriptedVtn, socket: Socket) -> None:
        vtn.events = [event()]
        good = encode(vtn.distribution())
        here = f"/grid{PATH_PREFIX}"
        for status, path, body, method in (
            (404, f"{here}/OadrPoll", encode(Poll(ven_id="ven-1")), "POST"),
            (404, f"{PATH_PREFIX}/EiEvent", good, "POST"),
            (404, "/grid/EiEvent", good, "POST"),
            (405, f"{here}/EiEvent", good, "GET"),
            (400, f"{here}/EiEvent", b"<html/>", "POST"),
            (400, f"{here}/EiEvent", b"", "POST"),
            (400, f"{here}/EiEvent", b'<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><a>&b;</a>', "POST"),
        ):
            assert (await socket.post(path, body, method)).status == status, path
        for code, service, message in (
            ("459", "EiReport", vtn.distribution()),
            ("459", "EiEvent", RequestEvent(request_id="x", ven_id="ven-1")),
            ("452", "EiRegisterParty", RequestReregistration(ven_id="ven-9")),
            ("452", "EiEvent", replace(vtn.distribution(), vtn_id="MALLORY")),
        ):
            answer = decode((await socket.post(f"{here}/{service}", encode(message))).body)
            assert isinstance(answer, OadrResponse)
            assert answer.response.code == code, message
        assert home.limits_w() == []

    assert len(pushed(play).got(CreatePartyRegistration)) == 1


def test_a_vtn_that_does_not_send_is_asked() -> None:
    def pull_alone(message: Message) -> HttpAnswer | None:
        if isinstance(message, CreatePartyRegistration) and message.pull is False:
            refused = Response(code="469", description="only pull", request_id=message.request_id)
            return HttpAnswer(200, {}, encode(OadrResponse(response=refused)))
        return None

    async def play(home: Home, vtn: ScriptedVtn, socket: Socket) -> None:
        vtn.queue = [replace(vtn.distribution(), events=(event(),))]
        await asyncio.sleep(25.0)
        assert home.limits_w() == [4200.0]

    vtn = pushed(play, ScriptedVtn(answer=pull_alone))
    assert [r.pull for r in vtn.got(CreatePartyRegistration)] == [False, True]
    assert len(vtn.got(Poll)) >= 2


@pytest.mark.parametrize("changes", [{"ears": Ears(callback=Socket(broken=True))}, {"notify": "poll"}])
def test_a_gateway_that_cannot_or_may_not_listen_asks(changes: dict[str, Any]) -> None:
    async def play(home: Home, vtn: ScriptedVtn, socket: Socket) -> None:
        await asyncio.sleep(25.0)

    vtn = pushed(play, **changes)
    assert [r.pull for r in vtn.got(CreatePartyRegistration)] == [True]
    assert len(vtn.got(Poll)) >= 2


def test_what_was_sent_and_lost_is_made_up_for_and_a_way_that_loses_everything_is_left() -> None:
    async def play(home: Home, vtn: ScriptedVtn, socket: Socket) -> None:
        vtn.events = [event()]
        await asyncio.sleep(11.0)
        assert home.limits_w() == [4200.0]
        await socket.push(vtn.distribution())  # late, but it came: the way is good
        vtn.events = [event(3.0, number=1)]
        await asyncio.sleep(11.0)
        assert home.limits_w() == [3000.0]
        assert vtn.got(Poll) == []
        vtn.events = [event(2.0, number=2)]
        await asyncio.sleep(11.0)
        assert home.limits_w() == [2000.0]
        await asyncio.sleep(11.0)
        assert vtn.got(Poll)

    assert [r.pull for r in pushed(play).got(CreatePartyRegistration)] == [False, True]


def test_an_answer_to_a_pushed_event_that_could_not_be_sent_is_sent_later() -> None:
    async def play(home: Home, vtn: ScriptedVtn, socket: Socket) -> None:
        def lost(message: Message) -> HttpAnswer | None:
            if isinstance(message, CreatedEvent):
                raise GridError("no connection")
            return None

        vtn.events, vtn.answer = [event()], lost
        await socket.push(vtn.distribution())
        await asyncio.sleep(1.0)
        vtn.heard.clear()
        vtn.answer = lambda message: None
        await asyncio.sleep(30.0)
        assert vtn.got(CreatedEvent)[0].answers[0].opt_type == "optIn"

    pushed(play)


def test_a_push_is_contact_and_ends_the_waiting_after_a_failure() -> None:
    async def play(home: Home, vtn: ScriptedVtn, socket: Socket) -> None:
        def gone(message: Message) -> HttpAnswer:
            raise GridError("no connection")

        vtn.answer = gone
        await asyncio.sleep(900.0)
        assert home.link.state is not LinkState.ONLINE
        vtn.answer = lambda message: None
        vtn.events = [event()]
        await socket.push(vtn.distribution())
        await asyncio.sleep(15.0)  # at most the return's jitter
        assert home.link.state is LinkState.ONLINE
        assert home.limits_w() == [4200.0]

    pushed(play)


def test_a_vtn_that_sends_without_end_is_bounded() -> None:
    async def play(home: Home, vtn: ScriptedVtn, socket: Socket) -> None:
        def gone(message: Message) -> HttpAnswer:
            raise GridError("no connection")

        vtn.answer = gone
        request = CreateReport(request_id="c", requests=(asked("again", "0", specifier="METADATA"),))
        codes = [(await socket.push(request)) for _ in range(210)]
        refused = [m for m in codes if isinstance(m, OadrResponse) and m.response.code == "469"]
        assert 5 <= len(refused) <= 15

    pushed(play)


def test_an_unknown_ven_registers_again_soon() -> None:
    told: list[Message] = []

    def stranger(message: Message) -> HttpAnswer | None:
        if isinstance(message, RequestEvent) and not told:
            told.append(message)
            answer = OadrResponse(response=replace(FINE, code="452", description="unknown venID"))
            return HttpAnswer(200, {}, encode(answer))
        return None

    async def play(home: Home, vtn: ScriptedVtn, socket: Socket) -> None:
        vtn.answer = stranger
        await asyncio.sleep(30.0)
        assert home.link.state is LinkState.ONLINE

    assert [r.registration_id for r in pushed(play).got(CreatePartyRegistration)] == [None, None]
