"""Messages of the VTN's own, in their order, one at a time: for a VEN that asks, or posted to one that does not.

One is done with when the VEN answers it. What is not answered is said again, and given up in the end.
"""

import logging
from dataclasses import replace
from datetime import datetime

from cem.sgcp.vtn.objects import Body, Change, Objects
from cem.sgcp.vtn2b import reports
from cem.sgcp.vtn2b.events import AGAIN_AFTER, MOST_TIMES
from cem.sgcp.vtn2b.records import CANCELLED, REFUSED, Offer, Opt, Party, Request, Waiting, forgotten
from cem.sgcp.vtn2b.refusal import Refused
from cem.wire.openadr2b import decode, encode
from cem.wire.openadr2b.messages import (
    CanceledPartyRegistration,
    CanceledReport,
    CancelPartyRegistration,
    CancelReport,
    CreatedReport,
    CreateReport,
    Message,
    OadrResponse,
    RegisteredReport,
    RegisterReport,
    RequestReregistration,
)
from cem.wire.openadr2b.names import Code

_LOG = logging.getLogger(__name__)
_MOST = 20  # that wait for one VEN
_ANSWERS: dict[str, type[Message]] = {
    CreateReport.TAG: CreatedReport,
    CancelReport.TAG: CanceledReport,
    RegisterReport.TAG: RegisteredReport,
    CancelPartyRegistration.TAG: CanceledPartyRegistration,
    RequestReregistration.TAG: OadrResponse,
}


def queued(message: Message, ven_id: str, number: str, objects: Objects) -> Change:
    """The change that has a message sent after those that wait; raises Refused when too many do."""
    if len(Waiting.of(objects, ven_id)) >= _MOST:
        raise Refused(Code.NOT_ALLOWED, f"{_MOST} messages wait for this VEN already; is it there?")
    waiting = Waiting(
        ven_id=ven_id,
        number=number,
        tag=message.TAG,
        request_id=getattr(message, "request_id", ""),
        xml=encode(message).decode(),
    )
    return waiting.stored()


def first(ven: Body, objects: Objects, now: datetime) -> tuple[Waiting | None, tuple[Change, ...]]:
    """The message whose turn it is, None where none is or one is under way; and what to store of those given up."""
    changes: list[Change] = []
    for waiting in Waiting.of(objects, ven["id"]):
        if waiting.sent_at is not None and now - waiting.sent_at < AGAIN_AFTER:
            return None, tuple(changes)
        if waiting.times < MOST_TIMES:
            return waiting, tuple(changes)
        _LOG.warning("%s: %s was not answered and is given up", ven["venName"], waiting.tag)
        changes += [waiting.dropped(), *_settled(waiting, None, ven, objects)]
    return None, tuple(changes)


def sent(waiting: Waiting, now: datetime) -> Change:
    """The change that marks a message as under way."""
    return replace(waiting, sent_at=now, times=waiting.times + 1).stored()


def message_of(waiting: Waiting) -> Message:
    """The message itself."""
    return decode(waiting.xml.encode())


def settled(answer: Message, ven: Body, objects: Objects) -> tuple[Change, ...]:
    """What an answer of a VEN comes to; nothing where it answers none of our messages.

    Interpretation: an answer without the request's identifier, as some peers send it, is that to what is under way.
    """
    for waiting in Waiting.of(objects, ven["id"]):
        if waiting.sent_at is not None and _answers(answer, waiting):
            return (waiting.dropped(), *_settled(waiting, answer, ven, objects))
    return ()


def _answers(answer: Message, waiting: Waiting) -> bool:
    response = getattr(answer, "response", None)
    no = isinstance(answer, OadrResponse) and not answer.response.ok
    if not no and not isinstance(answer, _ANSWERS[waiting.tag]):
        return False
    given = "" if response is None else response.request_id
    return given in ("", waiting.request_id) or waiting.tag == RequestReregistration.TAG


def _settled(waiting: Waiting, answer: Message | None, ven: Body, objects: Objects) -> tuple[Change, ...]:
    """What follows from the answer to a message, None: it was given up."""
    message = message_of(waiting)
    if isinstance(message, CancelPartyRegistration):
        _LOG.info("%s: its registration is ended", ven["venName"])
        return forgotten(objects, ven["id"], Party, Offer, Request, Opt, Waiting)
    if isinstance(message, CreateReport):
        if isinstance(answer, CreatedReport):
            return reports.taken(answer, message, ven, objects)
        words = "it was not answered" if answer is None else _words(answer)
        found = (Request.find(objects, ven["id"], one.request_id) for one in message.requests)
        return tuple(replace(one, state=REFUSED, words=words).stored() for one in found if one is not None)
    if isinstance(message, CancelReport):
        if isinstance(answer, CanceledReport):
            return reports.cancelled(answer, message, ven, objects)
        found = (Request.find(objects, ven["id"], one) for one in message.report_request_ids)
        return tuple(replace(one, state=CANCELLED, last_at=None).stored() for one in found if one is not None)
    return ()


def _words(answer: Message) -> str:
    response = getattr(answer, "response", None)
    return "" if response is None else f"{response.code} {response.description or ''}".strip()[:200]
