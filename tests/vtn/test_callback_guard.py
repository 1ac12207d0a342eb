"""Where the VTN may call back: never into its own network unless it was told so, and never elsewhere than judged."""

import asyncio
import socket
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from cem.io.callback_guard import CallbackFault, CallbackGuard, Target
from cem.io.webhooks import WebhookBounds, Webhooks
from support.hook_server import running_hooks

REFUSED = [
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://localhost/",
    "https://0.0.0.0/",
    "https://10.1.2.3/",
    "https://172.16.0.1/",
    "https://192.168.1.1:8443/",
    "https://169.254.169.254/latest/meta-data",
    "https://100.64.0.1/",
    "https://224.0.0.1/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    "https://[::1]/",
    "https://[::]/",
    "https://[fe80::1]/",
    "https://[fc00::1]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:a00:1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "http://93.184.215.14/",
    "https://user:secret@93.184.215.14/",
    "https:///nowhere",
    "https://93.184.215.14:99999/",
    "ftp://93.184.215.14/",
    "https://no-such-host.invalid/",
]


def _target(guard: CallbackGuard, url: str) -> Target:
    return asyncio.run(guard.target(url))


@pytest.mark.parametrize("url", REFUSED)
def test_what_is_not_a_public_https_address_is_refused(url: str) -> None:
    with pytest.raises(CallbackFault):
        _target(CallbackGuard(), url)


@pytest.mark.parametrize("url", ["https://93.184.215.14/hook", "https://[2606:2800:220:1::1]:8443/hook"])
def test_a_public_https_address_is_allowed(url: str) -> None:
    assert str(_target(CallbackGuard(), url).url) == url


def test_an_allowed_network_may_be_private_and_plain_and_nothing_else_is() -> None:
    guard = CallbackGuard([ip_network("192.168.178.0/24"), ip_network("fd00::/8")])
    for url in ("http://192.168.178.20/h", "https://192.168.178.20/h", "http://[fd00::1]/h"):
        assert _target(guard, url).addresses
    for url in ("http://192.168.179.20/h", "http://127.0.0.1/h", "http://93.184.215.14/h"):
        with pytest.raises(CallbackFault):
            _target(guard, url)


class _Rebinding:
    """A name server that gives a harmless address at first and an inner one ever after."""

    def __init__(self, *answers: list[str]) -> None:
        self.asked = 0
        self._answers = answers

    async def getaddrinfo(self, host: str, port: int, **_: Any) -> list[Any]:
        """What asyncio's loop would give."""
        found = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]


def test_one_inner_address_among_public_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    names = _Rebinding(["93.184.215.14", "10.0.0.1"])

    async def main() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", names.getaddrinfo)
        with pytest.raises(CallbackFault, match="not a public one"):
            await CallbackGuard().target("https://rebinding.test/")

    asyncio.run(main())


def test_what_was_judged_is_what_is_connected_to_and_nobody_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with running_hooks() as hooks:
            port = hooks.url.split(":")[2]
            names = _Rebinding(["127.0.0.1"], ["127.0.0.2"])
            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", names.getaddrinfo)
            webhooks = Webhooks(CallbackGuard([ip_network("127.0.0.1/32")]), WebhookBounds(2.0, ()))
            assert await webhooks.prove(f"http://rebinding.test:{port}", None) is None
            assert names.asked == 1
            fault = await webhooks.prove(f"http://rebinding.test:{port}", None)
            assert fault is not None
            assert "not a public one" in fault
            assert len(hooks.challenged) == 1
            await webhooks.close()

    asyncio.run(main())


def _authority(folder: Path, host: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's certificate for a host by an authority of its own; the server's context, and one that trusts it."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(certificate.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(chain, secret)
    return server, ssl.create_default_context(cafile=chain)


def test_a_certificate_must_be_right_for_the_name_in_the_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        server, trusting = _authority(tmp_path, "hooks.test")
        async with running_hooks(server) as hooks:
            names = _Rebinding(["127.0.0.1"])
            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", names.getaddrinfo)
            guard, port = CallbackGuard([ip_network("127.0.0.0/8")]), hooks.url.split(":")[2]
            for host, tls, fault in (
                ("hooks.test", trusting, None),
                ("other.test", trusting, "its certificate was not accepted"),
                ("hooks.test", None, "its certificate was not accepted"),
            ):
                webhooks = Webhooks(guard, WebhookBounds(2.0, ()), tls)
                assert await webhooks.prove(f"https://{host}:{port}", None) == fault, (host, fault)

    asyncio.run(main())
