"""Answers of the VTN, and the one exception that becomes an answer."""

import json
from collections.abc import Mapping
from http import HTTPStatus

from cem.wire.http import HttpRequest, HttpResponse
from cem.wire.openadr3 import Problem, encode

_JSON = "application/json"
_PROBLEM_JSON = "application/problem+json"


class RefusedRequest(Exception):  # noqa: N818 - the field's word
    """A request that is answered with a problem. `detail` says what was seen and what is allowed."""

    def __init__(self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})

    def answer(self, request: HttpRequest) -> HttpResponse:
        """The problem as an answer (Definition, "Problem").

        openadr3.yaml declares application/json for problems, so that is what a client gets unless its Accept header
        names application/problem+json (RFC 9457).
        """
        problem = Problem(type="about:blank", title=self.status.phrase, status=self.status.value, detail=self.detail)
        named = _PROBLEM_JSON in request.headers.get("accept", "").lower()
        kind = _PROBLEM_JSON if named else _JSON
        return HttpResponse(self.status.value, {"content-type": kind, **self.headers}, encode(problem))


def json_answer(status: HTTPStatus, value: object, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """An answer with a JSON body."""
    body = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")
    return text_answer(status, body, headers)


def text_answer(status: HTTPStatus, body: bytes, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """An answer with a body that is JSON already."""
    return HttpResponse(status.value, {"content-type": _JSON, **(headers or {})}, body)
