"""How a frozen dataclass is laid out in XML: every field names its path, the order of fields is the schema's order.

A path is element names with prefixes, a slash between: `xcal:dtstart/xcal:date-time`. A step with `*` is repeated
for each value of a tuple, one with `!` is written even if there is nothing in it. Elements that neighbours share are
written once. The reader finds fields by name wherever they stand, and overlooks what it does not know.
"""

import dataclasses
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

from lxml import etree

from cem.wire.openadr2b.names import NAMESPACES, qualified
from cem.wire.openadr3.times import Duration, parse_datetime

Element = Any
"""An element of lxml, which comes without types."""
T = TypeVar("T")

_NO_OFFSET = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]*)?")
_LONGEST = timedelta(days=36_525)


class XmlError(ValueError):
    """XML that is not the message it should be, or a message that has no XML: where (`path`) and why (`reason`)."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path or 'body'}: {reason}")
        self.path = path
        self.reason = reason


class Kind(Protocol):
    """A value that is one element: how it is written into and read from it. Both raise ValueError."""

    def write(self, element: Element, value: Any) -> None:
        """Writes a value into its element."""

    def read(self, element: Element) -> Any:
        """The value of an element; None counts as absent."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value that is the text of an element."""

    written: Callable[[Any], str]
    parsed: Callable[[str], Any]

    def write(self, element: Element, value: Any) -> None:
        """Writes a value into its element."""
        element.text = self.written(value)

    def read(self, element: Element) -> Any:
        """The value of an element."""
        return self.parsed((element.text or "").strip())


def _number(value: str) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not a finite number")
    return number


def _written_number(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError(f"{value!r} is not a finite number")
    return repr(float(value))


def _count(value: str) -> int:
    if not (value.isascii() and value.isdecimal() and len(value) <= 10 and int(value) < 2**32):
        raise ValueError(f"{value[:20]!r} is not a whole number of 32 bits")
    return int(value)


def _written_count(value: int) -> str:
    return str(_count(str(value)))


def _flag(value: str) -> bool:
    if value not in ("true", "false", "1", "0"):
        raise ValueError(f"{value[:20]!r} is neither true nor false")
    return value in ("true", "1")


def written_instant(at: datetime) -> str:
    """An aware instant as the profile wants it: UTC with Z, whole seconds."""
    if at.tzinfo is None:
        raise ValueError("a time without an offset")
    return at.astimezone(UTC).replace(tzinfo=None, microsecond=0).isoformat() + "Z"


def read_instant(text: str) -> datetime:
    """A time with or without a fraction. Interpretation: one without an offset is UTC, as the profile has only that."""
    if _NO_OFFSET.fullmatch(text):
        text += "Z"
    return parse_datetime(text.replace(".Z", "Z"))


def _stamp(text: str) -> datetime | None:
    """When something was made. Peers send what is no time; nothing depends on it, so that is no time then."""
    try:
        return read_instant(text)
    except ValueError:
        return None


def written_duration(span: timedelta) -> str:
    """A span of whole seconds, such as PT1H30M."""
    return str(Duration.of(timedelta(seconds=round(span.total_seconds()))))


def read_duration(text: str) -> timedelta:
    """A span; a month counts 30 days and a year 365 (Interpretation: intervals have no calendar of their own)."""
    plain = text.removeprefix("+")
    plain = re.sub(r"T$", "", plain)
    if plain == "P":
        return timedelta()
    length = Duration.parse(plain).length()
    if length is None or abs(length) > _LONGEST:
        raise ValueError(f"{text[:40]!r} is longer than a hundred years")
    return length


TEXT = Scalar(str, str)
NUMBER = Scalar(_written_number, _number)
COUNT = Scalar(_written_count, _count)
FLAG = Scalar(lambda value: "true" if value else "false", _flag)
INSTANT = Scalar(written_instant, read_instant)
STAMP = Scalar(written_instant, _stamp)
DURATION = Scalar(written_duration, read_duration)


@dataclass(frozen=True, slots=True)
class Empty:
    """An element that is there and says nothing; the value is always True."""

    def write(self, element: Element, value: Any) -> None:
        """Writes nothing."""

    def read(self, element: Element) -> Any:
        """It was there."""
        return True


@dataclass(frozen=True, slots=True)
class Among:
    """A value that is one of several elements (a substitution group of the schema)."""

    tags: tuple[str, ...]
    tag_of: Callable[[Any], str]
    write: Callable[[Element, Any], None]
    read: Callable[[Element], Any]


@dataclass(frozen=True, slots=True)
class _Step:
    tag: str
    name: str
    repeated: bool
    always: bool


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one field is."""

    field: str
    steps: tuple[_Step, ...]
    kind: "Kind | Among"
    many: bool
    required: bool  # where it is read
    sent: bool  # where it is written

    @property
    def path(self) -> str:
        return "/".join(step.name for step in self.steps)


def at(path: str, kind: "Kind | Among | type[Any]", *, sent: bool = False, **default: Any) -> Any:
    """A dataclass field at a path, of a scalar kind or another dataclass of this sort; `default` as in `field`.

    `sent`: may be absent where it is read, never where it is written.
    """
    return dataclasses.field(metadata={"path": path, "kind": kind, "sent": sent}, **default)


_known: dict[type[Any], tuple[_Place, ...]] = {}


def _places(cls: type[Any]) -> tuple[_Place, ...]:
    """The places of a class, worked out once."""
    if cls not in _known:
        _known[cls] = _worked_out(cls)
    return _known[cls]


def _worked_out(cls: type[Any]) -> tuple[_Place, ...]:
    places = []
    for field in dataclasses.fields(cls):
        steps = tuple(_step(part) for part in field.metadata["path"].split("/"))
        kind = field.metadata["kind"]
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        nested = Nested(kind) if isinstance(kind, type) else kind
        many = any(step.repeated for step in steps)
        places.append(_Place(field.name, steps, nested, many, required, required or field.metadata["sent"]))
    return tuple(places)


def _step(part: str) -> _Step:
    name = part.rstrip("*!")
    return _Step(qualified(name), name, "*" in part, "!" in part)


def write(parent: Element, value: Any) -> None:
    """Writes the fields of a dataclass into an element; raises XmlError for what the schema does not allow."""
    for place in _places(type(value)):
        found = getattr(value, place.field)
        values: tuple[Any, ...] = tuple(found) if place.many else () if found is None else (found,)
        if place.sent and not values:
            raise XmlError(place.path, f"{place.field} is needed")
        if not values:
            _write_always(parent, place)
        for one in values:
            element = _descend(parent, place, one)
            try:
                place.kind.write(element, one)
            except XmlError:
                raise
            except ValueError as error:
                raise XmlError(place.path, str(error)) from error


def _write_always(parent: Element, place: _Place) -> None:
    for step in place.steps:
        if not step.always:
            return
        parent = _shared(parent, step)


def _descend(parent: Element, place: _Place, value: Any) -> Element:
    last = len(place.steps) - 1
    for number, step in enumerate(place.steps):
        fresh = step.repeated or number == last
        tag = place.kind.tag_of(value) if number == last and isinstance(place.kind, Among) else step.tag
        parent = etree.SubElement(parent, tag) if fresh else _shared(parent, step)
    return parent


def _shared(parent: Element, step: _Step) -> Element:
    """The last child when it is the same element, else a new one: neighbours share their container."""
    if len(parent) and parent[-1].tag == step.tag:
        return parent[-1]
    return etree.SubElement(parent, step.tag)


def read(cls: type[T], element: Element) -> T:
    """A dataclass out of an element; raises XmlError where something needed is absent or can't be read."""
    found: dict[str, Any] = {}
    for place in _places(cls):
        values = []
        for one in _leaves(element, place):
            try:
                value = place.kind.read(one)
            except XmlError as error:
                raise XmlError(f"{place.path}/{error.path}", error.reason) from error
            except (ValueError, OverflowError) as error:
                raise XmlError(place.path, str(error)) from error
            if value is not None:
                values.append(value)
        if place.many:
            found[place.field] = tuple(values)
            if place.required and not values:
                raise XmlError(place.path, "is missing")
        elif len(values) > 1:
            raise XmlError(place.path, f"is there {len(values)} times, only once is understood")
        elif values:
            found[place.field] = values[0]
        elif place.required:
            raise XmlError(place.path, "is missing")
    return cls(**found)


def _leaves(element: Element, place: _Place) -> Iterator[Element]:
    found = [element]
    for step in place.steps[:-1]:
        found = [child for parent in found for child in parent.iterchildren(step.tag)]
    tags = place.kind.tags if isinstance(place.kind, Among) else (place.steps[-1].tag,)
    for parent in found:
        yield from parent.iterchildren(*tags)


@dataclass(frozen=True, slots=True)
class Nested:
    """A value that is a dataclass of its own."""

    cls: type[Any]

    def write(self, element: Element, value: Any) -> None:
        """Writes its fields."""
        write(element, value)

    def read(self, element: Element) -> Any:
        """Reads its fields."""
        return read(self.cls, element)


def new_element(name: str) -> Element:
    """A root element that declares all prefixes."""
    prefixes = {prefix: uri for prefix, uri in NAMESPACES.items() if prefix not in ("ds", "dsp")}
    return etree.Element(qualified(name), nsmap=prefixes)
