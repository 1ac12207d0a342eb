"""The addressable objects of OpenADR 3.1.0, each as a client sends it (`...Request`) and as a VTN answers it.

The metadata are the VTN's; its times are kept as text because peers send forms that are not RFC 3339.
"""

from typing import Annotated

from pydantic import Field, model_validator

from cem.wire.openadr3.message import ForwardDuration, Many, Message, Name, ObjectID, Targets
from cem.wire.openadr3.parts import (
    EventPayloadDescriptor,
    IntervalPeriod,
    Intervals,
    PayloadDescriptor,
    ReportDescriptor,
    ReportPayloadDescriptor,
    ValuesMap,
)

Attributes = Many[ValuesMap]
Url = Annotated[str, Field(min_length=2, max_length=8000)]


_IDS = ("id", "programID", "eventID", "venID", "clientID")


class ObjectMetadata(Message):
    """What a VTN adds to every object.

    Objects are read with patience, requests are not: VTNs write programId, and identifiers as numbers or with other
    characters. Targets as 3.0 has them are refused: that edition leaves it to the VEN whom an event is for.
    """

    id: ObjectID
    created_date_time: str | None = None
    modification_date_time: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _as_meant(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        meant = dict(value)
        for name in _IDS:
            other = f"{name[:-2]}Id"
            if name not in meant and other in meant and name != "id":
                meant[name] = meant.pop(other)
            if isinstance(meant.get(name), int) and not isinstance(meant[name], bool):
                meant[name] = str(meant[name])
        return meant


class ProgramDescription(Message):
    """A link to a description of a program."""

    url: Annotated[Url, Field(validation_alias="URL", serialization_alias="URL")]


class ProgramRequest(Message):
    """A program as the business logic writes it."""

    program_name: Name
    interval_period: IntervalPeriod | None = None
    program_descriptions: Many[ProgramDescription] = ()
    payload_descriptors: Many[PayloadDescriptor] = ()
    attributes: Attributes = ()
    targets: Targets = ()


class Program(ProgramRequest, ObjectMetadata):
    """A program."""

    object_type: str = "PROGRAM"


class EventRequest(Message):
    """An event as the business logic writes it. Priority 0 is the highest; None is below all numbers."""

    program_id: ObjectID
    event_name: str | None = None
    duration: ForwardDuration | None = None  # shortens or loops the intervals (User Guide 7.3)
    priority: Annotated[int, Field(ge=0)] | None = None
    targets: Targets = ()
    report_descriptors: Many[ReportDescriptor] = ()
    payload_descriptors: Many[EventPayloadDescriptor] = ()
    interval_period: IntervalPeriod | None = None
    intervals: Intervals = ()


class Event(EventRequest, ObjectMetadata):
    """An event."""

    object_type: str = "EVENT"


class ReportResource(Message):
    """The data of one resource in a report."""

    resource_name: Name
    interval_period: IntervalPeriod | None = None
    intervals: Intervals


class ReportRequest(Message):
    """A report as a VEN writes it."""

    event_id: ObjectID
    client_name: Name
    report_name: str | None = None
    payload_descriptors: Many[ReportPayloadDescriptor] = ()
    resources: Many[ReportResource]


class Report(ReportRequest, ObjectMetadata):
    """A report; `client_id` is the client that wrote it."""

    object_type: str = "REPORT"
    client_id: Name | None = None


class ObjectOperation(Message):
    """What a subscription wants to hear of, and where."""

    objects: Many[str]
    operations: Many[str]
    callback_url: Annotated[Url, Field(validation_alias="callbackUrl", serialization_alias="callbackUrl")]
    bearer_token: str | None = None


class SubscriptionRequest(Message):
    """A subscription as a client writes it."""

    client_name: Name
    program_id: ObjectID | None = None
    object_operations: Many[ObjectOperation]
    targets: Targets = ()


class Subscription(SubscriptionRequest, ObjectMetadata):
    """A subscription."""

    object_type: str = "SUBSCRIPTION"
    client_id: Name | None = None


class VenRequest(Message):
    """A ven as a VEN (VEN_VEN_REQUEST) or the business logic (BL_VEN_REQUEST: client id and targets too) writes it."""

    object_type: str = "VEN_VEN_REQUEST"
    ven_name: Name
    client_id: Name | None = None
    targets: Targets = ()
    attributes: Attributes = ()


class Ven(VenRequest, ObjectMetadata):
    """A ven."""

    object_type: str = "VEN"


class ResourceRequest(Message):
    """A resource as a VEN (VEN_RESOURCE_REQUEST) or the business logic (BL_RESOURCE_REQUEST) writes it."""

    object_type: str = "VEN_RESOURCE_REQUEST"
    resource_name: Name
    ven_id: ObjectID
    client_id: Name | None = None
    targets: Targets = ()
    attributes: Attributes = ()


class Resource(ResourceRequest, ObjectMetadata):
    """A resource."""

    object_type: str = "RESOURCE"
