"""The broker connection over TLS at a real Mosquitto: whose certificate counts, and ours where the broker wants one."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cem.driver import DeviceConfig, Resource, Role
from cem_drivers.mqtt import DRIVER
from cem_drivers.mqtt.paho_topics import BrokerAddress, PahoTopics
from support.brokers import MOSQUITTO, OPEN, Mosquitto

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="no Mosquitto on this machine: apt-get install mosquitto")
REFUSED_S = 1.5


def _certificate(folder: Path, name: str, authority: str | None = None, host: str = "") -> None:
    """A key and a certificate: of an authority, or signed by one, for a host name."""
    key, cert = folder / f"{name}.key", folder / f"{name}.crt"
    make = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    make += ["-keyout", str(key), "-subj", f"/CN={name}", "-days", "30"]
    if authority is None:
        subprocess.run([*make, "-x509", "-out", str(cert)], check=True, capture_output=True)
        return
    request, more = folder / f"{name}.csr", folder / f"{name}.ext"
    subprocess.run([*make, "-out", str(request)], check=True, capture_output=True)
    more.write_text(f"subjectAltName={host}\n" if host else "basicConstraints=CA:FALSE\n")
    sign = ["openssl", "x509", "-req", "-in", str(request), "-out", str(cert), "-days", "30", "-extfile", str(more)]
    sign += ["-CA", str(folder / f"{authority}.crt"), "-CAkey", str(folder / f"{authority}.key"), "-CAcreateserial"]
    subprocess.run(sign, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two authorities; a broker by the first, for this host and for another one; a gateway by each."""
    folder = tmp_path_factory.mktemp("certificates")
    for authority in ("house", "stranger"):
        _certificate(folder, authority)
    _certificate(folder, "broker", "house", "IP:127.0.0.1")
    _certificate(folder, "elsewhere", "house", "DNS:broker.example")
    _certificate(folder, "gateway", "house")
    _certificate(folder, "other-gateway", "stranger")
    return folder


@contextmanager
def _settings(folder: Path, certificate: str) -> Iterator[str]:
    yield (
        f"cafile {folder / 'house.crt'}\ncertfile {folder / certificate}.crt\nkeyfile {folder / certificate}.key\n"
        "require_certificate true\n"
    )


@pytest.mark.parametrize(
    ("broker", "authority", "gateway", "enters"),
    [
        ("broker", "house", "gateway", True),
        ("broker", "stranger", "gateway", False),
        ("elsewhere", "house", "gateway", False),
        ("broker", "house", "other-gateway", False),
        ("broker", "house", None, False),
    ],
    ids=["all right", "unknown authority", "another host's", "a stranger's client", "no client certificate"],
)
# paho leaves the socket of a failed handshake to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_only_the_right_certificates_connect(
    certificates: Path, tmp_path: Path, broker: str, authority: str, gateway: str | None, enters: bool
) -> None:
    async def main() -> bool:
        with _settings(certificates, broker) as of_listener:
            server = Mosquitto(tmp_path, OPEN, of_listener)
        await server.start()
        ours: dict[str, str | None] = {"cert_file": None, "key_file": None}
        if gateway is not None:
            ours = {
                key: str(certificates / f"{gateway}.{end}") for key, end in (("cert_file", "crt"), ("key_file", "key"))
            }
        address = BrokerAddress(
            "127.0.0.1", server.port, tls=True, ca_file=str(certificates / f"{authority}.crt"), **ours
        )
        topics, connected = PahoTopics(address), asyncio.Event()
        await topics.start(lambda *_message: None, lambda up: connected.set() if up else None)
        try:
            async with asyncio.timeout(10.0 if enters else REFUSED_S):
                await connected.wait()
        except TimeoutError:
            return False
        finally:
            await topics.stop()
            await server.stop()
        return True

    assert asyncio.run(main()) is enters


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        ({"cert_file": "x.crt", "tls": True}, None),
        ({"cert_file": "x.crt"}, "link.tls: must be true where cert_file is given"),
        ({"key_file": "x.key", "tls": True}, "link.cert_file: missing; a key belongs to a certificate"),
        ({"rest": "on"}, "link.rest: unknown key"),
    ],
)
def test_a_table_with_half_of_what_tls_needs_is_faulty(link: dict[str, str | bool], fault: str | None) -> None:
    resource = Resource("ev", Role.EV, "dev", "Device")
    table: dict[str, str | int | float | bool] = {"host": "192.0.2.2", **link}
    faults = DRIVER.faults(DeviceConfig("dev", "Device", "mqtt", table, (resource,), "go-e.v2"))
    assert [line.startswith(fault) for line in faults] == [True] if fault is not None else faults == []
