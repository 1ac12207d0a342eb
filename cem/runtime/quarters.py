"""Quarter hours of the record, kept so that a new plan reads only what is new of four weeks of minutes."""

from collections import deque
from collections.abc import Sequence
from typing import Final

from cem.ports import History

QUARTER_S: Final = 900
LATE_S: Final = 180
"""The record of a minute may come so much later; a quarter hour is closed after that."""

Means = list[tuple[int, float]]


class Quarters:
    """Means of quarter hours by signal, out of a record of minutes, as far back as `reach_s`."""

    def __init__(self, history: History, reach_s: int) -> None:
        self._history = history
        self._reach_s = reach_s
        self._closed: dict[str, deque[tuple[int, float]]] = {}
        self._until_s: dict[str, int] = {}  # up to here quarters are closed

    async def means(self, signal: str, now_s: int) -> Means:
        """(start in Unix seconds, mean), oldest first, the running quarter so far as the last; gaps left out."""
        first_s = now_s - self._reach_s
        closed = self._closed.setdefault(signal, deque())
        since_s = self._until_s.get(signal, first_s)
        if since_s > now_s:  # the clock was turned back
            closed.clear()
            since_s = first_s
        fresh = _quarters(await self._history.minute_means(signal, since_s, now_s))
        until_s = (now_s - LATE_S) // QUARTER_S * QUARTER_S
        while closed and closed[0][0] < first_s:
            closed.popleft()
        found = [*closed, *fresh]
        closed.extend(one for one in fresh if one[0] + QUARTER_S <= until_s)
        self._until_s[signal] = max(since_s, until_s)
        return found


def _quarters(minutes: Sequence[tuple[int, float]]) -> Means:
    found: Means = []
    at_s, total, count = 0, 0.0, 0
    for minute_s, value in minutes:
        start_s = minute_s - minute_s % QUARTER_S
        if count and start_s != at_s:
            found.append((at_s, total / count))
            total, count = 0.0, 0
        at_s = start_s
        total += value
        count += 1
    if count:
        found.append((at_s, total / count))
    return found
