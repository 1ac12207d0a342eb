"""The order in which a device says something, where it says when: what was overtaken on the way is dropped. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime

from cem_drivers.mqtt.messages import Payload, pointed

OVERTAKEN_S = 60.0
"""What is older by more than this was not overtaken: the device's clock was set, or it started anew."""


class Stamps:
    """The newest time or number that was told on each topic."""

    def __init__(self, pointers: Mapping[str, str]) -> None:
        self._pointers = pointers
        self._newest: dict[str, float] = {}

    def fresh(self, topic: str, payload: Payload) -> bool:
        """Whether a message is not older than the last of its topic; True where none says when."""
        pointer = self._pointers.get(topic)
        return pointer is None or self.newer(topic, _seconds(pointed(payload, pointer)))

    def newer(self, topic: str, stamp: float | None) -> bool:
        """The same for a stamp in seconds; None: not told. The same stamp twice is the same message."""
        if stamp is None:
            return True
        newest = self._newest.get(topic)
        if newest is not None and 0 < newest - stamp <= OVERTAKEN_S:
            return False
        self._newest[topic] = stamp
        return True


def _seconds(told: Payload) -> float | None:
    """Seconds of a number, or of a time in ISO 8601 (local time counts as it stands: only differences matter)."""
    if isinstance(told, bool):
        return None
    if isinstance(told, int | float):
        return float(told)
    if not isinstance(told, str):
        return None
    try:
        at = datetime.fromisoformat(told)
    except ValueError:
        return None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
