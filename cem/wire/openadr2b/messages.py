"""The messages of OpenADR 2.0b. `TAG` is the element, `SERVICE` where a request of that kind is sent."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from cem.wire.openadr2b.names import Service
from cem.wire.openadr2b.parts import (
    Availability,
    EiEvent,
    EventResponse,
    Extension,
    Profile,
    QualifiedEventId,
    Report,
    ReportRequest,
    Response,
    ServiceInfo,
    Target,
)
from cem.wire.openadr2b.shape import COUNT, DURATION, FLAG, STAMP, TEXT, at


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What stands in an oadrSignedObject."""

    TAG: ClassVar[str] = ""
    SERVICE: ClassVar[Service]


@dataclass(frozen=True, slots=True, kw_only=True)
class OadrResponse(Message):
    """The answer that says no more than how it went."""

    TAG: ClassVar[str] = "oadrResponse"
    SERVICE: ClassVar[Service] = Service.POLL
    response: Response = at("ei:eiResponse", Response)
    ven_id: str | None = at("ei:venID", TEXT, default=None)


# --- events --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributeEvent(Message):
    """All events that a VTN has for a VEN."""

    TAG: ClassVar[str] = "oadrDistributeEvent"
    SERVICE: ClassVar[Service] = Service.EVENT
    response: Response | None = at("ei:eiResponse", Response, default=None)
    request_id: str = at("pyld:requestID", TEXT, sent=True, default="")
    vtn_id: str = at("ei:vtnID", TEXT)
    events: tuple[EiEvent, ...] = at("oadr:oadrEvent*", EiEvent, default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedEvent(Message):
    """A VEN's answer to events."""

    TAG: ClassVar[str] = "oadrCreatedEvent"
    SERVICE: ClassVar[Service] = Service.EVENT
    response: Response = at("pyld:eiCreatedEvent/ei:eiResponse", Response)
    answers: tuple[EventResponse, ...] = at(
        "pyld:eiCreatedEvent/ei:eventResponses/ei:eventResponse*", EventResponse, default=()
    )
    ven_id: str = at("pyld:eiCreatedEvent/ei:venID", TEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestEvent(Message):
    """A VEN asks for all its events."""

    TAG: ClassVar[str] = "oadrRequestEvent"
    SERVICE: ClassVar[Service] = Service.EVENT
    request_id: str = at("pyld:eiRequestEvent/pyld:requestID", TEXT)
    ven_id: str = at("pyld:eiRequestEvent/ei:venID", TEXT)
    reply_limit: int | None = at("pyld:eiRequestEvent/pyld:replyLimit", COUNT, default=None)


# --- opt -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateOpt(Message):
    """Opts in or out: of one event, or of the stretches of a schedule."""

    TAG: ClassVar[str] = "oadrCreateOpt"
    SERVICE: ClassVar[Service] = Service.OPT
    opt_id: str = at("ei:optID", TEXT)
    opt_type: str = at("ei:optType", TEXT)
    reason: str = at("ei:optReason", TEXT)
    market_context: str | None = at("emix:marketContext", TEXT, default=None)
    ven_id: str = at("ei:venID", TEXT)
    availability: Availability | None = at("xcal:vavailability", Availability, default=None)
    created_at: datetime | None = at("ei:createdDateTime", STAMP, sent=True, default=None)
    request_id: str = at("pyld:requestID", TEXT)
    event: QualifiedEventId | None = at("ei:qualifiedEventID", QualifiedEventId, default=None)
    target: Target = at("ei:eiTarget", Target, sent=True, default=Target())
    device_class: Target | None = at("oadr:oadrDeviceClass", Target, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedOpt(Message):
    """The answer to oadrCreateOpt."""

    TAG: ClassVar[str] = "oadrCreatedOpt"
    SERVICE: ClassVar[Service] = Service.OPT
    response: Response = at("ei:eiResponse", Response)
    opt_id: str = at("ei:optID", TEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOpt(Message):
    """Takes an opt back."""

    TAG: ClassVar[str] = "oadrCancelOpt"
    SERVICE: ClassVar[Service] = Service.OPT
    request_id: str = at("pyld:requestID", TEXT)
    opt_id: str = at("ei:optID", TEXT)
    ven_id: str = at("ei:venID", TEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class CanceledOpt(Message):
    """The answer to oadrCancelOpt."""

    TAG: ClassVar[str] = "oadrCanceledOpt"
    SERVICE: ClassVar[Service] = Service.OPT
    response: Response = at("ei:eiResponse", Response)
    opt_id: str | None = at("ei:optID", TEXT, default=None)


# --- reports -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterReport(Message):
    """What the sender can report: its metadata reports."""

    TAG: ClassVar[str] = "oadrRegisterReport"
    SERVICE: ClassVar[Service] = Service.REPORT
    request_id: str = at("pyld:requestID", TEXT)
    reports: tuple[Report, ...] = at("oadr:oadrReport*", Report, default=())
    ven_id: str | None = at("ei:venID", TEXT, default=None)
    report_request_id: str | None = at("ei:reportRequestID", TEXT, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredReport(Message):
    """The answer to oadrRegisterReport, with what is asked for at once."""

    TAG: ClassVar[str] = "oadrRegisteredReport"
    SERVICE: ClassVar[Service] = Service.REPORT
    response: Response = at("ei:eiResponse", Response)
    requests: tuple[ReportRequest, ...] = at("oadr:oadrReportRequest*", ReportRequest, default=())
    ven_id: str | None = at("ei:venID", TEXT, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateReport(Message):
    """Asks for reports."""

    TAG: ClassVar[str] = "oadrCreateReport"
    SERVICE: ClassVar[Service] = Service.REPORT
    request_id: str = at("pyld:requestID", TEXT)
    requests: tuple[ReportRequest, ...] = at("oadr:oadrReportRequest*", ReportRequest)
    ven_id: str | None = at("ei:venID", TEXT, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedReport(Message):
    """The answer to a request for reports: which are pending now."""

    TAG: ClassVar[str] = "oadrCreatedReport"
    SERVICE: ClassVar[Service] = Service.REPORT
    response: Response = at("ei:eiResponse", Response)
    pending: tuple[str, ...] = at("oadr:oadrPendingReports!/ei:reportRequestID*", TEXT, default=())
    ven_id: str | None = at("ei:venID", TEXT, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateReport(Message):
    """Reports."""

    TAG: ClassVar[str] = "oadrUpdateReport"
    SERVICE: ClassVar[Service] = Service.REPORT
    request_id: str = at("pyld:requestID", TEXT)
    reports: tuple[Report, ...] = at("oadr:oadrReport*", Report, default=())
    ven_id: str | None = at("ei:venID", TEXT, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelReport(Message):
    """No more of these reports; `to_follow`: a last one is wanted."""

    TAG: ClassVar[str] = "oadrCancelReport"
    SERVICE: ClassVar[Service] = Service.REPORT
    request_id: str = at("pyld:requestID", TEXT)
    report_request_ids: tuple[str, ...] = at("ei:reportRequestID*", TEXT)
    to_follow: bool = at("pyld:reportToFollow", FLAG)
    ven_id: str | None = at("ei:venID", TEXT, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CanceledReport(Message):
    """The answer to oadrCancelReport: which are still pending."""

    TAG: ClassVar[str] = "oadrCanceledReport"
    SERVICE: ClassVar[Service] = Service.REPORT
    response: Response = at("ei:eiResponse", Response)
    pending: tuple[str, ...] = at("oadr:oadrPendingReports!/ei:reportRequestID*", TEXT, default=())
    ven_id: str | None = at("ei:venID", TEXT, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatedReport(Message):
    """The answer to oadrUpdateReport; it may cancel."""

    TAG: ClassVar[str] = "oadrUpdatedReport"
    SERVICE: ClassVar[Service] = Service.REPORT
    response: Response = at("ei:eiResponse", Response)
    cancel: CancelReport | None = at("oadr:oadrCancelReport", CancelReport, default=None)
    ven_id: str | None = at("ei:venID", TEXT, default=None)


# --- registration --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryRegistration(Message):
    """What does the VTN offer?"""

    TAG: ClassVar[str] = "oadrQueryRegistration"
    SERVICE: ClassVar[Service] = Service.REGISTER_PARTY
    request_id: str = at("pyld:requestID", TEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatePartyRegistration(Message):
    """Registers, or registers again under the identifiers given before."""

    TAG: ClassVar[str] = "oadrCreatePartyRegistration"
    SERVICE: ClassVar[Service] = Service.REGISTER_PARTY
    request_id: str = at("pyld:requestID", TEXT)
    registration_id: str | None = at("ei:registrationID", TEXT, default=None)
    ven_id: str | None = at("ei:venID", TEXT, default=None)
    profile: str = at("oadr:oadrProfileName", TEXT)
    transport: str = at("oadr:oadrTransportName", TEXT)
    transport_address: str | None = at("oadr:oadrTransportAddress", TEXT, default=None)
    report_only: bool = at("oadr:oadrReportOnly", FLAG)
    xml_signature: bool = at("oadr:oadrXmlSignature", FLAG)
    ven_name: str | None = at("oadr:oadrVenName", TEXT, default=None)
    pull: bool | None = at("oadr:oadrHttpPullModel", FLAG, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedPartyRegistration(Message):
    """The answer to both: what is offered, and who we are from now on."""

    TAG: ClassVar[str] = "oadrCreatedPartyRegistration"
    SERVICE: ClassVar[Service] = Service.REGISTER_PARTY
    response: Response = at("ei:eiResponse", Response)
    registration_id: str | None = at("ei:registrationID", TEXT, default=None)
    ven_id: str | None = at("ei:venID", TEXT, default=None)
    vtn_id: str = at("ei:vtnID", TEXT)
    profiles: tuple[Profile, ...] = at("oadr:oadrProfiles!/oadr:oadrProfile*", Profile, sent=True, default=())
    poll_every: timedelta | None = at("oadr:oadrRequestedOadrPollFreq/xcal:duration", DURATION, default=None)
    services: tuple[ServiceInfo, ...] = at("oadr:oadrServiceSpecificInfo/oadr:oadrService*", ServiceInfo, default=())
    extensions: tuple[Extension, ...] = at("oadr:oadrExtensions/oadr:oadrExtension*", Extension, default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelPartyRegistration(Message):
    """Ends a registration; either end may."""

    TAG: ClassVar[str] = "oadrCancelPartyRegistration"
    SERVICE: ClassVar[Service] = Service.REGISTER_PARTY
    request_id: str = at("pyld:requestID", TEXT)
    registration_id: str = at("ei:registrationID", TEXT)
    ven_id: str | None = at("ei:venID", TEXT, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CanceledPartyRegistration(Message):
    """The answer to oadrCancelPartyRegistration."""

    TAG: ClassVar[str] = "oadrCanceledPartyRegistration"
    SERVICE: ClassVar[Service] = Service.REGISTER_PARTY
    response: Response = at("ei:eiResponse", Response)
    registration_id: str | None = at("ei:registrationID", TEXT, default=None)
    ven_id: str | None = at("ei:venID", TEXT, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestReregistration(Message):
    """The VTN wants the VEN to register again."""

    TAG: ClassVar[str] = "oadrRequestReregistration"
    SERVICE: ClassVar[Service] = Service.REGISTER_PARTY
    ven_id: str = at("ei:venID", TEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll(Message):
    """Is there anything new?"""

    TAG: ClassVar[str] = "oadrPoll"
    SERVICE: ClassVar[Service] = Service.POLL
    ven_id: str = at("ei:venID", TEXT)


ALL: tuple[type[Message], ...] = (
    OadrResponse,
    DistributeEvent,
    CreatedEvent,
    RequestEvent,
    CreateOpt,
    CreatedOpt,
    CancelOpt,
    CanceledOpt,
    RegisterReport,
    RegisteredReport,
    CreateReport,
    CreatedReport,
    UpdateReport,
    UpdatedReport,
    CancelReport,
    CanceledReport,
    QueryRegistration,
    CreatePartyRegistration,
    CreatedPartyRegistration,
    CancelPartyRegistration,
    CanceledPartyRegistration,
    RequestReregistration,
    Poll,
)
