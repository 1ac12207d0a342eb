"""A VTN that announces itself in the local network is found by its name, and by nobody's word but its certificate."""

import asyncio
import os
from pathlib import Path

import pytest

from cem.io.clock import SystemClock
from cem.io.http_client import AiohttpClient
from cem.io.mdns_announcement import Announcement, MdnsAnnouncement
from cem.io.mdns_locator import MdnsLocator, base_url
from cem.io.mdns_services import Announced
from cem.io.tls import client_context, server_context
from cem.model.errors import GridError
from cem.runtime.ven_client import VtnClient, VtnFailure
from cem.sgcp.vtn.handler import BASE_PATH
from cem.sgcp.vtn.tokens import Client, Role
from cem.vtn_app import VtnSettings, running_vtn
from cem.wire.openadr3 import Program
from config.test_site_faults import GOOD, faults_of
from support.certificates import Authority
from support.ven_world import utility

HOST = f"cem-test-{os.getpid()}"
NAME = f"Gateway {os.getpid()}"
HERE = ("127.0.0.1",)
FULL = {"version": "3.1.0", "base_path": "openadr3/3.1.0", "local_url": "https://vtn.local:883/openadr3/3.1.0"}


def vtn(says: dict[str, str]) -> Announced:
    return Announced("_openadr3._tcp", "v", ("192.0.2.1",), 8443, says, "myvtn.local")


@pytest.mark.parametrize(
    ("says", "plain", "url"),
    [
        (FULL, False, FULL["local_url"]),
        ({**FULL, "local_url": FULL["local_url"] + "/"}, False, FULL["local_url"]),
        ({"base_path": "/a/b/", "version": "3.1.1"}, False, "https://myvtn.local:8443/a/b"),
        ({}, False, "https://myvtn.local:8443"),
        ({"local_url": "http://vtn.local:80/x"}, True, "http://vtn.local:80/x"),
    ],
)
def test_the_address_is_what_the_txt_record_says_or_srv_and_base_path(
    says: dict[str, str], plain: bool, url: str
) -> None:
    assert base_url(vtn(says), plain=plain)[0] == url


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ({"local_url": "http://vtn.local/"}, "plain http; set allow_plain_http"),
        ({"local_url": "https://evil.example/"}, "https://NAME.local:PORT/PATH is needed"),
        ({"local_url": "https://192.0.2.9/"}, "https://NAME.local:PORT/PATH is needed"),
        ({"local_url": "ftp://vtn.local/"}, "https://NAME.local:PORT/PATH is needed"),
        ({"local_url": "https://u:p@vtn.local/"}, "https://NAME.local:PORT/PATH is needed"),
        ({"local_url": "https://vtn.local:x/"}, "Port could not be cast"),
        ({"version": "3.0.1"}, "speaks OpenADR 3.0.1; 3.1 is understood"),
    ],
)
def test_an_address_that_must_not_get_our_secret_is_refused(says: dict[str, str], words: str) -> None:
    with pytest.raises(GridError) as fault:
        base_url(vtn(says), plain=False)
    assert words in str(fault.value)


def test_a_ven_finds_the_vtn_of_the_name_by_tls_and_again_where_it_has_moved(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own = authority.issue("vtn", hosts=(f"{HOST}.local",))
    settings = VtnSettings(
        (Client("ven-1", "secret-of-ven-1", Role.VEN),),
        tls=server_context(own.certificate, own.key, None),
        data=tmp_path / "vtn",
    )

    async def asked(client: VtnClient) -> None:
        async with running_vtn(settings) as running:
            one = Announcement(NAME, HOST, running.port, True, BASE_PATH, HERE)
            announcement = MdnsAnnouncement(one, HERE)
            await announcement.start()
            try:
                assert (await client.every(Program, "/programs")).items == ()
            finally:
                await announcement.stop()

    async def main() -> None:
        locator = MdnsLocator(NAME, listen_s=2.0, interfaces=HERE)
        http = AiohttpClient(ssl_context=client_context(None, None, authority.certificate), resolver=locator)
        client = VtnClient(utility(url=f"mdns:{NAME}"), http, SystemClock(), locator.locate)
        try:
            with pytest.raises(VtnFailure, match=f"'{NAME}' is not announced"):
                await client.every(Program, "/programs")
            await asked(client)
            with pytest.raises(VtnFailure, match="no connection"):
                await client.every(Program, "/programs")
            await asked(client)
        finally:
            await http.close()

    asyncio.run(main())


def test_a_certificate_of_somebody_else_gets_no_secret(tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")
    own = stranger.issue("vtn", hosts=(f"{HOST}.local",))
    trusted = Authority(tmp_path, "trusted")
    settings = VtnSettings((), tls=server_context(own.certificate, own.key, None))

    async def main() -> None:
        locator = MdnsLocator("", listen_s=2.0, interfaces=HERE)
        http = AiohttpClient(ssl_context=client_context(None, None, trusted.certificate), resolver=locator)
        client = VtnClient(utility(url="mdns:"), http, SystemClock(), locator.locate)
        async with running_vtn(settings) as running:
            announcement = MdnsAnnouncement(Announcement(NAME, HOST, running.port, True, BASE_PATH, HERE), HERE)
            await announcement.start()
            try:
                with pytest.raises(VtnFailure, match="certificate was not accepted"):
                    await client.every(Program, "/programs")
            finally:
                await announcement.stop()
                await http.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("url", "more", "words"),
    [
        ("mdns:Gateway", "", "without a ca_file; name the authority"),
        ("mdns:Gateway", "allow_plain_http = true", ""),
        ("mdns:", 'ca_file = "authority.pem"', ""),
        ("mdns:" + "x" * 64, 'ca_file = "authority.pem"', "63 bytes at most"),
        ("mdns:Gateway", 'binding = "openadr2b"\nallow_plain_http = true', "is needed with OpenADR 2.0b"),
    ],
)
def test_a_site_file_that_names_an_announced_vtn(tmp_path: Path, url: str, more: str, words: str) -> None:
    Authority(tmp_path)
    secret = tmp_path / "utility.secret"
    secret.write_text("s")
    secret.chmod(0o600)
    faults = faults_of(GOOD.replace("https://vtn.example/openadr3/3.1.0", url).rstrip() + f"\n{more}\n", tmp_path)
    assert (faults == []) if not words else (len(faults) == 1 and words in faults[0]), faults
