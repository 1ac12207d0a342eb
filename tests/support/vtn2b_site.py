"""Our VTN on 127.0.0.1 with VENs of OpenADR 2.0b, its operator, and bytes sent to it as they stand."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from cem.io.http_client import AiohttpClient
from cem.io.tls import client_context, server_context
from cem.sgcp.vtn.handler import BASE_PATH
from cem.sgcp.vtn.tokens import Client, Role
from cem.sgcp.vtn2b.parties import Admitted
from cem.vtn_app import VtnSettings, running_vtn
from cem.wire.openadr2b import decode, encode
from cem.wire.openadr2b.messages import Message
from cem.wire.openadr2b.names import PATH_PREFIX
from cem.wire.openadr2b.signature import Signer
from support.certificates import Authority, Identity
from support.oadr2b import assert_valid

BL, VEN3 = Client("bl", "secret-of-bl", Role.BL), Client("ven-3", "secret-of-ven-3", Role.VEN)
VENS = (Admitted("ven-1", "house-1"), Admitted("ven-2", "house-2"))


class Operator:
    """The grid operator: its VTN, and orders to it over 3.1."""

    def __init__(self, port: int, http: AiohttpClient, scheme: str) -> None:
        self.base = f"{scheme}://127.0.0.1:{port}"
        self.http = http
        self._token = ""

    async def token(self, form: bytes) -> str:
        """A token for the credentials in a form."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await self.http.request("POST", f"{self.base}{BASE_PATH}/auth/token", headers=headers, body=form)
        found: str = json.loads(answer.body)["access_token"]
        return found

    async def order(self, method: str, path: str, body: Any = None) -> Any:
        """One request of the business logic below the path of 3.1; the object that it gives."""
        return await self.asked(method, BASE_PATH + path, body)

    async def asked(self, method: str, path: str, body: Any = None) -> Any:
        """One request of the business logic; the object that it gives."""
        if not self._token:
            self._token = await self.token(b"grant_type=client_credentials&client_id=bl&client_secret=secret-of-bl")
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        sent = None if body is None else json.dumps(body).encode()
        answer = await self.http.request(method, self.base + path, headers=headers, body=sent)
        assert answer.status < 300, answer.body
        return json.loads(answer.body)

    async def sees(self, is_so: Callable[[Any], bool]) -> None:
        """Waits until what the operator is shown of ven-1 is so."""
        async with asyncio.timeout(15):
            while True:
                if is_so(await self.asked("GET", "/openadr2b/vens/ven-1")):
                    return
                await asyncio.sleep(0.01)

    async def program(self) -> str:
        found: str = (await self.order("POST", "/programs", {"programName": "dimming"}))["id"]
        return found

    async def limit(self, program: str, *values_kw: float, event_id: str | None = None) -> str:
        """An event that limits the import for an hour per value, from now on; its id."""
        start = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {
            "programID": program,
            "eventName": "evening",
            "priority": 2,
            "intervalPeriod": {"start": start, "duration": "PT1H"},
            "intervals": [
                {"id": n, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [v]}]}
                for n, v in enumerate(values_kw)
            ],
        }
        path = "/events" if event_id is None else f"/events/{event_id}"
        found: str = (await self.order("POST" if event_id is None else "PUT", path, body))["id"]
        return found

    async def say(self, message: Message, service: str | None = None, http: AiohttpClient | None = None) -> Message:
        """What the VTN answers to a message as it stands."""
        answer = await self.post(encode(message), service or message.SERVICE, http)
        assert answer.status == 200, answer.body
        assert_valid(answer.body)
        return decode(answer.body)

    async def post(self, body: bytes, service: str, http: AiohttpClient | None = None) -> Any:
        url = f"{self.base}{PATH_PREFIX}/{service}"
        return await (http or self.http).request("POST", url, headers={"Content-Type": "application/xml"}, body=body)


@asynccontextmanager
async def operator(http: AiohttpClient | None = None, **changes: Any) -> AsyncIterator[Operator]:
    fields: dict[str, Any] = {
        "vens_2b": VENS,
        "poll_every_2b": timedelta(seconds=1),
        "report_every_2b": timedelta(seconds=1),
    }
    settings = VtnSettings((BL, VEN3), **{**fields, **changes})
    way = http or AiohttpClient()
    async with running_vtn(settings) as vtn:
        yield Operator(vtn.port, way, "https" if settings.tls else "http")
    await way.close()


def secured(authority: Authority, vtn: Identity, ven: Identity, *, signed: bool = True) -> dict[str, Any]:
    """How our VTN is run with certificates and signatures."""
    signer = Signer(vtn.key.read_bytes(), vtn.certificate.read_text())
    return {
        "tls": server_context(vtn.certificate, vtn.key, authority.certificate),
        "vens_2b": (Admitted("ven-1", "house-1", ven.fingerprint), Admitted("ven-2", "house-2", "00:" * 9 + "00")),
        "signer_2b": signer if signed else None,
    }


def trusting(authority: Authority, identity: Identity | None = None) -> ssl.SSLContext:
    if identity is None:
        return client_context(None, None, authority.certificate)
    return client_context(identity.certificate, identity.key, authority.certificate)
