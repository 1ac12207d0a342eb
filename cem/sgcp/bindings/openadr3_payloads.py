"""What the payloads of an OpenADR 3.1 event ask, in our signals and units (Definition, tables 1 and 9)."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cem.model.event import SignalKind
from cem.sgcp.bindings.openadr3_schedule import Unusable
from cem.wire.openadr3 import Event, EventPayload, EventPayloadDescriptor, PayloadDescriptor, Program, ValuesMap

SIGNALS: dict[str, SignalKind] = {
    EventPayload.IMPORT_CAPACITY_LIMIT: SignalKind.IMPORT_LIMIT_W,
    EventPayload.EXPORT_CAPACITY_LIMIT: SignalKind.EXPORT_LIMIT_W,
    EventPayload.IMPORT_CAPACITY_SUBSCRIPTION: SignalKind.DEFAULT_IMPORT_LIMIT_W,
    EventPayload.EXPORT_CAPACITY_SUBSCRIPTION: SignalKind.DEFAULT_EXPORT_LIMIT_W,
    "CAPACITY_SUBSCRIPTION": SignalKind.DEFAULT_IMPORT_LIMIT_W,  # as the User Guide's example 8.10.2-1 writes it
    EventPayload.PRICE: SignalKind.IMPORT_PRICE_PER_KWH,
    EventPayload.EXPORT_PRICE: SignalKind.EXPORT_PRICE_PER_KWH,
    EventPayload.DISPATCH_SETPOINT: SignalKind.DISPATCH_W,
}
LIMITS = frozenset({SignalKind.IMPORT_LIMIT_W, SignalKind.EXPORT_LIMIT_W})
DEFAULTS = frozenset({SignalKind.DEFAULT_IMPORT_LIMIT_W, SignalKind.DEFAULT_EXPORT_LIMIT_W})
PRICES = frozenset({SignalKind.IMPORT_PRICE_PER_KWH, SignalKind.EXPORT_PRICE_PER_KWH})

POWER_UNITS = {"KW": 1000.0, "W": 1.0, "MW": 1_000_000.0}
"""Interpretation: a power without units is in kW, as the User Guide's chapter 8.10 says of capacities."""
ENERGY_UNITS = {"KWH": 1.0, "MWH": 0.001, "WH": 1000.0}


@dataclass(frozen=True, slots=True)
class Units:
    """The descriptors that apply to an event: its own before its program's."""

    by_type: dict[str, EventPayloadDescriptor]

    def units(self, payload_type: str, default: str) -> str:
        """The units of a payload type in upper case."""
        found = self.by_type.get(payload_type)
        return (found.units if found is not None and found.units is not None else default).upper()

    def digest(self, payload_types: Iterable[str]) -> str:
        """Stands for what the descriptors say of these payload types: another one means to read the values anew."""
        said = [
            (d.payload_type, d.units, d.currency)
            for payload_type in sorted(payload_types)
            if (d := self.by_type.get(payload_type)) is not None
        ]
        return hashlib.sha256(repr(said).encode()).hexdigest()[:8] if said else ""

    def currency(self) -> str | None:
        """The currency of the event's prices, where one is named."""
        named = (self.by_type[t].currency for t in (EventPayload.PRICE, EventPayload.EXPORT_PRICE) if t in self.by_type)
        return next((currency for currency in named if currency), None)


def units_of(event: Event, program: Program | None) -> Units:
    """The descriptors that apply to an event."""
    described: Sequence[PayloadDescriptor] = (*(program.payload_descriptors if program else ()),)
    found = {d.payload_type: d for d in described if isinstance(d, EventPayloadDescriptor)}
    found.update({d.payload_type: d for d in event.payload_descriptors})
    return Units(found)


def numbers(payload: ValuesMap, kind: SignalKind, units: Units, max_power_w: float, max_price: float) -> list[float]:
    """The payload's values in our units, one per sub-interval. Raises Unusable for what must not be acted on.

    A unit that we do not know is Unusable for a limit, and LookupError for everything else.
    """
    given = payload.numbers()
    if not given or len(given) != len(payload.values):
        raise Unusable(f"{payload.type} without numbers")
    if kind in PRICES:
        factor = _factor(payload, units, "KWH", ENERGY_UNITS, must=False)
        values = [value * factor for value in given]
        bound, unit = max_price, "per kWh"
    else:
        factor = _factor(payload, units, "KW", POWER_UNITS, must=kind in LIMITS)
        values = [value * factor for value in given]
        bound, unit = max_power_w, "W"
    for value in values:
        if abs(value) > bound:
            raise Unusable(f"{payload.type} of {value:g} {unit}; at most {bound:g} is believed")
        if value < 0 and kind in LIMITS | DEFAULTS:
            raise Unusable(f"{payload.type} of {value:g} W; a limit is zero or more")
    return values


def _factor(payload: ValuesMap, units: Units, default: str, known: dict[str, float], must: bool) -> float:
    unit = units.units(payload.type, default)
    if unit in known:
        return known[unit]
    words = f"{payload.type} in {unit}"
    if must:
        raise Unusable(f"{words}; understood are {', '.join(known)}")
    raise LookupError(words)
