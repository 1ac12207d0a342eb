"""Answers of the VTN, and the one exception that becomes an answer."""

import json
from collections.abc import Mapping
from http import HTTPStatus

from cem.wire.http import HttpResponse
from cem.wire.openadr3 import Problem, encode

_JSON = "application/json"  # openadr3.yaml declares it for problems too, not application/problem+json


class RefusedRequest(Exception):  # noqa: N818 - the field's word
    """A request that is answered with a problem. `detail` says what was seen and what is allowed."""

    def __init__(self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})

    def answer(self) -> HttpResponse:
        """The problem as an answer (Definition, "Problem")."""
        problem = Problem(type="about:blank", title=self.status.phrase, status=self.status.value, detail=self.detail)
        return HttpResponse(self.status.value, {"content-type": _JSON, **self.headers}, encode(problem))


def json_answer(status: HTTPStatus, value: object, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """An answer with a JSON body."""
    body = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")
    return HttpResponse(status.value, {"content-type": _JSON, **(headers or {})}, body)
