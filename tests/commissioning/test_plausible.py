"""Which readings can be true."""

import math

import pytest

from cem.commissioning.plausible import counters_back, faults, missing
from cem.model.reading import Value
from cem.model.resource import Ratings, Resource, Role

FUSE_W = 24150.0
RATINGS = Ratings(max_charge_w=5000, max_discharge_w=5000, max_generation_w=8000, max_current_a=16)


def resource(role: Role) -> Resource:
    return Resource("x", role, "d", "X", RATINGS)


@pytest.mark.parametrize(
    ("role", "values"),
    [
        (Role.GRID, {"power_w": 3000.0, "voltage_l1_v": 231.0, "frequency_hz": 50.0, "import_wh": 12.0}),
        (Role.GRID, {"power_w": 300.0, "power_l1_w": 100.0, "power_l2_w": 150.0, "power_l3_w": 80.0}),
        (Role.GRID, {"power_l1_w": 2300.0, "voltage_l1_v": 230.0, "current_l1_a": 10.1}),
        (Role.PV, {"power_w": -8200.0, "energy_wh": 0.0}),
        (Role.PV, {"power_w": 20.0}),
        (Role.BATTERY, {"power_w": 5000.0, "soc_pct": 100.0}),
        (Role.EV, {"state": "C", "power_w": 11040.0}),
    ],
)
def test_true_readings_pass(role: Role, values: dict[str, Value]) -> None:
    assert faults(resource(role), values, FUSE_W) == []


@pytest.mark.parametrize(
    ("role", "values", "line"),
    [
        (Role.GRID, {"voltage_l1_v": 2310.0}, "voltage_l1_v = 2310 V seen, 180 to 260 V allowed"),
        (Role.GRID, {"voltage_l2_v": 23.1}, "voltage_l2_v = 23.1 V seen, 180 to 260 V allowed"),
        (Role.GRID, {"frequency_hz": 500.0}, "frequency_hz = 500 Hz seen, 45 to 65 Hz allowed"),
        (Role.GRID, {"power_w": math.inf}, "power_w = inf seen, a number is needed"),
        (Role.GRID, {"power_w": 42_000_000.0}, "power_w = 4.2e+07 W seen, -35017.5 to 35017.5 W allowed"),
        (Role.GRID, {"import_wh": -1.0}, "import_wh = -1 Wh seen, 0 to inf Wh allowed"),
        (
            Role.GRID,
            {"power_w": 3000.0, "power_l1_w": 100.0, "power_l2_w": 100.0, "power_l3_w": 100.0},
            "power_w = 3000 W seen, but the phases make 300 W",
        ),
        (
            Role.GRID,
            {"power_l1_w": 2300.0, "voltage_l1_v": 230.0, "current_l1_a": 1.0},
            "power_l1_w = 2300 W seen, but 230 V and 1 A make 230 VA",
        ),
        (Role.PV, {"power_w": 3000.0}, "power_w = 3000 W seen, -9600 to 192 W allowed"),
        (Role.BATTERY, {"soc_pct": 505.0}, "soc_pct = 505 % seen, 0 to 100 % allowed"),
        (Role.BATTERY, {"power_w": -30000.0}, "power_w = -30000 W seen, -6000 to 6000 W allowed"),
        (Role.EV, {"state": "G"}, "state = 'G' seen, A to F allowed (IEC 61851-1)"),
    ],
)
def test_readings_that_cannot_be_true_are_named(role: Role, values: dict[str, Value], line: str) -> None:
    assert faults(resource(role), values, FUSE_W) == [line]


def test_required_points_must_come() -> None:
    assert missing(resource(Role.BATTERY), {"power_w": 0.0, "soc_pct": None}) == ["soc_pct"]
    assert missing(resource(Role.GRID), {}) == ["power_w"]


def test_an_inverter_asleep_is_no_fault() -> None:
    assert missing(resource(Role.PV), {"power_w": None}) == []


def test_a_counter_that_runs_back_is_named() -> None:
    assert counters_back(resource(Role.GRID), {"import_wh": 10.0}, {"import_wh": 9.0}) == [
        "x.import_wh ran back from 10 to 9 Wh, it may only grow"
    ]
    assert counters_back(resource(Role.GRID), {"import_wh": 10.0}, {"import_wh": 10.0}) == []
