"""The local API: the status out, the owner's acts in, over a unix socket that only owner and group reach."""

import asyncio
import logging
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from aiohttp import web

from cem.io.local_openapi import Problem, openapi
from cem.io.local_requests import Fault, RequestInvalid, read_request
from cem.io.local_socket import bind_socket
from cem.io.status_json import EXPLANATION, REQUEST, StatusJson
from cem.model.errors import CemError
from cem.model.request import RequestKind, UserRequest
from cem.model.status import Status
from cem.model.why import Explanation

LARGEST_BODY: Final = 64 * 1024
MOST_STREAMS: Final = 8
STREAM_EVERY_S: Final = 1.0
STREAM_WRITE_S: Final = 10.0
"""A reader that takes nothing for so long is let go."""

_log = logging.getLogger(__name__)


def problem(status: int, title: str, detail: str, errors: list[Fault] | None = None) -> web.Response:
    """An error answer (RFC 9457)."""
    body = Problem(title=title, status=status, detail=detail, errors=errors or [])
    return web.Response(status=status, body=body.model_dump_json().encode(), content_type="application/problem+json")


@web.middleware
async def _problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPRequestEntityTooLarge:
        return problem(413, "Body too large", f"at most {LARGEST_BODY} bytes are read")
    except web.HTTPException as error:
        answer = problem(error.status, error.reason, f"{request.method} {request.path}: see GET /v1/openapi.json")
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer
    except CemError as error:
        return problem(409, "Not taken", str(error))
    except Exception:  # noqa: BLE001 - one failed answer is contained here; its cause is in the log
        _log.exception("local API: %s %s failed", request.method, request.path)
        return problem(500, "Fault in the gateway", "the log has the cause")


async def _asker(request: web.Request) -> str:
    """The account at the other end of the socket (SO_PEERCRED); "owner" where it has no name."""
    sock = request.transport.get_extra_info("socket") if request.transport else None
    if sock is None:
        return "owner"
    _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    try:
        return (await asyncio.to_thread(pwd.getpwuid, uid)).pw_name
    except KeyError:
        return "owner"


class LocalApi:
    """The server. `status` gives the newest status at any time and costs nothing.

    `requests` takes an owner's act in, `withdraw` takes one back and says whether it was there; both may raise
    CemError, whose text the asker then reads. Without them the API only shows. `explain` explains the last tick.
    """

    def __init__(
        self,
        socket_path: Path,
        status: Callable[[], Status],
        requests: Callable[[UserRequest], Awaitable[None]] | None = None,
        withdraw: Callable[[str], Awaitable[bool]] | None = None,
        explain: Callable[[], Explanation] | None = None,
    ) -> None:
        self._path = socket_path
        self._status = status
        self._requests = requests
        self._withdraw = withdraw
        self._explain = explain
        self._json = StatusJson()
        self._streams = 0
        self._runner: web.AppRunner | None = None
        self._socket: socket.socket | None = None
        self._inode = 0

    async def start(self) -> None:
        """Listens; raises SocketUnusable when that is not possible. The mode is set before anyone can connect."""
        self._socket = bind_socket(self._path)
        self._inode = self._path.lstat().st_ino
        app = web.Application(middlewares=[_problems], client_max_size=LARGEST_BODY)
        app.add_routes(
            [
                web.get("/v1/status", self._get_status),
                web.get("/v1/plan", self._get_plan),
                web.get("/v1/why", self._get_why),
                web.get("/v1/openapi.json", self._get_openapi),
                web.get("/v1/stream", self._get_stream),
                web.post("/v1/requests", self._post_request),
                web.delete("/v1/requests/{id}", self._delete_request),
            ]
        )
        # Streams never end by themselves: an ending gateway cuts them at once and does not wait for their readers.
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        self._runner = runner
        await runner.setup()
        await web.SockSite(runner, self._socket).start()

    async def stop(self) -> None:
        """Lets every client go and removes the socket, unless another gateway has put its own there since."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            if self._path.is_socket() and self._path.lstat().st_ino == self._inode:
                self._path.unlink(missing_ok=True)

    async def _get_status(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._json.whole(self._status()), content_type="application/json")

    async def _get_plan(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._json.plan(self._status().plan), content_type="application/json")

    async def _get_why(self, _request: web.Request) -> web.Response:
        if self._explain is None:
            return problem(409, "Not known", "this gateway explains nothing")
        return web.Response(body=EXPLANATION.dump_json(self._explain()), content_type="application/json")

    async def _get_openapi(self, _request: web.Request) -> web.Response:
        return web.json_response(openapi())

    async def _get_stream(self, request: web.Request) -> web.StreamResponse:
        if self._streams >= MOST_STREAMS:
            return problem(503, "Too many streams", f"{MOST_STREAMS} are open; close one, or ask GET /v1/status")
        self._streams += 1
        try:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
            await response.prepare(request)
            await self._feed(response)
        except (ConnectionError, TimeoutError):
            _log.debug("local API: a stream's reader is gone")
        finally:
            self._streams -= 1
        return response

    async def _feed(self, response: web.StreamResponse) -> None:
        """Plan and status whenever they changed; a comment otherwise, so that both ends see that the other lives."""
        last: Status | None = None
        while True:
            status = self._status()
            parts = []
            if last is None or status.plan is not last.plan:
                parts.append(b"event: plan\ndata: " + self._json.plan(status.plan) + b"\n\n")
            if status is not last:
                parts.append(b"event: status\ndata: " + self._json.brief(status) + b"\n\n")
            async with asyncio.timeout(STREAM_WRITE_S):
                await response.write(b"".join(parts) or b": unchanged\n\n")
            last = status
            await asyncio.sleep(STREAM_EVERY_S)

    async def _post_request(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self._requests is None:
            return problem(409, "Not taken", "this gateway takes no acts")
        status = self._status()
        if status.read_only and not any(act.kind is RequestKind.READ_ONLY for act in status.requests):
            return problem(
                409, "Not taken", "this gateway only watches: nothing is steered, so there is nothing to ask"
            )
        try:
            wish = read_request(body, status, await _asker(request))
        except RequestInvalid as error:
            return problem(422, "The request is wrong", str(error), error.faults)
        await self._requests(wish)
        return web.Response(
            status=201,
            body=REQUEST.dump_json(wish),
            content_type="application/json",
            headers={"Location": f"/v1/requests/{wish.id}"},
        )

    async def _delete_request(self, request: web.Request) -> web.Response:
        if self._withdraw is None:
            return problem(409, "Not taken", "this gateway takes no acts")
        if await self._withdraw(request.match_info["id"]):
            return web.Response(status=204)
        return problem(
            404, "No such act", f"no act {request.match_info['id']!r} is in force; GET /v1/status lists them"
        )
