"""What the house itself takes from the connection point that it shares with the domain below. Pure."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from cem.model.reading import Snapshot
from cem.model.resource import Control, Resource, Role
from cem.model.site import Site
from cem.sgcp.domain.course import Kind
from cem.sgcp.domain.usage import Used

_KEPT = timedelta(minutes=30)
_INTERVALS = 3


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
    able: Able = Able()
    takes_w: float = 0.0  # of what is steered
    gives_w: float = 0.0


def house(site: Site, snapshot: Snapshot, base_w: float | None) -> House:
    """The house. `base_w` is the load that is neither battery, car nor roof; roofs make no room: clouds come."""
    takes_w = gives_w = import_w = export_w = unsteered_w = 0.0
    for resource in site.resources:
        can = able(resource)
        power_w = snapshot.number(resource.id, "power_w", site.connection.device_stale_s)
        import_w, export_w = import_w + can.import_w, export_w + can.export_w
        known_w = 0.0 if power_w is None else power_w
        if can != Able():
            takes_w, gives_w = takes_w + max(known_w, 0.0), gives_w + max(-known_w, 0.0)
            if resource.role in (Role.HEAT_PUMP, Role.LOAD):
                unsteered_w -= max(known_w, 0.0)
        elif resource.role in (Role.EV, Role.BATTERY):
            unsteered_w += max(known_w, 0.0)
    base = None if base_w is None else max(base_w + unsteered_w, 0.0)
    return House(base, Able(import_w, export_w), takes_w, gives_w)


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

    def base_w(self, members: Sequence[Mapping[datetime, Used]], believed_w: float | None) -> float | None:
        """The house's own part: the load less what the members say they took at the same time; None: not known.

        `members` have what each reported lately by its start. Reports come late and what changed within an interval
        blurs it, so the median of the last intervals that all of them reported counts. What is beyond the most that
        they may take by what they were told (`believed_w`) is the house's at once: it is not theirs to take.
        """
        if not self._samples:
            return None
        last_w = max(self._samples[-1][1], 0.0)
        if not members:
            return last_w
        starts = set(members[0]).intersection(*members[1:])
        found: list[float] = []
        for start in sorted(starts, reverse=True):
            pieces = [held[start] for held in members]
            load_w = self.mean_w(start, max(piece.end for piece in pieces))
            if load_w is not None and len({piece.end for piece in pieces}) == 1:
                found.append(max(load_w - sum(piece.mean_w for piece in pieces), 0.0))
            if len(found) == _INTERVALS:
                break
        beyond_w = 0.0 if believed_w is None else max(last_w - believed_w, 0.0)
        return max(median(found), beyond_w) if found else last_w


def bounds_w(site: Site) -> dict[Kind, float]:
    """What the connection bears by fuse and contract; magnitudes."""
    connection = site.connection
    sides = ((Kind.IMPORT_LIMIT, connection.import_limit_w), (Kind.EXPORT_LIMIT, connection.export_limit_w))
    return {kind: connection.fuse_w if w is None else min(w, connection.fuse_w) for kind, w in sides}
