"""From a notification on the gateway's socket to the acknowledged write on a simulated device over Modbus TCP.

Run: .venv/bin/python tests/bench/bench_push.py [mqtt|webhook] [samples]. Everything runs in processes of its own and
over real sockets: a home of twenty devices that are polled each second, our VTN, a broker, and `cem run`. Two proxies
in this process look at the time: the first byte of the notification on its way to the gateway, and the battery's answer
to the first write that asks for another power than before.
"""

import base64
import json
import math
import socket
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.stand import Process, free_ports
from support.waiting import until_blocking

DEVICES = 20
ROOFS = DEVICES - 2
BETWEEN_S = 4.0
REST_S = 1.0
POWERS_KW = (1.0, 1.2)
WRITES = (6, 16)
HOME = """
home = 1
name = "Bench"
zone = "UTC"
latitude = 52.5
longitude = 13.4
seed = 3
start = 2026-06-15T02:00:00
[load]
base_w = 600
profile_w = 0
noise_pct = 0
[[battery]]
capacity_wh = 100000
max_charge_w = 5000
max_discharge_w = 5000
soc_pct = 50
response_s = 0.5
"""
SITE = """
site = 1
name = "Bench"
timezone = "UTC"
[connection]
phases = 3
fuse_a = 63
[store]
folder = "state"
[api]
socket = "cem.sock"
[plan]
enabled = false
[tariff]
base_price_per_kwh = 0.30
[[provider]]
id = "utility"
url = "http://127.0.0.1:{vtn}/openadr3/3.1.0"
ven_name = "home-1"
client_id = "home-1"
client_secret_file = "utility.secret"
poll_s = 600
notify = "{way}"
{callback}
[[provider.programme]]
name = "bench"
"""
DEVICE = """
[[device]]
id = "{id}"
driver = "sunspec"
serial = "{id}"
poll_s = 1
link = {{ kind = "tcp", host = "127.0.0.1", port = {port}, unit = 1 }}
[[device.resource]]
id = "{id}-r"
role = "{role}"
{more}
"""


class Proxy:
    """Passes bytes on, each chunk shown to `see` first: (from the server?, bytes, when)."""

    def __init__(self, port: int, see: Any) -> None:
        self._target = port
        self._see = see
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection(("127.0.0.1", self._target))
            for one, other, from_server in ((client, server, False), (server, client, True)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._pass, args=(one, other, from_server), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket, from_server: bool) -> None:
        try:
            while chunk := one.recv(65536):
                self._see(from_server, chunk, time.monotonic())
                other.sendall(chunk)
        except OSError:
            return
        finally:
            other.close()


class Watch:
    """What the proxies saw."""

    def __init__(self) -> None:
        self.noticed_s: float | None = None
        self.acknowledged_s: float | None = None
        self.restless_s = 0.0  # when another power was asked for without a notification
        self._last: dict[bytes, bytes] = {}
        self._asked: bytes | None = None

    def begin(self) -> None:
        """From now on the next notification counts, and the next changed write after it."""
        self.acknowledged_s = self.noticed_s = None

    def notice(self, from_server: bool, chunk: bytes, at_s: float, mark: bytes, from_server_counts: bool) -> None:
        """A chunk on the way of notifications; `mark` tells one from other traffic."""
        if from_server is from_server_counts and self.noticed_s is None and mark in chunk:
            self.noticed_s = at_s

    def device(self, from_server: bool, chunk: bytes, at_s: float) -> None:
        """A chunk between gateway and battery: one Modbus frame."""
        if not from_server and len(chunk) > 7 and chunk[7] in WRITES:
            content = chunk[7:]
            register = content[1:3]
            changed = content != self._last.get(register)
            self._asked = chunk[:2] if changed and self.noticed_s is not None else None
            if changed and self.noticed_s is None:
                self.restless_s = at_s
            self._last[register] = content
        elif from_server and self._asked == chunk[:2] and chunk[7] in WRITES and self.acknowledged_s is None:
            self.acknowledged_s = at_s


class Operator:
    """The business side of the VTN."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._headers = {"Content-Type": "application/x-www-form-urlencoded"}
        self._headers["Authorization"] = "Basic " + base64.b64encode(b"operator:op").decode()
        token = self._ask("POST", "/auth/token", b"grant_type=client_credentials")["access_token"]
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}

    def ask(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One exchange."""
        return self._ask(method, path, json.dumps(body).encode())

    def _ask(self, method: str, path: str, body: bytes) -> dict[str, Any]:
        request = urllib.request.Request(self._url + path, body, self._headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


def house(folder: Path, ports: list[int], watch: Watch) -> str:
    """Writes the home, a device on each of the ports; the device tables of its site file."""
    names = ["meter", "battery", *(f"roof{n}" for n in range(ROOFS))]
    ports_of = dict(zip(names, ports, strict=True))
    home = HOME + "".join(f'[[pv]]\nid = "p{n}"\npeak_w = 5000\ncloudiness = 0\n' for n in range(ROOFS))
    roles = {"meter": "grid", "battery": "battery"}
    kinds = {"meter": "sunspec.meter", "battery": "sunspec.battery"}
    for name in names:
        of = f'of = ["p{name[4:]}"]\n' if name.startswith("roof") else ""
        kind = kinds.get(name, "sunspec.inverter")
        home += f'[[device]]\nid = "{name}"\nkind = "{kind}"\nport = {ports_of[name]}\nserial = "{name}"\n{of}'
    (folder / "home.toml").write_text(home)
    battery = Proxy(ports_of["battery"], watch.device)
    batteries = 'capacity_wh = 100000\nmax_charge_w = 5000\nmax_discharge_w = 5000\ncontrols = ["battery.setpoint_w"]'
    site = ""
    for name in names:
        port = battery.port if name == "battery" else ports_of[name]
        role, more = roles.get(name, "pv"), batteries if name == "battery" else ""
        site += DEVICE.format(id=name, port=port, role=role, more=more)
    return site


def prepared(folder: Path, way: str, watch: Watch) -> tuple[list[Process], int]:
    """Files and processes, not yet started; the VTN's port."""
    *ports, vtn, broker, hook = free_ports(DEVICES + 3)
    devices = house(folder, ports, watch)
    callback = ""
    if way == "webhook":
        mark = Proxy(hook, lambda s, c, t: watch.notice(s, c, t, b"POST ", from_server_counts=False))
        url = f"http://127.0.0.1:{mark.port}/hook"
        callback = f'callback_url = "{url}"\ncallback_listen = "127.0.0.1:{hook}"'
    site = SITE.format(vtn=vtn, way=way, callback=callback) + devices
    (folder / "site.toml").write_text(site)
    (folder / "clients.txt").write_text("operator:op:bl\nhome-1:home:ven\n")
    (folder / "utility.secret").touch(0o600)
    (folder / "utility.secret").write_text("home")
    serve = ["cem", "vtn", "serve", "--port", str(vtn), "--client-file", str(folder / "clients.txt"), "--json"]
    serve += ["--data", str(folder / "vtn")]
    processes = [Process("home", folder, "hw-sim", "serve", str(folder / "home.toml"), "--json")]
    if way == "mqtt":
        mark = Proxy(broker, lambda s, c, t: watch.notice(s, c, t, b'"EVENT"', from_server_counts=True))
        serve += ["--mqtt", f"mqtt://127.0.0.1:{broker}", "--mqtt-public", f"mqtt://127.0.0.1:{mark.port}"]
        processes.append(Process("broker", folder, "hw-sim", "broker", "--port", str(broker), "--json"))
    else:
        serve += ["--webhook-network", "127.0.0.0/8"]
    processes.append(Process("vtn", folder, *serve))
    processes.append(Process("gateway", folder, "cem", "run", "--config", str(folder / "site.toml"), speaks=False))
    return processes, vtn


def event(program: str, power_kw: float) -> dict[str, Any]:
    """A power asked of the connection point, from now until changed; the battery makes up for it."""
    return {
        "programID": program,
        "eventName": "bench",
        "intervalPeriod": {"start": "0001-01-01T00:00:00Z", "duration": "P9999Y"},
        "intervals": [{"id": 0, "payloads": [{"type": "DISPATCH_SETPOINT", "values": [power_kw]}]}],
    }


def measured(way: str, samples: int) -> list[float]:
    """The times in seconds."""
    watch, found = Watch(), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        processes, port = prepared(folder, way, watch)
        try:
            for process in processes:
                process.start()
            gateway = processes[-1]
            word = "notifications over its broker" if way == "mqtt" else "notifications by calling us back"
            until_blocking(lambda: word in gateway.words(), 60.0)
            operator = Operator(f"http://127.0.0.1:{port}/openadr3/3.1.0")
            program = operator.ask("POST", "/programs", {"programName": "bench"})["id"]
            made = operator.ask("POST", "/events", event(program, POWERS_KW[0]))["id"]
            time.sleep(10.0)  # the battery comes to rest: what is timed is a change out of rest
            for number in range(samples):
                watch.begin()
                time.sleep(REST_S + 0.037 * (number % 27))  # at every phase of the polls
                operator.ask("PUT", f"/events/{made}", event(program, POWERS_KW[(number + 1) % 2]))
                until_blocking(lambda: watch.acknowledged_s is not None, 10.0, every_s=0.01)
                assert watch.noticed_s is not None
                assert watch.acknowledged_s is not None
                assert watch.restless_s < watch.noticed_s - REST_S, "the battery was not at rest"
                found.append(watch.acknowledged_s - watch.noticed_s)
                time.sleep(BETWEEN_S)
        except AssertionError:
            sys.stderr.write("\n".join(process.words()[-2000:] for process in processes))
            raise
        finally:
            for process in reversed(processes):
                process.kill()
    return found


def main() -> None:
    ways = [sys.argv[1]] if len(sys.argv) > 1 else ["mqtt", "webhook"]
    samples = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    sys.stdout.write(f"{DEVICES} devices, {samples} changes each; the bar is 250 ms for p99\n")
    for way in ways:
        times_ms = sorted(1000 * time_s for time_s in measured(way, samples))
        middle_ms, p95_ms, p99_ms = (times_ms[math.ceil(share * samples) - 1] for share in (0.5, 0.95, 0.99))
        row = f"median {middle_ms:.0f} ms, p95 {p95_ms:.0f} ms, p99 {p99_ms:.0f} ms, most {times_ms[-1]:.0f} ms"
        sys.stdout.write(f"{way}: {row}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
