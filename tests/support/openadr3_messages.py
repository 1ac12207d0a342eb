"""Hypothesis strategies for OpenADR 3.1.0 messages, and the schema's own word on bodies."""

import copy
import json
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

from hypothesis import strategies as st
from openapi_schema_validator import OAS30Validator, oas30_format_checker

from cem.wire.openadr3 import (
    Duration,
    EventPayloadDescriptor,
    EventRequest,
    Interval,
    IntervalPeriod,
    Message,
    ObjectOperation,
    Point,
    ProgramDescription,
    ProgramRequest,
    ReportDescriptor,
    ReportPayloadDescriptor,
    ReportRequest,
    ReportResource,
    ResourceRequest,
    Start,
    SubscriptionRequest,
    ValuesMap,
    VenRequest,
)

M = TypeVar("M", bound=Message)

SPECIFICATION = Path(__file__).parent.parent / "wire" / "openadr-3.1.0"


def build(kind: type[M], **attributes: st.SearchStrategy[Any]) -> st.SearchStrategy[M]:
    """A message of a kind from strategies for its attributes."""
    return st.fixed_dictionaries(attributes).map(lambda values: kind(**values))


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
ids = st.from_regex(r"[a-zA-Z0-9_-]{1,20}", fullmatch=True)
targets = st.lists(names, max_size=3).map(tuple)
instants = st.integers(0, 7_000_000_000_000).map(
    lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)
starts = st.one_of(st.just(Start.now()), instants.map(Start.at))
spans = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=4000))
durations = st.one_of(st.just(Duration.infinite()), spans.map(Duration.of), st.just(Duration.parse("P1Y2M3DT4H5M6.5S")))
numbers = st.floats(allow_nan=False, allow_infinity=False)
points = build(Point, x=numbers, y=numbers)
values = st.one_of(st.booleans(), st.integers(-(2**63), 2**63), numbers, names, points, st.lists(points, max_size=3))
periods = build(
    IntervalPeriod,
    start=st.none() | starts,
    duration=st.none() | durations,
    randomize_start=st.none() | durations,
)
values_maps = build(ValuesMap, type=names, values=st.lists(values, max_size=4).map(tuple))
attributes = st.lists(values_maps, max_size=2).map(tuple)
intervals = st.lists(
    build(
        Interval,
        id=st.integers(-(2**31), 2**31 - 1),
        interval_period=st.none() | periods,
        payloads=st.lists(values_maps, max_size=3).map(tuple),
    ),
    max_size=4,
).map(tuple)
event_descriptors = build(
    EventPayloadDescriptor, payload_type=names, units=st.none() | names, currency=st.none() | names
)
report_descriptors = build(
    ReportPayloadDescriptor,
    payload_type=names,
    reading_type=st.none() | names,
    accuracy=st.none() | numbers,
    confidence=st.none() | st.integers(0, 100),
)
report_requests = build(
    ReportDescriptor, payload_type=names, aggregate=st.booleans(), repeat=st.integers(-1, 9), targets=targets
)

programs = build(
    ProgramRequest,
    program_name=names,
    interval_period=st.none() | periods,
    program_descriptions=st.lists(build(ProgramDescription, url=st.just("https://example.test/p")), max_size=1).map(
        tuple
    ),
    payload_descriptors=st.lists(event_descriptors | report_descriptors, max_size=3).map(tuple),
    attributes=attributes,
    targets=targets,
)
events = build(
    EventRequest,
    program_id=ids,
    event_name=st.none() | names,
    duration=st.none() | durations,
    priority=st.none() | st.integers(0, 9),
    targets=targets,
    report_descriptors=st.lists(report_requests, max_size=2).map(tuple),
    payload_descriptors=st.lists(event_descriptors, max_size=2).map(tuple),
    interval_period=st.none() | periods,
    intervals=intervals,
)
reports = build(
    ReportRequest,
    event_id=ids,
    client_name=names,
    report_name=st.none() | names,
    payload_descriptors=st.lists(report_descriptors, max_size=2).map(tuple),
    resources=st.lists(
        build(ReportResource, resource_name=names, interval_period=st.none() | periods, intervals=intervals),
        max_size=2,
    ).map(tuple),
)
subscriptions = build(
    SubscriptionRequest,
    client_name=names,
    program_id=st.none() | ids,
    object_operations=st.lists(
        build(
            ObjectOperation,
            objects=st.just(("EVENT",)),
            operations=st.just(("CREATE", "UPDATE")),
            callback_url=st.just("https://example.test/hook"),
        ),
        max_size=2,
    ).map(tuple),
    targets=targets,
)
vens = build(VenRequest, ven_name=names, client_id=st.none() | names, attributes=attributes, targets=targets)
resources = build(ResourceRequest, resource_name=names, ven_id=ids, attributes=attributes)
any_request: st.SearchStrategy[Message] = st.one_of(programs, events, reports, subscriptions, vens, resources)


@lru_cache
def _schemas() -> dict[str, Any]:
    document = json.loads((SPECIFICATION / "schemas.json").read_text(encoding="utf-8"))
    return cast(dict[str, Any], document["components"])


def schema_faults(schema: str, body: object) -> list[str]:
    """What the schema of openadr3.yaml has against a body.

    The yaml demands of a ven's and a resource's objectType to be two different values at once; for answers the
    one of the object's metadata is taken, as in the User Guide's examples.
    """
    components = _schemas()
    if schema in ("ven", "resource"):
        components = copy.deepcopy(components)
        for request in ("BlVenRequest", "BlResourceRequest"):
            components["schemas"][request]["properties"]["objectType"].pop("enum")
    root = {"$ref": f"#/components/schemas/{schema}", "components": components}
    validator = OAS30Validator(root, format_checker=oas30_format_checker)
    return [f"{'/'.join(str(step) for step in error.path)}: {error.message}" for error in validator.iter_errors(body)]


def openapi_document() -> dict[str, Any]:
    """The published OpenAPI document, with the answers of vens and resources made possible (see `schema_faults`)."""
    document = json.loads((SPECIFICATION / "paths.json").read_text(encoding="utf-8"))
    schemas = copy.deepcopy(_schemas()["schemas"])
    for name, request in (("ven", "BlVenRequest"), ("resource", "BlResourceRequest")):
        answer = copy.deepcopy(schemas[request])
        answer["properties"]["objectType"].pop("enum")
        schemas[f"{request}Answer"] = answer
        schemas[name]["allOf"][1] = {"$ref": f"#/components/schemas/{request}Answer"}
    document["components"]["schemas"] = schemas
    return cast(dict[str, Any], document)
