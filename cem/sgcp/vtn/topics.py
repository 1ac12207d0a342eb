"""MQTT topics of the VTN's notifications, and who may learn of which (openadr3.yaml, /notifiers/mqtt/topics/...).

Three audiences, so that a broker's access list can keep object privacy with one line for each:

- `PREFIX/bl/...`: everything, for business logic;
- `PREFIX/all/...`: programs without targets and their events without targets, for every client;
- `PREFIX/ven/CLIENT/VEN/...`: what one ven may see, for the client whose ven it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from cem.sgcp.vtn.answers import RefusedRequest
from cem.sgcp.vtn.objects import Body, Objects
from cem.sgcp.vtn.privacy import Sight
from cem.sgcp.vtn.tokens import Grant, Role
from cem.wire.openadr3 import (
    MqttAuthentication,
    MqttNotifier,
    Notifiers,
    NotifierTopics,
    ObjectType,
    Operation,
    OperationTopics,
    Scope,
)

_UNFIT = frozenset("/+#\0")
_LISTS = {
    "programs": ObjectType.PROGRAM,
    "events": ObjectType.EVENT,
    "reports": ObjectType.REPORT,
    "subscriptions": ObjectType.SUBSCRIPTION,
    "vens": ObjectType.VEN,
    "resources": ObjectType.RESOURCE,
}
_SEGMENTS = {kind: segment for segment, kind in _LISTS.items()}


class MqttLogin(StrEnum):
    """How clients log in at the broker (Definition, "MQTT Notifier Binding Authentication Enumerations")."""

    ANONYMOUS = "ANONYMOUS"
    OAUTH2_BEARER_TOKEN = "OAUTH2_BEARER_TOKEN"  # noqa: S105 - the standard's name of a method


@dataclass(frozen=True, slots=True)
class MqttOffer:
    """The broker as clients reach it: its URIs, how they log in, and what all topics begin with."""

    uris: tuple[str, ...]
    login: MqttLogin = MqttLogin.ANONYMOUS
    prefix: str = "openadr3"

    def notifier(self) -> MqttNotifier:
        """The binding for GET /notifiers. With tokens the user name is the client's id."""
        username = "{clientID}" if self.login is MqttLogin.OAUTH2_BEARER_TOKEN else None
        return MqttNotifier(uris=self.uris, authentication=MqttAuthentication(method=self.login, username=username))


def notifiers(offer: MqttOffer | None) -> Notifiers:
    """The answer of GET /notifiers."""
    return Notifiers(webhook=True, mqtt=None if offer is None else offer.notifier())


def topics_for(rest: list[str], grant: Grant, objects: Objects, offer: MqttOffer | None) -> NotifierTopics:
    """The topics of a path below /notifiers/mqtt/topics; refuses with 403 or 404.

    Interpretation: the yaml names the scope read_all for programs and their events, which VENs lack, though they
    are meant for them. A VEN gets the topics of its first ven that sees the program, or of what every client sees.
    Topics of a single object have no CREATE.
    """
    if offer is None:
        raise RefusedRequest(HTTPStatus.NOT_FOUND, "this VTN has no MQTT notifier; GET /notifiers lists what it has")
    base = offer.prefix
    match rest:
        case ["programs"]:
            return _of_list(f"{base}/{_audience(None, grant, objects)}/programs")
        case ["programs", program_id]:
            return _of_object(f"{base}/{_audience(program_id, grant, objects)}/programs/{program_id}")
        case ["programs", program_id, "events"]:
            return _of_list(f"{base}/{_audience(program_id, grant, objects)}/programs/{program_id}/events")
        case [segment] if segment in _LISTS:
            grant.demand(Scope.READ_BL, Scope.READ_ALL)
            return _of_list(f"{base}/bl/{segment}")
        case ["vens", ven_id]:
            return _of_object(f"{base}/{_of_ven(_own_ven(ven_id, grant, objects))}")
        case ["vens", ven_id, ("events" | "programs" | "resources") as segment]:
            return _of_list(f"{base}/{_of_ven(_own_ven(ven_id, grant, objects))}/{segment}")
    raise RefusedRequest(HTTPStatus.NOT_FOUND, "no such topics in OpenADR 3.1.0")


def audiences(kind: ObjectType, body: Body, objects: Objects, offer: MqttOffer) -> Iterator[tuple[str, Sight]]:
    """Where an operation on an object belongs, without the operation at its end, and as whom to look at it."""
    base, segment = offer.prefix, _SEGMENTS[kind]
    everything = Sight("", sees_all=True)
    yield f"{base}/bl/{segment}", everything
    if kind in (ObjectType.PROGRAM, ObjectType.EVENT):
        narrow = f"programs/{body['id']}" if kind is ObjectType.PROGRAM else f"programs/{body['programID']}/events"
        anybody = Sight.of_anybody()
        yield f"{base}/bl/{narrow}", everything
        yield f"{base}/all/{narrow}", anybody
        if kind is ObjectType.PROGRAM:
            yield f"{base}/all/programs", anybody
        for ven in objects.all(ObjectType.VEN):
            if _is_fit(ven["clientID"]):
                sight, own = Sight.of_ven(ven, objects), f"{base}/{_of_ven(ven)}"
                yield f"{own}/{segment}", sight
                yield f"{own}/{narrow}", sight
    elif kind is ObjectType.VEN and _is_fit(body["clientID"]):
        yield f"{base}/{_of_ven(body)}", everything
    elif kind is ObjectType.RESOURCE and _is_fit(body["clientID"]):
        yield f"{base}/ven/{body['clientID']}/{body['venID']}/resources", everything


def _audience(program_id: str | None, grant: Grant, objects: Objects) -> str:
    """The audience that a client belongs to, for a program if one is named; 404 when it sees no such program."""
    sights: list[tuple[str, Sight]] = [("all", Sight.of_anybody())]
    if grant.role is Role.BL:
        sights = [("bl", Sight("", sees_all=True))]
    elif _is_fit(grant.client_id):
        own = objects.referring(ObjectType.VEN, "clientID", grant.client_id)
        sights = [*((_of_ven(ven), Sight.of_ven(ven, objects)) for ven in own), *sights]
    program = None if program_id is None else objects.get(ObjectType.PROGRAM, program_id)
    for audience, sight in sights:
        if program_id is None or (program is not None and sight.sees(ObjectType.PROGRAM, program, objects)):
            return audience
    raise RefusedRequest(HTTPStatus.NOT_FOUND, f"no program {str(program_id)[:128]!r}")


def _own_ven(ven_id: str, grant: Grant, objects: Objects) -> Body:
    grant.demand(Scope.READ_VEN_OBJECTS, Scope.READ_ALL, Scope.READ_BL)
    body = objects.get(ObjectType.VEN, ven_id)
    if body is None or not (grant.role is Role.BL or body["clientID"] == grant.client_id):
        raise RefusedRequest(HTTPStatus.NOT_FOUND, f"no ven {ven_id[:128]!r}")
    if not _is_fit(body["clientID"]):
        raise RefusedRequest(
            HTTPStatus.NOT_FOUND,
            "no topics for a client whose id has one of / + #; give it another id, or use webhooks",
        )
    return body


def _of_ven(ven: Body) -> str:
    return f"ven/{ven['clientID']}/{ven['id']}"


def _is_fit(client_id: str) -> bool:
    """Whether a client's id can stand in a topic and in a pattern of a broker's access list."""
    return _UNFIT.isdisjoint(client_id)


def _of_list(topic: str) -> NotifierTopics:
    return _operations(topic, f"{topic}/create")


def _of_object(topic: str) -> NotifierTopics:
    return _operations(topic, None)


def _operations(topic: str, create: str | None) -> NotifierTopics:
    return NotifierTopics(
        topics=OperationTopics(create=create, update=f"{topic}/update", delete=f"{topic}/delete", all=f"{topic}/+")
    )


def operation_topic(topic: str, operation: Operation) -> str:
    """The topic of an operation."""
    return f"{topic}/{operation.lower()}"
