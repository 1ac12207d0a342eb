"""OpenADR 3.1.0 messages: what is sent is what is read, and what is wrong is refused with its place."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cem.wire.openadr3 import (
    AuthServerInfo,
    ClientCredentialResponse,
    Event,
    EventPayload,
    EventRequest,
    Message,
    Notification,
    Notifiers,
    NotifierTopics,
    Program,
    ProgramRequest,
    Report,
    ReportDescriptor,
    ReportPayloadDescriptor,
    ReportRequest,
    Resource,
    ResourceRequest,
    Subscription,
    Ven,
    VenRequest,
    WireError,
    decode,
    decode_list,
    encode,
    object_of,
    read_json,
)
from support.openadr3_messages import SPECIFICATION, any_request, events, schema_faults

KINDS: dict[str, type[Message]] = {
    "programRequest": ProgramRequest,
    "program": Program,
    "eventRequest": EventRequest,
    "event": Event,
    "reportRequest": ReportRequest,
    "report": Report,
    "reportDescriptor": ReportDescriptor,
    "venRequest": VenRequest,
    "resourceRequest": ResourceRequest,
    "resource": Resource,
}
EXAMPLES: list[dict[str, Any]] = json.loads((SPECIFICATION / "examples.json").read_text(encoding="utf-8"))
GUIDE_SLIPS = {"7.7-1": "reportDescriptors[0].payloadType: is missing"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example['example']} {example['schema']}")
def test_the_user_guides_examples_are_read_and_nothing_of_them_is_lost(example: dict[str, Any]) -> None:
    kind, body = KINDS[example["schema"]], json.dumps(example["body"]).encode()
    if example["example"] in GUIDE_SLIPS:
        with pytest.raises(WireError) as refusal:
            decode(kind, body)
        assert str(refusal.value) == GUIDE_SLIPS[example["example"]]
        return
    written = json.loads(encode(decode(kind, body)))
    assert _missing(example["body"], written) == []


def _missing(expected: object, found: object, path: str = "") -> list[str]:
    """Where `found` lacks something of `expected`; empty lists may be left out."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [
            fault
            for key, value in expected.items()
            if value not in (None, [])
            for fault in _missing(value, found.get(key), f"{path}.{key}")
        ]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        return [f for n, pair in enumerate(zip(expected, found, strict=True)) for f in _missing(*pair, f"{path}[{n}]")]
    return [] if expected == found else [f"{path}: {expected!r} became {found!r}"]


@given(any_request)
def test_what_is_encoded_is_decoded_to_the_same(message: Message) -> None:
    assert decode(type(message), encode(message)) == message


@given(st.lists(events, max_size=3))
def test_a_listing_is_decoded_to_the_same(messages: list[EventRequest]) -> None:
    assert decode_list(EventRequest, encode(messages)) == (tuple(messages), ())


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_give_a_message_or_a_wire_error(body: bytes) -> None:
    assert isinstance(_decoded(body), EventRequest | WireError)


def _decoded(body: bytes) -> EventRequest | WireError:
    try:
        return decode(EventRequest, body)
    except WireError as error:
        return error


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "intervals", "payloads", "type", "values", "start"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from([*EventRequest.model_json_schema()["properties"], "programID"]), json_values))
def test_any_json_in_the_places_of_an_event_gives_a_message_or_a_wire_error(body: dict[str, object]) -> None:
    message = _decoded(json.dumps(body).encode())
    assert isinstance(message, WireError) or decode(EventRequest, encode(message)) == message


def _event(**attributes: object) -> bytes:
    return json.dumps({"programID": "p", **attributes}).encode()


def _interval(**attributes: object) -> bytes:
    return _event(intervals=[{"id": 0, "payloads": [], **attributes}])


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"{}", "programID"),
        (b'{"programID": null}', "programID"),
        (b'{"program_id": "p"}', "programID"),
        (b'{"programID": "a b"}', "programID"),
        (b'{"programID": 5}', "programID"),
        (_event(priority=-1), "priority"),
        (_event(priority="0"), "priority"),
        (_event(intervals={}), "intervals"),
        (_event(intervals=[{"payloads": []}]), "intervals[0].id"),
        (_interval(id="0"), "intervals[0].id"),
        (_interval(id=2**31), "intervals[0].id"),
        (_interval(payloads=None), "intervals[0].payloads"),
        (_interval(intervalPeriod={"start": "tomorrow"}), "intervals[0].intervalPeriod.start"),
        (_interval(intervalPeriod={"start": 0}), "intervals[0].intervalPeriod.start"),
        (_interval(intervalPeriod={"duration": "-PT1H"}), "intervals[0].intervalPeriod.duration"),
        (_interval(payloads=[{"type": "PRICE"}]), "intervals[0].payloads[0].values"),
        (_interval(payloads=[{"type": "", "values": []}]), "intervals[0].payloads[0].type"),
        (_event(intervals=[{"id": 0, "payloads": []}] * 10_001), "intervals"),
        (b"[]", ""),
        (b"", ""),
        (b'{"programID": "p", "x": NaN}', ""),
        (b'{"programID": "p", "x": -Infinity}', ""),
        (b'{"programID": "p", "x": 1e999}', ""),
        (b'{"programID": "p", "x": ' + b"9" * 5000 + b"}", ""),
        (b'{"programID": "p", "x": "\\ud800"}', ""),
        (b'{"programID": "\xff"}', ""),
        (b'{"x":' * 30 + b"1" + b"}" * 30, ""),
        (b"[" * 900_000, ""),
        (b" " * (1024 * 1024 + 1), ""),
    ],
)
def test_a_wrong_event_is_refused_at_its_place(body: bytes, path: str) -> None:
    with pytest.raises(WireError) as refusal:
        decode(EventRequest, body)
    assert refusal.value.path.startswith(path)
    assert (refusal.value.path == "") == (path == "")


@pytest.mark.parametrize("body", [b'"' + b'\\"' * 500_000, b'{"' * 500_000, b'"\\' * 500_000, b"[]" * 500_000])
def test_a_hostile_body_is_refused_quickly(body: bytes) -> None:
    before = time.process_time()
    with pytest.raises(WireError):
        read_json(body)
    assert time.process_time() - before < 0.5


def test_unknown_attributes_and_payload_types_are_kept() -> None:
    body = _event(
        ours={"deep": [1, 2]}, intervals=[{"id": 3, "payloads": [{"type": "X_OWN", "values": [1]}], "y": "z"}]
    )
    event = decode(EventRequest, body)
    assert event.intervals[0].payloads[0].type == "X_OWN"
    assert json.loads(encode(event)) == json.loads(body)


def test_payload_types_compare_with_the_enumeration() -> None:
    event = decode(EventRequest, _interval(payloads=[{"type": "PRICE", "values": [0.17, 1, "n/a", True]}]))
    payload = event.intervals[0].payloads[0]
    assert payload.type == EventPayload.PRICE
    assert payload.numbers() == (0.17, 1.0)


def test_nulls_in_optional_attributes_are_read_and_never_written() -> None:
    event = decode(EventRequest, _event(targets=None, priority=None, intervalPeriod={"start": None}, duration=None))
    assert event.targets == ()
    assert json.loads(encode(event)) == {"programID": "p", "intervalPeriod": {}}


def test_metadata_times_of_any_form_are_kept_as_text() -> None:
    event = decode(Event, b'{"id": "0", "programID": "p", "createdDateTime": "14:13:26"}')
    assert event.created_date_time == "14:13:26"
    assert event.modification_date_time is None


def test_a_listing_tells_the_good_from_the_bad_and_names_the_bad_one() -> None:
    good = {"id": "1", "programID": "p"}
    bad = {"id": "2", "programID": "p", "intervals": [{"id": 0}]}
    items, faults = decode_list(Event, json.dumps([good, bad, 7]).encode())
    assert [item.id for item in items] == ["1"]
    assert [(fault.path, fault.object_id) for fault in faults] == [("[1].intervals[0].payloads", "2"), ("[2]", None)]
    with pytest.raises(WireError, match="array"):
        decode_list(Event, json.dumps(good).encode())


def test_a_program_tells_event_descriptors_from_report_descriptors() -> None:
    body = b'{"programName":"p","payloadDescriptors":[{"payloadType":"PRICE"},{"objectType":"REPORT_PAYLOAD_DESCRIPTOR"'
    program = decode(ProgramRequest, body + b',"payloadType":"USAGE","confidence":90}]}')
    assert [type(one) is ReportPayloadDescriptor for one in program.payload_descriptors] == [False, True]


def test_the_messages_around_the_objects_are_read() -> None:
    token = decode(ClientCredentialResponse, b'{"access_token":"t","token_type":"bearer","expires_in":3600}')
    assert (token.access_token, token.expires_in) == ("t", 3600)
    assert "'t'" not in repr(token)
    assert decode(AuthServerInfo, b'{"tokenURL":"https://a.test/t"}').token_url == "https://a.test/t"
    mqtt = {"URIS": ["mqtts://b.test"], "serialization": "JSON", "authentication": {"method": "ANONYMOUS"}}
    notifiers = decode(Notifiers, json.dumps({"WEBHOOK": True, "MQTT": mqtt}).encode())
    assert notifiers.mqtt is not None
    assert notifiers.mqtt.uris == ("mqtts://b.test",)
    assert decode(NotifierTopics, b'{"topics":{"UPDATE":"u","DELETE":"d"}}').topics.all is None


@pytest.mark.parametrize(("kind", "body"), [("EVENT", {"programID": "p"}), ("VEN", {"venName": "v"})])
def test_a_notification_gives_its_object(kind: str, body: dict[str, object]) -> None:
    text = json.dumps({"objectType": kind, "operation": "UPDATE", "object": {"id": "7", **body}})
    found = object_of(decode(Notification, text.encode()))
    assert found.id == "7"
    assert isinstance(found, Event | Ven)
    with pytest.raises(WireError, match="objectType"):
        object_of(Notification(object_type="PLANET", operation="UPDATE", object={}))


@settings(max_examples=50)
@given(events)
def test_what_we_encode_satisfies_the_schema(event: EventRequest) -> None:
    curves = any(isinstance(v, list) for i in event.intervals for p in i.payloads for v in p.values)
    faults = schema_faults("eventRequest", json.loads(encode(event)))
    assert faults == [] or curves  # a list of points is in the enumeration's schema only


def test_a_subscription_keeps_its_callback() -> None:
    entry = {"objects": ["EVENT"], "operations": ["CREATE"], "callbackUrl": "https://h.test/x", "bearerToken": "b"}
    text = json.dumps({"id": "1", "clientName": "c", "objectOperations": [entry]}).encode()
    subscription = decode(Subscription, text)
    assert subscription.object_operations[0].callback_url == "https://h.test/x"
    assert json.loads(encode(subscription))["objectOperations"] == [entry]


PLAIN_WORDS: list[tuple[dict[str, Any], str]] = [
    ({"targets": [{"type": "GROUP", "values": ["a"]}]}, "targets[0]: must be text, not an object"),
    ({"targets": "a"}, "targets: must be a list, not text"),
    ({"priority": "high"}, "priority: must be a whole number, not text"),
    ({"priority": -1}, "priority: must be 0 or more"),
    ({"intervals": {"id": 0}}, "intervals: must be a list, not an object"),
    ({"intervals": [7]}, "intervals[0]: must be an object, not a number"),
    ({"intervals": [{"id": 0}]}, "intervals[0].payloads: is missing"),
    ({"eventName": True}, "eventName: must be text, not true or false"),
    ({"programID": "p" * 200}, "programID: is longer than 128 characters"),
    ({"programID": "a b"}, "programID: has characters that are not allowed there"),
    ({"intervalPeriod": {"duration": "soon"}}, "intervalPeriod.duration: "),
]


@pytest.mark.parametrize(("more", "words"), PLAIN_WORDS, ids=[words for _, words in PLAIN_WORDS])
def test_a_fault_is_said_in_words_that_need_no_knowledge_of_our_tools(more: dict[str, Any], words: str) -> None:
    body = {"id": "e1", "programID": "p1", "intervals": [], **more}
    with pytest.raises(WireError) as fault:
        decode(Event, json.dumps(body).encode())
    assert str(fault.value).startswith(words)
    assert "Input" not in str(fault.value)
    assert "tuple" not in str(fault.value)
