"""The last message of each topic, and what points and controls read out of them. Pure but for the times given in."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cem.driver import Value
from cem_drivers.mqtt.profile import Case, PointRow

Payload = None | bool | int | float | str | list["Payload"] | dict[str, "Payload"]


class UnreadableError(ValueError):
    """A payload that does not hold what the profile says."""


@dataclass(frozen=True, slots=True)
class Message:
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

    def take(self, topic: str, payload: bytes, retained: bool, now_s: float) -> None:
        """Takes a message in; raises UnreadableError for one that is not JSON."""
        try:
            parsed: Payload = _DECODER.decode(payload.decode(json.detect_encoding(payload), "surrogatepass"))
        except (ValueError, UnicodeDecodeError, RecursionError) as error:
            raise UnreadableError(f"{topic}: {payload[:60]!r} is not JSON") from error
        self._hold(topic, Message(parsed, None if retained else now_s))
        if not retained:
            self.live_at_s = now_s

    def put(self, topic: str, payload: Payload, now_s: float) -> None:
        """Takes in what the device answered to a question, as a live message of a topic."""
        self._hold(topic, Message(payload, now_s))
        self.live_at_s = now_s

    def _hold(self, topic: str, message: Message) -> None:
        self._held[topic] = message
        for point in self._told_by.pop(topic, ()):
            self._values.pop(point, None)

    def overlay(self, topic: str, changes: Mapping[str, Payload], now_s: float) -> None:
        """Lays changes over the last whole message, whose age stays: what is not among them was not measured anew.

        A key that is told as null is gone.
        """
        self.live_at_s = now_s
        known = self._held.get(topic)
        if known is not None and isinstance(known.payload, dict):
            merged: dict[str, Payload] = {**known.payload, **changes}
            merged = {key: value for key, value in merged.items() if value is not None}
            self._hold(topic, Message(merged, known.live_at_s))

    def forget_times(self) -> None:
        """After a lost connection: what is held stays known, its age does not."""
        self._held = {topic: Message(message.payload, None) for topic, message in self._held.items()}
        self.live_at_s = None

    def holds(self, topic: str) -> bool:
        """Whether there was ever a message of the topic."""
        return topic in self._held

    def payload(self, topic: str) -> Payload:
        """The newest payload; None if there was none."""
        message = self._held.get(topic)
        return None if message is None else message.payload

    def taken_at_s(self, row: PointRow) -> float | None:
        """When a point was last known to be so: None while only retained messages are known."""
        oldest_s = math.inf
        for topic in row.topics:
            message = self._held.get(topic)
            if message is None:
                return None
            if not row.on_change:
                if message.live_at_s is None:
                    return None
                oldest_s = min(oldest_s, message.live_at_s)
        return self.live_at_s if row.on_change else oldest_s

    def value(self, row: PointRow) -> Value:
        """A point's value; None where the device says null, a code without a meaning, or what can't be."""
        if row.id not in self._values:
            self._values[row.id] = self._value(row)
            for topic in row.topics:
                self._told_by.setdefault(topic, set()).add(row.id)
        return self._values[row.id]

    def _value(self, row: PointRow) -> Value:
        if row.cases:
            return _in_range(self.case(row.cases), row)
        payload = self.payload(row.topic or "")
        if row.map is not None:
            return row.map.get(_code(pointed(payload, _single(row))))
        if isinstance(row.json_pointer, str):
            return _in_range(_number(pointed(payload, row.json_pointer)), row)
        numbers = [_number(pointed(payload, pointer)) for pointer in row.json_pointer]
        known = [number for number in numbers if number is not None]
        if len(known) < len(numbers):
            return None
        folded = sum(known) if row.fold == "sum" else max(known) if row.fold == "max" else min(known)
        return _in_range(folded, row)

    def case(self, cases: Sequence[Case]) -> Value:
        """The first case that holds; None when none does."""
        for case in cases:
            if self._holds(case):
                if case.source is None:
                    return case.value
                return _number(self.payload(case.source))
        return None

    def _holds(self, case: Case) -> bool:
        if case.topic is not None and pointed(self.payload(case.topic), case.json_pointer) != case.equals:
            return False
        return all(pointed(self.payload(one.topic), one.json_pointer) == one.equals for one in case.also)


def pointed(payload: Payload, pointer: str) -> Payload:
    """What a JSON pointer (RFC 6901) points at; None where there is nothing."""
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(payload, dict):
            payload = payload.get(key)
        elif isinstance(payload, list) and key.isdecimal() and int(key) < len(payload):
            payload = payload[int(key)]
        else:
            return None
    return payload


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
