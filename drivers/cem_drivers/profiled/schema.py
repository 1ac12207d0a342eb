"""The profile of a Modbus device as it is written: keys, types and ranges. What spans tables is in `checks`."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from cem_drivers.modbus import MAX_READ
from cem_drivers.profiles.tables import Budget, ProfileTable, Range, Table, Verify, too_coarse

Function = Literal[3, 4]
WordOrder = Literal["big", "little"]
TYPE = r"^(uint16|int16|uint32|int32|uint64|int64|float32|float64|bitfield16|bitfield32|string:[1-9][0-9]?)$"
REFERENCE = r"^-?\$[a-z_][a-z0-9_.]*$"
CODE = r"^-?[0-9]+$"

_WORDS = {"16": 1, "32": 2, "64": 4}


def words_of(kind: str) -> int:
    """How many registers a value of a type takes."""
    return int(kind[7:]) if kind.startswith("string:") else _WORDS[kind[-2:]]


def _raw(value: object) -> object:
    """A register value as it may be written: a whole number, or hexadecimal in quotes."""
    if isinstance(value, str):
        try:
            return int(value, 16)
        except ValueError:
            raise ValueError(f"{value!r} is no hexadecimal number such as '0x8000'") from None
    return value


Raw = Annotated[int, BeforeValidator(_raw)]


class LinkDefaults(Table):
    """`[link]`: what the link table of the site file may leave out, and how the device wants to be spoken to."""

    kinds: list[Literal["tcp", "rtu", "rtu-tcp", "tls"]] = Field(min_length=1)
    port: int = Field(default=502, ge=1, le=65535)
    unit: int = Field(default=1, ge=0, le=255)
    max_clients: int | None = Field(default=None, ge=1)
    max_read: int = Field(default=MAX_READ, ge=1, le=MAX_READ)
    max_gap: int = Field(default=0, ge=0, le=64)
    min_gap_ms: float = Field(default=0, ge=0, le=5000)
    timeout_s: float | None = Field(default=None, gt=0, le=1.5)
    word_order: WordOrder = "big"
    write_function: Literal[6, 16] = 16
    baud: int | None = Field(default=None, ge=300)
    parity: Literal["N", "E", "O"] | None = None
    stop_bits: Literal[1, 2] | None = None


class Place(Table):
    """Where a value lies, and its type. Addresses are those on the wire, from 0."""

    at: int = Field(ge=0, le=65535)
    fc: Function = 3
    type: str = Field(pattern=TYPE)
    word_order: WordOrder | None = None

    @property
    def words(self) -> int:
        """Registers taken."""
        return words_of(self.type)


class IdentifyRow(Place):
    """One thing that is read before the first write: matched by `regex`, told as `tells`."""

    tells: Literal["serial", "model", "version"] | None = None
    regex: str | None = None
    hexadecimal: bool = False
    source: str = Field(min_length=1)


class Identify(Table):
    """`[identify]`: who answers. `weak` says why no serial number can be read; the points together stand for it."""

    maker: str = Field(min_length=1)
    model: str | None = None
    unit: int | None = Field(default=None, ge=0, le=255)
    weak: str | None = None
    points: list[IdentifyRow] = Field(min_length=1)
    finds: list[IdentifyRow] = Field(default=[])  # what else tells a scan, and a scan alone, what it is

    @property
    def tells_strangers(self) -> bool:
        """Whether what it says tells it from other makers' devices."""
        return any(row.regex is not None for row in (*self.points, *self.finds))

    @model_validator(mode="after")
    def _serial_or_why_not(self) -> "Identify":
        if any(row.regex is None or row.tells is not None for row in self.finds):
            raise ValueError("each of 'finds' has a 'regex' and tells nothing: 'points' tell")
        if any(row.tells == "serial" for row in self.points) is (self.weak is not None):
            raise ValueError("either one point tells the serial, or 'weak' says why none does")
        return self


class Group(Table):
    """`[group]`: how often its points are read, and how old they may get."""

    period_s: float = Field(gt=0, le=86400)
    stale_s: float = Field(gt=0, le=86400)


class ValueRow(Place):
    """`[[point]]` (published) or `[[value]]` (for `derive` and `control` only)."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_.]*$")
    group: str = "fast"
    scale: float = 1.0
    offset: float = 0.0
    exponent: str | None = None
    nan: list[Raw] = Field(default=[])
    range: Range | None = None
    map: dict[str, str] | None = None
    source: str = Field(min_length=1)

    @model_validator(mode="after")
    def _fits_together(self) -> "ValueRow":
        text = self.type.startswith("string")
        if text and (self.scale != 1 or self.offset or self.exponent or self.range or self.nan):
            raise ValueError("a string has no scale, offset, exponent, range or nan")
        if self.range is not None and self.range[0] >= self.range[1]:
            raise ValueError(f"range {self.range}: the lower end comes first")
        if self.scale == 0:
            raise ValueError("scale 0 leaves nothing")
        return self


class Bit(Table):
    """One bit of a value: what it stands for set and clear."""

    of: str
    bit: int = Field(ge=0, le=63)
    set: float | str = 1.0
    clear: float | str = 0.0


class Map(Table):
    """What the codes of a value stand for; `other` for those not listed, else unknown."""

    of: str
    codes: dict[str, float | str]
    other: float | str | None = None


class DeriveRow(Table):
    """`[[derive]]`: exactly one rule; unknown as soon as one of its sources is."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_.]*$")
    sum: list[str] | None = Field(default=None, min_length=1)
    diff: Annotated[list[str], Field(min_length=2, max_length=2)] | None = None
    min: list[str] | None = Field(default=None, min_length=1)
    max: list[str] | None = Field(default=None, min_length=1)
    product: list[str] | None = Field(default=None, min_length=2)
    ratio: Annotated[list[str], Field(min_length=2, max_length=2)] | None = None
    bit: Bit | None = None
    map: Map | None = None
    scale: float = 1.0
    range: Range | None = None

    @model_validator(mode="after")
    def _one_rule(self) -> "DeriveRow":
        given = [name for name in RULES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of {', '.join(RULES)}; seen: {', '.join(given) or 'none'}")
        return self

    @property
    def sources(self) -> list[str]:
        """The values that it is made of."""
        if self.bit is not None:
            return [self.bit.of]
        if self.map is not None:
            return [self.map.of]
        return self.sum or self.diff or self.min or self.max or self.product or self.ratio or []


RULES = ("sum", "diff", "min", "max", "product", "ratio", "bit", "map")

Amount = float | Annotated[str, Field(pattern=REFERENCE)]


class Limits(Table):
    """What may be written: numbers, or "$id" (or "-$id") for what the device tells; `zero` allows 0 besides."""

    min: Amount
    max: Amount
    step: float = Field(gt=0)
    zero: bool = False


class WriteRow(Table):
    """One write. `value` is a raw number, or "$setpoint", "$max", "$id": over `per`, less `offset`, over `scale`.

    `codes` says what is written for each set point, where the device counts its states in its own way.
    """

    at: int = Field(ge=0, le=65535)
    type: str = Field(pattern=TYPE)
    value: float | Annotated[str, Field(pattern=REFERENCE)]
    scale: float = 1.0
    offset: float = 0.0  # as of a point: what is read is raw times scale, plus offset
    per: str | None = None
    codes: dict[Annotated[str, Field(pattern=CODE)], int] | None = Field(default=None, min_length=1)
    word_order: WordOrder | None = None
    function: Literal[6, 16] | None = None  # where this register takes another one than the device's others
    back: Place | Literal["none"] | None = None  # where it is read back, if not from the same register
    always: bool = False  # sent even where the register holds it already: it is what keeps the device's timer alive

    @model_validator(mode="after")
    def _numbers_only(self) -> "WriteRow":
        if self.type.startswith("string"):
            raise ValueError("a string is never written")
        if self.scale == 0:
            raise ValueError("scale 0 leaves nothing")
        if self.offset and not isinstance(self.value, str):
            raise ValueError("a raw number is written as it is, without offset")
        worked = self.scale != 1 or self.offset or self.per is not None
        if self.codes is not None and (self.value != "$setpoint" or worked):
            raise ValueError("'codes' stand for value = \"$setpoint\" alone, without scale, offset and per")
        return self

    @property
    def moves(self) -> bool:
        """Whether what is written depends on the set point."""
        return isinstance(self.value, str) and "$setpoint" in self.value


class Timeout(Table):
    """The device's own watchdog. `arm` is written, if need be, and read back before the first set point."""

    s: float = Field(gt=0, le=86400)
    fed_by: Literal["write", "heartbeat", "polling"] = "write"  # what keeps it from running out
    proven: bool = False
    falls_back_to: str = Field(min_length=10)
    arm: list[WriteRow] = Field(default=[])


class Requirement(Table):
    """What somebody else must have set before the control may be written; `says` tells the owner where."""

    of: str
    equals: float | Annotated[list[float], Field(min_length=1)]
    says: str = Field(min_length=10)

    @property
    def accepted(self) -> list[float]:
        """The values that will do."""
        return self.equals if isinstance(self.equals, list) else [self.equals]


class Heartbeat(Table):
    """What keeps the device's watchdog quiet while a set point of ours is in force."""

    every_s: float = Field(gt=0, le=3600)
    write: list[WriteRow] = Field(min_length=1)


class Phases(Table):
    """How the charger is told to use one phase or three; only paused, and not oftener than `min_interval_s`."""

    at: Place
    one: float
    three: float
    auto: float | None = None  # the device's own choice, good enough for three phases
    min_interval_s: float = Field(default=300, ge=60)


class ControlRow(Table):
    """`[[control]]`: how one control is written, armed, verified and released."""

    id: str
    limits: Limits
    requires: list[Requirement] = Field(default=[])
    includes: list[str] = Field(default=[])
    storage: Literal["ram", "levelled", "flash", "unknown"] = "unknown"
    budget: Budget
    dead_band: float = Field(default=0, ge=0)
    refresh_s: float | None = Field(default=None, gt=0)
    device_timeout: Timeout | None = None
    falls_back_to: str | None = Field(default=None, min_length=10)
    heartbeat: Heartbeat | None = None
    phases: Phases | None = None
    verify: Verify | None = None
    write: list[WriteRow] = Field(min_length=1)
    write_zero: list[WriteRow] = Field(default=[])
    write_negative: list[WriteRow] = Field(default=[])
    release: list[WriteRow] = Field(min_length=1)
    source: str = Field(min_length=1)

    @model_validator(mode="after")
    def _whole(self) -> "ControlRow":
        if (self.device_timeout is None) == (self.falls_back_to is None):
            raise ValueError("either 'device_timeout', or 'falls_back_to' saying what the device does without us")
        if self.limits.zero and not self.write_zero and self.limits.min != 0:
            raise ValueError("'limits.zero' needs 'write_zero'")
        if self.storage != "ram" and self.budget.daily is None:
            raise ValueError("'budget.daily' is needed: what is written survives a restart, or may")
        if self.storage in {"flash", "unknown"} and (self.budget.min_interval_s < 900 or (self.budget.daily or 0) > 20):
            raise ValueError("plain flash allows one write in 900 s and 20 a day at most")
        fed_by = self.device_timeout.fed_by if self.device_timeout is not None else None
        if (fed_by == "write" and self.refresh_s is None) or (fed_by == "heartbeat" and self.heartbeat is None):
            raise ValueError("a device timeout needs 'refresh_s' or 'heartbeat', as 'fed_by' says, or it runs out")
        if self.refresh_s is not None and self.refresh_s < self.budget.min_interval_s:
            raise ValueError("'refresh_s' is shorter than 'budget.min_interval_s', so it could not be kept")
        if self.device_timeout is not None and (self.refresh_s or 0) > self.device_timeout.s / 2:
            raise ValueError("'refresh_s' is at most half of the device's timeout")
        if self.heartbeat and self.device_timeout and self.heartbeat.every_s > self.device_timeout.s / 2:
            raise ValueError("'heartbeat.every_s' is at most half of the device's timeout")
        if too_coarse(self.id, self.dead_band):
            raise ValueError("'dead_band' is below 1: a step of 1 A must be sent")
        moving = [row for row in self.write if row.moves]
        if not moving:
            raise ValueError("nothing in 'write' carries \"$setpoint\"")
        coded = {frozenset(row.codes or ()) for row in moving}
        if len(coded) > 1:
            raise ValueError(
                "all rows of 'write' that carry the set point have 'codes' for the same set points, or none"
            )
        return self

    @model_validator(mode="after")
    def _lasts_all_day(self) -> "ControlRow":
        if self.refresh_s is not None and self.budget.daily is not None and 86400 / self.refresh_s > self.budget.daily:
            raise ValueError("'budget.daily' does not last for a refresh each 'refresh_s'")
        return self

    @property
    def states(self) -> frozenset[int]:
        """The set points that have a code; none for a control that takes any number within its limits."""
        return frozenset(int(state) for row in self.write for state in row.codes or ())

    @property
    def writes(self) -> list[WriteRow]:
        """Everything that the control may ever send."""
        arm = self.device_timeout.arm if self.device_timeout is not None else []
        beat = self.heartbeat.write if self.heartbeat is not None else []
        return [*arm, *beat, *self.write, *self.write_zero, *self.write_negative, *self.release]


class Golden(Table):
    """Registers recorded from a device or typed in from its document, and what they mean ("none": not known)."""

    source: str = Field(min_length=1)
    regs: dict[Annotated[str, Field(pattern=r"^[34]:[0-9]+$")], list[Raw]]
    expect: dict[str, float | str] = Field(min_length=1)


class Profile(ProfileTable):
    """One family of Modbus devices."""

    link: LinkDefaults
    identify: Identify
    group: dict[str, Group]
    value: list[ValueRow] = Field(default=[])
    point: list[ValueRow] = Field(min_length=1)
    derive: list[DeriveRow] = Field(default=[])
    control: list[ControlRow] = Field(default=[])
    golden: list[Golden] = Field(default=[])
    no_golden: str | None = Field(default=None, min_length=10)

    @model_validator(mode="after")
    def _honest(self) -> "Profile":
        if bool(self.golden) is (self.no_golden is not None):
            raise ValueError("either a [[golden]] case, or 'no_golden' saying why there is none")
        if self.control and self.identify.weak is not None and all(row.tells is None for row in self.identify.points):
            raise ValueError("a device that is written needs something in 'identify.points' that tells it from others")
        if self.no_golden is not None and self.status != "draft":
            raise ValueError(f"status {self.status!r} needs a [[golden]] case; without one it is a draft")
        return self

    @property
    def rows(self) -> list[ValueRow]:
        """Every value that is read."""
        return [*self.value, *self.point]
