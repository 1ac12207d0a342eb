"""Requests to a device and their answers: JSON-RPC frames over MQTT. Pure but for the frames' numbers, which it counts.

Interpretation: an answer counts by its number alone, for it comes on a topic that nobody else is told of.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from cem_drivers.mqtt.messages import Payload, UnreadableError, encoding

_ENCODER = json.JSONEncoder(separators=(",", ":"))
MOST_OPEN = 1024
"""So many requests may wait for an answer; older ones are given up."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request: its result, or the device's own words why not."""

    result: Payload
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """What a device told unasked: the changes by component, and when by its own clock (Unix seconds), if it says."""

    changes: Mapping[str, Mapping[str, Payload]]
    at: float | None = None


class Requests:
    """The requests of one source to one device."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.answers_topic = f"{source}/rpc"  # where the answers come
        self.answered_by: str | None = None  # who signed the last answer
        self._number = 0
        self._into: dict[int, str | None] = {}  # of what waits for an answer, by number
        self._answers: dict[int, Answer] = {}

    def frame(self, method: str, params: Mapping[str, Payload], into: str | None = None) -> tuple[int, bytes]:
        """The next request and its number; `into`: the topic under which its result counts as messages."""
        self._number += 1
        self._into[self._number] = into
        for old in [number for number in self._into if number <= self._number - MOST_OPEN]:
            del self._into[old]
        frame = {"id": self._number, "src": self.source, "method": method, "params": dict(params)}
        return self._number, _ENCODER.encode(frame).encode()

    def take(self, payload: bytes) -> tuple[str, Mapping[str, Payload]] | None:
        """Takes an answer in; (into, its result) where it counts as messages. Raises UnreadableError."""
        frame = _object(payload)
        number = frame.get("id")
        if isinstance(number, bool) or not isinstance(number, int) or number not in self._into:
            return None  # nobody asked, or nobody waits any more
        into = self._into.pop(number)
        signed = frame.get("src")
        self.answered_by = signed if isinstance(signed, str) else None
        if "error" in frame:
            self._answers[number] = Answer(None, _words(frame["error"]))
            return None
        result = frame.get("result")
        if into is not None and isinstance(result, dict):
            return into, result
        self._answers[number] = Answer(result)
        return None

    def waits(self, number: int) -> bool:
        """Whether a request still has no answer."""
        return number in self._into

    def answer(self, number: int) -> Answer | None:
        """The answer to a request, handed out once; None while there is none."""
        return self._answers.pop(number, None)


def notice(payload: bytes) -> Notice:
    """The changes of a status notification; none in any other notification. Raises UnreadableError."""
    frame = _object(payload)
    params = frame.get("params")
    if frame.get("method") != "NotifyStatus" or not isinstance(params, dict):
        return Notice({})
    told = params.get("ts")
    at = float(told) if isinstance(told, int | float) and not isinstance(told, bool) else None
    return Notice({name: changes for name, changes in params.items() if isinstance(changes, dict)}, at)


def _object(payload: bytes) -> dict[str, Payload]:
    try:
        frame: Payload = json.loads(payload.decode(encoding(payload), "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"{payload[:60]!r} is no frame") from error
    if not isinstance(frame, dict):
        raise UnreadableError(f"{payload[:60]!r} is no frame")
    return frame


def _words(error: Payload) -> str:
    if isinstance(error, dict):
        return f"{error.get('code')}: {error.get('message')}"
    return json.dumps(error)
