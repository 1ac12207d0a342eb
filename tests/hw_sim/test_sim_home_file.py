"""Home files: every fault is named with its path, and the ready-made ones are right."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from hw_sim.home import Home, HomeError, load_home, parse_home
from support.sim_homes import BATTERY, EV, HOUSE, METER, PV

HOMES = Path(__file__).parents[2] / "hw-sim" / "homes"


@pytest.mark.parametrize("path", sorted(HOMES.glob("*.toml")), ids=lambda path: path.stem)
def test_each_ready_made_home_loads(path: Path) -> None:
    home = load_home(path)
    assert home.device
    assert home.name


def test_the_demo_is_the_house_that_the_words_promise() -> None:
    home = load_home(HOMES / "demo.toml")
    assert home.zone == "Europe/Berlin"
    assert home.pv is not None
    assert home.battery is not None
    assert home.ev is not None
    assert (home.pv.peak_w, home.battery.capacity_wh, home.battery.max_charge_w) == (8000, 10000, 5000)
    assert (home.ev.capacity_wh, home.ev.soc_pct, home.ev.phases, home.ev.plugged_at_start) == (60000, 35, 3, True)
    assert home.ev.max_a * 3 * 230 == 11040
    assert {device.port for device in home.device} == {0}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("home = 2", "home: "),
        ("name = 'x'", "home: "),
        (HOUSE + "colour = 'red'", "colour: "),
        (HOUSE + "zone = 'Europe/Atlantis'", "zone: "),
        (HOUSE + "latitude = 'north'", "latitude: "),
        (HOUSE + PV.replace("8000", "-1"), "pv.peak_w: "),
        (HOUSE + BATTERY.replace("soc_pct = 50", "soc_pct = 101"), "battery.soc_pct: "),
        (HOUSE + BATTERY.replace("soc_pct = 50", "min_soc_pct = 100"), "battery.min_soc_pct: "),
        (HOUSE + EV.replace("soc_pct = 35", "max_a = 5"), "ev.max_a: "),
        (HOUSE + METER.replace("sunspec.meter", "sunspec.toaster"), "device.0.kind: "),
        (HOUSE + METER.replace('"meter"', '"Meter 1"'), "device.0.id: "),
        (HOUSE + METER + METER, "device.1.id: "),
        (HOUSE + '[[device]]\nid = "b"\nkind = "sunspec.battery"', "device.0.kind: "),
        (HOUSE + METER + "port = 7\n" + METER.replace('"meter"', '"two"') + "port = 7", "device.1.port: "),
        (HOUSE + PV + PV.split("cloudiness = 0")[1].replace('"inverter"', '"two"'), "device.1.kind: "),
        (HOUSE + METER + '[[fault]]\nkind="silence"\ntarget="nobody"\nstart_s=0\nfor_s=1', "fault.0.target: "),
        (HOUSE + METER + '[[fault]]\nkind="smoke"\ntarget="meter"\nstart_s=0\nfor_s=1', "fault.0.kind: "),
        (HOUSE + EV + "[mqtt]\nhost = '127.0.0.1'", "mqtt.port: "),
        ("home = ", "not TOML"),
    ],
)
def test_a_fault_is_named_with_its_path(text: str, path: str) -> None:
    with pytest.raises(HomeError) as caught:
        parse_home(text)
    assert any(fault.startswith(path) for fault in caught.value.faults), caught.value.faults


def test_all_faults_come_at_once() -> None:
    text = HOUSE + PV.replace("8000", "0") + BATTERY.replace("5000", "'much'") + "colour = 1\n"
    with pytest.raises(HomeError) as caught:
        parse_home(text, "my.toml")
    assert len(caught.value.faults) == 3
    assert str(caught.value).startswith("my.toml: 3 fault(s): ")


def test_a_file_that_is_not_there_is_a_fault_too(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="can't be read"):
        load_home(tmp_path / "none.toml")


README = Path(__file__).parents[2] / "hw-sim" / "README.md"


def test_the_example_in_the_readme_is_a_right_home_and_shows_every_key() -> None:
    text = README.read_text()
    example = text.split("```toml\n")[1].split("```")[0]
    home = parse_home(example, "README.md")
    assert len(home.device) == 2

    def keys(model: type[BaseModel]) -> set[str]:
        found = set(model.model_fields)
        for field in model.model_fields.values():
            for part in (field.annotation, *get_args(field.annotation)):
                if isinstance(part, type) and issubclass(part, BaseModel):
                    found |= keys(part)
        return found

    missing = {key for key in keys(Home) if not re.search(rf"\b{key}\b", example)}
    assert missing == set()


def test_a_start_without_an_offset_is_local() -> None:
    home = parse_home('home = 1\nzone = "Europe/Berlin"\nstart = 2026-06-15T06:00:00')
    assert home.begins_at() == datetime(2026, 6, 15, 4, 0, tzinfo=UTC)
    assert home.begins_at("2026-01-15T06:00") == datetime(2026, 1, 15, 5, 0, tzinfo=UTC)
    assert home.begins_at("2026-01-15T06:00+00:00") == datetime(2026, 1, 15, 6, 0, tzinfo=UTC)
    assert parse_home("home = 1").begins_at() is None
