"""RTU on a stream of bytes, where nothing but time tells which answer belongs to which question.

An answer that did not come in time is waited for before the next question is asked: until it arrives, or until it
is later than the slowest answer ever seen here. What nobody asked for makes the line foreign: then it must first
fall silent.
"""

import asyncio

from cem.driver import BadAnswer
from cem_drivers.modbus.rtu import contradicted, ends_with_question, find_answer, framed

SLOWEST_ANSWER_S = 1.0  # of devices in the field, until one is seen to be slower
MAX_SLOWEST_S = 3.0
MARGIN = 1.25
FOREIGN_SILENCE_S = 0.05
FOREIGN_BYTES = 4  # fewer are noise of the line
MAX_BUSY_S = 2.0  # a line that never falls silent belongs to somebody else
KEPT = 1024

Question = tuple[int, bytes, float]  # unit, PDU and when it was sent


class RtuStream:
    """Satisfies Transport; a subclass brings the wire by `_connect`, `_send` and `_drop`.

    `gap_s`: silence before a question. `frame_gap_s`: silence that proves the end of an answer.
    """

    connect_s = 0.5
    settles = True

    def __init__(self, gap_s: float, frame_gap_s: float, slowest_s: float = SLOWEST_ANSWER_S) -> None:
        self.gap_s = max(gap_s, frame_gap_s)
        self.frame_gap_s = frame_gap_s
        self.slowest_s = slowest_s
        self.opened = 0
        self.late = 0  # answers that came after their time-out
        self.up = False
        self._heard = bytearray()
        self._last_s = -MAX_SLOWEST_S  # when the last byte came or went
        self._unanswered: Question | None = None  # asked, not answered, and may be answered yet
        self._foreign = False
        self._lost: Exception | None = None
        self._news = asyncio.Event()

    async def open(self) -> None:
        """Connects; harmless when connected. Raises OSError."""
        if self.up:
            return
        self._lost = None
        await self._connect()
        self.up = True
        self._last_s = self._now()
        self.opened += 1

    async def settle(self) -> None:
        """Returns when the line is silent and no answer to an older question can come. Raises BadAnswer, OSError."""
        busy_until_s = self._now() + MAX_BUSY_S + MARGIN * MAX_SLOWEST_S
        while (wait_s := self._unsettled_s()) > 0:
            if self._now() > busy_until_s:
                raise BadAnswer("the line never falls silent; a second master? Only one may ask", bytes(self._heard))
            await self._listen(wait_s)
        self._heard.clear()
        self._foreign = False

    async def exchange(self, unit: int, pdu: bytes) -> bytes:
        """One question and its answer; raises BadAnswer, ConnectionError. The caller bounds the time."""
        self._heard.clear()
        sent_s = self._last_s = self._now()
        self._unanswered = (unit, pdu, sent_s)
        self._send(framed(unit, pdu))
        while (answer := find_answer(bytes(self._heard), unit, pdu)) is None:
            self._news.clear()
            await self._news.wait()
            if self._lost is not None:
                raise ConnectionError(str(self._lost)) from self._lost
        self._saw(sent_s)
        while (wait_s := self._last_s + self.frame_gap_s - self._now()) > 0:
            await self._listen(wait_s)
        heard = bytes(self._heard)
        self._foreign = len(heard) - answer.end >= FOREIGN_BYTES
        if contradicted(heard, answer, unit, pdu):
            raise BadAnswer("two answers to one question", heard)
        self._unanswered = None
        self._heard.clear()
        return answer.pdu

    def heard(self) -> bytes:
        """What came since the last question, for the error's text."""
        return bytes(self._heard)

    def fail(self) -> None:
        """The last question went wrong: its answer is listened for until the line has settled."""
        if self._unanswered is None:
            self._foreign = True

    def close(self) -> None:
        """Lets go of the wire; a question that is still open stays known."""
        if self.up:
            self.up = False
            self._drop()

    def _unsettled_s(self) -> float:
        now_s = self._now()
        left_s = 0.0
        if self._unanswered is not None:
            unit, pdu, sent_s = self._unanswered
            left_s = sent_s + MARGIN * self.slowest_s - now_s
            if self._is_answer(unit, pdu):
                self.late += 1
                self._saw(sent_s)
                left_s = 0.0
            if left_s <= 0:
                self._unanswered = None
        silence_s = self.gap_s
        if self._foreign:
            silence_s = max(silence_s, FOREIGN_SILENCE_S)
            if ends_with_question(bytes(self._heard)):
                silence_s = max(silence_s, MARGIN * self.slowest_s)
        return max(left_s, self._last_s + silence_s - now_s)

    def _is_answer(self, unit: int, pdu: bytes) -> bool:
        try:
            return find_answer(bytes(self._heard), unit, pdu) is not None
        except BadAnswer:
            return False  # then only time settles the line

    def _saw(self, sent_s: float) -> None:
        self.slowest_s = min(max(self.slowest_s, self._last_s - sent_s), MAX_SLOWEST_S)

    async def _listen(self, wait_s: float) -> None:
        """Until something comes or the time is over."""
        self._news.clear()
        try:
            async with asyncio.timeout(wait_s):
                await self._news.wait()
        except TimeoutError:
            return
        if self._lost is not None:
            raise ConnectionError(str(self._lost)) from self._lost

    def _came(self, data: bytes) -> None:
        """Called with every piece that arrives."""
        self._last_s = self._now()
        self._heard += data
        if self._unanswered is None and len(self._heard) >= FOREIGN_BYTES:
            self._foreign = True
        if len(self._heard) > KEPT:
            del self._heard[:-KEPT]
        self._news.set()

    def _gone(self, error: Exception) -> None:
        """Called when the wire was lost."""
        if self.up:
            self._lost = error
            self.close()
            self._heard.clear()
            self._news.set()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    async def _connect(self) -> None:
        raise NotImplementedError

    def _send(self, frame: bytes) -> None:
        raise NotImplementedError

    def _drop(self) -> None:
        raise NotImplementedError
