"""A stand of real processes for the bad-weather scenarios: a simulated home, a VTN and a gateway that may be killed.

Ports are chosen below the range that the system gives to clients: a process that is started again must find its own
port free, and a client that tries a dead port must never end up connected to itself.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cem.io.local_client import GatewayUnreachable, LocalClient
from cem.model.setpoint import Health
from cem.model.status import DeviceStatus, Status
from support.stand_files import SERIALS, WALLBOX, home_text, site_text
from support.waiting import until_blocking

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
BACK_S = 30.0  # within which everything is back after any of the processes is back
_PORTS = range(12_000, 32_768)
_WORKER_PORTS = 2_000  # each worker of the test run draws from so many of its own

__all__ = ["BACK_S", "ROOT", "SERIALS", "WALLBOX", "Process", "Stand", "free_ports", "ran", "stand"]


def free_ports(count: int) -> list[int]:
    """Ports on 127.0.0.1 that nobody holds now, no client is given and no other worker of the test run draws."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = _PORTS[worker * _WORKER_PORTS % (len(_PORTS) - _WORKER_PORTS)]
    ports = random.SystemRandom().sample(range(first, first + _WORKER_PORTS), _WORKER_PORTS)
    free = (port for port in ports if _is_free(port))
    return [next(free) for _ in range(count)]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Process:
    """One process that is known by its own id."""

    def __init__(self, name: str, folder: Path, *command: str, speaks: bool = True, listens: int | None = None) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._command = [str(BIN / command[0]), *command[1:]]
        self._speaks = speaks  # prints one line when it is ready
        self._listens = listens  # takes connections at this port when it is ready
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> dict[str, Any]:
        """Starts it and gives what it says first."""
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.PIPE, text=True, cwd=ROOT
            )
        if self._listens is not None:
            until_blocking(self._takes_connections)
        if not self._speaks:
            return {}
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"{self.name} ended at once: {self.words()}"
        said: dict[str, Any] = json.loads(line)
        return said

    def _takes_connections(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._listens)) == 0

    def say(self, word: str) -> None:
        """One line to its stdin, answered with ok."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer == "ok\n", answer

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, and waits until it is gone; harmless when repeated."""
        if self._process is not None:
            self._process.kill()
            self._ended()

    def terminate(self) -> int:
        """SIGTERM; its exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._ended()

    def _ended(self) -> int:
        assert self._process is not None
        status = self._process.wait(20)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        return status

    def words(self) -> str:
        """Its log."""
        return self.log.read_text(errors="replace")


class Stand:
    """The processes and what to ask of them. Nothing runs until it is started."""

    def __init__(
        self,
        folder: Path,
        *,
        broker_apart: bool = False,
        plan: bool = False,
        battery_pct: float = 50.0,
        faults: str = "",
        mosquitto: str | None = None,
    ) -> None:
        self.folder = folder
        names = ("meter", "inverter", "battery", "mqtt", "vtn")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.site_file = folder / "site.toml"
        self.client = LocalClient(folder / "cem.sock", timeout_s=2.0)
        home = folder / "home.toml"
        home.write_text(home_text(self.ports, broker_apart=broker_apart, battery_pct=battery_pct, faults=faults))
        (folder / "clients.txt").write_text("operator:op:bl\nhome-1:home:ven\n")
        secret = folder / "utility.secret"
        secret.touch(0o600)
        secret.write_text("home")
        self._plan = plan
        self._listens: dict[str, int] = {}
        self.write_site()
        port, clients, data = str(self.ports["vtn"]), str(folder / "clients.txt"), str(folder / "vtn")
        self.home = Process(
            "home", folder, "hw-sim", "serve", str(home), "--json", "--state", str(folder / "home.json")
        )
        self.vtn = Process(
            "vtn", folder, "cem", "vtn", "serve", "--port", port, "--client-file", clients, "--data", data, "--json"
        )
        self.broker = Process("broker", folder, "hw-sim", "broker", "--port", str(self.ports["mqtt"]), "--json")
        if mosquitto is not None:  # without a configuration it listens on this machine alone, and to everybody on it
            port_here = self.ports["mqtt"]
            self.broker = Process("broker", folder, mosquitto, "-p", str(port_here), speaks=False, listens=port_here)
        self.gateway = Process("gateway", folder, "cem", "run", "--config", str(self.site_file), speaks=False)
        self._detours: list[Process] = []

    def write_site(self) -> None:
        """Writes the site file, with the detours where there are some."""
        self.site_file.write_text(site_text({**self.ports, **self._listens}, plan=self._plan))

    def detour(self, name: str) -> Process:
        """A proxy in front of a device (or of the broker: mqtt); it is told cut, blackhole and heal."""
        (listen,) = free_ports(1)
        target = f"127.0.0.1:{self.ports[name]}"
        proxy = Process(
            f"proxy-{name}", self.folder, "hw-sim", "proxy", "--listen", str(listen), "--target", target, "--json"
        )
        self._detours.append(proxy)
        proxy.start()
        self._listens[name] = listen
        self.write_site()
        return proxy

    def start(self) -> Status:
        """Home, VTN and gateway; the status once all answer (the charger's first value may take 5 s more)."""
        self.home.start()
        self.vtn.start()
        self.gateway.start()
        return self.until(lambda status: linked(status) and all(d.health is Health.ONLINE for d in status.devices))

    def close(self) -> None:
        """Ends what still runs."""
        for process in (self.gateway, self.vtn, self.home, self.broker, *self._detours):
            process.kill()

    # --- the gateway --------------------------------------------------------------------------------------------

    def status(self) -> Status | None:
        """The gateway's status; None while it does not answer."""
        try:
            return self.client.status()
        except GatewayUnreachable:
            return None

    def until(self, holds: Callable[[Status], bool], within_s: float = BACK_S) -> Status:
        """The first status of which something holds; fails, and says what was instead, when none comes in time."""
        seen: list[Status] = []

        def came() -> bool:
            assert self.gateway.running(), f"the gateway ended by itself: {self.gateway.words()}"
            status = self.status()
            seen[:] = [status] if status is not None else seen
            return status is not None and holds(status)

        try:
            until_blocking(came, within_s, every_s=0.1)  # a status costs the gateway some milliseconds
        except AssertionError as error:
            raise AssertionError(f"{error}; the last status: {seen}; its log: {self.gateway.words()}") from error
        return seen[0]

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A `cem` command for this gateway."""
        return ran("cem", *words, "--config", str(self.site_file))

    # --- the grid operator --------------------------------------------------------------------------------------

    def operator(self, *words: str) -> Any:
        """One `cem vtn` order to the running VTN; its JSON."""
        url = f"http://127.0.0.1:{self.ports['vtn']}/openadr3/3.1.0"
        environment = {"CEM_VTN_URL": url, "CEM_VTN_CLIENT_ID": "operator", "CEM_VTN_CLIENT_SECRET": "op"}
        done = ran("cem", "vtn", *words, "--json", **environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def limit(self, limit_w: float, duration: str = "PT1H", side: str = "IMPORT") -> None:
        """The operator limits the import, or the export, from now on."""
        if not any(program["programName"] == "limits" for program in self.operator("program", "list")):
            self.operator("program", "add", "limits")
        kind = ("--type", f"{side}_CAPACITY_LIMIT", "--unit", "KW", "--value", f"{limit_w / 1000:g}")
        self.operator("event", "add", "--program", "limits", *kind, "--duration", duration, "--name", "evening peak")

    # --- the devices' own side ----------------------------------------------------------------------------------

    def register(self, device: str, model: int, offset: int) -> int:
        """One register of a SunSpec model, counted from behind its id and length, read from the device itself."""
        with socket.create_connection(("127.0.0.1", self.ports[device]), timeout=5) as line:
            address = 40002
            while (found := _words(line, address, 2))[0] != model:
                assert found[0] != 0xFFFF, f"{device} has no model {model}"
                address += 2 + found[1]
            return _words(line, address + 2 + offset, 1)[0]

    def storage_control(self) -> int:
        """StorCtl_Mod of the battery (model 124): 0 is its own control."""
        return self.register("battery", 124, 3)

    def sun_limited(self) -> int:
        """WMaxLim_Ena of the inverter (model 123): 0 is no limit."""
        return self.register("inverter", 123, 7)


def _words(line: socket.socket, address: int, count: int) -> list[int]:
    """Holding registers of unit 1 over a raw connection (Modbus function 3)."""
    line.sendall(bytes([0, 1, 0, 0, 0, 6, 1, 3]) + address.to_bytes(2, "big") + count.to_bytes(2, "big"))
    raw = b""
    while len(raw) < 9 + 2 * count:
        got = line.recv(512)
        assert got, "connection closed"
        raw += got
    return [int.from_bytes(raw[at : at + 2], "big") for at in range(9, len(raw), 2)]


def ran(program: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command run to its end."""
    return subprocess.run(
        [str(BIN / program), *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | environment,
        timeout=60,
    )


def device(status: Status, device_id: str) -> DeviceStatus:
    """One device of a status."""
    return next(device for device in status.devices if device.id == device_id)


def all_online(status: Status) -> bool:
    """Whether every device answers and every value is fresh."""
    fresh = not any(resource.stale for device in status.devices for resource in device.resources)
    return fresh and all(device.health is Health.ONLINE for device in status.devices)


def linked(status: Status) -> bool:
    """Whether the link to the provider stands."""
    return all(link.state == "online" for link in status.links)


def all_well(status: Status) -> bool:
    """Devices and link are up."""
    return all_online(status) and linked(status)


def limit_of(status: Status, source: str = "utility") -> list[float]:
    """The import limits in force of one source, W."""
    return [limit.limit_w for limit in status.limits if limit.side == "import" and limit.source == source]


def seconds_since(began_s: float) -> float:
    """Seconds of the monotonic clock since."""
    return time.monotonic() - began_s


@contextmanager
def stand(
    folder: Path,
    *,
    broker_apart: bool = False,
    plan: bool = False,
    battery_pct: float = 50.0,
    faults: str = "",
    mosquitto: str | None = None,
) -> Iterator[Stand]:
    """A stand whose processes are all gone afterwards. `mosquitto`: that program is the broker, if it is apart."""
    one = Stand(
        folder, broker_apart=broker_apart, plan=plan, battery_pct=battery_pct, faults=faults, mosquitto=mosquitto
    )
    try:
        yield one
    finally:
        one.close()
