"""What the messages of OpenADR 2.0b are made of. Names are those of the schema; times are aware, durations spans."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation

from lxml import etree

from cem.wire.openadr2b.names import METADATA_REQUEST, qualified
from cem.wire.openadr2b.shape import (
    COUNT,
    DURATION,
    FLAG,
    INSTANT,
    NUMBER,
    STAMP,
    TEXT,
    Among,
    Element,
    Empty,
    at,
)

OK = "200"


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """eiResponse: how a request fared. Some peers leave the request's identifier out."""

    code: str = at("ei:responseCode", TEXT)
    description: str | None = at("ei:responseDescription", TEXT, default=None)
    request_id: str = at("pyld:requestID", TEXT, sent=True, default="")

    @property
    def ok(self) -> bool:
        """Whether it is one of the 2xx codes."""
        return len(self.code) == 3 and self.code.startswith("2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """An itemBase: what a number counts. `name` is the element, such as power:powerReal; `scale` a siScaleCode."""

    name: str
    description: str
    units: str
    scale: str = "none"
    hertz: Decimal | None = None
    voltage: Decimal | None = None
    ac: bool | None = None


_POWERS = ("power:powerReal", "power:powerReactive", "power:powerApparent")
_UNITS = (
    *_POWERS,
    "power:energyReal",
    "power:energyReactive",
    "power:energyApparent",
    "power:voltage",
    "oadr:customUnit",
    "oadr:current",
    "oadr:currency",
    "oadr:currencyPerKWh",
    "oadr:currencyPerKW",
    "oadr:currencyPerThm",
    "oadr:frequency",
    "oadr:Therm",
    "oadr:temperature",
    "oadr:pulseCount",
)
_UNIT_OF_TAG = {qualified(name): name for name in _UNITS}
_PULSES = "oadr:pulseCount"


def _write_unit(element: Element, unit: Unit) -> None:
    prefix = unit.name.partition(":")[0]
    etree.SubElement(element, qualified(f"{prefix}:itemDescription")).text = unit.description
    etree.SubElement(element, qualified(f"{prefix}:itemUnits")).text = unit.units
    if unit.name == _PULSES:
        etree.SubElement(element, qualified("oadr:pulseFactor")).text = unit.scale
        return
    etree.SubElement(element, qualified("scale:siScaleCode")).text = unit.scale
    if unit.name in _POWERS:
        if unit.hertz is None or unit.voltage is None or unit.ac is None:
            raise ValueError(f"{unit.name} needs hertz, voltage and ac")
        attributes = etree.SubElement(element, qualified("power:powerAttributes"))
        etree.SubElement(attributes, qualified("power:hertz")).text = str(unit.hertz)
        etree.SubElement(attributes, qualified("power:voltage")).text = str(unit.voltage)
        etree.SubElement(attributes, qualified("power:ac")).text = "true" if unit.ac else "false"


def _read_unit(element: Element) -> Unit:
    name = _UNIT_OF_TAG[str(element.tag)]
    texts = {etree.QName(child).localname: (child.text or "").strip() for child in element.iterdescendants()}
    ac = texts.get("ac")
    return Unit(
        name=name,
        description=texts.get("itemDescription", ""),
        units=texts.get("itemUnits", ""),
        scale=texts.get("pulseFactor" if name == _PULSES else "siScaleCode", "none"),
        hertz=_decimal(texts.get("hertz")),
        voltage=_decimal(texts.get("voltage")),
        ac=None if ac is None else ac in ("true", "1"),
    )


def _decimal(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"{text[:20]!r} is not a number") from error
    if not number.is_finite():
        raise ValueError(f"{text[:20]!r} is not a finite number")
    return number


UNIT = Among(tuple(_UNIT_OF_TAG), lambda unit: qualified(unit.name), _write_unit, _read_unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """eiTarget: whom or what it is about; empty means whoever receives it. Areas in GML are overlooked."""

    aggregated_pnodes: tuple[str, ...] = at("power:aggregatedPnode*/power:node", TEXT, default=())
    end_device_assets: tuple[str, ...] = at("power:endDeviceAsset*/power:mrid", TEXT, default=())
    meter_assets: tuple[str, ...] = at("power:meterAsset*/power:mrid", TEXT, default=())
    pnodes: tuple[str, ...] = at("power:pnode*/power:node", TEXT, default=())
    delivery_points: tuple[str, ...] = at("power:serviceDeliveryPoint*/power:node", TEXT, default=())
    group_ids: tuple[str, ...] = at("ei:groupID*", TEXT, default=())
    group_names: tuple[str, ...] = at("ei:groupName*", TEXT, default=())
    resource_ids: tuple[str, ...] = at("ei:resourceID*", TEXT, default=())
    ven_ids: tuple[str, ...] = at("ei:venID*", TEXT, default=())
    party_ids: tuple[str, ...] = at("ei:partyID*", TEXT, default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class QualifiedEventId:
    """An event in one of its versions."""

    event_id: str = at("ei:eventID", TEXT)
    modification_number: int = at("ei:modificationNumber", COUNT)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalInterval:
    """One interval of a signal; `uid` counts from 0, a duration of 0 is open."""

    start: datetime | None = at("xcal:dtstart/xcal:date-time", INSTANT, default=None)
    duration: timedelta | None = at("xcal:duration/xcal:duration", DURATION, default=None)
    uid: str | None = at("xcal:uid/xcal:text", TEXT, default=None)
    value: float = at("ei:signalPayload/ei:payloadFloat/ei:value", NUMBER)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSignal:
    """eiEventSignal."""

    intervals: tuple[SignalInterval, ...] = at("strm:intervals/ei:interval*", SignalInterval)
    target: Target | None = at("ei:eiTarget", Target, default=None)
    name: str = at("ei:signalName", TEXT)
    type: str = at("ei:signalType", TEXT)
    id: str = at("ei:signalID", TEXT)
    unit: Unit | None = at("emix:itemBase", UNIT, default=None)
    current_value: float | None = at("ei:currentValue/ei:payloadFloat/ei:value", NUMBER, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventBaseline:
    """eiEventBaseline: what would be drawn without the event."""

    start: datetime = at("xcal:dtstart/xcal:date-time", INSTANT)
    duration: timedelta = at("xcal:duration/xcal:duration", DURATION)
    intervals: tuple[SignalInterval, ...] = at("strm:intervals/ei:interval*", SignalInterval)
    id: str = at("ei:baselineID", TEXT)
    resource_ids: tuple[str, ...] = at("ei:resourceID*", TEXT, default=())
    name: str = at("ei:baselineName", TEXT)
    unit: Unit | None = at("emix:itemBase", UNIT, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivePeriod:
    """eiActivePeriod. `start_after`: the start may be late by up to so much, drawn by the VEN."""

    start: datetime = at("xcal:properties/xcal:dtstart/xcal:date-time", INSTANT)
    duration: timedelta = at("xcal:properties/xcal:duration/xcal:duration", DURATION)
    start_after: timedelta | None = at(
        "xcal:properties/xcal:tolerance/xcal:tolerate/xcal:startafter", DURATION, default=None
    )
    notification: timedelta | None = at("xcal:properties/ei:x-eiNotification/xcal:duration", DURATION, default=None)
    ramp_up: timedelta | None = at("xcal:properties/ei:x-eiRampUp/xcal:duration", DURATION, default=None)
    recovery: timedelta | None = at("xcal:properties/ei:x-eiRecovery/xcal:duration", DURATION, default=None)
    components: bool = at("xcal:components", Empty(), default=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDescriptor:
    """eventDescriptor. `priority` 0 is none, 1 the highest. `test`: anything but absent, empty or false."""

    event_id: str = at("ei:eventID", TEXT)
    modification_number: int = at("ei:modificationNumber", COUNT)
    modified_at: datetime | None = at("ei:modificationDateTime", STAMP, default=None)
    modification_reason: str | None = at("ei:modificationReason", TEXT, default=None)
    priority: int | None = at("ei:priority", COUNT, default=None)
    market_context: str = at("ei:eiMarketContext/emix:marketContext", TEXT)
    created_at: datetime | None = at("ei:createdDateTime", STAMP, sent=True, default=None)
    status: str = at("ei:eventStatus", TEXT)
    test: str | None = at("ei:testEvent", TEXT, default=None)
    comment: str | None = at("ei:vtnComment", TEXT, default=None)

    @property
    def is_test(self) -> bool:
        """Whether the event is to be answered and not to be acted on."""
        return (self.test or "false").strip().lower() != "false"


@dataclass(frozen=True, slots=True, kw_only=True)
class EiEvent:
    """oadrEvent: one event and whether it must be answered."""

    descriptor: EventDescriptor = at("ei:eiEvent/ei:eventDescriptor", EventDescriptor)
    period: ActivePeriod = at("ei:eiEvent/ei:eiActivePeriod", ActivePeriod)
    signals: tuple[EventSignal, ...] = at("ei:eiEvent/ei:eiEventSignals!/ei:eiEventSignal*", EventSignal)
    baseline: EventBaseline | None = at("ei:eiEvent/ei:eiEventSignals/ei:eiEventBaseline", EventBaseline, default=None)
    target: Target = at("ei:eiEvent/ei:eiTarget", Target, sent=True, default=Target())
    response_required: str = at("oadr:oadrResponseRequired", TEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventResponse:
    """eventResponse: the answer to one event."""

    code: str = at("ei:responseCode", TEXT)
    description: str | None = at("ei:responseDescription", TEXT, default=None)
    request_id: str = at("pyld:requestID", TEXT, sent=True, default="")
    event: QualifiedEventId = at("ei:qualifiedEventID", QualifiedEventId)
    opt_type: str = at("ei:optType", TEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Available:
    """A stretch of time of an opt schedule."""

    start: datetime = at("xcal:properties/xcal:dtstart/xcal:date-time", INSTANT)
    duration: timedelta = at("xcal:properties/xcal:duration/xcal:duration", DURATION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """vavailability: the stretches of an opt schedule."""

    stretches: tuple[Available, ...] = at("xcal:components!/xcal:available*", Available, default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingRate:
    """oadrSamplingRate."""

    shortest: timedelta = at("oadr:oadrMinPeriod", DURATION)
    longest: timedelta = at("oadr:oadrMaxPeriod", DURATION)
    on_change: bool = at("oadr:oadrOnChange", FLAG)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportDescription:
    """oadrReportDescription: one data point that can be reported."""

    r_id: str = at("ei:rID", TEXT)
    subject: Target | None = at("ei:reportSubject", Target, default=None)
    source: Target | None = at("ei:reportDataSource", Target, default=None)
    type: str = at("ei:reportType", TEXT)
    unit: Unit | None = at("emix:itemBase", UNIT, default=None)
    reading_type: str = at("ei:readingType", TEXT)
    market_context: str | None = at("emix:marketContext", TEXT, default=None)
    sampling: SamplingRate | None = at("oadr:oadrSamplingRate", SamplingRate, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadControl:
    """One value of oadrLoadControlState."""

    least: float | None = at("oadr:oadrMin", NUMBER, default=None)
    most: float | None = at("oadr:oadrMax", NUMBER, default=None)
    current: float = at("oadr:oadrCurrent", NUMBER)
    normal: float | None = at("oadr:oadrNormal", NUMBER, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceStatus:
    """oadrPayloadResourceStatus."""

    online: bool = at("oadr:oadrOnline", FLAG)
    manual_override: bool = at("oadr:oadrManualOverride", FLAG)
    capacity: LoadControl | None = at("oadr:oadrLoadControlState/oadr:oadrCapacity", LoadControl, default=None)
    level_offset: LoadControl | None = at("oadr:oadrLoadControlState/oadr:oadrLevelOffset", LoadControl, default=None)
    percent_offset: LoadControl | None = at(
        "oadr:oadrLoadControlState/oadr:oadrPercentOffset", LoadControl, default=None
    )
    set_point: LoadControl | None = at("oadr:oadrLoadControlState/oadr:oadrSetPoint", LoadControl, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPayload:
    """oadrReportPayload: one value, a number or a status."""

    r_id: str = at("ei:rID", TEXT)
    confidence: int | None = at("ei:confidence", COUNT, default=None)
    accuracy: float | None = at("ei:accuracy", NUMBER, default=None)
    value: float | None = at("ei:payloadFloat/ei:value", NUMBER, default=None)
    status: ResourceStatus | None = at("oadr:oadrPayloadResourceStatus", ResourceStatus, default=None)
    quality: str | None = at("oadr:oadrDataQuality", TEXT, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportInterval:
    """One interval of a report with its values."""

    start: datetime | None = at("xcal:dtstart/xcal:date-time", INSTANT, default=None)
    duration: timedelta | None = at("xcal:duration/xcal:duration", DURATION, default=None)
    uid: str | None = at("xcal:uid/xcal:text", TEXT, default=None)
    payloads: tuple[ReportPayload, ...] = at("oadr:oadrReportPayload*", ReportPayload)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """oadrReport: what can be reported (metadata; some peers leave the request out of it), or what is."""

    start: datetime | None = at("xcal:dtstart/xcal:date-time", INSTANT, default=None)
    duration: timedelta | None = at("xcal:duration/xcal:duration", DURATION, default=None)
    intervals: tuple[ReportInterval, ...] = at("strm:intervals/ei:interval*", ReportInterval, default=())
    id: str | None = at("ei:eiReportID", TEXT, default=None)
    descriptions: tuple[ReportDescription, ...] = at("oadr:oadrReportDescription*", ReportDescription, default=())
    request_id: str = at("ei:reportRequestID", TEXT, sent=True, default=METADATA_REQUEST)
    specifier_id: str = at("ei:reportSpecifierID", TEXT)
    name: str | None = at("ei:reportName", TEXT, default=None)
    created_at: datetime | None = at("ei:createdDateTime", STAMP, sent=True, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecifierPayload:
    """specifierPayload: one data point that is asked for."""

    r_id: str = at("ei:rID", TEXT)
    unit: Unit | None = at("emix:itemBase", UNIT, default=None)
    reading_type: str = at("ei:readingType", TEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportWindow:
    """reportInterval: from when on and for how long is reported; a duration of 0 is until cancelled."""

    start: datetime = at("xcal:properties/xcal:dtstart/xcal:date-time", INSTANT)
    duration: timedelta = at("xcal:properties/xcal:duration/xcal:duration", DURATION)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest:
    """oadrReportRequest. `back` is how often a report is sent, 0 for once; `granularity` how long its intervals are."""

    request_id: str = at("ei:reportRequestID", TEXT)
    specifier_id: str = at("ei:reportSpecifier/ei:reportSpecifierID", TEXT)
    granularity: timedelta = at("ei:reportSpecifier/xcal:granularity/xcal:duration", DURATION)
    back: timedelta = at("ei:reportSpecifier/ei:reportBackDuration/xcal:duration", DURATION, default=timedelta())
    window: ReportWindow | None = at("ei:reportSpecifier/ei:reportInterval", ReportWindow, default=None)
    payloads: tuple[SpecifierPayload, ...] = at("ei:reportSpecifier/ei:specifierPayload*", SpecifierPayload)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """oadrProfile with its transports."""

    name: str = at("oadr:oadrProfileName", TEXT)
    transports: tuple[str, ...] = at("oadr:oadrTransports/oadr:oadrTransport*/oadr:oadrTransportName", TEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """oadrInfo: a key and its value."""

    key: str = at("oadr:oadrKey", TEXT)
    value: str = at("oadr:oadrValue", TEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceInfo:
    """oadrService: information about one service."""

    name: str = at("oadr:oadrServiceName", TEXT)
    infos: tuple[Info, ...] = at("oadr:oadrInfo*", Info)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """oadrExtension."""

    name: str = at("oadr:oadrExtensionName", TEXT)
    infos: tuple[Info, ...] = at("oadr:oadrInfo*", Info, default=())
