"""SunSpec models as registers: points, scale factors, sentinels, and the chain of models of one device."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from struct import Struct
from typing import Protocol

from hw_sim.devices import layouts
from hw_sim.registers import ILLEGAL_VALUE, ModbusFault, RegisterBank

BASE = 40000
_START = (0x5375, 0x6E53)  # "SunS"
_END = (0xFFFF, 0)

_SIZES = {
    "u16": 1,
    "i16": 1,
    "enum16": 1,
    "bits16": 1,
    "sf": 1,
    "pad": 1,
    "u32": 2,
    "bits32": 2,
    "acc32": 2,
    "acc64": 4,
}
_SIGNED = frozenset({"i16", "sf"})
_NUMBERS = (float, int)
_WORD, _LONG = Struct(">H").pack_into, Struct(">I").pack_into
_UNIMPLEMENTED = {
    "u16": 0xFFFF,
    "enum16": 0xFFFF,
    "bits16": 0xFFFF,
    "i16": 0x8000,
    "sf": 0x8000,
    "pad": 0x8000,
    "u32": 0xFFFFFFFF,
    "bits32": 0xFFFFFFFF,
    "acc32": 0,  # an accumulator that isn't kept stands at 0
    "acc64": 0,
}

Value = float | int | str | None


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a model; `offset` counts from the model's ID word."""

    name: str
    kind: str
    offset: int
    size: int
    scale: str | None
    writable: bool

    def words(self, value: Value, factor: int | None) -> tuple[int, ...]:
        """The registers for a value in SI units; None, or a point without its scale factor, gives the sentinel."""
        if self.size == 1 and isinstance(value, float | int) and (factor is not None or self.scale is None):
            number = round(value / 10.0**factor if factor else value)
            if self.kind in _SIGNED:
                return ((-0x7FFF if number < -0x7FFF else min(number, 32767)) & 0xFFFF,)
            return (0 if number < 0 else min(number, 65534),)
        if self.kind.startswith("str"):
            raw = str(value or "").encode("ascii", "replace")[: 2 * self.size].ljust(2 * self.size, b"\0")
            return tuple(int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2))
        if value is None or isinstance(value, str) or (self.scale is not None and factor is None):
            number = _UNIMPLEMENTED[self.kind]
        else:
            number = self._long(value / 10.0**factor if factor else value)
        return tuple((number >> 16 * i) & 0xFFFF for i in range(self.size - 1, -1, -1))

    def _long(self, scaled: float) -> int:
        """Of a point of two registers and more; all of them are unsigned."""
        if self.kind.startswith("acc"):
            return int(scaled) & (1 << 16 * self.size) - 1  # counts up, never rounds up before it is there, rolls over
        return max(0, min(0xFFFFFFFE, round(scaled)))


def _points(layout: str) -> dict[str, Point]:
    found: dict[str, Point] = {}
    offset = 2
    for token in layout.split():
        name, rest = token.split(":")
        writable = rest.endswith("!")
        kind, _, scale = rest.rstrip("!").partition("@")
        size = int(kind[3:]) if kind.startswith("str") else _SIZES[kind]
        found[name] = Point(name, kind, offset, size, scale or None, writable)
        offset += size
    return found


_MODELS = {
    1: _points(layouts.COMMON_1),
    101: _points(layouts.INVERTER_103),  # one phase: the same layout as 103
    103: _points(layouts.INVERTER_103),
    120: _points(layouts.NAMEPLATE_120),
    122: _points(layouts.STATUS_122),
    123: _points(layouts.CONTROLS_123),
    124: _points(layouts.STORAGE_124),
    160: _points(layouts.MPPT_160),
    203: _points(layouts.METER_203),
    802: _points(layouts.BATTERY_802),
}


def factor_for(largest: float, finest: int = 0) -> int:
    """The finest scale factor, not below `finest`, with which a magnitude still fits a signed register."""
    factor = finest
    while largest / 10.0**factor > 32000.0:
        factor += 1
    return factor


class Model:
    """One model of a device. `factors` are its scale factors; `fixed` the values that never change by themselves.

    `live`, if given, returns the values that are read from the physics. A writable point is there if `fixed` gives
    it a value; all others answer exception 2 to a write.
    """

    def __init__(
        self,
        number: int,
        factors: Mapping[str, int] | None = None,
        fixed: Mapping[str, Value] | None = None,
        live: Callable[[], Mapping[str, Value]] | None = None,
    ) -> None:
        self.number = number
        self.points = _MODELS[number]
        self.factors = dict(factors or {})
        self.fixed = {**(fixed or {}), **self.factors}
        self.live = live
        self.length = sum(point.size for point in self.points.values())
        self.address = 0  # of the ID word, set when the device is put together

    def factor(self, point: Point) -> int | None:
        """The scale factor in force for a point."""
        return self.factors.get(point.scale) if point.scale is not None else None

    def initial(self) -> list[int]:
        """All words, header included."""
        words = [self.number, self.length]
        for name, point in self.points.items():
            words.extend(point.words(self.fixed.get(name), self.factor(point)))
        return words

    def writable(self) -> dict[int, Point]:
        """Address to point of everything that may be written."""
        return {
            self.address + point.offset: point
            for name, point in self.points.items()
            if point.writable and point.size == 1 and self.fixed.get(name) is not None
        }


class Owner(Protocol):
    """Whose registers they are: it says what may be stored and is told what was."""

    def version(self) -> int:
        """Another number when live values may have changed."""

    def seen(self, model: Model) -> Mapping[str, Value]:
        """The live values of a model as the device shows them now."""

    def allows(self, number: int, name: str, value: float) -> bool:
        """Whether a value in SI units may be stored."""

    def stored(self, number: int, names: frozenset[str]) -> None:
        """A write was taken."""

    def refuse(self) -> None:
        """A write was refused."""


@dataclass(slots=True)
class _Live:
    """A model with live values, and what is known of them.

    `names` are the points in the order in which their values come, `places` where each goes if it can be put at once,
    and `shown` the values as they stand in the registers.
    """

    model: Model
    begin: int
    end: int
    fresh: int | None = None  # the owner's version
    names: tuple[str, ...] = ()
    places: list["_Place"] = field(default_factory=list)
    shown: Sequence[object] = ()

    def arrange(self, names: tuple[str, ...]) -> None:
        """From now on the values come in this order, and none of them stands in the registers."""
        self.names = names
        self.places = [_place(self.model, self.model.points[name]) for name in names]
        self.forget()

    def forget(self) -> None:
        """No value stands in the registers."""
        self.shown = [_NOWHERE] * len(self.names)


_NOWHERE = object()

_Place = tuple[Point, int, float, int, int]
"""Where the numbers of a point go: the point, its place in the bank's bytes, what to divide by, and the least and most
that fits into one register. A place of `_SLOWLY` is worked out by the point itself; a most of `_ROLLS_OVER` is that of
a counter of two registers, which never rounds up before it is there."""
_SLOWLY = -1
_ROLLS_OVER = -1


def _place(model: Model, point: Point) -> _Place:
    factor = model.factor(point)
    at, divisor = 2 * (model.address - BASE + point.offset), 10.0**factor if factor else 1.0
    if factor is not None or point.scale is None:
        if point.size == 1:
            low, high = (-0x7FFF, 32767) if point.kind in _SIGNED else (0, 65534)
            return point, at, divisor, low, high
        if point.kind == "acc32":
            return point, at, divisor, 0, _ROLLS_OVER
    return point, _SLOWLY, divisor, 0, 0


@dataclass(frozen=True, slots=True)
class _Setting:
    """A point that may be written: its place in the bank's bytes, and how its register gives a value in SI units."""

    at: int
    signed: bool
    unit: float

    def held(self, held: bytearray) -> float:
        """Its value as it stands."""
        return self.of(held[self.at] << 8 | held[self.at + 1])

    def of(self, word: int) -> float:
        """The value that a word would be."""
        return (word - 0x10000 if self.signed and word >= 0x8000 else word) * self.unit


def _setting(model: Model, point: Point) -> _Setting:
    at = 2 * (model.address - BASE + point.offset)
    return _Setting(at, point.kind in _SIGNED, 10.0 ** (model.factor(point) or 0))


class SunSpecDevice:
    """A chain of models at 40000 behind one RegisterBank."""

    def __init__(self, models: list[Model], owner: Owner) -> None:
        self._owner = owner
        self._models = {model.number: model for model in models}
        words = list(_START)
        address = BASE + 2
        for model in models:
            model.address = address
            words.extend(model.initial())
            address += 2 + model.length
        words.extend(_END)
        self._live = {
            number: _Live(model, model.address, model.address + 2 + model.length)
            for number, model in self._models.items()
            if model.live is not None
        }
        self._writable = {at: point for model in models for at, point in model.writable().items()}
        self._model_at = {at: model for model in models for at in model.writable()}
        self._settings = {
            (self._model_at[at].number, point.name): _setting(self._model_at[at], point)
            for at, point in self._writable.items()
        }
        self.bank = RegisterBank(
            BASE, words, frozenset(self._writable), self._refresh, self._accept, refused=owner.refuse
        )

    def __contains__(self, number: int) -> bool:
        return number in self._models

    def forget(self) -> None:
        """The next read looks at the live values anew, and puts all of them into their registers."""
        self._look_again()
        for live in self._live.values():
            live.forget()

    def _look_again(self) -> None:
        """The next read looks at the live values anew."""
        for live in self._live.values():
            live.fresh = None

    def _refresh(self, first: int, last: int) -> None:
        version = self._owner.version()
        for live in self._live.values():
            if live.fresh != version and live.begin <= last and live.end > first:
                live.fresh = version
                self._show(live)

    def _show(self, live: _Live) -> None:
        """Puts what has changed into the registers."""
        values = self._owner.seen(live.model)
        names = tuple(values)
        if names != live.names:
            live.arrange(names)
        fresh, held = list(values.values()), self.bank.held
        for (point, at, divisor, low, high), value, shown in zip(live.places, fresh, live.shown, strict=True):
            if value == shown:
                continue
            if at == _SLOWLY or not isinstance(value, _NUMBERS):
                self.bank.put(live.begin + point.offset, point.words(value, live.model.factor(point)))
            elif high == _ROLLS_OVER:
                _LONG(held, at, int(value / divisor) & 0xFFFFFFFF)
            else:
                number = round(value / divisor)
                _WORD(held, at, (number if low <= number <= high else low if number < low else high) & 0xFFFF)
        live.shown = fresh

    def _accept(self, changes: Mapping[int, int]) -> None:
        names: dict[int, set[str]] = {}
        for at, word in changes.items():
            point, number = self._writable[at], self._model_at[at].number
            names.setdefault(number, set()).add(point.name)
            if not self._owner.allows(number, point.name, self._settings[number, point.name].of(word)):
                raise ModbusFault(ILLEGAL_VALUE)
        for at, word in changes.items():
            self.bank.put(at, (word,))
        self._look_again()  # nothing that may be written is live, but what was written may show there
        for number, those in names.items():
            self._owner.stored(number, frozenset(those))

    def write(self, number: int, name: str, value: float) -> None:
        """As a client would, one point in SI units; a refusal is the device's own business."""
        model = self._models[number]
        point = model.points[name]
        with suppress(ModbusFault):
            self.bank.write(model.address + point.offset, point.words(value, model.factor(point)))

    def get(self, number: int, name: str) -> float:
        """A writable point's value as it stands, in SI units."""
        return self._settings[number, name].held(self.bank.held)

    def put(self, number: int, name: str, value: Value) -> None:
        """Stores a point from the device's side."""
        model = self._models[number]
        point = model.points[name]
        if number in self._live:
            self._live[number].forget()
        self.bank.put(model.address + point.offset, point.words(value, model.factor(point)))

    def put_factor(self, number: int, name: str, off: int) -> None:
        """Shows a scale factor `off` away from the one in which the values are; 0: the right one again."""
        model = self._models[number]
        self.put(number, name, model.factors[name] + off)

    def to_defaults(self, number: int) -> None:
        """Everything of a model that may be written is as at the start."""
        model = self._models[number]
        for point in model.writable().values():
            self.put(number, point.name, model.fixed[point.name])
        self.forget()


def common(maker: str, model: str, serial: str, version: str) -> Model:
    """Model 1."""
    return Model(1, fixed={"Mn": maker, "Md": model, "Vr": version, "SN": serial, "DA": 1})
