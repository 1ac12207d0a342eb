"""What the payloads of an OpenADR 3.1 event ask, in our signals and units (Definition, tables 1 and 9)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from cem.model.curve import Curve
from cem.model.event import SignalKind
from cem.model.provider import Provider
from cem.sgcp.bindings.openadr3_catalogue import Form, Meaning
from cem.sgcp.bindings.openadr3_curves import read_curve
from cem.sgcp.bindings.openadr3_schedule import Unusable
from cem.sgcp.bindings.openadr3_units import POWER_UNITS, Units
from cem.wire.openadr3 import ValuesMap

LIMITS = frozenset({SignalKind.IMPORT_LIMIT_W, SignalKind.EXPORT_LIMIT_W})
MAGNITUDES = LIMITS | {
    SignalKind.DEFAULT_IMPORT_LIMIT_W,
    SignalKind.DEFAULT_EXPORT_LIMIT_W,
    SignalKind.RESERVED_IMPORT_W,
    SignalKind.RESERVED_EXPORT_W,
}
SHED_LEVELS = 3

ENERGY_UNITS = {"KWH": 1.0, "MWH": 0.001, "WH": 1000.0}
MOST_PLAIN = 1e6
"""Of a number without a unit of ours: a million grams a kWh is nothing that exists."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads payloads of one event. `max_power_w` and `max_price` per kWh bound what is believed."""

    provider: Provider
    units: Units
    max_power_w: float
    max_price: float

    curves: list[Curve] = field(default_factory=list)  # those read so far, for signals that name them by number

    def signals(self, payload: ValuesMap, meaning: Meaning) -> Iterator[tuple[SignalKind, Sequence[float | None]]]:
        """What a payload asks: signals with one value per sub-interval, None where there is none.

        Raises Unusable for what must not be acted on.
        A unit that we do not know is Unusable for a limit, and LookupError for everything else.
        """
        if meaning.form is Form.WORDS:
            yield from self._alert(meaning)
            return
        assert meaning.signal is not None
        if meaning.form is Form.CURVE:
            self.curves.append(read_curve(payload, self.units, self.max_power_w))
            yield meaning.signal, [float(len(self.curves) - 1)]
            return
        given = payload.numbers()
        if not given or len(given) != len(payload.values):
            raise Unusable(f"{payload.type} without numbers")
        kind, values = self._read(payload, meaning, meaning.signal, given)
        yield kind, values
        if kind is SignalKind.LOAD_SHED_LEVEL and any(values):
            yield SignalKind.IMPORT_LIMIT_W, [self._shed_w(level) for level in values]

    def _alert(self, meaning: Meaning) -> Iterator[tuple[SignalKind, Sequence[float | None]]]:
        if meaning.level:
            limit_w = meaning.import_limit_w
            yield SignalKind.LOAD_SHED_LEVEL, [float(meaning.level)]
            yield SignalKind.IMPORT_LIMIT_W, [self._shed_w(meaning.level) if limit_w is None else limit_w]
        if meaning.charge_pct is not None:
            yield SignalKind.CHARGE_TARGET_PCT, [meaning.charge_pct]

    def _shed_w(self, level: float) -> float | None:
        """What a level leaves of the import; level 0 limits nothing."""
        return self.provider.shed_import_w[int(level) - 1] if level else None

    def _read(
        self, payload: ValuesMap, meaning: Meaning, kind: SignalKind, given: Sequence[float]
    ) -> tuple[SignalKind, list[float]]:
        match meaning.form:
            case Form.POWER:
                return kind, self._powers(payload, kind, given)
            case Form.PRICE:
                factor = _factor(payload, self.units, "KWH", ENERGY_UNITS, must=False)
                return kind, _within(payload, [v * factor for v in given], -self.max_price, self.max_price, "per kWh")
            case Form.LEVEL:
                if any(value != int(value) for value in given):
                    raise Unusable(f"{payload.type} of {given[0]:g}; the levels are whole numbers")
                return kind, _within(payload, list(given), 0.0, SHED_LEVELS, "")
            case Form.SHARE:
                return kind, _within(payload, list(given), 0.0, 1.0, "")
            case Form.CHARGE if self.units.units(payload.type, "PERCENT") != "PERCENT":
                factor = 1000.0 / _factor(payload, self.units, "KWH", ENERGY_UNITS, must=False)
                energies = [value * factor for value in given]
                return SignalKind.CHARGE_TARGET_WH, _within(payload, energies, 0.0, self.max_power_w, "Wh")
            case Form.CHARGE:
                return kind, _within(payload, list(given), 0.0, 100.0, "%")
            case _:
                return kind, _within(payload, list(given), 0.0, MOST_PLAIN, "")

    def _powers(self, payload: ValuesMap, kind: SignalKind, given: Sequence[float]) -> list[float]:
        must = kind in LIMITS
        factor = _factor(payload, self.units, "KW", POWER_UNITS, must=must)
        values = _within(payload, [v * factor for v in given], -self.max_power_w, self.max_power_w, "W")
        if kind in MAGNITUDES and min(values) < 0:
            raise Unusable(f"{payload.type} of {min(values):g} W; a limit is zero or more")
        return values


def _within(payload: ValuesMap, values: list[float], low: float, high: float, unit: str) -> list[float]:
    for value in values:
        if not low <= value <= high:
            allowed = f"at most {high:g}" if low == -high else f"{low:g} to {high:g}"
            raise Unusable(f"{payload.type} of {value:g}{f' {unit}' if unit else ''}; {allowed} is believed")
    return values


def _factor(payload: ValuesMap, units: Units, default: str, known: dict[str, float], must: bool) -> float:
    unit = units.units(payload.type, default)
    if unit in known:
        return known[unit]
    words = f"{payload.type} in {unit}"
    if must:
        raise Unusable(f"{words}; understood are {', '.join(known)}")
    raise LookupError(words)
