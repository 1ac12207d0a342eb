"""The local API from the other end, blocking: what a command asks of the running gateway."""

import http.client
import json
import socket
from datetime import datetime
from pathlib import Path

from cem.io.status_json import EXPLANATION, REQUEST, read_status
from cem.model.errors import CemError
from cem.model.request import RequestKind, UserRequest
from cem.model.status import Status
from cem.model.why import Explanation

LARGEST_ANSWER = 8 * 1024 * 1024


class GatewayUnreachable(CemError):  # noqa: N818 - the field's word
    """No gateway answers at the socket; the message says why and what to do."""


class GatewayRefused(CemError):  # noqa: N818 - the field's word
    """The gateway answered with a refusal; `status` is HTTP's, the message is the gateway's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def unreachable(path: Path, error: OSError) -> GatewayUnreachable:
    """What a failed connection means, and what can be done about it."""
    match error:
        case FileNotFoundError():
            text = f"no gateway is running at {path} (there is no such socket): start it with `cem run`"
        case ConnectionRefusedError():
            text = f"no gateway is running at {path} (nobody listens; it ended): start it with `cem run`"
        case PermissionError():
            text = f"the gateway at {path} can't be reached: you are not in the socket's group; ask who set it up"
        case TimeoutError():
            text = f"the gateway at {path} does not answer; look at its log (journalctl -u cem)"
        case _:
            text = f"the gateway at {path} broke off ({error.strerror or error}); look at its log (journalctl -u cem)"
    return GatewayUnreachable(text)


def foreign(path: Path, what: str) -> GatewayUnreachable:
    """What answered is not (this version of) the gateway."""
    return GatewayUnreachable(
        f"what answers at {path} is not understood ({what}): "
        "gateway and this command are of different versions; update both and restart the gateway"
    )


def refusal(status: int, body: bytes) -> GatewayRefused:
    """The gateway's own words out of a problem+json answer."""
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not found.get("detail"):
        return GatewayRefused(status, f"the gateway refused (HTTP {status})")
    return GatewayRefused(status, str(found["detail"]))


Detail = datetime | float | str | None
"""What an act may have beside its end: since, ready_at, energy_wh, target_soc_pct, event_id."""


def request_body(resource_id: str, kind: RequestKind, until: datetime, **details: Detail) -> bytes:
    """The body of POST /v1/requests; times are aware, details that are None are left out."""
    written = {name: _written(value) for name, value in details.items() if value is not None}
    whole = {"resource_id": resource_id, "kind": kind.value, "until": until.isoformat(), **written}
    return json.dumps(whole).encode()


def _written(value: Detail) -> float | str | None:
    return value.isoformat() if isinstance(value, datetime) else value


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("cem", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class LocalClient:
    """Asks one question per connection. Every method raises GatewayUnreachable or GatewayRefused."""

    def __init__(self, socket_path: Path, timeout_s: float = 5.0) -> None:
        self._path = socket_path
        self._timeout_s = timeout_s

    def status(self) -> Status:
        """The whole picture, now."""
        return self._status(self.status_json())

    def status_json(self) -> bytes:
        """The same as the gateway wrote it, not looked into."""
        return self._ask("GET", "/v1/status", b"")

    def request(self, resource_id: str, kind: RequestKind, until: datetime, **details: Detail) -> UserRequest:
        """Asks for an act of the owner and gives what the gateway made of it; `until` is aware."""
        body = self._ask("POST", "/v1/requests", request_body(resource_id, kind, until, **details))
        try:
            return REQUEST.validate_json(body)
        except ValueError as error:
            raise foreign(self._path, "no request in the answer") from error

    def explanation(self) -> Explanation:
        """Why it does what it does: the last tick explained."""
        try:
            return EXPLANATION.validate_json(self._ask("GET", "/v1/why", b""))
        except ValueError as error:
            raise foreign(self._path, "no explanation in the answer") from error

    def withdraw(self, request_id: str) -> None:
        """Takes an act back."""
        self._ask("DELETE", f"/v1/requests/{request_id}", b"")

    def _status(self, body: bytes) -> Status:
        try:
            return read_status(body)
        except ValueError as error:
            raise foreign(self._path, "no status in the answer") from error

    def _ask(self, method: str, target: str, body: bytes) -> bytes:
        connection = _UnixConnection(self._path, self._timeout_s)
        try:
            connection.request(method, target, body or None, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            content = answer.read(LARGEST_ANSWER)
        except OSError as error:
            raise unreachable(self._path, error) from error
        except http.client.HTTPException as error:
            raise foreign(self._path, "no HTTP") from error
        finally:
            connection.close()
        if answer.status >= 400:
            raise refusal(answer.status, content)
        return content
