"""What it is worth to weigh all courses of the next day. Run it: .venv/bin/python tests/bench/bench_courses.py [FOLDER]

A battery at recorded houses (FOLDER holds them as the CityLearn Challenge 2022 publishes them) and at the demo home,
eight days each, without the gateway: every hour a plan is made of the forecasts, and the battery does in each quarter
hour what its regime says. Money against plain self-consumption, as a share of what the plan with the true load and sun
saves.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cem.model.plan import IntentKind, Plan, PlanRequest
from cem.model.resource import Ratings, Resource, Role
from cem.model.site import Place
from cem.planning.courses import courses_of
from cem.planning.forecast import load_forecast, pv_forecast, slot_edges
from cem.planning.past import Past
from cem.planning.solve import Replanner
from cem.simulation.compare.course import course_of
from cem.simulation.scenario import open_scenario
from support.houses import house
from support.months import CALIFORNIA, TWO_PRICES, market_days
from support.recorded import recorded
from support.virtual_home import HOMES

FOLDER = Path(os.environ.get("CEM_RECORDED_HOMES", "citylearn-2022"))
DAYS, BEFORE, EVERY = 8, 28, 4
CAPACITY_KWH, MOST_KW, FLOOR_KWH, EFFICIENCY = 10.0, 5.0, 1.0, 0.95
GIVEN = 0.96  # of the price of now: what a stored kWh is worth at most for the control to give it
BATTERY = Resource("battery", Role.BATTERY, "inverter", "Battery", Ratings(5000.0, 5000.0, 10000.0))
FONTANA = Place(34.1, -117.4)
"""Where the recorded houses stand."""
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Price = Callable[[datetime], float]


@dataclass(frozen=True, slots=True)
class Case:
    """A house by quarter hours from `start` on, of which the first are the record before, and what a kWh costs."""

    name: str
    start: datetime
    load_w: list[float]
    sun_w: list[float]
    zone: str
    place: Place
    price: Price
    sells: float

    def at(self, quarter: int) -> datetime:
        return self.start + timedelta(minutes=15 * quarter)


def by_clock(tariff: dict[str, Any], zone: str) -> Price:
    """The price of a tariff by the time of day."""

    def price(at: datetime) -> float:
        local = at.astimezone(ZoneInfo(zone))
        for period in tariff["period"]:
            begin, end = time.fromisoformat(period["from"]), time.fromisoformat(period["to"])
            inside = begin <= local.time() < end if begin < end else not end <= local.time() < begin
            if inside and WEEKDAYS[local.weekday()] in period.get("days", WEEKDAYS):
                return float(period["import_price_per_kwh"])
        return float(tariff["base_price_per_kwh"])

    return price


def hourly(first: datetime) -> Price:
    """A market with another day each, with surcharge and tax."""
    rows = market_days(first - timedelta(days=1), DAYS + 4)
    known = {row["start_timestamp"] // 1000: (row["marketprice"] / 1000.0 + 0.14) * 1.19 for row in rows}
    return lambda at: known[int(at.timestamp()) // 3600 * 3600]


class Stored:
    """The battery and the bill."""

    def __init__(self) -> None:
        self.kwh = 0.4 * CAPACITY_KWH
        self.cost = 0.0

    def quarter(self, net_kw: float, buys: float, sells: float, *, charge_kw: float = 0.0, covers: bool = True) -> None:
        """Takes a surplus or `charge_kw`, and gives what the house lacks if it `covers` it."""
        room, held = (CAPACITY_KWH - self.kwh) / EFFICIENCY / 0.25, max(self.kwh - FLOOR_KWH, 0.0) * EFFICIENCY / 0.25
        power = min(max(charge_kw, -net_kw, 0.0), MOST_KW, room)
        if power == 0.0 and net_kw > 0.0 and covers:
            power = -min(net_kw, MOST_KW, held)
        self.kwh += (power * EFFICIENCY if power > 0.0 else power / EFFICIENCY) * 0.25
        grid_kw = net_kw + power
        self.cost += grid_kw * 0.25 * (buys if grid_kw > 0.0 else sells)


def follow(stored: Stored, plan: Plan, slot: int, net_kw: float, buys: float, sells: float) -> None:
    """One quarter hour by the plan's regime."""
    intent = plan.slots[slot].intents["battery"]
    charge_kw = 0.0
    if intent.kind is IntentKind.CHARGE_TO and intent.target_soc_pct is not None:
        missing = intent.target_soc_pct / 100.0 * CAPACITY_KWH - stored.kwh
        charge_kw = max(missing / EFFICIENCY / 0.25, 0.0)
    worth = intent.value_per_kwh
    covers = intent.kind in {IntentKind.SELF_CONSUME, IntentKind.DISCHARGE_TO}
    covers = covers and (worth is None or worth <= GIVEN * buys)
    stored.quarter(net_kw, buys, sells, charge_kw=charge_kw, covers=covers)


def played(case: Case, how: str) -> float:
    """The bill of the days with what is stored at the end: `how` is nobody, alone, courses or exact."""
    past, first = Past(house()), BEFORE * 96
    minutes = [int(case.at(quarter).timestamp()) for quarter in range(len(case.load_w))]
    known, stored, planner, made = 0, Stored(), Replanner(), first
    plan: Plan | None = None
    for quarter in range(first, first + DAYS * 96):
        if (quarter - first) % EVERY == 0 and how != "nobody":
            past.load.extend(list(zip(minutes[known:quarter], case.load_w[known:quarter], strict=True)))
            past.generation.extend(list(zip(minutes[known:quarter], case.sun_w[known:quarter], strict=True)))
            known, made = quarter, quarter
            plan = planner.solve(request_of(case, past, quarter, 100.0 * stored.kwh / CAPACITY_KWH, how))
        net_kw, buys = (case.load_w[quarter] - case.sun_w[quarter]) / 1000.0, case.price(case.at(quarter))
        if plan is None:
            stored.quarter(net_kw, buys, case.sells)
        else:
            follow(stored, plan, quarter - made, net_kw, buys, case.sells)
    refill = min(case.price(case.at(first + quarter)) for quarter in range(96))
    return stored.cost - (stored.kwh - 0.4 * CAPACITY_KWH) / EFFICIENCY * refill


def request_of(case: Case, past: Past, quarter: int, soc_pct: float, how: str) -> PlanRequest:
    """What the planner is asked at the begin of a quarter hour."""
    edges = slot_edges(case.at(quarter))
    count = len(edges) - 1
    load, sun = load_forecast(past.load, edges, case.zone), pv_forecast(past.generation, edges, place=case.place)
    request = PlanRequest(
        edges=edges,
        resources=(BATTERY,),
        soc_pct={"battery": soc_pct},
        reserve_pct={"battery": 100.0 * FLOOR_KWH / CAPACITY_KWH},
        grid_charge={"battery": True},
        ev=(),
        import_price_per_kwh=tuple(case.price(at) for at in edges[:-1]),
        export_price_per_kwh=(case.sells,) * count,
        import_limit_w=(None,) * count,
        export_limit_w=(None,) * count,
        load_w=load.expected_w,
        pv_w=sun.expected_w,
        zone=case.zone,
    )
    if how == "exact":
        ahead = slice(quarter, quarter + count)
        return replace(request, load_w=tuple(case.load_w[ahead]), pv_w=tuple(case.sun_w[ahead]))
    return (
        replace(request, courses=courses_of(past, edges, case.zone, load, sun, case.place))
        if how == "courses"
        else request
    )


def cases(folder: Path) -> list[Case]:
    """Recorded houses in winter and autumn, and the demo home in January."""
    found, zone = [], "America/Los_Angeles"
    begin = datetime(2022, 8, 1, 7, tzinfo=UTC)  # the hour before the first row
    for building, name, tariff, month in (
        (1, "evening peak", CALIFORNIA, 1),
        (13, "evening peak", CALIFORNIA, 11),
        (5, "two prices", TWO_PRICES, 1),
        (13, "two prices", TWO_PRICES, 1),
        (9, "two prices", TWO_PRICES, 1),
    ):
        load, sun = recorded(folder / f"Building_{building}.csv")
        first = datetime.combine(date(2022 + (month < 8), month, 8), time(0), ZoneInfo(zone))
        skip = int((first - begin) / timedelta(minutes=15)) - BEFORE * 96
        part = slice(skip, skip + (BEFORE + DAYS + 2) * 96)
        values = [value for _, value in load[part]], [1.2 * value for _, value in sun[part]]
        label = f"{building}, {name}, {first:%B}"
        found.append(
            Case(label, begin + skip * timedelta(minutes=15), *values, zone, FONTANA, by_clock(tariff, zone), 0.07)
        )
    scenario = open_scenario(HOMES / "demo.toml")
    place = Place(scenario.home.latitude, scenario.home.longitude)
    start = datetime(2026, 1, 8, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)
    end = start + timedelta(days=DAYS + 2)
    course = course_of(scenario.home, start - timedelta(days=BEFORE), end, seed=scenario.seed)
    values = tuple(one.reshape(-1, 15).mean(axis=1).tolist() for one in (course.load_w, course.sun_w))
    for name, price in (("two prices", by_clock(TWO_PRICES, "Europe/Berlin")), ("hourly prices", hourly(start))):
        found.append(Case(f"demo, {name}, January", course.start, *values, "Europe/Berlin", place, price, 0.08))
    return found


def main() -> None:
    """Prints the table."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    if not folder.is_dir():
        sys.exit(f"no recorded houses in {folder}")
    sys.stdout.write(f"{'':<30}{'what is expected alone':>24}{'all courses':>14}{'to be saved':>14}\n")
    for case in cases(folder):
        nobody, alone, courses, exact = (played(case, how) for how in ("nobody", "alone", "courses", "exact"))
        shares = [100.0 * (nobody - one) / (nobody - exact) for one in (alone, courses)]
        sys.stdout.write(f"{case.name:<30}{shares[0]:>22.0f} %{shares[1]:>12.0f} %{nobody - exact:>14.2f}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
