"""Writes site files, whole or not at all."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import AoT, InlineTable
from tomlkit.items import Table as TomlTable

from cem.config.schema import SiteTable

SITE_MODE = 0o640
SECRET_MODE = 0o600

_HEADER = "Site file of the home energy gateway; every key is explained in cem/config/README.md."


def dump_site(table: SiteTable) -> str:
    """The site file's text: what differs from the defaults, in the schema's order. Loading it gives the same table."""
    values = table.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)
    document = tomlkit.document()
    document.add(tomlkit.comment(_HEADER))
    document["site"] = table.site
    for key, value in values.items():
        if key != "site" and value not in ({}, []):
            document[key] = _item(key, value)
    return tomlkit.dumps(document)


def write_site(path: Path, table: SiteTable) -> None:
    """Writes a site file (mode 0640) so that a power cut leaves either the old one or the new one; raises OSError."""
    write_atomically(path, dump_site(table).encode(), SITE_MODE)


def write_secret(path: Path, secret: str) -> None:
    """Writes a secret into a file of its own (mode 0600); raises OSError."""
    write_atomically(path, f"{secret}\n".encode(), SECRET_MODE)


def write_atomically(path: Path, content: bytes, mode: int) -> None:
    """Temporary file beside it, fsync, rename, fsync of the folder; the file never shows half its content."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _item(key: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return _inline(value) if key == "link" else _table(value)
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return _array_of_tables(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _table(values: Mapping[str, Any]) -> TomlTable:
    table = tomlkit.table()
    for key, value in values.items():
        table[key] = _item(key, value)
    return table


def _inline(values: Mapping[str, Any]) -> InlineTable:
    table = tomlkit.inline_table()
    for key, value in values.items():
        table[key] = _item(key, value)
    return table


def _array_of_tables(values: list[Mapping[str, Any]]) -> AoT:
    array = tomlkit.aot()
    for value in values:
        array.append(_table(value))
    return array
