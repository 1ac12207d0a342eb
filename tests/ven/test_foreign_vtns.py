"""The VEN at VTNs that are not ours: each habit in which they differ, from the token to the report."""

from collections.abc import Callable
from typing import Any

import pytest

from cem.io.virtual import VirtualClock, run_virtual
from cem.model.directive import LinkState
from cem.model.resource import Ratings, Resource, Role
from support.foreign_vtn import Body, ForeignVtn, Habits
from support.rogue_vtn import Home
from support.ven_world import T0, utility

BATTERY = Resource("battery", Role.BATTERY, "storage", "Battery", Ratings(max_charge_w=5000.0))
PERIOD = {"start": "2026-01-15T11:00:00Z", "duration": "P1D"}
INTERVAL = {"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [3.0]}]}


def without(*keys: str) -> Callable[[Body], Body]:
    return lambda body: {key: value for key, value in body.items() if key not in keys}


def with_nulls(body: Body) -> Body:
    """Every optional attribute that is not there stands there as null, as some serialisers write it."""
    optional = ("eventName", "duration", "priority", "reportDescriptors", "targets", "attributes", "payloadDescriptors")
    return {**dict.fromkeys(optional), **body}


def null_periods(body: Body) -> Body:
    intervals = [{**one, "intervalPeriod": None} for one in body.get("intervals", [])]
    return {**body, "intervals": intervals} if "intervals" in body else body


def other_names(body: Body) -> Body:
    return {
        (f"{key[:-2]}Id" if key in ("programID", "eventID", "venID") else key): value for key, value in body.items()
    }


def microseconds(body: Body) -> Body:
    stamp = "2026-01-15T11:00:00.137171+00:00"
    return {**body, "createdDateTime": stamp, "modificationDateTime": stamp}


def zero_durations(body: Body) -> Body:
    """Durations of nothing where the text leaves them out."""
    if "intervals" not in body:
        return body
    period = {**body["intervalPeriod"], "randomizeStart": "PT0S"}
    intervals = [{**one, "intervalPeriod": {"duration": "P0D"}} for one in body["intervals"]]
    return {**body, "duration": "P0D", "intervalPeriod": period, "intervals": intervals}


def more_than_the_schema(body: Body) -> Body:
    return {**body, "x-vendor": {"deep": [1, {"er": None}]}, "self": "https://vtn.example/1"}


HABITS: dict[str, Habits] = {
    "by the text": Habits(),
    "no paging: skip and limit are ignored": Habits(pages=False),
    "no page beyond 50": Habits(largest_limit=50),
    "each object twice": Habits(repeats=2),
    "identifiers as UUIDs": Habits(identifier=lambda kind, n: f"e153fde2-9163-4609-aff7-0{n:02}{len(kind):09}"),
    "identifiers with other characters": Habits(identifier=lambda kind, n: f"urn:{kind}/{n}#a b".replace(" ", "%20")),
    "no event name": Habits(shown=without("eventName")),
    "no object type": Habits(shown=without("objectType")),
    "no times of change": Habits(shown=without("createdDateTime", "modificationDateTime")),
    "microseconds and an offset": Habits(shown=microseconds),
    "null for what is not there": Habits(shown=with_nulls),
    "null periods in intervals": Habits(shown=null_periods),
    "programId": Habits(shown=other_names),
    "durations of nothing": Habits(shown=zero_durations),
    "attributes that the schema does not know": Habits(shown=more_than_the_schema),
    "200 for what was made": Habits(created=200),
    "errors as HTML": Habits(error=lambda status: ("text/html", b"<h1>no</h1>")),
    "errors without a body": Habits(error=lambda status: ("text/plain", b"")),
    "errors of another form": Habits(error=lambda status: ("application/json", b'{"detail": [{"loc": ["x"]}]}')),
    "no token server named": Habits(names_token_server=False),
    "credentials in the body alone": Habits(token_by="body"),
    "credentials by Basic alone": Habits(token_by="basic"),
    "lifetime as text": Habits(token=lambda given: {**given, "expires_in": "3600"}),
    "lifetime with a fraction": Habits(token=lambda given: {**given, "expires_in": 3600.0}),
    "no lifetime": Habits(token=without("expires_in")),
    "another spelling of the token's type, and more": Habits(
        token=lambda given: {**given, "token_type": "bearer", "id_token": "x", "not-before-policy": 0}
    ),
}


@pytest.mark.parametrize("habits", HABITS.values(), ids=list(HABITS))
def test_it_registers_acts_and_reports_at_a_vtn_with_this_habit(habits: Habits) -> None:
    """From an empty VTN to its limit in force and the usage in its reports; and nothing that we send is against the
    schema."""

    async def main(clock: VirtualClock) -> None:
        vtn = ForeignVtn(habits)
        program = vtn.put("programs", {"programName": "dimming"})
        limit: Body = {"programID": program, "eventName": "e", "intervalPeriod": PERIOD, "intervals": [INTERVAL]}
        vtn.put("events", limit)
        await vtn.start()
        provider = utility(url=vtn.url, poll_s=10.0, stale_s=30.0, reconnect_jitter_s=0.0, report_interval_s=5.0)
        home = Home(provider, clock, resources=(BATTERY,))
        try:
            await home.start()
            await home.until(LinkState.ONLINE, 60)
            assert home.limits_w == [3000.0]
            assert [body["venName"] for body in vtn.objects["vens"].values()] == ["house-1"]
            assert [body["resourceName"] for body in vtn.objects["resources"].values()] == ["battery"]
            await home.until_true(lambda: usage(vtn) >= 2, 300)
            assert len(vtn.objects["reports"]) == 1
            assert vtn.refused == []
        finally:
            await home.stop()
            await vtn.stop()

    run_virtual(main, T0)


def usage(vtn: ForeignVtn) -> int:
    """How many intervals were delivered."""
    found: list[Any] = [r for report in vtn.objects["reports"].values() for r in report["resources"]]
    return max((len(resource["intervals"]) for resource in found), default=0)
