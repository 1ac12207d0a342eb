"""A recorded course of a house: equally spaced means out of a CSV file, which repeat."""

import csv
import math
from datetime import datetime
from functools import cache
from pathlib import Path

from hw_sim.specs import RecordedSpec

AT = "at"
"""The column with the begin of each mean, ISO 8601 with an offset."""


class RecordingError(ValueError):
    """A file that is no recording; the text says why."""


class Recording:
    """`column` of a CSV file. Times before its begin and after its end fall into its repetitions."""

    def __init__(self, spec: RecordedSpec) -> None:
        self._start_s, self._step_s, columns = _read(spec.file)
        if spec.column not in columns:
            raise RecordingError(f"{spec.file}: no column '{spec.column}'; it has {', '.join(columns)}")
        self._values = columns[spec.column]
        self._scale = spec.scale

    def mean(self, unix_s: float) -> float:
        """The mean within which an instant falls."""
        return self._at(math.floor((unix_s - self._start_s) / self._step_s))

    def smooth(self, unix_s: float) -> float:
        """On straight lines between the middles of the means."""
        position = (unix_s - self._start_s) / self._step_s - 0.5
        number = math.floor(position)
        share = position - number
        return self._at(number) * (1.0 - share) + self._at(number + 1) * share

    def _at(self, number: int) -> float:
        return self._values[number % len(self._values)] * self._scale


@cache
def _read(file: str) -> tuple[float, float, dict[str, tuple[float, ...]]]:
    """Begin and spacing in seconds, and the columns. Raises RecordingError."""
    try:
        with Path(file).open(encoding="utf-8", newline="") as text:
            rows = list(csv.DictReader(text))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"{file}: can't be read: {error}") from error
    if len(rows) < 2 or AT not in rows[0]:
        raise RecordingError(f"{file}: needs a column '{AT}' and at least two rows")
    try:
        times = [datetime.fromisoformat(row[AT]).timestamp() for row in rows]
        columns = {name: tuple(float(row[name]) for row in rows) for name in rows[0] if name != AT}
    except (ValueError, TypeError) as error:
        raise RecordingError(f"{file}: {error}") from error
    if not all(math.isfinite(value) for values in columns.values() for value in values):
        raise RecordingError(f"{file}: a value is not finite")
    step_s = times[1] - times[0]
    if step_s <= 0 or any(abs(time - times[0] - k * step_s) > 1e-3 for k, time in enumerate(times)):
        raise RecordingError(f"{file}: its times are not equally spaced, {step_s:g} s apart at first")
    return times[0], step_s, columns
