"""The decision log: what was decided and why, each time that it changes, committed at once."""

import asyncio
import logging
import re
from sqlite3 import Error as DiskError

from cem.model.errors import CemError
from cem.model.setpoint import Decision, Narrowing
from cem.model.site import Site
from cem.ports import Json, Put, StateKind, StateStore
from cem.runtime.loop import Ticked

log = logging.getLogger(__name__)

SHORTEST_S = 1.0  # between two rows where somebody else decides now
WORDS_ONLY_S = 60.0  # between two rows that differ in the reason's words alone
NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
WAITING = 100  # rows; the disk may stall, memory may not grow


class DecisionLog:
    """Compares each decision with the former one; `run` writes what changed."""

    def __init__(self, store: StateStore, site: Site) -> None:
        self._store = store
        self._site = site
        self._last: tuple[object, ...] = ()
        self._last_reasons: tuple[str, ...] = ()
        self._last_words: tuple[str, ...] = ()
        self._last_at_s = float("-inf")
        self._queue: asyncio.Queue[Put] = asyncio.Queue(WAITING)

    def note(self, ticked: Ticked) -> None:
        """Queues a row if mode, author or bound of anything changed; never waits."""
        inputs, decision = ticked.inputs, ticked.decision
        essence = (
            decision.mode,
            *[(s.resource_id, s.control, s.rank, s.source, s.value is None) for s in decision.setpoints],
        )
        reasons = tuple([s.reason for s in decision.setpoints])
        if essence == self._last and reasons == self._last_reasons:
            return
        words = tuple(NUMBER.sub("#", s.reason) for s in decision.setpoints)
        if essence == self._last and words == self._last_words:
            self._last_reasons = reasons  # other numbers in the same words
            return
        shortest_s = SHORTEST_S if essence != self._last else WORDS_ONLY_S
        if inputs.now.mono_s - self._last_at_s < shortest_s or self._queue.full():
            return  # noted later if it still holds
        self._last, self._last_words, self._last_at_s = essence, words, inputs.now.mono_s
        row = _row(ticked.explained(self._site))
        self._queue.put_nowait(Put(StateKind.DECISION, inputs.now.wall.isoformat(), row))

    async def run(self) -> None:
        """Until cancelled: one commit for all that waits."""
        while True:
            rows = [await self._queue.get()]
            while not self._queue.empty():
                rows.append(self._queue.get_nowait())
            try:
                await self._store.commit(rows)
            except (CemError, DiskError, OSError) as error:
                log.warning("decision log: %s; %d rows may be lost", error, len(rows))


def _bound(term: Narrowing) -> Json:
    """The term that bound a set point."""
    return {"side": term.side, "value": term.value, "unit": term.unit, "source": term.source, "reason": term.reason}


def _row(decision: Decision) -> Json:
    return {
        "mode": decision.mode.value,
        "headline": decision.headline,
        "setpoints": [
            {
                "resource": s.resource_id,
                "control": s.control.value,
                "value": s.value,
                "rank": s.rank.name.lower(),
                "source": s.source,
                "reason": s.reason,
                **({"bound": _bound(s.bound_by[0])} if s.bound_by else {}),
            }
            for s in decision.setpoints
        ],
    }
