"""Frozen model values as JSON types and back, by their own type hints.

A dataclass becomes an object of the fields that differ from their defaults, so that values written by another version
can still be read: unknown fields are passed over, missing ones take their default. Numbers survive exactly.
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from datetime import datetime, time, timedelta
from enum import Enum
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar, Union

T = TypeVar("T")
Read = Callable[[Any], Any]

_PLAIN = (str, int, float, bool, type(None))


def encode(value: object) -> Any:
    """The value as JSON types; TypeError for what a frozen model value is not made of."""
    kind: Any = type(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: encode(held) for name, default in _fields(kind) if (held := getattr(value, name)) != default}
    if isinstance(value, Mapping):
        return {key.value if isinstance(key, Enum) else key: encode(held) for key, held in value.items()}
    if isinstance(value, tuple | list):
        return [encode(held) for held in value]
    if isinstance(value, frozenset | set):
        return sorted(encode(held) for held in value)
    if isinstance(value, datetime | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    raise TypeError(f"{kind.__name__} has no form in JSON here")


def decode(kind: type[T], found: Any) -> T:
    """The value of that type; ValueError (or KeyError, TypeError) for what is none."""
    wanted: Any = kind
    value: T = _reader(wanted)(found)
    return value


class _Required:
    """Stands for the default of a field that has none: nothing equals it."""


@cache
def _fields(kind: Any) -> tuple[tuple[str, Any], ...]:
    """(name, default) of each field."""
    return tuple((field.name, _default(field)) for field in dataclasses.fields(kind))


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return _Required


@cache
def _reader(kind: Any) -> Read:
    origin, given = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return _union(given)
    if origin is tuple:
        return _tuple(given)
    if origin is frozenset:
        item = _reader(given[0])
        return lambda found: frozenset(item(held) for held in found)
    if origin is not None and issubclass(origin, Mapping):
        key, held = _reader(given[0]), _reader(given[1])
        return lambda found: MappingProxyType({key(name): held(value) for name, value in found.items()})
    if dataclasses.is_dataclass(kind):
        return _object(kind)
    return _scalar(kind)


def _scalar(kind: Any) -> Read:
    if kind in (datetime, time):
        read: Read = kind.fromisoformat
        return read
    if kind is timedelta:
        return lambda found: timedelta(seconds=found)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind
    if kind in (*_PLAIN, Any, object):
        return lambda found: found
    raise TypeError(f"{kind} can't be read back")


def _union(given: tuple[Any, ...]) -> Read:
    others = [kind for kind in given if kind is not type(None)]
    if all(kind in _PLAIN for kind in others):
        return lambda found: found
    if len(others) != 1:
        raise TypeError(f"{given}: a choice between several types can't be read back")
    item = _reader(others[0])
    return lambda found: None if found is None else item(found)


def _tuple(given: tuple[Any, ...]) -> Read:
    if len(given) == 2 and given[1] is Ellipsis:
        item = _reader(given[0])
        return lambda found: tuple(item(held) for held in found)
    items = [_reader(kind) for kind in given]
    return lambda found: tuple(item(held) for item, held in zip(items, found, strict=True))


def _object(kind: Any) -> Read:
    # made at the first use: a class may speak of itself
    readers: dict[str, Read] = {}

    def read(found: Any) -> Any:
        if not readers:
            hints = typing.get_type_hints(kind)
            readers.update({field.name: _reader(hints[field.name]) for field in dataclasses.fields(kind) if field.init})
        return kind(**{name: readers[name](held) for name, held in found.items() if name in readers})

    return read
