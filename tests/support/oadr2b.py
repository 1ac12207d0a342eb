"""What the tests of OpenADR 2.0b share: messages of every kind, and the profile's schemas from the openleadr wheel."""

import dataclasses
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from importlib.resources import as_file, files
from typing import Any

from lxml import etree

from cem.wire.openadr2b import shape
from cem.wire.openadr2b.parts import UNIT, Unit

AT = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
POWER = Unit(
    name="power:powerReal",
    description="RealPower",
    units="W",
    scale="k",
    hertz=Decimal(50),
    voltage=Decimal(230),
    ac=True,
)
_TOKENS = {
    "ei:responseCode": "200",
    "ei:optType": "optIn",
    "ei:optReason": "x-schedule",
    "ei:eventStatus": "far",
    "ei:signalName": "LOAD_DISPATCH",
    "ei:signalType": "setpoint",
    "oadr:oadrResponseRequired": "always",
    "ei:reportName": "METADATA_TELEMETRY_USAGE",
    "ei:reportType": "usage",
    "ei:readingType": "Direct Read",
    "oadr:oadrDataQuality": "Quality Good - Non Specific",
    "oadr:oadrProfileName": "2.0b",
    "oadr:oadrTransportName": "simpleHttp",
    "oadr:oadrServiceName": "EiEvent",
    "emix:marketContext": "http://provider.test/dimming",
    "ei:confidence": 90,
}
_VALUES: dict[int, Any] = {
    id(shape.TEXT): "text & <more> é",
    id(shape.NUMBER): -1.25,
    id(shape.COUNT): 7,
    id(shape.FLAG): True,
    id(shape.INSTANT): AT,
    id(shape.STAMP): AT,
    id(shape.DURATION): timedelta(minutes=90, seconds=5),
    id(UNIT): POWER,
}


@cache
def schema() -> etree.XMLSchema:
    """The profile's schema."""
    with as_file(files("openleadr") / "schema") as folder:
        return etree.XMLSchema(etree.parse(str(folder / "oadr_20b.xsd")))


def assert_valid(body: bytes) -> None:
    """Fails with the schema's words where a body is not valid."""
    schema().assertValid(etree.fromstring(body))


def sample(cls: type[Any], full: bool) -> Any:
    """A message or part with every field filled, or with what is needed alone."""
    values = {}
    for field in dataclasses.fields(cls):
        path = field.metadata["path"]
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if not (full or needed or field.metadata["sent"]):
            continue
        kind = field.metadata["kind"]
        leaf = path.split("/")[-1].rstrip("*!")
        if leaf in _TOKENS:
            value = _TOKENS[leaf]
        elif isinstance(kind, type):
            value = sample(kind, full)
        else:
            value = _VALUES.get(id(kind), True)
        values[field.name] = (value,) * (2 if full else 1) if "*" in path else value
    if cls.__name__ == "ReportPayload":
        values.pop("status", None)
        values["value"] = 4.5
    return cls(**values)
