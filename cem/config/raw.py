"""The bare tables of a TOML file, with a fault that says where it is none."""

import re
import tomllib
from pathlib import Path
from typing import Any

from cem.config.words import fault
from cem.model.errors import SiteFileError

LARGEST_FILE = 1 << 20
"""Bytes; a site file is some kilobytes."""

_PLACE = re.compile(r"^(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$", re.DOTALL)


def read_raw(path: Path) -> dict[str, Any]:
    """The bare tables of a TOML file; raises SiteFileError naming file, line and column."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except FileNotFoundError as error:
        advice = "cem provision writes one; --config names another"
        raise SiteFileError([fault(str(path), "there is no such file", advice)]) from error
    except OSError as error:
        raise SiteFileError(
            [fault(str(path), str(error.strerror), "a file that this user may read is needed")]
        ) from error
    if len(content) > LARGEST_FILE:
        raise SiteFileError([fault(str(path), f"more than {LARGEST_FILE} bytes", "this is not a site file")])
    try:
        return tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SiteFileError([fault(f"{path}:{line}", "not UTF-8 text", "save the file as UTF-8")]) from error
    except tomllib.TOMLDecodeError as error:
        raise SiteFileError([_syntax_fault(path, str(error))]) from error


def _syntax_fault(path: Path, message: str) -> str:
    match = _PLACE.match(message)
    if match is None:
        return fault(str(path), message, "not TOML")
    where = f":{match['line']}:{match['column']}" if match["line"] else " (at its end)"
    return fault(f"{path}{where}", match["what"], "not TOML; nothing else was checked")
