"""The business logic's side of a VTN through REST, for the commands `cem vtn program|event|report|ven`."""

import asyncio
import base64
import functools
import json
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import aiohttp
import click

from cem.model.errors import SiteFileError
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

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_PAGE = 50
_TIMEOUT_S = 10.0
_MAX_ANSWER_BYTES = 16 * 1024 * 1024

M = TypeVar("M", bound=Message)
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Access:
    """Where the VTN is and as whom to ask; `tls` None believes the system's authorities."""

    url: str
    client_id: str
    client_secret: str = field(repr=False)
    tls: ssl.SSLContext | None = None
    token_url: str | None = None  # None: as the VTN says


def access_options(command: F) -> F:
    """Adds the options that say which VTN is meant and as whom; the command gets one `access`."""

    @click.option("--url", envvar="CEM_VTN_URL", help="Base URL of the VTN.  [env: CEM_VTN_URL]")
    @click.option(
        "--client-id", envvar="CEM_VTN_CLIENT_ID", help="As whom; bl where not given.  [env: CEM_VTN_CLIENT_ID]"
    )
    @click.option("--client-secret", envvar="CEM_VTN_CLIENT_SECRET", help="[env: CEM_VTN_CLIENT_SECRET]")
    @click.option("--ca", type=_FILE, help="Authorities of the VTN's certificate, PEM; else the system's.")
    @click.option(
        "--config",
        type=_FILE,
        help="The VTN of this site file, in place of all these, as its first client of the role bl (or --client-id).",
    )
    @functools.wraps(command)
    def wrapped(
        url: str | None,
        client_id: str | None,
        client_secret: str | None,
        ca: Path | None,
        config: Path | None,
        **rest: Any,
    ) -> Any:
        """The command with its way to a VTN, made of the options; raises click.UsageError where they name none."""
        if config is not None:
            return command(access=_of_site(config, client_id), **rest)
        if url is None or client_secret is None:
            raise click.UsageError("which VTN? Give --url and --client-secret, or --config with a [vtn] in it")
        return command(access=Access(url.rstrip("/"), client_id or "bl", client_secret, _trusting(ca)), **rest)

    return wrapped  # type: ignore[return-value]


def _trusting(authorities: Path | None) -> ssl.SSLContext | None:
    if authorities is None:
        return None
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError as error:
        raise click.ClickException(f"{authorities}: {error}; give the authorities' certificates in PEM") from error


def _of_site(path: Path, client_id: str | None) -> Access:
    """The gateway's own VTN on this machine. Its certificate is known: that one is believed, whatever it names."""
    from cem.config.drivers import load_drivers
    from cem.config.load import load_site

    try:
        vtn = load_site(path, load_drivers()).vtn
    except SiteFileError as error:
        raise click.ClickException("\n".join(error.faults)) from error
    if vtn is None:
        raise click.ClickException(f"{path}: it has no [vtn]; cem/config/README.md says how to add one")
    found = [one for one in vtn.clients if one.business and client_id in (None, one.id)]
    if not found:
        wanted = "client of the role bl" if client_id is None else f"client {client_id!r} of the role bl"
        raise click.ClickException(f'{path}: [vtn] has no {wanted}; add a [[vtn.client]] with role = "bl"')
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(vtn.host, vtn.host)  # noqa: S104 - what it listens on
    place = f"[{host}]:{vtn.port}" if ":" in host else f"{host}:{vtn.port}"
    tls = _trusting(vtn.certificate_file)
    if tls is not None:
        tls.check_hostname = False
        tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    url = f"{'http' if tls is None else 'https'}://{place}{BASE_PATH}"
    return Access(url, found[0].id, found[0].secret, tls, f"{url}/auth/token")


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
        url = self._access.token_url
        if url is None:
            url = decode(AuthServerInfo, await self._ask("GET", "/auth/server")).token_url
        pair = f"{self._access.client_id}:{self._access.client_secret}".encode()
        basic = {"Authorization": "Basic " + base64.b64encode(pair).decode("ascii")}
        answer = await self._exchange("POST", url, basic, data={"grant_type": "client_credentials"})
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
            async with self._session.request(
                method, url, headers=headers, allow_redirects=False, ssl=self._access.tls or True, **rest
            ) as answer:
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


async def fetched(access: Access, kind: type[M], segment: str, object_id: str) -> M:
    """One object, in a session of its own."""
    async with Vtn(access) as vtn:
        return await vtn.one(kind, segment, object_id)


async def fetched_by_name(access: Access, kind: type[M], segment: str, attribute: str, name: str) -> M:
    """The object of a name that is unique in the VTN, in a session of its own."""
    async with Vtn(access) as vtn:
        return await vtn.named(kind, segment, attribute, name)


async def removed(access: Access, kind: type[M], segment: str, object_id: str) -> M:
    """Deletes an object, in a session of its own; the object as it was."""
    async with Vtn(access) as vtn:
        return await vtn.remove(kind, segment, object_id)


async def removed_by_name(access: Access, kind: type[M], segment: str, attribute: str, name: str) -> M:
    """The same for the object of a name that is unique in the VTN."""
    async with Vtn(access) as vtn:
        found: Any = await vtn.named(kind, segment, attribute, name)
        return await vtn.remove(kind, segment, found.id)


def shown(message: Message) -> str:
    """An object as JSON for reading."""
    return json.dumps(to_json(message), indent=2)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs one session to its end."""
    try:
        return asyncio.run(work)
    except WireError as error:
        raise click.ClickException(f"the VTN's answer is not OpenADR 3.1.0: {error}") from error
