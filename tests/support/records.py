"""What the tests of the record share: a clock set by hand and a house with a synthetic day."""

import math
from datetime import UTC, datetime, time, timedelta

from cem.model.directive import Directive
from cem.model.envelope import Band, Rank
from cem.model.reading import Reading, Snapshot
from cem.model.resource import Control, Resource, Role
from cem.model.setpoint import Decision, Mode, Setpoint
from cem.model.site import ElectricalConnection, Site
from cem.model.tariff import Tariff, TariffPeriod
from cem.model.tick import Inputs
from cem.model.time import Instant

START = datetime(2026, 3, 10, 0, 0, tzinfo=UTC)

RESOURCES = (
    Resource("grid", Role.GRID, "meter", "Meter"),
    Resource("roof", Role.PV, "inverter", "Roof"),
    Resource("store", Role.BATTERY, "inverter", "Battery", controls=frozenset({Control.BATTERY_SETPOINT_W})),
)

SITE = Site(
    "Test house",
    "Europe/Berlin",
    ElectricalConnection(),
    Tariff("Europe/Berlin", "EUR", 0.30, 0.08, (TariffPeriod(time(17), time(20), 0.45),)),
    RESOURCES,
)


class HandClock:
    """A clock that stands until it is set."""

    def __init__(self, wall: datetime = START, mono_s: float = 1000.0) -> None:
        self.wall = wall
        self.mono_s = mono_s

    def now(self) -> Instant:
        """The instant that was set."""
        return Instant(wall=self.wall, mono_s=self.mono_s)

    def pass_s(self, seconds: float) -> Instant:
        """Lets both clocks go on."""
        self.wall += timedelta(seconds=seconds)
        self.mono_s += seconds
        return self.now()


def inputs_at(
    now: Instant, values: dict[str, dict[str, float | str | None]], directive: Directive | None = None
) -> Inputs:
    """A tick's inputs with every value read at this instant."""
    readings = {
        resource: {point: Reading(resource, point, value, now.mono_s) for point, value in points.items()}
        for resource, points in values.items()
    }
    return Inputs(now=now, snapshot=Snapshot(now.mono_s, readings), directive=directive or Directive())


def decision(
    value: float | None = None, reason: str = "covers the load", headline: str = "Runs from the sun"
) -> Decision:
    """A decision with one battery setpoint."""
    setpoint = Setpoint("store", Control.BATTERY_SETPOINT_W, value, 30.0, Rank.PLAN, "plan", reason)
    return Decision((setpoint,), Band(-10_000.0, 24_150.0), Mode.NORMAL, headline, load_w=500.0)


class SyntheticDay:
    """A house with exact counters: sun around noon, a load that swings, no battery power."""

    def __init__(self) -> None:
        self.import_wh = 5_000_000.0
        self.export_wh = 2_000_000.0
        self.pv_wh = 9_000_000.0

    def values(self, second: int, step_s: float) -> dict[str, dict[str, float | str | None]]:
        """The readings at a second of the day; the counters grow by the step that ends here."""
        pv_w = (
            max(0.0, 6000.0 * math.sin(math.pi * (second / 3600 - 6) / 12)) if 6 * 3600 <= second <= 18 * 3600 else 0.0
        )
        load_w = 700.0 + 500.0 * math.sin(second / 97.0) + (2000.0 if second % 5400 < 600 else 0.0)
        grid_w = load_w - pv_w
        self.import_wh += max(grid_w, 0.0) * step_s / 3600
        self.export_wh += max(-grid_w, 0.0) * step_s / 3600
        self.pv_wh += pv_w * step_s / 3600
        return {
            "grid": {
                "power_w": grid_w,
                "import_wh": self.import_wh,
                "export_wh": self.export_wh,
                "voltage_l1_v": 230.1,
            },
            "roof": {"power_w": -pv_w, "energy_wh": self.pv_wh, "state": "on"},
            "store": {"power_w": 0.0, "soc_pct": 55.5},
        }
