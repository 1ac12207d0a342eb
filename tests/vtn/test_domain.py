"""The gateway runs a VTN for a domain below itself: from its site file, with TLS, its commands, its status."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cem.app import Gateway, real_gateway
from cem.cli.vtn import vtn as vtn_command
from cem.config.drivers import load_drivers
from cem.config.load import load_site
from cem.config.write import write_secret
from cem.dashboard import words
from cem.io.clock import SystemClock
from cem.io.http_client import AiohttpClient
from cem.io.tls import client_context
from cem.model.status import DomainStatus
from cem.runtime.domain import Domain
from cem.runtime.ven2b_client import Signed, Vtn2bClient
from cem.runtime.ven_client import VtnClient, VtnFailure
from cem.sgcp.vtn.handler import BASE_PATH
from cem.wire import openadr3 as wire
from cem.wire.openadr2b.messages import (
    CreatedPartyRegistration,
    CreatePartyRegistration,
    DistributeEvent,
    RequestEvent,
)
from cem.wire.openadr2b.names import PATH_PREFIX
from cem.wire.openadr2b.signature import Signer, pem_fingerprint
from support.certificates import Authority
from support.stand import free_ports
from support.ven_world import utility
from support.waiting import until

SITE = """
site = 1
name = "Home"
timezone = "Europe/Berlin"
[connection]
phases = 3
fuse_a = 35
[store]
folder = "state"
[api]
socket = "s"
[plan]
enabled = false
[tariff]
base_price_per_kwh = 0.34
[[device]]
id = "box"
driver = "sunspec"
link = {{ kind = "tcp", host = "127.0.0.1", port = 9, unit = 1 }}
[[device.resource]]
id = "meter"
role = "grid"
[vtn]
listen = "127.0.0.1:{port}"
certificate_file = "vtn.pem"
key_file = "vtn.key"
[[vtn.client]]
id = "flat"
secret_file = "flat.secret"
[[vtn.client]]
id = "owner"
secret_file = "owner.secret"
role = "bl"
"""
PROGRAM = wire.ProgramRequest(program_name="limits")


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Gateway]:
    drivers = load_drivers()
    gateway = await real_gateway(load_site(folder / "site.toml", drivers), drivers, replay=False)
    task = asyncio.create_task(gateway.run())
    try:
        await until(lambda: gateway.loop.last is not None)
        yield gateway
    finally:
        gateway.stop()
        await task


def site(folder: Path) -> int:
    port = free_ports(1)[0]
    (folder / "site.toml").write_text(SITE.format(port=port))
    for name in ("flat", "owner"):
        write_secret(folder / f"{name}.secret", f"{name}'s secret")
    Authority(folder).issue("vtn")
    return port


def own(gateway: Gateway) -> Domain:
    assert gateway.domain is not None
    assert gateway.domain.domain is not None
    return gateway.domain.domain


def shown(gateway: Gateway) -> DomainStatus:
    found = gateway.status().domain
    assert found is not None
    return found


async def ready(gateway: Gateway) -> None:
    await until(lambda: shown(gateway).running)


def event(program: wire.Program, limit_kw: float, name: str | None = "evening") -> wire.EventRequest:
    payload = wire.ValuesMap(type="IMPORT_CAPACITY_LIMIT", values=(limit_kw,))
    return wire.EventRequest(
        program_id=program.id, event_name=name, intervals=(wire.Interval(id=0, payloads=(payload,)),)
    )


async def ordered(folder: Path, *arguments: str) -> Any:
    """What a command of `cem vtn` says, in a thread as it has a loop of its own."""
    told = await asyncio.to_thread(
        CliRunner().invoke, vtn_command, [*arguments, "--config", str(folder / "site.toml"), "--json"]
    )
    assert told.exit_code == 0, told.output
    return json.loads(told.stdout)


def test_the_site_files_vtn_serves_a_ven_its_commands_and_the_gateway_itself(tmp_path: Path) -> None:
    port = site(tmp_path)

    async def main() -> None:
        http = AiohttpClient(ssl_context=client_context(None, None, tmp_path / "authority.pem"))
        try:
            await served(http)
        finally:
            await http.close()

    async def served(http: AiohttpClient) -> None:
        async with running(tmp_path) as gateway:
            await ready(gateway)
            program = await own(gateway).programme(PROGRAM)
            assert await own(gateway).programme(PROGRAM) == program
            first = await own(gateway).publish(event(program, 4.2))
            assert await own(gateway).publish(event(program, 4.2)) == first
            changed = await own(gateway).publish(event(program, 3.0))
            assert (changed.id, changed.intervals[0].payloads[0].values) == (first.id, (3.0,))
            url = f"https://127.0.0.1:{port}{BASE_PATH}"
            flat = VtnClient(utility(url=url, client_id="flat", client_secret="flat's secret"), http, SystemClock())
            ven = await flat.post(wire.Ven, "/vens", wire.VenRequest(ven_name="flat 2"))
            seen = await flat.every(wire.Event, "/events")
            assert [e.id for e in seen.items if e.program_id == program.id] == [first.id]
            usage = wire.ReportResource(resource_name="r", intervals=event(program, 1.0).intervals)
            report = wire.ReportRequest(event_id=first.id, client_name="flat 2", resources=(usage,))
            await flat.post(wire.Report, "/reports", report)
            assert [r.client_name for r in await own(gateway).reports(first.id)] == ["flat 2"]
            assert [v.id for v in await own(gateway).vens()] == [ven.id]
            assert await own(gateway).resources(ven.id) == ()
            listed = await ordered(tmp_path, "event", "list")
            assert [e["id"] for e in listed if e["programID"] == program.id] == [first.id]
            await ordered(tmp_path, "program", "add", "prices")
            await until(lambda: (shown(gateway).vens, shown(gateway).programs) == (1, 4), 20.0)
            await until(lambda: [one.name for one in shown(gateway).members] == ["flat 2"], 20.0)
            found = gateway.status()
            assert found.domain is not None
            assert words.domain(found.domain, found).startswith(
                "VTN for the domain below: 1 VEN, 2 events, 1 report; last heard "
            )
            assert await own(gateway).withdraw(first.id)
            assert not await own(gateway).withdraw(first.id)
        assert (tmp_path / "state" / "vtn" / "objects.db").exists()

    asyncio.run(main())


def test_a_ven_of_the_old_binding_is_admitted_by_the_site_file_and_told_its_events(tmp_path: Path) -> None:
    port = site(tmp_path)
    authority = Authority(tmp_path)
    authority.issue("vtn", "rsa")
    ven = authority.issue("ven")
    keys = f'client_ca_file = "authority.pem"\ncrl_file = "{authority.revoke().name}"\nsign_2b = true\n'
    admitted = f'[[vtn.ven_2b]]\nid = "ven-1"\nname = "flat 3"\nfingerprint = "{ven.fingerprint}"\n'
    text = (tmp_path / "site.toml").read_text().replace('key_file = "vtn.key"\n', f'key_file = "vtn.key"\n{keys}')
    (tmp_path / "site.toml").write_text(text + admitted)
    vtn_fingerprint = pem_fingerprint((tmp_path / "vtn.pem").read_text())

    async def main() -> None:
        shown_by_ven = client_context(ven.certificate, ven.key, authority.certificate)
        async with running(tmp_path) as gateway:
            await ready(gateway)
            http, stranger = (
                AiohttpClient(ssl_context=shown_by_ven),
                AiohttpClient(ssl_context=client_context(None, None, authority.certificate)),
            )
            signer = Signer(ven.key.read_bytes(), ven.certificate.read_text())
            envelope = Signed(signer, vtn_fingerprint, SystemClock())
            provider = utility(url=f"https://127.0.0.1:{port}{PATH_PREFIX}")
            client = Vtn2bClient(provider, http, envelope, SystemClock())
            try:
                request = CreatePartyRegistration(
                    request_id="1",
                    ven_name="flat 3",
                    profile="2.0b",
                    transport="simpleHttp",
                    report_only=False,
                    xml_signature=True,
                )
                answer = await client.ask(CreatedPartyRegistration, request)
                assert answer.ven_id == "ven-1"
                program = await own(gateway).programme(PROGRAM)
                told = await own(gateway).publish(event(program, 4.2))
                events = await client.ask(DistributeEvent, RequestEvent(request_id="2", ven_id="ven-1"))
                assert [e.descriptor.event_id for e in events.events] == [told.id]
                assert [v.ven_name for v in await own(gateway).vens()] == ["flat 3"]
                with pytest.raises(VtnFailure) as refused:  # signed as it must be, on a connection that shows nothing
                    await Vtn2bClient(provider, stranger, envelope, SystemClock()).exchange(
                        RequestEvent(request_id="3", ven_id="ven-1")
                    )
                assert refused.value.status == 403
            finally:
                await http.close()
                await stranger.close()

    asyncio.run(main())


def test_what_was_published_is_there_after_a_restart_and_a_nameless_event_is_always_new(tmp_path: Path) -> None:
    site(tmp_path)

    async def main() -> None:
        async with running(tmp_path) as gateway:
            await ready(gateway)
            program = await own(gateway).programme(PROGRAM)
            made = [await own(gateway).publish(event(program, 4.2, None)) for _ in range(2)]
        async with running(tmp_path) as gateway:
            await ready(gateway)
            assert await own(gateway).programme(PROGRAM) == program
            assert list(await own(gateway).events(program.id)) == made

    asyncio.run(main())


def test_a_port_that_is_taken_is_an_alarm_and_no_more(tmp_path: Path) -> None:
    port = site(tmp_path)

    async def main() -> None:
        with socket.create_server(("127.0.0.1", port)):
            async with running(tmp_path) as gateway:
                await until(lambda: any(alarm.id == "vtn" for alarm in gateway.status().alarms))
                (alarm,) = [alarm for alarm in gateway.status().alarms if alarm.id == "vtn"]
                assert "address already in use" in alarm.cause
                assert not shown(gateway).running

    asyncio.run(main())


@pytest.mark.parametrize(
    ("spoil", "words_of_it"),
    [
        (lambda text: text.partition("[vtn]")[0], "it has no [vtn]"),
        (lambda text: text.replace('role = "bl"', ""), "[vtn] has no client of the role bl"),
        (lambda text: text.replace("listen", "listne"), "did you mean 'listen'?"),
    ],
)
def test_commands_say_what_a_site_file_lacks(tmp_path: Path, spoil: Callable[[str], str], words_of_it: str) -> None:
    site(tmp_path)
    path = tmp_path / "site.toml"
    path.write_text(spoil(path.read_text()))
    told = CliRunner().invoke(vtn_command, ["event", "list", "--config", str(path)])
    assert (told.exit_code, words_of_it in told.output) == (1, True), told.output


def test_a_command_that_names_no_vtn_says_how() -> None:
    told = CliRunner().invoke(vtn_command, ["event", "list"])
    assert (told.exit_code, "--config with a [vtn]" in told.output) == (2, True)
