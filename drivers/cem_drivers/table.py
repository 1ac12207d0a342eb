"""Checks a link table of the site file offline: unknown keys, wrong types, values out of range."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

LinkValue = str | int | float | bool
LinkTable = Mapping[str, LinkValue]


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a link table. `low` and `high` bound numbers, `choices` texts."""

    name: str
    type: type[str | int | float | bool]
    required: bool = False
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


_WORDS: dict[type, str] = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def table_faults(link: LinkTable, keys: Iterable[Key]) -> list[str]:
    """Every fault of the table, each starting with its path: 'link.port: ...'."""
    known = {key.name: key for key in keys}
    faults = [f"link.{name}: missing" for name, key in known.items() if key.required and name not in link]
    for name, value in link.items():
        key = known.get(name)
        if key is None:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(known))}"
            faults.append(f"link.{name}: unknown key; {hint}")
        else:
            faults += [f"link.{name}: {fault}" for fault in _value_faults(key, value)]
    return faults


def _value_faults(key: Key, value: LinkValue) -> list[str]:
    if key.type is float:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
    else:
        fits = type(value) is key.type
    if not fits:
        return [f"{value!r} is not {_WORDS[key.type]}"]
    if isinstance(value, str):
        if not value.strip():
            return ["empty"]
        if key.choices and value not in key.choices:
            return [f"{value!r} is not one of {', '.join(key.choices)}"]
    elif (key.low is not None and value < key.low) or (key.high is not None and value > key.high):
        return [f"{value} is outside {key.low:g} to {key.high:g}"]
    return []


def text(link: LinkTable, name: str, default: str) -> str:
    """A checked text of the table."""
    value = link.get(name, default)
    return value if isinstance(value, str) else default


def number(link: LinkTable, name: str, default: float) -> float:
    """A checked number of the table."""
    value = link.get(name, default)
    return default if isinstance(value, str | bool) else value


def flag(link: LinkTable, name: str, default: bool = False) -> bool:
    """A checked yes or no of the table."""
    value = link.get(name, default)
    return value if isinstance(value, bool) else default
