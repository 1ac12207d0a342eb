"""`cem vtn ven state|reregister|dismiss` and `cem vtn report offers|request|end` against a running VTN."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from click.testing import CliRunner, Result

from cem.cli.vtn import vtn
from cem.sgcp.vtn.handler import BASE_PATH
from cem.wire.openadr2b.messages import (
    CancelReport,
    CreatedReport,
    CreatePartyRegistration,
    CreateReport,
    Message,
    Poll,
    RegisterReport,
)
from cem.wire.openadr2b.parts import Report, ReportDescription, Response
from support.oadr2b import AT
from support.vtn2b_site import Operator, operator

Cem = Callable[..., Result]
REGISTER = CreatePartyRegistration(
    request_id="1", profile="2.0b", transport="simpleHttp", report_only=False, xml_signature=False, ven_name="house-1"
)
POINT = ReportDescription(r_id="meter", type="usage", reading_type="Direct Read")
OFFER = Report(request_id="0", specifier_id="u", name="METADATA_TELEMETRY_STATUS", created_at=AT, descriptions=(POINT,))


def play(work: Callable[[Operator, Cem, Callable[[Message], Any]], None]) -> None:
    """Runs `work` in a thread beside a running VTN, with a way to run commands and one to speak as the VEN."""

    async def main() -> None:
        async with operator() as site:
            env = {"CEM_VTN_URL": site.base + BASE_PATH, "CEM_VTN_CLIENT_SECRET": "secret-of-bl"}
            loop = asyncio.get_running_loop()

            def cem(*arguments: str) -> Result:
                return CliRunner().invoke(vtn, list(arguments), env=env)

            def say(message: Message) -> Any:
                return asyncio.run_coroutine_threadsafe(site.say(message), loop).result(10)

            await asyncio.to_thread(work, site, cem, say)

    asyncio.run(main())


def test_a_report_is_asked_for_shown_and_ended_by_commands() -> None:
    def work(_site: Operator, cem: Cem, say: Callable[[Message], Any]) -> None:
        assert cem("ven", "state").stdout.splitlines() == [
            "ven-1  house-1  not registered",
            "ven-2  house-2  not registered",
        ]
        say(REGISTER)
        say(RegisterReport(request_id="2", ven_id="ven-1", reports=(OFFER,)))
        assert cem("report", "offers", "house-1").stdout.splitlines()[0] == "u  METADATA_TELEMETRY_STATUS"
        asked = cem("report", "request", "house-1", "u", "--every", "PT15M", "--point", "meter", "--json")
        assert asked.exit_code == 0, asked.output
        request_id = json.loads(asked.stdout)["requestID"]
        message = say(Poll(ven_id="ven-1"))
        assert isinstance(message, CreateReport)
        assert (message.requests[0].request_id, message.requests[0].back.total_seconds()) == (request_id, 900.0)
        response = Response(code="200", request_id=message.request_id)
        say(CreatedReport(response=response, ven_id="ven-1"))
        assert f"report {request_id} of u: pending" in cem("ven", "state", "house-1").stdout
        ended = cem("report", "end", "ven-1", request_id, "--last")
        assert ended.stdout == "oadrCancelReport to ven-1: with its next poll\n"
        last = say(Poll(ven_id="ven-1"))
        assert isinstance(last, CancelReport)
        assert last.to_follow

    play(work)


def test_a_test_event_and_what_else_only_2_0b_knows_reach_its_vens_and_no_others() -> None:
    def work(site: Operator, cem: Cem, say: Callable[[Message], Any]) -> None:
        say(REGISTER)
        assert cem("program", "add", "limits").exit_code == 0
        limit = ("--type", "IMPORT_CAPACITY_LIMIT", "--unit", "KW", "--value", "4.2", "--duration", "PT1H")
        more = ("--test", "--no-answer", "--ramp-up", "-PT5M", "--recovery", "PT10M")
        made = cem("event", "add", "--program", "limits", *limit, *more, "--json")
        assert made.exit_code == 0, made.output
        event = say(Poll(ven_id="ven-1")).events[0]
        assert (event.descriptor.is_test, event.response_required) == (True, "never")
        assert event.period.ramp_up == timedelta(minutes=-5)
        assert event.period.recovery == timedelta(minutes=10)
        assert (event.signals[0].name, event.signals[0].intervals[0].value) == ("LOAD_CONTROL", 4200.0)
        stored = json.loads(made.stdout)
        assert [one["type"] for one in stored["intervals"][0]["payloads"]] == [
            "X-TEST-IMPORT_CAPACITY_LIMIT",
            "X-2B-RESPONSE-REQUIRED",
            "X-2B-RAMP-UP",
            "X-2B-RECOVERY",
        ]
        assert "no answer wanted" in cem("ven", "state", "house-1").stdout
        assert cem("event", "change", stored["id"], "--value", "3").exit_code == 0
        changed = say(Poll(ven_id="ven-1")).events[0]
        assert (changed.descriptor.is_test, changed.period.ramp_up) == (True, timedelta(minutes=-5))
        assert changed.signals[0].intervals[0].value == 3000.0
        assert cem("event", "add", "--program", "limits", *limit, "--ramp-up", "P2D").exit_code == 2

    play(work)


def test_orders_that_cannot_be_say_why() -> None:
    def work(_site: Operator, cem: Cem, say: Callable[[Message], Any]) -> None:
        for arguments, words in (
            (("ven", "reregister", "house-9"), "no VEN 'house-9' is admitted for OpenADR 2.0b; there are: house-1"),
            (("ven", "dismiss", "house-1"), "ven-1 is not registered"),
            (("report", "request", "house-1", "u"), "offers nothing, not 'u'"),
        ):
            refused = cem(*arguments)
            assert refused.exit_code == 1
            assert words in refused.stderr
        for wrong in (
            ["report", "request", "house-1", "u", "--every", "often"],
            ["report", "request", "house-1", "u", "--duration", "PT1H"],
            ["report", "offers", "house-1", "--ask", "--tell"],
        ):
            assert cem(*wrong).exit_code == 2

    play(work)


def test_a_ven_is_asked_to_register_again_and_dismissed() -> None:
    def work(_site: Operator, cem: Cem, say: Callable[[Message], Any]) -> None:
        say(REGISTER)
        for arguments in (
            ("ven", "reregister", "house-1"),
            ("report", "offers", "house-1", "--ask"),
            ("report", "offers", "house-1", "--tell"),
            ("ven", "dismiss", "house-1"),
        ):
            assert cem(*arguments).exit_code == 0
        state = json.loads(cem("ven", "state", "house-1", "--json").stdout)
        assert [one["message"] for one in state["messages"]] == [
            "oadrRequestReregistration",
            "oadrCreateReport",
            "oadrRegisterReport",
            "oadrCancelPartyRegistration",
        ]
        assert "4 messages wait" in cem("ven", "state").stdout.splitlines()[0]

    play(work)
