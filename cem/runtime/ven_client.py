"""A VEN's requests to an OpenADR 3.1 VTN: token, complete listings, writes; every failure with its advice."""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Generic, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from cem.model.errors import GridError, Unproven
from cem.model.provider import BY_MDNS, Provider
from cem.ports import Clock, Http, HttpAnswer
from cem.wire.openadr3 import (
    AuthServerInfo,
    ClientCredentialResponse,
    Message,
    ObjectMetadata,
    Problem,
    WireError,
    decode,
    decode_list,
    encode,
    read_json,
)

Locate = Callable[[], Awaitable[str]]
"""Finds out where a VTN is: its base URL; raises GridError."""
PAGE = 50
FORBIDDEN_PAUSE_S = 900.0
UNDERSTOOD_NOT = 200
"""The status of an answer whose content is not the protocol."""
_LOGIN_FIRST = (407, 511)  # a proxy's, and RFC 6585 clause 6: a network's
"""How long we stay away after a 403."""
LONGEST_RETRY_AFTER_S = 3600.0
_RENEW_BEFORE_S = 30.0
MOST_BYTES = 8 * 1024 * 1024
"""Of one listing, over all its pages: what is decoded takes far more memory than its text."""
_LARGE_BODY_BYTES = 16 * 1024

T = TypeVar("T", bound=ObjectMetadata)
M = TypeVar("M", bound=Message)


def object_path(segment: str, object_id: str) -> str:
    """The path of an object, whatever its identifier is made of."""
    return f"/{segment}/{quote(object_id, safe='')}"


class VtnFailure(GridError):  # noqa: N818 - an exchange failed, the program did not
    """An exchange that failed; `advice` is what a person can do, `wait_s` how long to stay away at least."""

    def __init__(self, detail: str, advice: str = "", wait_s: float = 0.0, status: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.advice = advice
        self.wait_s = wait_s
        self.status = status


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """A complete listing, deduplicated by id."""

    items: tuple[T, ...]
    faults: tuple[WireError, ...]


class VtnClient:
    """Authenticated requests to one VTN. Raises VtnFailure for everything that is not the answer asked for."""

    def __init__(self, provider: Provider, http: Http, clock: Clock, locate: Locate | None = None) -> None:
        self._provider = provider
        self._http = http
        self._clock = clock
        self._base = provider.url.rstrip("/")
        self._token: str | None = None
        self._token_until_s = 0.0
        self._token_lock = asyncio.Lock()
        self._locate = locate
        self._located = locate is None

    def forget_token(self) -> None:
        """Makes the next request ask for a new token."""
        self._token = None

    async def every(
        self,
        kind: type[T],
        path: str,
        query: Mapping[str, str] | None = None,
        most: int = 1000,
        kept: Callable[[T], T] | None = None,
    ) -> Listed[T]:
        """All objects of a listing, over all its pages. `kept` says what is kept of each; any thread may call it.

        Interpretation: a VTN may give fewer than `limit` on a page, so only a page with nothing new is the last one.
        What bounds a listing is what was found, never the number of pages.
        """
        found: dict[str, T] = {}
        faults: dict[str, WireError] = {}
        skip = size = 0
        while len(found) + len(faults) <= most:
            asked = {**(query or {}), "skip": str(skip), "limit": str(PAGE)}
            answer = await self._authorised("GET", f"{path}?{urlencode(asked)}")
            self._expect(answer, 200, f"GET {path}")
            items, broken = await self._read_list(kind, answer, path, kept)
            new = [item for item in items if item.id not in found]
            found.update({item.id: item for item in new})
            unseen = [fault for fault in broken if (fault.object_id or str(fault)) not in faults]
            faults.update({fault.object_id or str(fault): fault for fault in unseen})
            skip += len(items) + len(broken)
            if not new and not unseen:
                return Listed(tuple(found.values()), tuple(faults.values()))
            size += len(answer.body)
            if size > MOST_BYTES:
                raise VtnFailure(
                    f"{self._provider.id}: GET {path} lists more than {MOST_BYTES // 2**20} MiB",
                    "Ask the provider for fewer or shorter objects; until then nothing new of it is acted on.",
                )
        raise VtnFailure(
            f"{self._provider.id}: GET {path} lists more than {most} objects",
            "Ask the provider to remove objects that are over; until then nothing new of it is acted on.",
        )

    async def one(self, kind: type[M], path: str) -> M | None:
        """One object, or None where the VTN says that there is none."""
        answer = await self._authorised("GET", path)
        if answer.status == 404:
            return None
        self._expect(answer, 200, f"GET {path}")
        return self._read(kind, answer, f"GET {path}")

    async def post(self, kind: type[M], path: str, message: Message) -> M:
        """Creates an object; the object as the VTN holds it."""
        answer = await self._authorised("POST", path, encode(message))
        self._expect(answer, 201, f"POST {path}")
        return self._read(kind, answer, f"POST {path}")

    async def put(self, kind: type[M], path: str, message: Message) -> M:
        """Replaces an object; the object as the VTN holds it."""
        answer = await self._authorised("PUT", path, encode(message))
        self._expect(answer, 200, f"PUT {path}")
        return self._read(kind, answer, f"PUT {path}")

    async def remove(self, path: str) -> bool:
        """Deletes an object; false where the VTN says that there is none."""
        answer = await self._authorised("DELETE", path)
        if answer.status == 404:
            return False
        self._expect(answer, 200, f"DELETE {path}")
        return True

    async def token(self) -> str | None:
        """A valid bearer token, for what takes the VTN's tokens beside it; None without credentials."""
        await self._found()
        return await self._valid_token()

    async def _read_list(
        self, kind: type[T], answer: HttpAnswer, path: str, kept: Callable[[T], T] | None
    ) -> tuple[Sequence[T], Sequence[WireError]]:
        try:
            if len(answer.body) > _LARGE_BODY_BYTES:  # would hold up the control loop
                return await asyncio.to_thread(_read_objects, kind, answer.body, kept)
            return _read_objects(kind, answer.body, kept)
        except WireError as fault:
            raise self._not_the_protocol(f"GET {path}", fault) from fault

    def _read(self, kind: type[M], answer: HttpAnswer, what: str) -> M:
        try:
            return decode(kind, answer.body)
        except WireError as fault:
            raise self._not_the_protocol(what, fault) from fault

    def _not_the_protocol(self, what: str, fault: WireError) -> VtnFailure:
        return VtnFailure(
            f"{self._provider.id}: the answer to {what} is not OpenADR 3.1: {fault}",
            f"Check that the url {self._base} is the VTN's base address and no login page or proxy answers there.",
            status=UNDERSTOOD_NOT,
        )

    async def _authorised(self, method: str, path: str, body: bytes | None = None) -> HttpAnswer:
        await self._found()
        token = await self._valid_token()
        answer = await self._request(method, f"{self._base}{path}", self._headers(token, body), body)
        if answer.status == 401 and token is not None:
            if self._token == token:
                self.forget_token()
            token = await self._valid_token()
            answer = await self._request(method, f"{self._base}{path}", self._headers(token, body), body)
        return answer

    async def _found(self) -> None:
        """Makes sure that it is known where the VTN is; looked for anew after it could not be reached.

        Where it was before counts as long as it is announced nowhere.
        """
        if self._located or self._locate is None:
            return
        try:
            self._base = await self._locate()
        except GridError as fault:
            if not self._base.startswith(BY_MDNS):
                return
            advice = "Check that the VTN runs in the local network and announces itself, and its name in the site file."
            raise VtnFailure(f"{self._provider.id}: {fault}", advice) from fault
        self._located = True

    @staticmethod
    def _headers(token: str | None, body: bytes | None) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        return headers

    async def _request(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> HttpAnswer:
        try:
            return await self._http.request(method, url, headers=headers, body=body)
        except VtnFailure:
            raise
        except GridError as fault:
            self._located = self._locate is None
            raise VtnFailure(f"{self._provider.id}: {fault}", advice_on(fault)) from fault

    async def _valid_token(self) -> str | None:
        """The bearer token, a new one where there is none or it is about to run out; None without credentials."""
        if not self._provider.client_id:
            return None  # a tariff may be served without authentication (Definition, "VEN enrollment")
        async with self._token_lock:
            if self._token is None or self._clock.now().mono_s >= self._token_until_s:
                asked_s = self._clock.now().mono_s
                answer = await self._new_token(await self._token_url())
                lifetime_s = answer.expires_in if answer.expires_in is not None else 3600
                self._token_until_s = asked_s + max(lifetime_s - min(_RENEW_BEFORE_S, lifetime_s / 2), 1.0)
                self._token = answer.access_token
            return self._token

    async def _token_url(self) -> str:
        """The token endpoint that the VTN names, else its own /auth/token."""
        own = f"{self._base}/auth/token"
        answer = await self._request("GET", f"{self._base}/auth/server", {"Accept": "application/json"}, None)
        if answer.status != 200:
            return own
        try:
            named = decode(AuthServerInfo, answer.body).token_url
        except WireError:
            return own
        base, other = urlsplit(self._base), urlsplit(named)
        if other.scheme != "https" and (other.scheme, other.netloc) != (base.scheme, base.netloc):
            raise VtnFailure(
                f"{self._provider.id}: the VTN names {named} for credentials, which is neither https nor itself",
                "Credentials were not sent. Ask the provider for its token address.",
                FORBIDDEN_PAUSE_S,
            )
        return named

    async def _new_token(self, url: str) -> ClientCredentialResponse:
        """Client credentials in the form body, then as HTTP Basic (RFC 6749 clause 2.3.1: servers differ)."""
        own = self._provider
        in_body = {"grant_type": "client_credentials", "client_id": own.client_id, "client_secret": own.client_secret}
        pair = f"{quote(own.client_id, safe='')}:{quote(own.client_secret, safe='')}"
        basic = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        answer = await self._token_request(url, in_body, {})
        if answer.status in (400, 401, 415):
            answer = await self._token_request(url, {"grant_type": "client_credentials"}, basic)
        if answer.status in (400, 401, 403):
            raise VtnFailure(
                f"{own.id}: the VTN refused the credentials of client {own.client_id!r} (HTTP {answer.status})",
                "Check client_id and client_secret in the site file against what the provider issued.",
                FORBIDDEN_PAUSE_S if answer.status == 403 else 0.0,
                answer.status,
            )
        self._expect(answer, 200, "the request for a token")
        return self._read(ClientCredentialResponse, answer, "the request for a token")

    async def _token_request(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> HttpAnswer:
        sent = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded", **headers}
        return await self._request("POST", url, sent, urlencode(form).encode())

    def _expect(self, answer: HttpAnswer, status: int, what: str) -> None:
        if answer.status == status or (status == 201 and answer.status == 200):
            return
        said = _problem(answer)
        detail = f"{self._provider.id}: {what} was answered with HTTP {answer.status}{said}"
        wait_s = retry_after_s(answer, self._clock.now().wall)
        if answer.status == 401:
            advice = "The VTN takes our credentials but not its own token. Ask the provider about the client's scopes."
        elif answer.status == 403:
            advice = "The VTN forbids this client the request. Ask the provider; we try again in 15 minutes."
            wait_s = max(wait_s, FORBIDDEN_PAUSE_S)
        elif answer.status == 404:
            advice = f"Check that the url {self._base} is the VTN's base address (path and version included)."
        elif 300 <= answer.status < 400:
            advice = (
                "Redirects are not followed. If it leads to a login page of your network, log in there; else put the "
                "address that the VTN redirects to into the site file."
            )
        elif answer.status in _LOGIN_FIRST:
            advice = "Your network wants a login before it lets anything through: log in there."
        elif answer.status == 429 or answer.status >= 500:
            advice = "The provider's server has a problem; the gateway goes on trying."
        else:
            advice = "The VTN does not accept what we sent; tell the provider and keep this message."
        raise VtnFailure(detail, advice, wait_s, answer.status)


def advice_on(fault: GridError) -> str:
    """What a person can do where there was no answer at all."""
    if isinstance(fault, Unproven):
        return (
            "Somebody else may be answering in the provider's place: a network with a login page, or one that looks "
            "into connections. Nothing was told to it. If it stays, ask the provider whether its certificate changed."
        )
    return "Check the internet connection and the provider's url; the gateway goes on trying."


def retry_after_s(answer: HttpAnswer, now: datetime) -> float:
    """Retry-After in seconds (RFC 9110 clause 10.2.3), bounded; 0 where there is none.

    A date there is by the server's clock, which its Date header tells; without one, ours stands in.
    """
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:9]), LONGEST_RETRY_AFTER_S))
    until = _http_date(text)
    if until is None:
        return 0.0
    since = _http_date(answer.headers.get("date", "")) or now
    return min(max((until - since).total_seconds(), 0.0), LONGEST_RETRY_AFTER_S)


def _http_date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _read_objects(kind: type[T], body: bytes, kept: Callable[[T], T] | None) -> tuple[Sequence[T], Sequence[WireError]]:
    items, faults = decode_list(kind, body)
    return (items if kept is None else [kept(item) for item in items]), faults


def _problem(answer: HttpAnswer) -> str:
    """The VTN's own words about an error, where it gives any."""
    try:
        value = read_json(answer.body[:65536])
        problem = Problem.model_validate(value)
    except (WireError, ValueError):
        return ""
    words = problem.detail or problem.title
    return f" ({words[:200]})" if words else ""
