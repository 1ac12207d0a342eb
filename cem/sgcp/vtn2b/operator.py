"""What the operator asks of the VTN's side of OpenADR 2.0b and orders there: JSON below a path of our own.

| request | gives |
| --- | --- |
| GET `/openadr2b/vens` | every admitted VEN |
| GET `/openadr2b/vens/ID` | one, with its events, opts, reports and what waits for it |
| POST `/openadr2b/vens/ID/report-requests` | asks for a report (`ReportWish`) |
| POST `/openadr2b/vens/ID/report-offers` | asks what it offers now |
| POST `/openadr2b/vens/ID/report-registrations` | tells it what the VTN offers (nothing) |
| DELETE `/openadr2b/vens/ID/report-requests/REQUEST?toFollow=true` | wants no more of a report, or a last one |
| POST `/openadr2b/vens/ID/reregistrations` | wants it to register again |
| DELETE `/openadr2b/vens/ID/registration` | ends its registration |

What is ordered is said to the VEN in its turn: with its next poll, or posted.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cem.sgcp.vtn.answers import RefusedRequest, json_answer
from cem.sgcp.vtn.objects import Change
from cem.sgcp.vtn2b.orders import Ordered, Orders
from cem.sgcp.vtn2b.records import Point, Request
from cem.sgcp.vtn2b.refusal import Refused
from cem.wire.http import HttpRequest, HttpResponse

OPERATOR_PATH = "/openadr2b/"
Done = tuple[HttpResponse, tuple[Change, ...]]


class ReportWish(BaseModel):
    """A report that the operator wants. `every_s` 0: once. Without `points` all that the VEN offers in it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)
    specifierID: str = Field(min_length=1, max_length=256)  # noqa: N815 - the field's word
    every_s: float = Field(default=0.0, ge=0, le=366 * 86400)
    granularity_s: float = Field(default=60.0, ge=0, le=366 * 86400)
    points: tuple[str, ...] = Field(default=(), max_length=1000)
    start: datetime | None = None
    duration_s: float = Field(default=0.0, ge=0, le=3660 * 86400)


@dataclass(frozen=True, slots=True)
class Operator:
    """The operator's side of a VTN of 2.0b; who asks was judged before."""

    orders: Orders

    def respond(self, request: HttpRequest, now: datetime) -> Done:
        """The answer to a request, and what to store before it is sent; raises RefusedRequest."""
        try:
            return self._route(request, now)
        except Refused as refusal:
            raise RefusedRequest(HTTPStatus.CONFLICT, str(refusal)) from refusal

    def _route(self, request: HttpRequest, now: datetime) -> Done:
        match request.method, request.path[len(OPERATOR_PATH) :].strip("/").split("/"):
            case "GET", ["vens"]:
                return json_answer(HTTPStatus.OK, self.orders.vens()), ()
            case "GET", ["vens", ven_id]:
                return json_answer(HTTPStatus.OK, self.orders.ven(self._known(ven_id), now)), ()
            case "POST", ["vens", ven_id, "report-requests"]:
                return self._ordered(self.orders.want_report(_wish(self._known(ven_id), request), now))
            case "DELETE", ["vens", ven_id, "report-requests", request_id]:
                to_follow = ("toFollow", "true") in request.query
                return self._ordered(self.orders.end_report(self._known(ven_id), request_id, to_follow=to_follow))
            case "POST", ["vens", ven_id, "report-offers"]:
                return self._ordered(self.orders.ask_offers(self._known(ven_id), now))
            case "POST", ["vens", ven_id, "report-registrations"]:
                return self._ordered(self.orders.tell_offers(self._known(ven_id)))
            case "POST", ["vens", ven_id, "reregistrations"]:
                return self._ordered(self.orders.want_registration(self._known(ven_id)))
            case "DELETE", ["vens", ven_id, "registration"]:
                return self._ordered(self.orders.end_registration(self._known(ven_id)))
        raise RefusedRequest(HTTPStatus.NOT_FOUND, "no such path of the operator's side of OpenADR 2.0b")

    def _known(self, ven_id: str) -> str:
        if not self.orders.knows(ven_id):
            raise RefusedRequest(HTTPStatus.NOT_FOUND, f"no VEN {ven_id[:128]!r} is admitted for OpenADR 2.0b")
        return ven_id

    def _ordered(self, ordered: Ordered) -> Done:
        shown, changes = ordered
        return json_answer(HTTPStatus.ACCEPTED, shown), changes


def _wish(ven_id: str, request: HttpRequest) -> Request:
    try:
        wish = ReportWish.model_validate(json.loads(request.body or b"{}"))
    except (ValueError, RecursionError, ValidationError) as error:
        raise RefusedRequest(HTTPStatus.BAD_REQUEST, f"report request: {str(error)[:300]}") from error
    if wish.start is not None and wish.start.tzinfo is None:
        raise RefusedRequest(HTTPStatus.BAD_REQUEST, "report request: start: an offset or Z is needed")
    return Request(
        ven_id=ven_id,
        request_id="",
        specifier_id=wish.specifierID,
        points=tuple(Point(r_id=point, reading_type="") for point in wish.points),
        granularity=timedelta(seconds=wish.granularity_s),
        back=timedelta(seconds=wish.every_s),
        start=wish.start,
        duration=timedelta(seconds=wish.duration_s),
    )
