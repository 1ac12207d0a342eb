"""The VTN: a request in, an answer and the changes to store out. No socket, no clock, no disk."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from itertools import islice
from types import MappingProxyType
from typing import TypeVar

from cem.sgcp.vtn.answers import RefusedRequest, json_answer, text_answer
from cem.sgcp.vtn.notices import FILTERED, GIVEN_UP, News, news_of
from cem.sgcp.vtn.objects import Change, Objects
from cem.sgcp.vtn.privacy import TARGETED, Sight
from cem.sgcp.vtn.queries import Filter, Query
from cem.sgcp.vtn.tokens import Client, Grant, Issued, Role, Tokens
from cem.sgcp.vtn.topics import MqttOffer, notifiers, topics_for
from cem.sgcp.vtn.writes import CHECKS, Callback, Draft, Proofs, UnprovenCallbacksError, Write, read_draft
from cem.wire.http import HttpRequest, HttpResponse
from cem.wire.openadr3 import ObjectType, Scope, format_datetime, parse_datetime, to_json

BASE_PATH = "/openadr3/3.1.0"
_ORIGIN = re.compile(r"https?://[A-Za-z0-9._%\[\]:-]{1,255}")
_TICK = timedelta(milliseconds=1)
T = TypeVar("T")
_NO_PROOFS: Proofs = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request comes to: its answer, and the changes that must be durable before it is sent.

    `issued` is a token that its client may use elsewhere from now on: a new one, or the first seen after a restart.
    With `unproven` callbacks nothing is decided: ask them for their echo, then call `respond` again with the proofs.
    """

    answer: HttpResponse
    changes: tuple[Change, ...] = ()
    unproven: tuple[Callback, ...] = ()
    issued: Issued | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """How many objects a VTN has, and when a VEN last asked for something."""

    vens: int = 0
    programs: int = 0
    events: int = 0
    reports: int = 0
    heard_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Collection:
    """One of the six collections: its path, its type, the scopes that reading and writing need."""

    segment: str
    kind: ObjectType
    read: tuple[Scope, ...]
    write: Scope


COLLECTIONS = {
    collection.segment: collection
    for collection in (
        Collection("programs", ObjectType.PROGRAM, (Scope.READ_TARGETS, Scope.READ_ALL), Scope.WRITE_PROGRAMS),
        Collection("events", ObjectType.EVENT, (Scope.READ_TARGETS, Scope.READ_ALL), Scope.WRITE_EVENTS),
        Collection("reports", ObjectType.REPORT, (Scope.READ_VEN_OBJECTS, Scope.READ_ALL), Scope.WRITE_REPORTS),
        Collection(
            "subscriptions",
            ObjectType.SUBSCRIPTION,
            (Scope.READ_VEN_OBJECTS, Scope.READ_ALL),
            Scope.WRITE_SUBSCRIPTIONS,
        ),
        Collection("vens", ObjectType.VEN, (Scope.READ_VEN_OBJECTS, Scope.READ_ALL), Scope.WRITE_VENS),
        Collection("resources", ObjectType.RESOURCE, (Scope.READ_VEN_OBJECTS, Scope.READ_ALL), Scope.WRITE_VENS),
    )
}


@dataclass(frozen=True, slots=True)
class VtnConfig:
    """What a VTN is made with. The two sources give a fresh text of letters, digits, - and _ at each call.

    Tokens hold as long as `token_key` stays the same; who knows it can make tokens.
    """

    clients: tuple[Client, ...]
    new_id: Callable[[], str]
    new_salt: Callable[[], str]
    token_key: bytes = field(repr=False)
    base_path: str = BASE_PATH
    public_url: str = ""  # scheme://host[:port] in /auth/server; empty: as the client addressed us
    token_lifetime: timedelta = timedelta(hours=1)
    max_objects_per_ven: int = 10_000  # of each type, so that one VEN can't fill the disk
    max_subscriptions_per_ven: int = 100  # each may make calls of every change
    mqtt: MqttOffer | None = None


class Vtn:
    """A VTN over `objects`. Call `respond`, store the changes, then `apply` them, then send the answer and the news."""

    def __init__(self, config: VtnConfig, objects: Objects) -> None:
        self._config = config
        self._objects = objects
        self._tokens = Tokens(config.clients, config.token_key, config.new_salt, config.token_lifetime)
        self._roles = {client.id: client.role for client in config.clients}

    def respond(self, request: HttpRequest, now: datetime, proofs: Proofs = _NO_PROOFS) -> Outcome:
        """The answer to a request at an aware instant, and the changes that must be durable before it is sent."""
        try:
            outcome = self._route(request, now, proofs)
            return outcome if outcome.issued else replace(outcome, issued=self._tokens.returning(request, now))
        except RefusedRequest as refusal:
            return Outcome(refusal.answer(request))
        except UnprovenCallbacksError as error:
            undecided = RefusedRequest(HTTPStatus.BAD_REQUEST, "subscription: its callbacks were not asked for an echo")
            return Outcome(undecided.answer(request), unproven=error.callbacks)

    def apply(self, changes: tuple[Change, ...]) -> News:
        """Takes stored changes into the view; who must hear of them."""
        return news_of(changes, self._objects, self._roles, self._config.mqtt)

    def give_up(self, subscription_id: str, callback_url: str, reason: str, now: datetime) -> tuple[Change, ...]:
        """The change that marks a callback as given up; none when its subscription is gone or has it no more."""
        body = self._objects.get(ObjectType.SUBSCRIPTION, subscription_id)
        if body is None or all(entry["callbackUrl"] != callback_url for entry in body["objectOperations"]):
            return ()
        entry = {"callbackUrl": callback_url, "reason": reason, "at": format_datetime(now)}
        draft = {**body, GIVEN_UP: [*body.get(GIVEN_UP, ()), entry]}
        kind = ObjectType.SUBSCRIPTION
        stamp = _later(now, body["modificationDateTime"])
        marked = _with_metadata(kind, draft, subscription_id, body["createdDateTime"], stamp)
        return (Change(kind.value, subscription_id, marked),)

    def figures(self) -> Figures:
        """What there is now."""
        vens, programs, events, reports = (
            len(self._objects.all(kind))
            for kind in (ObjectType.VEN, ObjectType.PROGRAM, ObjectType.EVENT, ObjectType.REPORT)
        )
        return Figures(vens, programs, events, reports, max(self._tokens.heard.values(), default=None))

    def look(self, read: Callable[[Objects, Mapping[str, datetime]], T]) -> T:
        """What a reading makes of the objects and of when each client was last heard; it must not change them."""
        return read(self._objects, self._tokens.heard)

    def demand_business(self, request: HttpRequest, now: datetime) -> None:
        """Raises RefusedRequest where a request does not bear a token of the business logic."""
        if self._tokens.grant(request, now).role is not Role.BL:
            raise RefusedRequest(HTTPStatus.FORBIDDEN, "this is for the business logic")

    def program_names(self) -> tuple[str, ...]:
        """The names of the programs that every client may see."""
        programs = self._objects.all(ObjectType.PROGRAM)
        return tuple(body["programName"] for body in programs if not body.get("targets"))

    def _route(self, request: HttpRequest, now: datetime, proofs: Proofs) -> Outcome:
        base = self._config.base_path
        if not request.path.startswith(base + "/"):
            raise RefusedRequest(HTTPStatus.NOT_FOUND, f"no such path; everything is below {base}")
        match request.path[len(base) :].strip("/").split("/"):
            case ["auth", "server"]:
                _demand_method(request, "GET")
                url = f"{self._config.public_url or _origin(request)}{base}/auth/token"
                return Outcome(json_answer(HTTPStatus.OK, {"tokenURL": url}))
            case ["auth", "token"]:
                _demand_method(request, "POST")
                answer, issued = self._tokens.issue(request, now)
                return Outcome(answer, issued=issued)
            case ["notifiers"]:
                _demand_method(request, "GET")
                self._tokens.grant(request, now)  # any client with a token may ask, though the yaml names read_all
                return Outcome(json_answer(HTTPStatus.OK, to_json(notifiers(self._config.mqtt))))
            case ["notifiers", "mqtt", "topics", *rest]:
                _demand_method(request, "GET")
                topics = topics_for(rest, self._tokens.grant(request, now), self._objects, self._config.mqtt)
                return Outcome(json_answer(HTTPStatus.OK, to_json(topics)))
            case [segment] if segment in COLLECTIONS:
                return self._collection(COLLECTIONS[segment], request, now, proofs)
            case [segment, object_id] if segment in COLLECTIONS:
                return self._object(COLLECTIONS[segment], object_id, request, now, proofs)
        raise RefusedRequest(HTTPStatus.NOT_FOUND, "no such path in OpenADR 3.1.0")

    def _collection(self, collection: Collection, request: HttpRequest, now: datetime, proofs: Proofs) -> Outcome:
        _demand_method(request, "GET", "POST")
        grant = self._tokens.grant(request, now)
        if request.method == "GET":
            grant.demand(*collection.read)
            return Outcome(text_answer(HTTPStatus.OK, self._listing(collection.kind, request, grant, now)))
        grant.demand(collection.write)
        self._demand_room(collection, grant)
        kind, object_id, stamp = collection.kind, self._config.new_id(), format_datetime(now)
        draft = CHECKS[kind](Write(read_draft(kind, request), None, grant, self._objects, proofs))
        body = _with_metadata(kind, draft, object_id, stamp, stamp)
        location = {"location": f"{self._config.base_path}/{collection.segment}/{object_id}"}
        answer = json_answer(HTTPStatus.CREATED, self._sight(grant).shown(kind, body), location)
        return Outcome(answer, (Change(kind.value, object_id, body),))

    def _demand_room(self, collection: Collection, grant: Grant) -> None:
        """Refuses with 403 when a VEN has as many objects of a type as it may have."""
        kind, config = collection.kind, self._config
        allowed = config.max_objects_per_ven
        if kind is ObjectType.SUBSCRIPTION:
            allowed = min(allowed, config.max_subscriptions_per_ven)
        if grant.role is Role.VEN and self._objects.count(kind, grant.client_id) >= allowed:
            raise RefusedRequest(HTTPStatus.FORBIDDEN, f"{allowed} {collection.segment} are allowed; delete some first")

    def _listing(self, kind: ObjectType, request: HttpRequest, grant: Grant, now: datetime) -> bytes:
        query, objects, sight = Query(request), self._objects, self._sight(grant)
        skip, limit = query.page()
        asked = query.targets() if kind in FILTERED else frozenset()
        passes = Filter(kind, query, objects, now).passes
        own = kind not in TARGETED and not sight.sees_all
        found = (
            body
            for body in (objects.referring(kind, "clientID", grant.client_id) if own else objects.all(kind))
            if sight.sees(kind, body, objects) and sight.matches(kind, body, asked) and passes(body)
        )
        texts = (sight.text(kind, body, objects, asked) for body in islice(found, skip, skip + limit))
        return b"[" + b",".join(texts) + b"]"

    def _object(
        self, collection: Collection, object_id: str, request: HttpRequest, now: datetime, proofs: Proofs
    ) -> Outcome:
        _demand_method(request, "GET", "PUT", "DELETE")
        grant, kind = self._tokens.grant(request, now), collection.kind
        grant.demand(*(collection.read if request.method == "GET" else (collection.write,)))
        body, sight = self._objects.get(kind, object_id), self._sight(grant)
        if body is None or not sight.sees(kind, body, self._objects):
            raise RefusedRequest(HTTPStatus.NOT_FOUND, f"no {kind.lower()} {object_id[:128]!r}")
        if request.method != "PUT":
            changes = self._removal(kind, object_id) if request.method == "DELETE" else ()
            return Outcome(text_answer(HTTPStatus.OK, sight.text(kind, body, self._objects)), changes)
        draft = CHECKS[kind](Write(read_draft(kind, request), body, grant, self._objects, proofs))
        stamp = _later(now, body["modificationDateTime"])
        replaced = _with_metadata(kind, draft, object_id, body["createdDateTime"], stamp)
        change = Change(kind.value, object_id, replaced)
        return Outcome(json_answer(HTTPStatus.OK, sight.shown(kind, replaced)), (change,))

    def _removal(self, kind: ObjectType, object_id: str) -> tuple[Change, ...]:
        """What goes with an object: a ven's resources, a program's subscriptions; a program with events stays."""
        dependents: tuple[Change, ...] = ()
        if kind is ObjectType.PROGRAM:
            events = len(self._objects.referring(ObjectType.EVENT, "programID", object_id))
            if events:
                raise RefusedRequest(HTTPStatus.CONFLICT, f"the program has {events} events; delete them first")
            dependents = self._removed(ObjectType.SUBSCRIPTION, "programID", object_id)
        if kind is ObjectType.VEN:
            dependents = self._removed(ObjectType.RESOURCE, "venID", object_id)
        return (*dependents, Change(kind.value, object_id, None))

    def _removed(self, kind: ObjectType, reference: str, object_id: str) -> tuple[Change, ...]:
        return tuple(
            Change(kind.value, body["id"], None) for body in self._objects.referring(kind, reference, object_id)
        )

    def _sight(self, grant: Grant) -> Sight:
        return Sight.of(grant.client_id, grant.role, self._objects)


def _origin(request: HttpRequest) -> str:
    if _ORIGIN.fullmatch(request.origin) is None:
        raise RefusedRequest(HTTPStatus.BAD_REQUEST, f"Host: {request.origin[:128]!r} is not a host and a port")
    return request.origin


def _demand_method(request: HttpRequest, *allowed: str) -> None:
    if request.method not in allowed:
        raise RefusedRequest(
            HTTPStatus.METHOD_NOT_ALLOWED,
            f"{request.method}: {', '.join(allowed)} is allowed here",
            {"allow": ", ".join(allowed)},
        )


def _with_metadata(kind: ObjectType, draft: Draft, object_id: str, created: str, modified: str) -> Draft:
    metadata = {"id": object_id, "createdDateTime": created, "modificationDateTime": modified, "objectType": kind.value}
    return {**draft, **metadata}


def _later(now: datetime, stamp: str) -> str:
    """The stamp of a change: a second one within one tick must still be seen as a change."""
    return format_datetime(max(now, parse_datetime(stamp) + _TICK))
