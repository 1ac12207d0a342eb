"""What the plan expects, as powers and charge levels over the intervals of a report. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from cem.model.plan import Slot
from cem.sgcp.reports.compliance import Minutes

_NEAR = timedelta(minutes=15)
"""How long before the plan's first slot the present still stands for its beginning."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """The slots of the plan in force, the ids of all roofs, and each battery's state of charge now.

    Of a resource that the plan says nothing of nothing is expected.
    """

    roofs: tuple[str, ...] = ()
    slots: Sequence[Slot] = ()
    soc_pct: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    at: datetime | None = None  # when it is looked at: what is before was measured

    def minutes(self, name: str | None, start: datetime, end: datetime) -> Minutes:
        """The expected power of each minute of [start, end) (W, import positive); None is the connection point."""
        found: list[tuple[int, float]] = []
        for slot in self.slots:
            power_w = self._power_w(slot, name)
            at, until = max(start, slot.start), min(end, slot.end)
            if power_w is None or at >= until:
                continue
            first, last = int(at.timestamp()) // 60 * 60, until.timestamp()
            found += [(minute, power_w) for minute in range(first, int(last + 59), 60) if minute < last]
        return sorted(dict(found).items())

    def soc_at(self, name: str, at: datetime) -> float | None:
        """A battery's expected state of charge at an instant: as the last slot before it leaves it, now as it is."""
        if not self.slots or not self.slots[0].start - _NEAR <= at <= self.slots[-1].end:
            return None
        over = [slot for slot in self.slots if slot.end <= at]
        return over[-1].soc_pct.get(name) if over else self.soc_pct.get(name)

    def _power_w(self, slot: Slot, name: str | None) -> float | None:
        if name is None:
            return slot.grid_w
        if self.roofs == (name,) and name not in slot.power_w:
            return slot.pv_w
        return slot.power_w.get(name)
