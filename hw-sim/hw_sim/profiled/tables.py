"""A profile file as hw-sim reads it: the keys that say what a device shows and what it does.

What a newer format adds is left aside; a key that looks like one of these with a slip in it is a fault.
"""

from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from hw_sim.profiled.codec import TYPES, is_text, known_type, size_of

Number = float | str
"""A number, or "$id", "-$id"."""
_SLIP = 0.8
_FOR_OTHERS = frozenset(
    {
        *("profile", "evidence", "golden", "no_golden", "source", "says", "doc", "revision", "budget", "dead_band"),
        *("refresh_s", "verify", "effect", "tol", "within_s", "stale_s", "period_s", "timeout_s", "min_interval_s"),
        *("daily", "always", "proven", "readback", "every_s", "baud", "parity", "stop_bits", "min_gap_ms"),
    }
)
"""Keys that say something to a reader, and nothing to a device."""


def _bits(value: object) -> object:
    return int(value, 16) if isinstance(value, str) else value


class Part(BaseModel):
    """Frozen. Keys that are near to a known one are faults."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _no_slips(cls, value: Any, info: ValidationInfo) -> Any:
        del info
        if isinstance(value, dict):
            for key in value:
                if key not in cls.model_fields and key not in _FOR_OTHERS:
                    near = get_close_matches(key, [*cls.model_fields], 1, cutoff=_SLIP)
                    if near:
                        raise ValueError(f"unknown key '{key}', did you mean '{near[0]}'?")
        return value


class Place(Part):
    """Where a value lies, and its type."""

    at: int = Field(ge=0, le=65535)
    fc: Literal[3, 4] = 3
    type: str
    word_order: Literal["big", "little"] | None = None

    @model_validator(mode="after")
    def _typed(self) -> "Place":
        if not known_type(self.type):
            raise ValueError(f"type '{self.type}'; allowed: {', '.join(TYPES)}")
        return self

    @property
    def addresses(self) -> range:
        """The registers taken."""
        return range(self.at, self.at + size_of(self.type))


class IdentityRow(Place):
    """One thing by which it is known."""

    tells: Literal["serial", "model", "version"] | None = None
    regex: str | None = None
    hexadecimal: bool = False


class Identify(Part):
    """`[identify]`."""

    unit: int | None = None
    weak: str | None = None
    points: tuple[IdentityRow, ...]
    finds: tuple[IdentityRow, ...] = ()

    @property
    def told(self) -> tuple[IdentityRow, ...]:
        """All that it tells of itself; where a scan looks at what a point tells, that fits both."""
        looks = {(row.fc, row.at): row.regex for row in self.finds}
        own = tuple(
            row if row.regex else row.model_copy(update={"regex": looks.get((row.fc, row.at))}) for row in self.points
        )
        return own + tuple(row for row in self.finds if (row.fc, row.at) not in {(one.fc, one.at) for one in own})


class Row(Place):
    """`[[point]]` or `[[value]]`: value = raw x scale x 10^exponent + offset."""

    id: str
    scale: float = 1.0
    offset: float = 0.0
    exponent: str | None = None
    nan: tuple[Annotated[int, BeforeValidator(_bits)], ...] = ()
    range: tuple[float, float] | None = None
    map: dict[str, str] | None = None


class Bit(Part):
    """One bit of a value."""

    of: str
    bit: int
    set: float | str = 1.0
    clear: float | str = 0.0


class Codes(Part):
    """What the codes of a value stand for."""

    of: str
    codes: dict[str, float | str]
    other: float | str | None = None


class Derive(Part):
    """`[[derive]]`."""

    id: str
    sum: tuple[str, ...] | None = None
    diff: tuple[str, str] | None = None
    min: tuple[str, ...] | None = None
    max: tuple[str, ...] | None = None
    product: tuple[str, ...] | None = None
    ratio: tuple[str, str] | None = None
    bit: Bit | None = None
    map: Codes | None = None
    scale: float = 1.0

    @property
    def sources(self) -> tuple[str, ...]:
        """What it is made of."""
        if self.bit is not None or self.map is not None:
            return (self.bit.of,) if self.bit is not None else (self.map.of,) if self.map is not None else ()
        return self.sum or self.diff or self.min or self.max or self.product or self.ratio or ()


class Write(Part):
    """One write: `value` (a number, or what stands under a name) divided by `per` and `scale`."""

    at: int = Field(ge=0, le=65535)
    type: str
    value: Number
    scale: float = 1.0
    offset: float = 0.0
    per: str | None = None
    codes: dict[str, int] | None = None
    function: Literal[6, 16] | None = None
    word_order: Literal["big", "little"] | None = None
    back: Place | Literal["none"] | None = None

    @model_validator(mode="after")
    def _typed(self) -> "Write":
        if not known_type(self.type) or is_text(self.type):
            raise ValueError(f"type '{self.type}'; allowed: {', '.join(TYPES[:-1])}")
        return self

    @property
    def moves(self) -> bool:
        """Whether it carries the set point."""
        return isinstance(self.value, str) and self.value.lstrip("-") == "$setpoint"

    @property
    def addresses(self) -> range:
        """The registers taken."""
        return range(self.at, self.at + size_of(self.type))


class Limits(Part):
    """What may be asked for."""

    min: Number
    max: Number


class Requirement(Part):
    """What somebody has set on the device before it can be steered."""

    of: str
    equals: float | tuple[float, ...]


class Timeout(Part):
    """The device's own watchdog."""

    s: float = Field(gt=0)
    fed_by: Literal["write", "heartbeat", "polling"] = "write"
    falls_back_to: str = ""
    arm: tuple[Write, ...] = ()


class Heartbeat(Part):
    """What feeds a watchdog."""

    write: tuple[Write, ...]


class Phases(Part):
    """The register by which a charger is told how many phases to use."""

    at: Place
    one: float
    three: float
    auto: float | None = None


class ControlTable(Part):
    """`[[control]]`."""

    id: str
    limits: Limits
    requires: tuple[Requirement, ...] = ()
    includes: tuple[str, ...] = ()  # what else a limit of the roof counts: what its battery gives or takes
    storage: str = "unknown"
    device_timeout: Timeout | None = None
    heartbeat: Heartbeat | None = None
    phases: Phases | None = None
    write: tuple[Write, ...]
    write_zero: tuple[Write, ...] = ()
    write_negative: tuple[Write, ...] = ()
    release: tuple[Write, ...]

    @property
    def steering(self) -> tuple[Write, ...]:
        """The writes that set or end something."""
        return (*self.write, *self.write_zero, *self.write_negative, *self.release)

    @property
    def writes(self) -> tuple[Write, ...]:
        """All that may be written."""
        arm = self.device_timeout.arm if self.device_timeout is not None else ()
        beat = self.heartbeat.write if self.heartbeat is not None else ()
        return (*self.steering, *arm, *beat)


class LinkTable(Part):
    """`[link]`."""

    kinds: tuple[str, ...]
    port: int = 502
    unit: int = 1
    max_clients: int | None = None
    max_read: int = 125
    max_gap: int = 0
    word_order: Literal["big", "little"] = "big"
    write_function: Literal[6, 16] = 16


class Profile(Part):
    """One family of Modbus devices."""

    id: str
    title: str
    roles: tuple[str, ...]
    status: str = "draft"
    link: LinkTable
    identify: Identify
    value: tuple[Row, ...] = ()
    point: tuple[Row, ...]
    derive: tuple[Derive, ...] = ()
    control: tuple[ControlTable, ...] = ()

    @property
    def rows(self) -> tuple[Row, ...]:
        """Everything that can be read."""
        return (*self.value, *self.point)

    def order(self, row: Place | Write) -> str:
        """The word order of a row."""
        return row.word_order or self.link.word_order
