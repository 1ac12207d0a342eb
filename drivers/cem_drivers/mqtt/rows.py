"""What a profile's points and controls are read from and written to: topics, JSON pointers, conditions, messages."""

from functools import cached_property
from typing import Literal

from pydantic import Field, model_validator

from cem_drivers.profiles.tables import ControlTable, Range, Table

Scalar = bool | int | float | str
SETPOINT = "$setpoint"


class Condition(Table):
    """`topic` holds `equals`, at the place that the JSON pointer `json` names."""

    topic: str
    equals: Scalar
    json_pointer: str = Field(default="", alias="json")


class Case(Table):
    """If `topic` holds `equals` (always, where no topic is given): the constant `value`, or what `from` holds.

    `json` points into `topic`, `at` into `from`, whose number is multiplied by `factor`; further conditions may stand
    in `also`.
    """

    topic: str | None = None
    equals: Scalar | None = None
    json_pointer: str = Field(default="", alias="json")
    also: list[Condition] = Field(default=[])
    value: float | str | None = None
    source: str | None = Field(default=None, alias="from")
    at: str = ""
    factor: float = 1.0

    @model_validator(mode="after")
    def _whole(self) -> "Case":
        if (self.topic is None) != (self.equals is None):
            raise ValueError("'topic' and 'equals' go together")
        if (self.value is None) == (self.source is None):
            raise ValueError("exactly one of 'value' and 'from'")
        return self

    @property
    def topics(self) -> tuple[str, ...]:
        """Every topic that it looks at."""
        named = (self.topic, self.source, *(condition.topic for condition in self.also))
        return tuple(topic for topic in named if topic is not None)


class ById(Table):
    """Numbers of an array, told apart by the array of ids in the topic `ids`: those whose id is one of `are`."""

    ids: str
    are: list[int] = Field(min_length=1)


class PointRow(Table):
    """One point of the vocabulary and how it is read from messages.

    `on_change`: the device publishes it whenever it changes and at every connect (or tells it whole when it is asked),
    so what was said last is the present value as long as the device lives; any other topic counts from its own last
    live message. `topic` may be several, whose numbers are folded: the first so many as the spot `count` says, where
    there is one; `missing` "zero": what is not there, or null, is a source that the house does not have.
    """

    id: str
    topic: str | list[str] | None = None
    json_pointer: str | list[str] = Field(default="", alias="json")
    by_id: ById | None = None
    fold: Literal["sum", "max", "min"] | None = None
    count: str | None = None
    missing: Literal["unknown", "zero"] = "unknown"
    cases: list[Case] = Field(default=[])
    factor: float = 1.0
    map: dict[str, str] | None = None
    range: Range | None = None
    on_change: bool = False

    @model_validator(mode="after")
    def _whole(self) -> "PointRow":
        if (self.topic is None) == (not self.cases):
            raise ValueError("exactly one of 'topic' and 'cases'")
        several = (isinstance(self.json_pointer, list), isinstance(self.topic, list), self.by_id is not None)
        if sum(several) > 1:
            raise ValueError("only one of: several topics, several pointers in 'json', 'by_id'")
        if (sum(several) == 1) != (self.fold is not None):
            raise ValueError("'fold' goes together with several topics, several pointers in 'json', or 'by_id'")
        if not isinstance(self.topic, list) and (self.count is not None or self.missing == "zero"):
            raise ValueError("'count' and 'missing' go together with several topics")
        return self

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The topics whose numbers it is made of."""
        return () if self.topic is None else (self.topic,) if isinstance(self.topic, str) else tuple(self.topic)

    @cached_property
    def topics(self) -> tuple[str, ...]:
        """Every topic that the value depends on."""
        named = [*self.sources, *(topic for case in self.cases for topic in case.topics)]
        named += [] if self.count is None else [self.count.partition("#")[0]]
        return tuple(dict.fromkeys(named))


class Limits(Table):
    """What may be written; `zero` allows 0 besides [min, max]."""

    min: float
    max: float
    step: float = Field(gt=0)
    zero: bool = False


class Publish(Table):
    """One message to the topic `to`, and how it shows that the device took it.

    Then `topic` holds `value` at the JSON pointer `json`, and `also` holds; where all that is so already, nothing is
    sent. `value` "$setpoint" is the value in whole steps, times `per`. `payload` is the message's text, with $value
    for the value; without it the value as JSON.
    """

    topic: str
    json_pointer: str = Field(default="", alias="json")
    value: int | float | bool | str
    to: str
    payload: str | None = None
    per: float = Field(default=1.0, gt=0)
    also: list[Condition] = Field(default=[])


class Restore(Table):
    """A topic that `write` changes and that is the owner's: what stood there before our first write goes back.

    `largest`: the topic that tells the largest value the device takes, for when the owner's value is not known.
    """

    topic: str
    largest: str | None = None


class Require(Condition):
    """What somebody else must have set before anything is written; `says` where."""

    says: str = Field(min_length=1)


class ControlRow(ControlTable):
    """One control and how it is written, read back and released by topics.

    `rests`: a switch that shows no trace of who moved it. Its release is the position without us, which the site file
    says (`rest`: "off", or "on" for what is only shed); any other position counts as ours.
    """

    limits: Limits
    rests: bool = False
    require: list[Require] = Field(default=[])
    write: list[Publish] = Field(min_length=1)
    write_zero: list[Publish] = Field(default=[])
    release: list[Publish] = Field(default=[])
    restore: list[Restore] = Field(default=[])
    read_back: list[Case] = Field(min_length=1)

    @model_validator(mode="after")
    def _whole(self) -> "ControlRow":
        if self.limits.zero != bool(self.write_zero):
            raise ValueError("'limits.zero' and 'write_zero' go together")
        if self.rests == bool(self.release):
            raise ValueError("'release' is needed, or else 'rests': one of the two")
        if self.rests and not (self.limits.zero and self.limits.min == self.limits.max == 1):
            raise ValueError("'rests' is for switches: limits 0 and 1")
        ours = {publication.topic for publication in (*self.write, *self.write_zero)}
        for restore in self.restore:
            if restore.topic not in ours or restore.topic in {publication.topic for publication in self.release}:
                raise ValueError(f"'restore': {restore.topic!r} must be written by 'write' and not by 'release'")
        return self

    @property
    def topics(self) -> tuple[str, ...]:
        """Every topic on which it is followed."""
        publications = (*self.write, *self.write_zero, *self.release)
        named = [topic for one in publications for topic in (one.topic, *(condition.topic for condition in one.also))]
        named += [topic for case in self.read_back for topic in case.topics]
        named += [require.topic for require in self.require]
        named += [topic for restore in self.restore for topic in (restore.topic, restore.largest) if topic is not None]
        return tuple(dict.fromkeys(named))
