"""Starting badly: a nonsense site file starts nothing; with nothing reachable the gateway runs on what was agreed."""

from pathlib import Path

from cem.model.setpoint import Health, Mode
from support.stand import all_online, all_well, device, limit_of, ran, stand
from support.stand_files import DEFAULT_LIMIT_W

NONSENSE = {
    'timezone = "UTC"': 'timezone = "Nowhere/Land"',
    "phases = 3": "phases = 4",
    "fuse_a = 35": 'fuse_a = "thick"',
    'role = "battery"': 'role = "cheese"',
    "poll_s = 1\n": "poll_s = -1\n",
    'profile = "go-e.v2"': 'profile = "none.such"',
    "base_price_per_kwh = 0.30": "base_price_per_kwh = inf",
}
PATHS = (
    "timezone: ",
    "connection.phases: ",
    "connection.fuse_a: ",
    "device[2].resource[0].role: ",
    "device[3].profile: ",
    "provider[0].poll_s: ",
    "tariff.base_price_per_kwh: ",
)


def test_a_nonsense_site_file_names_every_fault_and_starts_nothing(tmp_path: Path) -> None:
    with stand(tmp_path) as house:
        text = house.site_file.read_text()
        for right, wrong in NONSENSE.items():
            text = text.replace(right, wrong)
        house.site_file.write_text(text)
        for command in ("run", "release"):
            done = ran("cem", command, "--config", str(house.site_file))
            assert done.returncode == 2
            assert done.stdout == ""
            lines = done.stderr.splitlines()
            for path in PATHS:
                assert any(line.startswith(path) for line in lines), (path, lines)
            assert "Traceback" not in done.stderr
        assert not (tmp_path / "state").exists()
        assert not (tmp_path / "cem.sock").exists()


def test_no_site_file_at_all_is_one_sentence(tmp_path: Path) -> None:
    done = ran("cem", "run", "--config", str(tmp_path / "none.toml"))
    assert done.returncode == 2
    assert "cem provision" in done.stderr
    assert "Traceback" not in done.stderr


def test_with_nothing_reachable_it_starts_says_so_and_picks_up_each(tmp_path: Path) -> None:
    with stand(tmp_path) as house:
        house.gateway.start()
        first = house.until(lambda _: True, within_s=5)
        assert limit_of(first) == [DEFAULT_LIMIT_W]
        assert first.links[0].state == "fallback"
        dead = house.until(lambda status: all(device.health is Health.SILENT for device in status.devices))
        assert dead.mode is Mode.SAFE
        assert limit_of(dead) == [DEFAULT_LIMIT_W]
        named = {alarm.id: alarm for alarm in dead.alarms}
        assert set(named) == {"device.meter", "device.inverter", "device.storage", "device.charger", "link.utility"}
        assert all(alarm.advice and alarm.effect for alarm in named.values())
        shown = house.command("status")
        assert shown.returncode == 1
        assert all(alarm.advice in " ".join(shown.stdout.split()) for alarm in named.values()), shown.stdout
        house.home.start()
        awake = house.until(all_online)
        assert all(device(awake, name).detail == "" for name in ("meter", "inverter", "storage", "charger"))
        assert limit_of(awake) == [DEFAULT_LIMIT_W]
        assert [alarm.id for alarm in awake.alarms] == ["link.utility"]
        house.vtn.start()
        back = house.until(all_well)
        assert limit_of(back) == []
        house.until(lambda status: not status.alarms)
        assert house.gateway.terminate() == 0


def test_a_second_gateway_of_the_same_house_does_not_start(tmp_path: Path) -> None:
    with stand(tmp_path) as house:
        house.gateway.start()
        house.until(lambda _: True)
        second = ran("cem", "run", "--config", str(house.site_file))
        assert second.returncode == 1
        assert "another gateway answers" in second.stderr
        assert "Traceback" not in second.stderr
        assert house.status() is not None


def test_without_a_folder_for_its_record_it_runs_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file stands where the folder should be")
    with stand(tmp_path) as house:
        house.gateway.start()
        told = house.until(lambda status: any(alarm.id.startswith("disk.") for alarm in status.alarms))
        assert limit_of(told) == [DEFAULT_LIMIT_W]
        house.home.start()
        house.until(all_online)
        assert house.gateway.terminate() == 0
        assert "Traceback" not in house.gateway.words()
