"""The VEN session over a bad line: the link's states by the table, events that keep running, no flood of requests."""

import asyncio
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import pytest
from aiohttp import web

from cem.io.tls import client_context
from cem.io.virtual import VirtualClock, run_virtual
from cem.model.directive import LinkState
from cem.ports import BrokerLogin
from cem.runtime.ven_notices import Ears
from support.bad_line import NAME, BadLine, ChangingResolver
from support.certificates import Authority
from support.half_open import APART, may_be_apart
from support.rogue_vtn import BASE, PROGRAM, Home, RogueVtn, dimming
from support.ven_world import T0, utility

TESTS = Path(__file__).parents[1]
OUTAGE_S = 900.0
"""Of which 840 s are spent with pauses of up to 300 s by chance."""
MOST_TRIES = 40
"""While the line is bad for that long; a good one carries 180 polls."""

Spoil = Callable[["Stage"], Awaitable[None]]


class Stage:
    """A house, a name, a bad line and a VTN; with `tls` what the line's end shows and whom the house believes."""

    def __init__(self, clock: VirtualClock, tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None) -> None:
        self.tls = tls
        self.vtn = RogueVtn([PROGRAM], [dimming(4.0)])
        self.vtn.twists["GET", "/auth/server"] = always(404, b"{}")
        self.resolver = ChangingResolver("127.0.0.1")
        self.clock = clock
        self.line: BadLine
        self.home: Home

    async def start(self) -> None:
        """Until the event is in force."""
        await self.vtn.start()
        theirs, ours = self.tls or (None, None)
        self.line = BadLine(self.vtn.port, tls=theirs)
        await self.line.start()
        provider = utility(
            url=f"{'https' if theirs else 'http'}://{NAME}:{self.line.port}{BASE}",
            poll_s=10.0,
            stale_s=30.0,
            reconnect_jitter_s=0.0,
            request_timeout_s=5.0,
            report_interval_s=60.0,
        )
        self.home = Home(provider, self.clock, resolver=self.resolver, tls=ours)
        await self.home.start()
        await self.home.until(LinkState.ONLINE)
        await self.home.until_true(lambda: self.home.limits_w == [4000.0])

    async def stop(self) -> None:
        """Everything."""
        await self.home.stop()
        await self.line.stop()
        await self.vtn.stop()

    @property
    def tries(self) -> int:
        """What anybody on the way could count of us."""
        return max(self.line.connections, self.resolver.asked, len(self.vtn.seen))


def always(
    status: int, body: bytes, headers: Mapping[str, str] | None = None
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The same answer whatever is asked."""

    async def reply(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=headers)

    return reply


def everywhere(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Spoil:
    """Somebody on the way answers everything."""

    async def spoil(stage: Stage) -> None:
        paths = ("/auth/server", "/auth/token", "/programs", "/events", "/vens", "/reports")
        for path in paths:
            for method in ("GET", "POST"):
                stage.vtn.twists[method, path] = always(status, body, headers)

    return spoil


async def mend(stage: Stage) -> None:
    """All is as it should be."""
    stage.vtn.twists = {("GET", "/auth/server"): always(404, b"{}")}
    stage.line.dark, stage.line.cut_after, stage.line.lost = False, None, 0.0
    stage.resolver.address = "127.0.0.1"


async def half_open(stage: Stage) -> None:
    """No end of any connection learns that the other is gone."""
    stage.line.dark = True


async def broken_off(stage: Stage) -> None:
    """Each answer ends in its middle."""
    stage.line.cut_after = 40


async def resets(stage: Stage) -> None:
    """Each connection is reset."""
    await stage.line.cut()


async def no_name(stage: Stage) -> None:
    """The name server knows nothing any longer."""
    stage.resolver.address = None
    await stage.line.drop()


JSON = {"Content-Type": "application/json"}
PORTAL = b"<html><title>Welcome to the hotel network</title></html>"
BAD: list[tuple[str, Spoil, str]] = [
    ("half open", half_open, "no complete answer within 5 s"),
    ("answers broken off", broken_off, "broke off|closed the connection|not an answer in HTTP"),
    ("connections reset", resets, "the connection broke|closed the connection"),
    ("no name", no_name, "no connection"),
    ("portal with a page", everywhere(200, PORTAL), "not OpenADR 3.1"),
    ("portal that redirects", everywhere(302, headers={"Location": "http://192.0.2.1/login"}), "HTTP 302"),
    ("too many requests", everywhere(429), "HTTP 429"),
    ("out of order", everywhere(503), "HTTP 503"),
]


IN_ANY_RUN = ("half open", "no name")
"""The others with `--slow`."""


@pytest.mark.parametrize(
    ("name", "spoil", "words"),
    [pytest.param(*row, id=row[0], marks=() if row[0] in IN_ANY_RUN else pytest.mark.slow) for row in BAD],
)
def test_a_bad_line_ages_the_link_and_nothing_else(name: str, spoil: Spoil, words: str) -> None:
    async def main(clock: VirtualClock) -> None:
        stage = Stage(clock)
        await stage.start()
        home = stage.home
        try:
            await spoil(stage)
            before, begun_s = stage.tries, clock.now().mono_s
            await home.until(LinkState.STALE, 45)
            await home.until(LinkState.HOLD, 45)
            assert 45.0 <= clock.now().mono_s - begun_s <= 61.0, name
            assert any(word in home.link.detail for word in words.split("|")), home.link.detail
            assert home.link.advice
            while clock.now().mono_s - begun_s < OUTAGE_S:
                assert home.limits_w == [4000.0]  # the event runs on, exactly
                assert home.link.state in (LinkState.HOLD, LinkState.RESYNC)
                await asyncio.sleep(5.0)
            assert stage.tries - before <= MOST_TRIES
            await mend(stage)
            await home.until(LinkState.ONLINE, 400)
            assert home.limits_w == [4000.0]
            await home.until_true(lambda: home.link.reports_queued == 0, 120)
            starts = [start for start, _ in stage.vtn.intervals()]
            assert len(starts) == len(set(starts)) >= OUTAGE_S / 60
        finally:
            await stage.stop()

    run_virtual(main, T0)


def shown(authority: Authority, name: str, days: tuple[float, float] = (-1, 10)) -> ssl.SSLContext:
    """A server that shows a certificate for the VTN's name."""
    own = authority.issue(name, hosts=(NAME,), days=days)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(own.certificate, own.key)
    return context


@pytest.mark.parametrize(
    ("whose", "days"), [("a stranger", (-1.0, 10.0)), ("grid", (-10.0, -1.0))], ids=["foreign", "run out"]
)
def test_who_looks_into_the_connection_is_told_nothing_and_named(
    whose: str, days: tuple[float, float], tmp_path: Path
) -> None:
    grid = Authority(tmp_path, "grid")
    other = grid if whose == "grid" else Authority(tmp_path, whose)
    between = shown(other, "between", days)

    async def main(clock: VirtualClock) -> None:
        stage = Stage(clock, (shown(grid, "vtn"), client_context(None, None, grid.certificate)))
        await stage.start()
        home, before = stage.home, stage.line.heard
        assert before > 0
        interceptor = BadLine(stage.vtn.port, tls=between)
        interceptor.port = stage.line.port
        try:
            await stage.line.stop()
            await interceptor.start()
            await home.until(LinkState.HOLD, 90)
            assert "the server's certificate was not accepted" in home.link.detail
            assert "in the provider's place" in home.link.advice
            assert home.limits_w == [4000.0]
            asked = len(stage.vtn.seen)
            await asyncio.sleep(300.0)
            assert interceptor.heard == 0
            assert len(stage.vtn.seen) == asked
            await interceptor.stop()
            await stage.line.start()
            await home.until(LinkState.ONLINE, 400)
            assert stage.line.heard > before
        finally:
            await interceptor.stop()
            await stage.stop()

    run_virtual(main, T0)


ODD = [
    *[(status, "does not accept") for status in (205, 206, 400, 408, 413, 451, 463, 499)],
    *[(status, "goes on trying") for status in (429, 500, 502, 520, 599)],
    *[(status, "login page") for status in (301, 307)],
    *[(status, "wants a login") for status in (407, 511)],
    (404, "base address"),
]


def test_a_status_that_is_none_of_the_protocol_s_ages_the_link_and_moves_nothing() -> None:
    async def main(clock: VirtualClock) -> None:
        stage = Stage(clock)
        await stage.start()
        home = stage.home
        try:
            for status, words in ODD:
                for method in ("GET", "POST", "PUT"):
                    for path in ("/programs", "/events", "/vens", "/reports"):
                        stage.vtn.twists[method, path] = always(status, b"")
                await home.until(LinkState.STALE, 45)
                assert f"HTTP {status}" in home.link.detail
                assert words in home.link.advice, status
                assert home.limits_w == [4000.0]
                await mend(stage)
                await home.until(LinkState.ONLINE, 400)
                assert home.limits_w == [4000.0]
        finally:
            await stage.stop()

    run_virtual(main, T0)


BROKER = {"URIS": ["mqtt://broker.invalid"], "serialization": "JSON", "authentication": {"method": "ANONYMOUS"}}
NOTIFIERS = json.dumps({"WEBHOOK": False, "MQTT": BROKER}).encode()


class Heard:
    """A broker's line whose notices the test gives; as late, as often and as early as it likes."""

    def __init__(self) -> None:
        self.notice: Callable[[], None] = lambda: None

    async def start(
        self,
        topics: Sequence[str],
        login: Callable[[], Awaitable[BrokerLogin]],
        on_notice: Callable[[], None],
        on_connection: Callable[[str], None],
    ) -> None:
        """Connected at once."""
        del topics, login
        self.notice = on_notice
        on_connection("")

    async def stop(self) -> None:
        """Nothing more is heard."""


@pytest.mark.parametrize("spoilt", ["/notifiers", "/notifiers/mqtt/topics/programs"])
def test_an_offer_of_notices_that_is_not_understood_leaves_a_good_link_that_polls(spoilt: str) -> None:
    async def main(clock: VirtualClock) -> None:
        vtn = RogueVtn([PROGRAM], [dimming(4.0)])
        await vtn.start()
        vtn.twists["GET", "/notifiers"] = always(200, NOTIFIERS, JSON)
        vtn.twists["GET", spoilt] = always(200, b'{"topics": {"CREATE": "made"}}', JSON)
        ears = Ears(topics=Heard())
        home = Home(utility(url=vtn.url, poll_s=10.0, reconnect_jitter_s=0.0), clock, ears=ears)
        await home.start()
        try:
            await home.until(LinkState.ONLINE, 60)
            assert home.limits_w == [4000.0]
        finally:
            await home.stop()
            await vtn.stop()

    run_virtual(main, T0)


def test_notices_that_are_doubled_early_late_or_overtaken_change_when_is_asked_and_never_what_holds() -> None:
    async def main(clock: VirtualClock) -> None:
        vtn, heard = RogueVtn([PROGRAM], [dimming(4.0)]), Heard()
        await vtn.start()
        vtn.twists["GET", "/notifiers"] = always(200, NOTIFIERS, JSON)
        names = {"CREATE": "made", "UPDATE": "changed", "DELETE": "gone", "ALL": "all"}
        topics = json.dumps({"topics": names}).encode()
        for path in ("/notifiers/mqtt/topics/programs", "/notifiers/mqtt/topics/programs/p-dimming/events"):
            vtn.twists["GET", path] = always(200, topics, JSON)
        home = Home(utility(url=vtn.url, poll_s=3600.0, reconnect_jitter_s=0.0), clock, ears=Ears(topics=heard))
        await home.start()
        try:
            await home.until_true(lambda: home.limits_w == [4000.0])
            heard.notice()  # before the change can be seen: asked in vain
            await asyncio.sleep(5.0)
            vtn.events[:] = [dimming(3.0, modificationDateTime="2026-01-15T12:10:00Z")]
            await asyncio.sleep(5.0)
            assert home.limits_w == [4000.0]
            heard.notice()  # late
            await home.until_true(lambda: home.limits_w == [3000.0], 1.0)
            before = vtn.count("GET", "/events")
            for _ in range(1000):
                heard.notice()  # doubled
            await asyncio.sleep(5.0)
            assert vtn.count("GET", "/events") - before <= 3
            old = list(vtn.events)

            async def slow(_: web.Request) -> web.StreamResponse:
                del vtn.twists["GET", "/events"]
                await asyncio.sleep(8.0)
                return web.json_response(old)

            vtn.twists["GET", "/events"] = slow
            heard.notice()
            await asyncio.sleep(1.0)  # an answer of before is under way when the change is told
            vtn.events[:] = [dimming(2.0, modificationDateTime="2026-01-15T12:20:00Z")]
            heard.notice()
            await home.until_true(lambda: home.limits_w == [2000.0], 9.0)
            vtn.events[:] = [dimming(4.0)]  # an answer of long ago, from a cache on the way
            heard.notice()
            await asyncio.sleep(20.0)
            assert home.limits_w == [2000.0]
        finally:
            await home.stop()
            await vtn.stop()

    run_virtual(main, T0)


@pytest.mark.slow
def test_a_slow_line_that_loses_one_connection_in_three_is_a_line() -> None:
    async def main(clock: VirtualClock) -> None:
        stage = Stage(clock)
        await stage.start()
        try:
            stage.line.delay_s, stage.line.lost = 0.4, 0.33
            for _ in range(30):
                await stage.line.drop()
                await asyncio.sleep(20.0)
                assert stage.home.limits_w == [4000.0]
                assert stage.home.link.state in (LinkState.ONLINE, LinkState.STALE)
        finally:
            await stage.stop()

    run_virtual(main, T0)


def test_a_vtn_that_moved_is_found_at_its_new_address_although_the_old_one_is_silent() -> None:
    async def main(clock: VirtualClock) -> None:
        stage = Stage(clock)
        await stage.start()
        moved = BadLine(stage.vtn.port)
        moved.port = stage.line.port
        try:
            await moved.start("127.0.0.2")
            stage.line.dark = True
            stage.resolver.address = "127.0.0.2"
            await stage.home.until_true(lambda: moved.connections > 0, 60)
            await stage.home.until(LinkState.ONLINE, 60)
            assert stage.home.limits_w == [4000.0]
            await asyncio.sleep(120.0)
            assert stage.home.link.state is LinkState.ONLINE
        finally:
            await stage.stop()
            await moved.stop()

    run_virtual(main, T0)


@pytest.mark.slow
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_waited_for_with_every_kind_of_refusal(status: int) -> None:
    async def main(clock: VirtualClock) -> None:
        stage = Stage(clock)
        await stage.start()
        try:
            await everywhere(status, headers={"Retry-After": "200"})(stage)
            await stage.home.until_true(lambda: f"HTTP {status}" in stage.home.link.detail, 30)
            before = len(stage.vtn.seen)
            await asyncio.sleep(1800.0)
            tries = len(stage.vtn.seen) - before
            assert 3 <= tries <= 3 * 1800 / 200  # events, reports and settlements keep to it, each by itself
        finally:
            await stage.stop()

    run_virtual(main, T0)


@pytest.mark.slow
@pytest.mark.skipif(not may_be_apart(), reason="this machine gives no network namespace")
def test_a_network_that_goes_down_in_real_time_is_a_link_that_is_lost_and_found() -> None:
    done = subprocess.run(
        [*APART, sys.executable, "-m", "support.lost_line"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=TESTS,
        env=os.environ | {"PYTHONPATH": str(TESTS)},
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert 1.0 < seen["stale_s"] < 4.0  # of the last answer, not of the loss: 2 s and 4 s
    assert 3.0 < seen["hold_s"] < 6.0
    assert seen["back_s"] < 10.0
    assert seen["limits_w"] == [4000.0]
