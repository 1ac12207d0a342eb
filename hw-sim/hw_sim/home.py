"""Home files: TOML to a checked home."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hw_sim.cross_checks import home_faults
from hw_sim.happenings import FaultKind
from hw_sim.homefile import Home, HomeError

__all__ = ["FaultKind", "Home", "HomeError", "home_of", "in_words", "load_home", "parse_home", "table_of", "text_of"]


def in_words(error: ValidationError, root: str) -> list[str]:
    """Each fault of a validation with its path."""
    return [f"{'.'.join(str(part) for part in e['loc']) or root}: {e['msg']}" for e in error.errors()]


def home_of(table: dict[str, Any], source: str = "home") -> Home:
    """The home of a parsed TOML table; raises HomeError with every fault and its path."""
    try:
        home = Home.model_validate(table)
    except ValidationError as exc:
        raise HomeError(source, in_words(exc, "home")) from exc
    faults = home_faults(home)
    if faults:
        raise HomeError(source, faults)
    return home


def table_of(text: str, source: str) -> dict[str, Any]:
    """The parsed TOML; raises HomeError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise HomeError(source, [f"not TOML: {exc}"]) from exc


def text_of(path: Path) -> str:
    """A file's text; raises HomeError."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise HomeError(str(path), [f"can't be read: {exc}"]) from exc


def parse_home(text: str, source: str = "home") -> Home:
    """The home of a TOML text; raises HomeError with every fault and its path."""
    return home_of(table_of(text, source), source)


def load_home(path: Path) -> Home:
    """The home of a file; raises HomeError, also where the file can't be read."""
    return parse_home(text_of(path), str(path))
