"""What the VTN costs: GET /events for a VEN with 50 events, and 2,000 VENs polling every 10 s, over real sockets.

    .venv/bin/python tests/bench/bench_vtn.py [--seconds 60] [--vens 2000]

The VTN is a process of its own (`cem vtn serve`); processor time is taken from it alone. Exit status 1 when a bar is
missed or a request failed.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp

EVENTS = 50
PERIOD_S = 10.0
LATENCY_BAR_MS = 5.0
ROUNDS = 400


@dataclass
class Polls:
    """What the polling VENs saw."""

    latencies_s: list[float]
    failures: int = 0


def _clients(folder: Path, vens: int) -> Path:
    path = folder / "clients.txt"
    lines = ["bl:s:bl", *(f"ven{number}:s:ven" for number in range(vens))]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    path.chmod(0o600)
    return path


async def _token(session: aiohttp.ClientSession, url: str, client: str) -> dict[str, str]:
    form = {"grant_type": "client_credentials", "client_id": client, "client_secret": "s"}
    async with session.post(f"{url}/auth/token", data=form) as answer:
        answer.raise_for_status()
        return {"Authorization": "Bearer " + (await answer.json())["access_token"]}


async def _post(session: aiohttp.ClientSession, url: str, bearer: dict[str, str], body: object) -> str:
    async with session.post(url, json=body, headers=bearer) as answer:
        answer.raise_for_status()
        return str((await answer.json())["id"])


def _event(program_id: str, number: int) -> dict[str, object]:
    """A day of hourly prices for a group of houses."""
    intervals = [{"id": hour, "payloads": [{"type": "PRICE", "values": [0.2 + hour / 100]}]} for hour in range(24)]
    return {
        "programID": program_id,
        "eventName": f"prices {number}",
        "targets": ["group-1", f"street-{number}"],
        "intervalPeriod": {"start": "2026-01-15T00:00:00Z", "duration": "PT1H"},
        "payloadDescriptors": [
            {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "PRICE", "units": "KWH", "currency": "EUR"}
        ],
        "intervals": intervals,
    }


async def _stage(session: aiohttp.ClientSession, url: str, vens: int) -> list[dict[str, str]]:
    """One program, its events, and a ven with a target for each client; the clients' tokens."""
    business = await _token(session, url, "bl")
    program_id = await _post(session, f"{url}/programs", business, {"programName": "prices"})
    for number in range(EVENTS):
        await _post(session, f"{url}/events", business, _event(program_id, number))
    bearers = []
    for number in range(vens):
        client = f"ven{number}"
        body = {"objectType": "BL_VEN_REQUEST", "clientID": client, "venName": client, "targets": ["group-1"]}
        await _post(session, f"{url}/vens", business, body)
        bearers.append(await _token(session, url, client))
    return bearers


async def _poll(session: aiohttp.ClientSession, url: str, bearer: dict[str, str], polls: Polls) -> None:
    began = time.perf_counter()
    try:
        async with session.get(f"{url}/events", headers=bearer) as answer:
            body = await answer.read()
            if answer.status != 200 or body.count(b'"EVENT"') != EVENTS:
                polls.failures += 1
    except (aiohttp.ClientError, TimeoutError):
        polls.failures += 1
    polls.latencies_s.append(time.perf_counter() - began)


async def _one_house(url: str, bearer: dict[str, str], number: int, vens: int, until: float, polls: Polls) -> None:
    """A house with a connection of its own, polling on its own beat."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        due = time.monotonic() + PERIOD_S * number / vens
        while due < until:
            await asyncio.sleep(due - time.monotonic())
            await _poll(session, url, bearer, polls)
            due += PERIOD_S


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


async def _measure(url: str, pid: int, vens: int, seconds: float) -> bool:
    async with aiohttp.ClientSession() as session:
        bearers = await _stage(session, url, vens)
        one = Polls([])
        for _ in range(ROUNDS):
            await _poll(session, url, bearers[0], one)
    median_ms = statistics.median(one.latencies_s) * 1000
    p99_ms = statistics.quantiles(one.latencies_s, n=100)[98] * 1000
    sys.stdout.write(f"GET /events, {EVENTS} events, median      {median_ms:8.2f} ms   bar {LATENCY_BAR_MS:.0f} ms\n")
    sys.stdout.write(f"GET /events, {EVENTS} events, p99         {p99_ms:8.2f} ms\n")
    many = Polls([])
    cpu_s, began = _cpu_s(pid), time.monotonic()
    until = began + seconds
    await asyncio.gather(*(_one_house(url, bearer, number, vens, until, many) for number, bearer in enumerate(bearers)))
    took_s = time.monotonic() - began
    busy_pct = 100 * (_cpu_s(pid) - cpu_s) / took_s
    p99_ms = statistics.quantiles(many.latencies_s, n=100)[98] * 1000
    sys.stdout.write(
        f"{vens} VENs every {PERIOD_S:.0f} s: polls        {len(many.latencies_s):8d}      in {took_s:.0f} s\n"
    )
    sys.stdout.write(f"{vens} VENs every {PERIOD_S:.0f} s: errors       {many.failures:8d}      bar 0\n")
    sys.stdout.write(f"{vens} VENs every {PERIOD_S:.0f} s: p99          {p99_ms:8.1f} ms\n")
    sys.stdout.write(f"{vens} VENs every {PERIOD_S:.0f} s: one core     {busy_pct:8.1f} %    bar 100 %\n")
    sys.stdout.write(f"{vens} VENs every {PERIOD_S:.0f} s: memory       {_memory_mb(pid):8.0f} MB\n")
    return median_ms < LATENCY_BAR_MS and one.failures == 0 and many.failures == 0


def main() -> int:
    """Runs both and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--vens", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, "-c", "from cem.cli.vtn import vtn; vtn()", "serve", "--json"]
        arguments = ["--data", str(folder / "data"), "--client-file", str(_clients(folder, options.vens))]
        with subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                url = json.loads(process.stdout.readline())["url"]
                kept = asyncio.run(_measure(url, process.pid, options.vens, options.seconds))
            finally:
                process.terminate()
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
