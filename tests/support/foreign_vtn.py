"""A VTN that is not ours, made of the published document's paths: what it answers is held against the schemas there.

Its habits are those in which other VTNs are known to differ from the text or from each other. Where a habit leaves the
schema, the answer as it would be without it is what is held against the schema.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from aiohttp import web

from support.openadr3_messages import schema_faults

BASE = "/vtn/openadr3/3.1.0"
Body = dict[str, Any]
_SCHEMA = {"programs": "program", "events": "event", "reports": "report", "vens": "ven", "resources": "resource"}
_TYPE = {"programs": "PROGRAM", "events": "EVENT", "reports": "REPORT", "vens": "VEN", "resources": "RESOURCE"}


@dataclass(frozen=True)
class Habits:
    """How this VTN differs. The defaults are the text's."""

    pages: bool = True  # else skip and limit are ignored
    largest_limit: int | None = None  # a larger one is refused with 400
    identifier: Callable[[str, int], str] = lambda kind, number: f"{kind}-{number}"
    shown: Callable[[Body], Body] = lambda body: body  # what becomes of an object on its way out
    created: int = 201
    error: Callable[[int], tuple[str, bytes]] = lambda status: (
        "application/json",
        json.dumps({"status": status, "title": "no"}).encode(),
    )
    names_token_server: bool = True
    token_by: str = "both"  # "body", "basic"
    token: Callable[[Body], Body] = lambda body: body
    repeats: int = 1  # how often each object stands in a listing


@dataclass
class ForeignVtn:
    """The VTN; `objects` by collection and id, in order."""

    habits: Habits = Habits()
    objects: dict[str, dict[str, Body]] = field(default_factory=lambda: {kind: {} for kind in _SCHEMA})
    refused: list[str] = field(default_factory=list)  # what clients sent against the schema
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
        """Closes the socket."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def url(self) -> str:
        """The base address."""
        return f"http://127.0.0.1:{self.port}{BASE}"

    def put(self, collection: str, body: Body) -> str:
        """What the business logic makes; its id."""
        number = len(self.objects[collection])
        object_id = self.habits.identifier(collection, number)
        stamp = "2026-01-15T11:00:00Z"
        metadata = {"id": object_id, "createdDateTime": stamp, "modificationDateTime": stamp}
        whole = {**body, **metadata, "objectType": _TYPE[collection]}
        plain = {**whole, "id": "plain", **{key: "plain" for key in body if key in ("programID", "eventID", "venID")}}
        assert schema_faults(_SCHEMA[collection], plain) == []
        self.objects[collection][object_id] = whole
        return object_id

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        parts = [unquote(part) for part in request.rel_url.raw_path.removeprefix(BASE).strip("/").split("/")]
        if parts == ["auth", "server"]:
            named = web.json_response({"tokenURL": f"{self.url}/auth/token"})
            return named if self.habits.names_token_server else self._no(404)
        if parts == ["auth", "token"]:
            return await self._token(request)
        if request.headers.get("Authorization") != "Bearer t":
            return self._no(401)
        if parts[0] not in self.objects:
            return self._no(404)
        return await self._objects(request, parts)

    async def _token(self, request: web.Request) -> web.StreamResponse:
        form = parse_qs(await request.text())
        by_basic = request.headers.get("Authorization", "").startswith("Basic ")
        by_body = form.get("client_secret") == ["secret-of-ven-1"]
        allowed = {"both": by_basic or by_body, "basic": by_basic and not by_body, "body": by_body and not by_basic}
        if not allowed[self.habits.token_by]:
            return web.json_response({"error": "invalid_client"}, status=401)
        given = {"access_token": "t", "token_type": "Bearer", "expires_in": 3600}
        assert schema_faults("clientCredentialResponse", given) == []
        return web.json_response(self.habits.token(given))

    async def _objects(self, request: web.Request, parts: list[str]) -> web.StreamResponse:
        held = self.objects[parts[0]]
        if len(parts) == 1 and request.method == "GET":
            return self._listing(request, list(held.values()))
        if request.method == "GET":
            return self._shown(held[parts[1]]) if parts[1] in held else self._no(404)
        body = await request.json()
        name = {"vens": "venRequest", "resources": "resourceRequest"}.get(parts[0], f"{_SCHEMA[parts[0]]}Request")
        self.refused += schema_faults(name, {**body, **{k: "plain" for k in body if k in ("eventID", "venID")}})
        if request.method == "PUT":
            held[parts[1]] = {**held[parts[1]], **body}
            return self._shown(held[parts[1]])
        object_id = self.put(parts[0], {**body, "clientID": "ven-1"})
        return self._shown(held[object_id], self.habits.created)

    def _listing(self, request: web.Request, bodies: list[Body]) -> web.StreamResponse:
        query = request.query
        for key in ("venName", "venID", "eventID", "clientName"):
            if key in query:
                bodies = [body for body in bodies if body.get(key) == query[key]]
        limit, skip = int(query.get("limit", "50")), int(query.get("skip", "0"))
        if self.habits.largest_limit is not None and limit > self.habits.largest_limit:
            return self._no(400)
        bodies = [body for body in bodies for _ in range(self.habits.repeats)]
        if self.habits.pages:
            bodies = bodies[skip : skip + limit]
        return web.json_response([self.habits.shown(body) for body in bodies])

    def _shown(self, body: Body, status: int = 200) -> web.StreamResponse:
        return web.json_response(self.habits.shown(body), status=status)

    def _no(self, status: int) -> web.StreamResponse:
        kind, body = self.habits.error(status)
        return web.Response(status=status, body=body, content_type=kind)
