"""Reports and the VTN's own messages over OpenADR 2.0b: in their order, answered or given up, over restarts."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cem.sgcp.vtn.answers import RefusedRequest
from cem.wire.openadr2b.messages import (
    CanceledPartyRegistration,
    CanceledReport,
    CancelPartyRegistration,
    CancelReport,
    CreatedReport,
    CreateReport,
    DistributeEvent,
    OadrResponse,
    RegisteredReport,
    RegisterReport,
    RequestReregistration,
    UpdateReport,
)
from cem.wire.openadr2b.parts import (
    Report,
    ReportDescription,
    ReportInterval,
    ReportPayload,
    ReportRequest,
    Response,
    SpecifierPayload,
)
from support.oadr2b import POWER
from support.vtn2b_desk import NOON, Desk


def offer(specifier: str, name: str, *points: str) -> Report:
    described = tuple(
        ReportDescription(r_id=point, type="usage", unit=POWER, reading_type="Direct Read") for point in points
    )
    return Report(request_id="0", specifier_id=specifier, name=name, created_at=NOON, descriptions=described)


OFFERS = RegisterReport(
    request_id="reg",
    ven_id="ven-1",
    reports=(
        offer("usage", "METADATA_TELEMETRY_USAGE", "meter", "battery"),
        offer("history", "METADATA_HISTORY_USAGE", "meter"),
    ),
)


def report(request_id: str, specifier: str = "usage", value: float = 1.5) -> UpdateReport:
    payload = ReportPayload(r_id="meter", value=value)
    interval = ReportInterval(start=NOON, duration=timedelta(minutes=1), payloads=(payload,))
    one = Report(
        request_id=request_id, specifier_id=specifier, name="TELEMETRY_USAGE", created_at=NOON, intervals=(interval,)
    )
    return UpdateReport(request_id="u", ven_id="ven-1", reports=(one,))


def fine(request_id: str, code: str = "200") -> Response:
    return Response(code=code, request_id=request_id)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path)
    found.register()
    yield found
    found.close()


def requests(desk: Desk) -> dict[str, tuple[str, str]]:
    """Of each report that was asked for, its specifier and state."""
    shown = desk.vtn.orders.ven("ven-1", desk.now)["requests"]
    return {one["request_id"]: (one["specifier_id"], one["state"]) for one in shown}


def wish(desk: Desk, **fields: Any) -> Any:
    return json.loads(desk.order("POST", "/ven-1/report-requests", json.dumps(fields).encode()).body)


def test_usage_is_asked_for_by_itself_and_known_after_a_restart(desk: Desk) -> None:
    (asked,) = desk.say(OFFERS).requests
    assert (asked.specifier_id, [p.r_id for p in asked.payloads]) == ("usage", ["meter", "battery"])
    assert (asked.window.start, asked.window.duration) == (NOON, timedelta())
    desk.restart()
    assert requests(desk) == {"ven-1.usage": ("usage", "pending")}
    offers = desk.vtn.orders.ven("ven-1", desk.now)["offers"]
    assert [(one["specifier_id"], [p["r_id"] for p in one["points"]]) for one in offers] == [
        ("usage", ["meter", "battery"]),
        ("history", ["meter"]),
    ]
    assert desk.say(report("ven-1.usage")).cancel is None
    assert [body["reportName"] for body in desk.objects.all("REPORT")] == ["TELEMETRY_USAGE usage"]


def test_the_operator_asks_once_for_a_report_and_its_report_ends_the_request(desk: Desk) -> None:
    desk.say(OFFERS)
    start = "2026-01-14T12:00:00Z"
    request_id = wish(desk, specifierID="history", granularity_s=900, start=start, duration_s=3600)["requestID"]
    desk.restart()
    message = desk.poll()
    assert isinstance(message, CreateReport)
    (asked,) = message.requests
    assert asked.window is not None
    assert (asked.request_id, asked.back, asked.window.duration) == (request_id, timedelta(), timedelta(hours=1))
    assert [p.r_id for p in asked.payloads] == ["meter"]
    assert isinstance(desk.poll(), OadrResponse)  # under way
    desk.say(CreatedReport(response=fine(message.request_id), pending=(request_id,), ven_id="ven-1"))
    assert requests(desk)[request_id] == ("history", "pending")
    desk.say(report(request_id, "history"))
    assert request_id not in requests(desk)


def test_a_cancelled_report_may_send_a_last_one_and_is_told_again_if_it_goes_on(desk: Desk) -> None:
    desk.say(OFFERS)
    desk.order("DELETE", "/ven-1/report-requests/ven-1.usage", query=(("toFollow", "true"),))
    message = desk.poll()
    assert isinstance(message, CancelReport)
    assert (message.report_request_ids, message.to_follow) == (("ven-1.usage",), True)
    desk.say(CanceledReport(response=fine(message.request_id), ven_id="ven-1"))
    assert requests(desk) == {"ven-1.usage": ("usage", "cancelled")}
    assert desk.say(report("ven-1.usage")).cancel is None
    again = desk.say(report("ven-1.usage")).cancel
    assert again.report_request_ids == ("ven-1.usage",)
    assert len(list(desk.objects.all("REPORT"))) == 2
    assert desk.say(OFFERS).requests == ()  # what was cancelled is not asked for again by itself
    with pytest.raises(RefusedRequest, match="no report was asked for"):
        desk.order("DELETE", "/ven-1/report-requests/ven-1.usage")


def test_a_report_that_the_ven_refuses_is_shown_as_refused_with_its_words(desk: Desk) -> None:
    desk.say(OFFERS)
    request_id = wish(desk, specifierID="usage", every_s=60)["requestID"]
    message = desk.poll()
    refusal = Response(code="461", description="not that one", request_id=message.request_id)
    desk.say(OadrResponse(response=refusal, ven_id="ven-1"), service="EiReport")
    shown = {one["request_id"]: one for one in desk.vtn.orders.ven("ven-1", desk.now)["requests"]}
    assert (shown[request_id]["state"], shown[request_id]["words"]) == ("refused", "461 not that one")
    assert isinstance(desk.poll(), OadrResponse)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"specifierID": "other"}, "offers usage, history"),
        ({"specifierID": "usage", "points": ["nothing"]}, "no point 'nothing'"),
        ({"specifierID": "usage", "start": "2026-01-15T12:00:00"}, "an offset or Z"),
        ({"specifierID": "usage", "every_s": -1}, "every_s"),
        ({"every": 1}, "specifierID"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_with_its_reason(desk: Desk, fields: Any, words: str) -> None:
    desk.say(OFFERS)
    with pytest.raises(RefusedRequest, match=words):
        wish(desk, **fields)


def test_metadata_in_both_directions(desk: Desk) -> None:
    desk.order("POST", "/ven-1/report-offers")
    message = desk.poll()
    assert isinstance(message, CreateReport)
    assert [one.specifier_id for one in message.requests] == ["METADATA"]
    desk.say(CreatedReport(response=fine(message.request_id), ven_id="ven-1"))
    assert requests(desk) == {}
    desk.say(OFFERS)
    assert set(requests(desk)) == {"ven-1.usage"}
    asked = ReportRequest(
        request_id="m1",
        specifier_id="METADATA",
        granularity=timedelta(),
        payloads=(SpecifierPayload(r_id="0", reading_type="x-notApplicable"),),
    )
    answer = desk.say(CreateReport(request_id="c", requests=(asked,), ven_id="ven-1"))
    assert (answer.response.code, answer.pending) == ("200", ("m1",))
    told = desk.poll()
    assert isinstance(told, RegisterReport)
    assert (told.reports, told.report_request_id) == ((), "m1")
    desk.say(RegisteredReport(response=fine(told.request_id), ven_id="ven-1"))
    assert isinstance(desk.poll(), OadrResponse)


def test_a_ven_that_wants_data_of_the_vtn_is_told_that_there_is_none(desk: Desk) -> None:
    asked = ReportRequest(
        request_id="d1",
        specifier_id="weather",
        granularity=timedelta(),
        payloads=(SpecifierPayload(r_id="t", reading_type="Direct Read"),),
    )
    assert desk.say(CreateReport(request_id="c", requests=(asked,), ven_id="ven-1")).response.code == "461"
    cancel = CancelReport(request_id="c", report_request_ids=("d1",), to_follow=False, ven_id="ven-1")
    assert desk.say(cancel).response.code == "452"
    wanted = RegisteredReport(response=fine("x"), requests=(asked,), ven_id="ven-1")
    answer = desk.say(wanted)
    assert isinstance(answer, CreatedReport)
    assert answer.response.code == "461"


def test_messages_go_out_one_after_the_other_after_events_and_survive_a_restart(desk: Desk) -> None:
    for what in ("report-registrations", "report-offers"):
        desk.order("POST", f"/ven-1/{what}")
    desk.order("DELETE", "/ven-1/registration")
    desk.limit(4.2)
    desk.restart()
    distribution = desk.poll()
    assert isinstance(distribution, DistributeEvent)
    desk.answer(distribution.events[0])
    first = desk.poll()
    assert isinstance(first, RegisterReport)
    desk.say(RegisteredReport(response=fine(first.request_id), ven_id="ven-1"))
    second = desk.poll()
    assert isinstance(second, CreateReport)
    desk.restart()
    assert isinstance(desk.poll(), OadrResponse)  # the second one is under way
    desk.say(CreatedReport(response=fine(""), ven_id="ven-1"))  # some peers leave the identifier out
    third = desk.poll()
    assert isinstance(third, CancelPartyRegistration)
    desk.say(CanceledPartyRegistration(response=fine(third.request_id), ven_id="ven-1"))
    assert isinstance(desk.poll(), RequestReregistration)
    with pytest.raises(RefusedRequest, match="not registered"):
        desk.order("POST", "/ven-1/report-offers")


def test_what_is_never_answered_is_said_three_times_and_given_up(desk: Desk) -> None:
    desk.say(OFFERS)
    request_id = wish(desk, specifierID="usage", every_s=60)["requestID"]
    seen = []
    for _ in range(12):
        seen.append(isinstance(desk.poll(), CreateReport))
        desk.later(seconds=10)
    assert seen == [True, False, False, True, False, False, True, False, False, False, False, False]
    assert requests(desk)[request_id] == ("usage", "refused")


def test_registering_again_as_asked_ends_the_asking(desk: Desk) -> None:
    registration_id = desk.register().registration_id
    desk.order("POST", "/ven-1/reregistrations")
    assert isinstance(desk.poll(), RequestReregistration)
    again = desk.register(registration_id=registration_id, ven_id="ven-1")
    assert again.registration_id == registration_id
    desk.later(minutes=1)
    assert isinstance(desk.poll(), OadrResponse)


def test_no_more_than_twenty_messages_wait_for_a_ven(desk: Desk) -> None:
    for _ in range(20):
        desk.order("POST", "/ven-1/reregistrations")
    with pytest.raises(RefusedRequest, match="20 messages wait"):
        desk.order("POST", "/ven-1/reregistrations")


def test_the_operator_sees_who_is_there_and_who_not(desk: Desk) -> None:
    shown = json.loads(desk.order("GET", "").body)
    assert [(one["venID"], one["registered"] is not None) for one in shown] == [("ven-1", True), ("ven-2", False)]
    with pytest.raises(RefusedRequest, match="no VEN 'ven-3'"):
        desk.order("GET", "/ven-3")
