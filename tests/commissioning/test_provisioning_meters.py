"""`cem scan` and `cem provision` with meters that speak by themselves, on real terminals and sockets."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from click.testing import CliRunner

from cem.cli.provision import provision
from cem.cli.scan import scan
from cem.config.drivers import load_drivers
from cem.config.load import load_site
from support.meter_frames import SML, TEXT
from support.meter_lines import Speaking, pty_line, tcp_line

HOME = ("--phases", "3", "--fuse-a", "35", "--timezone", "Europe/Berlin", "--price", "0.3", "--socket", "cem.sock")


@contextmanager
def lines(folder: Path, on_terminal: bytes, on_socket: bytes) -> Iterator[tuple[Speaking, Speaking]]:
    """A meter on a terminal and one behind a serial server, in a loop of their own, as commands bring theirs."""
    ready, stop = threading.Event(), asyncio.Event()
    found: list[Speaking] = []
    loops: list[asyncio.AbstractEventLoop] = []

    async def main() -> None:
        async with pty_line(folder, on_terminal) as terminal, tcp_line(on_socket) as server:
            found.extend((terminal, server))
            loops.append(asyncio.get_running_loop())
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield found[0], found[1]
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(10)


def test_scan_tells_profile_confidence_and_what_the_owner_has_to_do(tmp_path: Path) -> None:
    with lines(tmp_path, SML["iskra-mt631-without-pin"].octets, TEXT["iskra-dsmr5"].octets) as (terminal, server):
        address = f"serial-tcp://127.0.0.1:{server.link['port']}"
        answer = CliRunner().invoke(scan, [f"serial:{terminal.link['device']}", address])
    assert answer.exit_code == 0, answer.output
    told = answer.stdout.splitlines()
    at = f"{terminal.link['device']}: Iskraemeco electricity meter, serial 1ISK0075126084: grid, measured"
    assert told[0] == f"{at} (driver serial, profile sml.generic, 95% sure)"
    assert told[1].startswith("    The meter sends counters only: enter its PIN, which the grid operator tells, and")
    assert "Iskraemeco MT382-1000 50, serial K8EG004046395507" in told[2]
    assert "profile p1.dsmr" in told[2]


def test_a_meter_on_a_line_is_provisioned(tmp_path: Path) -> None:
    out = tmp_path / "site.toml"
    with lines(tmp_path, SML["iskra-mt175-giving"].octets, b"") as (terminal, _):
        answer = CliRunner().invoke(
            provision, ["--out", str(out), *HOME, "--serial", str(terminal.link["device"]), "--yes"]
        )
    assert answer.exit_code == 0, answer.output
    loaded = load_site(out, load_drivers())
    (device,) = loaded.devices
    assert (device.driver, device.profile, device.serial) == ("serial", "sml.generic", "0649534B010E1F66299A")
    assert device.link["kind"] == "serial"
    assert "ok   read     grid: power -4308 W, import 10732309 Wh" in answer.stdout


def test_the_age_limit_fits_a_meter_that_speaks_every_ten_seconds(tmp_path: Path) -> None:
    out = tmp_path / "site.toml"
    with lines(tmp_path, TEXT["kaifa-dsmr42"].octets, b"") as (terminal, _):
        line = ("--serial", str(terminal.link["device"]))
        answer = CliRunner().invoke(provision, ["--out", str(out), *HOME, *line, "--yes", "--force"])
    assert "note: the meter tells new values every 10 s only: its age limit is set to 25 s" in answer.stdout
    assert load_site(out, load_drivers()).site.connection.meter_stale_s == 25.0


def test_a_meter_without_its_pin_fails_the_read_check_with_what_to_do(tmp_path: Path) -> None:
    out = tmp_path / "site.toml"
    with lines(tmp_path, SML["iskra-mt631-without-pin"].octets, b"") as (terminal, _):
        answer = CliRunner().invoke(
            provision, ["--out", str(out), *HOME, "--serial", str(terminal.link["device"]), "--yes", "--json"]
        )
    assert answer.exit_code == 1, answer.output
    record = json.loads(answer.stdout)
    (failed,) = [result for result in record["results"] if result["verdict"] == "failed"]
    assert failed["seen"] == "power_w missing: The meter sends counters only"
    assert failed["advice"].startswith("Enter its PIN")
    assert any(note.startswith("meter: The meter sends counters only: enter its PIN") for note in record["notes"])
    assert not out.exists()
