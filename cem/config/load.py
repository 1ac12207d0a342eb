"""Loads a site file: all faults at once, or the site."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cem.config.build import site_file
from cem.config.checks import cross_faults
from cem.config.draft import draft
from cem.config.raw import read_raw
from cem.config.schema import FORMAT, SiteTable
from cem.config.schema_faults import blamed_paths, schema_faults
from cem.config.sitefile import SiteFile
from cem.config.words import fault, shown
from cem.model.errors import SiteFileError
from cem.ports import Driver


def load_site(path: Path, drivers: Mapping[str, Driver]) -> SiteFile:
    """The site of a file; raises SiteFileError with every fault that it has."""
    return site_file(path, check_table(read_raw(path), path.parent, drivers))


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
