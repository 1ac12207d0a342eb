"""Bytes to messages and back. `decode` one object, `decode_list` a listing, `encode` either."""

import json
import math
import re
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from cem.wire.openadr3.message import Message, WireError
from cem.wire.openadr3.objects import Event, Program, Report, Resource, Subscription, Ven
from cem.wire.openadr3.service import AnyObject, Notification

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MAX_BODY_BYTES = 1024 * 1024
_MAX_DEPTH = 24
_MAX_BRACKETS = 250_000
_MAX_DIGITS = 40
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)  # never fails after a quote: linear on any body
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_KINDS: dict[str, type[AnyObject]] = {
    "PROGRAM": Program,
    "EVENT": Event,
    "REPORT": Report,
    "SUBSCRIPTION": Subscription,
    "VEN": Ven,
    "RESOURCE": Resource,
}

_TYPE_FAULTS = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "model_type": "must be an object",
    "dict_type": "must be an object",
}
_REASONS = _TYPE_FAULTS | {
    "missing": "is missing",
    "string_too_short": "is shorter than {min_length} characters",
    "string_too_long": "is longer than {max_length} characters",
    "string_pattern_mismatch": "has characters that are not allowed there",
    "too_long": "has more than {max_length} entries",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
    "less_than": "must be less than {lt}",
    "finite_number": "must be a finite number",
}
_JSON_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (str, "text"),
    (int, "a number"),
    (float, "a number"),
    (list, "a list"),
    (dict, "an object"),
)

M = TypeVar("M", bound=Message)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise WireError("", f"the number {text[:_MAX_DIGITS]} is too big")
    return value


def _int(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise WireError("", f"a number of {len(text)} digits; {_MAX_DIGITS} are allowed")
    return int(text)


def _constant(text: str) -> float:
    raise WireError("", f"{text} is not a number in JSON")


def _without_nulls(value: dict[str, Any]) -> dict[str, Any]:
    """Optional attributes may be null and mean the same as absent ones; a required one is then found missing."""
    return {key: one for key, one in value.items() if one is not None}


def _check_nesting(body: bytes) -> None:
    """Refuses deep nesting before anything recursive sees the body."""
    brackets = _STRINGS.sub(b"", body).translate(None, _NOT_BRACKETS)
    if len(brackets) > _MAX_BRACKETS:
        raise WireError("", f"{len(brackets)} brackets; {_MAX_BRACKETS} are allowed")
    if max(accumulate(_STEP[byte] for byte in brackets), default=0) > _MAX_DEPTH:
        raise WireError("", f"nested deeper than {_MAX_DEPTH} levels")


def read_json(body: bytes, max_bytes: int = MAX_BODY_BYTES) -> Any:
    """A bounded JSON body; raises WireError for size, depth, NaN, infinite or huge numbers, and broken text."""
    if len(body) > max_bytes:
        raise WireError("", f"{len(body)} bytes; {max_bytes} are allowed")
    _check_nesting(body)
    try:
        value = json.loads(
            body.decode("utf-8"),
            parse_float=_float,
            parse_int=_int,
            parse_constant=_constant,
            object_hook=_without_nulls if b"null" in body else None,
        )
        if b"\\u" in body:
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # a lone surrogate could not be passed on
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise WireError("", f"not UTF-8: {error.reason}") from error
    except json.JSONDecodeError as error:
        raise WireError("", f"not JSON: {error.msg} at line {error.lineno} column {error.colno}") from error
    return value


def _reason(error: "ErrorDetails") -> str:
    """What is wrong, for somebody who knows the message and not our tools."""
    words = _REASONS.get(error["type"])
    if words is None:
        return error["msg"].removeprefix("Value error, ")
    told = words.format(**error.get("ctx", {}))
    seen = next((name for kind, name in _JSON_TYPES if isinstance(error["input"], kind)), "")
    return f"{told}, not {seen}" if seen and error["type"] in _TYPE_FAULTS else told


def _fault(error: ValidationError, prefix: str, value: object) -> WireError:
    first = error.errors(include_url=False)[0]
    path = prefix
    for step in first["loc"]:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    found = value.get("id") if isinstance(value, dict) else None
    return WireError(path, _reason(first), found if isinstance(found, str) else None)


def validate(kind: type[M], value: object, path: str = "") -> M:
    """A message from parsed JSON; raises WireError with the path below `path`."""
    if not isinstance(value, dict):
        raise WireError(path, f"must be an object, not {type(value).__name__}")
    try:
        return kind.model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        raise _fault(error, path, value) from error


def decode(kind: type[M], body: bytes, max_bytes: int = MAX_BODY_BYTES) -> M:
    """One message of a kind, such as `decode(Event, body)`; raises WireError."""
    return validate(kind, read_json(body, max_bytes))


def decode_list(
    kind: type[M], body: bytes, max_bytes: int = MAX_BODY_BYTES
) -> tuple[tuple[M, ...], tuple[WireError, ...]]:
    """A listing: the objects that are right, and a fault for each that is not (it is listed, so it is not gone).

    Raises WireError when the body as a whole is not a JSON array.
    """
    value = read_json(body, max_bytes)
    if not isinstance(value, list):
        raise WireError("", f"must be an array, not {type(value).__name__}")
    items: list[M] = []
    faults: list[WireError] = []
    for number, element in enumerate(value):
        try:
            items.append(validate(kind, element, f"[{number}]"))
        except WireError as fault:
            faults.append(fault)
    return tuple(items), tuple(faults)


def object_of(notification: Notification) -> AnyObject:
    """The object that a notification is about; raises WireError."""
    kind = _KINDS.get(notification.object_type)
    if kind is None:
        raise WireError("objectType", f"{notification.object_type!r} is not one of {', '.join(_KINDS)}")
    return validate(kind, notification.object, "object")


def to_json(message: Message) -> dict[str, Any]:
    """A message as JSON values; what is None or an empty optional list is left out."""
    return message.model_dump(mode="json", by_alias=True)


def encode(message: Message | Sequence[Message]) -> bytes:
    """A message, or a listing of them, as bytes."""
    value = to_json(message) if isinstance(message, Message) else [to_json(one) for one in message]
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")
