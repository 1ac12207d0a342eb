"""What the owner had set before we wrote over it, kept so that a release can give it back."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from cem.driver import Ratings
from cem_drivers.mqtt.messages import Messages, Payload
from cem_drivers.mqtt.rows import ControlRow, Limits, Restore


@dataclass(slots=True)
class _Kept:
    known: bool  # whether `value` is the owner's; False where a value of ours was in force before we looked
    value: Payload
    ours: list[Payload] = field(default_factory=list)  # what stands there by our doing


class OwnersValues:
    """The owner's values of one control's `restore` topics, from our first write until the release is confirmed.

    It outlives a lost link, for it belongs to the device object; it does not outlive the process.
    """

    def __init__(self, row: ControlRow) -> None:
        self._row = row
        self._kept: dict[str, _Kept] = {}

    def look(self, messages: Messages) -> None:
        """Before a write or a release: keeps what is there, unless it is there by our doing.

        What somebody else sets while a value of ours is in force is the owner's newest wish.
        """
        in_force = messages.case(self._row.read_back) is not None
        for restore in self._row.restore:
            if not messages.holds(restore.topic):
                continue
            present, kept = messages.payload(restore.topic), self._kept.get(restore.topic)
            if kept is None:
                self._kept[restore.topic] = _Kept(not in_force, present, [present] if in_force else [])
            elif present not in kept.ours:
                kept.known, kept.value = True, present

    def sending(self, topic: str, value: Payload) -> None:
        """A value of ours goes out."""
        kept = self._kept.get(topic)
        if kept is not None and value not in kept.ours:
            kept.ours.append(value)

    def lost(self, restore: Restore, messages: Messages) -> bool:
        """Whether a value of ours stands there still and the owner's is not known."""
        kept = self._kept.get(restore.topic)
        return kept is not None and not kept.known and messages.payload(restore.topic) in kept.ours

    def due(self, restore: Restore, messages: Messages, ratings: Sequence[Ratings]) -> Payload:
        """What is to be written back; None for nothing: it is there, somebody else's stands there, or it is not known.

        Where the owner's value is not known: the largest that profile, device and every rating allow.
        """
        kept, present = self._kept.get(restore.topic), messages.payload(restore.topic)
        if kept is None or present not in kept.ours:
            return None
        wanted = kept.value if kept.known else largest(restore, self._row.limits, messages, ratings)
        return None if wanted == present else wanted

    def still_ours(self, messages: Messages) -> float | None:
        """The first number of ours that stands where a known owner's value belongs; None when there is none."""
        for topic, kept in self._kept.items():
            present = messages.payload(topic)
            number = isinstance(present, int | float) and not isinstance(present, bool)
            if kept.known and number and present != kept.value and present in kept.ours:
                return float(present)  # type: ignore[arg-type]  # a number, as just seen
        return None

    def forget(self) -> None:
        """After a confirmed release: what stands there now is the owner's."""
        self._kept.clear()


def largest(restore: Restore, limits: Limits, messages: Messages, ratings: Sequence[Ratings]) -> int | float | None:
    """The largest value in whole steps that profile, device and site allow; None where device or site do not say."""
    told = messages.payload(restore.largest) if restore.largest is not None else None
    if isinstance(told, bool) or not isinstance(told, int | float) or not ratings:
        return None
    rated = [rating.max_current_a for rating in ratings]
    most = min(limits.max, told, *(math.nan if one is None else one for one in rated))
    if None in rated or not math.isfinite(most) or most < limits.min:
        return None
    whole = limits.step * math.floor(most / limits.step + 1e-9)
    return int(whole) if whole == int(whole) else whole
