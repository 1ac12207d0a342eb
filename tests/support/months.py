"""Months to compare policies in: simulated homes in several seasons and tariffs, and houses that were recorded."""

import csv
import json
import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cem.simulation.compare.run import Task
from cem.simulation.plant import home_in
from cem.simulation.scenario import Scenario, open_scenario
from support.virtual_home import HOMES

RECORDED = Path(__file__).parents[3] / "shared" / "data" / "citylearn-2022"
"""Where the recorded houses are, on a machine that has them."""
BUILDINGS = (1, 5, 9, 13)
PACIFIC = ZoneInfo("America/Los_Angeles")
FIRST_HOUR = datetime(2022, 7, 31, 23)  # noqa: DTZ001 - the recording counts the hours of the clock on the wall
"""The weekdays of this year are those of the recording. The hour that the clock leaves out in spring is left out, the
one that comes twice in autumn comes twice.
"""

TWO_PRICES: dict[str, Any] = {
    "base_price_per_kwh": 0.32,
    "export_price_per_kwh": 0.08,
    "period": [
        {"from": "17:00", "to": "21:00", "import_price_per_kwh": 0.40},
        {"from": "23:00", "to": "06:00", "import_price_per_kwh": 0.22},
    ],
}
CALIFORNIA: dict[str, Any] = {
    "base_price_per_kwh": 0.22,
    "export_price_per_kwh": 0.06,
    "period": [
        {"from": "16:00", "to": "21:00", "import_price_per_kwh": 0.54, "days": ["mon", "tue", "wed", "thu", "fri"]},
        {"from": "16:00", "to": "21:00", "import_price_per_kwh": 0.40, "days": ["sat", "sun"]},
    ],
}
FLAT: dict[str, Any] = {"base_price_per_kwh": 0.30, "export_price_per_kwh": 0.08}


@dataclass(frozen=True, slots=True)
class Month:
    """A home, when, and what energy costs; `market` is a file of market prices."""

    name: str
    scenario: Scenario
    market: Path | None = None

    def task(self, days: float, step_s: float) -> Task:
        """As the comparison takes it."""
        return Task(replace(self.scenario, for_s=days * 86400, step_s=step_s), prices=self.market)


def synthetic(name: str, home: str, start: datetime, tariff: dict[str, Any], **changes: Any) -> Month:
    """A ready-made home from a day on."""
    scenario = open_scenario(HOMES / f"{home}.toml")
    table = {**scenario.table, **changes}
    return Month(
        name,
        replace(
            scenario, home=home_in(table, HOMES / f"{home}.toml"), table=table, start=start, site={"tariff": tariff}
        ),
    )


def with_market(month: Month, folder: Path, days: int = 40) -> Month:
    """The same month at prices by the hour, another day each."""
    start = month.scenario.start
    assert start is not None
    path = folder / f"{month.name}.json"
    path.write_text(json.dumps({"data": market_days(start - timedelta(days=1), days)}), encoding="utf-8")
    tariff = {
        "base_price_per_kwh": 0.32,
        "export_price_per_kwh": 0.08,
        "dynamic": {"provider": "awattar", "country": "DE", "per_kwh": 0.14, "vat_percent": 19},
    }
    return replace(month, scenario=replace(month.scenario, site={"tariff": tariff}), market=path)


def market_days(start: datetime, days: int) -> list[dict[str, Any]]:
    """A morning and an evening peak, cheap nights and noons, windy and calm days; in EUR/MWh."""
    rows = []
    berlin = ZoneInfo("Europe/Berlin")
    first = start.astimezone(berlin).replace(hour=0, minute=0, second=0, microsecond=0)
    begin, end = first.astimezone(UTC), (first + timedelta(days=days)).astimezone(UTC)
    for hour in range((end - begin) // timedelta(hours=1)):
        at = begin + timedelta(hours=hour)
        wall = at.astimezone(berlin)
        day, local = (wall.date() - first.date()).days, wall.hour
        calm = 0.5 + 0.5 * math.sin(day * 2.399)  # the golden angle: no two days alike
        shape = 0.8 * math.exp(-(((local - 8) / 1.8) ** 2)) + 1.2 * math.exp(-(((local - 18.5) / 2.2) ** 2))
        noon = 0.7 * math.exp(-(((local - 13) / 2.5) ** 2)) * (1.0 - calm)
        price = 70.0 + 50.0 * calm + (60.0 + 50.0 * calm) * (shape - noon)
        rows.append(
            {
                "start_timestamp": round(at.timestamp() * 1000),
                "end_timestamp": round((at + timedelta(hours=1)).timestamp() * 1000),
                "marketprice": round(price, 2),
                "unit": "Eur/MWh",
            }
        )
    return rows


def recorded(building: int, start: datetime, folder: Path, tariff: dict[str, Any], *, car: bool = True) -> Month:
    """A house of the recorded ones, with a battery and a car that it did not have, from a day on."""
    table: dict[str, Any] = {
        "home": 1,
        "name": f"recorded house {building}",
        "zone": "America/Los_Angeles",
        "latitude": 34.1,
        "longitude": -117.4,
        "seed": building,
        "load": {
            "noise_pct": 10,
            "recorded": {"file": str(_hours(building, folder)), "column": "load_kw", "scale": 1000.0},
        },
        "pv": [{"peak_w": 6000.0, "recorded": {"file": str(_hours(building, folder)), "column": "pv_w", "scale": 6.0}}],
        "battery": [{"capacity_wh": 9600.0, "max_charge_w": 4800.0, "max_discharge_w": 4800.0}],
        "device": [
            {"id": "meter", "kind": "sunspec.meter"},
            {"id": "inverter", "kind": "sunspec.inverter"},
            {"id": "battery", "kind": "sunspec.battery"},
        ],
    }
    if car:
        trips = [
            {"leave": "07:30:00", "come": "17:40:00", "energy_wh": 9000, "days": ["mon", "tue", "wed", "thu", "fri"]},
            {"leave": "10:00:00", "come": "15:00:00", "energy_wh": 5000, "days": ["sat"]},
        ]
        table["ev"] = [{"capacity_wh": 60000.0, "plugged_at_start": True, "trip": trips}]
        table["device"].append({"id": "wallbox", "kind": "goe.charger", "serial": "012345"})
    path = folder / f"recorded-{building}.toml"
    home = home_in(table, path)
    return Month(f"recorded {building}", Scenario(home.name, home, path, table, start=start, site={"tariff": tariff}))


def _hours(building: int, folder: Path) -> Path:
    """The recording as the simulated home reads it."""
    path = folder / f"building-{building}.csv"
    if not path.exists():
        with (RECORDED / f"Building_{building}.csv").open(encoding="utf-8", newline="") as source:
            rows = list(csv.DictReader(source))
        with path.open("w", encoding="utf-8", newline="") as target:
            out = csv.writer(target)
            out.writerow(("at", "load_kw", "pv_w"))
            first = FIRST_HOUR.replace(tzinfo=PACIFIC).astimezone(UTC)
            for at in (first + timedelta(hours=hour) for hour in range(len(rows))):
                on_the_wall = at.astimezone(PACIFIC).replace(tzinfo=None)
                row = rows[(on_the_wall - FIRST_HOUR) // timedelta(hours=1)]
                out.writerow((at.isoformat(), row["non_shiftable_load"], row["solar_generation"]))
    return path


def all_months(folder: Path) -> list[Month]:
    """Every month; the recorded ones where this machine has them. `folder` takes files. "hourly": those of a year."""
    berlin = ZoneInfo("Europe/Berlin")
    demo = [
        synthetic(f"demo {name} {tariff}", "demo", datetime(2026, at, 3, tzinfo=berlin), prices)
        for name, at in (("winter", 1), ("spring", 4), ("summer", 7))
        for tariff, prices in (("two prices", TWO_PRICES), ("flat", FLAT))
    ]
    hourly = [replace(with_market(month, folder), name=f"{month.name.rsplit(' ', 2)[0]} hourly") for month in demo[::2]]
    year = [
        replace(with_market(month, folder), name=f"demo year {month.scenario.start:%m} hourly")
        for at in (2, 3, 5, 6, 8, 9, 10, 11, 12)
        for month in (synthetic(f"demo {at} two prices", "demo", datetime(2026, at, 3, tzinfo=berlin), TWO_PRICES),)
    ]
    demo = [*demo, *hourly, *year]
    if not RECORDED.is_dir():
        return demo
    houses = [
        replace(
            recorded(building, datetime(2022 + (at < 8), at, 1, tzinfo=PACIFIC), folder, CALIFORNIA),
            name=f"recorded {building} {name}",
        )
        for building in BUILDINGS
        for name, at in (("winter", 1), ("spring", 4), ("summer", 8), ("autumn", 11))
    ]
    return [*demo, *houses]
