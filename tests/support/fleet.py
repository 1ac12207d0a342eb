"""Many houses' real sessions, links, back-off and spreading at one counted VTN, on one virtual clock.

Of each house there are the VEN session with its connection point and store, and of its control what sees an outage of
the grid and what spreads its return: after that, and after a limit has ended. Each wants WANTS_W all the time, and
takes what its limits leave; in an island, and until the grid counts as back, nothing.
"""

import asyncio
import itertools
import json
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from enum import Enum, auto
from random import Random
from urllib.parse import parse_qsl, urlsplit

from cem.config.schema import ControlTable
from cem.control import presence, spreading
from cem.control.memory import Memory
from cem.control.meter import metered
from cem.control.prices import Prices
from cem.io.virtual import VirtualClock, run_virtual
from cem.model.directive import Directive, LinkState
from cem.model.envelope import SITE
from cem.model.errors import GridError
from cem.model.provider import Programme, Provider
from cem.model.site import ControlPolicy
from cem.model.tick import Inputs
from cem.ports import HttpAnswer
from cem.runtime.remember import MemoryKeeper
from cem.runtime.ven import VenSession
from cem.sgcp.point import ConnectionPoint
from cem.sgcp.vtn.handler import BASE_PATH, Vtn, VtnConfig
from cem.sgcp.vtn.objects import Objects
from cem.sgcp.vtn.tokens import Client, Role
from cem.wire.http import HttpRequest
from support.houses import GRID, house, snapshot
from support.ven_world import T0, MemoryStore

WANTS_W = 8000.0
DEFAULT_W = 4200.0
POLL_S = 60.0
LATENCY_S = 0.05
LOOK_S = 5.0
SPREAD_S = ControlTable.model_fields["spread_s"].default
"""As a site file has it that says nothing of it."""
VOLTAGES_V = {True: dict.fromkeys(("voltage_l1_v", "voltage_l2_v", "voltage_l3_v"), 230.0)}
VOLTAGES_V[False] = dict.fromkeys(VOLTAGES_V[True], 0.0)
_OPERATOR = Client("operator", "secret of the operator", Role.BL)


class Outage(Enum):
    """What every house of the fleet loses in the same instant, and has again in the same instant."""

    LINK = auto()  # the VTN
    GRID = auto()  # the grid's voltage, and the VTN; the gateways run on
    POWER = auto()  # the same, and the gateways, which start with the grid
    REFUSED = auto()  # the VTN answers, with 503 and the same Retry-After for everybody: a date


class CountedVtn:
    """Our VTN for a whole fleet, over HTTP in memory; `arrived_s` is when each request came, monotonic."""

    def __init__(self, houses: int, clock: VirtualClock) -> None:
        ids, salts = itertools.count(), itertools.count()
        clients = (_OPERATOR, *(Client(f"house-{n}", f"secret {n}", Role.VEN) for n in range(houses)))
        self._vtn = Vtn(
            VtnConfig(clients, lambda: f"o{next(ids)}", lambda: f"s{next(salts)}", b"key of a fleet"), Objects()
        )
        self._clock = clock
        self.connected = True
        self.refuses_until: datetime | None = None
        self.arrived_s: list[float] = []
        token = json.loads(
            self._respond(
                "POST",
                "/auth/token",
                {"content-type": "application/x-www-form-urlencoded"},
                f"grant_type=client_credentials&client_id={_OPERATOR.id}&client_secret={_OPERATOR.secret}".encode(),
            ).body
        )["access_token"]
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        self._respond("POST", "/programs", headers, b'{"programName": "limits"}')

    def _respond(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        parts = urlsplit(path)
        query = tuple(parse_qsl(parts.query, keep_blank_values=True))
        request = HttpRequest(method, BASE_PATH + parts.path, query, headers, body, "http://vtn.invalid")
        outcome = self._vtn.respond(request, self._clock.now().wall)
        self._vtn.apply(outcome.changes)
        return HttpAnswer(outcome.answer.status, outcome.answer.headers, outcome.answer.body)

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> HttpAnswer:
        """One exchange; raises GridError while the link is cut."""
        await asyncio.sleep(LATENCY_S)
        if not self.connected:
            raise GridError("no connection")
        self.arrived_s.append(self._clock.now().mono_s)
        now = self._clock.now().wall
        if self.refuses_until is not None and now < self.refuses_until:
            told = {
                "date": format_datetime(now, usegmt=True),
                "retry-after": format_datetime(self.refuses_until, usegmt=True),
            }
            return HttpAnswer(503, told, b"")
        lower = {name.lower(): value for name, value in (headers or {}).items()}
        return self._respond(method, url.partition(BASE_PATH)[2], lower, body or b"")

    async def close(self) -> None:
        """Nothing to close."""


class FleetHouse:
    """One house: a session that can be started and killed, and the load that its limits leave."""

    def __init__(self, number: int, vtn: CountedVtn, clock: VirtualClock) -> None:
        self.provider = Provider(
            id="utility",
            url=f"http://vtn.invalid{BASE_PATH}",
            ven_name=f"house-{number}",
            client_id=f"house-{number}",
            client_secret=f"secret {number}",
            programmes=(Programme("limits", mandatory=True),),
            poll_s=POLL_S,
            default_import_limit_w=DEFAULT_W,
        )
        self._number, self._vtn, self._clock = number, vtn, clock
        self._site = replace(house(GRID), identity=f"house {number}", policy=ControlPolicy(spread_s=SPREAD_S))
        self._memory = Memory()
        self._random = Random(number)
        self._store = MemoryStore()
        self._boots = 0
        self._keeper = MemoryKeeper(self._store)
        self._keeping: asyncio.Task[None] | None = None
        self.grid = True  # whether the grid's voltage is there
        self._took_w = WANTS_W
        self._task: asyncio.Task[None] | None = None
        self.point = ConnectionPoint([self.provider])

    async def start(self, *, power_was_cut: bool = False) -> None:
        """As the service starts, on what the store kept."""
        self.point = ConnectionPoint([self.provider])
        session = VenSession(self.provider, self._vtn, self.point, self._store, self._clock, self._random, lambda: None)
        await session.restore()
        if power_was_cut:
            session.power_was_cut()
        self._boots += 1
        self._keeper = MemoryKeeper(self._store, f"boot {self._boots}")
        self._memory = await self._keeper.restore(self._clock.now())
        self._keeping = asyncio.create_task(self._keeper.run())
        self._task = asyncio.create_task(session.run())

    async def kill(self) -> None:
        """As a power cut does."""
        for task in (self._task, self._keeping):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        self._task = self._keeping = None

    @property
    def state(self) -> LinkState:
        """Of its link."""
        return self.point.service("utility", self._clock.now()).link.state

    def load_w(self) -> float:
        """What it takes now; looked at regularly."""
        now = self._clock.now()
        directive = self.point.directive(now)
        power_w = 0.0 if self._waits_for_the_grid() or not self.grid else self._took_w
        meter = {"power_w": power_w, "frequency_hz": 50.0, **VOLTAGES_V[self.grid]}
        image = snapshot({GRID.id: meter}, mono_s=now.mono_s)
        inputs = Inputs(now, image, directive)
        memory = presence.followed(self._memory, self._site, inputs, metered(self._site, inputs.snapshot))
        envelopes = () if presence.gone(memory) else directive.envelopes
        self._memory = spreading.remembered(self._site, inputs, memory, envelopes, power_w, Prices(None, None))
        self._keeper.note(self._memory, now)
        self._took_w = 0.0 if self._waits_for_the_grid() else self._wants_w(directive, now.mono_s)
        return self._took_w

    def _waits_for_the_grid(self) -> bool:
        return self._memory.islanded or self._memory.grid_back_at_s is not None

    def _wants_w(self, directive: Directive, now_s: float) -> float:
        limits = [one.max_w for one in directive.envelopes if one.subject == SITE and one.max_w is not None]
        wait = spreading.waits(self._site, self._memory, now_s).get(spreading.IMPORT)
        return min([WANTS_W, *limits, *([] if wait is None else [wait.limit_w])])


@dataclass(frozen=True, slots=True)
class Figures:
    """What an outage did. Requests from the moment on at which the VTN could be reached again."""

    houses: int
    window_s: float  # until the last house was online again
    peak_10s: int  # requests in the busiest ten seconds of the window
    mean_10s: float
    steady_10s: float  # before the outage
    back_pct_a_min: float  # the steepest minute of the load, of what it is in the end
    held_pct_a_min: float  # the same, of what had been held back: the stricter reading
    all_back_s: float  # until the whole load was back

    @property
    def peak_to_mean(self) -> float:
        """Of requests in ten seconds."""
        return self.peak_10s / self.mean_10s


def busiest(times_s: Sequence[float], span_s: float = 10.0) -> int:
    """The most of sorted times that any span holds."""
    return max((bisect_right(times_s, at + span_s) - n for n, at in enumerate(times_s)), default=0)


class Fleet:
    """All houses and their VTN, and the course of their load, looked at every LOOK_S."""

    def __init__(self, houses: int, clock: VirtualClock) -> None:
        self._clock = clock
        self._vtn = CountedVtn(houses, clock)
        self._houses = [FleetHouse(number, self._vtn, clock) for number in range(houses)]
        self._loads_w: list[float] = []

    async def begin(self) -> None:
        """Every house starts at a moment of its own within a poll."""
        spread, begun_s = Random(1), self._clock.now().mono_s
        offsets = sorted(spread.uniform(0.0, POLL_S) for _ in self._houses)
        for one, offset in zip(self._houses, offsets, strict=True):
            await asyncio.sleep(max(0.0, begun_s + offset - self._clock.now().mono_s))
            await one.start()
        await asyncio.sleep(2 * POLL_S)

    async def steady_10s(self, for_s: float) -> float:
        """The requests in ten seconds when nothing happens."""
        before = len(self._vtn.arrived_s)
        await asyncio.sleep(for_s)
        return (len(self._vtn.arrived_s) - before) * 10.0 / for_s

    async def lose(self, outage: Outage, for_s: float) -> None:
        """An outage, from its first to its last moment."""
        self._look()
        if outage is Outage.REFUSED:
            self._vtn.refuses_until = self._clock.now().wall + timedelta(seconds=for_s)
        else:
            self._vtn.connected = False
        for one in self._houses:
            one.grid = outage in (Outage.LINK, Outage.REFUSED)
            if outage is Outage.POWER:
                await one.kill()
        for _ in range(round(for_s / LOOK_S)):
            if outage is not Outage.POWER:
                self._look()
            await asyncio.sleep(LOOK_S)
        self._vtn.connected = True
        for one in self._houses:
            one.grid = True
        if outage is Outage.POWER:
            await asyncio.gather(*(one.start(power_was_cut=True) for one in self._houses))
            self._loads_w = [0.0]

    async def back(self, steady_10s: float) -> Figures:
        """Until all of the load is there again."""
        back_s, whole_w = self._clock.now().mono_s, WANTS_W * len(self._houses)
        online_s = all_back_s = None
        while all_back_s is None:
            self._look()
            await asyncio.sleep(LOOK_S)
            since_s = self._clock.now().mono_s - back_s
            assert since_s < 7200.0
            if online_s is None and all(one.state is LinkState.ONLINE for one in self._houses):
                online_s = since_s
            if online_s is not None and self._loads_w[-1] >= whole_w:
                all_back_s = since_s
        assert online_s is not None
        arrived_s = self._vtn.arrived_s
        window = arrived_s[bisect_left(arrived_s, back_s) : bisect_right(arrived_s, back_s + online_s)]
        steepest_w, mean_10s = self._steepest_w_a_min(), len(window) * 10.0 / online_s
        return Figures(
            len(self._houses),
            online_s,
            busiest(window),
            mean_10s,
            steady_10s,
            100.0 * steepest_w / whole_w,
            100.0 * steepest_w / (whole_w - min(self._loads_w)),
            all_back_s,
        )

    async def end(self) -> None:
        """Of every house."""
        for one in self._houses:
            await one.kill()

    def _look(self) -> None:
        self._loads_w.append(sum(one.load_w() for one in self._houses))

    def _steepest_w_a_min(self) -> float:
        span = round(60.0 / LOOK_S)
        rises = (after - before for before, after in zip(self._loads_w, self._loads_w[span:], strict=False))
        return max(rises, default=0.0)


def fleet_outage(houses: int, outage: Outage, *, for_s: float, steady_s: float = 300.0) -> Figures:
    """Plays an outage of the whole fleet, from the last quiet minutes until all of its load is back."""

    async def main(clock: VirtualClock) -> Figures:
        fleet = Fleet(houses, clock)
        await fleet.begin()
        steady_10s = await fleet.steady_10s(steady_s)
        await fleet.lose(outage, for_s)
        try:
            return await fleet.back(steady_10s)
        finally:
            await fleet.end()

    return run_virtual(main, T0)


__all__ = ["CountedVtn", "Figures", "FleetHouse", "Outage", "busiest", "fleet_outage"]
