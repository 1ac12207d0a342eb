"""Reports at the VTN: what VENs offer, what they are asked for, and what comes.

All usage that a VEN offers is asked for by itself; everything else when the operator wants it. The VTN has no reports
of its own to offer: its oadrRegisterReport is empty, and whoever asks it for data is told that there is none (461).
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from cem.sgcp.vtn.objects import Body, Change, Objects
from cem.sgcp.vtn2b.measured import report_body
from cem.sgcp.vtn2b.records import ASKED, CANCELLED, PENDING, REFUSED, Offer, Point, Request
from cem.sgcp.vtn2b.refusal import Refused, fine, refused, short
from cem.wire.openadr2b.messages import (
    CanceledReport,
    CancelReport,
    CreatedReport,
    CreateReport,
    RegisteredReport,
    RegisterReport,
    UpdatedReport,
    UpdateReport,
)
from cem.wire.openadr2b.names import METADATA_REQUEST, Code, ReadingType
from cem.wire.openadr2b.parts import (
    Report,
    ReportDescription,
    ReportRequest,
    ReportWindow,
    Response,
    SpecifierPayload,
)
from cem.wire.openadr3 import ObjectType

_LOG = logging.getLogger(__name__)
_USAGE = "METADATA_TELEMETRY_USAGE"
METADATA = "METADATA"
"""The reportSpecifierID that asks for an oadrRegisterReport."""
_MOST_OFFERS = 50
_MOST_REQUESTS = 100


def registered(
    message: RegisterReport, ven: Body, objects: Objects, every: timedelta, now: datetime
) -> tuple[RegisteredReport, tuple[Change, ...]]:
    """Takes in what a VEN offers, in place of what it offered before, and asks for its usage; raises Refused."""
    if len(message.reports) > _MOST_OFFERS:
        raise Refused(Code.NOT_ALLOWED, f"{_MOST_OFFERS} reports can be offered")
    offers = [_offer(report, ven) for report in message.reports if report.descriptions]
    changes = [old.dropped() for old in Offer.of(objects, ven["id"])]
    changes += [offer.stored() for offer in offers]
    wanted = []
    for offer in offers:
        request = Request(
            ven_id=ven["id"],
            request_id=f"{ven['id']}.{offer.specifier_id}",
            specifier_id=offer.specifier_id,
            points=offer.points,
            granularity=every,
            back=every,
            start=now,  # until it is cancelled: some VENs want that said
            state=PENDING,
        )
        old = Request.find(objects, ven["id"], request.request_id)
        if offer.report_name == _USAGE and (old is None or old.state != CANCELLED):
            wanted.append(ei_request(request))
            changes.append(request.stored())
    response = fine(message.request_id)
    return RegisteredReport(response=response, requests=tuple(wanted), ven_id=ven["id"]), tuple(changes)


def _offer(report: Report, ven: Body) -> Offer:
    points = tuple(_point(one) for one in report.descriptions)
    short(report.specifier_id, report.name or "", *(text for p in points for text in (p.r_id, p.reading_type, p.unit)))
    return Offer(ven_id=ven["id"], specifier_id=report.specifier_id, report_name=report.name or "", points=points)


def _point(one: ReportDescription) -> Point:
    unit = "" if one.unit is None else f"{one.unit.units} ({one.unit.description}, scale {one.unit.scale})"
    return Point(r_id=one.r_id, reading_type=one.reading_type, report_type=one.type, unit=unit)


def ei_request(request: Request) -> ReportRequest:
    """A request as it is sent."""
    window = None if request.start is None else ReportWindow(start=request.start, duration=request.duration)
    return ReportRequest(
        request_id=request.request_id,
        specifier_id=request.specifier_id,
        granularity=request.granularity,
        back=request.back,
        window=window,
        payloads=tuple(SpecifierPayload(r_id=point.r_id, reading_type=point.reading_type) for point in request.points),
    )


def metadata_request(ven_id: str, request_id: str, now: datetime) -> Request:
    """Asks a VEN to say anew what it offers."""
    point = Point(r_id=METADATA_REQUEST, reading_type=ReadingType.NOT_APPLICABLE)
    return Request(
        ven_id=ven_id,
        request_id=request_id,
        specifier_id=METADATA,
        points=(point,),
        granularity=timedelta(),
        back=timedelta(),
        start=now,
    )


def wanted(ven_id: str, objects: Objects, request: Request) -> Request:
    """A request of the operator with all points of the offer where it names none; raises Refused with the reason."""
    offer = Offer.find(objects, ven_id, request.specifier_id)
    if offer is None:
        known = ", ".join(one.specifier_id for one in Offer.of(objects, ven_id)) or "nothing"
        raise Refused(Code.REPORT_NOT_SUPPORTED, f"the VEN offers {known}, not {request.specifier_id[:60]!r}")
    if sum(one.state != CANCELLED for one in Request.of(objects, ven_id)) >= _MOST_REQUESTS:
        raise Refused(Code.NOT_ALLOWED, f"{_MOST_REQUESTS} requests are allowed; cancel some first")
    by_id = {point.r_id: point for point in offer.points}
    strange = [point.r_id for point in request.points if point.r_id not in by_id]
    if strange:
        raise Refused(Code.INVALID_ID, f"the report has no point {strange[0][:60]!r}; it has {', '.join(by_id)}")
    points = tuple(by_id[point.r_id] for point in request.points) or offer.points
    return replace(request, points=points)


def taken(message: CreatedReport, asked: CreateReport, ven: Body, objects: Objects) -> tuple[Change, ...]:
    """What a VEN's answer to a request for reports comes to."""
    changes = []
    for one in asked.requests:
        request = Request.find(objects, ven["id"], one.request_id)
        if request is None:
            continue
        if not message.response.ok:
            words = f"{message.response.code} {message.response.description or ''}".strip()[:200]
            _LOG.warning("%s: report %s is refused: %s", ven["venName"], request.specifier_id, words)
            changes.append(replace(request, state=REFUSED, words=words).stored())
        elif request.specifier_id == METADATA:
            changes.append(request.dropped())  # an oadrRegisterReport is its report
        elif request.state == ASKED:
            changes.append(replace(request, state=PENDING).stored())
    return tuple(changes)


def cancelled(message: CanceledReport, asked: CancelReport, ven: Body, objects: Objects) -> tuple[Change, ...]:
    """What a VEN's answer to the end of a request comes to: where it knows none, there is none either."""
    if not message.response.ok:
        words = message.response.description or message.response.code
        _LOG.warning("%s: the end of a report is answered with %s", ven["venName"], words[:200])
    found = (Request.find(objects, ven["id"], request_id) for request_id in asked.report_request_ids)
    return tuple(replace(request, state=CANCELLED, last_at=None).stored() for request in found if request is not None)


def updated(
    message: UpdateReport, ven: Body, objects: Objects, new_id: Callable[[], str], now: datetime
) -> tuple[UpdatedReport, tuple[Change, ...]]:
    """Takes reports in. A VEN that goes on with what was cancelled is told so again with the answer.

    Interpretation: a report without a request that we know is taken too; peers have their own ideas of identifiers.
    """
    changes: list[Change] = []
    ended: list[str] = []
    for report in message.reports:
        short(report.request_id, report.specifier_id)
        changes += _stored(report, ven, new_id, now)
        request = Request.find(objects, ven["id"], report.request_id)
        if request is None:
            continue
        if request.state == CANCELLED:
            ended += [request.request_id] if request.last_at is not None else []  # the first may be the last one
            changes.append(replace(request, last_at=now).stored())
        elif request.back:
            changes.append(replace(request, last_at=now, state=PENDING).stored())
        else:
            changes.append(request.dropped())
    cancel = None
    if ended:
        cancel = CancelReport(request_id=new_id(), report_request_ids=tuple(ended), to_follow=False, ven_id=ven["id"])
    return UpdatedReport(response=fine(message.request_id), cancel=cancel, ven_id=ven["id"]), tuple(changes)


def _stored(report: Report, ven: Body, new_id: Callable[[], str], now: datetime) -> Iterator[Change]:
    object_id = new_id()
    body = report_body(report, ven, object_id, now)
    if body is not None:
        yield Change(ObjectType.REPORT.value, object_id, body)


def asked_by_ven(message: CreateReport, ven: Body) -> tuple[CreatedReport, str | None]:
    """The answer to a VEN that asks for reports, and under which request it wants to know what there is, if it does."""
    metadata = next((one for one in message.requests if one.specifier_id == METADATA), None)
    others = [one.specifier_id for one in message.requests if one.specifier_id != METADATA]
    response = _none_here(message.request_id, others)
    pending = () if metadata is None else (metadata.request_id,)
    answer = CreatedReport(response=response, pending=pending, ven_id=ven["id"])
    return answer, None if metadata is None else metadata.request_id


def accepted_by_ven(message: RegisteredReport, ven: Body) -> CreatedReport | None:
    """The answer to a VEN that asks for something of our empty offer; None where it asks for nothing."""
    if not message.requests:
        return None
    wanted_ids = [one.specifier_id for one in message.requests]
    return CreatedReport(response=_none_here(message.response.request_id, wanted_ids), ven_id=ven["id"])


def ended_by_ven(message: CancelReport, ven: Body) -> CanceledReport:
    """The answer to a VEN that wants no more of what it never got."""
    words = f"no report {', '.join(message.report_request_ids)[:100]}"
    return CanceledReport(response=refused(Code.INVALID_ID, words, message.request_id), ven_id=ven["id"])


def _none_here(request_id: str, specifiers: list[str]) -> Response:
    if not specifiers:
        return fine(request_id)
    return refused(Code.REPORT_NOT_SUPPORTED, f"no report {', '.join(specifiers)[:100]} here", request_id)
