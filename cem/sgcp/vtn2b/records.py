"""What the VTN keeps of each VEN of OpenADR 2.0b, beside the objects of 3.1 and in the same transactions.

A record is a row of the VTN's objects under a type of its own, which no listing of 3.1 shows.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from pydantic import TypeAdapter

from cem.sgcp.vtn.objects import Body, Change, Objects

_adapters: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(cls: type[Any]) -> TypeAdapter[Any]:
    if cls not in _adapters:
        _adapters[cls] = TypeAdapter(cls)
    return _adapters[cls]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Something that is known of a VEN."""

    KIND: ClassVar[str]
    ven_id: str

    @property
    def name(self) -> str:
        """What tells it from the others of its kind and VEN."""
        return ""

    @property
    def key(self) -> str:
        """What tells it from the others of its kind; an id has no space in it."""
        return f"{self.ven_id} {self.name}"

    def stored(self) -> Change:
        """The change that stores it."""
        body = {**_adapter(type(self)).dump_python(self, mode="json"), "id": self.key, "venID": self.ven_id}
        return Change(self.KIND, self.key, body)

    def dropped(self) -> Change:
        """The change that removes it."""
        return Change(self.KIND, self.key, None)

    def shown(self) -> dict[str, Any]:
        """It as JSON, for people and programs."""
        found: dict[str, Any] = _adapter(type(self)).dump_python(self, mode="json")
        return found

    @classmethod
    def of(cls, objects: Objects, ven_id: str) -> "list[Self]":
        """All of a VEN, oldest first."""
        return [cls._read(objects, body) for body in objects.referring(cls.KIND, "venID", ven_id)]

    @classmethod
    def find(cls, objects: Objects, ven_id: str, name: str = "") -> "Self | None":
        """The one of a name, or None."""
        body = objects.get(cls.KIND, f"{ven_id} {name}")
        return None if body is None else cls._read(objects, body)

    @classmethod
    def _read(cls, objects: Objects, body: Body) -> "Self":
        read: Self = objects.derived(cls.KIND, body, cls.KIND, lambda: _adapter(cls).validate_python(body))
        return read


@dataclass(frozen=True, slots=True, kw_only=True)
class Party(Record):
    """A registration. `address` is where messages are posted to; None: the VEN asks."""

    KIND: ClassVar[str] = "OPENADR_2B_PARTY"
    registration_id: str
    registered_at: datetime
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told(Record):
    """An event as a VEN was told of it last, or is just being told of (`told_at` None).

    `xml` is the event without its target; `until` when it is over, None never.
    """

    KIND: ClassVar[str] = "OPENADR_2B_TOLD"
    event_id: str
    number: int
    digest: str
    xml: str
    until: datetime | None = None
    cancelled_at: datetime | None = None
    told_at: datetime | None = None
    times: int = 0  # that this number was told
    answer: str | None = None
    answer_code: str | None = None

    @property
    def name(self) -> str:
        """The event."""
        return self.event_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Opt(Record):
    """What a VEN declared by itself: of one event, or of stretches of time (start and length)."""

    KIND: ClassVar[str] = "OPENADR_2B_OPT"
    opt_id: str
    opt_type: str
    reason: str
    made_at: datetime
    event_id: str | None = None
    market_context: str | None = None
    stretches: tuple[tuple[datetime, timedelta], ...] = ()
    resource_ids: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The opt."""
        return self.opt_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One data point of a report: its rID and what is read, with the unit in words."""

    r_id: str
    reading_type: str
    report_type: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer(Record):
    """A report that a VEN can make."""

    KIND: ClassVar[str] = "OPENADR_2B_OFFER"
    specifier_id: str
    report_name: str
    points: tuple[Point, ...]

    @property
    def name(self) -> str:
        """The report's specifier."""
        return self.specifier_id


ASKED, PENDING, REFUSED, CANCELLED = "asked", "pending", "refused", "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Record):
    """A report that a VEN was asked for; `back` zero: once."""

    KIND: ClassVar[str] = "OPENADR_2B_REQUEST"
    request_id: str
    specifier_id: str
    points: tuple[Point, ...]
    granularity: timedelta
    back: timedelta
    start: datetime | None = None
    duration: timedelta = timedelta()
    state: str = ASKED
    words: str = ""
    last_at: datetime | None = None  # when a report on it came last; of a cancelled one, since then

    @property
    def name(self) -> str:
        """The request."""
        return self.request_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting(Record):
    """A message of the VTN's own that a VEN has not answered yet; each waits for its turn."""

    KIND: ClassVar[str] = "OPENADR_2B_WAITING"
    number: str
    tag: str
    request_id: str
    xml: str
    sent_at: datetime | None = None
    times: int = 0

    @property
    def name(self) -> str:
        """The message."""
        return self.number


KINDS: tuple[type[Record], ...] = (Party, Told, Opt, Offer, Request, Waiting)


def forgotten(objects: Objects, ven_id: str, *kinds: type[Record]) -> tuple[Change, ...]:
    """The changes that remove all records of these kinds of a VEN."""
    return tuple(record.dropped() for kind in kinds for record in kind.of(objects, ven_id))
