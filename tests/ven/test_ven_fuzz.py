"""Every body that the VEN takes in, twisted: a typed error, what was held is kept, nothing moves that was not asked."""

import asyncio
import copy
import json
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cem.model.directive import Directive
from cem.model.event import SignalKind
from cem.model.resource import Ratings, Resource, Role
from cem.model.time import Instant
from cem.ports import HttpAnswer
from cem.runtime.ven_client import VtnClient, VtnFailure
from cem.runtime.ven_events import EventFetcher
from cem.runtime.ven_notices import Ears, Notices
from cem.runtime.ven_registration import Registration
from cem.sgcp.callbacks import answer
from cem.sgcp.events.store import Listing
from cem.sgcp.point import ConnectionPoint
from cem.wire.http import HttpRequest
from support.ven_world import MemoryStore, at, grid_event, utility

PROVIDER = utility(url="https://vtn.test")
HELD = grid_event("held", (0, None, {SignalKind.IMPORT_LIMIT_W: 3000.0}))
META = {"createdDateTime": "2026-01-15T11:00:00Z", "modificationDateTime": "2026-01-15T13:00:00Z"}
PROGRAM = {"id": "p1", **META, "objectType": "PROGRAM", "programName": "dimming", "payloadDescriptors": []}
EVENT = {
    "id": "held",
    **META,
    "objectType": "EVENT",
    "programID": "p1",
    "eventName": "dim",
    "priority": 1,
    "targets": ["t"],
    "duration": "PT2H",
    "intervalPeriod": {"start": "2026-01-15T12:00:00Z", "duration": "PT1H", "randomizeStart": "PT5M"},
    "payloadDescriptors": [
        {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "IMPORT_CAPACITY_LIMIT", "units": "KW"}
    ],
    "reportDescriptors": [{"payloadType": "USAGE", "startInterval": 0}],
    "intervals": [{"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [2.0]}]}],
}
VEN = {"id": "v1", **META, "objectType": "VEN", "venName": "house-1", "clientID": "ven-1", "targets": ["t"]}
BATTERY = {"id": "r1", **META, "objectType": "RESOURCE", "resourceName": "battery", "venID": "v1", "clientID": "ven-1"}
TOPICS = {"topics": {"CREATE": "a/create", "UPDATE": "a/update", "DELETE": "a/delete", "ALL": "a/+"}}
GOOD: dict[str, Any] = {
    "/auth/server": {"tokenURL": "https://vtn.test/auth/token"},
    "/auth/token": {"access_token": "t", "token_type": "Bearer", "expires_in": 3600},
    "/programs": [PROGRAM],
    "/events": [EVENT],
    "/vens": [VEN],
    "/resources": [BATTERY],
    "/notifiers": {"WEBHOOK": True, "MQTT": {"URIS": ["mqtt://b"], "authentication": {"method": "ANONYMOUS"}}},
    "/notifiers/mqtt/topics/vens/v1/events": TOPICS,
}
NOTIFICATION = {"objectType": "EVENT", "operation": "UPDATE", "object": EVENT, "targets": ["t"]}
KEPT = ("/auth/server", "/auth/token", "/programs", "/vens", "/resources")
"""What stands before the events: a fault there is no listing, and a good one leaves the events as they are listed."""


class Answers:
    """Satisfies cem.ports.Http: the good answers, and one body in place of a good one."""

    def __init__(self, path: str, body: bytes, status: int) -> None:
        self._twisted = (path, body, status)

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> HttpAnswer:
        """One exchange."""
        path, _, query = url.removeprefix("https://vtn.test").partition("?")
        twisted, content, status = self._twisted
        if path == twisted and "skip=0" in (query or "skip=0"):
            return HttpAnswer(status, {}, content)
        good = GOOD.get(path)
        if method == "GET" and isinstance(good, list) and "skip=0" not in query:
            good = []
        made = 201 if method == "POST" and path != "/auth/token" else 200
        return HttpAnswer(404 if good is None else made, {}, json.dumps(good).encode())

    async def close(self) -> None:
        """Nothing to close."""


class Still:
    """Satisfies cem.ports.Clock: one second after the limit came."""

    def now(self) -> Instant:
        """Always the same."""
        return at(1)


class Topics:
    """Satisfies cem.ports.NoticeTopics; listens to nothing."""

    async def start(self, *_: object) -> None:
        """Nothing."""

    async def stop(self) -> None:
        """Nothing."""


async def taken_in(path: str, body: bytes, status: int) -> tuple[bool, ConnectionPoint]:
    """One resynchronisation of a gateway that holds one limit; whether it came to its end."""
    point = ConnectionPoint([PROVIDER])
    point.answered(PROVIDER.id, at(0))
    difference, _ = point.difference(PROVIDER.id, Listing((HELD,), at(0).mono_s), at(0))
    point.apply(PROVIDER.id, difference, at(0))
    store, clock = MemoryStore(), Still()
    client = VtnClient(PROVIDER, Answers(path, body, status), clock)
    resource = Resource("battery", Role.BATTERY, "d", "Battery", Ratings())
    registration = Registration(PROVIDER, client, store, [resource])
    fetcher = EventFetcher(PROVIDER, client, store, clock, Random(1))
    try:
        await registration.ensure()
        listing = await fetcher.listing(point.events(PROVIDER.id, at(1)), registration.targets)
        later = Listing(listing.events, at(1).mono_s, listing.rejected, listing.complete)
        difference, _ = point.difference(PROVIDER.id, later, at(1))
        point.apply(PROVIDER.id, difference, at(1))
        await Notices(PROVIDER, client, Ears(Topics()), lambda: None).ensure("v1", fetcher.program_ids, ())
    except VtnFailure as fault:
        return not fault.detail, point  # a fault has words
    return True, point


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, held in inside for place in places(held, (*path, key)))]


def twisted(good: Any, place: tuple[Any, ...], other: Any) -> Any:
    """A copy with another value at a place."""
    if not place:
        return other
    found = copy.deepcopy(good)
    inner = found
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = other
    return found


@st.composite
def bodies(draw: st.DrawFn, good: Any) -> bytes:
    """Raw bytes, any JSON, or the good body with one value exchanged or a part of its bytes lost."""
    whole = json.dumps(good).encode()
    match draw(st.integers(0, 4)):
        case 0:
            return draw(st.binary(max_size=200))
        case 1:
            return json.dumps(draw(JSON)).encode()
        case 2:
            return whole[: draw(st.integers(0, len(whole)))]
        case _:
            return json.dumps(twisted(good, draw(st.sampled_from(places(good))), draw(JSON))).encode()


def sane(directive: Directive) -> None:
    """Nothing that no provider could mean."""
    for envelope in directive.envelopes:
        assert envelope.max_w is None or 0 <= envelope.max_w <= 1e9
        assert envelope.min_w is None or -1e9 <= envelope.min_w <= 0


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_twisted_answer_is_a_typed_error_that_moves_nothing_or_a_listing(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(GOOD)))
    body = data.draw(bodies(GOOD[path]))
    status = data.draw(st.sampled_from([200, 200, 200, 200, 302, 403, 500]))
    came, point = asyncio.run(taken_in(path, body, status))
    events = point.events(PROVIDER.id, at(2))
    if not came and path in KEPT:
        assert dict(events) == {"held": HELD}
    if path == "/events" and (status != 200 or not is_list(body)):
        assert not came
        assert dict(events) == {"held": HELD}
    sane(point.directive(at(2)))


def is_list(body: bytes) -> bool:
    """Whether a body is a JSON array."""
    try:
        return isinstance(json.loads(body), list)
    except ValueError:
        return False


@pytest.mark.parametrize("path", sorted(GOOD))
def test_the_untwisted_answers_come_to_the_end(path: str) -> None:
    came, point = asyncio.run(taken_in(path, json.dumps(GOOD[path]).encode(), 200))
    assert came
    signals = [dict(i.signals) for i in point.events(PROVIDER.id, at(2))["held"].intervals]
    assert signals == [{SignalKind.IMPORT_LIMIT_W: 2000.0}] * len(signals)
    assert signals


@given(bodies(NOTIFICATION))
@settings(max_examples=100, deadline=None)
def test_a_twisted_notification_is_refused_or_a_hint(body: bytes) -> None:
    request = HttpRequest("POST", "/hook", headers={"authorization": "Bearer t"}, body=body)
    response, notification = answer(request, "/hook", "t")
    assert response.status == (400 if notification is None else 200)
