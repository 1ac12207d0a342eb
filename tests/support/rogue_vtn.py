"""A small VTN of the tests on 127.0.0.1 that misbehaves on demand, and a VEN session against it."""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web
from aiohttp.abc import AbstractResolver

from cem.io.http_client import AiohttpClient
from cem.model.directive import LinkState, LinkStatus
from cem.model.provider import Provider
from cem.model.resource import Resource
from cem.ports import Clock
from cem.runtime.ven import VenSession
from cem.runtime.ven_notices import Ears
from cem.runtime.ven_settlement import Books
from cem.sgcp.point import ConnectionPoint
from support.ven_world import MemoryStore

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
BASE = "/openadr3/3.1.0"


@dataclass
class RogueVtn:
    """Objects by collection, and `twists`: (method, path) -> an answer instead of the right one."""

    programs: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    vens: list[dict[str, Any]] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    twists: dict[tuple[str, str], Answer] = field(default_factory=dict)
    seen: list[tuple[str, str]] = field(default_factory=list)
    tokens: int = 0
    valid: set[str] = field(default_factory=set)
    basic_only: bool = False
    expires_in: int = 3600
    page: int = 50
    port: int = 0
    _runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listens on a free port, the same one after a stop."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Closes the socket; connections are refused from now on."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def url(self) -> str:
        """The base address."""
        return f"http://127.0.0.1:{self.port}{BASE}"

    def count(self, method: str, path: str) -> int:
        """How often a request was seen."""
        return self.seen.count((method, path))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix(BASE)
        self.seen.append((request.method, path))
        twist = self.twists.get((request.method, path))
        if twist is not None:
            return await twist(request)
        if path == "/auth/server":
            return web.json_response({"tokenURL": f"{self.url}/auth/token"})
        if path == "/auth/token":
            return await self._token(request)
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.valid:
            return web.json_response({"status": 401, "title": "Unauthorized"}, status=401)
        return await self._collection(request, path.strip("/").split("/"))

    async def _token(self, request: web.Request) -> web.Response:
        form = parse_qs(await request.text())
        if self.basic_only and not request.headers.get("Authorization", "").startswith("Basic "):
            return web.json_response({"error": "invalid_client"}, status=401)
        if not self.basic_only and form.get("client_secret") != ["secret-of-ven-1"]:
            return web.json_response({"error": "invalid_client"}, status=401)
        self.tokens += 1
        token = f"token-{self.tokens}"
        self.valid.add(token)
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": self.expires_in})

    async def _collection(self, request: web.Request, parts: list[str]) -> web.Response:
        if parts[0] == "reports":
            return await self.write_report(request, parts[1:])
        if parts[0] not in {"programs", "events", "vens", "resources"}:
            return web.json_response({"status": 404}, status=404)
        objects: list[dict[str, Any]] = getattr(self, parts[0])
        if request.method == "POST":
            body = await request.json()
            made = {**body, "id": f"{parts[0]}-{len(objects)}", "clientID": "ven-1"}
            objects.append(made)
            return web.json_response(made, status=201)
        if len(parts) == 2:
            found = next((o for o in objects if o.get("id") == parts[1]), None)
            return web.json_response(found or {"status": 404}, status=200 if found else 404)
        return self._page(request, objects)

    def _page(self, request: web.Request, objects: list[dict[str, Any]]) -> web.Response:
        skip = int(request.query.get("skip", "0"))
        return web.json_response(objects[skip : skip + min(self.page, int(request.query.get("limit", "50")))])

    async def write_report(self, request: web.Request, rest: list[str]) -> web.Response:
        """The right answer of /reports, and its effect."""
        if request.method == "GET" and not rest:
            return self._page(request, list(self.reports.values()))
        if request.method == "GET":
            found = self.reports.get(rest[0])
            return web.json_response(found or {"status": 404}, status=200 if found else 404)
        body = await request.json()
        report_id = rest[0] if rest else f"report-{len(self.reports)}"
        if rest and report_id not in self.reports:
            return web.json_response({"status": 404}, status=404)
        self.reports[report_id] = {**body, "id": report_id, "clientID": "ven-1"}
        return web.json_response(self.reports[report_id], status=200 if rest else 201)

    def intervals(self, resource: str = "AGGREGATED_REPORT") -> list[tuple[str, bool]]:
        """(start, whether missing) of every delivered interval of a resource, over all reports, in order of time."""
        found = []
        for report in self.reports.values():
            for entry in report["resources"]:
                if entry["resourceName"] == resource:
                    found += [
                        (i["intervalPeriod"]["start"], "MISSING" in json.dumps(i["payloads"]))
                        for i in entry["intervals"]
                    ]
        return sorted(found)


def dimming(limit_kw: float, event_id: str = "e1", **more: Any) -> dict[str, Any]:
    """An event that limits the import from now on until changed."""
    return {
        "id": event_id,
        "objectType": "EVENT",
        "programID": "p-dimming",
        "modificationDateTime": "2026-01-15T11:00:00Z",
        "intervalPeriod": {"start": "2026-01-15T11:00:00Z", "duration": "P9999Y"},
        "intervals": [{"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [limit_kw]}]}],
        **more,
    }


PROGRAM = {"id": "p-dimming", "objectType": "PROGRAM", "programName": "dimming"}


class Home:
    """A session with one provider over real HTTP, its connection point, and the ticks of a control loop."""

    def __init__(
        self,
        provider: Provider,
        clock: Clock,
        store: MemoryStore | None = None,
        resources: tuple[Resource, ...] = (),
        ears: Ears | None = None,
        books: Books | None = None,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.resolver = resolver
        self.tls = tls
        self.ears = ears
        self.books = books
        self.provider = provider
        self.clock = clock
        self.store = store or MemoryStore()
        self.resources = resources
        self.woken = 0
        self.power_w: float | None = 1200.0
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Restores and runs."""
        self.point = ConnectionPoint([self.provider], resources=frozenset(r.id for r in self.resources))
        timeout_s = self.provider.request_timeout_s
        self.http = AiohttpClient(timeout_s, ssl_context=self.tls, resolver=self.resolver)
        self.session = VenSession(
            self.provider,
            self.http,
            self.point,
            self.store,
            self.clock,
            Random(7),
            self._wake,
            resources=self.resources,
            ears=self.ears,
            books=self.books,
        )
        await self.session.restore()
        self._tasks = [asyncio.create_task(self.session.run()), asyncio.create_task(self._tick())]

    async def stop(self) -> None:
        """Ends without a word, as a power cut does."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        await self.http.close()

    def _wake(self) -> None:
        self.woken += 1

    async def _tick(self) -> None:
        while True:
            powers = {"site": self.power_w, **{r.id: 100.0 for r in self.resources}}
            self.session.sample(self.clock.now(), powers)
            self.point.directive(self.clock.now())
            await asyncio.sleep(1.0)

    @property
    def link(self) -> LinkStatus:
        """The link as shown."""
        return self.point.directive(self.clock.now()).links[0]

    @property
    def limits_w(self) -> list[float | None]:
        """The import limits in force."""
        return [e.max_w for e in self.point.directive(self.clock.now()).envelopes]

    async def until(self, state: LinkState, within_s: float = 600.0) -> None:
        """Waits until the link is in a state."""
        await self.until_true(lambda: self.link.state is state, within_s)

    async def until_true(self, condition: Callable[[], bool], within_s: float = 600.0) -> None:
        """Waits for a condition."""
        begun_s = self.clock.now().mono_s
        while not condition():
            if self.clock.now().mono_s - begun_s > within_s:
                raise AssertionError(f"not within {within_s:g} s; link {self.link}")
            await asyncio.sleep(0.25)
