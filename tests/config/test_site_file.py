"""Whole site files: the documented example, faults, what writing keeps."""

import re
import stat
import tomllib
from datetime import time
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import cem.config
from cem.config.drivers import load_drivers
from cem.config.load import check_table, load_site
from cem.config.places import place_of_zone
from cem.config.raw import read_raw
from cem.config.schema import SiteTable, Table
from cem.config.write import dump_site, write_secret, write_site
from cem.model.errors import SiteFileError
from cem.model.resource import Control, Role
from cem.model.site import Place
from cem.ports import DeviceConfig, Driver
from support.toy_driver import ToyDriver

README = Path(cem.config.__file__).parent / "README.md"
DRIVERS: dict[str, Driver] = {"sunspec": ToyDriver(), "mqtt": ToyDriver()}


class Anything(ToyDriver):
    """A driver that is content with every link."""

    def faults(self, config: DeviceConfig) -> list[str]:
        return []


def example() -> str:
    """The example of the README."""
    match = re.search(r"```toml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert match
    return match[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_secret(tmp_path / "utility.secret", "s3cret")
    (tmp_path / "site.toml").write_text(example(), encoding="utf-8")
    return tmp_path


def test_a_car_without_a_time_of_its_owner_is_learnt(folder: Path) -> None:
    text = example().replace('ready_by = "07:00"\nenergy_wh = 12000', 'ready_by = "habit"')
    (folder / "site.toml").write_text(text, encoding="utf-8")
    site = load_site(folder / "site.toml", DRIVERS).site
    assert site.goals == ()
    assert site.learnt_cars == ("car",)


def test_the_documented_example_loads(folder: Path) -> None:
    loaded = load_site(folder / "site.toml", DRIVERS)
    assert loaded.site.name == "Demo home"
    assert [resource.id for resource in loaded.site.resources] == ["grid", "pv", "battery", "car"]
    assert loaded.site.of(Role.PV)[0].controls == {Control.PV_LIMIT_W}
    assert loaded.site.goals[0].ready_by == time(7, 0)
    assert loaded.site.learnt_cars == ()
    assert loaded.site.tariff.periods[1].weekdays == frozenset(range(5))
    assert loaded.site.battery_policy("battery").reserve_pct == 10
    assert loaded.devices[1].serial == "PV-1"
    assert loaded.providers[0].client_secret == "s3cret"
    assert loaded.providers[0].programmes[0].mandatory
    assert loaded.providers[0].stale_after_s() == 60


def test_the_wait_after_events_is_fifteen_minutes_unless_site_or_provider_say_otherwise(folder: Path) -> None:
    policy = load_site(folder / "site.toml", DRIVERS).site.policy
    assert (policy.spread_for("utility"), policy.spread_for("other")) == (900.0, 900.0)
    text = example().replace(
        'client_secret_file = "utility.secret"', 'client_secret_file = "utility.secret"\nspread_s = 30'
    )
    (folder / "site.toml").write_text(text, encoding="utf-8")
    policy = load_site(folder / "site.toml", DRIVERS).site.policy
    assert (policy.spread_for("utility"), policy.spread_for("other")) == (30.0, 900.0)


VOLT_WATT = "[volt_watt]\npoints = [[106, 100], [108.5, 60], [110, 20]]\n"


def test_the_houses_own_volt_watt_is_a_curve_over_the_nominal_voltage(folder: Path) -> None:
    (folder / "site.toml").write_text(f"{example()}\n{VOLT_WATT}", encoding="utf-8")
    curve = load_site(folder / "site.toml", DRIVERS).site.policy.volt_watt
    assert curve is not None
    assert (curve.at(1.0), curve.at(1.085), curve.at(1.2)) == pytest.approx((1.0, 0.6, 0.2))
    table = check_table(read_raw(folder / "site.toml"), folder, DRIVERS)
    assert SiteTable.model_validate(tomllib.loads(dump_site(table))) == table


@pytest.mark.parametrize(
    "points", ["[[106, 100]]", "[[110, 20], [106, 100]]", "[[106, 20], [110, 100]]", "[[106, 120], [110, 20]]"]
)
def test_points_that_do_not_fall_are_refused(folder: Path, points: str) -> None:
    (folder / "site.toml").write_text(f"{example()}\n[volt_watt]\npoints = {points}\n", encoding="utf-8")
    with pytest.raises(SiteFileError, match=r"volt_watt\.points"):
        load_site(folder / "site.toml", DRIVERS)


@pytest.mark.parametrize(
    ("zone", "place"),
    [("Europe/Berlin", (52.5, 13.37)), ("America/Los_Angeles", (34.05, -118.24)), ("UTC", None), ("Etc/GMT+5", None)],
)
def test_a_house_that_does_not_say_where_it_stands_is_near_the_city_of_its_time_zone(
    zone: str, place: tuple[float, float] | None
) -> None:
    found = place_of_zone(zone)
    assert (found is None) is (place is None)
    if found is not None and place is not None:
        assert (found.latitude_deg, found.longitude_deg) == pytest.approx(place, abs=0.01)


def test_a_house_may_say_where_it_stands(folder: Path) -> None:
    place = "[place]\nlatitude = 48.1\nlongitude = 11.6\n\n[connection]"
    assert load_site(folder / "site.toml", DRIVERS).site.place == place_of_zone("Europe/Berlin")
    (folder / "site.toml").write_text(example().replace("[connection]", place), encoding="utf-8")
    assert load_site(folder / "site.toml", DRIVERS).site.place == Place(48.1, 11.6)


def test_houses_of_the_same_name_are_told_apart_by_their_devices(folder: Path) -> None:
    one = load_site(folder / "site.toml", DRIVERS).site
    assert load_site(folder / "site.toml", DRIVERS).site.identity == one.identity
    (folder / "site.toml").write_text(example().replace('"PV-1"', '"PV-2"'), encoding="utf-8")
    other = load_site(folder / "site.toml", DRIVERS).site
    assert other.name == one.name
    assert other.identity != one.identity
    assert other.chance("an event") != one.chance("an event")


def test_relative_paths_start_at_the_site_file(folder: Path) -> None:
    text = example().replace('"go-e.v2"', '"own/wallbox.toml"')
    text = text.replace("port = 1883 }", 'port = 1883, ca_file = "ca.pem", password_file = "/run/password" }')
    (folder / "site.toml").write_text(text, encoding="utf-8")
    loaded = load_site(folder / "site.toml", {"sunspec": ToyDriver(), "mqtt": Anything()})
    assert loaded.store_folder == folder / "state"
    assert loaded.socket_path == folder / "cem.sock"
    assert loaded.devices[3].profile == str(folder / "own/wallbox.toml")
    assert loaded.devices[3].link["ca_file"] == str(folder / "ca.pem")
    assert loaded.devices[3].link["password_file"] == "/run/password"


def test_the_secret_is_not_in_the_representation(folder: Path) -> None:
    assert "s3cret" not in repr(load_site(folder / "site.toml", DRIVERS))


def test_a_read_only_site_makes_every_device_read_only(folder: Path) -> None:
    text = example().replace("read_only = false", "read_only = true", 1)
    (folder / "site.toml").write_text(text, encoding="utf-8")
    loaded = load_site(folder / "site.toml", DRIVERS)
    assert loaded.read_only
    assert all(device.read_only for device in loaded.devices)


def test_every_key_is_in_the_readme() -> None:
    text = README.read_text(encoding="utf-8").partition("## Every key")[2]
    tables: list[type[Table]] = [SiteTable]
    keys: set[str] = set()
    while tables:
        table = tables.pop()
        for name, field in table.model_fields.items():
            inner = re.findall(r"schema\.(\w+Table)", str(field.annotation))
            tables += [getattr(cem.config.schema, name) for name in inner]
            if not inner:
                keys.add(field.alias or name)
    assert {key for key in keys if f"`{key}`" not in text} == set()


def test_writing_and_reading_give_the_same_table(folder: Path) -> None:
    table = check_table(read_raw(folder / "site.toml"), folder, DRIVERS)
    again = SiteTable.model_validate(tomllib.loads(dump_site(table)))
    assert again == table


def test_a_written_file_is_whole_and_not_open_to_others(folder: Path) -> None:
    table = check_table(read_raw(folder / "site.toml"), folder, DRIVERS)
    write_site(folder / "new.toml", table)
    assert stat.S_IMODE((folder / "new.toml").stat().st_mode) == 0o640
    assert stat.S_IMODE((folder / "utility.secret").stat().st_mode) == 0o600
    assert load_site(folder / "new.toml", DRIVERS).site == load_site(folder / "site.toml", DRIVERS).site
    assert not list(folder.glob(".*"))


def test_a_failed_write_leaves_the_old_file(folder: Path) -> None:
    table = check_table(read_raw(folder / "site.toml"), folder, DRIVERS)
    (folder / "taken.toml").mkdir()
    with pytest.raises(IsADirectoryError):
        write_site(folder / "taken.toml", table)
    assert not list(folder.glob(".*"))


def test_a_syntax_error_is_told_with_line_and_column(folder: Path) -> None:
    (folder / "site.toml").write_text('site = 1\nname = "a\n', encoding="utf-8")
    with pytest.raises(SiteFileError) as caught:
        load_site(folder / "site.toml", DRIVERS)
    assert caught.value.faults[0].startswith(f"{folder}/site.toml:2:10: ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff = 1", "site.toml:1: not UTF-8 text"),
        (b"", "site: missing; the first line of a site file is: site = 1"),
        (b"site = 2\nnew = 3", "site: 2 seen; this version reads format 1"),
        (b"#" * ((1 << 20) + 1), "more than 1048576 bytes"),
        (b"x = [", "at its end"),
    ],
)
def test_what_is_no_site_file_is_refused(folder: Path, content: bytes, words: str) -> None:
    (folder / "site.toml").write_bytes(content)
    with pytest.raises(SiteFileError) as caught:
        load_site(folder / "site.toml", DRIVERS)
    assert len(caught.value.faults) == 1
    assert words in caught.value.faults[0]


def test_a_missing_file_says_what_writes_one(tmp_path: Path) -> None:
    with pytest.raises(SiteFileError, match=r"there is no such file; cem provision writes one"):
        load_site(tmp_path / "site.toml", DRIVERS)


def test_a_driver_that_cannot_be_imported_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    entries = [
        EntryPoint("gone", "no_such_package:DRIVER", "cem.drivers"),
        EntryPoint("toy", "support.toy_driver:ToyDriver", "cem.drivers"),
    ]
    monkeypatch.setattr("cem.config.drivers.entry_points", lambda group: entries)
    assert list(load_drivers()) == ["toy"]
    assert "driver 'gone' cannot be loaded" in caplog.text


def test_the_installed_drivers_are_found_by_name() -> None:
    drivers = load_drivers()
    assert (
        [driver.name for driver in drivers.values()]
        == list(drivers)
        == ["gpio", "modbus", "mqtt", "ocpp", "serial", "sunspec"]
    )


def test_the_documented_example_suits_the_installed_drivers(folder: Path) -> None:
    assert len(load_site(folder / "site.toml", load_drivers()).devices) == 4
