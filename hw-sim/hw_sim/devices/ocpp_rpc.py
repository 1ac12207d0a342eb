"""OCPP-J frames of a charger: one question under way at a time, what must not be lost waits (OCPP-J 1.6, 4)."""

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Payload = dict[str, Any]
CALL, RESULT, ERROR = 2, 3, 4
MOST_KEPT = 500
"""So many messages of transactions are kept while nobody takes them; the oldest go first."""
PATIENCE_S = 30.0
"""After so long without an answer the next question is asked."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a charger asks; `kept` ones wait while it is offline. `then` gets the answer ({} for an error)."""

    action: str
    payload: Payload
    kept: bool = False
    then: Callable[[Payload], None] | None = None


class Rpc:
    """`send` puts a text on the line and says whether it went; `answer` gives a payload, or None for NotImplemented."""

    def __init__(self, send: Callable[[str], bool], answer: Callable[[str, Payload], Payload | None]) -> None:
        self.waiting: deque[Question] = deque()
        self.answered_with: Callable[[str], None] = self._say
        self._send = send
        self._answer = answer
        self._under_way: tuple[str, Question, float] | None = None
        self._count = 0

    def ask(self, question: Question, now_s: float) -> None:
        """Asks as soon as nothing else is under way."""
        self.waiting.append(question)
        while len(self.waiting) > MOST_KEPT:
            self.waiting.popleft()
        self.pump(now_s)

    def pump(self, now_s: float) -> None:
        """Sends the next question, if it may."""
        if self._under_way is not None and now_s - self._under_way[2] < PATIENCE_S:
            return
        self._under_way = None
        if not self.waiting:
            return
        question = self.waiting[0]
        self._count += 1
        number = str(self._count)
        if self._send(json.dumps([CALL, number, question.action, question.payload], separators=(",", ":"))):
            self.waiting.popleft()
            self._under_way = (number, question, now_s)

    def lost(self) -> None:
        """The connection is gone: what must not be lost goes to the front again, the rest is forgotten."""
        under_way, self._under_way = self._under_way, None
        kept = [question for question in self.waiting if question.kept]
        if under_way is not None and under_way[1].kept:
            kept.insert(0, under_way[1])
        self.waiting = deque(kept)

    def hear(self, text: str, now_s: float) -> None:
        """A frame came; what is none is left alone."""
        try:
            frame = json.loads(text)
        except json.JSONDecodeError:
            return
        if not isinstance(frame, list) or len(frame) < 3:
            return
        if frame[0] == CALL and len(frame) >= 4:
            payload = self._answer(frame[2], frame[3])
            reply: list[Any] = [RESULT, frame[1], payload]
            if payload is None:
                reply = [ERROR, frame[1], "NotImplemented", "", {}]
            self.answered_with(json.dumps(reply, separators=(",", ":")))
        elif frame[0] in {RESULT, ERROR} and self._under_way is not None and frame[1] == self._under_way[0]:
            question, self._under_way = self._under_way[1], None
            if question.then is not None:
                question.then(frame[2] if frame[0] == RESULT else {})
        self.pump(now_s)

    def _say(self, text: str) -> None:
        self._send(text)
