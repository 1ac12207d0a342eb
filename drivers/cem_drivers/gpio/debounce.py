"""A contact that bounces, from edges and polled levels to changes. Pure: time is an argument."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """The contact has closed or opened, and stayed so; `at_s` is when it began to stand there."""

    at_s: float
    closed: bool


class Debouncer:
    """Takes edges in the order of their times, and levels as they are polled; gives each lasting change once.

    A level counts when it stood for `settle_s`. Two edges to the same level: the one between them was lost, so the
    contact was open (or closed) for an instant; it counts as if it had just come.
    """

    def __init__(self, settle_s: float, closed: bool, now_s: float) -> None:
        self.closed = closed
        self.missed = 0  # edges that did not come
        self._settle_s = settle_s
        self._raw = closed
        self._raw_s = now_s
        self._restless_s: float | None = None

    def edge(self, at_s: float, closed: bool) -> list[Change]:
        """One edge; what had settled before it."""
        changes = self._settled(at_s)
        if closed is self._raw:
            self.missed += 1
        if self._restless_s is None:
            self._restless_s = at_s
        self._raw, self._raw_s = closed, at_s
        return changes

    def level(self, now_s: float, closed: bool) -> list[Change]:
        """The level as polled now: an edge that was lost is found out by it."""
        changes = self._settled(now_s)
        if closed is not self._raw:
            self.missed += 1
            changes += self.edge(now_s, closed)
        return changes

    def settles_in_s(self, now_s: float) -> float:
        """How long until the present level counts, if it stays; 0 when all is settled."""
        return 0.0 if self._restless_s is None else max(0.0, self._raw_s + self._settle_s - now_s)

    def restless_s(self, now_s: float) -> float:
        """For how long the contact has found no rest."""
        return 0.0 if self._restless_s is None else now_s - self._restless_s

    def _settled(self, now_s: float) -> list[Change]:
        if self._restless_s is None or now_s - self._raw_s < self._settle_s:
            return []
        self._restless_s = None
        if self._raw is self.closed:
            return []
        self.closed = self._raw
        return [Change(self._raw_s, self._raw)]
