"""The business logic's side of a VTN through REST, for the commands `cem vtn program|event|report|ven`."""

import asyncio
import base64
import functools
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import aiohttp
import click

from cem.sgcp.vtn.handler import BASE_PATH
from cem.wire.openadr3 import (
    AuthServerInfo,
    ClientCredentialResponse,
    Message,
    Problem,
    WireError,
    decode,
    decode_list,
    encode,
    to_json,
)

_PAGE = 50
_TIMEOUT_S = 10.0
_MAX_ANSWER_BYTES = 16 * 1024 * 1024

M = TypeVar("M", bound=Message)
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Access:
    """Where the VTN is and as whom to ask."""

    url: str
    client_id: str
    client_secret: str


def access_options(command: F) -> F:
    """Adds --url, --client-id and --client-secret; the command gets one `access`."""

    @click.option("--url", envvar="CEM_VTN_URL", required=True, help="Base URL of the VTN.  [env: CEM_VTN_URL]")
    @click.option(
        "--client-id", envvar="CEM_VTN_CLIENT_ID", default="bl", show_default=True, help="[env: CEM_VTN_CLIENT_ID]"
    )
    @click.option("--client-secret", envvar="CEM_VTN_CLIENT_SECRET", required=True, help="[env: CEM_VTN_CLIENT_SECRET]")
    @functools.wraps(command)
    def wrapped(url: str, client_id: str, client_secret: str, **rest: Any) -> Any:
        return command(access=Access(url.rstrip("/"), client_id, client_secret), **rest)

    return wrapped  # type: ignore[return-value]


class Vtn:
    """A session with a VTN. Every method raises click.ClickException with the VTN's own words."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._session: aiohttp.ClientSession | None = None
        self._token = ""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S))
        try:
            await self._log_in()
        except BaseException:
            await self._session.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def every(self, kind: type[M], segment: str, **query: str) -> list[M]:
        """All objects of a collection, page by page."""
        found: list[M] = []
        skip = 0
        while True:
            params = {**query, "skip": str(skip), "limit": str(_PAGE)}
            items, faults = decode_list(kind, await self._ask("GET", f"/{segment}", params=params), _MAX_ANSWER_BYTES)
            for fault in faults:
                click.echo(f"note: {segment}: one object is not readable: {fault}", err=True)
            found += items
            skip += _PAGE
            if len(items) + len(faults) < _PAGE:
                return found

    async def create(self, kind: type[M], segment: str, message: Message) -> M:
        """Posts an object and returns it as the VTN made it."""
        return decode(kind, await self._ask("POST", f"/{segment}", body=encode(message)))

    async def one(self, kind: type[M], segment: str, object_id: str) -> M:
        """One object."""
        return decode(kind, await self._ask("GET", f"/{segment}/{_segment(object_id)}"))

    async def named(self, kind: type[M], segment: str, attribute: str, name: str) -> M:
        """The object of a name that is unique in the VTN."""
        found = [one for one in await self.every(kind, segment, **{attribute: name}) if _named(one, attribute, name)]
        if not found:
            raise click.ClickException(
                f"no {segment.removesuffix('s')} named {name!r}; see cem vtn {segment[:-1]} list"
            )
        return found[0]

    async def replace(self, kind: type[M], segment: str, object_id: str, message: Message) -> M:
        """Puts an object in the place of another and returns it as the VTN made it."""
        return decode(kind, await self._ask("PUT", f"/{segment}/{_segment(object_id)}", body=encode(message)))

    async def remove(self, kind: type[M], segment: str, object_id: str) -> M:
        """Deletes an object and returns it as it was."""
        return decode(kind, await self._ask("DELETE", f"/{segment}/{_segment(object_id)}"))

    async def beside(self, method: str, path: str, body: object = None, **query: str) -> Any:
        """An exchange on the VTN's own paths beside OpenADR 3.1; the JSON that came back."""
        sent = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        url = f"{self._access.url.removesuffix(BASE_PATH)}{path}"
        answer = await self._exchange(method, url, headers, params=query, data=sent)
        try:
            return json.loads(answer)
        except ValueError as error:
            raise click.ClickException(f"{url}: the answer is no JSON; is this `cem vtn serve`?") from error

    async def _log_in(self) -> None:
        info = decode(AuthServerInfo, await self._ask("GET", "/auth/server"))
        pair = f"{self._access.client_id}:{self._access.client_secret}".encode()
        basic = {"Authorization": "Basic " + base64.b64encode(pair).decode("ascii")}
        answer = await self._exchange("POST", info.token_url, basic, data={"grant_type": "client_credentials"})
        self._token = decode(ClientCredentialResponse, answer).access_token

    async def _ask(
        self, method: str, path: str, params: dict[str, str] | None = None, body: bytes | None = None
    ) -> bytes:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return await self._exchange(method, self._access.url + path, headers, params=params, data=body)

    async def _exchange(self, method: str, url: str, headers: dict[str, str], **rest: Any) -> bytes:
        assert self._session is not None
        try:
            async with self._session.request(method, url, headers=headers, allow_redirects=False, **rest) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise click.ClickException(
                f"{url}: no answer ({type(error).__name__}: {error}); check --url and the VTN"
            ) from error
        if answer.status >= 300:
            raise click.ClickException(f"{method} {url}: {answer.status} {answer.reason}: {_words(body)}")
        return body


def _named(message: Message, attribute: str, name: str) -> bool:
    return bool(to_json(message).get(attribute) == name)


def _segment(object_id: str) -> str:
    return quote(object_id, safe="")


def _words(body: bytes) -> str:
    try:
        problem = decode(Problem, body)
    except WireError:
        return repr(body[:200].decode("utf-8", "replace"))
    told = problem.model_extra or {}
    return repr(problem.detail or told.get("error_description") or problem.title or "no detail")[1:-1]


async def every(access: Access, kind: type[M], segment: str, **query: str) -> list[M]:
    """All objects of a collection, in a session of its own."""
    async with Vtn(access) as vtn:
        return await vtn.every(kind, segment, **query)


def shown(message: Message) -> str:
    """An object as JSON for reading."""
    return json.dumps(to_json(message), indent=2)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs one session to its end."""
    try:
        return asyncio.run(work)
    except WireError as error:
        raise click.ClickException(f"the VTN's answer is not OpenADR 3.1.0: {error}") from error
