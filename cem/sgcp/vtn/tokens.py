"""Who may ask for what: OAuth 2.0 client credentials (RFC 6749 clauses 2.3.1, 4.4 and 5.2; RFC 6750)."""

import base64
import binascii
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote_plus

from cem.sgcp.vtn.answers import RefusedRequest, json_answer
from cem.sgcp.vtn.turnstile import Turnstile
from cem.wire.http import HttpRequest, HttpResponse
from cem.wire.openadr3 import AuthError, ClientCredentialResponse, Scope, to_json

GATEWAY = "gateway"
"""The client as which a gateway speaks to its own VTN."""
_NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}
_MAX_FIELDS = 16
_FAILURES_OF_CLIENT = 10  # a minute, from one address: a wrong secret that is tried again and again
_FAILURES_OF_ADDRESS = 1000  # a minute: many houses may be behind one address
_ORDER = tuple(Scope)  # of the bits in a token: scopes are only ever added at the end
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_READS = frozenset({Scope.READ_ALL, Scope.READ_BL, Scope.READ_TARGETS, Scope.READ_VEN_OBJECTS})


class Role(StrEnum):
    """What a client is: business logic or a VEN."""

    BL = "bl"
    VEN = "ven"


SCOPES: dict[Role, frozenset[Scope]] = {
    Role.BL: frozenset(
        {
            Scope.READ_ALL,
            Scope.READ_BL,
            Scope.WRITE_PROGRAMS,
            Scope.WRITE_EVENTS,
            Scope.WRITE_SUBSCRIPTIONS,
            Scope.WRITE_VENS,
        }  # reports are written by VENs only (openadr3.yaml, scope write_reports)
    ),
    Role.VEN: frozenset(
        {
            Scope.READ_TARGETS,
            Scope.READ_VEN_OBJECTS,
            Scope.WRITE_REPORTS,
            Scope.WRITE_SUBSCRIPTIONS,
            Scope.WRITE_VENS,
        }
    ),
}


@dataclass(frozen=True, slots=True)
class Client:
    """A client that was given its credentials out of band."""

    id: str
    secret: str = field(repr=False)
    role: Role


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token allows, until when."""

    client_id: str
    role: Role
    scopes: frozenset[Scope]
    expires_at: datetime

    def demand(self, *scopes: Scope) -> None:
        """Refuses with 403 unless one of the scopes is granted."""
        if self.scopes.isdisjoint(scopes):
            wanted = " or ".join(scopes)
            raise RefusedRequest(
                HTTPStatus.FORBIDDEN,
                f"this needs the scope {wanted}; the token of {self.client_id} has {' '.join(sorted(self.scopes))}",
                {"www-authenticate": f'Bearer error="insufficient_scope", scope="{scopes[0]}"'},
            )


@dataclass(frozen=True, slots=True)
class Issued:
    """A token that was just given out."""

    client_id: str
    token: str = field(repr=False)
    lifetime_s: float


class _TokenRefusal(Exception):  # noqa: N818
    def __init__(self, error: str, description: str, basic: bool = False) -> None:
        super().__init__(description)
        self.error = error
        self.basic = basic


class Tokens:
    """Issues signed tokens and knows what they allow. They hold over a restart, and end with the client's secret.

    A token is opaque to clients. It names client, scopes and end, with a code over them whose key is made of `key` and
    the client's secret: none is kept anywhere, and another secret, or none, makes a client's tokens worthless at once.
    Who asks too often waits: wrong credentials are counted by address and by address and client, good ones by client.
    """

    def __init__(
        self,
        clients: Iterable[Client],
        key: bytes,
        new_salt: Callable[[], str],
        lifetime: timedelta = timedelta(hours=1),
        a_minute: int = 6000,
    ) -> None:
        self._clients = {client.id: client for client in clients}
        self._keys = {one.id: hmac.digest(key, one.secret.encode(), "sha256") for one in self._clients.values()}
        self._met: set[str] = set()  # clients of which a token was seen or issued since the start
        self._failed_from = Turnstile(_FAILURES_OF_ADDRESS)
        self._failed_as = Turnstile(_FAILURES_OF_CLIENT)
        self._issued = Turnstile(a_minute)
        self._lifetime = lifetime
        self._new_salt = new_salt
        self.heard: dict[str, datetime] = {}  # when each VEN's client last came with a token that holds

    def issue(self, request: HttpRequest, now: datetime) -> tuple[HttpResponse, Issued | None]:
        """The token endpoint: credentials as HTTP Basic or in the form body."""
        try:
            form = _form(request)
            client = self._known(request, form, now)
            if form.get("grant_type") != "client_credentials":
                seen = form.get("grant_type")
                error = "unsupported_grant_type" if seen else "invalid_request"
                raise _TokenRefusal(error, f"grant_type is {seen!r}; it must be 'client_credentials'")
            scopes = _scopes(form.get("scope", ""), SCOPES[client.role])
        except _TokenRefusal as refusal:
            return _auth_error(refusal), None
        self._issued.demand(client.id, now)
        self._issued.count(client.id, now)
        token = self._signed(Grant(client.id, client.role, scopes, now + self._lifetime))
        self._met.add(client.id)
        answer = ClientCredentialResponse(
            access_token=token, expires_in=int(self._lifetime.total_seconds()), scope=" ".join(sorted(scopes))
        )
        issued = Issued(client.id, token, self._lifetime.total_seconds())
        return json_answer(HTTPStatus.OK, to_json(answer), _NO_STORE), issued

    def grant(self, request: HttpRequest, now: datetime) -> Grant:
        """What the request's bearer token allows; refuses with 401."""
        token = _bearer(request)
        if not token:
            raise RefusedRequest(
                HTTPStatus.UNAUTHORIZED,
                "no bearer token; fetch one at the URL that /auth/server names",
                {"www-authenticate": "Bearer"},
            )
        grant = self._read(token)
        if grant is None or not now < grant.expires_at <= now + self._lifetime:
            raise RefusedRequest(
                HTTPStatus.UNAUTHORIZED,
                "the bearer token is unknown or expired; fetch a new one",
                {"www-authenticate": 'Bearer error="invalid_token"'},
            )
        if grant.role is Role.VEN:
            self.heard[grant.client_id] = now
        return grant

    def returning(self, request: HttpRequest, now: datetime) -> Issued | None:
        """The token of a client that comes with one of an earlier run, the first time that it does."""
        token = _bearer(request)
        grant = self._read(token)
        if grant is None or grant.client_id in self._met or not now < grant.expires_at:
            return None
        self._met.add(grant.client_id)
        return Issued(grant.client_id, token, (grant.expires_at - now).total_seconds())

    def _known(self, request: HttpRequest, form: dict[str, str], now: datetime) -> Client:
        """The client of the credentials; who failed too often is not even compared."""
        basic = _basic(request)
        claimed = f"{request.peer} {basic[0] if basic is not None else form.get('client_id', '')}"
        self._failed_from.demand(request.peer, now)
        self._failed_as.demand(claimed, now)
        try:
            return self._client(request, form)
        except _TokenRefusal as refusal:
            if refusal.error == "invalid_client":
                self._failed_from.count(request.peer, now)
                self._failed_as.count(claimed, now)
            raise

    def _client(self, request: HttpRequest, form: dict[str, str]) -> Client:
        basic = _basic(request)
        if basic is not None:
            posted = form.get("client_id"), form.get("client_secret")
            if posted[1] is not None and posted != basic:
                raise _TokenRefusal("invalid_request", "two different credentials; send one, as Basic or in the form")
            pairs = {basic, (unquote_plus(basic[0]), unquote_plus(basic[1]))}  # encoded or, as many send them, not
        elif "client_id" in form and "client_secret" in form:
            pairs = {(form["client_id"], form["client_secret"])}
        else:
            raise _TokenRefusal("invalid_request", "no client_id and client_secret, neither as Basic nor in the form")
        for client_id, secret in pairs:
            client = self._clients.get(client_id)
            if client is not None and hmac.compare_digest(client.secret.encode(), secret.encode()):
                return client
        raise _TokenRefusal("invalid_client", "unknown client or wrong secret", basic is not None)

    def _signed(self, grant: Grant) -> str:
        scopes = sum(1 << place for place, scope in enumerate(_ORDER) if scope in grant.scopes)
        end_ms = (grant.expires_at - _EPOCH) // timedelta(milliseconds=1)  # never later than its lifetime allows
        said = f"{_url64(grant.client_id.encode())}.{scopes:x}.{end_ms:x}.{self._new_salt()}"
        return f"{said}.{self._code(grant.client_id, said)}"

    def _code(self, client_id: str, said: str) -> str:
        return _url64(hmac.digest(self._keys[client_id], said.encode("utf-8", "replace"), "sha256"))

    def _read(self, token: str) -> Grant | None:
        """What a token that we signed says, whether it has ended or not; None for any other text."""
        said, _, code = token.rpartition(".")
        match said.split("."):
            case [name, scopes, end_ms, _]:
                client = self._clients.get(_plain(name))
            case _:
                return None
        if client is None or not hmac.compare_digest(
            self._code(client.id, said).encode(), code.encode("utf-8", "replace")
        ):
            return None
        granted = frozenset(scope for place, scope in enumerate(_ORDER) if int(scopes, 16) >> place & 1)
        end = _EPOCH + timedelta(milliseconds=int(end_ms, 16))
        return Grant(client.id, client.role, granted & SCOPES[client.role], end)


def _url64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")


def _plain(text: str) -> str:
    """The text that `_url64` wrote; '' for anything else, which is no client's id."""
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("utf-8")
    except ValueError:
        return ""


def _bearer(request: HttpRequest) -> str:
    """The bearer token of a request; '' for none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _form(request: HttpRequest) -> dict[str, str]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("", "application/x-www-form-urlencoded"):
        raise _TokenRefusal("invalid_request", f"content type {kind!r}; application/x-www-form-urlencoded is allowed")
    try:
        pairs = parse_qsl(request.body.decode("utf-8"), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
        "".join(value for _, value in pairs).encode("utf-8")
    except ValueError as error:
        raise _TokenRefusal("invalid_request", "the body is not a form in UTF-8 with few fields") from error
    form = dict(pairs)
    if len(form) != len(pairs):
        raise _TokenRefusal("invalid_request", "a parameter is repeated")
    return form


def _basic(request: HttpRequest) -> tuple[str, str] | None:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, secret = base64.b64decode(value.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError) as error:
        raise _TokenRefusal("invalid_client", "the Basic credentials are not Base64 of UTF-8", basic=True) from error
    if not colon:
        raise _TokenRefusal("invalid_client", "the Basic credentials have no colon", basic=True)
    return name, secret


def _scopes(asked: str, allowed: frozenset[Scope]) -> frozenset[Scope]:
    """The scopes asked for that the role has; all of the role's when none is asked for.

    Interpretation: read_all from a client whose role lacks it, as clients of 3.0 ask, means all that the role reads.
    No scope of the protocol is dropped silently; a word that is none of them gives nothing and takes nothing.
    """
    if not asked.strip():
        return allowed
    words = set(asked.split())
    if Scope.READ_ALL in words and Scope.READ_ALL not in allowed:
        words = (words - {Scope.READ_ALL.value}) | {scope.value for scope in allowed & _READS}
    refused = sorted(scope.value for scope in frozenset(Scope) - allowed if scope.value in words)
    granted = frozenset(scope for scope in allowed if scope.value in words)
    if refused or not granted:
        what = (
            f"not allowed to this client: {' '.join(refused)}" if refused else "none of the scopes asked for is known"
        )
        raise _TokenRefusal("invalid_scope", f"{what}; allowed are {' '.join(sorted(allowed))}")
    return granted


def _auth_error(refusal: _TokenRefusal) -> HttpResponse:
    status = HTTPStatus.UNAUTHORIZED if refusal.error == "invalid_client" else HTTPStatus.BAD_REQUEST
    headers = {**_NO_STORE, **({"www-authenticate": "Basic"} if refusal.basic else {})}
    return json_answer(status, to_json(AuthError(error=refusal.error, error_description=str(refusal))), headers)
