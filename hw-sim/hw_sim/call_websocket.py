"""A simulated device calls a real central system over WebSocket (RFC 6455), again and again until it gets through."""

import asyncio
import logging
import ssl
from urllib.parse import quote

import aiohttp

from hw_sim.calls import Dial, OnCall, OnText

REDIAL_S = 2.0
_log = logging.getLogger("hw_sim")


class WebSocketCall:
    """Satisfies hw_sim.calls.CallLink. `url` is everything before the device's own name."""

    def __init__(self, url: str, dial: Dial, ca_file: str | None = None) -> None:
        self._url = f"{url.rstrip('/')}/{quote(dial.path, safe='')}"
        self._dial = dial
        self._ca_file = ca_file
        self._task: asyncio.Task[None] | None = None
        self._outgoing: asyncio.Queue[str] | None = None
        self._on_text: OnText
        self._on_call: OnCall

    async def start(self, on_text: OnText, on_call: OnCall) -> None:
        """Starts calling."""
        self._on_text, self._on_call = on_text, on_call
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep_calling())

    def send(self, text: str) -> bool:
        """Hands a message over, if connected."""
        if self._outgoing is None:
            return False
        self._outgoing.put_nowait(text)
        return True

    async def stop(self) -> None:
        """Hangs up and calls no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _keep_calling(self) -> None:
        dial = self._dial
        auth = None if dial.password is None else aiohttp.BasicAuth(dial.user or "", dial.password, encoding="utf-8")
        trust = True if self._ca_file is None else ssl.create_default_context(cafile=self._ca_file)
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.ws_connect(
                        self._url, protocols=dial.protocols, auth=auth, heartbeat=20.0, ssl=trust
                    ) as socket:
                        await self._talk(socket)
                except (aiohttp.ClientError, OSError) as exc:
                    _log.debug("%s: %s; calling again in %g s", self._url, exc, REDIAL_S)
                await asyncio.sleep(REDIAL_S)

    async def _talk(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        outgoing = self._outgoing = asyncio.Queue[str]()

        async def write() -> None:
            while True:
                await socket.send_str(await outgoing.get())

        writer = asyncio.get_running_loop().create_task(write())
        self._on_call(socket.protocol or "")
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._on_text(message.data)
        finally:
            self._outgoing = None
            self._on_call(None)
            writer.cancel()
            await asyncio.wait([writer])
