"""Readings and the frozen process image. No value without its age."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from types import MappingProxyType

from cem.model.values import value

Value = float | str | None
NUMBERS = (float, int)
"""For isinstance: `float | int` is made anew each time that it is come by."""


@value(frozen=True, slots=True)
class Reading:
    """One value of one point; None means that the device says it does not know (not implemented, asleep)."""

    resource_id: str
    point: str  # a key of model.resource.POINTS for the resource's role
    value: Value
    taken_at_s: float  # monotonic; when the answer arrived, where the device does not say


@value(frozen=True, slots=True)
class Snapshot:
    """All readings as they stood at `mono_s`: resource id -> point -> reading."""

    mono_s: float
    readings: Mapping[str, Mapping[str, Reading]] = field(default_factory=lambda: MappingProxyType({}))

    def reading(self, resource_id: str, point: str) -> Reading | None:
        """The newest reading of a point, however old, or None if there was never one."""
        return self.readings.get(resource_id, {}).get(point)

    def age_s(self, resource_id: str, point: str) -> float | None:
        """Seconds since the reading was taken; None if there was never one."""
        reading = self.reading(resource_id, point)
        return None if reading is None else self.mono_s - reading.taken_at_s

    def number(self, resource_id: str, point: str, max_age_s: float) -> float | None:
        """The value if it is a number and not older than `max_age_s`, else None. There is no silent default."""
        points = self.readings.get(resource_id)
        reading = None if points is None else points.get(point)
        if reading is None or self.mono_s - reading.taken_at_s > max_age_s:
            return None
        held = reading.value
        return float(held) if isinstance(held, NUMBERS) else None

    def numbers(self, resource_id: str, points: Sequence[str], max_age_s: float) -> list[float | None]:
        """As `number`, of several points of one resource."""
        known = self.readings.get(resource_id)
        if known is None:
            return [None] * len(points)
        found: list[float | None] = []
        now_s = self.mono_s
        for reading in map(known.get, points):
            if reading is None or now_s - reading.taken_at_s > max_age_s:
                found.append(None)
                continue
            held = reading.value
            found.append(float(held) if isinstance(held, NUMBERS) else None)
        return found

    def text(self, resource_id: str, point: str, max_age_s: float) -> str | None:
        """The value if it is text and not older than `max_age_s`, else None."""
        reading = self.reading(resource_id, point)
        if reading is None or not isinstance(reading.value, str):
            return None
        return reading.value if self.mono_s - reading.taken_at_s <= max_age_s else None
