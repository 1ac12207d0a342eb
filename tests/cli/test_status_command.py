"""`cem status` and `cem dashboard --screenshot` as separate processes, against a served status."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import click
import pytest

from cem.cli.gateway_socket import DEFAULT_SOCKET, find_socket
from cem.model.line import LineCounts
from cem.model.status import Status
from support.gateways import gateway
from support.statuses import fallback, islanded, limited, normal, safe, starting


async def _cem(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of one command."""
    kept = {name: value for name, value in os.environ.items() if name not in {"CEM_SOCKET", "CEM_CONFIG", "COLUMNS"}}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from cem.cli.main import main; main()",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**kept, **environment},
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def _status(tmp_path: Path, status: Status, *arguments: str) -> tuple[int, str, str]:
    async def main() -> tuple[int, str, str]:
        async with gateway(tmp_path / "api", status) as found:
            return await _cem("status", *arguments, CEM_SOCKET=str(found.path))

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("build", "code", "phrases"),
    [
        (normal, 0, ["Storing the sun", "sun 4.2 kW → house 0.6 kW", "● Battery", "Evening peak"]),
        (limited, 0, ["export at most 0.5 kW · utility · since 11:30 until 15:00", "→ plug in the car"]),
        (fallback, 0, ["grid link lost", "utility: lost", "→ check the internet connection"]),
        (
            safe,
            1,
            ["safe state", "‼ the grid meter has not answered", "→ check the meter's network cable", "✖ Grid meter"],
        ),
        (islanded, 1, ["no grid power", "battery giving 1.5 kW"]),
        (starting, 0, ["Starting", "the clock is not set", "never"]),
    ],
)
def test_the_status_fits_80_columns_and_its_exit_code_tells(
    build: Callable[[], Status], code: int, phrases: list[str], tmp_path: Path
) -> None:
    found, out, err = _status(tmp_path, build())
    assert (found, err) == (code, "")
    for phrase in phrases:
        assert phrase in out, out
    assert max(len(line.rstrip()) for line in out.split("\n")) <= 80


def test_readings_that_could_not_be_true_are_told_with_number_time_and_reason(tmp_path: Path) -> None:
    status = normal()
    why = "2000000 W is dropped: more than 72450 W cannot be"
    meter, *others = status.devices
    grid = replace(meter.resources[0], dropped=3, dropped_at=status.at - timedelta(minutes=90), dropped_why=why)
    status = replace(status, devices=(replace(meter, resources=(grid,)), *others))
    _, out, _ = _status(tmp_path, status)
    told = " ".join(out.split())
    assert f"3 readings dropped as implausible, the last at 10:33: {why}" in told, out
    assert told.count("implausible") == 1


def test_each_line_is_told_once_with_the_devices_that_share_it(tmp_path: Path) -> None:
    line = LineCounts("192.0.2.9:502", 5000, 12, 1, 7, 4, 2, 3, 6, 0.731, 8, 20)
    status = normal()
    meter, inverter, *others = status.devices
    shared = (replace(meter, line=line), replace(inverter, line=line), *others)
    _, out, _ = _status(tmp_path, replace(status, devices=shared), "--lines")
    told = " ".join(out.split())
    assert (
        "192.0.2.9:502 (Grid meter, Roof inverter): 5000 questions, 12 of them to write: 4 got no answer in time, "
        "3 came too late, 2 got a wrong answer, 1 ended with the connection, 1 were refused, 20 were not asked while "
        "it was silent; slowest answer 731 ms; 6 took more than half of the time that they had; connected 8 times"
    ) in told, out
    assert told.count("192.0.2.9") == 1
    assert max(len(row.rstrip()) for row in out.split("\n")) <= 80


@pytest.mark.parametrize(("build", "code"), [(normal, 0), (safe, 1)])
def test_json_is_the_status_of_the_api(build: Callable[[], Status], code: int, tmp_path: Path) -> None:
    found, out, _ = _status(tmp_path, build(), "--json")
    assert found == code
    assert json.loads(out)["headline"] == build().headline


def test_without_a_gateway_one_sentence_says_what_to_do(tmp_path: Path) -> None:
    code, out, err = asyncio.run(_cem("status", "--socket", str(tmp_path / "api")))
    assert (code, out) == (1, "")
    assert "no gateway is running" in err
    assert "cem run" in err
    assert "Traceback" not in err
    code, out, _ = asyncio.run(_cem("status", "--json", "--socket", str(tmp_path / "api")))
    assert code == 1
    assert "no gateway is running" in json.loads(out)["error"]


def test_a_picture_is_written_after_the_first_status(tmp_path: Path) -> None:
    async def main() -> tuple[int, str, str]:
        async with gateway(tmp_path / "api", limited()) as found:
            picture = str(tmp_path / "house.svg")
            return await _cem("dashboard", "--screenshot", picture, "--size", "80x24", CEM_SOCKET=str(found.path))

    code, out, err = asyncio.run(main())
    assert code == 0, err
    assert out.strip() == str(tmp_path / "house.svg")
    svg = (tmp_path / "house.svg").read_text(encoding="utf-8").replace("&#160;", " ")
    assert svg.startswith("<svg")
    assert "url(http" not in svg
    assert "LIMITED BY THE GRID" in svg
    assert "export at most 0.5 kW" in svg


def test_no_picture_without_a_gateway(tmp_path: Path) -> None:
    code, _, err = asyncio.run(
        _cem("dashboard", "--screenshot", str(tmp_path / "house.svg"), "--socket", str(tmp_path / "api"))
    )
    assert code == 1
    assert "no gateway is running" in err
    assert not (tmp_path / "house.svg").exists()


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ('[api]\nsocket = "run/cem.sock"\n', "run/cem.sock"),
        ('[api]\nsocket = "/srv/cem.sock"\n', "/srv/cem.sock"),
        ("[api]\nsocket = 3\n", str(DEFAULT_SOCKET)),
        ('name = "no api table"\n', str(DEFAULT_SOCKET)),
    ],
)
def test_the_socket_comes_from_the_site_file(written: str, found: str, tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(written)
    assert find_socket(None, site) == tmp_path / found


def test_a_named_socket_beats_the_site_file(tmp_path: Path) -> None:
    assert find_socket(tmp_path / "mine", tmp_path / "not-there.toml") == tmp_path / "mine"


def test_a_named_site_file_must_be_readable(tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match="can't read the site file"):
        find_socket(None, tmp_path / "not-there.toml")
    (tmp_path / "bad.toml").write_text("= nonsense")
    with pytest.raises(click.UsageError, match="can't read the site file"):
        find_socket(None, tmp_path / "bad.toml")
