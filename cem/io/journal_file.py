"""Files of the replay journal: chunks one after the other, each compressed and with its own checksum.

A chunk is its kind (one byte), the length of its content and the content's CRC-32 (both 32 bits, big-endian), and
the content: JSON, compressed with zlib. A file begins with MAGIC and the format's version. A torn end, as a power cut
leaves it, ends the reading; everything before it counts.
"""

import json
import logging
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from pathlib import Path
from typing import Any

from cem.model.errors import CemError

MAGIC = b"CEMJ"
VERSION = 1
SUFFIX = ".cemj"
KEPT = timedelta(hours=24)
LARGEST_CHUNK = 64 * 1024 * 1024
_HEAD = struct.Struct(">BII")
_NAME = "%Y%m%dT%H"

_log = logging.getLogger(__name__)


class JournalUnreadable(CemError):  # noqa: N818 - the field's word
    """A path that holds no replay journal."""


class Kind(IntEnum):
    """What a chunk holds."""

    SITE = 1  # the site that the following ticks were decided for
    TICKS = 2


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk of a file."""

    kind: Kind
    content: Any


def packed(kind: Kind, content: object) -> bytes:
    """The bytes of a chunk."""
    body = zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 6)
    return _HEAD.pack(kind, len(body), zlib.crc32(body)) + body


def file_head() -> bytes:
    """The bytes that a file begins with."""
    return MAGIC + bytes((VERSION,))


def chunks(path: Path) -> Iterator[Chunk]:
    """The chunks of a file, up to the first that is torn or damaged; raises JournalUnreadable."""
    try:
        with path.open("rb") as file:
            head = file.read(len(MAGIC) + 1)
            if head[: len(MAGIC)] != MAGIC:
                raise JournalUnreadable(f"{path} is no replay journal")
            if head[len(MAGIC) :] != bytes((VERSION,)):
                raise JournalUnreadable(f"{path} is written in another version of the format; this one reads {VERSION}")
            while len(front := file.read(_HEAD.size)) == _HEAD.size:
                number, length, crc = _HEAD.unpack(front)
                body = file.read(length) if length <= LARGEST_CHUNK else b""
                if len(body) < length or zlib.crc32(body) != crc:
                    _log.warning("%s: torn or damaged at byte %d; what follows is left out", path, file.tell())
                    return
                if number in set(Kind):
                    yield Chunk(Kind(number), json.loads(zlib.decompress(body)))
    except OSError as error:
        raise JournalUnreadable(f"{path} can't be read: {error.strerror or error}") from error


def files(path: Path) -> list[Path]:
    """The journal's files, oldest first: the one named, or all in a folder; raises JournalUnreadable."""
    found = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path] if path.exists() else []
    if not found:
        raise JournalUnreadable(f"no replay journal at {path}; the gateway keeps one as 'journal' in its store folder")
    return found


def name_at(at: datetime) -> str:
    """The name of the file for an hour."""
    return at.astimezone(UTC).strftime(_NAME) + SUFFIX


def forget_old(folder: Path, now: datetime, kept: timedelta = KEPT) -> None:
    """Removes the files whose hour ended before `now` by more than `kept`."""
    oldest = name_at(now - kept)
    for path in folder.glob(f"*{SUFFIX}"):
        if path.name < oldest:
            path.unlink(missing_ok=True)


def append(path: Path, content: bytes) -> bool:
    """Appends to a file, making it with its head first; True when it is new. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    with os.fdopen(descriptor, "ab") as file:
        new = file.tell() == 0
        file.write(file_head() + content if new else content)
    return new
