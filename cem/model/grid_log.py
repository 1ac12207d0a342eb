"""What happened between the grid and the house, one entry each time that something changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum


class Happening(StrEnum):
    """The kinds of entries."""

    LIMIT_SET = "limit set"
    LIMIT_CHANGED = "limit changed"
    LIMIT_ENDED = "limit ended"
    EVENT_STARTED = "event started"
    EVENT_STOPPED = "event stopped"
    EVENT_CANCELLED = "event cancelled"
    OPTED_OUT = "opted out"
    OPTED_IN = "opted in again"
    LINK_LOST = "link lost"
    LINK_BACK = "link back"
    ISLANDED = "islanded"
    RESTORED = "grid back"


@dataclass(frozen=True, slots=True)
class GridEntry:
    """One happening at `at`; `source` is the provider or contact, '' the house.

    `subject` tells entries of a kind apart: an event's id, "import" or "export" of a limit, what was left out, or ''.
    """

    at: datetime
    kind: Happening
    source: str
    subject: str = ""
    value_w: float | None = None  # of a limit, magnitude
    words: str = ""  # for a person


def entry_row(entry: GridEntry) -> dict[str, str | float | None]:
    """The entry as JSON."""
    return {
        "at": entry.at.astimezone(UTC).isoformat(),
        "kind": entry.kind.value,
        "source": entry.source,
        "subject": entry.subject,
        "value_w": entry.value_w,
        "words": entry.words,
    }


def entry_of(row: object) -> GridEntry:
    """The entry of a row; raises ValueError when the row is not one."""
    if not isinstance(row, Mapping):
        raise ValueError("a stored happening is not an object")
    at, kind, source, subject, words = (row.get(name) for name in ("at", "kind", "source", "subject", "words"))
    value_w = row.get("value_w")
    if not (isinstance(at, str) and isinstance(kind, str) and isinstance(source, str) and isinstance(subject, str)):
        raise ValueError("a stored happening lacks a part")
    number = float(value_w) if isinstance(value_w, int | float) else None
    text = words if isinstance(words, str) else ""
    return GridEntry(datetime.fromisoformat(at), Happening(kind), source, subject, number, text)
