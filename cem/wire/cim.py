"""IEC 61968-9 written out: MeterReadings, EndDeviceEvents and EndDeviceControls in one IEC 61968-100 message.

Element names, namespaces and their order are those of the 2011 schemas (http://iec.ch/TC57/2011/...#). Reading
types have the 18 fields of IEC 61968-9 Annex C; what has no code there is written under its own name with
"unmapped:" before it. Aligned with the CIM, not certified.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any, TypeVar

from lxml import etree

T = TypeVar("T")

MESSAGE = "http://iec.ch/TC57/2011/schema/message"
READINGS = "http://iec.ch/TC57/2011/MeterReadings#"
EVENTS = "http://iec.ch/TC57/2011/EndDeviceEvents#"
CONTROLS = "http://iec.ch/TC57/2011/EndDeviceControls#"
UNMAPPED = "unmapped:"

# The fields of a reading type, IEC 61968-9 Annex C, in their order in the code.
FORWARD, REVERSE, NET = 1, 19, 4
BULK, SUMMATION, INDICATING, DELTA, INSTANTANEOUS = 1, 1, 6, 4, 12
ENERGY, POWER, VOLTAGE, CURRENT, FREQUENCY = 12, 37, 54, 4, 15
WH, WATT, VOLT, AMPERE, HERTZ = 72, 38, 29, 5, 33
PHASES = {"": 0, "l1": 128, "l2": 64, "l3": 32}
AVERAGE = 2
ONE_MINUTE, FIFTEEN_MINUTES = 3, 2


def reading_type(
    kind: int,
    unit: int,
    *,
    accumulation: int,
    direction: int = 0,
    aggregate: int = 0,
    period: int = 0,
    phase: str = "",
) -> str:
    """The code of a reading of electricity metered by a secondary device; the fields not named are 0."""
    fields = [0, aggregate, period, accumulation, direction, 1, kind, *(0,) * 7, PHASES[phase], 0, unit, 0]
    # macroPeriod aggregate measuringPeriod accumulation flowDirection commodity kind interharmonic(2) argument(2)
    # tou cpp tier phases multiplier unit currency: 7 zeros are interharmonic to tier
    return ".".join(map(str, fields))


@dataclass(frozen=True, slots=True)
class Interval:
    """One value; `at` is the end of the interval, or the instant of a register."""

    at: datetime
    value: float


@dataclass(frozen=True, slots=True)
class Channel:
    """The values of one reading type. A register is a reading at an instant, everything else an interval's."""

    type: str
    values: Iterable[Interval]
    is_register: bool = False


@dataclass(frozen=True, slots=True)
class Device:
    """An end device with its usage point and channels."""

    id: str
    usage_point: str
    channels: tuple[Channel, ...]


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """Something that happened; `type` is type.domain.subdomain.action."""

    id: str
    at: datetime
    type: str
    issuer: str = ""
    tracking: str = ""  # the issuer's own identifier
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DeviceControl:
    """Something that was asked for [start, end)."""

    id: str
    type: str
    issuer: str
    tracking: str
    reason: str
    start: datetime
    end: datetime | None
    mandatory: bool


class CimWriter:
    """Writes one message to a stream of bytes, value by value, so that a year needs no memory."""

    def __init__(self, stream: IO[bytes], source: str, at: datetime) -> None:
        self._stream = stream
        self._source = source
        self._at = at

    def write(
        self, devices: Iterable[Device], controls: Iterable[DeviceControl], events: Iterable[DeviceEvent]
    ) -> None:
        """The whole message; raises OSError where the stream does."""
        with etree.xmlfile(self._stream, encoding="utf-8") as xml:
            xml.write_declaration()
            with xml.element(_name(MESSAGE, "EventMessage"), nsmap={None: MESSAGE}):
                self._header(xml)
                with xml.element(_name(MESSAGE, "Payload")):
                    self._readings(xml, devices)
                    self._controls(xml, controls)
                    self._events(xml, events)
        self._stream.write(b"\n")

    def _header(self, xml: Any) -> None:
        with xml.element(_name(MESSAGE, "Header")):
            for name, text in (
                ("Verb", "created"),
                ("Noun", "MeterReadings"),
                ("Timestamp", _time(self._at)),
                ("Source", self._source),
            ):
                _text(xml, MESSAGE, name, text)

    @staticmethod
    def _readings(xml: Any, devices: Iterable[Device]) -> None:
        with xml.element(_name(READINGS, "MeterReadings"), nsmap={None: READINGS}):
            for device in devices:
                with xml.element(_name(READINGS, "MeterReading")):
                    for channel in device.channels:
                        if not channel.is_register:
                            _block(xml, channel)
                    with xml.element(_name(READINGS, "Meter")):
                        _text(xml, READINGS, "mRID", device.id)
                    for channel in device.channels:
                        if channel.is_register:
                            _registers(xml, channel)
                    with xml.element(_name(READINGS, "UsagePoint")):
                        _text(xml, READINGS, "mRID", device.usage_point)

    @staticmethod
    def _controls(xml: Any, controls: Iterable[DeviceControl]) -> None:
        with _only_if_any(xml, CONTROLS, "EndDeviceControls", controls) as some:
            for control in some:
                with xml.element(_name(CONTROLS, "EndDeviceControl")):
                    _text(xml, CONTROLS, "mRID", control.id)
                    _text(xml, CONTROLS, "drProgramMandatory", str(control.mandatory).lower())
                    _text(xml, CONTROLS, "issuerID", control.issuer)
                    _text(xml, CONTROLS, "issuerTrackingID", control.tracking)
                    _text(xml, CONTROLS, "reason", control.reason)
                    _reference(xml, CONTROLS, "EndDeviceControlType", control.type)
                    with xml.element(_name(CONTROLS, "scheduledInterval")):
                        if control.end is not None:
                            _text(xml, CONTROLS, "end", _time(control.end))
                        _text(xml, CONTROLS, "start", _time(control.start))

    @staticmethod
    def _events(xml: Any, events: Iterable[DeviceEvent]) -> None:
        with _only_if_any(xml, EVENTS, "EndDeviceEvents", events) as some:
            for event in some:
                with xml.element(_name(EVENTS, "EndDeviceEvent")):
                    _text(xml, EVENTS, "mRID", event.id)
                    _text(xml, EVENTS, "createdDateTime", _time(event.at))
                    for name, text in (
                        ("issuerID", event.issuer),
                        ("issuerTrackingID", event.tracking),
                        ("reason", event.reason),
                    ):
                        if text:
                            _text(xml, EVENTS, name, text)
                    _reference(xml, EVENTS, "EndDeviceEventType", event.type)


@contextmanager
def _only_if_any(xml: Any, namespace: str, name: str, values: Iterable[T]) -> Iterator[list[T]]:
    kept = list(values)
    if not kept:
        yield []
        return
    with xml.element(_name(namespace, name), nsmap={None: namespace}):
        yield kept


def _block(xml: Any, channel: Channel) -> None:
    with xml.element(_name(READINGS, "IntervalBlocks")):
        for interval in channel.values:
            with xml.element(_name(READINGS, "IntervalReadings")):
                _text(xml, READINGS, "timeStamp", _time(interval.at))
                _text(xml, READINGS, "value", f"{interval.value:.10g}")
        _reference(xml, READINGS, "ReadingType", channel.type)


def _registers(xml: Any, channel: Channel) -> None:
    for interval in channel.values:
        with xml.element(_name(READINGS, "Readings")):
            _text(xml, READINGS, "timeStamp", _time(interval.at))
            _text(xml, READINGS, "value", f"{interval.value:.10g}")
            _reference(xml, READINGS, "ReadingType", channel.type)


def _text(xml: Any, namespace: str, name: str, text: str) -> None:
    with xml.element(_name(namespace, name)):  # not as an element of its own: that would declare its namespace anew
        xml.write("".join(c for c in text if c >= " " or c in "\t\n"))  # what XML 1.0 can hold


def _reference(xml: Any, namespace: str, name: str, ref: str) -> None:
    with xml.element(_name(namespace, name), {"ref": ref}):
        pass


def _name(namespace: str, name: str) -> str:
    return f"{{{namespace}}}{name}"


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
