"""Recorded houses, as the CityLearn Challenge 2022 publishes them: hourly load in kWh, generation in W per kW."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

START = datetime(2026, 8, 1, tzinfo=UTC)  # the first row that begins a day is of the first of August
PEAK_KW = 5.0


def recorded(path: Path) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    """Load and generation in W, one value a quarter hour."""
    load, sun = [], []
    with path.open() as file:
        for hour, row in enumerate(csv.DictReader(file)):
            begin_s = int((START + timedelta(hours=hour - 1)).timestamp())
            for quarter in range(4):
                load.append((begin_s + 900 * quarter, 1000.0 * float(row["non_shiftable_load"])))
                sun.append((begin_s + 900 * quarter, PEAK_KW * float(row["solar_generation"])))
    return load, sun
