"""Storeys of a domain in one virtual loop: VTNs without sockets, gateways without devices, both else as they run."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from random import Random
from typing import TypeVar

from cem.control import Memory
from cem.io.virtual import VirtualClock
from cem.model.authority import DAY_S
from cem.model.envelope import Band
from cem.model.provider import Programme, Provider
from cem.model.reading import Snapshot
from cem.model.resource import Ratings, Resource, Role
from cem.model.setpoint import Decision, Mode
from cem.model.site import ElectricalConnection, Site
from cem.model.tariff import Tariff
from cem.model.tick import Inputs
from cem.runtime.domain import DomainTask, Inside
from cem.runtime.domain_steering import DomainSteering, Upward
from cem.runtime.loop import Ticked
from cem.runtime.ven import VenSession
from cem.runtime.ven_client import VtnClient
from cem.sgcp.domain.events import OBLIGATIONS, SERVICES
from cem.sgcp.point import ConnectionPoint
from cem.sgcp.vtn.handler import Figures, Vtn, VtnConfig
from cem.sgcp.vtn.objects import Objects
from cem.sgcp.vtn.tokens import Client
from cem.sgcp.vtn.tokens import Role as ClientRole
from cem.sgcp.vtn2b.handler import Vtn2b
from cem.sgcp.vtn2b.parties import Admitted, Config2b
from cem.wire import openadr2b
from cem.wire.http import HttpRequest, HttpResponse
from cem.wire.openadr2b.names import CONTENT_TYPE, PATH_PREFIX
from support.ven_world import MemoryStore, utility

T = TypeVar("T")
PHASES = ElectricalConnection(phases=3, fuse_a=63.0)


class CoreVtn:
    """The pure VTN with its changes taken in at once."""

    def __init__(self, name: str, clock: VirtualClock, *clients: Client, vens_2b: tuple[Admitted, ...] = ()) -> None:
        self.url = f"http://{name}/openadr3/3.1.0"
        self._clock = clock
        ids = itertools.count()
        self.objects = Objects()
        config = VtnConfig(clients, lambda: f"{name}-{next(ids)}", lambda: f"t{next(ids)}", b"key")
        self._vtn = Vtn(config, self.objects)
        self._old = Vtn2b(Config2b(vens_2b, lambda: f"{name}-2b-{next(ids)}"), self.objects)
        self.down = False
        self.event_writes = 0

    async def exchange(self, request: HttpRequest) -> HttpResponse:
        """The answer to a request."""
        if self.down:
            return HttpResponse(503, {}, b"")
        if request.path.startswith(PATH_PREFIX):
            message = openadr2b.decode(request.body)
            service = request.path.rpartition("/")[2]
            answer, changes = self._old.respond(message, service, None, self._clock.now().wall, None)
            self._vtn.apply(changes)
            return HttpResponse(200, {"content-type": CONTENT_TYPE}, openadr2b.encode(answer))
        outcome = self._vtn.respond(request, self._clock.now().wall)
        self._vtn.apply(outcome.changes)
        self.event_writes += sum(
            bool(c.kind == "EVENT" and c.body and c.body.get("intervals")) for c in outcome.changes
        )
        return outcome.answer

    async def figures(self) -> Figures:
        """What it holds now."""
        return self._vtn.figures()

    async def look(self, read: Callable[[Objects, Mapping[str, datetime]], T]) -> T:
        """What a reading makes of it."""
        return self._vtn.look(lambda objects, heard: read(objects, {**heard, **self._old.heard}))


class Consumer:
    """A gateway as a VEN, whose house would take `wish_w` and keeps to its limit, or not (`heedless`)."""

    def __init__(
        self, vtn: CoreVtn, name: str, clock: VirtualClock, wish_w: float, most_w: float, poll_s: float = 15.0
    ) -> None:
        self.provider = Provider(
            id="gateway",
            url=vtn.url,
            ven_name=name,
            client_id=name,
            client_secret=f"{name}'s",
            programmes=(Programme(OBLIGATIONS, mandatory=True), Programme(SERVICES)),
            poll_s=poll_s,
            default_import_limit_w=20_000.0,
            reconnect_jitter_s=0.0,
        )
        self.name, self.wish_w, self.heedless = name, wish_w, False
        self._clock = clock
        self.point = ConnectionPoint([self.provider])
        car = Resource(f"{name}-car", Role.EV, name, name, Ratings(max_charge_w=most_w))
        self.session = VenSession(
            self.provider, Inside(vtn), self.point, MemoryStore(), clock, Random(1), lambda: None, resources=[car]
        )
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def limit_w(self) -> float | None:
        """Its import limit now."""
        found = [e.max_w for e in self.point.directive(self._clock.now()).envelopes if e.max_w is not None]
        return min(found, default=None)

    @property
    def power_w(self) -> float:
        """What it takes."""
        limit_w = self.limit_w
        return self.wish_w if limit_w is None or self.heedless else min(self.wish_w, limit_w)

    def start(self) -> None:
        """Begins to speak."""
        self._tasks = [asyncio.create_task(self.session.run()), asyncio.create_task(self._measure())]

    async def stop(self) -> None:
        """Falls silent; its devices go on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _measure(self) -> None:
        while True:
            self.session.sample(self._clock.now(), {"site": self.power_w, f"{self.name}-car": self.power_w})
            await asyncio.sleep(5)


class Middle:
    """The gateway between: VEN of the VTN above, VTN of the domain below, a house with `base_w` of its own."""

    def __init__(
        self,
        above: CoreVtn,
        clock: VirtualClock,
        base_w: float,
        names: tuple[str, ...],
        vens_2b: tuple[Admitted, ...] = (),
        *,
        mandatory: bool = True,
        also: tuple[Upward, ...] = (),
    ) -> None:
        """`also` are sessions with other providers above."""
        self.clock, self.base_w = clock, base_w
        self.site = Site(
            "home", "UTC", PHASES, Tariff("EUR", "UTC", 0.3, 0.1), (Resource("meter", Role.GRID, "m", "meter"),)
        )
        self.provider = utility(url=above.url, ven_name="home", client_id="home", client_secret="home's", poll_s=15.0)
        if not mandatory:
            self.provider = replace(self.provider, programmes=(Programme("dimming"),), default_import_limit_w=None)
        self.store = MemoryStore()
        self.point = ConnectionPoint([self.provider])
        self.session = VenSession(
            self.provider,
            Inside(above),
            self.point,
            self.store,
            clock,
            Random(2),
            lambda: None,
            domain_below=True,
        )
        self._clients = tuple(Client(name, f"{name}'s", ClientRole.VEN) for name in names)
        self._vens_2b = vens_2b
        self.consumers: list[Consumer] = []
        self.below: CoreVtn | None = None
        self.task = DomainTask(self._open, clock)
        self.steering = DomainSteering(
            self.task,
            self.site,
            clock,
            lambda: self.point.directive(clock.now()),
            self._ticked,
            [self.session, *also],
            60.0,
        )

    @asynccontextmanager
    async def _open(self, secret: str) -> AsyncIterator[CoreVtn]:
        if self.below is None:
            gateway = Client("gateway", secret, ClientRole.BL)
            self.below = CoreVtn("below", self.clock, gateway, *self._clients, vens_2b=self._vens_2b)
        yield self.below

    @property
    def meter_w(self) -> float:
        """What all take together."""
        return self.base_w + sum(one.power_w for one in self.consumers)

    def _ticked(self) -> Ticked:
        now = self.clock.now()
        decision = Decision((), Band(-DAY_S, DAY_S), Mode.NORMAL, "", self.meter_w)
        return Ticked(Inputs(now, Snapshot(now.mono_s), self.point.directive(now)), decision, Memory())

    async def measure(self) -> None:
        """Samples its own meter."""
        while True:
            self.session.sample(self.clock.now(), {"site": self.meter_w})
            await asyncio.sleep(5)


def operator(vtn: CoreVtn, clock: VirtualClock) -> VtnClient:
    """The business logic of a VTN."""
    return VtnClient(utility(url=vtn.url, client_id="operator", client_secret="operator's"), Inside(vtn), clock)
