"""What the signals of OpenADR 2.0b ask, in our signals and units.

| signal | type | means |
| --- | --- | --- |
| SIMPLE | level | import limit of the level, as the site file says |
| ELECTRICITY_PRICE, ENERGY_PRICE | price | price of imported energy per kWh; the first where both are there |
| LOAD_DISPATCH | setpoint | power to take (positive) or give |
| LOAD_CONTROL | x-loadControlSetpoint | import limit |
| LOAD_CONTROL | x-loadControlCapacity | import limit as a part, 0 to 1, of what the connection carries |
| x-EXPORT_CAPACITY_LIMIT | setpoint | export limit (ours: the profile has no signal for it) |

All others are answered as not supported: what is relative to a baseline that nobody agreed on (delta, multiplier,
offsets, relative prices), bids, demand charges and CHARGE_STATE.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cem.model.event import SignalKind
from cem.sgcp.bindings.openadr3_schedule import Unusable
from cem.wire.openadr2b.names import SignalName, SignalType
from cem.wire.openadr2b.parts import EventSignal, Unit

EXPORT_LIMIT = "x-EXPORT_CAPACITY_LIMIT"
SCALES = {
    "p": 1e-12,
    "n": 1e-9,
    "micro": 1e-6,
    "m": 1e-3,
    "c": 1e-2,
    "d": 1e-1,
    "none": 1.0,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
}
"""siScaleCode."""

_POWER = "power:powerReal"
_PRICE = ("oadr:currencyPerKWh", "oadr:currency")
_MOST_LEVEL = 3

_KINDS: Mapping[tuple[str, str], SignalKind] = {
    (SignalName.SIMPLE, SignalType.LEVEL): SignalKind.IMPORT_LIMIT_W,
    (SignalName.SIMPLE_OLD, SignalType.LEVEL): SignalKind.IMPORT_LIMIT_W,
    (SignalName.ELECTRICITY_PRICE, SignalType.PRICE): SignalKind.IMPORT_PRICE_PER_KWH,
    (SignalName.ENERGY_PRICE, SignalType.PRICE): SignalKind.IMPORT_PRICE_PER_KWH,
    (SignalName.LOAD_DISPATCH, SignalType.SETPOINT): SignalKind.DISPATCH_W,
    (SignalName.LOAD_CONTROL, SignalType.CONTROL_SETPOINT): SignalKind.IMPORT_LIMIT_W,
    (SignalName.LOAD_CONTROL, SignalType.CONTROL_CAPACITY): SignalKind.IMPORT_LIMIT_W,
    (EXPORT_LIMIT, SignalType.SETPOINT): SignalKind.EXPORT_LIMIT_W,
}


@dataclass(frozen=True, slots=True)
class House:
    """What a signal needs to know of the house, W: what its connection carries, and what levels 1 to 3 of SIMPLE leave.

    Interpretation: the profile leaves the meaning of a level to the VEN; it is that of 3.1's load-shed levels.
    """

    capacity_w: float
    simple_limits_w: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Reading:
    """A signal that is understood: its kind, and for each of its intervals the value in our units (None: no say)."""

    kind: SignalKind
    signal: EventSignal
    values: tuple[float | None, ...]
    currency: str | None = None


def is_simple(signal: EventSignal) -> bool:
    """Whether it is the signal of levels that a 2.0a VEN knows too."""
    return signal.name in (SignalName.SIMPLE, SignalName.SIMPLE_OLD)


def reading(signal: EventSignal, house: House) -> Reading | None:
    """What a signal asks, or None where it is not supported; raises Unusable for values that it may not have."""
    kind = _KINDS.get((signal.name, signal.type))
    if kind is None:
        return None
    numbers = [interval.value for interval in signal.intervals]
    if is_simple(signal):
        return Reading(kind, signal, tuple(_level(number, house) for number in numbers))
    if kind is SignalKind.IMPORT_PRICE_PER_KWH:
        factor = _factor(signal.unit, _PRICE)
        currency = signal.unit.units if signal.unit is not None else None
        return None if factor is None else Reading(kind, signal, tuple(n * factor for n in numbers), currency)
    if signal.type == SignalType.CONTROL_CAPACITY:
        if any(not 0 <= number <= 1 for number in numbers):
            raise Unusable(f"{signal.name}: a capacity is a part from 0 to 1")
        return Reading(kind, signal, tuple(number * house.capacity_w for number in numbers))
    factor = _factor(signal.unit, (_POWER,))
    if factor is None:
        return None
    if kind is not SignalKind.DISPATCH_W and any(number < 0 for number in numbers):
        raise Unusable(f"{signal.name}: a limit is not negative")
    return Reading(kind, signal, tuple(number * factor for number in numbers))


def _level(number: float, house: House) -> float | None:
    if number not in (0.0, 1.0, 2.0, 3.0):
        raise Unusable(f"SIMPLE has the level {number:g}; 0 to {_MOST_LEVEL} are allowed")
    return None if number == 0 else house.simple_limits_w[int(number) - 1]


def _factor(unit: Unit | None, names: tuple[str, ...]) -> float | None:
    """The unit's scale. Interpretation: a number without a unit is in the base unit: W, or the currency per kWh."""
    if unit is None:
        return 1.0
    if unit.name not in names or (unit.name == "oadr:currency" and unit.description == "currencyPerKW"):
        return None
    return SCALES.get(unit.scale)
