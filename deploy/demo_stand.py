"""The demo's stand: a simulated home, a grid VTN, a breakable link between them, and the gateway, each a process."""

import json
import os
import selectors
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import tomlkit

from cem.io.local_client import GatewayUnreachable, LocalClient
from cem.model.status import Status

ROOT = Path(__file__).resolve().parent.parent
SECRETS = {"operator": "demo-operator", "home-1": "demo-home"}  # both ends are this machine's loopback
PATIENCE_S = 30.0
LOCAL_HOUR = 18  # the home's local time at the start: some sun left, the dear hours begun, the cheap ones ahead
HOUSE_STARTS = f"2026-06-15T{LOCAL_HOUR}:10"  # and the house's own clock: no kettle goes on in the next 40 minutes


class DemoError(Exception):
    """The stand could not be set up; the message says which part and what it said last."""


def hours_ahead(now: datetime) -> int:
    """The offset from UTC at which it is now LOCAL_HOUR, so that the demo looks the same at any time of day."""
    return (LOCAL_HOUR - now.hour + 12) % 24 - 12


def zone_name(ahead: int) -> str:
    """The fixed-offset zone of so many hours ahead of UTC (POSIX counts the other way)."""
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/UTC"


class Part:
    """One process of the stand, ended by its own id."""

    def __init__(self, name: str, command: list[str], folder: Path, *, stdin: bool = False) -> None:
        self.name = name
        self.command = command
        self.log = folder / f"{name}.log"
        self._stdin = stdin
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Starts the process; its notes go to its log."""
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                self.command,
                stdout=subprocess.PIPE,
                stderr=log,
                stdin=subprocess.PIPE if self._stdin else subprocess.DEVNULL,
                text=True,
                cwd=ROOT,
            )

    @property
    def _out(self) -> IO[str]:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout

    def first_line(self) -> str:
        """What it says once it listens; DemoError if it ends or stays silent."""
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._out, selectors.EVENT_READ)
            if not waiting.select(PATIENCE_S):
                raise DemoError(f"{self.name} said nothing for {PATIENCE_S:.0f} s; see {self.log}")
        line = self._out.readline()
        if not line:
            raise DemoError(f"{self.name} ended at once: {self._last_words()}")
        return line

    def say(self, word: str) -> None:
        """One line to its stdin, and its answer."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        answer = self.first_line().strip()
        if answer != "ok":
            raise DemoError(f"{self.name}: {answer}")

    def ended(self) -> bool:
        """Whether it is not running (any more)."""
        return self._process is None or self._process.poll() is not None

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "without a word"

    def stop(self) -> None:
        """Asks it to end; kills it if it does not."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Stand:
    """Everything that runs, and the handles that the acts pull."""

    def __init__(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.folder = folder
        self.bin = Path(sys.executable).parent
        self.began = datetime.now(UTC)
        self.zone = zone_name(hours_ahead(self.began))
        self.parts: list[Part] = []
        self.vtn_url = ""
        self.site_file = folder / "site.toml"
        self.client = LocalClient(folder / "cem.sock")
        self.proxy: Part | None = None
        self.leave = threading.Event()  # set by a signal: end everything

    def build(self, tell: Callable[[str], None]) -> None:
        """Starts the home, the VTN and the link, provisions, and starts the gateway."""
        tell("starting the simulated home (hw-sim serve): PV, battery and meter on Modbus TCP, a wallbox on MQTT")
        home = self._part("home", ["hw-sim", "serve", *self._home_options(), "--json"])
        tell("starting the grid operator's VTN (cem vtn serve), OpenADR 3.1")
        vtn = self._part("vtn", ["cem", "vtn", "serve", *self._vtn_options(), "--json"])
        addresses = json.loads(home.first_line())
        self.vtn_url = json.loads(vtn.first_line())["url"]
        port = self.vtn_url.split("//")[1].split("/")[0].split(":")[1]
        link = ["hw-sim", "proxy", "--listen", "0", "--target", f"127.0.0.1:{port}", "--json"]
        self.proxy = self._part("link", link, stdin=True)
        through = json.loads(self.proxy.first_line())["proxy"]
        for program in ("limits", "prices"):
            self.vtn("program", "add", program)
        tell("provisioning the gateway (cem provision): finds the four devices, tries a read and a write on each")
        self._provision(addresses, self.vtn_url.replace(f":{port}", f":{through['port']}"))
        tell(f"starting the gateway (cem run --config {self.site_file})")
        self._part("gateway", ["cem", "run", "--config", str(self.site_file)])
        self._wait_online()

    def _part(self, name: str, command: list[str], *, stdin: bool = False) -> Part:
        part = Part(name, [str(self.bin / command[0]), *command[1:]], self.folder, stdin=stdin)
        self.parts.append(part)
        part.start()
        return part

    def _home_options(self) -> list[str]:
        home = tomlkit.parse((ROOT / "hw-sim/homes/demo.toml").read_text())
        home["zone"] = self.zone
        home["longitude"] = float(hours_ahead(self.began) * 15)  # the sun goes with the home's clock
        path = self.folder / "home.toml"
        path.write_text(tomlkit.dumps(home))
        return [str(path), "--start", HOUSE_STARTS, "--state", str(self.folder / "home.json")]

    def _vtn_options(self) -> list[str]:
        clients = self.folder / "clients.txt"
        clients.touch(0o600)
        clients.write_text(f"operator:{SECRETS['operator']}:bl\nhome-1:{SECRETS['home-1']}:ven\n")
        return ["--data", str(self.folder / "vtn"), "--client-file", str(clients)]

    def _provision(self, addresses: dict[str, Any], grid_url: str) -> None:
        secret = self.folder / "utility.secret"
        secret.touch(0o600)
        secret.write_text(SECRETS["home-1"])
        answers = self.folder / "answers.toml"
        answers.write_text(site_answers(addresses, grid_url, self.zone))
        command = ["provision", "--from", str(answers), "--out", str(self.site_file), "--yes", "--no-sign-test"]
        done = subprocess.run([str(self.bin / "cem"), *command], capture_output=True, text=True, check=False, cwd=ROOT)
        (self.folder / "provision.log").write_text(done.stdout + done.stderr)
        if done.returncode != 0:
            raise DemoError(f"cem provision: exit status {done.returncode}:\n{done.stdout}{done.stderr}")

    def _wait_online(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if self.parts[-1].ended():
                raise DemoError(f"the gateway ended; see {self.parts[-1].log}")
            status = self.status()
            if status is not None and all(device.health == "online" for device in status.devices):
                return
            if self.leave.wait(0.2):
                raise DemoError("left")
        raise DemoError(f"the gateway was not ready within {PATIENCE_S:.0f} s; see {self.parts[-1].log}")

    def status(self) -> Status | None:
        """The gateway's status, or None while it does not answer."""
        try:
            return self.client.status()
        except GatewayUnreachable:
            return None

    def house_counters(self) -> tuple[float, float] | None:
        """The simulated house's own clock (s) and net energy drawn (Wh), past gateway and meter; None while unread."""
        try:
            house = json.loads((self.folder / "home.json").read_text())["house"]
        except (OSError, ValueError, KeyError):
            return None
        return datetime.fromisoformat(house["now"]).timestamp(), house["import_wh"] - house["export_wh"]

    def vtn(self, *words: str) -> Any:
        """One `cem vtn` command of the operator; its JSON."""
        environment = os.environ | {
            "CEM_VTN_URL": self.vtn_url,
            "CEM_VTN_CLIENT_ID": "operator",
            "CEM_VTN_CLIENT_SECRET": SECRETS["operator"],
        }
        command = [str(self.bin / "cem"), "vtn", *words, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
        if done.returncode != 0:
            raise DemoError(f"cem vtn {' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
        return json.loads(done.stdout)

    def link(self, word: str) -> None:
        """Cuts or heals the link between gateway and VTN."""
        assert self.proxy is not None
        self.proxy.say(word)

    def close(self) -> None:
        """Ends everything, the gateway first, so that it can hand its devices back."""
        for part in reversed(self.parts):
            part.stop()


def site_answers(addresses: dict[str, Any], grid_url: str, zone: str) -> str:
    """The answers that `cem provision` would ask for; the grid link's times are short ones for the demo."""
    modbus = [
        f'"{entry["host"]}:{entry["port"]}/{entry["unit"]}"'
        for entry in addresses["devices"].values()
        if entry["kind"].startswith("sunspec")
    ]
    mqtt = f'"{addresses["mqtt"]["host"]}:{addresses["mqtt"]["port"]}"'
    return f"""
name = "Demo home"
timezone = "{zone}"
currency = "EUR"

[find]
modbus = [{", ".join(modbus)}]
mqtt = [{mqtt}]

[connection]
phases = 3
fuse_a = 35

[store]
folder = "state"

[api]
socket = "cem.sock"

[plan]
every_s = 300

[tariff]
base_price_per_kwh = 0.34
export_price_per_kwh = 0.08

[[tariff.period]]
from = "17:00"
to = "20:00"
import_price_per_kwh = 0.41

[[tariff.period]]
from = "22:00"
to = "06:00"
import_price_per_kwh = 0.22

[[goal]]
resource = "car"
ready_by = "20:00"
energy_wh = 20000

[[battery]]
resource = "battery"
reserve_pct = 10

[[provider]]
id = "utility"
binding = "openadr3"
url = "{grid_url}"
ven_name = "home-1"
client_id = "home-1"
client_secret_file = "utility.secret"
poll_s = 2
stale_s = 4
fallback_voluntary_s = 5
default_import_limit_w = 4500
report_interval_s = 5
request_timeout_s = 3
retry_max_s = 2
reconnect_jitter_s = 1
spread_s = 5

[[provider.programme]]
name = "limits"
mandatory = true

[[provider.programme]]
name = "prices"
mandatory = false
"""
