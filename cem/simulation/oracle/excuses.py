"""What is not held against a promise although it lies beyond its bound: each reason with its source, and counted.

A judge that lets something pass says so here, so that a run without a broken promise also tells what it was let off.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

REST_S = 60.0
"""An excuse that has held for so long ends a breach; a shorter one only stops its clock."""


@dataclass(frozen=True, slots=True)
class Excuse:
    """A reason why something beyond a promise's bound is no breach of it.

    `invariant` is the promise, `unit` that of what is counted, `source` the clause that allows it: of the reliability
    paper's invariants (I) and faults (F), of the bars ("3 ticks and the device's own delay"), or of a law.
    """

    invariant: str
    words: str
    source: str
    unit: str = "W"


@dataclass(slots=True)
class Use:
    """How often an excuse was needed, for how long together, and for how much at most."""

    times: int = 0
    seconds: float = 0.0
    most: float = 0.0


class Excused:
    """The tally of one run, whose plant moves in steps of `step_s`."""

    def __init__(self, step_s: float = 1.0) -> None:
        self._step_s = step_s
        self._uses: dict[Excuse, Use] = {}
        self._last_s: dict[Excuse, float] = {}
        self._taken: dict[str, list[tuple[float, float]]] = {}  # when, and how much; by promise

    def take(self, excuse: Excuse, at_s: float, amount: float) -> None:
        """Counts one step at which an excuse was needed, for so much beyond the bound."""
        use = self._uses.setdefault(excuse, Use())
        last_s = self._last_s.get(excuse, float("-inf"))
        if at_s > last_s:
            use.seconds += self._step_s
        use.times += at_s - last_s > 1.5 * self._step_s
        use.most = max(use.most, amount)
        self._last_s[excuse] = at_s
        self._taken.setdefault(excuse.invariant, []).append((at_s, amount))

    def covers(self, invariant: str, from_s: float, until_s: float, amount: float) -> bool:
        """Whether nearly so much was held against nobody under a promise in that time."""
        taken = self._taken.get(invariant, [])
        first, last = bisect_left(taken, (from_s,)), bisect_right(taken, (until_s, float("inf")))
        return any(excused >= 0.9 * amount for _, excused in taken[first:last])

    def __iter__(self) -> Iterator[tuple[Excuse, Use]]:
        """By promise, and then by how long."""
        return iter(sorted(self._uses.items(), key=lambda one: (int(one[0].invariant[1:]), -one[1].seconds)))


@dataclass(slots=True)
class _Breach:
    since_s: float
    seen_s: float
    judged_s: float = 0.0
    excused_since_s: float | None = None
    excuse: Excuse | None = None  # the last one


class Breaches:
    """How long something has been beyond a bound without a break, and for how long of that nothing excused it.

    An excuse for a moment stops the clock and does not set it back.
    """

    def __init__(self) -> None:
        self._open: dict[str, _Breach] = {}

    def end(self, key: str) -> None:
        """It is within its bound."""
        self._open.pop(key, None)

    def broken(
        self,
        key: str,
        at_s: float,
        most_s: float,
        excused: Excused,
        *,
        excuse: Excuse | None = None,
        grace: Excuse,
        grace_s: float = 0.0,
        amount: float = 0.0,
    ) -> bool:
        """It is beyond its bound: whether it has been for longer than `most_s`, and `grace_s` on top of it. What lasts
        longer than `most_s` and is no breach is counted, as excused by the last excuse, or by the `grace`."""
        now = self._open.setdefault(key, _Breach(at_s, at_s))
        if excuse is None:
            if now.excused_since_s is None:
                now.judged_s += at_s - now.seen_s
            now.excused_since_s = None
        else:
            if now.excused_since_s is None:
                now.excused_since_s = at_s
            elif at_s - now.excused_since_s >= REST_S:
                now.judged_s = 0.0
            now.excuse = excuse
        now.seen_s = at_s
        if now.judged_s > most_s + grace_s:
            return excuse is None
        if at_s - now.since_s > most_s:
            late = now.judged_s > most_s or now.excuse is None
            excused.take(grace if late else now.excuse or grace, at_s, amount)
        return False
