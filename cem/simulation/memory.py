"""What stands for disk and service manager in a simulation that is not about them."""

import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from cem.io.samples import CHARGER_STATE, PLUGGED, plugged
from cem.model.reading import NUMBERS
from cem.model.resource import Role
from cem.model.setpoint import Decision
from cem.model.site import Site
from cem.model.status import EnergyToday
from cem.model.tick import Inputs
from cem.ports import Drop, Journal, Json, Put, StateKind

LONGEST_GAP_S = 120.0
"""A longer silence of a meter is no energy that we know of."""


class MemoryStore:
    """A StateStore that outlives its gateway but not its process. What is kept is JSON, as on the disk."""

    def __init__(self) -> None:
        self.rows: dict[StateKind, dict[str, str]] = {kind: {} for kind in StateKind}

    async def load(self, kind: StateKind) -> dict[str, Json]:
        """All rows of a kind."""
        return {key: json.loads(text) for key, text in self.rows[kind].items()}

    async def commit(self, changes: Sequence[Put | Drop]) -> None:
        """All or nothing."""
        written = [json.dumps(change.value, allow_nan=False) if isinstance(change, Put) else None for change in changes]
        for change, text in zip(changes, written, strict=True):
            if text is None:
                self.rows[change.kind].pop(change.key, None)
            else:
                self.rows[change.kind][change.key] = text

    async def close(self) -> None:
        """Nothing to finish."""


@dataclass(slots=True)
class _Series:
    """One signal's minutes."""

    minute: int = -1
    total: float = 0.0
    count: int = 0
    taken_at_s: float = -1.0
    means: list[tuple[int, float]] = field(default_factory=list)

    def add(self, minute: int, taken_at_s: float, value: float) -> None:
        if taken_at_s == self.taken_at_s:
            return
        self.taken_at_s = taken_at_s
        if minute != self.minute:
            self.finish()
            self.minute = minute
        self.total += value
        self.count += 1

    def finish(self) -> None:
        if self.count:
            self._keep(self.minute * 60, self.total / self.count)
        self.total, self.count = 0.0, 0

    def _keep(self, start_s: int, mean: float) -> None:
        """In its place: after the clock was set back a minute may be one of the past, or come a second time."""
        place = len(self.means)
        if self.means and self.means[-1][0] >= start_s:
            place = bisect_left(self.means, (start_s,))
        again = place < len(self.means) and self.means[place][0] == start_s
        self.means[place : place + again] = [(start_s, mean)]


class MinuteMemory:
    """A Journal and History that keeps the minute means of every resource's power, and whether a car is plugged in.

    It stands for history.db where a disk would take more time than everything else.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._zone = ZoneInfo(site.zone)
        self._series = {resource.id: _Series() for resource in site.resources}
        self._plugged = {charger.id: _Series() for charger in site.of(Role.EV)}
        self._meters = [meter.id for meter in site.of(Role.GRID)][:1]
        self._roofs = [roof.id for roof in site.of(Role.PV)]
        self._last_s: float | None = None
        self._day_ends = 0.0
        self._sums = [0.0, 0.0, 0.0, 0.0]

    def remember(self, resource_id: str, means: Sequence[tuple[int, float]], point: str = "power_w") -> None:
        """Minute means of a resource's power, or of whether a car was plugged in, from before anything is recorded.

        The oldest first.
        """
        self._of(point)[resource_id].means[:0] = means

    def _of(self, point: str) -> dict[str, _Series]:
        """The series of a point by resource; none where it is not kept."""
        return {"power_w": self._series, PLUGGED: self._plugged}.get(point, {})

    def record(self, inputs: Inputs, decision: Decision) -> None:
        """Takes a tick in."""
        del decision
        wall_s = inputs.now.wall.timestamp()
        minute = int(wall_s // 60)
        powers: dict[str, float] = {}
        readings = inputs.snapshot.readings
        for resource_id, series in self._series.items():
            points = readings.get(resource_id)
            reading = None if points is None else points.get("power_w")
            if reading is not None and isinstance(reading.value, NUMBERS):
                series.add(minute, reading.taken_at_s, reading.value)
                powers[resource_id] = reading.value
        for resource_id, series in self._plugged.items():
            state = inputs.snapshot.reading(resource_id, CHARGER_STATE)
            if state is not None and (there := plugged(state.value)) is not None:
                series.add(minute, state.taken_at_s, there)
        self._sum(inputs, wall_s, powers)

    def _sum(self, inputs: Inputs, wall_s: float, powers: dict[str, float]) -> None:
        last_s, self._last_s = self._last_s, wall_s
        if wall_s >= self._day_ends:
            self._sums = [0.0, 0.0, 0.0, 0.0]
            self._day_ends = _midnight_after(inputs.now.wall, self._zone)
        if last_s is None or not 0.0 < wall_s - last_s <= LONGEST_GAP_S:
            return
        hours = (wall_s - last_s) / 3600
        import_price, export_price = inputs.directive.prices_at(inputs.now.wall, self._site.tariff)
        for meter in self._meters:
            power = powers.get(meter, 0.0)
            self._sums[0] += max(0.0, power) * hours
            self._sums[1] += max(0.0, -power) * hours
            self._sums[3] += power * hours / 1000 * (import_price if power > 0 else export_price)
        self._sums[2] -= sum(powers.get(roof, 0.0) for roof in self._roofs) * hours

    async def minute_means(self, signal: str, since_s: int, until_s: int) -> list[tuple[int, float]]:
        """(minute's start in Unix seconds, mean), oldest first; the running minute is left out."""
        resource_id, _, point = signal.rpartition(".")
        series = self._of(point).get(resource_id)
        if series is None:
            return []
        means = series.means
        return means[bisect_left(means, (since_s,)) : bisect_left(means, (until_s,))]

    def energy_today(self, now: datetime) -> EnergyToday:
        """The sums since local midnight."""
        del now
        return EnergyToday(*self._sums)

    async def close(self) -> None:
        """Nothing to write."""


class Overheard:
    """A Journal that hands every tick on to another one, and keeps the decisions until somebody takes them."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._decisions: list[Decision] = []

    def record(self, inputs: Inputs, decision: Decision) -> None:
        """Takes a tick in."""
        self._decisions.append(decision)
        self._journal.record(inputs, decision)

    def taken(self) -> tuple[Decision, ...]:
        """What was decided since the last call, the oldest first."""
        decisions, self._decisions = tuple(self._decisions), []
        return decisions

    async def close(self) -> None:
        """Closes the other one."""
        await self._journal.close()


def _midnight_after(at: datetime, zone: ZoneInfo) -> float:
    local = at.astimezone(zone)
    day = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None) + timedelta(days=1)
    return day.replace(tzinfo=zone).timestamp()


class CountingWatchdog:
    """Counts the kicks."""

    def __init__(self) -> None:
        self.kicks = 0

    def kick(self) -> None:
        """A whole good tick is done."""
        self.kicks += 1

    def ready(self) -> None:
        """The gateway runs."""
