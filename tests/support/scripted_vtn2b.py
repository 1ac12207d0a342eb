"""A scripted VTN of OpenADR 2.0b, and a VEN of ours that meets it in virtual time."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from secrets import token_hex
from typing import Any

from cem.io.virtual import VirtualClock, run_virtual
from cem.model.event import SignalKind
from cem.model.provider import Provider
from cem.model.resource import Resource, Role
from cem.ports import Clock, Http, HttpAnswer
from cem.runtime.ven2b import Ven2bSession
from cem.runtime.ven2b_client import Envelope
from cem.runtime.ven_notices import Ears
from cem.runtime.ven_settlement import Books
from cem.sgcp.bindings.openadr2b_signals import House
from cem.sgcp.point import ConnectionPoint
from cem.wire.openadr2b import decode, encode
from cem.wire.openadr2b.messages import (
    CanceledOpt,
    CancelOpt,
    CreatedOpt,
    CreatedPartyRegistration,
    CreateOpt,
    CreatePartyRegistration,
    DistributeEvent,
    Message,
    OadrResponse,
    Poll,
    QueryRegistration,
    RegisteredReport,
    RegisterReport,
    RequestEvent,
    UpdatedReport,
    UpdateReport,
)
from cem.wire.openadr2b.parts import (
    ActivePeriod,
    EiEvent,
    EventDescriptor,
    EventSignal,
    Profile,
    ReportRequest,
    Response,
    SignalInterval,
    SpecifierPayload,
)
from cem.wire.openadr2b.signature import Signer
from support.oadr2b import POWER
from support.ven_world import T0, MemoryStore, utility

BATTERY = Resource("battery", Role.BATTERY, "d1", "Battery")
FINE = Response(code="200", request_id="1")


@dataclass
class ScriptedVtn:
    """Answers each kind of message; `queue` is what polls bring, one after the other."""

    queue: list[Message] = field(default_factory=list)
    events: list[EiEvent] = field(default_factory=list)
    heard: list[tuple[str, Message]] = field(default_factory=list)
    vtn_id: str = "VTN-1"
    answer: Callable[[Message], HttpAnswer | None] = lambda message: None
    requests: tuple[ReportRequest, ...] = ()
    update: Response = FINE
    fine: Response = FINE
    sealed: Signer | None = None  # its messages are signed

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> HttpAnswer:
        assert method == "POST"
        message = decode(body or b"")
        self.heard.append((url.rpartition("/")[2], message))
        other = self.answer(message)
        if other is not None:
            return other
        reply = self._reply(message)
        if self.sealed is not None:
            return HttpAnswer(200, {}, self.sealed.seal(reply, datetime.now(UTC), token_hex(16)))
        return HttpAnswer(200, {}, encode(reply))

    async def close(self) -> None:
        """Nothing to close."""

    def _reply(self, message: Message) -> Message:
        if isinstance(message, QueryRegistration | CreatePartyRegistration):
            registered = isinstance(message, CreatePartyRegistration)
            return CreatedPartyRegistration(
                response=FINE,
                registration_id="reg-1" if registered else None,
                ven_id="ven-1" if registered else None,
                vtn_id=self.vtn_id,
                profiles=(Profile(name="2.0b", transports=("simpleHttp",)),),
                poll_every=timedelta(seconds=10),
            )
        if isinstance(message, RequestEvent):
            return self.distribution()
        if isinstance(message, Poll) and self.queue:
            return self.queue.pop(0)
        if isinstance(message, CreateOpt):
            return CreatedOpt(response=FINE, opt_id=message.opt_id)
        if isinstance(message, CancelOpt):
            return CanceledOpt(response=FINE, opt_id=message.opt_id)
        if isinstance(message, RegisterReport):
            return RegisteredReport(response=FINE, requests=self.requests)
        if isinstance(message, UpdateReport):
            return UpdatedReport(response=self.update)
        return OadrResponse(response=FINE)

    def distribution(self) -> DistributeEvent:
        return DistributeEvent(request_id="d1", vtn_id=self.vtn_id, events=tuple(self.events))

    def got(self, kind: type[Message]) -> list[Any]:
        return [message for _, message in self.heard if isinstance(message, kind)]


def provider_2b(**changes: Any) -> Provider:
    """A provider of OpenADR 2.0b with short times."""
    fields: dict[str, Any] = {"binding": "openadr2b", "client_id": "", "url": "http://127.0.0.1:1/v", "poll_s": 10.0}
    return utility(**{**fields, **changes})


class Home:
    """A VEN as the gateway runs it, without a house; most often in virtual time."""

    def __init__(
        self,
        clock: Clock,
        vtn: Http,
        store: MemoryStore | None = None,
        ears: Ears | None = None,
        envelope: Envelope | None = None,
        books: Books | None = None,
        point: ConnectionPoint | None = None,
        domain_below: bool = False,
        **changes: Any,
    ) -> None:
        self.clock = clock
        self.store = MemoryStore() if store is None else store
        self.provider = provider_2b(**changes)
        self.point = point or ConnectionPoint((self.provider,), resources=frozenset({"battery"}))
        self.session = Ven2bSession(
            self.provider,
            vtn,
            self.point,
            self.store,
            clock,
            Random(1),
            lambda: None,
            house=House(20_000.0, (11_000.0, 4200.0, 0.0)),
            resources=(BATTERY,),
            ears=ears,
            envelope=envelope,
            books=books,
            domain_below=domain_below,
        )
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.task = asyncio.create_task(self.session.run())

    async def stop(self) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def live(self, seconds: float, site_w: float | None = 600.0) -> None:
        """Time passes, with a sample each second."""
        for _ in range(int(seconds)):
            await asyncio.sleep(1.0)
            self.session.sample(self.clock.now(), {"site": site_w, "battery": -300.0})

    @property
    def link(self) -> Any:
        return self.point.service(self.provider.id, self.clock.now()).link

    def limits_w(self) -> list[float]:
        events = self.point.events(self.provider.id, self.clock.now())
        return [i.signals[SignalKind.IMPORT_LIMIT_W] for e in events.values() for i in e.intervals]


def played(play: Callable[[Home, ScriptedVtn], Any], vtn: ScriptedVtn | None = None, **changes: Any) -> ScriptedVtn:
    """Plays against a VTN in virtual time, the session being online at the start; the VTN with what it heard."""
    peer = vtn or ScriptedVtn()

    async def story(clock: VirtualClock) -> None:
        home = Home(clock, peer, **changes)
        home.start()
        await asyncio.sleep(1.0)
        try:
            await play(home, peer)
        finally:
            await home.stop()

    run_virtual(story, T0)
    return peer


def event(value_kw: float = 4.2, *, number: int = 0, status: str = "far", start: datetime = T0) -> EiEvent:
    hour = timedelta(hours=1)
    signal = EventSignal(
        intervals=(SignalInterval(duration=hour, uid="0", value=value_kw),),
        name="LOAD_CONTROL",
        type="x-loadControlSetpoint",
        id="s",
        unit=POWER,
    )
    descriptor = EventDescriptor(
        event_id="e1", modification_number=number, market_context="http://p.test/dimming", created_at=T0, status=status
    )
    period = ActivePeriod(start=start, duration=hour)
    return EiEvent(descriptor=descriptor, period=period, signals=(signal,), response_required="always")


def asked(request_id: str, *points: str, specifier: str = "telemetry-usage", back_s: float = 60) -> ReportRequest:
    return ReportRequest(
        request_id=request_id,
        specifier_id=specifier,
        granularity=timedelta(seconds=60),
        back=timedelta(seconds=back_s),
        payloads=tuple(SpecifierPayload(r_id=point, reading_type="Net") for point in points),
    )
