"""What a write must fulfil, and the object that comes of it: one function per object type.

The metadata of a request's body are ignored (Definition, "POST and PUT"); an objectType of something else is refused.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from cem.sgcp.vtn.answers import RefusedRequest
from cem.sgcp.vtn.notices import GIVEN_UP
from cem.sgcp.vtn.objects import Body, Objects
from cem.sgcp.vtn.privacy import Sight
from cem.sgcp.vtn.tokens import Grant, Role
from cem.wire.http import HttpRequest
from cem.wire.openadr3 import (
    EventRequest,
    Message,
    ObjectType,
    Operation,
    ProgramRequest,
    ReportRequest,
    ResourceRequest,
    Subscription,
    SubscriptionRequest,
    VenRequest,
    WireError,
    decode,
    to_json,
    validate,
)

METADATA = ("id", "createdDateTime", "modificationDateTime", "objectType")
_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")
_JSON_TYPES = ("", "application/json")
MAX_CALLBACKS = 8  # of one subscription: each is called before the subscription is made
Draft = dict[str, Any]
Proofs = Mapping["Callback", str | None]
"""Callbacks that were asked for the echo: None for a right one, else what was wrong."""


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback of a subscription, as it is to be asked for its echo."""

    url: str
    bearer_token: str | None = field(repr=False)


class UnprovenCallbacksError(Exception):
    """These callbacks must be asked for their echo before the write can be judged."""

    def __init__(self, callbacks: Iterable[Callback]) -> None:
        super().__init__()
        self.callbacks = tuple(callbacks)


@dataclass(frozen=True, slots=True)
class Write:
    """A write by a client: the decoded body, what was there before (None for POST), what callbacks echoed."""

    draft: Draft
    existing: Body | None
    grant: Grant
    objects: Objects
    proofs: Proofs

    @property
    def by_ven(self) -> bool:
        """Whether a VEN writes."""
        return self.grant.role is Role.VEN

    def knows(self, kind: ObjectType, object_id: str) -> bool:
        """Whether there is such an object that the client may see; what it may not see does not exist for it."""
        body = self.objects.get(kind, object_id)
        return body is not None and Sight.of(self.grant.client_id, self.grant.role, self.objects).sees(
            kind, body, self.objects
        )

    def others(self, kind: ObjectType) -> list[Body]:
        """All objects of a type but the one that is replaced."""
        own = self.existing["id"] if self.existing is not None else None
        return [body for body in self.objects.all(kind) if body["id"] != own]


def _bad(detail: str) -> RefusedRequest:
    return RefusedRequest(HTTPStatus.BAD_REQUEST, detail)


def _conflict(detail: str) -> RefusedRequest:
    return RefusedRequest(HTTPStatus.CONFLICT, detail)


def read_draft(kind: ObjectType, request: HttpRequest) -> Draft:
    """The body of a POST or PUT as JSON values, checked against its schema; refuses with 400 or 415."""
    message: type[Message] = _REQUESTS[kind]
    content = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content not in _JSON_TYPES and not content.endswith("+json"):
        raise RefusedRequest(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"content type {content[:80]!r}; application/json is allowed"
        )
    try:
        decoded = decode(message, request.body)
        draft = to_json(decoded)
        _check_type(kind, draft.get("objectType", kind))
        for name in METADATA:
            draft.pop(name, None)
        if kind is ObjectType.SUBSCRIPTION:
            _check_operations(validate(Subscription, {**draft, "id": "0"}))
    except WireError as error:
        raise _bad(f"{kind.lower()}: {error}") from error
    return draft


def _check_type(kind: ObjectType, seen: object) -> None:
    allowed = {kind.value}
    if kind in (ObjectType.VEN, ObjectType.RESOURCE):
        allowed |= {f"VEN_{kind}_REQUEST", f"BL_{kind}_REQUEST"}
    if seen not in allowed:
        raise WireError("objectType", f"{str(seen)[:80]!r}; allowed here: {', '.join(sorted(allowed))}")


def _check_operations(subscription: Subscription) -> None:
    urls = {entry.callback_url for entry in subscription.object_operations}
    if len(urls) > MAX_CALLBACKS:
        raise WireError("objectOperations", f"{len(urls)} different callbacks; {MAX_CALLBACKS} are allowed")
    for number, entry in enumerate(subscription.object_operations):
        path = f"objectOperations[{number}]"
        for name, seen, allowed in (
            ("objects", entry.objects, ObjectType),
            ("operations", entry.operations, Operation),
        ):
            strange = sorted(set(seen) - set(allowed))
            if strange:
                raise WireError(f"{path}.{name}", f"{strange[0]!r}; allowed: {', '.join(allowed)}")
        if not entry.callback_url.lower().startswith(("http://", "https://")):
            raise WireError(f"{path}.callbackUrl", f"{entry.callback_url[:80]!r}; an https URL is allowed")
        if entry.bearer_token is not None and _TOKEN.fullmatch(entry.bearer_token) is None:
            raise WireError(f"{path}.bearerToken", "has characters that a header can't carry, or none")


def _program(write: Write) -> Draft:
    name = write.draft["programName"]
    if any(other["programName"] == name for other in write.others(ObjectType.PROGRAM)):
        raise _conflict(f"a program named {name!r} exists; programName is unique in this VTN")
    return write.draft


def _event(write: Write) -> Draft:
    program_id = write.draft["programID"]
    if not write.knows(ObjectType.PROGRAM, program_id):
        raise _conflict(f"programID {program_id!r}: no such program; create it first")
    return write.draft


def _report(write: Write) -> Draft:
    """Interpretation: report names are not unique (Definition, "Object names"), so a second report of the same name
    is a new one; but a repetition of a POST, as after a lost answer, is a conflict and stores nothing, whatever
    attributes beyond the schema it has.
    A report outlives its event: it stays, and may still be completed.
    """
    event_id = write.draft["eventID"]
    unchanged = write.existing is not None and write.existing["eventID"] == event_id
    if not unchanged and not write.knows(ObjectType.EVENT, event_id):
        raise _conflict(f"eventID {event_id!r}: no such event")
    draft = {**write.draft, "clientID": write.grant.client_id}
    if write.existing is None:
        for other in write.objects.referring(ObjectType.REPORT, "eventID", event_id):
            if other["clientID"] == draft["clientID"] and _report_content(other) == _report_content(draft):
                raise _conflict(f"this very report exists as {other['id']}; change it with PUT /reports/{other['id']}")
    return draft


_REPORT_NAMES = {"clientID", *(field.alias or name for name, field in ReportRequest.model_fields.items())}


def _report_content(body: Body) -> Draft:
    return {name: value for name, value in body.items() if name in _REPORT_NAMES}


def _subscription(write: Write) -> Draft:
    program_id = write.draft.get("programID")
    if program_id is not None and not write.knows(ObjectType.PROGRAM, program_id):
        raise _conflict(f"programID {program_id!r}: no such program")
    callbacks = dict.fromkeys(
        Callback(entry["callbackUrl"], entry.get("bearerToken")) for entry in write.draft["objectOperations"]
    )
    unproven = [callback for callback in callbacks if callback not in write.proofs]
    if unproven:
        raise UnprovenCallbacksError(unproven)
    for callback in callbacks:
        if (fault := write.proofs[callback]) is not None:
            raise _bad(f"subscription: callbackUrl {callback.url[:200]}: {fault}")
    owner = write.existing["clientID"] if write.existing is not None else write.grant.client_id
    return {name: value for name, value in write.draft.items() if name != GIVEN_UP} | {"clientID": owner}


def _ven(write: Write) -> Draft:
    """Only business logic writes clientID and targets; from a VEN they are ignored and stay what they were."""
    draft = _owned_by_ven(write) if write.by_ven else dict(write.draft)
    if write.existing is not None:
        draft.setdefault("clientID", write.existing["clientID"])
    if not draft.get("clientID"):
        raise _bad("ven: clientID: is missing; business logic says whose ven it is")
    name = draft["venName"]
    if any(other["venName"] == name for other in write.others(ObjectType.VEN)):
        raise _conflict(f"a ven named {name!r} exists; venName is unique in this VTN")
    return draft


def _resource(write: Write) -> Draft:
    draft = _owned_by_ven(write) if write.by_ven else dict(write.draft)
    ven = write.objects.get(ObjectType.VEN, draft["venID"])
    if ven is None or not write.knows(ObjectType.VEN, draft["venID"]):
        raise _conflict(f"venID {draft['venID']!r}: no such ven; create it first")
    if draft.setdefault("clientID", ven["clientID"]) != ven["clientID"]:
        raise _bad(f"resource: clientID: {draft['clientID']!r} is not the client of ven {draft['venID']}")
    name = draft["resourceName"]
    own_id = write.existing["id"] if write.existing is not None else None
    siblings = write.objects.referring(ObjectType.RESOURCE, "venID", draft["venID"])
    if any(other["resourceName"] == name and other["id"] != own_id for other in siblings):
        raise _conflict(f"ven {draft['venID']} has a resource named {name!r}; resourceName is unique in its ven")
    return draft


def _owned_by_ven(write: Write) -> Draft:
    draft = {**write.draft, "clientID": write.grant.client_id}
    draft.pop("targets", None)
    if write.existing is not None and "targets" in write.existing:
        draft["targets"] = write.existing["targets"]
    return draft


_REQUESTS: dict[ObjectType, type[Message]] = {
    ObjectType.PROGRAM: ProgramRequest,
    ObjectType.EVENT: EventRequest,
    ObjectType.REPORT: ReportRequest,
    ObjectType.SUBSCRIPTION: SubscriptionRequest,
    ObjectType.VEN: VenRequest,
    ObjectType.RESOURCE: ResourceRequest,
}

CHECKS: dict[ObjectType, Callable[[Write], Draft]] = {
    ObjectType.PROGRAM: _program,
    ObjectType.EVENT: _event,
    ObjectType.REPORT: _report,
    ObjectType.SUBSCRIPTION: _subscription,
    ObjectType.VEN: _ven,
    ObjectType.RESOURCE: _resource,
}
