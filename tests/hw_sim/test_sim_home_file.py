"""Home files: every fault is named with its path, and the ready-made ones are right."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from hw_sim.happenings import EVENTS, FAULTS, EventSpec, FaultSpec
from hw_sim.home import Home, HomeError, load_home, parse_home
from hw_sim.scenario import load_scenario
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
    assert (home.pv[0].peak_w, home.battery[0].capacity_wh, home.battery[0].max_charge_w) == (8000, 10000, 5000)
    assert (home.ev[0].capacity_wh, home.ev[0].soc_pct, home.ev[0].phases, home.ev[0].plugged_at_start) == (
        60000,
        35,
        3,
        True,
    )
    assert home.ev[0].max_a * 3 * 230 == 11040
    assert {device.port for device in home.device} == {0}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("home = 2", "home: "),
        ("name = 'x'", "home: "),
        (HOUSE + "colour = 'red'", "colour: "),
        (HOUSE + "zone = 'Europe/Atlantis'", "zone: "),
        (HOUSE + "latitude = 'north'", "latitude: "),
        (HOUSE + PV.replace("8000", "-1"), "pv.0.peak_w: "),
        (HOUSE + BATTERY.replace("soc_pct = 50", "soc_pct = 101"), "battery.0.soc_pct: "),
        (HOUSE + BATTERY.replace("soc_pct = 50", "min_soc_pct = 100"), "battery.0.min_soc_pct: "),
        (HOUSE + EV.replace("soc_pct = 35", "max_a = 5"), "ev.0.max_a: "),
        (HOUSE + METER.replace("sunspec.meter", "sunspec.toaster"), "device.0.kind: "),
        (HOUSE + METER.replace('"meter"', '"Meter 1"'), "device.0.id: "),
        (HOUSE + METER + METER, "device.1.id: "),
        (HOUSE + '[[device]]\nid = "b"\nkind = "sunspec.battery"', "device.0.kind: "),
        (HOUSE + METER + "port = 7\n" + METER.replace('"meter"', '"two"') + "port = 7", "device.1.port: "),
        (HOUSE + PV + PV.split("cloudiness = 0")[1].replace('"inverter"', '"two"'), "device.1.of: "),
        (HOUSE + METER + '[[fault]]\nkind="silence"\ntarget="nobody"\nat_s=0\nfor_s=1', "fault.0.target: "),
        (HOUSE + METER + '[[fault]]\nkind="smoke"\ntarget="meter"\nat_s=0\nfor_s=1', "fault.0.kind: "),
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


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)


def keys(model: type[BaseModel]) -> set[str]:
    """Of a home, but of its time line, which has tables of its own."""
    found = set(model.model_fields)
    for name, field in model.model_fields.items():
        if name not in {"event", "fault"}:
            for part in models_in(field.annotation):
                found |= keys(part)
    return found


def blocks() -> list[str]:
    return [block.split("```")[0] for block in README.read_text().split("```toml\n")[1:]]


def test_the_example_in_the_readme_is_a_right_home_and_shows_every_key() -> None:
    example = blocks()[0]
    home = parse_home(example, "README.md")
    assert len(home.device) == 5
    assert {key for key in keys(Home) if not re.search(rf"\b{key}\b", example)} == set()


def test_the_readme_tells_of_every_event_fault_and_key() -> None:
    text = README.read_text()
    told = set(re.findall(r"`(\w+)`", text))
    assert set(EVENTS) | set(FAULTS) <= told
    keys = (EventSpec.model_fields.keys() | FaultSpec.model_fields.keys()) - {"kind"}
    assert {key for key in keys if not re.search(rf"\b{key}\b", text)} == set()


def test_the_scenario_in_the_readme_is_a_right_one(tmp_path: Path) -> None:
    path = tmp_path / "evening.toml"
    path.write_text(blocks()[1])
    scenario = load_scenario(path)
    assert (scenario.name, scenario.for_s, scenario.home.seed) == ("Bad evening", 7200, 4)
    assert scenario.home.load.base_w == 300
    assert scenario.home.battery[0].soc_pct == 20


def test_a_start_without_an_offset_is_local() -> None:
    home = parse_home('home = 1\nzone = "Europe/Berlin"\nstart = 2026-06-15T06:00:00')
    assert home.begins_at() == datetime(2026, 6, 15, 4, 0, tzinfo=UTC)
    assert home.begins_at("2026-01-15T06:00") == datetime(2026, 1, 15, 5, 0, tzinfo=UTC)
    assert home.begins_at("2026-01-15T06:00+00:00") == datetime(2026, 1, 15, 6, 0, tzinfo=UTC)
    assert parse_home("home = 1").begins_at() is None
