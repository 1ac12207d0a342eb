"""MQTT device profiles: the schema, and loading with every fault named by its path. An unknown key is a fault."""

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cem.driver import POINTS, Control, Role

Scalar = bool | int | float | str


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Evidence(_Table):
    """Where the profile's facts come from."""

    doc: str
    revision: str
    says: str = ""


class Link(_Table):
    """The defaults of the link table, and how topics are built."""

    port: int = Field(default=1883, ge=1, le=65535)
    prefix: str
    topic: str  # with {prefix} and {serial}
    set_suffix: str = "/set"
    result_suffix: str | None = None
    result_ok: str = "success"


class Identify(_Table):
    """Topics that tell who the device is; `maker` is a constant."""

    serial: str
    maker: str
    model: str | None = None
    version: str | None = None


class Down(_Table):
    """The last will: the device is gone while `topic` holds `equals`."""

    topic: str
    equals: Scalar


class Life(_Table):
    """Silence longer than `expire_s` is no answer."""

    expire_s: float = Field(gt=0, le=3600)
    down: Down | None = None


class Case(_Table):
    """If `topic` holds `equals` (always, where no topic is given): the constant `value`, or what `from` holds."""

    topic: str | None = None
    equals: Scalar | None = None
    value: float | str | None = None
    source: str | None = Field(default=None, alias="from")

    @model_validator(mode="after")
    def _whole(self) -> "Case":
        if (self.topic is None) != (self.equals is None):
            raise ValueError("'topic' and 'equals' go together")
        if (self.value is None) == (self.source is None):
            raise ValueError("exactly one of 'value' and 'from'")
        return self


class PointRow(_Table):
    """One point of the vocabulary and how it is read from messages.

    `on_change`: the device publishes it retained whenever it changes and at every connect, so what the broker
    keeps is the present value as long as the device lives; any other topic counts from its own last live message.
    """

    id: str
    topic: str | None = None
    json_pointer: str | list[str] = Field(default="", alias="json")
    fold: Literal["sum", "max", "min"] | None = None
    cases: list[Case] = []
    factor: float = 1.0
    map: dict[str, str] | None = None
    range: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    on_change: bool = False

    @model_validator(mode="after")
    def _whole(self) -> "PointRow":
        if (self.topic is None) == (not self.cases):
            raise ValueError("exactly one of 'topic' and 'cases'")
        if isinstance(self.json_pointer, list) != (self.fold is not None):
            raise ValueError("a list of pointers in 'json' and 'fold' go together")
        return self

    @property
    def topics(self) -> tuple[str, ...]:
        """Every topic that the value depends on."""
        named = [self.topic, *(case.topic for case in self.cases), *(case.source for case in self.cases)]
        return tuple(dict.fromkeys(topic for topic in named if topic is not None))


class Limits(_Table):
    """What may be written; `zero` allows 0 besides [min, max]."""

    min: float
    max: float
    step: float = Field(gt=0)
    zero: bool = False


class Budget(_Table):
    """How often may be written."""

    min_interval_s: float = Field(ge=0)
    daily: int | None = Field(default=None, gt=0)


class Verify(_Table):
    """Where the effect shows."""

    effect: str
    tol: float = Field(ge=0)
    within_s: float = Field(gt=0)


class Publish(_Table):
    """One message: `topic` without the suffix; `value` "$setpoint" is the value, in whole steps."""

    topic: str
    value: int | float | bool | str


class ControlRow(_Table):
    """One control and how it is written, read back and released."""

    id: str
    limits: Limits
    storage: Literal["ram", "levelled", "flash", "unknown"] = "unknown"  # levelled: flash with wear levelling
    budget: Budget
    dead_band: float = Field(default=0, ge=0)
    refresh_s: float | None = Field(default=None, gt=0)
    device_timeout_s: float | None = Field(default=None, gt=0)
    timeout_proven: bool = False
    confirm_s: float = Field(default=3, gt=0, le=10)
    falls_back_to: str
    verify: Verify | None = None
    write: list[Publish] = Field(min_length=1)
    write_zero: list[Publish] = []
    release: list[Publish] = Field(min_length=1)
    read_back: list[Case] = Field(min_length=1)

    @model_validator(mode="after")
    def _whole(self) -> "ControlRow":
        if self.limits.zero != bool(self.write_zero):
            raise ValueError("'limits.zero' and 'write_zero' go together")
        if self.storage != "ram" and self.budget.daily is None:
            raise ValueError("'budget.daily' is needed: what is written survives a restart")
        return self


class Golden(_Table):
    """Recorded or typed in from the document: payloads by topic, and what they must be read as ("none": None)."""

    messages: dict[str, str]
    expect: dict[str, float | str]


class Profile(_Table):
    """One device family."""

    profile: Literal[1]
    id: str
    title: str
    roles: list[str] = Field(min_length=1)
    status: Literal["draft", "documented", "replayed", "field-verified"]
    evidence: list[Evidence] = Field(min_length=1)
    link: Link
    identify: Identify
    life: Life
    point: list[PointRow] = Field(min_length=1)
    control: list[ControlRow] = []
    golden: list[Golden] = Field(min_length=1)

    @model_validator(mode="after")
    def _vocabulary(self) -> "Profile":
        roles = {Role(role) for role in self.roles}
        known = {f"{role}.{point}" for role in roles for point in POINTS[role]}
        for row in self.point:
            if row.id not in known:
                raise ValueError(f"point {row.id!r} is not in the vocabulary of {', '.join(self.roles)}")
        for control in self.control:
            if Control(control.id).split(".", 1)[0] not in self.roles:
                raise ValueError(f"control {control.id!r} belongs to none of {', '.join(self.roles)}")
        return self


def parse_profile(source: str) -> tuple[Profile | None, list[str]]:
    """The profile, or None with every fault, each starting with its path."""
    try:
        table = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        return None, [f"profile: {error}"]
    try:
        return Profile.model_validate(table), []
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc'])) or 'profile'}: {fault['msg']} (seen: {str(fault['input'])[:60]})"
            for fault in error.errors()
        ]
        return None, faults


@cache
def shipped_profiles() -> Mapping[str, Profile]:
    """The profiles that come with the product, by id. Raises ValueError if one of them is faulty."""
    profiles: dict[str, Profile] = {}
    for file in files("cem_drivers.profiles").iterdir():
        if file.name.endswith(".toml"):
            profile, faults = parse_profile(file.read_text(encoding="utf-8"))
            if profile is None:
                raise ValueError(f"{file.name}: " + "; ".join(faults))
            profiles[profile.id] = profile
    return profiles


def find_profile(name: str) -> tuple[Profile | None, list[str]]:
    """A profile by its id, or by the path of a site's own file (*.toml); None with every fault, paths included."""
    if name.endswith(".toml"):
        try:
            source = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            return None, [f"{name}: can't be read: {error}"]
        profile, faults = parse_profile(source)
        return profile, [f"{name}: {fault}" for fault in faults]
    known = shipped_profiles()
    if name in known:
        return known[name], []
    near = get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known profiles: {', '.join(sorted(known))}"
    return None, [f"no profile {name!r}; {hint}"]
