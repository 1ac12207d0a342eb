"""Names of the OpenADR 2.0b profile: namespaces, services, tokens of its schemas, response codes.

Sent values come from here; received ones are kept as text, so that an unknown one is a value and no failure.
"""

from enum import IntEnum, StrEnum

NAMESPACES = {
    "oadr": "http://openadr.org/oadr-2.0b/2012/07",
    "pyld": "http://docs.oasis-open.org/ns/energyinterop/201110/payloads",
    "ei": "http://docs.oasis-open.org/ns/energyinterop/201110",
    "emix": "http://docs.oasis-open.org/ns/emix/2011/06",
    "power": "http://docs.oasis-open.org/ns/emix/2011/06/power",
    "scale": "http://docs.oasis-open.org/ns/emix/2011/06/siscale",
    "strm": "urn:ietf:params:xml:ns:icalendar-2.0:stream",
    "xcal": "urn:ietf:params:xml:ns:icalendar-2.0",
    "ds": "http://www.w3.org/2000/09/xmldsig#",
    "dsp": "http://openadr.org/oadr-2.0b/2012/07/xmldsig-properties",
}
SCHEMA_VERSION = "2.0b"
PATH_PREFIX = "/OpenADR2/Simple/2.0b"
"""The path of the simple HTTP transport; a service's name follows."""
CONTENT_TYPE = "application/xml"
METADATA_REQUEST = "0"
"""The reportRequestID of a metadata report that nobody asked for."""


def qualified(name: str) -> str:
    """A name with a prefix in the notation of lxml: 'ei:venID' as '{...}venID'."""
    prefix, _, local = name.partition(":")
    return f"{{{NAMESPACES[prefix]}}}{local}"


class Service(StrEnum):
    """The services, each at its own path."""

    REGISTER_PARTY = "EiRegisterParty"
    EVENT = "EiEvent"
    REPORT = "EiReport"
    OPT = "EiOpt"
    POLL = "OadrPoll"


class EventState(StrEnum):
    """eventStatus."""

    NONE = "none"
    FAR = "far"
    NEAR = "near"
    ACTIVE = "active"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class SignalName(StrEnum):
    """signalName."""

    SIMPLE = "SIMPLE"
    SIMPLE_OLD = "simple"
    ELECTRICITY_PRICE = "ELECTRICITY_PRICE"
    ENERGY_PRICE = "ENERGY_PRICE"
    DEMAND_CHARGE = "DEMAND_CHARGE"
    BID_PRICE = "BID_PRICE"
    BID_LOAD = "BID_LOAD"
    BID_ENERGY = "BID_ENERGY"
    CHARGE_STATE = "CHARGE_STATE"
    LOAD_DISPATCH = "LOAD_DISPATCH"
    LOAD_CONTROL = "LOAD_CONTROL"


class SignalType(StrEnum):
    """signalType."""

    DELTA = "delta"
    LEVEL = "level"
    MULTIPLIER = "multiplier"
    PRICE = "price"
    PRICE_MULTIPLIER = "priceMultiplier"
    PRICE_RELATIVE = "priceRelative"
    SETPOINT = "setpoint"
    CONTROL_CAPACITY = "x-loadControlCapacity"
    CONTROL_LEVEL_OFFSET = "x-loadControlLevelOffset"
    CONTROL_PERCENT_OFFSET = "x-loadControlPercentOffset"
    CONTROL_SETPOINT = "x-loadControlSetpoint"


class OptType(StrEnum):
    """optType."""

    IN = "optIn"
    OUT = "optOut"


class OptReason(StrEnum):
    """optReason."""

    ECONOMIC = "economic"
    EMERGENCY = "emergency"
    MUST_RUN = "mustRun"
    NOT_PARTICIPATING = "notParticipating"
    OUTAGE_RUN_STATUS = "outageRunStatus"
    OVERRIDE_STATUS = "overrideStatus"
    PARTICIPATING = "participating"
    SCHEDULE = "x-schedule"


class ResponseRequired(StrEnum):
    """oadrResponseRequired."""

    ALWAYS = "always"
    NEVER = "never"


class ReportName(StrEnum):
    """reportName."""

    METADATA_HISTORY_USAGE = "METADATA_HISTORY_USAGE"
    HISTORY_USAGE = "HISTORY_USAGE"
    METADATA_HISTORY_GREENBUTTON = "METADATA_HISTORY_GREENBUTTON"
    HISTORY_GREENBUTTON = "HISTORY_GREENBUTTON"
    METADATA_TELEMETRY_USAGE = "METADATA_TELEMETRY_USAGE"
    TELEMETRY_USAGE = "TELEMETRY_USAGE"
    METADATA_TELEMETRY_STATUS = "METADATA_TELEMETRY_STATUS"
    TELEMETRY_STATUS = "TELEMETRY_STATUS"


class ReportType(StrEnum):
    """reportType, as far as we send it."""

    READING = "reading"
    USAGE = "usage"
    DEMAND = "demand"
    RESOURCE_STATUS = "x-resourceStatus"


class ReadingType(StrEnum):
    """readingType, as far as we send it."""

    DIRECT_READ = "Direct Read"
    NET = "Net"
    MEAN = "Mean"
    NOT_APPLICABLE = "x-notApplicable"


class DataQuality(StrEnum):
    """oadrDataQuality, as far as we send it."""

    GOOD = "Quality Good - Non Specific"
    NO_VALUE = "No Quality - No Value"


class Transport(StrEnum):
    """oadrTransportName."""

    HTTP = "simpleHttp"
    XMPP = "xmpp"


class Code(IntEnum):
    """responseCode: the application's codes of the profile."""

    OK = 200
    OUT_OF_SEQUENCE = 450
    NOT_ALLOWED = 451
    INVALID_ID = 452
    NOT_RECOGNISED = 453
    INVALID_DATA = 454
    COMPLIANCE = 459
    SIGNAL_NOT_SUPPORTED = 460
    REPORT_NOT_SUPPORTED = 461
    TARGET_MISMATCH = 462
    NOT_REGISTERED = 463
    DEPLOYMENT = 469
