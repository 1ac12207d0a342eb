"""A house that was recorded, played again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hw_sim.home import HomeError, home_of
from hw_sim.physics.house import House

START = datetime(2026, 3, 1, tzinfo=UTC)


def _table(path: Path, **load: object) -> dict[str, object]:
    return {
        "home": 1,
        "load": {"noise_pct": 0, "recorded": {"file": path.name, "column": "load_kw", "scale": 1000.0}, **load},
        "pv": [{"peak_w": 5000.0, "response_s": 0.0, "recorded": {"file": path.name, "column": "pv", "scale": 5.0}}],
    }


def _file(folder: Path, text: str = "") -> Path:
    path = folder / "house.csv"
    rows = [(0.5, 0.0), (1.5, 400.0), (1.0, 800.0), (0.2, 0.0)]
    made = "at,load_kw,pv\n" + "".join(
        f"{(START + timedelta(hours=hour)).isoformat()},{load},{pv}\n" for hour, (load, pv) in enumerate(rows)
    )
    path.write_text(text or made, encoding="utf-8")
    return path


def _at(path: Path, hours: float) -> tuple[float, float]:
    house = House(home_of(_table(path), str(path.with_name("home.toml"))), START + timedelta(hours=hours))
    house.step(1e-3)
    return house.household.power_w, -house.roofs["pv"].power_w


@pytest.mark.parametrize(
    ("hours", "load_w", "sun_w"),
    [(0.25, 500.0, 0.0), (1.5, 1500.0, 2000.0), (2.0, 1000.0, 3000.0), (2.5, 1000.0, 4000.0), (5.5, 1500.0, 2000.0)],
)
def test_a_recorded_course_is_played_and_repeats(tmp_path: Path, hours: float, load_w: float, sun_w: float) -> None:
    assert _at(_file(tmp_path), hours) == pytest.approx((load_w, sun_w), abs=0.1)


def test_appliances_come_on_top_of_a_recorded_load(tmp_path: Path) -> None:
    kettle = {"name": "kettle", "power_w": 2000.0, "duration_s": 86400.0, "per_day": 1, "until": "00:01:00"}
    path = _file(tmp_path)
    house = House(home_of(_table(path, appliance=[kettle]), str(path)), START + timedelta(hours=12.5))
    house.step(1.0)
    assert house.household.power_w == pytest.approx(2500.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("load_kw,pv\n1,2\n1,2\n", "needs a column 'at'"),
        ("at,load_kw\n2026-03-01T00:00+00:00,1\n2026-03-01T01:00+00:00,2\n", "no column 'pv'; it has load_kw"),
        (
            "at,load_kw,pv\n2026-03-01T00:00+00:00,1,1\n2026-03-01T01:00+00:00,2,2\n2026-03-01T03:00+00:00,2,2\n",
            "not equally spaced",
        ),
        ("at,load_kw,pv\n2026-03-01T00:00+00:00,1,nan\n2026-03-01T01:00+00:00,2,2\n", "not finite"),
        ("at,load_kw,pv\n2026-03-01T00:00+00:00,1,?\n2026-03-01T01:00+00:00,2,2\n", "could not convert"),
    ],
)
def test_what_is_no_recording_is_a_fault_of_the_home_file(tmp_path: Path, text: str, said: str) -> None:
    path = _file(tmp_path, text)
    with pytest.raises(HomeError, match=r"pv\.0\.recorded|load\.recorded") as caught:
        home_of(_table(path), str(path))
    assert said in str(caught.value)
