"""The descriptors that say in which units and currency an event's values are (Definition, table 9)."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cem.wire.openadr3 import Event, EventPayload, EventPayloadDescriptor, PayloadDescriptor, Program

POWER_UNITS = {"KW": 1000.0, "W": 1.0, "MW": 1_000_000.0}
"""Interpretation: a power without units is in kW, as the User Guide's chapter 8.10 says of capacities."""


_PRICED = (EventPayload.PRICE, EventPayload.EXPORT_PRICE, EventPayload.CURVE)


@dataclass(frozen=True, slots=True)
class Units:
    """The descriptors that apply to an event: its own before its program's."""

    by_type: dict[str, EventPayloadDescriptor]

    def units(self, payload_type: str, default: str) -> str:
        """The units of a payload type in upper case."""
        found = self.by_type.get(payload_type)
        return (found.units if found is not None and found.units is not None else default).upper()

    def money(self, payload_type: str) -> bool:
        """Whether a currency is named for a payload type."""
        found = self.by_type.get(payload_type)
        return found is not None and bool(found.currency)

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
        named = (self.by_type[t].currency for t in _PRICED if t in self.by_type)
        return next((currency for currency in named if currency), None)


def units_of(event: Event, program: Program | None) -> Units:
    """The descriptors that apply to an event."""
    described: Sequence[PayloadDescriptor] = (*(program.payload_descriptors if program else ()),)
    found = {d.payload_type: d for d in described if isinstance(d, EventPayloadDescriptor)}
    found.update({d.payload_type: d for d in event.payload_descriptors})
    return Units(found)
