"""`cem provision` and `cem scan` as people type them."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import cem.commissioning
from cem.cli.provision import provision
from cem.cli.provision_ask import ask_missing
from cem.cli.scan import scan
from cem.commissioning.knock import REFUSED
from cem.commissioning.provisioning import all_links
from cem.commissioning.site import Answers, answer_faults, read_answers
from cem.config.drivers import load_drivers
from cem.config.load import load_site

DEMO = Path(__file__).parents[2] / "hw-sim" / "homes" / "demo.toml"
HOME = ("--phases", "3", "--fuse-a", "35", "--timezone", "Europe/Berlin", "--price", "0.3", "--socket", "cem.sock")
NOBODY = "127.0.0.1:9"  # the discard port: nobody listens


@pytest.fixture(scope="module")
def addresses() -> Iterator[dict[str, dict[str, Any]]]:
    """The devices of a simulated home on real sockets."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hw_sim.cli", "serve", str(DEMO), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["devices"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=15)


def where(addresses: dict[str, dict[str, Any]]) -> list[str]:
    """The addresses as options."""
    return [
        word
        for entry in addresses.values()
        for word in ("--mqtt" if "topic" in entry else "--modbus", f"{entry['host']}:{entry['port']}")
    ]


def called(*arguments: str) -> Result:
    """`cem provision` with arguments; there is no terminal."""
    return CliRunner().invoke(provision, list(arguments))


def test_scan_shows_every_device_of_the_home(addresses: dict[str, dict[str, Any]]) -> None:
    texts = [f"{entry['host']}:{entry['port']}" for entry in addresses.values()]
    answer = CliRunner().invoke(scan, [*texts, NOBODY, "--json", "--timeout", "1"])
    assert answer.exit_code == 0, answer.output
    seen = json.loads(answer.stdout)
    assert {found["serial"] for sighting in seen for found in sighting["found"]} == {
        entry["serial"] for entry in addresses.values()
    }
    assert [sighting["found"] for sighting in seen if sighting["address"].startswith(NOBODY)] == [[], []]


def test_scan_of_nothing_ends_with_one() -> None:
    answer = CliRunner().invoke(scan, [f"modbus://{NOBODY}", "--timeout", "0.2"])
    assert answer.exit_code == 1
    assert answer.stdout == f"127.0.0.1:9: {REFUSED}\n"
    assert "nothing found: check power" in answer.stderr


def test_scan_of_no_address_is_wrong_use() -> None:
    assert CliRunner().invoke(scan, ["h:502/x"]).exit_code == 2


def test_a_dry_run_reads_everything_and_writes_nothing(addresses: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    answer = called("--out", str(tmp_path / "site.toml"), *HOME, *where(addresses), "--dry-run", "--json")
    assert answer.exit_code == 0, answer.stderr
    record = json.loads(answer.stdout)
    assert record["passed"] is True
    assert [device["id"] for device in record["devices"]] == ["meter", "inverter", "storage", "charger"]
    assert record["record_file"] is None
    assert list(tmp_path.iterdir()) == []
    assert "ok   read     grid" in answer.stderr


@pytest.mark.slow
def test_a_home_is_provisioned_over_real_sockets(addresses: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    secret = tmp_path / "utility.secret"
    secret.write_text("s3cret", encoding="utf-8")
    secret.chmod(0o600)
    given = tmp_path / "answers.toml"
    given.write_text(
        '[[goal]]\nresource = "car"\nready_by = "07:00"\nenergy_wh = 9000\n[plan]\nenabled = false\n', encoding="utf-8"
    )
    provider = ("--provider", "http://127.0.0.1:1/", "--ven-name", "v", "--client-id", "c")
    secrets = ("--client-secret-file", str(secret), "--programme", "capacity:mandatory")
    out = tmp_path / "site.toml"
    answer = called("--out", str(out), "--from", str(given), *HOME, *provider, *secrets, *where(addresses), "--yes")
    assert answer.exit_code == 0, answer.output
    loaded = load_site(out, load_drivers())
    assert len(loaded.devices) == 4
    assert loaded.providers[0].client_secret == "s3cret"
    assert loaded.providers[0].mandatory
    assert loaded.site.goals[0].energy_wh == 9000
    assert not loaded.plan.enabled
    assert "0 failed" in answer.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "connection: missing; every site file needs it; give --phases and --fuse-a"),
        (("--phases", "3"), "connection.fuse_a: missing; every [connection] needs it; give --fuse-a"),
        (
            HOME,
            "no address to look at: give --modbus HOST:PORT/UNIT, --mqtt HOST:PORT, --serial LINE or "
            "--ocpp LISTEN:PORT, or --gpio WIRE=PIN,...",
        ),
        ((*HOME, "--modbus", "h:502/3-"), "units are such as /1"),
        ((*HOME, "--currency", "euro"), "currency: 'euro' seen; needed: three capital letters"),
        ((*HOME, "--provider", "https://v/"), "--provider also needs --ven-name, --client-id, --client-secret-file"),
        ((*HOME, "--ven-name", "v"), "need --provider URL"),
        (("--out", "/nowhere/site.toml"), "/nowhere: no such folder for the site file"),
        (("--from", "/nowhere/answers.toml"), "/nowhere/answers.toml: there is no such file"),
    ],
)
def test_what_is_missing_is_named_and_ends_with_two(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    answer = called("--out", str(tmp_path / "site.toml"), *arguments)
    assert answer.exit_code == 2, answer.output
    assert words in answer.stderr


def test_a_site_file_is_not_written_over_unasked(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text("mine", encoding="utf-8")
    answer = called("--out", str(tmp_path / "site.toml"), *HOME, "--modbus", NOBODY)
    assert answer.exit_code == 2
    assert "--replace writes over it" in answer.stderr
    assert (tmp_path / "site.toml").read_text(encoding="utf-8") == "mine"


def test_nothing_found_ends_with_one(tmp_path: Path) -> None:
    answer = called("--out", str(tmp_path / "site.toml"), *HOME, "--modbus", NOBODY)
    assert answer.exit_code == 1
    assert "nothing that a driver knows answers at 127.0.0.1:9" in answer.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_person_is_asked_only_for_what_is_missing() -> None:
    @click.command()
    def ask() -> None:
        answers = ask_missing(Answers({"name": "Ours", "timezone": "Europe/Berlin"}))
        click.echo(json.dumps([answers.site, answers.find.modbus, answers.find.mqtt, answers.find.ocpp]))

    answer = CliRunner().invoke(ask, input="h:502/1 nonsense/x\nh:502/1\n\n0.0.0.0\n1\n25\n0.31\n\n")
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.stdout) == [
        {
            "name": "Ours",
            "timezone": "Europe/Berlin",
            "connection": {"phases": 1, "fuse_a": 25.0},
            "tariff": {"base_price_per_kwh": 0.31, "export_price_per_kwh": 0.08},
        },
        ["h:502/1"],
        [],
        ["0.0.0.0"],
    ]
    assert "'nonsense/x' is no address" in answer.stderr
    assert "Name of the home" not in answer.stderr


def _asked(text: str) -> tuple[Answers, str]:
    """The answers of a person who types these lines, and what was on the screen."""
    found: list[Answers] = []

    @click.command()
    def ask() -> None:
        found.append(ask_missing(Answers()))

    answer = CliRunner().invoke(ask, input=text)
    assert answer.exit_code == 0, answer.output
    return found[0], answer.stderr


def test_an_unknown_time_zone_is_asked_again_at_once() -> None:
    answers, screen = _asked("h:502\n\n\n\nbogus\nEurope/Berlin\n\n\n\n\n")
    assert answers.site["timezone"] == "Europe/Berlin"
    assert "'bogus' is no time zone" in screen


def test_the_addresses_come_first_and_are_asked_again_when_empty() -> None:
    answers, screen = _asked("\n\n\n\nbroker\n\n\nUTC\n\nnan\n16\n\n\n")
    assert answers.find.mqtt == ("broker",)
    assert screen.count("at least one address is needed") == 1
    assert answers.site["connection"] == {"phases": 3, "fuse_a": 16.0}
    assert screen.index("Modbus devices") < screen.index("Name of the home")


def test_a_missing_secret_file_is_told_before_any_device_is_asked(tmp_path: Path) -> None:
    provider = ("--provider", "https://v/", "--ven-name", "v", "--client-id", "c", "--client-secret-file", "sec")
    answer = called("--out", str(tmp_path / "site.toml"), *HOME, *provider, "--modbus", NOBODY)
    assert answer.exit_code == 2, answer.output
    assert f"provider[0].client_secret_file: {Path('sec').absolute()}: No such file" in answer.stderr
    assert NOBODY not in answer.output


def test_an_unknown_time_zone_is_told_before_any_device_is_asked(tmp_path: Path) -> None:
    answer = called("--out", str(tmp_path / "s.toml"), *HOME, "--timezone", "Moon/Base", "--modbus", NOBODY)
    assert answer.exit_code == 2
    assert "timezone: 'Moon/Base' seen" in answer.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "[find]\nmodbs = []",
            "find.modbs: unknown key; allowed: modbus, mqtt, serial, gpio, try_contacts, ocpp, grid, read_only, "
            "max_power_w, broker (did you mean 'modbus'?)",
        ),
        ("[[device]]\nid = 1", "device: seen in an answers file; devices are found at the addresses in [find]"),
        ("name = 3", "name: 3 seen; text in quotes is needed"),
        ("x = ?\n", "answers.toml:1:5: "),
    ],
)
def test_a_faulty_answers_file_is_told_with_its_fault(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "answers.toml").write_text(text, encoding="utf-8")
    answer = called("--out", str(tmp_path / "s.toml"), "--from", str(tmp_path / "answers.toml"), *HOME)
    assert answer.exit_code == 2
    assert words in answer.stderr


def test_the_documented_answers_file_is_read(tmp_path: Path) -> None:
    readme = Path(cem.commissioning.__file__).with_name("README.md").read_text(encoding="utf-8")
    (tmp_path / "answers.toml").write_text(readme.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    answers = read_answers(tmp_path / "answers.toml")
    assert answer_faults(answers) == []
    assert [link["unit"] for link in all_links(answers) if "unit" in link] == [1, 1, 200]
