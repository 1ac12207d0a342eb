"""What a house could give or take beside what it does: of its batteries, cars, switched things and roofs. Pure.

Up means less import or more export at the connection point, down the reverse. Only what this gateway steers counts,
and nothing is guessed: where a part is not known, the whole is not. A battery counts with what it can hold for the
whole interval, down to the owner's reserve; a steered car, heat pump or load with what it takes; a roof that can be
limited with what it gives.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cem.model.resource import Control, Resource, Role

_SWITCHED = {Control.EV_LIMIT_A, Control.HEAT_PUMP_SG_READY, Control.LOAD_ON}


@dataclass(frozen=True, slots=True)
class Part:
    """One resource during an interval: its mean power (W, import positive), a battery's charge as it begins."""

    resource: Resource
    power_w: float | None
    soc_pct: float | None = None
    reserve_pct: float = 0.0

    @property
    def stored_wh(self) -> float | None:
        """What a battery holds above the owner's reserve; 0 of everything else."""
        if self.resource.role is not Role.BATTERY:
            return 0.0
        capacity_wh = self.resource.ratings.capacity_wh
        if capacity_wh is None or self.soc_pct is None:
            return None
        return max(self.soc_pct - self.reserve_pct, 0.0) / 100.0 * capacity_wh

    @property
    def room_wh(self) -> float | None:
        """What a battery can still hold; 0 of everything else."""
        if self.resource.role is not Role.BATTERY:
            return 0.0
        capacity_wh = self.resource.ratings.capacity_wh
        if capacity_wh is None or self.soc_pct is None:
            return None
        return max(100.0 - self.soc_pct, 0.0) / 100.0 * capacity_wh

    def dispatchable_wh(self, hours: float) -> float | None:
        """What a battery can give within so many hours."""
        stored_wh, most_w = self.stored_wh, self.resource.ratings.max_discharge_w
        if self.resource.role is not Role.BATTERY:
            return 0.0
        return None if stored_wh is None or most_w is None else min(stored_wh, most_w * hours)

    def up_w(self, hours: float) -> float | None:
        """By how much it could take less, or give more, for so many hours."""
        if self.resource.role is Role.BATTERY and Control.BATTERY_SETPOINT_W in self.resource.controls:
            given_wh = self.dispatchable_wh(hours)
            return None if given_wh is None or self.power_w is None else max(self.power_w + given_wh / hours, 0.0)
        if not self.resource.controls & _SWITCHED:
            return 0.0
        return None if self.power_w is None else max(self.power_w, 0.0)

    def down_w(self, hours: float) -> float | None:
        """By how much it could take more, or give less, for so many hours."""
        controls, ratings = self.resource.controls, self.resource.ratings
        if Control.BATTERY_SETPOINT_W in controls:
            room_wh = self.room_wh
            if room_wh is None or ratings.max_charge_w is None:
                return None
            most_w = min(ratings.max_charge_w, room_wh / hours)
            return None if self.power_w is None else max(most_w - self.power_w, 0.0)
        if Control.PV_LIMIT_W not in controls:
            return 0.0
        return None if self.power_w is None else max(-self.power_w, 0.0)

    def generated_w(self, hours: float) -> float | None:
        """What it gives as a roof, or could give as a battery."""
        if self.resource.role is Role.PV:
            return None if self.power_w is None else max(-self.power_w, 0.0)
        given_wh = self.dispatchable_wh(hours)
        return None if given_wh is None else given_wh / hours


def total(values: Iterable[float | None]) -> float | None:
    """The sum; None where there is nothing or one of them is not known."""
    found = list(values)
    known = [value for value in found if value is not None]
    return sum(known) if found and len(known) == len(found) else None


def ratings_of(parts: Sequence[Part], name: str) -> float | None:
    """The sum of a rating over the batteries among the parts."""
    return total(getattr(p.resource.ratings, name) for p in parts if p.resource.role is Role.BATTERY)
