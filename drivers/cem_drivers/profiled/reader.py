"""Reads a profile's registers: the fast groups when they are due, of the slow ones one block a round."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from cem.driver import Refused
from cem_drivers.modbus import NOT_THERE, Bus, Function, Span, plan_reads
from cem_drivers.profiled.schema import Profile, ValueRow
from cem_drivers.profiled.values import Known, from_raws

FAST_S = 2.0
"""Groups read at least this often are read whole; blocks of the others take turns."""

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Block:
    """One request and the rows that it answers."""

    group: str
    function: Function
    span: Span
    rows: tuple[ValueRow, ...]
    due_s: float = float("-inf")


def blocks_of(profile: Profile) -> Iterator[Block]:
    """The fewest requests that read every row, group by group."""
    for group in profile.group:
        for function in (Function.READ_HOLDING, Function.READ_INPUT):
            rows = [row for row in profile.rows if row.group == group and row.fc == function]
            yield from _planned(profile, group, function, rows)


def _planned(profile: Profile, group: str, function: Function, rows: list[ValueRow]) -> Iterator[Block]:
    wanted = [Span(row.at, row.words) for row in rows]
    for read in plan_reads(wanted, profile.link.max_read, profile.link.max_gap):
        covered = tuple(row for row in rows if Span(row.at, row.words) in read.covers)
        yield Block(group, function, read.span, covered)


class Reader:
    """What one device has told so far."""

    def __init__(self, profile: Profile, bus: Bus, monotonic: Callable[[], float], name: str) -> None:
        self._profile = profile
        self._bus = bus
        self._monotonic = monotonic
        self._name = name
        self._blocks = list(blocks_of(profile))
        self._raws: dict[str, tuple[bytes, float]] = {}
        self.known: dict[str, Known] = {}
        self._round_at_s: float | None = None
        self._answered = False  # in this round
        self._put_off: Refused | None = None

    async def read_all(self) -> None:
        """Every block once. Raises NoAnswer, BadAnswer; Refused where the device gives nothing for now."""
        self._begin()
        waiting = list(self._blocks)
        while waiting:
            waiting += await self._read(waiting.pop(0))
        self._conclude()

    async def read_due(self) -> None:
        """The fast blocks that are due, and the slow ones that wait longest: one for each second since the last round.

        At least one; a house that polls less often than each second would starve them else. Raises as `read_all`.
        """
        self._begin()
        now_s = self._monotonic()
        turns = max(1, int(now_s - self._round_at_s + 0.05)) if self._round_at_s is not None else 1
        self._round_at_s = now_s
        due = [block for block in self._blocks if now_s >= block.due_s - 0.05]
        slow = [block for block in due if self._profile.group[block.group].period_s > FAST_S]
        slow.sort(key=lambda block: block.due_s)
        for block in [*(block for block in due if block not in slow), *slow[:turns]]:
            await self._read(block)
        self._conclude()

    def fresh(self) -> dict[str, Known]:
        """What is not older than its group allows; what is derived is as old as its oldest source."""
        now_s = self._monotonic()
        stale = {row.id: self._profile.group[row.group].stale_s for row in self._profile.rows}
        for row in self._profile.derive:
            stale[row.id] = min(stale[source] for source in row.sources)
        return {name: known for name, known in self.known.items() if now_s - known.taken_at_s <= stale[name]}

    async def _read(self, block: Block) -> list[Block]:
        """One request; what it fell apart into, where the device refused it as a whole."""
        try:
            raw = await self._bus.read(block.span.address, block.span.count, block.function)
        except Refused as error:
            if error.code in NOT_THERE:
                return self._without(block, error)
            self._put_off = error
            return []
        self._answered = True
        taken_at_s = self._monotonic()
        block.due_s = taken_at_s + self._profile.group[block.group].period_s
        for row in block.rows:
            first = 2 * (row.at - block.span.address)
            self._raws[row.id] = (raw[first : first + 2 * row.words], taken_at_s)
        return []

    def _without(self, block: Block, error: Refused) -> list[Block]:
        """A refused block is asked for row by row from now on; a refused row is not asked for again."""
        self._blocks.remove(block)
        if len(block.rows) > 1:
            parts = [Block(block.group, block.function, Span(row.at, row.words), (row,)) for row in block.rows]
            self._blocks += parts
            return parts
        for row in block.rows:
            self._raws.pop(row.id, None)
            _LOG.warning("%s: %s; %s stays unknown", self._name, error, row.id)
        return []

    def _begin(self) -> None:
        self._answered, self._put_off = False, None

    def _conclude(self) -> None:
        if self._put_off is not None and not self._answered:
            raise self._put_off
        self.known = from_raws(self._profile, self._raws)


def points_of(profile: Profile, known: Iterable[tuple[str, Known]], role: str) -> Iterator[tuple[str, Known]]:
    """The published points of a role, without the role's name."""
    published = {row.id for row in profile.point} | {row.id for row in profile.derive}
    for name, value in known:
        if name in published and name.startswith(f"{role}."):
            yield name.removeprefix(f"{role}."), value
