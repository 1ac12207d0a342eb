"""Turns what is wrong with a profile into sentences: 'line 12: point[2].jsn: unknown key (did you mean 'json'?)'."""

import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from cem_drivers.profiles.lines import Loc, line_numbers, line_of
from cem_drivers.profiles.tables import Table, keys_at

T = TypeVar("T", bound=Table)

_KINDS = {
    "string_type": "text in quotes is needed",
    "int_type": "a whole number is needed",
    "float_type": "a number is needed",
    "finite_number": "a finite number is needed",
    "bool_type": "true or false is needed",
    "list_type": "an array is needed",
    "dict_type": "a table is needed",
    "model_type": "a table is needed",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong, and where."""

    loc: Loc
    says: str


def parse(source: str, root: type[T], check: Callable[[T], Iterable[Fault]]) -> tuple[T | None, list[str]]:
    """The profile, or None with every fault: each with its line and its path."""
    try:
        table = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        return None, [f"profile: {error}"]
    try:
        profile = root.model_validate(table)
    except ValidationError as error:
        return None, _told(source, [_fault(detail, root) for detail in error.errors(include_url=False)])
    faults = list(check(profile))
    return (None, _told(source, faults)) if faults else (profile, [])


def did_you_mean(word: object, known: Sequence[str]) -> str:
    """' (did you mean 'scale'?)' where a known word is near, else what is known."""
    near = get_close_matches(str(word), known, 1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else f"; allowed: {', '.join(known)}" if known else ""


def path_of(loc: Loc) -> str:
    """('point', 2, 'scale') as 'point[2].scale'; the empty location is the profile itself."""
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path or "profile"


def _told(source: str, faults: Iterable[Fault]) -> list[str]:
    lines = line_numbers(source)
    placed = sorted(((line_of(fault.loc, lines), fault) for fault in faults), key=lambda pair: pair[0])
    return [f"line {line}: {path_of(fault.loc)}: {fault.says}" for line, fault in placed]


def _fault(detail: ErrorDetails, root: type[Table]) -> Fault:
    kind, loc, context = detail["type"], tuple(detail["loc"]), detail.get("ctx", {})
    if kind == "missing":
        return Fault(loc, "missing")
    if kind == "extra_forbidden":
        return Fault(loc, f"unknown key{did_you_mean(loc[-1], keys_at(root, loc[:-1]))}")
    seen = _shown(detail["input"])
    if kind in _KINDS:
        return Fault(loc, f"{seen} seen; {_KINDS[kind]}")
    if kind == "literal_error":
        known = [word.strip("' ") for word in str(context["expected"]).replace(" or ", ", ").split(",")]
        return Fault(loc, f"{seen} seen{did_you_mean(detail['input'], known)}")
    if kind == "value_error":
        return Fault(loc, str(context["error"]))
    return Fault(loc, f"{seen} seen; {detail['msg'][:1].lower()}{detail['msg'][1:]}")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "an array"
    return repr(value)[:60] if not isinstance(value, bool) else str(value).lower()
