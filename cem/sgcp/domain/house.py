"""What the house itself takes from the connection point that it shares with the domain below. Pure."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cem.model.reading import Snapshot
from cem.model.resource import Control, Resource
from cem.model.site import Site
from cem.sgcp.domain.usage import Used

_KEPT = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Able:
    """What a steered device can take and give at most, magnitudes in W; 0: nothing of that."""

    import_w: float = 0.0
    export_w: float = 0.0


def able(resource: Resource) -> Able:
    """What the ratings of a device that we steer allow. What is not rated, or not steered, counts as nothing."""
    ratings, controls = resource.ratings, resource.controls
    if Control.BATTERY_SETPOINT_W in controls:
        return Able(ratings.max_charge_w or 0.0, ratings.max_discharge_w or 0.0)
    if Control.PV_LIMIT_W in controls:
        return Able(0.0, ratings.max_generation_w or 0.0)
    if Control.EV_LIMIT_A in controls:
        return Able((ratings.max_current_a or 0.0) * ratings.phases * ratings.nominal_voltage_v)
    if controls & {Control.HEAT_PUMP_SG_READY, Control.LOAD_ON}:
        return Able(ratings.max_power_w or 0.0)
    return Able()


@dataclass(frozen=True, slots=True)
class House:
    """The house at an instant, magnitudes in W. `base_w` is what nobody steers; None: not known now."""

    base_w: float | None
    able: Able
    takes_w: float  # of what is steered
    gives_w: float


def house(site: Site, snapshot: Snapshot, base_w: float | None) -> House:
    """The house; a steered device whose power is not known counts with its rating."""
    takes_w = gives_w = import_w = export_w = 0.0
    for resource in site.resources:
        can = able(resource)
        power_w = snapshot.number(resource.id, "power_w", site.connection.device_stale_s)
        import_w, export_w = import_w + can.import_w, export_w + can.export_w
        if can != Able():
            takes_w += can.import_w if power_w is None else max(power_w, 0.0)
            gives_w += can.export_w if power_w is None else max(-power_w, 0.0)
    return House(base_w, Able(import_w, export_w), takes_w, gives_w)


class LoadTrace:
    """The load behind the meter that is no device of ours: the house's own, and that of the domain below."""

    def __init__(self) -> None:
        self._samples: deque[tuple[datetime, float]] = deque()

    def note(self, at: datetime, load_w: float | None) -> None:
        """Takes the load of a moment, None while it is not known."""
        if load_w is not None:
            self._samples.append((at, load_w))
        while self._samples and self._samples[0][0] < at - _KEPT:
            self._samples.popleft()

    def mean_w(self, start: datetime, end: datetime) -> float | None:
        """The mean over [start, end); None without a sample in it."""
        found = [load_w for at, load_w in self._samples if start <= at < end]
        return sum(found) / len(found) if found else None

    def base_w(self, now: datetime, latest: Iterable[Used | None]) -> float | None:
        """The house's own part: the load less what the members say they took at the same time; None: not known.

        Reports come late, so both are compared over the time that the reports are about. Whoever has not reported
        lately is part of the rest, so that it is reckoned with.
        """
        fresh = [used for used in latest if used is not None and used.end >= now - _KEPT / 2]
        if not fresh:
            return self._last_w()
        start, end = min(used.start for used in fresh), max(used.end for used in fresh)
        load_w = self.mean_w(start, end)
        if load_w is None:
            return self._last_w()
        return max(load_w - sum(used.mean_w for used in fresh), 0.0)

    def _last_w(self) -> float | None:
        """Without a report to compare with all of it is the house's."""
        return max(self._samples[-1][1], 0.0) if self._samples else None


def bounds_w(site: Site) -> Mapping[str, float]:
    """What the connection bears by fuse and contract, by side; magnitudes."""
    connection = site.connection
    limits = {"import": connection.import_limit_w, "export": connection.export_limit_w}
    return {side: connection.fuse_w if limit is None else min(limit, connection.fuse_w) for side, limit in limits.items()}
