"""Where a house stands that does not say so: the place after which its time zone is named, by the tz database."""

import re
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final
from zoneinfo import TZPATH

from cem.model.site import Place

TABLES: Final = ("zone1970.tab", "zone.tab")
"""Their form is told in their heads: country codes, coordinates by ISO 6709, name."""
COORDINATES: Final = re.compile(r"([+-])(\d{2})(\d{2})(\d{2})?([+-])(\d{3})(\d{2})(\d{2})?")


@cache
def place_of_zone(zone: str) -> Place | None:
    """Some hundred kilometres off at most zones, enough to know the season; None where the tz database names no place
    (UTC), or has no table here.
    """
    for name in TABLES:
        for folder in (*map(Path, TZPATH), _packaged()):
            if folder is not None and (table := folder / name).is_file():
                found = _found(table.read_text(encoding="utf-8"), zone)
                if found is not None:
                    return found
    return None


def _packaged() -> Traversable | None:
    """The tz database as a Python package, where it is there."""
    try:
        return resources.files("tzdata") / "zoneinfo"
    except ModuleNotFoundError:
        return None


def _found(table: str, zone: str) -> Place | None:
    for line in table.splitlines():
        cells = line.split("\t")
        if len(cells) > 2 and cells[2] == zone and (read := COORDINATES.fullmatch(cells[1])):
            return Place(_degrees(*read.groups()[:4]), _degrees(*read.groups()[4:]))
    return None


def _degrees(sign: str, degrees: str, minutes: str, seconds: str | None) -> float:
    size = int(degrees) + int(minutes) / 60.0 + int(seconds or 0) / 3600.0
    return -size if sign == "-" else size
