"""Turns what pydantic found wrong with the tables into sentences."""

from collections.abc import Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from cem.config.schema import (
    AREA_PATTERN,
    FINGERPRINT,
    ID_IN_WORDS,
    ID_PATTERN,
    TARIFF_CODE_PATTERN,
    TOPIC_PATTERN,
    VEN_ID,
    SiteTable,
    Table,
)
from cem.config.words import Loc, did_you_mean, fault, nearest, one_of, path_of, shown

_KINDS = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "tuple_type": "an array",
    "dict_type": "a table",
    "model_type": "a table",
}
_BOUNDS = {
    "greater_than": ("gt", "must be above"),
    "greater_than_equal": ("ge", "must be at least"),
    "less_than": ("lt", "must be below"),
    "less_than_equal": ("le", "must be at most"),
}
_PATTERNS = {
    ID_PATTERN: ID_IN_WORDS,
    r"^[A-Z]{3}$": "three capital letters (ISO 4217), such as EUR",
    AREA_PATTERN: "the 16 characters of a bidding zone's EIC code, such as 10Y1001A1001A82H (DE-LU)",
    TOPIC_PATTERN: "levels of letters, digits, _, . and -, with / between them, such as house/openadr3",
    FINGERPRINT: "ten bytes such as 93:4C:A5:8A:0B:74:11:D2:6F:00",
    VEN_ID: "letters, digits, _ and -, at most 128 characters",
    TARIFF_CODE_PATTERN: "a tariff code such as E-1R-AGILE-24-10-01-C",
}


def schema_faults(error: ValidationError, root: type[Table] = SiteTable) -> list[str]:
    """Every fault of a validation, in the file's order; what only follows from another fault is left out."""
    details = error.errors(include_url=False)
    places = [tuple(detail["loc"]) for detail in details]
    return [
        _sentence(detail, root)
        for detail, place in zip(details, places, strict=True)
        if not (detail["type"] == "too_short" and any(len(p) > len(place) and p[: len(place)] == place for p in places))
    ]


def blamed_paths(error: ValidationError, root: type[Table] = SiteTable) -> set[str]:
    """The paths that a validation found fault with, and the keys that its unknown keys were probably meant to be."""
    paths = set()
    for detail in error.errors(include_url=False, include_context=False):
        loc = tuple(detail["loc"])
        paths.add(path_of(loc))
        if detail["type"] == "extra_forbidden" and (meant := nearest(loc[-1], table_at(loc[:-1], root))):
            paths.add(path_of((*loc[:-1], meant)))
    return paths


def _sentence(detail: ErrorDetails, root: type[Table]) -> str:
    kind, loc, seen = detail["type"], tuple(detail["loc"]), shown(detail["input"])
    context: Mapping[str, Any] = detail.get("ctx", {})
    path = path_of(loc)
    if kind == "missing":
        return fault(path, "missing", f"every {_table_name(loc)} needs it")
    if kind == "extra_forbidden":
        known = [*table_at(loc[:-1], root)]
        return fault(path, "unknown key", one_of(known), did_you_mean(loc[-1], known))
    if kind in _KINDS:
        return fault(path, seen, f"{_KINDS[kind]} is needed")
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return fault(path, seen, f"{words} {context[key]:g}")
    if kind in {"enum", "literal_error"}:
        known = [word.strip("' ") for word in str(context["expected"]).replace(" or ", ", ").split(",")]
        return fault(path, seen, one_of(known), did_you_mean(detail["input"], known))
    if kind == "string_pattern_mismatch":
        return fault(path, seen, f"needed: {_PATTERNS.get(context['pattern'], context['pattern'])}")
    if kind == "string_too_long":
        return fault(path, seen, f"at most {context['max_length']} characters")
    if kind == "too_short":
        return fault(path, "empty", "at least one is needed")
    if kind == "value_error":
        return fault(path, seen, f"needed: {context['error']}")
    return fault(path, seen, detail["msg"])


def _table_name(loc: Loc) -> str:
    names = [part for part in loc[:-1] if isinstance(part, str)]
    if not names:
        return "site file"
    name = ".".join(names)
    return f"[[{name}]]" if isinstance(loc[-2], int) else f"[{name}]"


def table_at(loc: Loc, root: type[Table] = SiteTable) -> dict[str, Any]:
    """The keys that the table at a location may have, as written in the file, with their types; {} if none is."""
    keys = _keys(root)
    for part in loc:
        if isinstance(part, str):
            table = _table_in(keys.get(part))
            if table is None:
                return {}
            keys = _keys(table)
    return keys


def _keys(table: type[Table]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in table.model_fields.items()}


def _table_in(annotation: Any) -> type[Table] | None:
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return annotation
    if get_origin(annotation) in {tuple, Union, UnionType}:
        return next((table for item in get_args(annotation) if (table := _table_in(item))), None)
    return None
