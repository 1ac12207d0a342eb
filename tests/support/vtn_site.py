"""A running VTN on 127.0.0.1 with one business logic and two VENs, asked over real HTTP.

Every answer is held against the schema that openadr3.yaml gives for it.
"""

import base64
import io
import itertools
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import aiohttp

from cem.io.callback_guard import CallbackGuard
from cem.io.http_server import HttpServer, ServerBounds
from cem.io.object_store import ObjectStore
from cem.io.webhooks import WebhookBounds, Webhooks
from cem.runtime.vtn import Publisher, VtnService
from cem.sgcp.vtn.handler import BASE_PATH, Vtn, VtnConfig
from cem.sgcp.vtn.objects import Objects
from cem.sgcp.vtn.tokens import Client, Role
from support.hook_server import HookServer, running_hooks
from support.openadr3_messages import schema_faults

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
CLIENTS = (
    Client("bl", "bl:secret", Role.BL),
    Client("home", "home secret%", Role.VEN),
    Client("other", "other-secret", Role.VEN),
)
LOOPBACK = IPv4Network("127.0.0.0/8")
SECRETS = {client.id: client.secret for client in CLIENTS}
_SCHEMAS = {
    "programs": "program",
    "events": "event",
    "reports": "report",
    "subscriptions": "subscription",
    "vens": "ven",
    "resources": "resource",
    "notifiers": "notifiersResponse",
    "notifiers/mqtt": "notifierTopicsResponse",
    "auth/server": "authServerInfo",
    "auth/token": "clientCredentialResponse",
}


@dataclass
class MutableClock:
    """A wall clock that the test sets."""

    at: datetime = NOON

    def now(self) -> datetime:
        """The time that was set."""
        return self.at

    def advance(self, span: timedelta) -> None:
        """Lets time pass."""
        self.at += span


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    json: Any
    headers: dict[str, str] = field(default_factory=dict)


def new_vtn(stored: Iterable[tuple[str, str, Any]] = (), **config: Any) -> Vtn:
    """A VTN whose ids are o0, o1, ..., with the same key for its tokens each time."""
    ids, tokens = itertools.count(), itertools.count()
    return Vtn(
        VtnConfig(
            config.pop("clients", CLIENTS),
            new_id=lambda: f"o{next(ids)}",
            new_salt=lambda: f"t{next(tokens)}",
            token_key=config.pop("token_key", b"key"),
            **config,
        ),
        Objects(stored),
    )


class Site:
    """A client of the running VTN; `ask` speaks as one of the clients."""

    def __init__(self, url: str, session: aiohttp.ClientSession, clock: MutableClock, hooks: HookServer) -> None:
        self.url = url
        self.clock = clock
        self.hooks = hooks
        self._session = session
        self._tokens: dict[str, str] = {}

    def hook(self, **attributes: object) -> dict[str, object]:
        """An entry of objectOperations for the callback that is there."""
        entry = {"objects": ["EVENT"], "operations": ["CREATE", "UPDATE"], "callbackUrl": self.hooks.url}
        return {**entry, **attributes}

    async def raw(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        query: list[tuple[str, str]] | None = None,
        content_type: str = "application/json",
    ) -> Answer:
        """One exchange; the answer is checked against its schema."""
        data = None if body is None else io.BytesIO(body)
        async with self._session.request(method, self.url + path, headers=headers, data=data, params=query) as response:
            text = await response.read()
            answer = Answer(
                response.status, json.loads(text), {name.lower(): value for name, value in response.headers.items()}
            )
        assert answer.headers["content-type"] == content_type
        assert "server" not in answer.headers
        assert _faults(path, answer) == []
        return answer

    async def token(self, client: str) -> str:
        """A client's token, fetched once."""
        if client not in self._tokens:
            auth = "Basic " + base64.b64encode(f"{client}:{SECRETS[client]}".encode()).decode()
            answer = await self.raw(
                "POST",
                "/auth/token",
                headers={"Authorization": auth, "Content-Type": "application/x-www-form-urlencoded"},
                body=b"grant_type=client_credentials",
            )
            assert answer.status == 200
            self._tokens[client] = answer.json["access_token"]
        return self._tokens[client]

    async def ask(
        self, client: str, method: str, path: str, body: object = None, query: list[tuple[str, str]] | None = None
    ) -> Answer:
        """One exchange as a client."""
        headers = {"Authorization": f"Bearer {await self.token(client)}"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.raw(method, path, headers=headers, body=data, query=query)

    async def made(self, client: str, path: str, body: object) -> dict[str, Any]:
        """What a POST made."""
        answer = await self.ask(client, "POST", path, body)
        assert answer.status == 201, answer.json
        made: dict[str, Any] = answer.json
        return made

    async def names(self, client: str, path: str, name: str, query: list[tuple[str, str]] | None = None) -> list[str]:
        """The names in a listing."""
        answer = await self.ask(client, "GET", path, query=query)
        assert answer.status == 200, answer.json
        return [body[name] for body in answer.json]


def _faults(path: str, answer: Answer) -> list[str]:
    if answer.status >= 400:
        token_refusal = path == "/auth/token" and "error" in answer.json
        return schema_faults("authError" if token_refusal else "problem", answer.json)
    segment = path.strip("/")
    parts = segment.split("/")
    schema = _SCHEMAS.get("/".join(parts[:2])) or _SCHEMAS[parts[0]]
    bodies = answer.json if isinstance(answer.json, list) else [answer.json]
    return [fault for body in bodies for fault in schema_faults(schema, body)]


@asynccontextmanager
async def running_site(
    data: Path | None = None,
    bounds: ServerBounds | None = None,
    guard: CallbackGuard | None = None,
    retry_after_s: tuple[float, ...] = (0.01, 0.01),
    publisher: Publisher | None = None,
    **config: Any,
) -> AsyncIterator[Site]:
    """Starts a VTN on a free port, and a callback server that it may call, and stops them again."""
    clock = MutableClock()
    store = ObjectStore.open(data)
    webhooks = Webhooks(guard or CallbackGuard([LOOPBACK]), WebhookBounds(10.0, retry_after_s))
    service = VtnService(new_vtn(store.load(), **config), store.commit, clock.now, webhooks, publisher)
    server = HttpServer(service.exchange, bounds)
    port = await server.start("127.0.0.1", 0)
    try:
        async with running_hooks() as hooks, aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            yield Site(f"http://127.0.0.1:{port}{BASE_PATH}", session, clock, hooks)
    finally:
        await server.stop()
        await webhooks.close()
        await service.close()
        store.close()


def event_body(program_id: str, **attributes: object) -> dict[str, object]:
    """A 10-minute import limit of 5 kW from noon."""
    return {
        "programID": program_id,
        "eventName": "limit",
        "intervalPeriod": {"start": "2026-01-15T12:00:00Z", "duration": "PT10M"},
        "payloadDescriptors": [
            {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "IMPORT_CAPACITY_LIMIT", "units": "KW"}
        ],
        "intervals": [{"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [5.0]}]}],
        **attributes,
    }


def report_body(event_id: str, interval_ids: Iterable[int] = (0,), **attributes: object) -> dict[str, object]:
    """A usage report with an interval of 0.1 kWh for each id."""
    intervals = [{"id": number, "payloads": [{"type": "USAGE", "values": [0.1]}]} for number in interval_ids]
    return {
        "eventID": event_id,
        "clientName": "home",
        "reportName": "usage",
        "resources": [{"resourceName": "site", "intervals": intervals}],
        **attributes,
    }
