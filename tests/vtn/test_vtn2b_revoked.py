"""Certificates of VENs that were revoked, at our VTN."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from cem.cli.vtn import vtn
from cem.io.clock import SystemClock
from cem.io.http_client import AiohttpClient
from cem.io.revocation import RevocationLists
from cem.io.tls import client_context, server_context
from cem.sgcp.vtn2b.parties import Admitted
from cem.vtn_app import VtnSettings, running_vtn
from cem.wire.openadr2b import decode, encode
from cem.wire.openadr2b.messages import CreatedPartyRegistration, QueryRegistration
from cem.wire.openadr2b.names import PATH_PREFIX
from support.certificates import Authority


def test_a_ven_whose_certificate_was_revoked_is_refused_from_then_on(tmp_path: Path) -> None:
    async def main() -> None:
        authority = Authority(tmp_path)
        ven, own = authority.issue("ven"), authority.issue("vtn")
        clock = SystemClock()
        lists = RevocationLists(authority.revoke(), authority.certificate, lambda: clock.now().wall)
        settings = VtnSettings(
            clients=(),
            tls=server_context(own.certificate, own.key, authority.certificate),
            vens_2b=(Admitted("ven-1", "house-1", ven.fingerprint),),
            refusal=lists.refusal,
        )
        http = AiohttpClient(ssl_context=client_context(ven.certificate, ven.key, authority.certificate))
        async with running_vtn(settings) as vtn_here:
            url = f"https://127.0.0.1:{vtn_here.port}{PATH_PREFIX}/EiRegisterParty"
            body = encode(QueryRegistration(request_id="1"))
            answer = await http.request("POST", url, body=body)
            assert isinstance(decode(answer.body), CreatedPartyRegistration)
            authority.revoke(ven)
            refused = await http.request("POST", url, body=body)
            assert (refused.status, b"revoked" in refused.body) == (403, True)
        await http.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("revoked", "words"),
    [("other", "no authority here signed"), ("none", "no list of revoked certificates")],
)
def test_a_list_that_cannot_be_used_is_told_at_the_start(tmp_path: Path, revoked: str, words: str) -> None:
    authority = Authority(tmp_path)
    path = tmp_path / "list.pem"
    path.write_text("nothing")
    if revoked == "other":
        Authority(tmp_path, "other").revoke(path=path)
    options = ["serve", "--client", "a:b:bl", "--crl", str(path)]
    alone = CliRunner().invoke(vtn, options)
    assert alone.exit_code == 2
    assert "--crl needs --client-ca" in alone.output
    found = CliRunner().invoke(vtn, [*options, "--client-ca", str(authority.certificate)])
    assert found.exit_code == 1
    assert words in found.output


def test_a_certificate_that_cannot_be_read_does_not_count(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    clock = SystemClock()
    lists = RevocationLists(authority.revoke(), authority.certificate, lambda: clock.now().wall)
    assert lists.refusal(b"nothing") == "the certificate cannot be read"
