"""The catalogue: whole, honest about its sources, and shown in the README as it is."""

from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import CliRunner

from cem.driver import Control, DeviceConfig, Resource, Role
from cem_drivers.profiled import DRIVER
from cem_drivers.profiled.catalogue import shipped_profiles
from cem_drivers.profiled.link import with_defaults
from cem_drivers.profiles.__main__ import main
from cem_drivers.profiles.store import shipped_texts
from cem_drivers.profiles.table import table

PROFILES = shipped_profiles()
FOLDER = Path(str(files("cem_drivers.profiles")))
README = FOLDER.parents[1] / "README.md"


def test_at_least_fifteen_families_cover_every_kind_of_device() -> None:
    roles = {role for profile in PROFILES.values() for role in profile.roles}
    assert len(PROFILES) >= 15
    assert roles >= {"grid", "pv", "battery", "ev", "heat_pump"}


def test_every_file_is_named_by_its_id() -> None:
    assert set(PROFILES) == set(shipped_texts(mqtt=False))


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_names_its_sources_and_is_honest_about_its_status(name: str) -> None:
    profile = PROFILES[name]
    assert all(len(evidence.doc) > 10 and evidence.revision for evidence in profile.evidence)
    assert all(len(row.source) >= 3 for row in profile.rows)
    assert all(control.release for control in profile.control)
    if profile.status != "draft":
        assert profile.golden
        told = [row.tells for row in profile.identify.points]
        assert "serial" in told or profile.identify.weak
        assert any(told) or not profile.control  # what is written is told from others, if only by its kind


def test_a_control_of_a_draft_is_a_fault_of_the_site_file() -> None:
    resource = Resource("ev", Role.EV, "box", "Box", controls=frozenset({Control.EV_LIMIT_A}))
    link = {"host": "192.0.2.7"}
    config = DeviceConfig("box", "Box", "modbus", link, (resource,), "amperfied.connect")
    (fault,) = DRIVER.faults(config)
    assert fault.startswith("resources[0].controls: ev.limit_a: the profile amperfied.connect is a draft")


def test_a_device_table_is_checked_against_its_profile() -> None:
    resource = Resource("roof", Role.PV, "box", "Box")
    config = DeviceConfig("box", "Box", "modbus", {"host": "192.0.2.7", "prot": 1}, (resource,), "go-e.modbsu")
    faults = DRIVER.faults(config)
    assert any(fault.startswith("link.prot: unknown key") for fault in faults)
    assert "profile: no profile 'go-e.modbsu'; did you mean 'go-e.modbus'?" in faults
    config = DeviceConfig("box", "Box", "modbus", {"host": "192.0.2.7"}, (resource,), "go-e.modbus")
    assert DRIVER.faults(config) == ["resources[0].role: pv is none of ev"]
    config = DeviceConfig("box", "Box", "modbus", {"kind": "rtu", "device": "/dev/ttyUSB0"}, (), "go-e.modbus")
    assert [fault.split(":")[0] for fault in DRIVER.faults(config)] == ["link.kind", "resources"]


@pytest.mark.parametrize(("name", "wrong"), [("carlo-gavazzi.em24", []), ("eastron.sdm630", ["link.kind"])])
def test_what_speaks_tcp_may_stand_behind_tls(name: str, wrong: list[str]) -> None:
    resource = Resource("grid", Role.GRID, "meter", "Meter")
    config = DeviceConfig("meter", "Meter", "modbus", {"kind": "tls", "host": "192.0.2.7"}, (resource,), name)
    assert [fault.split(":")[0] for fault in DRIVER.faults(config)] == wrong
    assert with_defaults(config.link, shipped_profiles()[name]).get("port") is None  # 802, not the port without TLS


def test_the_readme_shows_the_catalogue_as_it_is() -> None:
    assert table() in README.read_text(encoding="utf-8"), "run: python -m cem_drivers.profiles table"


def test_the_command_passes_what_ships_and_names_what_is_wrong(tmp_path: Path) -> None:
    fine = [str(file) for file in sorted(FOLDER.glob("*.toml"))]
    assert CliRunner().invoke(main, ["check", *fine]).exit_code == 0
    broken = tmp_path / "mine.toml"
    text = shipped_texts(mqtt=False)["go-e.modbus"].replace('"ev.power_w"\nat', '"ev.powr_w"\nat').replace("3600", "36")
    broken.write_text(text, encoding="utf-8")
    result = CliRunner().invoke(main, ["check", str(broken), str(tmp_path / "none.toml")])
    assert result.exit_code == 1
    assert "'ev.powr_w' is not in the vocabulary (did you mean 'ev.power_w'?)" in result.output
    assert "can't be read" in result.output
    assert CliRunner().invoke(main, ["table"]).output.strip() == table()
