"""The command `hw-sim`: simulated devices on real bytes."""

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import click

from hw_sim.broker import EmbeddedBroker
from hw_sim.files import FileError, load_ports, load_state, write_json
from hw_sim.homefile import Home, HomeError
from hw_sim.proxy import FaultyProxy
from hw_sim.scenario import load_either
from hw_sim.serve import Addresses, ServedHome, serve

_HOME = click.argument("home_file", metavar="HOME.toml", type=click.Path(path_type=Path, dir_okay=False))


def _wall_clock() -> datetime:
    """The only look at the real clock."""
    return datetime.now(UTC)


def _fail(lines: list[str], status: int) -> NoReturn:
    for line in lines:
        click.echo(line, err=True)
    sys.exit(status)


def _home(path: Path) -> Home:
    try:
        return load_either(path)
    except HomeError as fault:
        _fail([f"{fault.source}: {one}" for one in fault.faults], 2)


@click.group()
@click.version_option(package_name="cem-gateway")
def main() -> None:
    """Simulated devices on real bytes: a house without hardware.

    Example: hw-sim serve hw-sim/homes/demo.toml --json
    """


def _start(text: str | None, home: Home) -> datetime | None:
    """The asked-for start, aware; None: now."""
    try:
        return home.begins_at(text)
    except ValueError as exc:
        raise click.BadParameter(f"'{text}' is no ISO 8601 time; allowed: 2026-06-15T06:00 or with +02:00") from exc


def _line(addresses: Addresses) -> str:
    devices = addresses["devices"]
    assert isinstance(devices, dict)
    parts = []
    for name, entry in devices.items():
        if "calls" in entry:
            parts.append(f"{name} calls {entry['calls']} as {entry['identity']}")
            continue
        where = str(entry["device"]) if "device" in entry else f"{entry['host']}:{entry['port']}"
        more = f" unit {entry['unit']}" if "unit" in entry else f" {entry['topic']}" if "topic" in entry else ""
        parts.append(f"{name} {where}{more}")
    return "listening: " + "; ".join(parts)


@main.command("serve")
@_HOME
@click.option("--start", help="simulated time to start at, ISO 8601, local unless it names an offset; default: now")
@click.option("--seed", type=int, help="weather and load; default: the home's")
@click.option("--port-file", type=click.Path(path_type=Path), help="write the addresses there, too")
@click.option("--reuse-ports", is_flag=True, help="take the ports that stand in --port-file")
@click.option("--state", type=click.Path(path_type=Path), help="keep counters and states of charge there over restarts")
@click.option("--truth", type=click.Path(path_type=Path), help="write what is really the case there, with every step")
@click.option("--json", "as_json", is_flag=True, help="print the addresses as one line of JSON")
def serve_command(
    home_file: Path,
    start: str | None,
    seed: int | None,
    port_file: Path | None,
    reuse_ports: bool,
    state: Path | None,
    truth: Path | None,
    as_json: bool,
) -> None:
    """Serves the devices of a home or a scenario until SIGTERM or SIGINT; the first line on stdout has the addresses.

    Example: hw-sim serve hw-sim/homes/demo.toml --port-file /tmp/ports.json --state /tmp/home.json
    """
    home = _home(home_file)
    if reuse_ports and port_file is None:
        raise click.UsageError("--reuse-ports needs --port-file")
    began = _start(start, home)
    try:
        saved = load_state(state) if state is not None else None
        ports = load_ports(port_file) if reuse_ports and port_file is not None else {}
    except FileError as fault:
        _fail([str(fault)], 2)
    begin = began or _wall_clock()
    if saved is not None:
        begin = max(begin, saved.house.now + timedelta(microseconds=1))

    def announce(addresses: Addresses) -> None:
        if port_file is not None:
            write_json(port_file, addresses)
        click.echo(json.dumps(addresses) if as_json else _line(addresses))
        sys.stdout.flush()

    served = ServedHome(home, begin, seed=seed, ports=ports, saved=saved, state=state, truth=truth)
    _until_signal(lambda stop: serve(served, announce, stop))


def _until_signal(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await work(stop)

    try:
        asyncio.run(run())
    except OSError as exc:
        _fail([f"hw-sim: {exc}; free the port, or set another one (0: a free one)"], 1)


@main.command("broker")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=1883, show_default=True, help="0: a free one")
@click.option("--json", "as_json", is_flag=True, help="print the address as one line of JSON")
def broker_command(host: str, port: int, as_json: bool) -> None:
    """Runs the embedded MQTT broker alone; the first line on stdout tells its address.

    Example: hw-sim broker --port 0 --json
    """

    async def work(stop: asyncio.Event) -> None:
        broker = EmbeddedBroker(host, port)
        await broker.start()
        address = {"host": host, "port": broker.port}
        click.echo(json.dumps({"mqtt": address}) if as_json else f"listening: {host}:{broker.port}")
        sys.stdout.flush()
        await stop.wait()
        await broker.stop()

    _until_signal(work)


def _feed_lines(loop: asyncio.AbstractEventLoop, lines: asyncio.Queue[str]) -> None:
    """Puts stdin's lines into the queue, from a thread: unlike a pipe transport it takes any kind of stdin.

    It reads the descriptor, not sys.stdin, whose lock would hold up the end of the process.
    """
    rest = b""
    while chunk := os.read(0, 4096):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            loop.call_soon_threadsafe(lines.put_nowait, line.decode("utf-8", "replace").strip())


@main.command("proxy")
@click.option("--listen", type=click.IntRange(0, 65535), required=True, help="port on 127.0.0.1; 0: a free one")
@click.option("--target", required=True, metavar="HOST:PORT")
@click.option("--latency", type=click.FloatRange(min=0), default=0.0, help="seconds per direction")
@click.option("--json", "as_json", is_flag=True, help="print the address as one line of JSON")
def proxy_command(listen: int, target: str, latency: float, as_json: bool) -> None:
    """A TCP proxy that fails on command: lines cut, blackhole, heal, quit on stdin, each answered with ok.

    The end of stdin changes nothing; SIGTERM and SIGINT end it, as quit does.

    Example: hw-sim proxy --listen 0 --target 127.0.0.1:502
    """
    host, _, port = target.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise click.BadParameter(f"'{target}'; allowed: HOST:PORT", param_hint="--target")

    async def work(stop: asyncio.Event) -> None:
        proxy = FaultyProxy(listen, host, int(port), latency_s=latency)
        await proxy.start()
        address = {"host": proxy.host, "port": proxy.port}
        click.echo(json.dumps({"proxy": address}) if as_json else f"listening: {proxy.host}:{proxy.port}")
        sys.stdout.flush()
        async with asyncio.TaskGroup() as tasks:
            obeying = tasks.create_task(_obey(proxy, stop))
            await stop.wait()
            obeying.cancel()
        await proxy.stop()

    _until_signal(work)


async def _obey(proxy: FaultyProxy, stop: asyncio.Event) -> None:
    lines: asyncio.Queue[str] = asyncio.Queue()
    threading.Thread(target=_feed_lines, args=(asyncio.get_running_loop(), lines), daemon=True).start()
    commands = {"cut": proxy.cut, "blackhole": proxy.blackhole, "heal": proxy.heal}
    while not stop.is_set():
        line = await lines.get()
        command = commands.get(line)
        if command is not None:
            await command()
        elif line == "quit":
            stop.set()
        else:
            click.echo(f"unknown '{line}'; allowed: cut, blackhole, heal, quit")
            continue
        click.echo("ok")


@main.command("check")
@_HOME
@click.option("--json", "as_json", is_flag=True, help="print the home as JSON")
def check_command(home_file: Path, as_json: bool) -> None:
    """Checks a home file or a scenario file; names every fault with its path, exit status 2.

    Example: hw-sim check hw-sim/homes/demo.toml
    """
    home = _home(home_file)
    click.echo(home.model_dump_json() if as_json else f"{home_file}: fine, {len(home.device)} device(s)")


if __name__ == "__main__":
    main()
