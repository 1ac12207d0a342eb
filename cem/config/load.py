"""Loads a site file: all faults at once, or the site."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cem.config.build import site_file
from cem.config.checks import cross_faults
from cem.config.draft import draft
from cem.config.schema import FORMAT, SiteTable
from cem.config.schema_faults import blamed_paths, schema_faults
from cem.config.sitefile import SiteFile
from cem.config.words import fault, shown
from cem.model.errors import SiteFileError
from cem.ports import Driver

LARGEST_FILE = 1 << 20
"""Bytes; a site file is some kilobytes."""

_PLACE = re.compile(r"^(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$", re.DOTALL)


def load_site(path: Path, drivers: Mapping[str, Driver]) -> SiteFile:
    """The site of a file; raises SiteFileError with every fault that it has."""
    return site_file(path, check_table(read_raw(path), path.parent, drivers))


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


def check_table(raw: Mapping[str, Any], folder: Path, drivers: Mapping[str, Driver]) -> SiteTable:
    """The tables, checked; raises SiteFileError with every fault. `folder` is where relative paths start."""
    if "site" not in raw:
        raise SiteFileError([fault("site", "missing", f"the first line of a site file is: site = {FORMAT}")])
    if (seen := raw["site"]) != FORMAT or isinstance(seen, bool):
        raise SiteFileError([fault("site", shown(seen), f"this version reads format {FORMAT}")])
    found = cross_faults(draft(raw, folder, drivers))
    try:
        table = SiteTable.model_validate(raw)
    except ValidationError as error:
        blamed = blamed_paths(error)
        consequences_left_out = [line for line in found if line.partition(": ")[0] not in blamed]
        raise SiteFileError([*schema_faults(error), *consequences_left_out]) from error
    if found:
        raise SiteFileError(found)
    return table


def _syntax_fault(path: Path, message: str) -> str:
    match = _PLACE.match(message)
    if match is None:
        return fault(str(path), message, "not TOML")
    where = f":{match['line']}:{match['column']}" if match["line"] else " (at its end)"
    return fault(f"{path}{where}", match["what"], "not TOML; nothing else was checked")
