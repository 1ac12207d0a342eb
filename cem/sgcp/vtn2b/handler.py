"""The VTN of OpenADR 2.0b: a message in, an answer and the changes to store out; and what it has to say by itself."""

import logging
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cem.sgcp.vtn.objects import Body, Change, Objects
from cem.sgcp.vtn2b import events, opts, reports, waiting
from cem.sgcp.vtn2b.orders import Orders
from cem.sgcp.vtn2b.parties import Config2b, Parties
from cem.sgcp.vtn2b.records import Opt, Told, Waiting
from cem.sgcp.vtn2b.refusal import Refused, fine, refused
from cem.wire.openadr2b.messages import (
    CanceledOpt,
    CanceledPartyRegistration,
    CanceledReport,
    CancelOpt,
    CancelPartyRegistration,
    CancelReport,
    CreatedEvent,
    CreatedOpt,
    CreatedReport,
    CreateOpt,
    CreatePartyRegistration,
    CreateReport,
    DistributeEvent,
    Message,
    OadrResponse,
    Poll,
    QueryRegistration,
    RegisteredReport,
    RegisterReport,
    RequestEvent,
    RequestReregistration,
    UpdatedReport,
    UpdateReport,
)
from cem.wire.openadr2b.names import Code, Service
from cem.wire.openadr2b.parts import EiEvent, Response
from cem.wire.openadr3 import ObjectType

_LOG = logging.getLogger(__name__)
SERVICES = frozenset(service.value for service in Service)
_FEW_EVENTS = 20
_OF_THE_SENDER = (Code.NOT_REGISTERED, Code.COMPLIANCE)
"""Who speaks, or where, is wrong: what a message asks was not looked at, so its service has nothing to say."""
Answer = tuple[Message, tuple[Change, ...]]


@dataclass(frozen=True, slots=True)
class Post:
    """A message that is to be posted to a VEN: below `address`, at its service."""

    ven_id: str
    ven_name: str
    address: str
    fingerprint: str | None
    message: Message
    waiting: str = ""  # of which waiting message; "": what carries events


def _typed(message: Message, response: Response) -> Message:
    """A refusal of what a message asks, as its service answers it."""
    match message:
        case CreateOpt():
            return CreatedOpt(response=response, opt_id=message.opt_id)
        case CancelOpt():
            return CanceledOpt(response=response, opt_id=message.opt_id)
        case RegisterReport():
            return RegisteredReport(response=response, ven_id=message.ven_id)
        case UpdateReport():
            return UpdatedReport(response=response, ven_id=message.ven_id)
        case CreateReport():
            return CreatedReport(response=response, ven_id=message.ven_id)
        case CancelReport():
            return CanceledReport(response=response, ven_id=message.ven_id)
        case CancelPartyRegistration():
            return CanceledPartyRegistration(
                response=response, registration_id=message.registration_id, ven_id=message.ven_id
            )
    return OadrResponse(response=response)


@lru_cache(maxsize=1024)
def _nothing_new(ven_id: str) -> OadrResponse:
    """What most polls are answered with."""
    return OadrResponse(response=fine(), ven_id=ven_id)


class Vtn2b:
    """A VTN over `objects`. Call a method, store the changes, take them into the objects, then send the answer."""

    def __init__(self, config: Config2b, objects: Objects) -> None:
        self._config = config
        self._objects = objects
        self.parties = Parties(config, objects)
        self.orders = Orders(config, objects, self.parties)
        self.heard: dict[str, datetime] = {}  # when each registered VEN last said something

    @property
    def is_light(self) -> bool:
        """Whether a poll is answered within milliseconds: there are few events to look through."""
        return len(self._objects.all(ObjectType.EVENT)) <= _FEW_EVENTS

    def opt_of(self, ven_id: str, event_id: str) -> str | None:
        """Whether a VEN takes part in an event; None: it did not say yet."""
        told = Told.find(self._objects, ven_id, event_id)
        return None if told is None else events.opt_of(told, Opt.of(self._objects, ven_id))

    def respond(
        self,
        message: Message,
        service: str,
        fingerprint: str | None,
        now: datetime,
        address_fault: str | None = None,
    ) -> Answer:
        """The answer to a message at a service; `fingerprint` is that of the client's certificate.

        `address_fault` is what is wrong with the address of a VEN that registers to be pushed to.
        """
        try:
            if service != message.SERVICE and not isinstance(message, OadrResponse):
                raise Refused(Code.COMPLIANCE, f"{message.TAG} is not for {service}")
            if isinstance(message, QueryRegistration):
                return self.parties.offer(fine(message.request_id)), ()
            if isinstance(message, CreatePartyRegistration):
                return self.parties.register(message, fingerprint, address_fault, now)
            ven_id = getattr(message, "ven_id", None)
            ven = self.parties.known(ven_id, fingerprint)
            if ven is None:
                return RequestReregistration(ven_id=ven_id or ""), ()
            self.heard[ven["id"]] = now
            return self._respond(message, ven, now)
        except Refused as refusal:
            return self._refusal(message, refusal), ()

    def take(self, post: Post, answer: Message, now: datetime) -> Answer:
        """Takes in what a VEN answered to a posted message, as if it had sent it by itself."""
        found = self.parties.registered(post.ven_id)
        try:
            if getattr(answer, "ven_id", None) not in (None, "", post.ven_id):
                raise Refused(Code.INVALID_ID, "it is in the name of another VEN")
            if found is None:
                raise Refused(Code.NOT_REGISTERED, "the VEN is no longer registered")
            self.heard[post.ven_id] = now
            return self._respond(answer, found[0], now)
        except Refused as refusal:
            return self._refusal(answer, refusal), ()

    def _refusal(self, message: Message, refusal: Refused) -> Message:
        _LOG.warning("%s refused (%d): %s", message.TAG, refusal.code, refusal)
        request_id = getattr(message, "request_id", "") or ""
        response = refused(refusal.code, str(refusal), request_id)
        if isinstance(message, CreatePartyRegistration):
            return self.parties.offer(response)
        if isinstance(message, RequestEvent):
            return DistributeEvent(response=response, request_id=request_id, vtn_id=self._config.vtn_id)
        if refusal.code not in _OF_THE_SENDER:
            return _typed(message, response)
        return OadrResponse(response=response)

    def _respond(self, message: Message, ven: Body, now: datetime) -> Answer:
        objects, ven_id = self._objects, ven["id"]
        match message:
            case Poll():
                return self._poll(ven, now)
            case RequestEvent():
                shown, changes = events.listed(ven, objects, now).told(now, message.reply_limit)
                return self._distribution(message.request_id, shown), changes
            case CreatedEvent():
                response, changes = events.answered(message, ven, objects)
                return OadrResponse(response=response, ven_id=ven_id), changes
            case CreateOpt():
                return opts.created(message, ven, objects, now)
            case CancelOpt():
                return opts.cancelled(message, ven, objects)
            case CancelPartyRegistration():
                return self.parties.cancelled(message, ven)
            case CanceledPartyRegistration() | OadrResponse():
                return self._fine(message, ven), waiting.settled(message, ven, objects)
        return self._reported(message, ven, now)

    def _reported(self, message: Message, ven: Body, now: datetime) -> Answer:
        objects = self._objects
        match message:
            case RegisterReport():
                return reports.registered(message, ven, objects, self._config.report_every, now)
            case UpdateReport():
                return reports.updated(message, ven, objects, self._config.new_id, now)
            case CreateReport():
                return self._asked(message, ven)
            case CancelReport():
                return reports.ended_by_ven(message, ven), ()
            case RegisteredReport():
                answer = reports.accepted_by_ven(message, ven)
                return answer or self._fine(message, ven), waiting.settled(message, ven, objects)
            case CreatedReport() | CanceledReport():
                return self._fine(message, ven), waiting.settled(message, ven, objects)
        raise Refused(Code.COMPLIANCE, f"{message.TAG} is nothing that a VEN sends")

    def _fine(self, message: Message, ven: Body) -> OadrResponse:
        return OadrResponse(response=fine(getattr(message, "request_id", "") or ""), ven_id=ven["id"])

    def _asked(self, message: CreateReport, ven: Body) -> Answer:
        answer, metadata = reports.asked_by_ven(message, ven)
        if metadata is None:
            return answer, ()
        register = RegisterReport(request_id=self._config.new_id(), ven_id=ven["id"], report_request_id=metadata)
        return answer, (waiting.queued(register, ven["id"], self._config.new_id(), self._objects),)

    def _distribution(self, request_id: str, shown: tuple[EiEvent, ...]) -> DistributeEvent:
        return DistributeEvent(
            response=fine(request_id), request_id=request_id, vtn_id=self._config.vtn_id, events=shown
        )

    def _poll(self, ven: Body, now: datetime) -> Answer:
        """Events first, then what waits, then nothing."""
        listed = events.listed(ven, self._objects, now)
        if listed.due:
            shown, changes = listed.told(now)
            return self._distribution(self._config.new_id(), shown), changes
        turn, changes = waiting.first(ven, self._objects, now)
        if turn is not None:
            return waiting.message_of(turn), (*changes, waiting.sent(turn, now))
        return _nothing_new(ven["id"]), changes

    def to_post(self, ven_id: str, now: datetime) -> tuple[Post | None, tuple[Change, ...]]:
        """What is to be posted to a VEN next, None: nothing; and what to store before that."""
        found = self.parties.registered(ven_id)
        admitted = self.parties.admitted(ven_id)
        if found is None or admitted is None or found[1].address is None:
            return None, ()
        ven, party = found
        post = (ven_id, ven["venName"], party.address or "", admitted.fingerprint)
        listed = events.listed(ven, self._objects, now)
        if listed.due:
            shown, _ = listed.told(now)
            message = self._distribution(self._config.new_id(), shown)
            return Post(*post, message), (*listed.forgotten, *listed.begun())
        turn, changes = waiting.first(ven, self._objects, now)
        if turn is None:
            return None, changes
        return Post(*post, waiting.message_of(turn), turn.number), changes

    def posted(self, post: Post, now: datetime) -> tuple[None, tuple[Change, ...]]:
        """What to store once a VEN has taken a message."""
        if isinstance(post.message, DistributeEvent):
            return None, events.delivered(post.message, post.ven_id, self._objects, now)
        turn = Waiting.find(self._objects, post.ven_id, post.waiting)
        return None, () if turn is None else (waiting.sent(turn, now),)
