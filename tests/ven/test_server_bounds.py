"""What a hostile client may ask of a server of ours: its memory, its connections and its patience are bounded."""

import asyncio
import gzip
import ssl
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from cem.io.callback_server import BOUNDS
from cem.io.http_client import AiohttpClient
from cem.io.http_server import HttpServer, ServerBounds
from cem.io.tls import client_context, fresh_client_context, server_context
from cem.model.errors import GridError
from cem.wire.http import HttpRequest, HttpResponse
from support.certificates import Authority
from support.silent_tls import SilentTls

MB = 1024 * 1024
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"


async def _echo(request: HttpRequest) -> HttpResponse:
    return HttpResponse(200, body=str(len(request.body)).encode())


@asynccontextmanager
async def server(bounds: ServerBounds = BOUNDS, **options: object) -> AsyncIterator[int]:
    """A server that tells how long the body was; its port."""
    served = HttpServer(_echo, bounds, **options)  # type: ignore[arg-type] # passed on as they are
    port = await served.start("127.0.0.1", 0)
    try:
        yield port
    finally:
        await served.stop()


async def _answered(port: int) -> bool:
    http = AiohttpClient(5.0)
    try:
        return (await http.request("POST", f"http://127.0.0.1:{port}/", body=b"four")).body == b"4"
    finally:
        await http.close()


async def _cut(reader: asyncio.StreamReader, within_s: float) -> bytes:
    """What came until the server cut the connection; TimeoutError where it did not."""
    async with asyncio.timeout(within_s):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


@pytest.mark.parametrize(
    "length",
    [
        b"Content-Length: 104857600\r\n\r\n",
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n", marks=pytest.mark.slow),
    ],
    ids=["told", "chunked"],
)
def test_a_body_of_100_mb_is_not_taken_in(length: bytes) -> None:
    async def main() -> None:
        async with server() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            piece = bytes(MB)
            framed = piece if b"Content" in length else b"100000\r\n" + piece + b"\r\n"
            tracemalloc.start()
            try:
                writer.write(HEAD + length)
                with suppress(ConnectionError):  # the server cuts it, as it may
                    for _ in range(100):
                        writer.write(framed)
                        await writer.drain()
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
                writer.close()
            assert peak < 12 * MB
            assert b"413" in (await _cut(reader, 15.0))[:40]
            assert await _answered(port)

    asyncio.run(main())


def test_a_body_that_unpacks_to_32_mb_is_not_unpacked() -> None:
    async def main() -> None:
        bomb = gzip.compress(bytes(32 * MB), 1)
        async with server() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            tracemalloc.start()
            writer.write(
                HEAD + b"Connection: close\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
            )
            writer.write(bomb)
            answer = await _cut(reader, 15.0)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            writer.close()
            assert answer.split(b" ")[1] in (b"400", b"413")
            assert peak < 12 * MB
            assert await _answered(port)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("asked", "first", "then"),
    [
        (b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n", b"HTTP/1.1 100 ", b"HTTP/1.1 200 "),
        (b"expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n\r\n", b"HTTP/1.1 100 ", b"HTTP/1.1 200 "),
        (b"Expect: 100-continue\r\nContent-Length: 104857600\r\n\r\n", b"HTTP/1.1 413 ", b""),
        (b"Expect: tea\r\nContent-Length: 4\r\n\r\n", b"HTTP/1.1 417 ", b""),
    ],
    ids=["with a length", "in chunks", "too big", "something else"],
)
def test_who_waits_for_a_word_before_the_body_gets_one(asked: bytes, first: bytes, then: bytes) -> None:
    async def main() -> None:
        async with server() as port, asyncio.timeout(5.0):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEAD + asked)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(first)
            if then:
                writer.write(b"4\r\nfour\r\n0\r\n\r\n" if b"chunked" in asked else b"four")
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(then)
                assert await reader.readexactly(1) == b"4"
            writer.close()

    asyncio.run(main())


SLOW = replace(BOUNDS, headers_timeout_s=0.3, body_timeout_s=0.3, keepalive_s=0.3)


@pytest.mark.parametrize(
    ("first", "dripped"),
    [
        (b"", b""),
        (b"PO", b"ST / HTTP/1.1"),
        (HEAD, b"X-a: bbbbbbbbbbbbbbbbbbbbb"),
        (HEAD + b"\r\n", b"PPPPPPPPPPPPPPPPP"),
    ],
    ids=["nothing", "the first line", "a header", "a second request"],
)
def test_who_drips_a_request_in_is_cut_and_the_others_are_answered(first: bytes, dripped: bytes) -> None:
    async def main() -> None:
        async with server(SLOW) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)

            async def drip() -> None:
                writer.write(first)
                for byte in dripped:
                    await asyncio.sleep(0.1)
                    writer.write(bytes([byte]))

            dripping = asyncio.create_task(drip())
            assert await _answered(port)
            await _cut(reader, 1.5)
            dripping.cancel()
            await asyncio.gather(dripping, return_exceptions=True)
            writer.close()

    asyncio.run(main())


def test_a_body_that_drips_in_is_given_up() -> None:
    async def main() -> None:
        async with server(SLOW) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEAD + b"Content-Length: 10\r\n\r\nabc")
            assert b"408" in await asyncio.wait_for(reader.readline(), 1.5)
            writer.close()

    asyncio.run(main())


def test_who_does_not_finish_the_handshake_is_cut(tmp_path: Path) -> None:
    async def main() -> None:
        identity = Authority(tmp_path).issue("us")
        tls = server_context(identity.certificate, identity.key, None)
        async with server(SLOW, tls=tls) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"\x16\x03\x01")
            await _cut(reader, 1.5)
            writer.close()

    asyncio.run(main())


def test_no_connection_is_left_of_a_server_that_has_stopped(tmp_path: Path) -> None:
    async def main() -> None:
        authority = Authority(tmp_path)
        identity = authority.issue("us")
        async with server(tls=server_context(identity.certificate, identity.key, None)) as port:
            quiet, asking, late = (SilentTls(port, authority.certificate) for _ in range(3))
            await quiet.greet()
            await asking.greet()
            assert (await asking.asks(HEAD + b"Content-Length: 0\r\n\r\n")).startswith(b"HTTP/1.1 200")
        with suppress(ConnectionError, ssl.SSLError):  # it may be cut in the middle of it
            await late.greet()
        assert all([await client.is_cut() for client in (quiet, asking, late)])

    asyncio.run(main())


def test_a_server_stops_while_clients_send_and_do_not_listen(tmp_path: Path) -> None:
    async def main() -> None:
        authority = Authority(tmp_path)
        identity = authority.issue("us")
        async with asyncio.timeout(10):
            async with server(tls=server_context(identity.certificate, identity.key, None)) as port:
                clients = [SilentTls(port, authority.certificate) for _ in range(3)]
                for client in clients:
                    await client.greet()
                    await client.floods(HEAD + b"Content-Length: 104857600\r\n\r\n")
            assert all([await client.is_cut() for client in clients])

    asyncio.run(main())


def test_there_are_never_more_connections_than_meant() -> None:
    async def main() -> None:
        async with server(replace(BOUNDS, max_connections=3)) as port:
            held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
            with pytest.raises(GridError):
                await _answered(port)
            held[0][1].close()
            await held[0][1].wait_closed()
            assert await _answered_soon(port)
            for _, writer in held:
                writer.close()

    asyncio.run(main())


async def _answered_soon(port: int) -> bool:
    """The server hears a moment later that a connection is gone."""
    for _ in range(100):
        try:
            return await _answered(port)
        except GridError:
            await asyncio.sleep(0.02)
    return False


def test_a_certificate_that_is_renewed_is_shown_at_the_next_handshake(tmp_path: Path) -> None:
    async def main() -> None:
        authority = Authority(tmp_path)
        identity = authority.issue("us")
        tls = server_context(identity.certificate, identity.key, authority.certificate)

        async def shown(port: int) -> bytes:
            context = client_context(None, None, authority.certificate)
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            writer.close()
            return found

        async with server(BOUNDS, tls=tls) as port:
            before = await shown(port)
            assert await shown(port) == before
            authority.issue("us")
            renewed = await shown(port)
            assert renewed != before
            identity.certificate.write_text("half a certificate")
            assert await shown(port) == renewed

    asyncio.run(main())


def test_a_server_whose_certificate_was_revoked_is_not_spoken_to(tmp_path: Path) -> None:
    async def main() -> None:
        authority = Authority(tmp_path)
        vtn = authority.issue("vtn")
        context = fresh_client_context(None, None, authority.certificate, revoked=authority.revoke())
        http = AiohttpClient(5.0, ssl_context=context)
        async with server(BOUNDS, tls=server_context(vtn.certificate, vtn.key, None)) as port:
            url = f"https://127.0.0.1:{port}/"
            assert (await http.request("POST", url, body=b"one")).status == 200
            authority.revoke(vtn)
            with pytest.raises(GridError, match="revoked"):
                await http.request("POST", url, body=b"two")
            authority.revoke(days=(-9, -1))
            with pytest.raises(GridError, match="expired"):
                await http.request("POST", url, body=b"three")
            authority.revoke()
            assert (await http.request("POST", url, body=b"four")).body == b"4"
        await http.close()

    asyncio.run(main())
