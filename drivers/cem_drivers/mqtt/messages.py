"""The last message of each topic, and what points and controls read out of them. Pure but for the times given in."""

import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from cem.driver import Value
from cem_drivers.mqtt.rows import Case, Condition, PointRow

Payload = None | bool | int | float | str | list["Payload"] | dict[str, "Payload"]


LONGEST_TEXT = 256
_NO_NUMBERS = frozenset({"NaN", "Infinity", "-Infinity"})


class UnreadableError(ValueError):
    """A payload that does not hold what the profile says."""


class Message(NamedTuple):
    """One payload, parsed; `live_at_s` None: known only as retained, so its age is not known."""

    payload: Payload
    live_at_s: float | None


class Messages:
    """The newest message of each topic of a device, topics relative to the device's own."""

    def __init__(self) -> None:
        self._held: dict[str, Message] = {}
        self._values: dict[str, Value] = {}  # points as worked out of what is held
        self._told_by: dict[str, set[str]] = {}  # topic to those of them that depend on it
        self.live_at_s: float | None = None  # the last sign of life on any topic
        self.spoken = 0  # how many signs of life there were
        self.changes = 0  # counts everything that may change a value or its age

    def take(self, topic: str, parsed: Payload, retained: bool, now_s: float) -> None:
        """Takes a parsed message in."""
        self._hold(topic, Message(parsed, None if retained else now_s))
        if not retained:
            self.lives(now_s)

    def _hold(self, topic: str, message: Message) -> None:
        self._held[topic] = message
        self._changed(topic)

    def _changed(self, topic: str) -> None:
        self.changes += 1
        for point in self._told_by.pop(topic, ()):
            self._values.pop(point, None)

    def drop(self, topic: str) -> None:
        """A topic was cleared: nothing is known of it any more."""
        self._held.pop(topic, None)
        self._changed(topic)

    def lives(self, now_s: float) -> None:
        """A live message came, whatever it says."""
        self.live_at_s = now_s
        self.spoken += 1
        self.changes += 1

    def put(self, topic: str, payload: Payload, now_s: float) -> None:
        """Takes in what the device answered to a question, as a live message of a topic."""
        self._hold(topic, Message(payload, now_s))
        self.lives(now_s)

    def overlay(self, topic: str, changes: Mapping[str, Payload], now_s: float) -> None:
        """Lays changes over the last whole message, whose age stays: what is not among them was not measured anew.

        A key that is told as null is gone.
        """
        self.lives(now_s)
        known = self._held.get(topic)
        if known is not None and isinstance(known.payload, dict):
            merged: dict[str, Payload] = {**known.payload, **changes}
            merged = {key: value for key, value in merged.items() if value is not None}
            self._hold(topic, Message(merged, known.live_at_s))

    def forget(self) -> None:
        """After a lost connection nothing is known: what is retained, or asked for, comes anew."""
        self._held.clear()
        self._values.clear()
        self._told_by.clear()
        self.live_at_s = None
        self.changes += 1

    def holds(self, topic: str) -> bool:
        """Whether there was ever a message of the topic."""
        return topic in self._held

    def payload(self, topic: str) -> Payload:
        """The newest payload; None if there was none."""
        message = self._held.get(topic)
        return None if message is None else message.payload

    def taken_at_s(self, row: PointRow) -> float | None:
        """When a point was last known to be so: None while only retained messages are known."""
        topics: Sequence[str] = row.topics if row.count is None else self._counted(row)
        if len(topics) == 1:
            message = self._held.get(topics[0])
            return None if message is None else self.live_at_s if row.on_change else message.live_at_s
        if row.missing == "zero":
            topics = [topic for topic in topics if topic in self._held]
        held = [message for topic in topics if (message := self._held.get(topic)) is not None]
        if not held or len(held) < len(topics):
            return None
        if row.on_change:
            return self.live_at_s
        times = [message.live_at_s for message in held if message.live_at_s is not None]
        return None if len(times) < len(held) else min(times)

    def value(self, row: PointRow) -> Value:
        """A point's value; None where the device says null, a code without a meaning, or what can't be."""
        if row.id in self._values:
            return self._values[row.id]
        found = self._values[row.id] = self._value(row)
        for topic in row.topics if row.by_id is None else (*row.topics, row.by_id.ids):
            self._told_by.setdefault(topic, set()).add(row.id)
        return found

    def _value(self, row: PointRow) -> Value:
        if row.cases:
            return _in_range(self.case(row.cases), row)
        payloads = [self.payload(topic) for topic in (row.sources if row.count is None else self._counted(row))]
        if row.map is not None:
            return row.map.get(_code(pointed(payloads[0], _single(row))))
        if row.fold is None:
            return _in_range(_number(pointed(payloads[0], _single(row))), row)
        numbers = [_number(one) for one in self._folded(row, payloads)]
        known = [number for number in numbers if number is not None]
        if not known or (len(known) < len(numbers) and row.missing == "unknown"):
            return None
        folded = sum(known) if row.fold == "sum" else max(known) if row.fold == "max" else min(known)
        return _in_range(folded, row)

    def _counted(self, row: PointRow) -> Sequence[str]:
        """The first so many topics as the device says that there are; none where it does not say."""
        topic, _, pointer = (row.count or "").partition("#")
        count = _number(pointed(self.payload(topic), pointer))
        return row.sources[: int(count)] if count is not None and 1 <= count <= len(row.sources) else ()

    def _folded(self, row: PointRow, payloads: Sequence[Payload]) -> list[Payload]:
        """What is folded: several topics, several places of one, or the places whose ids are wanted."""
        if row.by_id is not None:
            ids, values = self.payload(row.by_id.ids), pointed(payloads[0], _single(row))
            if not isinstance(ids, list) or not isinstance(values, list) or len(ids) != len(values):
                return []
            return [value for one, value in zip(ids, values, strict=True) if one in row.by_id.are]
        if isinstance(row.json_pointer, list):
            return [pointed(payloads[0], pointer) for pointer in row.json_pointer]
        return [pointed(payload, row.json_pointer) for payload in payloads]

    def case(self, cases: Sequence[Case]) -> Value:
        """The first case that holds; None when none does."""
        for case in cases:
            if self._holds(case):
                if case.source is None:
                    return case.value
                number = _number(pointed(self.payload(case.source), case.at))
                return None if number is None else number * case.factor
        return None

    def met(self, condition: Condition) -> bool:
        """Whether a condition holds."""
        return pointed(self.payload(condition.topic), condition.json_pointer) == condition.equals

    def _holds(self, case: Case) -> bool:
        if case.topic is not None and pointed(self.payload(case.topic), case.json_pointer) != case.equals:
            return False
        return all(self.met(condition) for condition in case.also)


def read(topic: str, payload: bytes, plain: bool) -> Payload:
    """A payload as JSON, where `plain` else as text; raises UnreadableError."""
    try:
        parsed: Payload = _DECODER.decode(payload.decode(encoding(payload), "surrogatepass"))
    except (ValueError, RecursionError) as error:
        if plain and len(payload) <= LONGEST_TEXT:
            with contextlib.suppress(UnicodeDecodeError):
                text = payload.decode().strip()
                if text and text.isprintable() and text[0] not in "{[" and text not in _NO_NUMBERS:
                    return text
        raise UnreadableError(f"{topic}: {payload[:60]!r} is not JSON") from error
    return parsed


def encoding(payload: bytes) -> str:
    """As json.detect_encoding; a payload that begins with two ASCII characters is told at once."""
    if len(payload) > 1 and 0 < payload[0] < 0x80 and payload[1]:
        return "utf-8"
    return json.detect_encoding(payload)


def pointed(payload: Payload, pointer: str) -> Payload:
    """What a JSON pointer (RFC 6901) points at; None where there is nothing."""
    if not pointer:
        return payload
    for key in _keys(pointer):
        if isinstance(payload, dict):
            payload = payload.get(key)
        elif isinstance(payload, list) and key.isdecimal() and int(key) < len(payload):
            payload = payload[int(key)]
        else:
            return None
    return payload


@lru_cache(maxsize=4096)
def _keys(pointer: str) -> tuple[str, ...]:
    """The keys and places that a pointer goes along."""
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


def _single(row: PointRow) -> str:
    return row.json_pointer if isinstance(row.json_pointer, str) else row.json_pointer[0]


def _code(payload: Payload) -> str:
    """A code as the keys of a profile's map are written."""
    return json.dumps(payload) if not isinstance(payload, str) else payload


def _number(payload: Payload) -> float | None:
    """A number; None for null, text and what is not finite."""
    if isinstance(payload, bool) or not isinstance(payload, int | float):
        return None
    return float(payload) if math.isfinite(payload) else None


def _in_range(value: Value, row: PointRow) -> Value:
    if not isinstance(value, float | int):
        return value
    scaled = value * row.factor
    if row.range is not None and not row.range[0] <= scaled <= row.range[1]:
        return None
    return scaled


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)
