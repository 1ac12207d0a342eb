"""The VEN's end of webhooks (OpenADR 3.1 Definition, "Webhooks"): echo, bearer token, notification. Pure."""

import hmac
from http import HTTPStatus

from cem.wire.http import HttpRequest, HttpResponse
from cem.wire.openadr3 import Notification, Problem, WireError, decode, encode

MOST_ECHO = 1024


def answer(request: HttpRequest, path: str, token: str) -> tuple[HttpResponse, Notification | None]:
    """The answer, and the notification where it is one. `path` is that of our callback, `token` what we asked for.

    Interpretation: VTNs ask for the echo at the callback itself or at `/echo` below it; both are answered, with or
    without the token, since it says no more than that we are here.
    """
    here = path.rstrip("/")
    if request.method == "GET" and request.path.rstrip("/") in (here, f"{here}/echo"):
        echo = dict(request.query).get("echo", "")
        if echo and len(echo) <= MOST_ECHO and echo.isprintable():
            headers = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
            return HttpResponse(HTTPStatus.OK, headers, echo.encode("utf-8")), None
        return _problem(HTTPStatus.BAD_REQUEST, "the query parameter echo is needed"), None
    if request.path.rstrip("/") != here:
        return _problem(HTTPStatus.NOT_FOUND, "nothing here"), None
    if request.method != "POST":
        return _problem(HTTPStatus.METHOD_NOT_ALLOWED, "notifications are posted"), None
    scheme, _, given = request.headers.get("authorization", "").strip().partition(" ")  # any case: RFC 9110, 11.1
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode("utf-8"), token.encode()):
        return _problem(HTTPStatus.UNAUTHORIZED, "the bearer token of the subscription is needed"), None
    try:
        notification = decode(Notification, request.body)
    except WireError as fault:
        return _problem(HTTPStatus.BAD_REQUEST, f"no notification of OpenADR 3.1: {fault}"), None
    return HttpResponse(HTTPStatus.OK), notification


def _problem(status: HTTPStatus, detail: str) -> HttpResponse:
    body = encode(Problem(type="about:blank", status=status, title=status.phrase, detail=detail))
    return HttpResponse(status, {"Content-Type": "application/json"}, body)
