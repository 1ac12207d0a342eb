"""Who is told of a change, and what: webhooks of subscriptions and MQTT topics (Definition, "Subscriptions").

Interpretation: what a VEN may no longer see since a change is DELETE for it, with the object as it last saw it. READ
is accepted in a subscription and never told of: nobody's reading is another client's business.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cem.sgcp.vtn.objects import Body, Change, Objects, text_of
from cem.sgcp.vtn.privacy import Sight
from cem.sgcp.vtn.tokens import Role
from cem.sgcp.vtn.topics import MqttOffer, audiences, operation_topic
from cem.wire.openadr3 import ObjectType, Operation

FILTERED = frozenset({ObjectType.PROGRAM, ObjectType.EVENT, ObjectType.VEN, ObjectType.RESOURCE})
"""The types whose listings and notifications can be filtered by targets."""
_PUBLIC = frozenset(ObjectType)
GIVEN_UP = "givenUpCallbacks"
"""The VTN's own attribute of a subscription: the callbacks that it gave up, why and when."""


@dataclass(frozen=True, slots=True)
class Call:
    """A notification to be posted to a callback of a subscription."""

    subscription_id: str
    callback_url: str
    bearer_token: str | None = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Publication:
    """A notification to be published."""

    topic: str
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class News:
    """What changes give rise to."""

    calls: tuple[Call, ...] = ()
    publications: tuple[Publication, ...] = ()


_Views = dict[str, Body]  # by subscription id or topic: the object as it is seen there


def news_of(changes: Sequence[Change], objects: Objects, roles: Mapping[str, Role], offer: MqttOffer | None) -> News:
    """Applies the changes to `objects` and says who must hear of them.

    A subscription that goes with its program still hears of that; a new one hears of what comes after it.
    """
    subscriptions = tuple(objects.all(ObjectType.SUBSCRIPTION))
    public = [change for change in changes if change.kind in _PUBLIC]
    kinds = [ObjectType(change.kind) for change in public]
    old = [objects.get(kind, change.id) for kind, change in zip(kinds, public, strict=True)]

    def views(bodies: Iterable[Body | None]) -> list[tuple[_Views, _Views]]:
        """How each object is seen by subscriptions and on topics."""
        return [
            ({}, {})
            if body is None
            else (_subscribed(kind, body, subscriptions, objects, roles), _published(kind, body, objects, offer))
            for kind, body in zip(kinds, bodies, strict=True)
        ]

    before = views(old)
    objects.apply(changes)
    after = views(change.body for change in public)
    by_id = {one["id"]: one for one in subscriptions}
    calls: list[Call] = []
    publications: list[Publication] = []
    for kind, was, seen, now in zip(kinds, old, before, after, strict=True):
        encoder = _Encoder(kind)
        for key, operation, body in _told(was is None, seen[0], now[0]):
            calls += _calls(by_id[key], kind, operation, encoder.notification(operation, body))
        for topic, operation, body in _told(was is None, seen[1], now[1]):
            publications.append(Publication(operation_topic(topic, operation), encoder.notification(operation, body)))
    return News(tuple(calls), tuple(publications))


def _told(is_new: bool, before: _Views, after: _Views) -> Iterator[tuple[str, Operation, Body]]:
    for key, body in after.items():
        yield key, Operation.CREATE if is_new else Operation.UPDATE, body
    for key, body in before.items():
        if key not in after:
            yield key, Operation.DELETE, body


def _subscribed(
    kind: ObjectType, body: Body, subscriptions: Iterable[Body], objects: Objects, roles: Mapping[str, Role]
) -> _Views:
    views: _Views = {}
    for one in subscriptions:
        if not any(kind in entry["objects"] for entry in one["objectOperations"]):
            continue
        program_id = one.get("programID")
        if program_id is not None and _program_of(kind, body, objects) != program_id:
            continue
        role = roles.get(one["clientID"])
        if role is None:  # a client that was struck off
            continue
        sight = Sight.of(one["clientID"], role, objects)
        asked = frozenset(one.get("targets", ())) if kind in FILTERED else frozenset()
        if sight.sees(kind, body, objects) and sight.matches(kind, body, asked):
            views[one["id"]] = sight.shown(kind, body, asked)
    return views


def _program_of(kind: ObjectType, body: Body, objects: Objects) -> str | None:
    """The program that an object belongs to; vens and resources belong to none."""
    if kind is ObjectType.PROGRAM:
        return str(body["id"])
    if kind is ObjectType.REPORT:
        body = objects.get(ObjectType.EVENT, body["eventID"]) or {}
    found: str | None = body.get("programID")
    return found


def _published(kind: ObjectType, body: Body, objects: Objects, offer: MqttOffer | None) -> _Views:
    if offer is None:
        return {}
    return {
        topic: sight.shown(kind, body)
        for topic, sight in audiences(kind, body, objects, offer)
        if sight.sees(kind, body, objects)
    }


def _calls(subscription: Body, kind: ObjectType, operation: Operation, body: bytes) -> Iterator[Call]:
    """The callbacks of a subscription that asked for this; none that was given up, none twice."""
    left_out = {entry["callbackUrl"] for entry in subscription.get(GIVEN_UP, ())}
    for entry in subscription["objectOperations"]:
        url = entry["callbackUrl"]
        if kind in entry["objects"] and operation in entry["operations"] and url not in left_out:
            left_out.add(url)
            yield Call(subscription["id"], url, entry.get("bearerToken"), body)


class _Encoder:
    """Notifications of one object. Views of it differ in their targets alone; each is written once."""

    def __init__(self, kind: ObjectType) -> None:
        self._kind = kind
        self._written: dict[tuple[Operation, tuple[str, ...]], bytes] = {}

    def notification(self, operation: Operation, body: Body) -> bytes:
        """The notification's body. A subscription is told of without the tokens of its callbacks."""
        key = (operation, tuple(body.get("targets", ())))
        if key not in self._written:
            shown = body
            if self._kind is ObjectType.SUBSCRIPTION:
                entries = [{k: v for k, v in one.items() if k != "bearerToken"} for one in body["objectOperations"]]
                shown = {**body, "objectOperations": entries}
            value = {"objectType": self._kind.value, "operation": operation.value, "object": shown}
            self._written[key] = text_of(value)
        return self._written[key]
