"""Addresses at which no driver knows anything: what is told instead, over real sockets; and small networks."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from click.testing import CliRunner

from cem.cli.scan import scan
from cem.commissioning.discover import discover
from cem.commissioning.knock import NO_ANSWER, NO_HOST, REFUSED, SAY_WHAT, UNKNOWN, knock
from cem.commissioning.sweep import network_of, sweep
from cem.commissioning.targets import Link, LinkKind
from cem.ports import DriverContext
from support.certificates import Authority
from support.waiting import until

Answer = Callable[[bytes], bytes]


def modbus(question: bytes) -> bytes:
    """One register, or nothing for what is not Modbus."""
    return question[:4] + b"\0\5" + question[6:8] + b"\2\0\0" if question[2:4] == b"\0\0" else b""


def gateway(question: bytes) -> bytes:
    """A gateway with nobody behind it."""
    return question[:4] + b"\0\3" + question[6:7] + b"\x83\x0b" if question[2:4] == b"\0\0" else b""


def broker(code: int) -> Answer:
    """A broker that answers CONNECT with a code."""
    return lambda question: b"\x20\x02\x00" + bytes([code]) if question[4:8] == b"MQTT" else b""


async def _served(answer: Answer, ask: Callable[[int], Awaitable[str]]) -> str:
    present: set[asyncio.StreamWriter] = set()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        present.add(writer)
        with contextlib.suppress(OSError):
            question = await reader.read(64)
            writer.write(answer(question) if question else b"")
            await reader.read()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        present.discard(writer)

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        told = await ask(server.sockets[0].getsockname()[1])
        await until(lambda: not present)
        return told


def _told(answer: Answer, kind: str) -> str:
    async def ask(port: int) -> str:
        unit: Link = {"unit": 3} if kind == "tcp" else {}
        link: Link = {"kind": kind, "host": "127.0.0.1", "port": port, **unit}
        return (await knock(link, 0.3)).words

    return asyncio.run(_served(answer, ask))


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (modbus, "tcp", f"{UNKNOWN} (Modbus); {SAY_WHAT}"),
        (gateway, "tcp", "a Modbus gateway answers, but nothing behind it at unit 3: try other units"),
        (broker(0), "tcp", "answers MQTT, not Modbus: ask it as mqtt://127.0.0.1:"),
        (lambda _: b"", "tcp", "takes the connection, but answers neither Modbus at unit 3 nor MQTT"),
        (broker(0), "mqtt", "a broker answers (MQTT), but no device that a driver knows"),
        (broker(5), "mqtt", "wants a user and a password"),
        (modbus, "mqtt", "answers Modbus, not MQTT: ask it as modbus://127.0.0.1:"),
        (lambda _: b"SSH-2.0-x\r\n", "mqtt", "takes the connection, but answers neither MQTT nor Modbus"),
        (lambda _: b"", "rtu-tcp", "takes the connection, but nothing that a driver knows answers"),
        (lambda _: b"SSH-2.0-x\r\n", "tls", "takes the connection, but no TLS comes about"),
    ],
)
def test_what_answers_otherwise_is_named(answer: Answer, kind: str, words: str) -> None:
    assert words in _told(answer, kind)


@pytest.mark.parametrize(
    ("trusted", "words"),
    [
        (False, "speaks TLS, but its certificate is not trusted here"),
        (True, "takes the connection, but nothing that a driver knows answers"),
    ],
)
def test_a_certificate_that_nobody_here_trusts_is_told(
    trusted: bool, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    shown = authority.issue("meter")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(shown.certificate, shown.key)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))

    async def main() -> str:
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return (await knock({"kind": "tls", "host": "127.0.0.1", "port": port, "unit": 1}, 5.0)).words

    assert words in asyncio.run(main())


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ({"kind": "tcp", "host": "127.0.0.1", "port": 9, "unit": 1}, REFUSED),
        ({"kind": "mqtt", "host": "no-such-host.invalid", "port": 1883}, NO_HOST),
        ({"kind": "rtu", "device": "/dev/no-such-line", "unit": 1}, "no such serial line: /dev/no-such-line"),
    ],
)
def test_where_nobody_takes_a_connection_it_is_told_why(link: Link, words: str) -> None:
    seen = asyncio.run(knock(link, 5.0))
    assert (seen.reached, seen.words) == (False, words)


def test_a_host_that_does_not_answer_is_told_apart_from_one_that_refuses() -> None:
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)  # its queue is full with the first connection: the kernel answers no further one
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(deaf.getsockname())
        seen = asyncio.run(knock({"kind": "mqtt", "host": "127.0.0.1", "port": deaf.getsockname()[1]}, 0.3))
    assert (seen.reached, seen.words) == (False, NO_ANSWER)


def test_the_other_units_of_a_refused_port_are_told_the_same() -> None:
    links: list[Link] = [{"kind": "tcp", "host": "127.0.0.1", "port": 9, "unit": unit} for unit in range(1, 200)]
    sightings = asyncio.run(discover(links, {}, DriverContext(lambda: 0.0), timeout_s=1.0))
    assert [sighting.link["unit"] for sighting in sightings] == list(range(1, 200))
    assert {sighting.instead for sighting in sightings} == {REFUSED}


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("192.168.1.0/24", IPv4Network("192.168.1.0/24")),
        ("127.0.0.0/30", IPv4Network("127.0.0.0/30")),
        ("192.168.1.41/3", None),
        ("192.168.1.40:502/29", None),
        ("192.168.1.40/200", None),
        ("meter.local/24", None),
    ],
)
def test_a_network_is_told_from_a_unit(text: str, network: IPv4Network | None) -> None:
    assert network_of(text) == network


@pytest.mark.parametrize("text", ["10.0.0.0/8", "192.168.0.0/16", "0.0.0.0/0"])
def test_a_network_too_large_to_look_through_is_refused(text: str) -> None:
    answer = CliRunner().invoke(scan, [text])
    assert answer.exit_code == 2
    assert "at most 256 (/24) are looked through at once" in " ".join(answer.stderr.replace("│", " ").split())


def test_a_sweep_finds_what_takes_a_connection() -> None:
    async def ask(port: int) -> str:
        found = await sweep(IPv4Network("127.0.0.0/30"), 1.0, {port: LinkKind.MODBUS_TCP, 9: LinkKind.MQTT})
        assert found == [{"kind": "tcp", "host": "127.0.0.1", "port": port}]
        return ""

    assert asyncio.run(_served(modbus, ask)) == ""


def test_an_empty_network_is_told_and_ends_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cem.commissioning.sweep.sweep.__defaults__", ({9: LinkKind.MQTT},))
    answer = CliRunner().invoke(scan, ["127.0.0.0/30", "--timeout", "0.5"])
    assert answer.exit_code == 1
    assert "127.0.0.0/30: no host takes a connection" in answer.stderr
