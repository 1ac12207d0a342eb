"""MQTT device profiles: the schema, and loading with every fault named by its path. An unknown key is a fault."""

import math
import re
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from typing import Literal

from pydantic import Field, model_validator

from cem.driver import Value
from cem_drivers.mqtt.messages import Messages, UnreadableError, read
from cem_drivers.mqtt.rows import Condition, ControlRow, PointRow
from cem_drivers.mqtt.rpc_tables import Contacts, Rpc
from cem_drivers.profiles.faults import Fault, did_you_mean, parse
from cem_drivers.profiles.store import find, shipped, shipped_texts
from cem_drivers.profiles.tables import ProfileTable, Table, controls_of, vocabulary

PLACE = re.compile(r"\{([a-z_]+)\}")


class Link(Table):
    """The defaults of the link table, and how topics are built.

    `topic` is what all of a device's topics begin with; {serial} is the level that tells devices of a kind apart,
    {branch} the level at which a device speaks on several `branches`: then the first level of every topic below is the
    branch. A topic that begins with / is a whole one. {names} in topics are filled from the link table.
    """

    kinds: list[Literal["mqtt"]] = Field(default=["mqtt"], min_length=1)
    port: int = Field(default=1883, ge=1, le=65535)
    prefix: str
    topic: str
    branches: list[str] = Field(default=[])
    names: dict[str, str] = Field(default={})  # name in topics -> what stands there unless the site file says else
    theirs: list[str] = Field(default=[])  # filters below `topic`: what others say to the device, no word of its own
    plain: bool = False  # payloads that are not JSON are text
    result_suffix: str | None = None
    result_ok: str = "success"
    stamps: dict[str, str] = Field(default={})  # topic -> JSON pointer to the time or number at which it was said

    @model_validator(mode="after")
    def _whole(self) -> "Link":
        if ("{branch}" in self.topic) != bool(self.branches):
            raise ValueError("'{branch}' in 'topic' and 'branches' go together")
        return self


class Pick(Table):
    """Takes what concerns one device out of what is said of several, as a message of the topic `into`.

    `source` is a whole topic, + for any level; of a list, the item counts that has the device's {serial} at `key`, of
    anything else the whole message if it has.
    """

    source: str = Field(alias="from")
    key: str
    into: str


class Spot(Table):
    """A topic and a place in it, written topic#/json/pointer."""

    topic: str
    json_pointer: str

    @classmethod
    def of(cls, text: str) -> "Spot":
        """Reads the notation."""
        topic, _, pointer = text.partition("#")
        return cls(topic=topic, json_pointer=pointer)


class Identify(Table):
    """Spots that tell who the device is and what it is rated for; `maker` and `phases` are constants."""

    serial: str
    maker: str
    model: str | None = None
    version: str | None = None
    max_current_a: str | None = None  # the largest current that the device was set up for
    phases: int | None = Field(default=None, ge=1, le=3)  # None: those of the house
    weak: str | None = (
        None  # why there is no serial number: `serial` is only what must be told, the prefix stands for it
    )

    def spots(self) -> dict[str, Spot]:
        """What is told where, by the name of the key."""
        named = {"serial": self.serial, "model": self.model, "version": self.version, "rating": self.max_current_a}
        return {name: Spot.of(text) for name, text in named.items() if text is not None}


class Life(Table):
    """Silence longer than `expire_s` is no answer; alive, the device says something at least every `every_s`.

    `down`: the last will, the device is gone while one of these holds. `up`: the same mechanism says that it is there;
    where it speaks too seldom to be waited for (`every_s` above 5), that or a live message must come before a write.
    """

    expire_s: float = Field(gt=0, le=3600)
    every_s: float = Field(default=5, gt=0, le=600)
    down: list[Condition] = Field(default=[])
    up: Condition | None = None

    @property
    def waited_for(self) -> bool:
        """Whether opening can wait for a live message: whoever opens gives up after 8 s."""
        return self.every_s <= 5


class AskRow(Table):
    """A message that only asks: the device answers with its values, or goes on saying them.

    Sent at every connect (`first`, where that is another payload) and then every `every_s`.
    """

    topic: str
    payload: str = ""
    first: str | None = None
    every_s: float = Field(gt=0, le=600)


class Find(Table):
    """How the probe finds such devices, besides by their identity: `hear` are filters of whole topics, of which the
    levels give the serial; `needs` are spots that must be there, `has` properties that a description must list.
    """

    hear: list[str] = Field(default=[])
    prefixes: list[str] = Field(default=[])  # those that makers use, where it is more than one
    needs: list[str] = Field(default=[])
    has: dict[str, list[str]] = Field(default={})  # topic -> values that a key "property" somewhere in it has
    roles: list[str] = Field(default=[])  # suggested; none: all of the profile
    confidence: float = Field(default=0.9, gt=0, le=1)


class Golden(Table):
    """Recorded or typed in from the document: payloads by topic, and what they must be read as ("none": None)."""

    messages: dict[str, str]
    expect: dict[str, float | str]
    source: str = ""


class Profile(ProfileTable):
    """One device family."""

    link: Link
    identify: Identify
    life: Life
    find: Find = Find()
    rpc: Rpc | None = None
    pick: list[Pick] = Field(default=[])
    ask: list[AskRow] = Field(default=[])
    point: list[PointRow] = Field(min_length=1)
    control: list[ControlRow] = Field(default=[])
    contacts: list[Contacts] = Field(default=[])
    golden: list[Golden] = Field(min_length=1)

    @property
    def controls(self) -> list[ControlRow | Contacts]:
        """Every control, however it is written."""
        return [*self.control, *self.contacts]

    @cached_property
    def topics(self) -> tuple[str, ...]:
        """Every topic that is listened to for what it holds, as written in the profile; picks' own aside."""
        named = [topic for row in self.point for topic in row.topics]
        named += [row.by_id.ids for row in self.point if row.by_id is not None]
        named += [spot.topic for spot in self.identify.spots().values()]
        named += [condition.topic for condition in (*self.life.down, self.life.up) if condition is not None]
        named += [topic for row in self.control for topic in row.topics]
        named += [contacts.topic_of(one) for contacts in self.contacts for one in contacts.ids]
        if self.rpc is not None:
            named.append(self.rpc.presence)
        picked = {pick.into for pick in self.pick}
        return tuple(dict.fromkeys(topic for topic in named if topic not in picked))


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
    yield from _whole_faults(profile)
    for index, golden in enumerate(profile.golden):
        for point, told in _misread(profile, golden).items():
            yield Fault(("golden", index, "expect"), f"{point} is read as {told}, not as {golden.expect[point]}")


def _whole_faults(profile: Profile) -> Iterator[Fault]:
    """What does not fit together."""
    if profile.contacts and profile.rpc is None:
        yield Fault(("rpc",), "missing: contacts are switched by requests")
    if not profile.life.waited_for and profile.rpc is not None:
        yield Fault(("life", "every_s"), "at most 5 for a device that answers requests")
    for role in profile.find.roles:
        if role not in profile.roles:
            yield Fault(("find", "roles"), f"{role!r} is none of the profile's roles: {', '.join(profile.roles)}")
    places = {"prefix", "serial", "branch", *profile.link.names}
    for topic in (profile.link.topic, *profile.topics, *(pick.source for pick in profile.pick)):
        for place in PLACE.findall(topic):
            if place not in places:
                yield Fault(
                    ("link", "names"), f"{{{place}}} in {topic!r} has no default{did_you_mean(place, [*places])}"
                )


def _misread(profile: Profile, golden: Golden) -> dict[str, Value]:
    """What the profile reads otherwise than a golden case expects."""
    held = Messages()
    for topic, payload in golden.messages.items():
        try:
            held.take(topic, read(topic, payload.encode(), profile.link.plain), False, 0.0)
        except UnreadableError as error:
            return dict.fromkeys(golden.expect, str(error))
    values = {row.id: held.value(row) for row in profile.point if held.taken_at_s(row) is not None}
    return {point: values.get(point) for point, wanted in golden.expect.items() if not _same(values.get(point), wanted)}


def _same(value: Value, wanted: float | str) -> bool:
    if isinstance(wanted, str):
        return value == (None if wanted == "none" else wanted)
    return isinstance(value, float | int) and math.isclose(value, wanted, rel_tol=1e-9, abs_tol=1e-9)


def parse_profile(source: str) -> tuple[Profile | None, list[str]]:
    """The profile, or None with every fault, each with its line and its path."""
    return parse(source, Profile, _check)


@cache
def shipped_profiles() -> Mapping[str, Profile]:
    """The profiles that come with the product, by id. Raises ValueError if one of them is faulty."""
    return shipped(shipped_texts(mqtt=True), parse_profile)


def find_profile(name: str) -> tuple[Profile | None, list[str]]:
    """A profile by its id, or by the path of a site's own file (*.toml); None with every fault, paths included."""
    return find(name, parse_profile, list(shipped_texts(mqtt=True)))
