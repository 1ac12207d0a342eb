"""Real brokers for tests: Mosquitto as a process, and the embedded one; both keep their port over a restart."""

import asyncio
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Protocol

from hw_sim.broker import EmbeddedBroker
from support.stand import free_ports

# Debian keeps the broker where only root looks, and its password tool where everybody does
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
READY_S = 10.0
DEPLOY = Path(__file__).parents[2] / "deploy" / "mosquitto"
OPEN = "allow_anonymous true\n"
LISTENER = "listener 1883 127.0.0.1\n"
"""Is moved to a free port, in its place: what stands behind it is of this listener."""


class Broker(Protocol):
    """What a test needs of a broker."""

    @property
    def port(self) -> int:
        """Its port on 127.0.0.1."""

    async def start(self) -> None:
        """Listens."""

    async def stop(self) -> None:
        """All connections break."""


class Mosquitto:
    """One Mosquitto with a configuration of its own; `settings` may have LISTENER in them."""

    def __init__(self, folder: Path, settings: str = OPEN, of_listener: str = "") -> None:
        assert MOSQUITTO is not None
        (self.port,) = free_ports(1)
        self.log = folder / "mosquitto.log"
        self._file = folder / "mosquitto.conf"
        user = "user root\n" if os.geteuid() == 0 else ""  # else it can't read what belongs to this test
        here = f"listener {self.port} 127.0.0.1\n"
        if LISTENER not in settings:
            settings += f"\n{LISTENER}"
        self._file.write_text(f"{user}{settings.replace(LISTENER, here)}{of_listener}\n")
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def allow(passwords: Path, users: dict[str, str]) -> None:
        """Writes a password file."""
        for user, password in users.items():
            subprocess.run(["mosquitto_passwd", "-b", str(passwords), user, password], check=True)

    async def start(self) -> None:
        """Starts the process and waits until it takes connections."""
        self._process = process = self._launched()
        async with asyncio.timeout(READY_S):
            while not await asyncio.to_thread(self._takes_connections):
                assert process.poll() is None, self.log.read_text()
                await asyncio.sleep(0.02)

    def _launched(self) -> subprocess.Popen[bytes]:
        assert MOSQUITTO is not None
        with self.log.open("ab") as log:
            return subprocess.Popen([MOSQUITTO, "-c", str(self._file)], stdout=log, stderr=log)

    def _takes_connections(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    async def stop(self) -> None:
        """Kills the process; harmless when repeated."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            await asyncio.to_thread(process.wait, 10)


def broker_of(kind: str, folder: Path) -> Broker:
    """A broker that is open to everyone on this machine."""
    return Mosquitto(folder) if kind == "mosquitto" else EmbeddedBroker()


def with_our_rules(folder: Path, users: dict[str, str]) -> Mosquitto:
    """Mosquitto with the shipped configuration, its files and its port moved here."""
    passwords = folder / "cem.passwd"
    passwords.touch(0o600)
    settings = (DEPLOY / "cem.conf").read_text().replace("/etc/mosquitto/cem.passwd", str(passwords))
    broker = Mosquitto(folder, settings.replace("/etc/mosquitto/cem.acl", str(DEPLOY / "cem.acl")))
    broker.allow(passwords, users)
    return broker
