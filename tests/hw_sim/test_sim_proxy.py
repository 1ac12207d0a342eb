"""The failing proxy: byte for byte when healthy, and each way of failing seen from the client."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable

import pytest

from hw_sim.proxy import FaultyProxy


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1000):
        writer.write(data)
    writer.close()


def with_proxy(check: Callable[[FaultyProxy], Awaitable[None]], latency_s: float = 0.0) -> None:
    async def main() -> None:
        server = await asyncio.start_server(_echo, "127.0.0.1", 0)
        proxy = FaultyProxy(0, "127.0.0.1", server.sockets[0].getsockname()[1], latency_s=latency_s)
        await proxy.start()
        try:
            async with asyncio.timeout(20):
                await check(proxy)
        finally:
            await proxy.stop()
            server.close()
            await server.wait_closed()

    asyncio.run(main())


class Line:
    """A client connection through the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, proxy: FaultyProxy) -> "Line":
        return cls(*await asyncio.open_connection(proxy.host, proxy.port))

    async def ask(self, data: bytes) -> bytes:
        self.writer.write(data)
        return await self.reader.readexactly(len(data))

    async def ended(self) -> bool:
        try:
            return await self.reader.read(1) == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self.writer.transport.abort()


async def refused(proxy: FaultyProxy) -> bool:
    try:
        (await Line.open(proxy)).close()
    except OSError:
        return True
    return False


def test_a_healthy_proxy_changes_nothing() -> None:
    async def check(proxy: FaultyProxy) -> None:
        lines = [await Line.open(proxy) for _ in range(3)]
        data = bytes(range(256)) * 1000
        assert [await line.ask(data) for line in lines] == [data] * 3
        lines[0].writer.write_eof()
        assert await lines[0].ended()
        for line in lines:
            line.close()

    with_proxy(check)


def test_cut_drops_and_refuses_and_heal_brings_back_the_same_port() -> None:
    async def check(proxy: FaultyProxy) -> None:
        port = proxy.port
        line = await Line.open(proxy)
        assert await line.ask(b"one") == b"one"
        await proxy.cut()
        assert await line.ended()
        line.close()
        assert await refused(proxy)
        await proxy.heal()
        assert proxy.port == port
        line = await Line.open(proxy)
        assert await line.ask(b"two") == b"two"
        line.close()

    with_proxy(check)


def test_a_black_hole_accepts_and_says_nothing() -> None:
    async def check(proxy: FaultyProxy) -> None:
        old = await Line.open(proxy)
        assert await old.ask(b"one") == b"one"
        await proxy.blackhole()
        new = await Line.open(proxy)
        for line in (old, new):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await line.ask(b"lost")
        await proxy.heal()
        assert await old.ended()
        assert await new.ended()
        line = await Line.open(proxy)
        assert await line.ask(b"two") == b"two"
        for each in (old, new, line):
            each.close()

    with_proxy(check)


def test_a_black_hole_after_a_cut_listens_again() -> None:
    async def check(proxy: FaultyProxy) -> None:
        await proxy.cut()
        await proxy.blackhole()
        assert not await refused(proxy)

    with_proxy(check)


def test_latency_delays_both_directions() -> None:
    async def check(proxy: FaultyProxy) -> None:
        line = await Line.open(proxy)
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await line.ask(b"slow") == b"slow"
        assert loop.time() - began >= 0.2
        line.close()

    with_proxy(check, latency_s=0.1)


def test_nobody_behind_the_proxy_ends_the_connection() -> None:
    async def main() -> None:
        nobody = await asyncio.start_server(_echo, "127.0.0.1", 0)
        port = nobody.sockets[0].getsockname()[1]
        nobody.close()
        await nobody.wait_closed()
        proxy = FaultyProxy(0, "127.0.0.1", port)
        await proxy.start()
        line = await Line.open(proxy)
        async with asyncio.timeout(5):
            assert await line.ended()
        line.close()
        await proxy.stop()

    asyncio.run(main())


def test_the_command_obeys_lines_on_stdin() -> None:
    async def main() -> None:
        server = await asyncio.start_server(_echo, "127.0.0.1", 0)
        target = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hw_sim.cli", "proxy", "--listen", "0", "--target", target, "--json",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            async with asyncio.timeout(30):
                address = json.loads(await process.stdout.readline())["proxy"]
                proxy = FaultyProxy(address["port"], "127.0.0.1", 1)  # only for its address

                async def order(word: str) -> str:
                    assert process.stdin is not None
                    assert process.stdout is not None
                    process.stdin.write(word.encode() + b"\n")
                    return (await process.stdout.readline()).decode().strip()

                line = await Line.open(proxy)
                assert await line.ask(b"hello") == b"hello"
                assert await order("cut") == "ok"
                assert await refused(proxy)
                assert await order("heal") == "ok"
                assert not await refused(proxy)
                assert (await order("dance")).startswith("unknown 'dance'; allowed: cut")
                assert await order("quit") == "ok"
                assert await process.wait() == 0
                line.close()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            server.close()
            await server.wait_closed()

    asyncio.run(main())
