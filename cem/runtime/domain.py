"""The VTN that the gateway runs for a domain below itself: keeps it running, and is the gateway's own hand on it."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from cem.model.errors import CemError
from cem.model.provider import Provider
from cem.model.status import DomainStatus
from cem.ports import Clock, HttpAnswer
from cem.runtime.contained import FIRST_PAUSE_S, LONGEST_PAUSE_S
from cem.runtime.status import Trouble
from cem.runtime.ven_client import VtnClient, object_path
from cem.sgcp.vtn.handler import Figures
from cem.sgcp.vtn.objects import Objects
from cem.sgcp.vtn.tokens import GATEWAY
from cem.wire import openadr3 as wire
from cem.wire.http import HttpRequest, HttpResponse

_LOG = logging.getLogger(__name__)
_LOOK_EVERY_S = 1.0
_MOST = 10_000
T = TypeVar("T")


class OpenVtn(Protocol):
    """A VTN that listens."""

    @property
    def url(self) -> str:
        """Its base URL as this machine reaches it."""

    async def exchange(self, request: HttpRequest) -> HttpResponse:
        """The answer to a request."""

    async def figures(self) -> Figures:
        """What it holds now."""

    async def look(self, read: Callable[[Objects, Mapping[str, datetime]], T]) -> T:
        """What a reading makes of its objects, and of when each client was last heard."""


class Inside:
    """`cem.ports.Http` to a VTN in this process: the same requests, without a socket."""

    def __init__(self, vtn: OpenVtn) -> None:
        self._vtn = vtn

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> HttpAnswer:
        """The VTN's answer, without a socket between."""
        parts = urlsplit(url)
        answer = await self._vtn.exchange(
            HttpRequest(
                method,
                unquote(parts.path),
                tuple(parse_qsl(parts.query, keep_blank_values=True)),
                {name.lower(): value for name, value in (headers or {}).items()},
                body or b"",
                origin=f"{parts.scheme}://{parts.netloc}",
                peer="this gateway",
            )
        )
        return HttpAnswer(answer.status, answer.headers, answer.body)

    async def close(self) -> None:
        """Nothing to close."""


class Domain:
    """What goes down to the domain and comes up from it, as its business logic. Raises VtnFailure.

    Programs are known by their name, events by program and event name: what is published again replaces what stood
    there, and nothing is written, and nobody told, where it says the same.
    """

    def __init__(self, vtn: OpenVtn, secret: str, clock: Clock) -> None:
        own = Provider("domain", vtn.url, GATEWAY, GATEWAY, secret)
        self._client = VtnClient(own, Inside(vtn), clock)
        self._vtn = vtn

    async def programme(self, wanted: wire.ProgramRequest) -> wire.Program:
        """Makes sure that a program is there as it is wanted."""
        listed = await self._client.every(wire.Program, "/programs", {"programName": wanted.program_name})
        held = next((one for one in listed.items if one.program_name == wanted.program_name), None)
        if held is None:
            return await self._client.post(wire.Program, "/programs", wanted)
        if _says(held, wanted):
            return held
        return await self._client.put(wire.Program, object_path("programs", held.id), wanted)

    async def publish(self, wanted: wire.EventRequest) -> wire.Event:
        """Makes sure that an event is there as it is wanted; one without a name is always a new one."""
        held = None
        if wanted.event_name is not None:
            named = (one for one in await self.events(wanted.program_id) if one.event_name == wanted.event_name)
            held = next(named, None)
        if held is None:
            return await self._client.post(wire.Event, "/events", wanted)
        if _says(held, wanted):
            return held
        return await self._client.put(wire.Event, object_path("events", held.id), wanted)

    async def withdraw(self, event_id: str) -> bool:
        """Deletes an event; whether it was there."""
        return await self._client.remove(object_path("events", event_id))

    async def grant(self, ven_id: str, target: str) -> None:
        """Grants a ven a target, beside those that it has: events with it are for this ven too."""
        held = await self._client.one(wire.Ven, object_path("vens", ven_id))
        if held is None or target in held.targets:
            return
        wanted = wire.VenRequest(
            object_type="BL_VEN_REQUEST",
            ven_name=held.ven_name,
            client_id=held.client_id,
            targets=(*held.targets, target),
            attributes=held.attributes,
        )
        await self._client.put(wire.Ven, object_path("vens", ven_id), wanted)

    async def discard_report(self, report_id: str) -> bool:
        """Deletes a report; whether it was there."""
        return await self._client.remove(object_path("reports", report_id))

    async def look(self, read: Callable[[Objects, Mapping[str, datetime]], T]) -> T:
        """What a reading makes of the VTN's objects, and of when each client was last heard."""
        return await self._vtn.look(read)

    async def events(self, program_id: str) -> tuple[wire.Event, ...]:
        """The events of a program."""
        return (await self._client.every(wire.Event, "/events", {"programID": program_id}, _MOST)).items

    async def reports(self, event_id: str) -> tuple[wire.Report, ...]:
        """What the domain's clients reported on an event."""
        return (await self._client.every(wire.Report, "/reports", {"eventID": event_id}, _MOST)).items

    async def vens(self) -> tuple[wire.Ven, ...]:
        """The domain's vens."""
        return (await self._client.every(wire.Ven, "/vens", most=_MOST)).items

    async def resources(self, ven_id: str) -> tuple[wire.Resource, ...]:
        """The resources of a ven."""
        return (await self._client.every(wire.Resource, "/resources", {"venID": ven_id}, _MOST)).items


def _says(held: wire.Message, wanted: wire.Message) -> bool:
    """Whether all that is wanted stands there already."""
    there = wire.to_json(held)
    return all(there.get(key) == value for key, value in wire.to_json(wanted).items() if key != "objectType")


class DomainTask:
    """Runs the VTN and starts it anew when it can't run; never a reason for the gateway to end.

    `open_vtn` runs one that admits the client GATEWAY with the secret that it is given, as business logic.
    """

    def __init__(self, open_vtn: Callable[[str], AbstractAsyncContextManager[OpenVtn]], clock: Clock) -> None:
        self._open = open_vtn
        self._clock = clock
        self._url = ""
        self._figures = Figures()
        self._fault = ""
        self.domain: Domain | None = None
        """None while the VTN does not run."""

    async def run(self) -> None:
        """Until it is cancelled."""
        failures = 0
        while True:
            try:
                secret = secrets.token_urlsafe(32)
                async with self._open(secret) as vtn:
                    self.domain, self._url, self._fault, failures = Domain(vtn, secret, self._clock), vtn.url, "", 0
                    _LOG.info("vtn: the domain below is served at %s", vtn.url)
                    while True:
                        self._figures = await vtn.figures()
                        await asyncio.sleep(_LOOK_EVERY_S)
            except (CemError, OSError) as error:
                told = str(error.strerror or error) if isinstance(error, OSError) else str(error)
                if told != self._fault:
                    _LOG.error("vtn: the domain below has no VTN: %s. Check [vtn] in the site file", told)
                self._fault = told
            finally:
                self.domain = None
            await asyncio.sleep(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(failures, 6)))
            failures += 1

    def status(self) -> DomainStatus:
        """As it stands now."""
        one = self._figures
        return DomainStatus(
            self._url, self.domain is not None, one.vens, one.programs, one.events, one.reports, one.heard_at
        )

    def trouble(self) -> Trouble | None:
        """What a person should know of, if anything."""
        if not self._fault:
            return None
        effect = "the domain below gets no events from this gateway; the house itself goes on"
        return Trouble("vtn", f"the VTN does not run: {self._fault}", effect, "Check [vtn] in the site file.", "alarm")
