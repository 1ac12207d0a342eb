"""Energy over report intervals out of samples of power: measured or marked as missing, never interpolated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cem.model.time import Instant

SITE = "site"
KEEP = timedelta(days=8)
"""How far back intervals are accounted for, and kept for delivery: a week without a link, and a day to deliver it."""
FULL_ENOUGH = 0.95
"""The measured share of an interval from which its energy counts as measured."""
LONGEST_HOLD_S = 60.0
"""A sample stands for the time until the next one, at most this long."""
JITTER_S = 1.0
"""So far clocks may be apart, and samples that are taken each minute from a minute."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The energy of one resource over [start, start + length_s); None in both when too little was measured."""

    resource: str  # SITE is the meter at the connection point
    start: datetime
    length_s: float
    import_wh: float | None
    export_wh: float | None

    @property
    def missing(self) -> bool:
        """Whether the interval is a gap."""
        return self.import_wh is None or self.export_wh is None

    @property
    def mean_w(self) -> float | None:
        """The mean power, import positive."""
        if self.import_wh is None or self.export_wh is None:
            return None
        return (self.import_wh - self.export_wh) * 3600 / self.length_s


@dataclass(slots=True)
class _Sum:
    import_wh: float = 0.0
    export_wh: float = 0.0
    measured_s: float = 0.0

    def add(self, power_w: float, seconds: float) -> None:
        energy_wh = power_w * seconds / 3600
        self.import_wh += max(energy_wh, 0.0)
        self.export_wh += max(-energy_wh, 0.0)
        self.measured_s += seconds


class UsageMeter:
    """Sums samples into intervals aligned to `interval_s` since 1970, for the site and each resource."""

    def __init__(self, interval_s: float, resources: Sequence[str]) -> None:
        self._length = timedelta(seconds=interval_s)
        self._resources = (SITE, *resources)
        self._start: datetime | None = None
        self._sums: dict[str, _Sum] = {}
        self._last: tuple[Instant, Mapping[str, float | None]] | None = None

    @property
    def cursor(self) -> datetime | None:
        """Where the interval under way began; everything before is accounted for."""
        return self._start

    def resume(self, cursor: datetime) -> None:
        """Accounts from where an earlier run had come to, as missing until the first sample."""
        self._begin(self.floor(cursor))

    def floor(self, at: datetime) -> datetime:
        """The start of the interval that an instant lies in."""
        epoch = datetime.fromtimestamp(0, UTC)
        return epoch + (at - epoch) // self._length * self._length

    def sample(self, now: Instant, powers_w: Mapping[str, float | None]) -> list[Usage]:
        """Takes the powers of this moment (W, import positive, None: not known); gives the intervals that closed.

        While the wall clock cannot be trusted nothing is summed. A step of the clock is a gap.
        """
        if not now.trusted:
            self._last = None
            return []
        closed: list[Usage] = []
        if self._start is None:
            self._begin(self.floor(now.wall))
        last = self._last
        self._last = (now, powers_w)
        if last is not None and self._is_joined(last[0], now):
            closed += self._add(last[0].wall, now.wall, last[1], powers_w)
        closed += self._close_until(now.wall)
        return closed

    def _is_joined(self, last: Instant, now: Instant) -> bool:
        elapsed_s = now.mono_s - last.mono_s
        drift_s = (now.wall - last.wall).total_seconds() - elapsed_s
        return abs(drift_s) <= JITTER_S and 0 <= elapsed_s <= LONGEST_HOLD_S + JITTER_S and now.wall >= last.wall

    def _add(
        self, since: datetime, until: datetime, before: Mapping[str, float | None], after: Mapping[str, float | None]
    ) -> list[Usage]:
        closed: list[Usage] = []
        while since < until:
            assert self._start is not None
            edge = min(until, self._start + self._length)
            seconds = (edge - max(since, self._start)).total_seconds()
            for resource in self._resources:
                power_w = before.get(resource)
                if seconds > 0 and power_w is not None and after.get(resource) is not None:
                    self._sums[resource].add(power_w, seconds)
            since = max(since, edge)
            if edge == self._start + self._length:
                closed += self._close()
            elif edge <= since:
                break
        return closed

    def _close_until(self, wall: datetime) -> list[Usage]:
        assert self._start is not None
        closed: list[Usage] = []
        if wall - self._start > KEEP:
            self._begin(self.floor(wall - KEEP))
        while self._start + self._length <= wall:
            closed += self._close()
        return closed

    def _close(self) -> list[Usage]:
        assert self._start is not None
        length_s = self._length.total_seconds()
        closed = []
        for resource, found in self._sums.items():
            full = found.measured_s >= FULL_ENOUGH * length_s
            energies = (found.import_wh, found.export_wh) if full else (None, None)
            closed.append(Usage(resource, self._start, length_s, *energies))
        self._begin(self._start + self._length)
        return closed

    def _begin(self, start: datetime) -> None:
        self._start = start
        self._sums = {resource: _Sum() for resource in self._resources}


def recorded(
    resource: str, minutes: Sequence[tuple[int, float]], interval_s: float, since: datetime, until: datetime
) -> list[Usage]:
    """The whole intervals of [since, until) out of recorded minutes (start in Unix seconds, mean W), oldest first.

    Intervals that are no whole minutes long can't be made of them. A minute's mean is taken, not given, or the other
    way round: what flowed both ways within it is netted.
    """
    if interval_s % 60:
        return []
    slots: dict[int, list[float]] = {}
    for at, mean_w in minutes:
        if since.timestamp() <= at < until.timestamp():
            slots.setdefault(int(at // interval_s), []).append(mean_w)
    found = []
    for slot, means in sorted(slots.items()):
        start = datetime.fromtimestamp(slot * interval_s, UTC)
        if len(means) * 60 >= FULL_ENOUGH * interval_s and start + timedelta(seconds=interval_s) <= until:
            import_wh, export_wh = (sum(max(sign * mean, 0.0) for mean in means) / 60 for sign in (1, -1))
            found.append(Usage(resource, start, interval_s, import_wh, export_wh))
    return found
