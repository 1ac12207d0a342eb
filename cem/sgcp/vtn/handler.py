"""The VTN: a request in, an answer and the changes to store out. No socket, no clock, no disk."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

from cem.sgcp.vtn.answers import RefusedRequest, json_answer
from cem.sgcp.vtn.objects import Body, Change, Objects
from cem.sgcp.vtn.privacy import Sight
from cem.sgcp.vtn.queries import Filter, Query
from cem.sgcp.vtn.tokens import Client, Grant, Role, Tokens
from cem.sgcp.vtn.writes import CHECKS, Draft, Write, read_draft
from cem.wire.http import HttpRequest, HttpResponse
from cem.wire.openadr3 import ObjectType, Scope, format_datetime, parse_datetime

BASE_PATH = "/openadr3/3.1.0"
_ORIGIN = re.compile(r"https?://[A-Za-z0-9._%\[\]:-]{1,255}")
_TICK = timedelta(milliseconds=1)
_Outcome = tuple[HttpResponse, tuple[Change, ...]]


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
    """What a VTN is made with. The two sources give a fresh, unguessable text at each call."""

    clients: tuple[Client, ...]
    new_id: Callable[[], str]
    new_token: Callable[[], str]
    base_path: str = BASE_PATH
    public_url: str = ""  # scheme://host[:port] in /auth/server; empty: as the client addressed us
    token_lifetime: timedelta = timedelta(hours=1)
    max_objects_per_ven: int = 10_000  # of each type, so that one VEN can't fill the disk


class Vtn:
    """A VTN over `objects`. Call `respond`, store the changes, then `apply` them, then send the answer."""

    def __init__(self, config: VtnConfig, objects: Objects) -> None:
        self._config = config
        self._objects = objects
        self._tokens = Tokens(config.clients, config.token_lifetime, config.new_token)

    def respond(self, request: HttpRequest, now: datetime) -> _Outcome:
        """The answer to a request at an aware instant, and the changes that must be durable before it is sent."""
        try:
            return self._route(request, now)
        except RefusedRequest as refusal:
            return refusal.answer(), ()

    def apply(self, changes: tuple[Change, ...]) -> None:
        """Takes stored changes into the view."""
        self._objects.apply(changes)

    def _route(self, request: HttpRequest, now: datetime) -> _Outcome:
        base = self._config.base_path
        if not request.path.startswith(base + "/"):
            raise RefusedRequest(HTTPStatus.NOT_FOUND, f"no such path; everything is below {base}")
        match request.path[len(base) :].strip("/").split("/"):
            case ["auth", "server"]:
                _demand_method(request, "GET")
                url = f"{self._config.public_url or _origin(request)}{base}/auth/token"
                return json_answer(HTTPStatus.OK, {"tokenURL": url}), ()
            case ["auth", "token"]:
                _demand_method(request, "POST")
                return self._tokens.issue(request, now), ()
            case ["notifiers", *rest]:
                _demand_method(request, "GET")
                self._tokens.grant(request, now)
                return _notifiers(rest), ()
            case [segment] if segment in COLLECTIONS:
                return self._collection(COLLECTIONS[segment], request, now)
            case [segment, object_id] if segment in COLLECTIONS:
                return self._object(COLLECTIONS[segment], object_id, request, now)
        raise RefusedRequest(HTTPStatus.NOT_FOUND, "no such path in OpenADR 3.1.0")

    def _collection(self, collection: Collection, request: HttpRequest, now: datetime) -> _Outcome:
        _demand_method(request, "GET", "POST")
        grant = self._tokens.grant(request, now)
        if request.method == "GET":
            grant.demand(*collection.read)
            return json_answer(HTTPStatus.OK, self._listing(collection.kind, request, grant, now)), ()
        grant.demand(collection.write)
        kind = collection.kind
        if grant.role is Role.VEN and self._objects.count(kind, grant.client_id) >= self._config.max_objects_per_ven:
            allowed = self._config.max_objects_per_ven
            raise RefusedRequest(HTTPStatus.FORBIDDEN, f"{allowed} {collection.segment} are allowed; delete some first")
        draft = CHECKS[kind](Write(read_draft(kind, request.body), None, grant, self._objects))
        object_id, stamp = self._config.new_id(), format_datetime(now)
        body = _with_metadata(kind, draft, object_id, stamp, stamp)
        location = {"location": f"{self._config.base_path}/{collection.segment}/{object_id}"}
        return self._shown(kind, body, grant, HTTPStatus.CREATED, location), (Change(kind.value, object_id, body),)

    def _listing(self, kind: ObjectType, request: HttpRequest, grant: Grant, now: datetime) -> list[Body]:
        query = Query(request)
        (skip, limit), asked = query.page(), query.targets()
        passes = Filter(kind, query, self._objects, now).passes
        sight = Sight.of(grant, self._objects)
        found = [
            body
            for body in self._objects.all(kind)
            if sight.sees(kind, body, self._objects) and sight.matches(kind, body, asked) and passes(body)
        ]
        return [sight.shown(kind, body, asked) for body in found[skip : skip + limit]]

    def _object(self, collection: Collection, object_id: str, request: HttpRequest, now: datetime) -> _Outcome:
        _demand_method(request, "GET", "PUT", "DELETE")
        grant, kind = self._tokens.grant(request, now), collection.kind
        grant.demand(*(collection.read if request.method == "GET" else (collection.write,)))
        body = self._objects.get(kind, object_id)
        if body is None or not Sight.of(grant, self._objects).sees(kind, body, self._objects):
            raise RefusedRequest(HTTPStatus.NOT_FOUND, f"no {kind.lower()} {object_id[:128]!r}")
        if request.method == "GET":
            return self._shown(kind, body, grant, HTTPStatus.OK), ()
        if request.method == "DELETE":
            return self._shown(kind, body, grant, HTTPStatus.OK), self._removal(kind, object_id)
        draft = CHECKS[kind](Write(read_draft(kind, request.body), body, grant, self._objects))
        # a second change within one tick of the stamp must still be seen as a change
        changed_at = max(now, parse_datetime(body["modificationDateTime"]) + _TICK)
        replaced = _with_metadata(kind, draft, object_id, body["createdDateTime"], format_datetime(changed_at))
        return self._shown(kind, replaced, grant, HTTPStatus.OK), (Change(kind.value, object_id, replaced),)

    def _removal(self, kind: ObjectType, object_id: str) -> tuple[Change, ...]:
        """What goes with an object: a ven's resources, a program's subscriptions; a program with events stays."""
        dependents: tuple[Change, ...] = ()
        if kind is ObjectType.PROGRAM:
            events = sum(1 for event in self._objects.all(ObjectType.EVENT) if event["programID"] == object_id)
            if events:
                raise RefusedRequest(HTTPStatus.CONFLICT, f"the program has {events} events; delete them first")
            dependents = self._removed(ObjectType.SUBSCRIPTION, "programID", object_id)
        if kind is ObjectType.VEN:
            dependents = self._removed(ObjectType.RESOURCE, "venID", object_id)
        return (*dependents, Change(kind.value, object_id, None))

    def _removed(self, kind: ObjectType, reference: str, object_id: str) -> tuple[Change, ...]:
        return tuple(
            Change(kind.value, body["id"], None) for body in self._objects.all(kind) if body.get(reference) == object_id
        )

    def _shown(
        self, kind: ObjectType, body: Body, grant: Grant, status: HTTPStatus, headers: dict[str, str] | None = None
    ) -> HttpResponse:
        return json_answer(status, Sight.of(grant, self._objects).shown(kind, body), headers)


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


def _notifiers(rest: list[str]) -> HttpResponse:
    """Interpretation: any client with a token may ask, though the yaml names a scope that VENs lack."""
    if rest:
        raise RefusedRequest(HTTPStatus.NOT_FOUND, "this VTN has no MQTT notifier; GET /notifiers lists what it has")
    return json_answer(HTTPStatus.OK, {"WEBHOOK": True})
