"""Chargers that call in: found by waiting for them, told by name, taken into service over real sockets."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from cem.cli.commissioning_text import found_line
from cem.cli.provision import provision
from cem.cli.scan import scan
from cem.commissioning.discover import NOBODY_CALLS, discover
from cem.commissioning.targets import LinkKind, address, parse_target
from cem.config.drivers import load_drivers
from cem.config.load import load_site
from cem.model.resource import Control, Ratings, Role
from cem.ports import DriverContext, Found, Identity
from cem.simulation.plant import open_home
from cem.simulation.site import answers_for, site_of
from support.stand import free_ports

HOMES = Path(__file__).parents[2] / "hw-sim" / "homes"


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("ocpp://0.0.0.0", {"kind": "ocpp", "listen": "0.0.0.0", "port": 8887}),
        ("ocpp://192.0.2.2:9000", {"kind": "ocpp", "listen": "192.0.2.2", "port": 9000}),
        ("ocpp://[::1]:9000", {"kind": "ocpp", "listen": "::1", "port": 9000}),
    ],
)
def test_an_address_to_be_called_at_is_understood(text: str, link: dict[str, str | int]) -> None:
    assert parse_target(text) == [link]
    assert parse_target(text.removeprefix("ocpp://"), LinkKind.OCPP) == [link]
    assert address(link).endswith(str(link["port"]))


def test_a_unit_has_no_place_in_it() -> None:
    with pytest.raises(ValueError, match="call in at an address of this machine"):
        parse_target("ocpp://0.0.0.0:8887/3")


def test_a_simulated_home_is_found_as_provisioning_finds_a_real_one() -> None:
    home = open_home(HOMES / "garage.toml")
    site = site_of(home, answers_for(home))
    found = {device.serial: device for device in site.devices if device.driver == "ocpp"}
    assert found.keys() == {"OC-16-001", "OC-201-001"}
    assert {device.link["identity"] for device in found.values()} == {"GARAGE", "CARPORT"}
    assert all(device.resources[0].controls for device in found.values())


def test_a_place_that_a_gateway_has_is_told() -> None:
    async def main() -> None:
        server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
        link = {"kind": "ocpp", "listen": "127.0.0.1", "port": server.sockets[0].getsockname()[1]}
        context = DriverContext(asyncio.get_running_loop().time)
        (sighting,) = await discover([link], load_drivers(), context, timeout_s=0.2)
        assert sighting.found == ()
        assert "a gateway that runs has the place" in sighting.trouble[0]
        assert sighting.instead == ""
        server.close()
        await server.wait_closed()

    asyncio.run(main())


@dataclass(frozen=True)
class Calling:
    """A home whose two chargers call at a port."""

    port: int
    meters: tuple[str, ...]


@pytest.fixture
def calling(tmp_path: Path) -> Iterator[Calling]:
    (port,) = free_ports(1)
    text = (HOMES / "garage.toml").read_text(encoding="utf-8")
    url = f'kind = "ocpp.charger"\ncalls = "ws://127.0.0.1:{port}/x"'
    (tmp_path / "home.toml").write_text(text.replace('kind = "ocpp.charger"', url), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "hw_sim.cli", "serve", str(tmp_path / "home.toml"), "--json"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        devices = json.loads(process.stdout.readline())["devices"]
        yield Calling(port, tuple(f"{d['host']}:{d['port']}" for d in devices.values() if "unit" in d))
    finally:
        process.terminate()
        process.communicate(timeout=15)


@pytest.mark.slow
def test_scan_names_everybody_who_calls(calling: Calling) -> None:
    answer = CliRunner().invoke(scan, [f"ocpp://127.0.0.1:{calling.port}"])
    assert answer.exit_code == 0, answer.output
    assert "GARAGE calls in: hw-sim Charger 16 A sim-1.6, serial OC-16-001" in answer.stdout
    assert "CARPORT calls in: hw-sim Charger 16 A sim-2.0.1, serial OC-201-001" in answer.stdout


@pytest.mark.slow
def test_scan_of_a_place_where_nobody_calls_says_what_to_do() -> None:
    (port,) = free_ports(1)
    answer = CliRunner().invoke(scan, [f"ocpp://127.0.0.1:{port}"])
    assert answer.exit_code == 1
    assert NOBODY_CALLS in answer.stdout


@pytest.mark.slow
def test_chargers_are_provisioned_over_real_sockets(calling: Calling, tmp_path: Path) -> None:
    out = tmp_path / "site.toml"
    devices = [word for place in calling.meters for word in ("--modbus", place)]
    home = ("--phases", "3", "--fuse-a", "35", "--timezone", "Europe/Berlin", "--price", "0.3", "--socket", "cem.sock")
    called = ("--ocpp", f"127.0.0.1:{calling.port}", "--yes")
    answer = CliRunner().invoke(provision, ["--out", str(out), *home, *devices, *called])
    assert answer.exit_code == 0, answer.output
    assert "0 failed" in answer.stdout
    loaded = load_site(out, load_drivers())
    chargers = [device for device in loaded.devices if device.driver == "ocpp"]
    assert {device.serial for device in chargers} == {"OC-16-001", "OC-201-001"}
    assert all(device.profile == "ocpp.generic" for device in chargers)


def test_a_found_charger_is_told_by_the_name_under_which_it_calls() -> None:

    resources = ((Role.EV, Ratings(), frozenset({Control.EV_LIMIT_A})),)
    found = Found("ocpp", "ocpp.generic", Identity("M", "X", "S"), {}, resources, 0.7, {"calls_in_as": "CP1"})
    assert found_line("0.0.0.0:8887", found).startswith("0.0.0.0:8887: CP1 calls in: M X, serial S: ev, steered by")
