"""The local API from the other end, asynchronous: a stream of statuses for whoever draws them."""

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import aiohttp

from cem.io.local_client import foreign, refusal, request_body, unreachable
from cem.io.status_json import read_plan, read_status
from cem.model.plan import Plan
from cem.model.request import RequestKind
from cem.model.status import Status

SILENCE_S: Final = 5.0
"""The gateway writes every second, if only that nothing changed; longer silence counts as gone."""
LARGEST_LINE: Final = 8 * 1024 * 1024


class LocalStream:
    """Follows one gateway. Every method raises GatewayUnreachable or GatewayRefused."""

    def __init__(self, socket_path: Path, silence_s: float = SILENCE_S) -> None:
        self._path = socket_path
        self._silence_s = silence_s

    async def statuses(self) -> AsyncGenerator[Status, None]:
        """Each new status with its plan, until the gateway is gone (then it raises; it never ends by itself)."""
        plan: Plan | None = None
        async with self._session() as session, session.get("http://cem/v1/stream") as answer:
            if answer.status != 200:
                raise refusal(answer.status, await answer.read())
            kind = ""
            while True:
                line = await asyncio.wait_for(answer.content.readline(), self._silence_s)
                if not line:
                    raise ConnectionResetError(None, "the stream ended")
                name, _, value = line.strip().partition(b": ")
                if name == b"event":
                    kind = value.decode(errors="replace")
                elif name == b"data" and kind == "plan":
                    plan = read_plan(value)
                elif name == b"data" and kind == "status":
                    yield dataclasses.replace(read_status(value), plan=plan)

    async def request(self, resource_id: str, kind: RequestKind, until: datetime) -> None:
        """Asks for an act of the owner; `until` is aware."""
        await self._act("POST", "/v1/requests", request_body(resource_id, kind, until))

    async def withdraw(self, request_id: str) -> None:
        """Takes an act back."""
        await self._act("DELETE", f"/v1/requests/{request_id}", None)

    async def _act(self, method: str, target: str, body: bytes | None) -> None:
        async with self._session() as session, session.request(method, f"http://cem{target}", data=body) as answer:
            if answer.status >= 400:
                raise refusal(answer.status, await answer.read())

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[aiohttp.ClientSession]:
        """A session in which every way of not being answered becomes GatewayUnreachable."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._silence_s, sock_read=self._silence_s)
        try:
            async with aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(path=str(self._path)), timeout=timeout, read_bufsize=LARGEST_LINE
            ) as session:
                yield session
        except aiohttp.ClientOSError as error:
            raise unreachable(
                self._path, error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
            ) from error
        except OSError as error:
            raise unreachable(self._path, error) from error
        except (aiohttp.ClientPayloadError, aiohttp.ServerConnectionError) as error:
            raise unreachable(self._path, ConnectionResetError(None, "the connection was closed")) from error
        except (aiohttp.ClientError, ValueError) as error:
            raise foreign(self._path, type(error).__name__) from error
