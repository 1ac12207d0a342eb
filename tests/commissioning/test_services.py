"""What is announced in the network by mDNS: heard over loopback, and said in words.

All of a machine hear each other there, so names are this process's own, and what others announce is looked over.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from click.testing import CliRunner
from zeroconf import ServiceInfo
from zeroconf.asyncio import AsyncZeroconf

from cem.cli.scan import scan
from cem.commissioning.services import KNOWN, in_words
from cem.io.mdns_services import Announced, announced

HERE = ("127.0.0.1",)
MINE = f"-{os.getpid()}"


@asynccontextmanager
async def _announcing(*services: ServiceInfo) -> AsyncIterator[None]:
    mouth = AsyncZeroconf(interfaces=list(HERE))
    try:
        for service in services:
            await (await mouth.async_register_service(service))
        yield
    finally:
        await mouth.async_close()


def _service(kind: str, name: str, port: int, **says: str) -> ServiceInfo:
    full = f"{kind}.local."
    return ServiceInfo(
        full,
        f"{name}{MINE}.{full}",
        port=port,
        server=f"box{MINE}.local.",
        parsed_addresses=list(HERE),
        properties=says,
    )


SHELLY = _service("_shelly._tcp", "shellypro3em-aabb", 80, gen="2", app="Pro3EM", ver="1.4.4\x1b[31m" + "9" * 99)
BROKER = _service("_mqtt._tcp", "broker", 1884)
PRINTER = _service("_ipp._tcp", "printer", 631)


def test_services_that_are_known_are_heard_with_where_they_are_and_others_are_left_alone() -> None:
    async def main() -> list[Announced]:
        async with _announcing(SHELLY, BROKER, PRINTER):
            return await announced(KNOWN, 2.0, HERE)

    found = [service for service in asyncio.run(main()) if service.name.endswith(MINE)]
    assert [(service.kind, service.name, service.port) for service in found] == [
        ("_mqtt._tcp", f"broker{MINE}", 1884),
        ("_shelly._tcp", f"shellypro3em-aabb{MINE}", 80),
    ]
    assert all(service.addresses == HERE for service in found)
    said = found[1].says["ver"]
    assert said.startswith("1.4.4[31m9")
    assert len(said) <= 64, "what others say is bounded and has no control characters"


def test_a_scan_lists_what_is_announced_and_how_to_go_on() -> None:
    async def main() -> tuple[int, str, str]:
        async with _announcing(SHELLY, BROKER):
            call = ["mdns", "--interface", "127.0.0.1", "--timeout", "2"]
            text = await asyncio.to_thread(CliRunner().invoke, scan, call)
            as_json = await asyncio.to_thread(CliRunner().invoke, scan, [*call, "--json"])
            return text.exit_code + as_json.exit_code, text.stdout, as_json.stdout

    status, text, as_json = asyncio.run(main())
    assert status == 0
    broker = f"127.0.0.1:1884: an MQTT broker, announced as 'broker{MINE}' (_mqtt._tcp); cem scan mqtt://127.0.0.1:1884"
    assert broker in text
    assert "a Shelly device: Pro3EM 1.4.4" in text
    first, second = (service for service in json.loads(as_json) if service["name"].endswith(MINE))
    assert (first["service"], first["further"]) == ("_mqtt._tcp", "cem scan mqtt://127.0.0.1:1884")
    assert second["says"]["app"] == "Pro3EM"


def test_a_network_where_nothing_is_announced_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: object) -> list[Announced]:
        return []

    monkeypatch.setattr("cem.cli.scan.announced", nothing)
    result = CliRunner().invoke(scan, ["mdns", "--interface", "127.0.0.1", "--timeout", "0.2"])
    assert result.exit_code == 1
    assert "nothing announced that this gateway knows" in result.stderr


@pytest.mark.parametrize("kind", KNOWN)
def test_every_known_service_is_said_in_words_without_anything_of_its_own(kind: str) -> None:
    words = in_words(Announced(kind, "x", (), 1))
    assert words.startswith("?:1: ")
    assert f"announced as 'x' ({kind})" in words
    assert len(KNOWN[kind].source) > 10


def test_an_ipv6_address_is_written_as_one() -> None:
    assert in_words(Announced("_mqtt._tcp", "b", ("fe80::1",), 1883)).endswith("cem scan mqtt://[fe80::1]:1883")
