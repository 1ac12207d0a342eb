"""The blackboard between the device tasks and the loop: newest readings, health and outcomes."""

from collections.abc import Callable, Iterable
from types import MappingProxyType

from cem.model.reading import Reading, Snapshot
from cem.model.resource import Control
from cem.model.setpoint import DeviceState, Health, Outcome


class Board:
    """Written by the device tasks, frozen by the loop. Everything runs in one event loop: no locks."""

    def __init__(self) -> None:
        self.owner_watches: Callable[[], bool] = lambda: False
        self._readings: dict[str, dict[str, Reading]] = {}
        self._frozen: dict[str, MappingProxyType[str, Reading]] = {}
        self._devices: dict[str, DeviceState] = {}
        self._outcomes: dict[tuple[str, Control], Outcome] = {}
        self._watched: dict[str, Callable[[], None]] = {}

    def watch_only(self) -> bool:
        """Whether the owner wants nothing written to any device, now; the gateway sets who is asked."""
        return self.owner_watches()

    def post(self, readings: Iterable[Reading]) -> None:
        """Takes readings in; an older one never replaces a newer one."""
        told: set[str] = set()
        points: dict[str, Reading] = {}
        resource_id, watched = "", False
        for reading in readings:
            if reading.resource_id != resource_id:
                resource_id = reading.resource_id
                points = self._readings.setdefault(resource_id, {})
                watched = resource_id in self._watched
                self._frozen.pop(resource_id, None)
            point = reading.point
            known = points.get(point)
            if known is None or reading.taken_at_s >= known.taken_at_s:
                points[point] = reading
                if watched and (known is None or known.value != reading.value):
                    told.add(resource_id)
        for watched_id in told:
            self._watched[watched_id]()

    def watch(self, resource_ids: Iterable[str], on_change: Callable[[], None]) -> None:
        """Calls `on_change` as soon as a value of one of these resources is another than before."""
        self._watched |= dict.fromkeys(resource_ids, on_change)

    def reading(self, resource_id: str, point: str) -> Reading | None:
        """The newest reading of a point, or None if there was never one."""
        return self._readings.get(resource_id, {}).get(point)

    def set_health(self, state: DeviceState) -> None:
        """Notes a device's health; the moment of the last *change* is kept."""
        known = self._devices.get(state.device_id)
        if known is not None and known.health is state.health:
            state = DeviceState(state.device_id, state.health, known.since_s, state.detail, state.advice)
        self._devices[state.device_id] = state

    def health(self, device_id: str) -> DeviceState:
        """A device's health; STARTING before its task said anything."""
        return self._devices.get(device_id) or DeviceState(device_id, Health.STARTING, 0.0)

    def mostly_silent(self) -> bool:
        """Whether more than half of several devices are silent: the house has no voltage rather than broken devices."""
        silent = sum(state.health is Health.SILENT for state in self._devices.values())
        return silent > 1 and 2 * silent > len(self._devices)

    def set_outcome(self, outcome: Outcome) -> None:
        """Notes what became of a set point."""
        self._outcomes[outcome.resource_id, outcome.control] = outcome

    def outcomes(self) -> tuple[Outcome, ...]:
        """The last outcome of each control."""
        return tuple(self._outcomes.values())

    def devices(self) -> MappingProxyType[str, DeviceState]:
        """Every device's health by its id, frozen."""
        return MappingProxyType(dict(self._devices))

    def freeze(self, mono_s: float) -> Snapshot:
        """The process image of this tick; resources that did not change share their former mapping."""
        for resource_id, points in self._readings.items():
            if resource_id not in self._frozen:
                self._frozen[resource_id] = MappingProxyType(dict(points))
        return Snapshot(mono_s, MappingProxyType(dict(self._frozen)))
