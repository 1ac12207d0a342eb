"""Parts of OpenADR 3.1.0 objects: intervals, payloads, descriptors. Strict: a part that is wrong is refused."""

from typing import Annotated, Any

from pydantic import Discriminator, Field, StrictBool, StrictFloat, StrictInt, StrictStr, Tag

from cem.wire.openadr3.message import (
    MAX_INTERVALS,
    MAX_PAYLOADS,
    MAX_VALUES,
    AnyDuration,
    ForwardDuration,
    Message,
    Name,
    StartTime,
    Targets,
)

Int32 = Annotated[int, Field(ge=-(2**31), lt=2**31)]


class IntervalPeriod(Message):
    """When an interval, or a set of them, runs (schema intervalPeriod)."""

    start: StartTime | None = None
    duration: ForwardDuration | None = None
    randomize_start: AnyDuration | None = None  # both ways, within its absolute value (User Guide 7.3)


class Point(Message):
    """A point of a curve."""

    x: float
    y: float


Value = StrictBool | StrictInt | StrictFloat | StrictStr | Point | Annotated[list[Point], Field(max_length=MAX_VALUES)]
"""One value of a payload; the list of points is the CURVE of the enumeration schema."""


class ValuesMap(Message):
    """Values of a type: a payload or an attribute. `type` is open; compare with EventPayload and the like."""

    type: Name
    values: Annotated[tuple[Value, ...], Field(strict=False, max_length=MAX_VALUES)]

    def numbers(self) -> tuple[float, ...]:
        """The values that are numbers, in order."""
        return tuple(float(v) for v in self.values if isinstance(v, int | float) and not isinstance(v, bool))


class Interval(Message):
    """A stretch of time with its payloads; `id` is not a sequence number."""

    id: Int32
    interval_period: IntervalPeriod | None = None
    payloads: Annotated[tuple[ValuesMap, ...], Field(strict=False, max_length=MAX_PAYLOADS)]


Intervals = Annotated[tuple[Interval, ...], Field(strict=False, max_length=MAX_INTERVALS)]


class EventPayloadDescriptor(Message):
    """Units and currency of an event's payload type."""

    object_type: str = "EVENT_PAYLOAD_DESCRIPTOR"  # required by the schema, missing in its own examples
    payload_type: Name
    units: Name | None = None
    currency: str | None = None


class ReportPayloadDescriptor(Message):
    """Units and quality of a report's payload type."""

    object_type: str = "REPORT_PAYLOAD_DESCRIPTOR"
    payload_type: Name
    reading_type: Name | None = None
    units: Name | None = None
    accuracy: float | None = None
    confidence: Annotated[int, Field(ge=0, le=100)] | None = None


def _descriptor_tag(value: Any) -> str:
    kind = value.get("objectType") if isinstance(value, dict) else getattr(value, "object_type", None)
    return "report" if kind == "REPORT_PAYLOAD_DESCRIPTOR" else "event"


PayloadDescriptor = Annotated[
    Annotated[EventPayloadDescriptor, Tag("event")] | Annotated[ReportPayloadDescriptor, Tag("report")],
    Discriminator(_descriptor_tag),
]


class ReportDescriptor(Message):
    """A request for a report (User Guide 7.5); -1 counts as the schema says."""

    payload_type: Name
    reading_type: Name | None = None
    units: Name | None = None
    targets: Targets = ()
    aggregate: bool = False
    start_interval: Int32 = -1
    num_intervals: Int32 = -1
    historical: bool = True
    frequency: Int32 = -1
    repeat: Int32 = 1
    report_intervals: str = "INTERVALS"
