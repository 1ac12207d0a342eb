"""Hands what the grid asks down to the domain below, and what the domain used up to the providers above."""

import logging
from asyncio import sleep
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from cem.model.directive import Directive
from cem.model.site import Site
from cem.model.status import SubVenStatus
from cem.ports import Clock
from cem.runtime.domain import Domain, DomainTask
from cem.runtime.loop import Ticked
from cem.runtime.ven_client import VtnFailure
from cem.sgcp.domain.course import Asked, Kind, Span, course_of
from cem.sgcp.domain.division import Division, Standing, Told
from cem.sgcp.domain.events import (
    OBLIGATIONS,
    PROGRAMS,
    SERVICES,
    USAGE_EVENT,
    event_name,
    event_request,
    program_of,
    read_event,
    usage_event,
)
from cem.sgcp.domain.house import LoadTrace, bounds_w, house
from cem.sgcp.domain.picture import Look, SubVen, look
from cem.sgcp.domain.usage import Ledger
from cem.sgcp.reports.usage import Usage

_LOG = logging.getLogger(__name__)
EVERY_S = 5.0
_SOON_S = 0.5
"""While the VTN is being started."""
_COMPARED = timedelta(minutes=20)
"""Over how long what members reported is compared with the meter."""
_REPORTS_KEPT = timedelta(days=8)


class Upward(Protocol):
    """A session with a provider above."""

    @property
    def report_interval_s(self) -> float:
        """The length of the intervals that it reports."""

    def aggregated(self, usages: Sequence[Usage]) -> None:
        """Takes the domain's sums of whole intervals; never blocks."""


@dataclass
class _Served:
    """What is known of the VTN that runs now."""

    domain: Domain
    programs: dict[str, str]  # ids by name
    usage_id: str
    stamps: dict[str, str]


class DomainSteering:
    """Runs beside the VTN's own task. `ticked` gives the last tick, `directive` what the grid says now."""

    def __init__(
        self,
        task: DomainTask,
        site: Site,
        clock: Clock,
        directive: Callable[[], Directive],
        ticked: Callable[[], Ticked | None],
        sessions: Sequence[Upward],
        lost_after_s: float,
    ) -> None:
        self._task = task
        self._site = site
        self._clock = clock
        self._directive = directive
        self._ticked = ticked
        self._sessions = sessions
        self._lost_after = timedelta(seconds=lost_after_s)
        self._division = Division()
        self._ledger = Ledger()
        self._trace = LoadTrace()
        self._served: _Served | None = None
        self._standings: tuple[Standing, ...] = ()
        self._met: dict[str, datetime] = {}  # when a VEN that was not heard yet was first seen
        self._fault = ""

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            domain, now = self._task.domain, self._clock.now()
            self._note_load()
            if domain is not None and now.trusted:
                try:
                    await self.turn(domain)
                    self._fault = ""
                except VtnFailure as fault:
                    if fault.detail != self._fault:
                        _LOG.warning("domain below: %s", fault.detail)
                    self._fault = fault.detail
            await sleep(_SOON_S if domain is None else EVERY_S)

    async def turn(self, domain: Domain) -> None:
        """Everything once; raises VtnFailure."""
        served = self._served
        if served is None or served.domain is not domain:
            served = self._served = await self._met_anew(domain)
        now = self._clock.now()
        seen = await domain.look(lambda objects, heard: look(objects, heard, served.usage_id, served.stamps, now.wall))
        for ven in seen.vens:
            if not ven.granted:
                await domain.grant(ven.id, ven.target)
        await self._take(served, seen, now.wall)
        self._standings = tuple(self._standing(ven, now.wall) for ven in seen.vens)
        await self._publish(served, now.wall, now.mono_s)

    def members(self) -> tuple[SubVenStatus, ...]:
        """The VENs as they stand now."""
        return tuple(self._shown(one, self._clock.now().wall) for one in self._standings)

    async def _met_anew(self, domain: Domain) -> _Served:
        """The programs and the usage event are there, and what an earlier run published is known."""
        programs = {program.program_name: (await domain.programme(program)).id for program in PROGRAMS}
        usage = await domain.publish(usage_event(programs[SERVICES]))
        self._division = Division()
        for name in (OBLIGATIONS, SERVICES):
            for event in await domain.events(programs[name]):
                known = read_event(event, name)
                if known is not None:
                    asked, target, spans = known
                    self._division.told[asked, target] = Told(spans, event.id)
                elif event.id != usage.id and event.event_name == USAGE_EVENT:
                    await domain.withdraw(event.id)
        return _Served(domain, programs, usage.id, {})

    async def _take(self, served: _Served, seen: Look, now: datetime) -> None:
        self._ledger.members((ven.name for ven in seen.vens), now)
        for name, found in seen.used:
            self._ledger.take(name, found, now)
        served.stamps = dict(seen.stamps)
        lengths = {session.report_interval_s for session in self._sessions}
        sums = {length: self._ledger.sums(length, now) for length in lengths}
        for session in self._sessions:
            session.aggregated(sums[session.report_interval_s])
        for report_id in seen.old(now - _REPORTS_KEPT):
            await served.domain.discard_report(report_id)

    def _standing(self, ven: SubVen, now: datetime) -> Standing:
        latest = self._ledger.latest(ven.name)
        since = ven.heard_at or self._met.setdefault(ven.id, now)
        lost = now - since > self._lost_after
        before = next((one for one in self._standings if one.ven.id == ven.id), None)
        if before is not None and lost is not before.lost:
            words = "is lost; the others make up for it" if lost else "is back"
            _LOG.warning("domain below: %s %s", ven.name, words)
        return Standing(ven, None if latest is None else latest.mean_w, lost)

    def _note_load(self) -> None:
        ticked = self._ticked()
        if ticked is not None:
            self._trace.note(ticked.inputs.now.wall, ticked.decision.load_w)

    async def _publish(self, served: _Served, now: datetime, now_s: float) -> None:
        ticked = self._ticked()
        if ticked is None:
            return
        heard = [one.ven for one in self._standings if not one.lost]
        used_lately = [lately for ven in heard if (lately := self._ledger.lately(ven.name, now - _COMPARED))]
        believed_w = self._division.believed_w(Kind.IMPORT_LIMIT, [ven.target for ven in heard])
        own = house(self._site, ticked.inputs.snapshot, self._trace.base_w(used_lately, believed_w))
        course = course_of(self._directive(), bounds_w(self._site), now)
        wanted = self._division.divided(course, self._standings, own, now, now_s)
        for (asked, target), spans in wanted.items():
            held = self._division.told.get((asked, target))
            if held is None or held.spans != spans:
                await self._tell(served, asked, target, spans)
        for asked, target in [key for key in self._division.told if key not in wanted]:
            await served.domain.withdraw(self._division.told[asked, target].event_id)
            del self._division.told[asked, target]
            _LOG.info("domain below: %s is over", event_name(asked, self._name_of(target)))

    async def _tell(self, served: _Served, asked: Asked, target: str, spans: tuple[Span, ...]) -> None:
        name = self._name_of(target)
        ven = None if name is None else (name, target)
        program_id = served.programs[program_of(asked)]
        wanted = event_request(asked, spans, program_id, self._site.tariff.currency, ven)
        event = await served.domain.publish(wanted)
        if (asked, target) not in self._division.told:
            _LOG.info("domain below: %s", event_name(asked, name))
        self._division.told[asked, target] = Told(spans, event.id)

    def _name_of(self, target: str) -> str | None:
        return next((one.ven.name for one in self._standings if one.ven.target == target), target or None)

    def _shown(self, one: Standing, now: datetime) -> SubVenStatus:
        latest = self._ledger.latest(one.ven.name)
        return SubVenStatus(
            one.ven.name,
            one.lost,
            one.ven.heard_at,
            one.power_w,
            None if latest is None else latest.end,
            self._division.share_w(Kind.IMPORT_LIMIT, one.ven.target, now),
            self._division.share_w(Kind.EXPORT_LIMIT, one.ven.target, now),
            bool(one.ven.opted_out),
        )
