"""A member of the domain that speaks OpenADR 2.0b: it gets its share, its usage counts, and it may opt out."""

import asyncio
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from cem.io.virtual import VirtualClock, run_virtual
from cem.model.provider import Programme
from cem.runtime.domain import Inside
from cem.sgcp.domain.events import OBLIGATIONS, SERVICES
from cem.sgcp.domain.usage import Used
from cem.sgcp.domain.usage_2b import used_2b
from cem.sgcp.opt.cut import OptOut
from cem.sgcp.vtn.tokens import Client, Role
from cem.sgcp.vtn2b.parties import Admitted
from cem.sgcp.vtn2b.records import Point
from cem.wire import openadr3 as wire
from cem.wire.openadr2b.messages import CreatedReport, UpdateReport
from cem.wire.openadr2b.names import PATH_PREFIX
from support.domain_world import CoreVtn, Middle, operator
from support.scripted_vtn2b import Home, ScriptedVtn
from support.scripted_vtn2b import asked as report_request
from support.ven_world import T0

CLIENTS = (Client("operator", "operator's", Role.BL), Client("home", "home's", Role.VEN))
URN = "urn:openadr:program:"


async def asked(above: CoreVtn, clock: VirtualClock, program: str, limit_kw: float) -> None:
    boss = operator(above, clock)
    made = await boss.post(wire.Program, "/programs", wire.ProgramRequest(program_name=program))
    period = wire.IntervalPeriod(start=wire.Start.at(clock.now().wall), duration=wire.Duration.of(timedelta(hours=2)))
    payload = wire.ValuesMap(type="IMPORT_CAPACITY_LIMIT", values=(limit_kw,))
    interval = wire.Interval(id=0, payloads=(payload,))
    request = wire.EventRequest(program_id=made.id, interval_period=period, intervals=(interval,))
    await boss.post(wire.Event, "/events", request)


@pytest.mark.parametrize("mandatory", [True, False])
def test_a_ven_of_openadr_2b_is_a_member_like_the_others(mandatory: bool) -> None:
    async def main(clock: VirtualClock) -> None:
        above = CoreVtn("above", clock, *CLIENTS)
        home = Middle(above, clock, 1000.0, (), (Admitted("old", "old"),), mandatory=mandatory)
        tasks = [asyncio.create_task(run) for run in (home.task.run(), home.steering.run(), home.session.run())]
        await asyncio.sleep(1)
        assert home.below is not None
        programmes = (Programme(f"{URN}{OBLIGATIONS}", mandatory=True), Programme(f"{URN}{SERVICES}"))
        url = f"http://below{PATH_PREFIX}"
        old = Home(clock, Inside(home.below), url=url, ven_name="old", programmes=programmes, report_interval_s=60.0)
        old.start()
        await old.live(200, site_w=3000.0)
        (member,) = home.steering.members()
        assert (member.name, member.lost) == ("old", False)
        assert member.power_w == pytest.approx(3000.0)
        await asked(above, clock, "dimming", 6.0)
        await old.live(60, site_w=3000.0)
        (limit,) = [e for e in old.point.directive(clock.now()).envelopes if e.max_w is not None]
        assert limit.max_w == home.steering.members()[0].import_share_w
        assert 4000 <= (limit.max_w or 0.0) <= 6000
        old.point.opt_out([OptOut(clock.now().wall, clock.now().wall + timedelta(hours=1))])
        old.session.owner_decided()
        await old.live(60, site_w=3000.0)
        assert home.steering.members()[0].opted_out is not mandatory
        await old.stop()
        await asyncio.sleep(90)
        assert home.steering.members()[0].lost
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run_virtual(main, T0)


def test_the_sum_of_a_domain_is_reported_to_a_provider_of_openadr_2b_above_as_a_report_of_its_own() -> None:
    vtn = ScriptedVtn(
        requests=(
            report_request("d", "domain-below-import", "domain-below-power", specifier="domain-usage"),
            report_request("s", "site-power"),
            report_request("x", "domain-below-import"),  # it is no part of the house's own report
        )
    )

    async def main(clock: VirtualClock) -> None:
        upper = Home(clock, vtn, domain_below=True, report_interval_s=60.0)
        upper.start()
        home = Middle(
            CoreVtn("above", clock, *CLIENTS), clock, 1000.0, (), (Admitted("old", "old"),), also=(upper.session,)
        )
        tasks = [asyncio.create_task(run) for run in (home.task.run(), home.steering.run(), home.session.run())]
        await asyncio.sleep(1)
        assert home.below is not None
        url = f"http://below{PATH_PREFIX}"
        old = Home(clock, Inside(home.below), url=url, ven_name="old", report_interval_s=60.0)
        old.start()
        living = asyncio.create_task(upper.live(420))
        await old.live(420, site_w=3000.0)
        await living
        await old.stop()
        await upper.live(300)  # what is not known in time is told as missing
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await upper.stop()

    run_virtual(main, T0)
    assert "x" not in vtn.got(CreatedReport)[-1].pending
    found: dict[str, list[tuple[datetime, str, float, str]]] = {"d": [], "s": []}
    for message in vtn.got(UpdateReport):
        for one in message.reports:
            for interval in one.intervals:
                assert interval.start is not None
                (payload,) = interval.payloads
                found[one.request_id].append(
                    (interval.start, payload.r_id, payload.value or 0.0, payload.quality or "")
                )
    known = [(start, r_id, value) for start, r_id, value, quality in found["d"] if "Good" in quality]
    first = min(start for start, *_ in known)  # the VEN below was not there for all of it
    values = {(r_id, value) for start, r_id, value in known if start > first}
    assert values == {("domain-below-power", 3000.0), ("domain-below-import", 50.0)}
    assert len(known) >= 8
    missing = [start for start, _, _, quality in found["d"] if "No Value" in quality]
    assert missing
    assert min(missing) > max(start for start, _, _ in known)
    own = sorted(start for start, *_ in found["s"])
    assert all(later - earlier == timedelta(minutes=1) for earlier, later in pairwise(own))
    assert own[-1] > max(start for start, *_ in found["d"])  # the house's own does not wait for the domain's


def report(**values: float) -> wire.Report:
    period = {"start": "2026-01-15T12:00:00Z", "duration": "PT1M"}
    resources = [
        {
            "resourceName": name.replace("_", "-"),
            "intervals": [{"id": 0, "intervalPeriod": period, "payloads": [{"type": "READING", "values": [value]}]}],
        }
        for name, value in values.items()
    ]
    body = {"id": "r", "eventID": "e", "clientName": "old", "resources": resources}
    return wire.validate(wire.Report, body)


def point(name: str, unit: str = "Wh (RealEnergy, scale none)", kind: str = "usage") -> Point:
    return Point(r_id=name, reading_type="Direct Read", report_type=kind, unit=unit)


def test_energies_are_read_where_it_is_clear_whose_they_are() -> None:
    minute = (T0, T0 + timedelta(minutes=1))
    both = [point("site-import"), point("site-export"), point("battery-import")]
    assert used_2b(report(site_import=50.0, site_export=4.0, battery_import=9.0), both) == [Used(*minute, 50.0, 4.0)]
    assert used_2b(report(site_import=50.0), both) == []
    lone = [point("meter", "Wh (RealEnergy, scale k)"), point("power", "W (RealPower, scale none)", "demand")]
    assert used_2b(report(meter=0.05, power=3000.0), lone) == [Used(*minute, 50.0, 0.0)]
    assert used_2b(report(meter=-0.05), lone) == [Used(*minute, 0.0, 50.0)]
    assert used_2b(report(a=1.0, b=2.0), [point("a"), point("b")]) == []
