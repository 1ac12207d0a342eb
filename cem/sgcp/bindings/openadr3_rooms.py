"""How much of a provider's events is taken in: bounded over all of them, so that none slows the control."""

from collections.abc import Iterable, Mapping

from cem.model.event import GridEvent, SignalKind
from cem.wire.openadr3 import Event

MOST_READ = 12_000
"""Intervals of one listing that are kept in memory: somewhat more than can be taken in of it."""


class Intake:
    """Keeps the events of one listing as they come; of those beyond `most` intervals only what they are about.

    `cut` are the ids of the latter.
    """

    def __init__(self, most: int = MOST_READ) -> None:
        self._left = most
        self._seen: dict[str, int] = {}
        self.cut: set[str] = set()

    def kept(self, event: Event) -> Event:
        """The event, or what is kept of it: one interval with its types of payload, so that an obligation shows."""
        size = len(event.intervals)
        own = self._seen.get(event.id, 0)  # the same event again, on another page or by another target
        if size <= self._left + own:
            self._left += own - size
            self._seen[event.id] = size
            self.cut.discard(event.id)
            return event
        self.cut.add(event.id)
        payloads = {payload.type: payload for interval in event.intervals for payload in interval.payloads}
        short = event.intervals[0].model_copy(update={"payloads": tuple(payloads.values())})
        return event.model_copy(update={"intervals": (short,)})


class Rooms:
    """Two rooms of `most` intervals each: obligatory limits, and all the rest, which never crowds out an obligation.

    What is held of a listed event keeps its place, since an event that is not taken in leaves its earlier version.
    """

    def __init__(self, most: int, listed: Iterable[Event], known: Mapping[str, GridEvent]) -> None:
        self._most = most
        self._left = {True: most, False: most}
        self._held = {event.id: held for event in listed if (held := known.get(event.id)) is not None}
        for event in self._held.values():
            self._left[_limits(event)] -= len(event.intervals)

    @property
    def words(self) -> str:
        """Why an event has no room."""
        return f"the provider's events have more than {self._most} intervals together; ask it to remove what is over"

    def may_fit(self, event: Event, limits: bool) -> bool:
        """Whether it is worth reading the event at all."""
        return len(event.intervals) <= self._free(event.id, limits)

    def takes(self, event: Event, bound: GridEvent, limits: bool) -> bool:
        """Whether the event has room; it then has its place."""
        if len(bound.intervals) > self._free(event.id, limits):
            return False
        before = self._held.pop(event.id, None)
        if before is not None:
            self._left[_limits(before)] += len(before.intervals)
        self._left[limits] -= len(bound.intervals)
        return True

    def _free(self, event_id: str, limits: bool) -> int:
        held = self._held.get(event_id)
        own = len(held.intervals) if held is not None and _limits(held) is limits else 0
        return self._left[limits] + own


def _limits(event: GridEvent) -> bool:
    return event.mandatory and any(
        kind in (SignalKind.IMPORT_LIMIT_W, SignalKind.EXPORT_LIMIT_W)
        for interval in event.intervals
        for kind in interval.signals
    )
