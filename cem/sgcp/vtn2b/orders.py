"""The VTN's own messages to a VEN as the operator orders them, and what is known of each VEN."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from cem.sgcp.vtn.objects import Change, Objects
from cem.sgcp.vtn2b import events, reports, waiting
from cem.sgcp.vtn2b.outgoing import read_event
from cem.sgcp.vtn2b.parties import Config2b, Parties
from cem.sgcp.vtn2b.records import ASKED, CANCELLED, Offer, Opt, Party, Request, Told, Waiting
from cem.sgcp.vtn2b.refusal import Refused
from cem.wire.openadr2b.messages import (
    CancelPartyRegistration,
    CancelReport,
    CreateReport,
    Message,
    RegisterReport,
    RequestReregistration,
)
from cem.wire.openadr2b.names import Code, ResponseRequired

Ordered = tuple[dict[str, Any], tuple[Change, ...]]


class Orders:
    """Queues messages for VENs. Each method gives what was ordered, as JSON, and what to store; raises Refused."""

    def __init__(self, config: Config2b, objects: Objects, parties: Parties) -> None:
        self._config = config
        self._objects = objects
        self._parties = parties

    def knows(self, ven_id: str) -> bool:
        """Whether a VEN of this id is admitted."""
        return self._parties.admitted(ven_id) is not None

    def want_report(self, request: Request, now: datetime) -> Ordered:
        """Asks for a report that the VEN offers, from now on where it says no start; it gets an identifier."""
        named = replace(request, request_id=self._config.new_id(), start=request.start or now)
        return self._asked(reports.wanted(request.ven_id, self._objects, named))

    def ask_offers(self, ven_id: str, now: datetime) -> Ordered:
        """Asks a VEN what it can report now."""
        return self._asked(reports.metadata_request(ven_id, self._config.new_id(), now))

    def _asked(self, request: Request) -> Ordered:
        ei_request = reports.ei_request(request)
        message = CreateReport(request_id=self._config.new_id(), requests=(ei_request,), ven_id=request.ven_id)
        shown, changes = self._queued(message, request.ven_id)
        return {**shown, "requestID": request.request_id}, (*changes, replace(request, state=ASKED).stored())

    def end_report(self, ven_id: str, request_id: str, *, to_follow: bool) -> Ordered:
        """Wants no more of a report, or a last one."""
        request = Request.find(self._objects, ven_id, request_id)
        if request is None or request.state == CANCELLED:
            raise Refused(Code.INVALID_ID, f"no report was asked for under {request_id[:128]!r}")
        message = CancelReport(
            request_id=self._config.new_id(), report_request_ids=(request_id,), to_follow=to_follow, ven_id=ven_id
        )
        return self._queued(message, ven_id)

    def tell_offers(self, ven_id: str) -> Ordered:
        """Tells a VEN what the VTN can report: nothing, which is an answer too."""
        return self._queued(RegisterReport(request_id=self._config.new_id(), ven_id=ven_id), ven_id)

    def want_registration(self, ven_id: str) -> Ordered:
        """Wants a VEN to register again."""
        return self._queued(RequestReregistration(ven_id=ven_id), ven_id)

    def end_registration(self, ven_id: str) -> Ordered:
        """Ends a VEN's registration once it was told so."""
        party = Party.find(self._objects, ven_id)
        registration_id = "" if party is None else party.registration_id
        message = CancelPartyRegistration(
            request_id=self._config.new_id(), registration_id=registration_id, ven_id=ven_id
        )
        return self._queued(message, ven_id)

    def _queued(self, message: Message, ven_id: str) -> Ordered:
        found = self._parties.registered(ven_id)
        if found is None:
            raise Refused(Code.NOT_REGISTERED, f"{ven_id} is not registered; it must come by itself")
        change = waiting.queued(message, ven_id, self._config.new_id(), self._objects)
        way = "with its next poll" if found[1].address is None else "posted to it"
        return {"venID": ven_id, "message": message.TAG, "way": way}, (change,)

    def vens(self) -> list[dict[str, Any]]:
        """Every admitted VEN in short."""
        return [self._short(admitted.ven_id, admitted.ven_name) for admitted in self._config.vens]

    def _short(self, ven_id: str, ven_name: str) -> dict[str, Any]:
        found = self._parties.registered(ven_id)
        return {
            "venID": ven_id,
            "venName": ven_name,
            "registered": None if found is None else found[1].registered_at.isoformat(),
            "pushedTo": None if found is None else found[1].address,
            "waiting": len(Waiting.of(self._objects, ven_id)),
        }

    def ven(self, ven_id: str, now: datetime) -> dict[str, Any]:
        """All that is known of a VEN."""
        admitted = self._parties.admitted(ven_id)
        opts = Opt.of(self._objects, ven_id)
        told = [one for one in Told.of(self._objects, ven_id) if one.until is None or one.until > now]
        return {
            **self._short(ven_id, "" if admitted is None else admitted.ven_name),
            "events": [
                {
                    "eventID": one.event_id,
                    "modification": one.number,
                    "cancelled": one.cancelled_at is not None,
                    "told": one.told_at is not None,
                    "answerWanted": read_event(one.xml).response_required != ResponseRequired.NEVER,
                    "answer": one.answer,
                    "code": one.answer_code,
                    "opt": events.opt_of(one, opts),
                }
                for one in told
            ],
            "opts": [one.shown() for one in opts],
            "offers": [one.shown() for one in Offer.of(self._objects, ven_id)],
            "requests": [one.shown() for one in Request.of(self._objects, ven_id)],
            "messages": [
                {"message": one.tag, "sent": one.sent_at is not None, "times": one.times}
                for one in Waiting.of(self._objects, ven_id)
            ],
        }
