"""The VEN session over a bad line: the link's states by the table, events that keep running, no flood of requests."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest
from aiohttp import web

from cem.io.virtual import VirtualClock, run_virtual
from cem.model.directive import LinkState
from support.bad_line import NAME, BadLine, ChangingResolver
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
    """A house, a name, a bad line and a VTN."""

    def __init__(self, clock: VirtualClock) -> None:
        self.vtn = RogueVtn([PROGRAM], [dimming(4.0)])
        self.vtn.twists["GET", "/auth/server"] = always(404, b"{}")
        self.resolver = ChangingResolver("127.0.0.1")
        self.clock = clock
        self.line: BadLine
        self.home: Home

    async def start(self) -> None:
        """Until the event is in force."""
        await self.vtn.start()
        self.line = BadLine(self.vtn.port)
        await self.line.start()
        provider = utility(
            url=f"http://{NAME}:{self.line.port}{BASE}",
            poll_s=10.0,
            stale_s=30.0,
            reconnect_jitter_s=0.0,
            request_timeout_s=5.0,
            report_interval_s=60.0,
        )
        self.home = Home(provider, self.clock, resolver=self.resolver)
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
