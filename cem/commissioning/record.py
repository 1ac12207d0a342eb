"""The commissioning record: what was found, tried and seen, for the installer to leave behind."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cem.commissioning.examination import Examination, if_it_stops
from cem.commissioning.result import Result, Verdict
from cem.config.schema import DeviceTable
from cem.config.write import write_atomically
from cem.ports import Json

FORMAT = 1
MODE = 0o640
SECRET_WORDS = ("password", "secret", "token")


@dataclass(frozen=True, slots=True)
class Record:
    """One commissioning. Times are aware UTC; `site_file` is None when none was written."""

    gateway_version: str
    site_name: str
    installer: str | None
    started_at: datetime
    ended_at: datetime
    searched: tuple[str, ...]
    devices: tuple[DeviceTable, ...]
    examination: Examination
    notes: tuple[str, ...]
    site_file: Path | None

    @property
    def passed(self) -> bool:
        """Whether no step failed."""
        return not self.examination.failed_devices()


def record_json(record: Record) -> dict[str, Json]:
    """The record as JSON; passwords are left out."""
    return {
        "commissioning_record": FORMAT,
        "gateway_version": record.gateway_version,
        "site": record.site_name,
        "installer": record.installer,
        "started_at": _stamp(record.started_at),
        "ended_at": _stamp(record.ended_at),
        "passed": record.passed,
        "counts": {v.value: sum(r.verdict is v for r in record.examination.results) for v in Verdict},
        "searched": list(record.searched),
        "devices": [_device(device, record.examination) for device in record.devices],
        "results": [result_json(result) for result in record.examination.results],
        "notes": list(record.notes),
        "site_file": None if record.site_file is None else str(record.site_file),
        "site_file_sha256": None if record.site_file is None else _sha256(record.site_file),
    }


def write_record(folder: Path, record: Record) -> Path:
    """Writes `commissioning-<UTC>.json` into the folder; raises OSError."""
    path = folder / f"commissioning-{record.started_at:%Y%m%dT%H%M%SZ}.json"
    text = json.dumps(record_json(record), indent=2, ensure_ascii=False)
    write_atomically(path, f"{text}\n".encode(), MODE)
    return path


def result_json(result: Result) -> dict[str, Json]:
    """One result as JSON."""
    return {
        "step": result.step.value,
        "device": result.device_id,
        "subject": result.subject,
        "verdict": result.verdict.value,
        "seen": result.seen,
        "advice": result.advice,
        "values": dict(result.values),
    }


def _device(device: DeviceTable, examination: Examination) -> Json:
    table = device.model_dump(mode="json", exclude_defaults=True)
    link = {key: "***" if _is_secret(key) else value for key, value in device.link.items()}
    specs = examination.specs.get(device.id, ())
    return _plain(table | {"link": link, "if_the_gateway_stops": [if_it_stops(spec) for spec in specs]})


def _is_secret(key: str) -> bool:
    """A file's name is none; its content would be."""
    return any(word in key for word in SECRET_WORDS) and not key.endswith("_file")


def _plain(value: object) -> Json:
    """Through JSON and back: enums become texts, tuples arrays; what JSON can't say becomes text."""
    plain: Json = json.loads(json.dumps(value, default=str))
    return plain


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
