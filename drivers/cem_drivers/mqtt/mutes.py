"""A topic that says too much nonsense is not listened to for a while; the others are. Pure but for the times given."""

from collections import deque

STRIKES = 10
WINDOW_S = 60.0
MUTED_S = 60.0


class Mutes:
    """Unreadable messages by topic: more than ten in a minute mute it for a minute. The caller bounds the topics."""

    def __init__(self) -> None:
        self._strikes: dict[str, deque[float]] = {}
        self._until_s: dict[str, float] = {}
        self.dropped = 0

    def muted(self, topic: str, now_s: float) -> bool:
        """Whether a topic is not listened to now; counts what is dropped by that."""
        until_s = self._until_s.get(topic)
        if until_s is None:
            return False
        if now_s >= until_s:
            del self._until_s[topic]
            return False
        self.dropped += 1
        return True

    def present(self, now_s: float) -> list[str]:
        """The topics that are not listened to now."""
        return sorted(topic for topic, until_s in self._until_s.items() if now_s < until_s)

    def strike(self, topic: str, now_s: float) -> str | None:
        """An unreadable message came; says what to tell of it: nothing, that it is the first, or that it mutes."""
        self.dropped += 1
        strikes = self._strikes.setdefault(topic, deque(maxlen=STRIKES + 1))
        first = not strikes
        strikes.append(now_s)
        if len(strikes) > STRIKES and now_s - strikes[0] <= WINDOW_S:
            self._until_s[topic] = now_s + MUTED_S
            strikes.clear()
            return f"more than {STRIKES} unreadable messages in {WINDOW_S:.0f} s: not listened to for {MUTED_S:.0f} s"
        return "such messages are left out" if first else None
