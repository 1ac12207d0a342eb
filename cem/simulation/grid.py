"""The grid's side in the same loop: a real VTN asked over HTTP in memory, and the operator who gives it orders."""

import asyncio
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from cem.model.errors import GridError
from cem.model.provider import Programme, Provider
from cem.ports import Clock, HttpAnswer
from cem.sgcp.reports.openadr3 import content_of, is_missing, resource_name
from cem.sgcp.reports.settlement import INCENTIVE, VERDICT
from cem.sgcp.vtn.handler import BASE_PATH, Vtn, VtnConfig
from cem.sgcp.vtn.objects import Body, Change, Objects
from cem.sgcp.vtn.tokens import Client, Role
from cem.wire.http import HttpRequest, HttpResponse
from cem.wire.openadr3 import EventPayload, Interval, ObjectType, Report, format_datetime, validate

HOST = "vtn.invalid"
OPERATOR = Client("operator", "operator-in-memory", Role.BL)
HOUSE = Client("house", "house-in-memory", Role.VEN)
REPORTS_KEPT = 500


class Signal(StrEnum):
    """What an operator asks for: limits and dispatches in W, prices per kWh."""

    IMPORT_LIMIT_W = "import_limit_w"
    EXPORT_LIMIT_W = "export_limit_w"
    IMPORT_PRICE = "import_price_per_kwh"
    EXPORT_PRICE = "export_price_per_kwh"
    DISPATCH_W = "dispatch_w"


_PAYLOADS: Mapping[Signal, tuple[EventPayload, str]] = {
    Signal.IMPORT_LIMIT_W: (EventPayload.IMPORT_CAPACITY_LIMIT, "W"),
    Signal.EXPORT_LIMIT_W: (EventPayload.EXPORT_CAPACITY_LIMIT, "W"),
    Signal.IMPORT_PRICE: (EventPayload.PRICE, "KWH"),
    Signal.EXPORT_PRICE: (EventPayload.EXPORT_PRICE, "KWH"),
    Signal.DISPATCH_W: (EventPayload.DISPATCH_SETPOINT, "W"),
}


@dataclass(frozen=True, slots=True)
class Order:
    """A signal for [start_s, start_s + for_s), published `ahead_s` before; seconds since the simulation's start.

    `programme` is one of the grid's; several values share the time evenly.
    """

    signal: Signal
    values: tuple[float, ...]
    start_s: float
    for_s: float
    programme: str
    ahead_s: float = 300.0
    name: str = ""


@dataclass(frozen=True, slots=True)
class GridSide:
    """One provider of the simulated site: its programmes, what its contract says, and what it will ask.

    The house does not wait by chance after its events unless `settings` say so (`spread_s`).
    """

    id: str = "utility"
    programmes: tuple[Programme, ...] = (Programme("limits", mandatory=True), Programme("prices"))
    orders: tuple[Order, ...] = ()
    poll_s: float = 10.0
    report_interval_s: float = 900.0
    settings: Mapping[str, Any] = field(default_factory=dict)  # more fields of Provider

    def provider(self) -> Provider:
        """The provider as the site file would name it."""
        return Provider(
            id=self.id,
            url=f"http://{self.id}.{HOST}{BASE_PATH}",
            ven_name="house",
            client_id=HOUSE.id,
            client_secret=HOUSE.secret,
            programmes=self.programmes,
            poll_s=self.poll_s,
            report_interval_s=self.report_interval_s,
            **({"spread_s": 0.0} | dict(self.settings)),
        )


@dataclass(frozen=True, slots=True, order=True)
class UsageTold:
    """One interval of usage as a report of the house has it."""

    start: datetime
    length: timedelta
    missing: bool


class MemoryVtn:
    """A VTN that lives as long as its home. Implements `cem.ports.Http` towards the gateway.

    `connected` False cuts the link; `latency_s` delays every answer. `requests` counts what was sent, answered or not.
    """

    def __init__(self, side: GridSide, clock: Clock) -> None:
        self.side = side
        self.connected = True
        self.latency_s = 0.0
        self.requests = 0
        self._clock = clock
        self._objects = Objects()
        ids, tokens = itertools.count(1), itertools.count(1)
        config = VtnConfig(
            (OPERATOR, HOUSE),
            new_id=lambda: f"{side.id}-{next(ids)}",
            new_salt=lambda: f"{next(tokens)}",
            token_key=b"a grid that is simulated",
            max_objects_per_ven=2 * REPORTS_KEPT,
        )
        self._vtn = Vtn(config, self._objects)
        self._token = ""
        self._programmes = {
            programme.name: str(self._ask("POST", "/programs", {"programName": programme.name})["id"])
            for programme in side.programmes
        }

    # --- towards the gateway -------------------------------------------------------------------------------

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> HttpAnswer:
        """One exchange; raises GridError while the link is cut."""
        self.requests += 1
        await asyncio.sleep(self.latency_s)
        if not self.connected:
            raise GridError(f"no connection to {urlsplit(url).netloc} (simulated)")
        parts = urlsplit(url)
        answer = self._exchange(
            HttpRequest(
                method,
                parts.path,
                tuple(parse_qsl(parts.query, keep_blank_values=True)),
                {name.lower(): value for name, value in (headers or {}).items()},
                body or b"",
                f"{parts.scheme}://{parts.netloc}",
            )
        )
        return HttpAnswer(answer.status, answer.headers, answer.body)

    async def close(self) -> None:
        """Nothing to close."""

    # --- the operator --------------------------------------------------------------------------------------

    def publish(self, order: Order, since: datetime) -> str:
        """Makes an event of an order whose seconds count from `since`; its id."""
        event = event_of(order, since, self._programmes[order.programme])
        return str(self._ask("POST", "/events", event)["id"])

    def cancel(self, event_id: str) -> None:
        """Takes an event back."""
        self._ask("DELETE", f"/events/{event_id}", None)

    def events(self) -> Sequence[Body]:
        """The events that stand at the VTN."""
        return tuple(self._objects.all(ObjectType.EVENT))

    def reports(self) -> Sequence[Body]:
        """The newest reports of the house."""
        return tuple(self._objects.all(ObjectType.REPORT))

    def usage(self, resource: str) -> list[UsageTold]:
        """Every interval of usage that the house reported of a resource, over all reports, in order of time."""
        return usage_in(self._held_reports(), resource)

    def settlements(self) -> list[tuple[str, float | None]]:
        """The verdict and what it earned, of every stretch that the house settled."""
        return settlements_in(self._held_reports())

    def _held_reports(self) -> list[Report]:
        return [validate(Report, body) for body in self.reports()]

    async def operate(self, since: datetime) -> None:
        """Publishes every order of the grid's side when it is due, and removes events and reports that are over."""
        due = sorted(self.side.orders, key=lambda order: order.start_s - order.ahead_s)
        published: list[tuple[float, str]] = []
        for order in due:
            wait_s = order.start_s - order.ahead_s - (self._clock.now().wall - since).total_seconds()
            await asyncio.sleep(max(0.0, wait_s))
            now_s = (self._clock.now().wall - since).total_seconds()
            for over_s, event_id in [old for old in published if old[0] < now_s - 3600]:
                published.remove((over_s, event_id))
                self.cancel(event_id)
            published.append((order.start_s + order.for_s, self.publish(order, since)))
        await asyncio.Event().wait()

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        text = b"" if body is None else json.dumps(body).encode()
        answer = self._authorised(method, path, text)
        if answer.status == 401:
            self._token = self._new_token()
            answer = self._authorised(method, path, text)
        if answer.status >= 400:
            raise GridError(f"{self.side.id}: {method} {path}: {answer.status} {answer.body.decode()[:300]}")
        found: dict[str, Any] = json.loads(answer.body)
        return found

    def _authorised(self, method: str, path: str, body: bytes) -> HttpResponse:
        headers = {"authorization": f"Bearer {self._token}", "content-type": "application/json"}
        return self._exchange(HttpRequest(method, BASE_PATH + path, (), headers, body, f"http://{HOST}"))

    def _new_token(self) -> str:
        form = {"grant_type": "client_credentials", "client_id": OPERATOR.id, "client_secret": OPERATOR.secret}
        headers = {"content-type": "application/x-www-form-urlencoded"}
        body = urlencode(form).encode()
        answer = self._exchange(HttpRequest("POST", f"{BASE_PATH}/auth/token", (), headers, body, f"http://{HOST}"))
        return str(json.loads(answer.body)["access_token"])

    def _exchange(self, request: HttpRequest) -> HttpResponse:
        outcome = self._vtn.respond(request, self._clock.now().wall)
        self._vtn.apply(outcome.changes)
        self._forget_reports()
        return outcome.answer

    def _forget_reports(self) -> None:
        """Keeps the newest: a month of reports would be of no use to anybody here."""
        if self._objects.count(ObjectType.REPORT, HOUSE.id) > REPORTS_KEPT:
            reports = list(self._objects.all(ObjectType.REPORT))
            kind = ObjectType.REPORT.value
            self._vtn.apply(tuple(Change(kind, body["id"], None) for body in reports[: REPORTS_KEPT // 2]))


def event_of(order: Order, since: datetime, programme_id: str) -> dict[str, Any]:
    """The event of OpenADR 3.1 that an order is, as JSON types; its seconds count from `since`."""
    payload, units = _PAYLOADS[order.signal]
    step = timedelta(seconds=order.for_s / len(order.values))
    return {
        "programID": programme_id,
        "eventName": order.name or order.signal.value,
        "intervalPeriod": {
            "start": format_datetime(since + timedelta(seconds=order.start_s)),
            "duration": f"PT{step.total_seconds():.0f}S",
        },
        "payloadDescriptors": [
            {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": payload.value, "units": units}
        ],
        "intervals": [
            {"id": number, "payloads": [{"type": payload.value, "values": [value]}]}
            for number, value in enumerate(order.values)
        ],
    }


def usage_in(reports: Iterable[Report], resource: str) -> list[UsageTold]:
    """Every interval of usage of a resource in a house's reports, in order of time."""
    return sorted(
        UsageTold(start, _length(interval), is_missing(interval))
        for report in reports
        if report.report_name is not None and report.report_name.startswith("usage ")
        for (name, start), interval in content_of(report).items()
        if name == resource_name(resource)
    )


def settlements_in(reports: Iterable[Report]) -> list[tuple[str, float | None]]:
    """The verdict and what it earned, of every stretch that a house's reports settle."""
    found = []
    for report in reports:
        for resource in report.resources:
            for interval in resource.intervals:
                values = {payload.type: payload.values[0] for payload in interval.payloads}
                if VERDICT in values:
                    earned = values.get(INCENTIVE)
                    found.append((str(values[VERDICT]), earned if isinstance(earned, int | float) else None))
    return found


def _length(interval: Interval) -> timedelta:
    period = interval.interval_period
    return timedelta() if period is None or period.duration is None else period.duration.span
