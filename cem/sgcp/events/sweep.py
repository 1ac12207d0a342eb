"""Overlapping stretches of time cut into pieces, with one winner per piece."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")

FAR_FUTURE = datetime.max.replace(tzinfo=UTC)
"""Stands for "no end" where instants are compared."""


@dataclass(frozen=True, slots=True)
class Stretch(Generic[T]):
    """A value that claims [start, end); `order` decides between claims, the smallest wins. `end` None: no end."""

    start: datetime
    end: datetime | None
    order: tuple[float | str, ...]
    value: T

    def covers(self, at: datetime) -> bool:
        """Whether the instant lies in the stretch."""
        return self.start <= at and (self.end is None or at < self.end)


def winners(stretches: Sequence[Stretch[T]]) -> Iterator[tuple[datetime, datetime | None, Stretch[T]]]:
    """Pieces (start, end, winner) in order of time, not overlapping; where nobody claims there is no piece.

    Neighbouring pieces of one winner are joined. Costs n log n, whatever the overlap.
    """
    waiting = sorted((s for s in stretches if s.end is None or s.start < s.end), key=lambda s: s.start)
    edges = sorted({s.start for s in waiting} | {s.end or FAR_FUTURE for s in waiting})
    tie = count()
    open_claims: list[tuple[tuple[float | str, ...], int, Stretch[T]]] = []
    begun = 0
    piece: tuple[datetime, Stretch[T]] | None = None
    for edge in edges:
        while begun < len(waiting) and waiting[begun].start <= edge:
            heapq.heappush(open_claims, (waiting[begun].order, next(tie), waiting[begun]))
            begun += 1
        while open_claims and (open_claims[0][2].end or FAR_FUTURE) <= edge:
            heapq.heappop(open_claims)
        best = open_claims[0][2] if open_claims else None
        if piece is not None and piece[1] is not best:
            yield piece[0], None if edge == FAR_FUTURE else edge, piece[1]
            piece = None
        if best is not None and piece is None:
            piece = (edge, best)
