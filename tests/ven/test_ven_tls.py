"""A VTN that asks for a certificate: whose counts, and what is said where none does."""

import asyncio
import ssl
from pathlib import Path

import pytest
from aiohttp import web

from cem.io.callback_server import CallbackServer
from cem.io.http_client import AiohttpClient
from cem.io.tls import client_context
from cem.model.errors import GridError
from cem.sgcp.callbacks import answer
from cem.wire.http import HttpRequest, HttpResponse
from support.certificates import Authority


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two authorities, a VTN of the first, and a gateway of each."""
    made = tmp_path_factory.mktemp("certificates")
    grid = Authority(made, "grid")
    grid.issue("vtn")
    grid.issue("gateway")
    Authority(made, "stranger").issue("other")
    return made


@pytest.mark.parametrize(
    ("authority", "own", "enters"),
    [
        ("grid", "gateway", True),
        ("grid", None, False),  # the VTN wants one
        ("grid", "other", False),  # nobody it knows has signed it
        ("stranger", "gateway", False),  # the VTN is not who it should be
    ],
)
def test_both_ends_prove_who_they_are(folder: Path, authority: str, own: str | None, enters: bool) -> None:
    async def main() -> int:
        async def hello(_request: web.Request) -> web.Response:
            return web.Response(text="[]")

        server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "grid.pem")
        server_tls.load_cert_chain(folder / "vtn.pem", folder / "vtn.key")
        server_tls.verify_mode = ssl.CERT_REQUIRED
        app = web.Application()
        app.router.add_get("/programs", hello)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_tls).start()
        certificate, key = (None, None) if own is None else (folder / f"{own}.pem", folder / f"{own}.key")
        client = AiohttpClient(5.0, ssl_context=client_context(certificate, key, folder / f"{authority}.pem"))
        try:
            return (await client.request("GET", f"https://127.0.0.1:{runner.addresses[0][1]}/programs")).status
        finally:
            await client.close()
            await runner.cleanup()

    if enters:
        assert asyncio.run(main()) == 200
    else:
        with pytest.raises(GridError, match=r"certificate|exchange failed|connection"):
            asyncio.run(main())


def test_the_callback_is_served_over_tls_with_its_own_certificate(folder: Path) -> None:
    async def main() -> bytes:
        async def served(request: HttpRequest) -> HttpResponse:
            return answer(request, "/hook", "t")[0]

        server = CallbackServer("127.0.0.1", 0, folder / "vtn.pem", folder / "vtn.key")
        await server.start(served)
        client = AiohttpClient(5.0, ssl_context=client_context(None, None, folder / "grid.pem"))
        try:
            return (await client.request("GET", f"https://127.0.0.1:{server.port}/hook?echo=here")).body
        finally:
            await client.close()
            await server.stop()

    assert asyncio.run(main()) == b"here"
