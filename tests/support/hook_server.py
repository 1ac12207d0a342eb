"""A callback server as a VEN has one: it echoes challenges, records notifications, and can be told to misbehave."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


class HookServer:
    """Serves /hook and /hook/echo. `echo_below` answers the challenge at the second alone; `statuses` are the answers
    to the next notifications, 200 once they are used up."""

    def __init__(self) -> None:
        self.url = ""
        self.echo = "{}"
        self.echo_below = False
        self.statuses: list[int] = []
        self.challenged: list[str | None] = []
        self.received: list[dict[str, Any]] = []
        self.tokens: list[str | None] = []
        self._news = asyncio.Event()

    async def arrived(self, count: int) -> list[dict[str, Any]]:
        """Waits until so many notifications were posted since the start; all of them."""
        async with asyncio.timeout(5):
            while len(self.received) < count:
                self._news.clear()
                await self._news.wait()
        return self.received

    async def answer(self, request: web.Request) -> web.Response:
        """One exchange."""
        token = request.headers.get("Authorization")
        if request.method == "GET":
            self.challenged.append(token)
            below = request.path.endswith("/echo")
            if below != self.echo_below:
                return web.Response(status=404)
            return web.Response(text=self.echo.replace("{}", request.query.get("echo", "")))
        self.tokens.append(token)
        self.received.append(json.loads(await request.read()))
        self._news.set()
        status = self.statuses.pop(0) if self.statuses else 200
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 302 else {})


@asynccontextmanager
async def running_hooks(tls: ssl.SSLContext | None = None) -> AsyncIterator[HookServer]:
    """Starts one on a free port and stops it again."""
    hooks = HookServer()
    app = web.Application()
    app.router.add_route("*", "/hook", hooks.answer)
    app.router.add_route("*", "/hook/echo", hooks.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        hooks.url = f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield hooks
    finally:
        await runner.cleanup()
