"""The HTTP client of a grid session against raw bytes on 127.0.0.1."""

import asyncio
import gzip
import ssl
from collections.abc import Awaitable, Callable

import pytest

from cem.io.http_client import AiohttpClient
from cem.model.errors import GridError
from cem.ports import HttpAnswer

Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def exchange(speak: Speak, scheme: str = "http", timeout_s: float = 5.0, max_body: int = 1000) -> HttpAnswer:
    """One GET against a server that answers as `speak` does."""

    async def main() -> HttpAnswer:
        async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await speak(reader, writer)
            except ConnectionError:
                return
            finally:
                writer.close()

        server = await asyncio.start_server(served, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = AiohttpClient(timeout_s, max_body, ssl.create_default_context())
        try:
            return await client.request("GET", f"{scheme}://127.0.0.1:{port}/events?limit=50")
        finally:
            await client.close()
            server.close()
            await server.wait_closed()

    return asyncio.run(main())


def replies(head: str, body: bytes = b"") -> Speak:
    """Reads a request and answers with these bytes."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        await writer.drain()

    return speak


def test_an_answer_comes_with_lower_case_headers_and_its_body() -> None:
    answer = exchange(replies("HTTP/1.1 429 Slow\nRetry-After: 5\nContent-Length: 2", b"[]"))
    assert (answer.status, answer.headers["retry-after"], answer.body) == (429, "5", b"[]")


def test_a_redirect_is_handed_back_and_not_followed() -> None:
    answer = exchange(replies("HTTP/1.1 302 Found\nLocation: http://192.0.2.1/\nContent-Length: 0"))
    assert (answer.status, answer.headers["location"]) == (302, "http://192.0.2.1/")


def test_a_gzip_answer_is_unpacked() -> None:
    packed = gzip.compress(b'[{"id":"e1"}]')
    head = f"HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Length: {len(packed)}"
    assert exchange(replies(head, packed)).body == b'[{"id":"e1"}]'


@pytest.mark.parametrize(
    ("head", "body", "words"),
    [
        ("HTTP/1.1 200 OK\nContent-Length: 2000", b"x" * 2000, "more than 1000 bytes"),
        ("HTTP/1.1 200 OK", b"x" * 2000, "more than 1000 bytes"),
        ("HTTP/1.1 200 OK\nContent-Encoding: gzip", gzip.compress(b"x" * 10_000_000), "more than 1000 bytes"),
        ("HTTP/1.1 200 OK\nContent-Encoding: gzip", b"not gzip", "not the gzip"),
        ("HTTP/1.1 200 OK\nContent-Encoding: gzip", gzip.compress(b"x" * 500)[:20], "ends too early"),
        ("HTTP/1.1 200 OK\nContent-Encoding: br", b"x", "coded as 'br'"),
        ("HTTP/1.1 200 OK\nContent-Length: 100", b"x", "broke off before its end"),
        ("SSH-2.0-OpenSSH_9.2", b"", "not an answer in HTTP"),
        ("HTTP/1.1 200 OK\nX: " + "y" * 40_000, b"", "not an answer in HTTP"),
    ],
    ids=["declared", "endless", "bomb", "no gzip", "cut gzip", "brotli", "short", "another protocol", "long header"],
)
def test_an_answer_that_is_too_big_or_broken_is_refused_in_words(head: str, body: bytes, words: str) -> None:
    with pytest.raises(GridError, match=words):
        exchange(replies(head, body))


def test_a_server_that_never_answers_is_cut_at_the_time_out() -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    with pytest.raises(GridError, match=r"no complete answer within 0\.2 s"):
        exchange(silent, timeout_s=0.2)


def test_a_port_where_nobody_listens_says_so() -> None:
    async def main() -> None:
        client = AiohttpClient(2.0)
        try:
            await client.request("GET", "http://127.0.0.1:1/")
        finally:
            await client.close()

    with pytest.raises(GridError, match="no connection"):
        asyncio.run(main())


def test_a_server_without_tls_behind_https_is_refused() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 This is not TLS\r\n\r\n")
        await writer.drain()

    with pytest.raises(GridError, match=r"no connection: .*(SSL|TLS)"):
        exchange(plain, scheme="https")
