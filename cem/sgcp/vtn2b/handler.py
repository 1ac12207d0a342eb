"""The VTN of OpenADR 2.0b: a message in, an answer and the changes to store out.

A VEN is admitted beforehand: by the fingerprint of its certificate, or by its name where there is no TLS (on this
machine). Once it registers it is a ven of the VTN's objects, its venID being its id and its client. Targets that the
business logic grants it decide which events it sees, as with 3.1.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cem.sgcp.vtn.objects import Body, Change, Objects
from cem.sgcp.vtn.privacy import Sight
from cem.sgcp.vtn.tokens import Role
from cem.sgcp.vtn2b.measured import report_body
from cem.sgcp.vtn2b.outgoing import ei_event
from cem.wire.openadr2b.messages import (
    CanceledOpt,
    CanceledPartyRegistration,
    CancelOpt,
    CancelPartyRegistration,
    CreatedEvent,
    CreatedOpt,
    CreatedPartyRegistration,
    CreatedReport,
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
    RequestReregistration,
    UpdatedReport,
    UpdateReport,
)
from cem.wire.openadr2b.names import Code, Service, Transport
from cem.wire.openadr2b.parts import EiEvent, Profile, Report, ReportRequest, Response, SpecifierPayload
from cem.wire.openadr3 import ObjectType, format_datetime

_LOG = logging.getLogger(__name__)
_REGISTRATION = "OPENADR_2B_REGISTRATION"
_PROFILES = (Profile(name="2.0b", transports=(Transport.HTTP,)),)
_USAGE = "METADATA_TELEMETRY_USAGE"


@dataclass(frozen=True, slots=True)
class Admitted:
    """A VEN that may register. `fingerprint` None: nobody checks, for a VTN without TLS."""

    ven_id: str
    ven_name: str
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Config2b:
    """What it is made with. `vtn_id` has an upper-case letter, or one known peer refuses it."""

    vens: tuple[Admitted, ...]
    new_id: Callable[[], str]
    vtn_id: str = "CEM-VTN"
    poll_every: timedelta = timedelta(seconds=10)
    report_every: timedelta = timedelta(seconds=60)


@dataclass(slots=True)
class _Told:
    """What a VEN was told since this VTN runs."""

    events: tuple[tuple[str, int], ...] | None = None
    opts: dict[tuple[str, int], str] = field(default_factory=dict)
    schedules: dict[str, CreateOpt] = field(default_factory=dict)


class Refused(Exception):  # noqa: N818 - an answer, not an error
    """A request that is answered with a code and has no effect."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Vtn2b:
    """A VTN over `objects`. Call `respond`, store the changes, take them into the objects, then send the answer."""

    def __init__(self, config: Config2b, objects: Objects) -> None:
        self._config = config
        self._objects = objects
        self._told: dict[str, _Told] = {}
        self._by_id = {ven.ven_id: ven for ven in config.vens}

    def opt_of(self, ven_id: str, event_id: str) -> str | None:
        """What a VEN answered last to an event; None: nothing yet, since this VTN runs."""
        told = self._told.get(ven_id)
        found = [opt for (event, _), opt in told.opts.items() if event == event_id] if told is not None else []
        return found[-1] if found else None

    def respond(
        self, message: Message, service: str, fingerprint: str | None, now: datetime
    ) -> tuple[Message, tuple[Change, ...]]:
        """The answer to a message at a service; `fingerprint` is that of the client's certificate."""
        request_id = getattr(message, "request_id", "") or ""
        try:
            if service != message.SERVICE and not isinstance(message, OadrResponse):
                raise Refused(Code.COMPLIANCE, f"{message.TAG} is not for {service}")
            return self._respond(message, fingerprint, now)
        except Refused as refused:
            _LOG.warning("%s refused (%d): %s", message.TAG, refused.code, refused)
            response = Response(code=str(int(refused.code)), description=str(refused), request_id=request_id)
            return self._refusal(message, response), ()

    def _refusal(self, message: Message, response: Response) -> Message:
        if isinstance(message, CreatePartyRegistration):
            vtn_id = self._config.vtn_id
            return CreatedPartyRegistration(response=response, vtn_id=vtn_id, profiles=_PROFILES)
        if isinstance(message, RequestEvent):
            return DistributeEvent(response=response, request_id=message.request_id, vtn_id=self._config.vtn_id)
        return OadrResponse(response=response)

    def _respond(self, message: Message, fingerprint: str | None, now: datetime) -> tuple[Message, tuple[Change, ...]]:
        fine = Response(code="200", description="OK", request_id=getattr(message, "request_id", "") or "")
        if isinstance(message, QueryRegistration):
            return self._registration(fine, None), ()
        if isinstance(message, CreatePartyRegistration):
            return self._register(message, fine, fingerprint, now)
        ven_id = getattr(message, "ven_id", None)
        ven = self._known(ven_id, fingerprint)
        if ven is None:
            return RequestReregistration(ven_id=ven_id or ""), ()
        told = self._told.setdefault(ven["id"], _Told())
        if isinstance(message, CancelPartyRegistration):
            return self._cancel(message, fine, ven)
        if isinstance(message, Poll):
            return self._poll(message, ven, told, now), ()
        if isinstance(message, RequestEvent):
            return self._distribution(fine, message.request_id, ven, told, now, message.reply_limit), ()
        if isinstance(message, CreatedEvent):
            return self._opted(message, ven, told), ()
        if isinstance(message, CreateOpt | CancelOpt):
            return self._opt(message, fine, ven, told), ()
        return self._report(message, fine, ven, now)

    def _opt(self, message: CreateOpt | CancelOpt, fine: Response, ven: Body, told: _Told) -> Message:
        if isinstance(message, CreateOpt):
            told.schedules[message.opt_id] = message
            _LOG.info("%s: %s (%s), opt %s", ven["venName"], message.opt_type, message.reason, message.opt_id)
            return CreatedOpt(response=fine, opt_id=message.opt_id)
        if told.schedules.pop(message.opt_id, None) is None:
            raise Refused(Code.INVALID_ID, f"no opt {message.opt_id[:60]!r}")
        return CanceledOpt(response=fine, opt_id=message.opt_id)

    def _report(self, message: Message, fine: Response, ven: Body, now: datetime) -> tuple[Message, tuple[Change, ...]]:
        if isinstance(message, RegisterReport):
            return RegisteredReport(response=fine, requests=self._wanted(message, ven), ven_id=ven["id"]), ()
        if isinstance(message, UpdateReport):
            changes = tuple(self._reported(message, ven, now))
            return UpdatedReport(response=fine, ven_id=ven["id"]), changes
        if isinstance(message, CreatedReport | RegisteredReport | CanceledPartyRegistration | OadrResponse):
            return OadrResponse(response=fine, ven_id=ven["id"]), ()
        raise Refused(Code.COMPLIANCE, f"{message.TAG} is nothing that a VEN sends")

    # --- registration ------------------------------------------------------------------------------------------

    def _registration(self, response: Response, ven: Body | None) -> CreatedPartyRegistration:
        return CreatedPartyRegistration(
            response=response,
            registration_id=None if ven is None else _registration_of(ven),
            ven_id=None if ven is None else ven["id"],
            vtn_id=self._config.vtn_id,
            profiles=_PROFILES,
            poll_every=self._config.poll_every,
        )

    def _register(
        self, message: CreatePartyRegistration, response: Response, fingerprint: str | None, now: datetime
    ) -> tuple[Message, tuple[Change, ...]]:
        admitted = self._admitted(message, fingerprint)
        if message.profile != "2.0b" or message.transport != Transport.HTTP or message.pull is False:
            raise Refused(Code.DEPLOYMENT, "2.0b over simple HTTP, with the VEN asking, is served here")
        held = self._objects.get(ObjectType.VEN, admitted.ven_id)
        if message.registration_id is not None and (held is None or _registration_of(held) != message.registration_id):
            raise Refused(Code.INVALID_ID, "this registration is not known; register without it")
        if held is not None and message.registration_id is not None:
            return self._registration(response, held), ()
        stamp = format_datetime(now)
        attributes = [] if held is None else held.get("attributes", ())
        others = [attribute for attribute in attributes if attribute["type"] != _REGISTRATION]
        body = {
            **({} if held is None else held),
            "id": admitted.ven_id,
            "objectType": "VEN",
            "createdDateTime": stamp if held is None else held["createdDateTime"],
            "modificationDateTime": stamp,
            "clientID": admitted.ven_id,
            "venName": admitted.ven_name,
            "attributes": [*others, {"type": _REGISTRATION, "values": [self._config.new_id()]}],
        }
        _LOG.info("%s registered with OpenADR 2.0b", admitted.ven_name)
        self._told.pop(admitted.ven_id, None)
        return self._registration(response, body), (Change(ObjectType.VEN.value, admitted.ven_id, body),)

    def _admitted(self, message: CreatePartyRegistration, fingerprint: str | None) -> Admitted:
        for ven in self._config.vens:
            named = message.ven_id in (None, ven.ven_id) and message.ven_name in (None, ven.ven_name)
            if named and (message.ven_id or message.ven_name or fingerprint) and ven.fingerprint == fingerprint:
                return ven
        who = message.ven_name or message.ven_id or "a VEN without a name"
        raise Refused(Code.NOT_REGISTERED, f"{who[:60]!r} is not admitted with the fingerprint {fingerprint}")

    def _known(self, ven_id: str | None, fingerprint: str | None) -> Body | None:
        """The ven that speaks; None where it must register first. Raises Refused for the venID of somebody else."""
        admitted = self._by_id.get(ven_id or "")
        if admitted is None or admitted.fingerprint != fingerprint:
            raise Refused(
                Code.NOT_REGISTERED, f"venID {str(ven_id)[:60]!r} does not go with the fingerprint {fingerprint}"
            )
        held = self._objects.get(ObjectType.VEN, admitted.ven_id)
        return held if held is not None and _registration_of(held) is not None else None

    def _cancel(
        self, message: CancelPartyRegistration, response: Response, ven: Body
    ) -> tuple[Message, tuple[Change, ...]]:
        own = _registration_of(ven)
        if message.registration_id != own:
            raise Refused(Code.INVALID_ID, "this registration is not known")
        self._told.pop(ven["id"], None)
        answer = CanceledPartyRegistration(response=response, registration_id=own, ven_id=ven["id"])
        others = [attribute for attribute in ven["attributes"] if attribute["type"] != _REGISTRATION]
        return answer, (Change(ObjectType.VEN.value, ven["id"], {**ven, "attributes": others}),)

    # --- events ------------------------------------------------------------------------------------------------

    def _poll(self, message: Poll, ven: Body, told: _Told, now: datetime) -> Message:
        fine = Response(code="200", description="OK", request_id="")
        if _versions(self._events(ven, now)) != (told.events or ()):
            return self._distribution(fine, self._config.new_id(), ven, told, now)
        return OadrResponse(response=fine, ven_id=message.ven_id)

    def _distribution(
        self, response: Response, request_id: str, ven: Body, told: _Told, now: datetime, limit: int | None = None
    ) -> DistributeEvent:
        events = self._events(ven, now)
        told.events = _versions(events)
        shown = events if limit is None else events[: max(limit, 0)]
        return DistributeEvent(
            response=response, request_id=request_id, vtn_id=self._config.vtn_id, events=tuple(shown)
        )

    def _events(self, ven: Body, now: datetime) -> list[EiEvent]:
        """What a VEN sees, active ones first, then by priority and start."""
        sight = Sight.of(ven["clientID"], Role.VEN, self._objects)
        found = []
        for event in self._objects.all(ObjectType.EVENT):
            program = self._objects.get(ObjectType.PROGRAM, event["programID"])
            if program is not None and sight.sees(ObjectType.EVENT, event, self._objects):
                made = ei_event(event, program, ven["id"], now)
                if made is not None:
                    found.append(made)
        return sorted(found, key=lambda e: (e.period.start > now, e.descriptor.priority or 2**32, e.period.start))

    def _opted(self, message: CreatedEvent, ven: Body, told: _Told) -> OadrResponse:
        known = dict(told.events or ())
        for answer in message.answers:
            event_id, number = answer.event.event_id, answer.event.modification_number
            if event_id not in known:
                raise Refused(Code.INVALID_ID, f"no event {event_id[:60]!r}")
            told.opts.pop((event_id, number), None)
            told.opts[event_id, number] = answer.opt_type
            _LOG.info("%s: event %s: %s (%s)", ven["venName"], event_id, answer.opt_type, answer.code)
        response = Response(code="200", description="OK", request_id=message.response.request_id)
        return OadrResponse(response=response, ven_id=ven["id"])

    # --- reports -----------------------------------------------------------------------------------------------

    def _wanted(self, message: RegisterReport, ven: Body) -> tuple[ReportRequest, ...]:
        """All usage that is offered is asked for. A request's id is made of the VEN and what it offers."""
        return tuple(
            ReportRequest(
                request_id=f"{ven['id']}.{report.specifier_id}",
                specifier_id=report.specifier_id,
                granularity=self._config.report_every,
                back=self._config.report_every,
                payloads=tuple(SpecifierPayload(r_id=d.r_id, reading_type=d.reading_type) for d in report.descriptions),
            )
            for report in message.reports
            if _is_usage(report) and report.descriptions
        )

    def _reported(self, message: UpdateReport, ven: Body, now: datetime) -> Iterator[Change]:
        for report in message.reports:
            object_id = self._config.new_id()
            body = report_body(report, ven, object_id, now)
            if body is not None:
                yield Change(ObjectType.REPORT.value, object_id, body)


def _is_usage(report: Report) -> bool:
    return report.name == _USAGE


def _versions(events: list[EiEvent]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((e.descriptor.event_id, e.descriptor.modification_number) for e in events))


def _registration_of(ven: Body) -> str | None:
    for attribute in ven.get("attributes", ()):
        if attribute["type"] == _REGISTRATION:
            return str(attribute["values"][0])
    return None


SERVICES = frozenset(service.value for service in Service)
