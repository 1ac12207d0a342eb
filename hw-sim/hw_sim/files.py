"""Small JSON files that are whole or not there: the addresses, and the state that survives a kill."""

import json
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from hw_sim.simulation import SavedHome
from hw_sim.truth import Truth

_SAVED = TypeAdapter(SavedHome)


class FileError(Exception):
    """A file that can't be used, and why."""


def write_json(path: Path, content: object) -> None:
    """Replaces the file in one go; a kill in the middle leaves the old one (no fsync: a power cut may not)."""
    scratch = path.with_name(path.name + ".new")
    scratch.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    scratch.replace(path)


def save_state(path: Path, saved: SavedHome) -> None:
    """Writes the state file."""
    content = asdict(saved)
    content["house"]["now"] = saved.house.now.isoformat()
    write_json(path, content)


def write_truth(path: Path, truth: Truth) -> None:
    """Writes what is really the case now, for whoever judges from outside."""
    write_json(path, truth.to_json())


def load_state(path: Path) -> SavedHome | None:
    """The state file's content; None if there is none yet. Raises FileError for one that isn't a state file."""
    if not path.exists():
        return None
    try:
        return _SAVED.validate_json(path.read_bytes())
    except (OSError, ValidationError) as exc:
        raise FileError(f"{path}: not a state file of hw-sim ({exc}); remove it to start anew") from exc


_ELSEWHERE = frozenset({"calls", "socket", "device"})
"""What a device has in place of a port: where it calls, its board's socket, its serial line."""


def load_ports(path: Path) -> dict[str, int]:
    """Device id (and "mqtt") to port from a port file; {} if there is none yet. Raises FileError for another file."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        devices = content["devices"].items()
        ports = {name: int(entry["port"]) for name, entry in devices if not _ELSEWHERE & entry.keys()}
        if content.get("mqtt"):
            ports["mqtt"] = int(content["mqtt"]["port"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise FileError(f"{path}: not a port file of hw-sim ({exc!r}); remove it or leave --reuse-ports out") from exc
    return ports
