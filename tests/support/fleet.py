"""Many houses' real sessions, links, back-off and spreading at one counted VTN, on one virtual clock.

Of each house there are the VEN session with its connection point and store, and of its control what spreads its
return after a limit has ended. Each wants WANTS_W all the time, and takes what its limits leave.
"""

import asyncio
import itertools
import json
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from random import Random
from urllib.parse import parse_qsl, urlsplit

from cem.control import spreading
from cem.control.memory import Memory
from cem.control.prices import Prices
from cem.io.virtual import VirtualClock, run_virtual
from cem.model.directive import LinkState
from cem.model.envelope import SITE
from cem.model.errors import GridError
from cem.model.provider import Programme, Provider
from cem.model.reading import Snapshot
from cem.model.site import ControlPolicy
from cem.model.tick import Inputs
from cem.ports import HttpAnswer
from cem.runtime.ven import VenSession
from cem.sgcp.point import ConnectionPoint
from cem.sgcp.vtn.handler import BASE_PATH, Vtn, VtnConfig
from cem.sgcp.vtn.objects import Objects
from cem.sgcp.vtn.tokens import Client, Role
from cem.wire.http import HttpRequest
from support.houses import GRID, house
from support.ven_world import T0, MemoryStore

WANTS_W = 8000.0
DEFAULT_W = 4200.0
POLL_S = 60.0
LATENCY_S = 0.05
LOOK_S = 5.0
_OPERATOR = Client("operator", "secret of the operator", Role.BL)


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
        self._site = replace(house(GRID), identity=f"house {number}", policy=ControlPolicy(spread_s=600.0))
        self._memory = Memory()
        self._random = Random(number)
        self._store = MemoryStore()
        self._task: asyncio.Task[None] | None = None
        self.point = ConnectionPoint([self.provider])

    async def start(self, *, power_was_cut: bool = False) -> None:
        """As the service starts, on what the store kept."""
        self.point = ConnectionPoint([self.provider])
        session = VenSession(self.provider, self._vtn, self.point, self._store, self._clock, self._random, lambda: None)
        await session.restore()
        if power_was_cut:
            session.power_was_cut()
        self._task = asyncio.create_task(session.run())

    async def kill(self) -> None:
        """As a power cut does."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    @property
    def state(self) -> LinkState:
        """Of its link."""
        return self.point.service("utility", self._clock.now()).link.state

    def load_w(self) -> float:
        """What it takes now; looked at regularly."""
        now = self._clock.now()
        directive = self.point.directive(now)
        inputs = Inputs(now, Snapshot(now.mono_s, {}), directive)
        self._memory = spreading.remembered(
            self._site, inputs, self._memory, directive.envelopes, WANTS_W, Prices(None, None)
        )
        limits = [one.max_w for one in directive.envelopes if one.subject == SITE and one.max_w is not None]
        wait = spreading.waits(self._site, self._memory, now.mono_s).get(spreading.IMPORT)
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
    all_back_s: float  # until the whole load was back

    @property
    def peak_to_mean(self) -> float:
        """Of requests in ten seconds."""
        return self.peak_10s / self.mean_10s


def busiest(times_s: Sequence[float], span_s: float = 10.0) -> int:
    """The most of sorted times that any span holds."""
    return max((bisect_right(times_s, at + span_s) - n for n, at in enumerate(times_s)), default=0)


@dataclass(slots=True)
class _Course:
    """The load of the fleet, looked at every LOOK_S."""

    loads_w: list[float] = field(default_factory=list)

    def steepest_pct_a_min(self, whole_w: float) -> float:
        span = round(60.0 / LOOK_S)
        rises = (after - before for before, after in zip(self.loads_w, self.loads_w[span:], strict=False))
        return 100.0 * max(rises, default=0.0) / whole_w


def fleet_outage(houses: int, *, power: bool, for_s: float, steady_s: float = 300.0) -> Figures:
    """Plays an outage: of the link alone, or of the power of every house, each starting in the same instant then."""
    found: list[Figures] = []

    async def main(clock: VirtualClock) -> None:
        vtn = CountedVtn(houses, clock)
        fleet = [FleetHouse(number, vtn, clock) for number in range(houses)]
        spread = Random(1)
        offsets = sorted(spread.uniform(0.0, POLL_S) for _ in fleet)
        begun_s = clock.now().mono_s
        for one, offset in zip(fleet, offsets, strict=True):
            await asyncio.sleep(max(0.0, begun_s + offset - clock.now().mono_s))
            await one.start()
        await asyncio.sleep(2 * POLL_S)
        steady_from = len(vtn.arrived_s)
        await asyncio.sleep(steady_s)
        steady_10s = (len(vtn.arrived_s) - steady_from) * 10.0 / steady_s
        vtn.connected = False
        if power:
            for one in fleet:
                await one.kill()
        course = _Course()
        for _ in range(round(for_s / LOOK_S)):
            if not power:
                course.loads_w.append(sum(one.load_w() for one in fleet))
            await asyncio.sleep(LOOK_S)
        vtn.connected = True
        back_s = clock.now().mono_s
        if power:
            await asyncio.gather(*(one.start(power_was_cut=True) for one in fleet))
        online_s = all_back_s = None
        whole_w = WANTS_W * houses
        while all_back_s is None:
            course.loads_w.append(sum(one.load_w() for one in fleet))
            await asyncio.sleep(LOOK_S)
            since_s = clock.now().mono_s - back_s
            assert since_s < 7200.0
            if online_s is None and all(one.state is LinkState.ONLINE for one in fleet):
                online_s = since_s
            if online_s is not None and course.loads_w[-1] >= whole_w:
                all_back_s = since_s
        assert online_s is not None
        window = vtn.arrived_s[bisect_left(vtn.arrived_s, back_s) : bisect_right(vtn.arrived_s, back_s + online_s)]
        found.append(
            Figures(
                houses,
                online_s,
                busiest(window),
                len(window) * 10.0 / online_s,
                steady_10s,
                course.steepest_pct_a_min(whole_w),
                all_back_s,
            )
        )
        for one in fleet:
            await one.kill()

    run_virtual(main, T0)
    return found[0]


__all__ = ["CountedVtn", "Figures", "FleetHouse", "busiest", "fleet_outage"]
