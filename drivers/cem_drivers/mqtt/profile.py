"""MQTT device profiles: the schema, and loading with every fault named by its path. An unknown key is a fault."""

from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from typing import Literal

from pydantic import Field, model_validator

from cem_drivers.mqtt.rpc_tables import Contacts, Rpc
from cem_drivers.profiles.faults import Fault, did_you_mean, parse
from cem_drivers.profiles.store import find, shipped_texts
from cem_drivers.profiles.tables import ControlTable, ProfileTable, Range, Table, controls_of, vocabulary

Scalar = bool | int | float | str


class Link(Table):
    """The defaults of the link table, and how topics are built."""

    kinds: list[Literal["mqtt"]] = Field(default=["mqtt"], min_length=1)
    port: int = Field(default=1883, ge=1, le=65535)
    prefix: str
    topic: str  # with {prefix} and {serial}
    set_suffix: str = "/set"
    result_suffix: str | None = None
    result_ok: str = "success"


class Identify(Table):
    """Topics that tell who the device is and what it is rated for; `maker` and `phases` are constants."""

    serial: str
    maker: str
    model: str | None = None
    version: str | None = None
    max_current_a: str | None = None  # the largest current that the device was set up for
    phases: int | None = Field(default=None, ge=1, le=3)  # None: those of the house


class Down(Table):
    """The last will: the device is gone while `topic` holds `equals`."""

    topic: str
    equals: Scalar


class Life(Table):
    """Silence longer than `expire_s` is no answer; alive, the device says something at least every `every_s`."""

    expire_s: float = Field(gt=0, le=3600)
    every_s: float = Field(default=5, gt=0, le=5)  # opening waits for it, and must end before the caller gives up
    down: Down | None = None


class Condition(Table):
    """`topic` holds `equals`, at the place that the JSON pointer `json` names."""

    topic: str
    equals: Scalar
    json_pointer: str = Field(default="", alias="json")


class Case(Table):
    """If `topic` holds `equals` (always, where no topic is given): the constant `value`, or what `from` holds.

    `json` points into `topic`; further conditions may stand in `also`.
    """

    topic: str | None = None
    equals: Scalar | None = None
    json_pointer: str = Field(default="", alias="json")
    also: list[Condition] = Field(default=[])
    value: float | str | None = None
    source: str | None = Field(default=None, alias="from")

    @model_validator(mode="after")
    def _whole(self) -> "Case":
        if (self.topic is None) != (self.equals is None):
            raise ValueError("'topic' and 'equals' go together")
        if (self.value is None) == (self.source is None):
            raise ValueError("exactly one of 'value' and 'from'")
        return self


class PointRow(Table):
    """One point of the vocabulary and how it is read from messages.

    `on_change`: the device publishes it retained whenever it changes and at every connect, so what the broker
    keeps is the present value as long as the device lives; any other topic counts from its own last live message.
    """

    id: str
    topic: str | None = None
    json_pointer: str | list[str] = Field(default="", alias="json")
    fold: Literal["sum", "max", "min"] | None = None
    cases: list[Case] = Field(default=[])
    factor: float = 1.0
    map: dict[str, str] | None = None
    range: Range | None = None
    on_change: bool = False

    @model_validator(mode="after")
    def _whole(self) -> "PointRow":
        if (self.topic is None) == (not self.cases):
            raise ValueError("exactly one of 'topic' and 'cases'")
        if isinstance(self.json_pointer, list) != (self.fold is not None):
            raise ValueError("a list of pointers in 'json' and 'fold' go together")
        return self

    @cached_property
    def topics(self) -> tuple[str, ...]:
        """Every topic that the value depends on."""
        named = [self.topic, *(case.topic for case in self.cases), *(case.source for case in self.cases)]
        named += [condition.topic for case in self.cases for condition in case.also]
        return tuple(dict.fromkeys(topic for topic in named if topic is not None))


class Limits(Table):
    """What may be written; `zero` allows 0 besides [min, max]."""

    min: float
    max: float
    step: float = Field(gt=0)
    zero: bool = False


class Publish(Table):
    """One message: `topic` without the suffix; `value` "$setpoint" is the value, in whole steps."""

    topic: str
    value: int | float | bool | str


class Restore(Table):
    """A topic that `write` changes and that is the owner's: what stood there before our first write goes back.

    `largest`: the topic that tells the largest value the device takes, for when the owner's value is not known.
    """

    topic: str
    largest: str | None = None


class ControlRow(ControlTable):
    """One control and how it is written, read back and released by topics."""

    limits: Limits
    write: list[Publish] = Field(min_length=1)
    write_zero: list[Publish] = Field(default=[])
    release: list[Publish] = Field(min_length=1)
    restore: list[Restore] = Field(default=[])
    read_back: list[Case] = Field(min_length=1)

    @model_validator(mode="after")
    def _whole(self) -> "ControlRow":
        if self.limits.zero != bool(self.write_zero):
            raise ValueError("'limits.zero' and 'write_zero' go together")
        ours = {publication.topic for publication in (*self.write, *self.write_zero)}
        for restore in self.restore:
            if restore.topic not in ours or restore.topic in {publication.topic for publication in self.release}:
                raise ValueError(f"'restore': {restore.topic!r} must be written by 'write' and not by 'release'")
        return self


class Golden(Table):
    """Recorded or typed in from the document: payloads by topic, and what they must be read as ("none": None)."""

    messages: dict[str, str]
    expect: dict[str, float | str]


class Profile(ProfileTable):
    """One device family."""

    link: Link
    identify: Identify
    life: Life
    rpc: Rpc | None = None
    point: list[PointRow] = Field(min_length=1)
    control: list[ControlRow] = Field(default=[])
    contacts: list[Contacts] = Field(default=[])
    golden: list[Golden] = Field(min_length=1)

    @property
    def controls(self) -> list[ControlRow | Contacts]:
        """Every control, however it is written."""
        return [*self.control, *self.contacts]


def _check(profile: Profile) -> Iterator[Fault]:
    known = vocabulary(profile.roles)
    for index, row in enumerate(profile.point):
        if row.id not in known:
            yield Fault(("point", index, "id"), f"{row.id!r} is not in the vocabulary{did_you_mean(row.id, [*known])}")
    offered = controls_of(profile.roles)
    named: list[tuple[str, int, str]] = [("control", index, row.id) for index, row in enumerate(profile.control)]
    named += [("contacts", index, row.id) for index, row in enumerate(profile.contacts)]
    for table, index, name in named:
        if name not in offered:
            yield Fault((table, index, "id"), f"{name!r} is no control{did_you_mean(name, offered)}")
    if profile.contacts and profile.rpc is None:
        yield Fault(("rpc",), "missing: contacts are switched by requests")


def parse_profile(source: str) -> tuple[Profile | None, list[str]]:
    """The profile, or None with every fault, each with its line and its path."""
    return parse(source, Profile, _check)


@cache
def shipped_profiles() -> Mapping[str, Profile]:
    """The profiles that come with the product, by id. Raises ValueError if one of them is faulty."""
    profiles: dict[str, Profile] = {}
    for name, source in shipped_texts(mqtt=True).items():
        profile, faults = parse_profile(source)
        if profile is None:
            raise ValueError(f"{name}: " + "; ".join(faults))
        profiles[profile.id] = profile
    return profiles


def find_profile(name: str) -> tuple[Profile | None, list[str]]:
    """A profile by its id, or by the path of a site's own file (*.toml); None with every fault, paths included."""
    return find(name, parse_profile, list(shipped_texts(mqtt=True)))
