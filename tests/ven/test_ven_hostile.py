"""The VEN session over real HTTP against a VTN that misbehaves."""

import asyncio
import gzip
import json
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from random import Random
from typing import Any, ClassVar

import pytest
from aiohttp import web

from cem.io.http_client import AiohttpClient
from cem.io.virtual import VirtualClock, run_virtual
from cem.model.directive import LinkState
from cem.model.event import EventStatus
from cem.model.provider import Notify, Provider
from cem.model.resource import Resource, Role
from cem.ports import HttpAnswer, StateKind
from cem.runtime.ven import UPKEEP_S
from cem.runtime.ven_client import VtnClient, retry_after_s
from cem.runtime.ven_events import EventFetcher
from cem.runtime.ven_notices import Ears
from cem.wire.http import HttpRequest, HttpResponse
from support.rogue_vtn import PROGRAM, Home, RogueVtn, dimming
from support.ven_world import T0, MemoryStore, utility

Scene = Callable[[Home, RogueVtn], Awaitable[None]]


def play(scene: Scene, vtn: RogueVtn | None = None, store: MemoryStore | None = None, **fields: Any) -> None:
    """Plays a scene in virtual time."""

    async def main(clock: VirtualClock) -> None:
        stage = vtn or RogueVtn([PROGRAM], [dimming(4.0)])
        await stage.start()
        resources = fields.pop("resources", ())
        provider: Provider = utility(url=stage.url, poll_s=10.0, stale_s=30.0, reconnect_jitter_s=0.0, **fields)
        home = Home(provider, clock, store, resources)
        try:
            await home.start()
            await scene(home, stage)
        finally:
            await home.stop()
            await stage.stop()

    run_virtual(main, T0)


def answer(status: int, body: object = None, **headers: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A fixed answer."""

    async def reply(_: web.Request) -> web.StreamResponse:
        if isinstance(body, bytes):
            return web.Response(status=status, body=body, headers=headers)
        return web.json_response(body, status=status, headers=headers)

    return reply


async def online(home: Home, limit_w: float = 4000.0) -> None:
    """The link is up and the event in force."""
    await home.until(LinkState.ONLINE)
    await home.until_true(lambda: home.limits_w == [limit_w])


def test_it_registers_obtains_the_event_and_acts_on_it_within_a_poll() -> None:
    async def scene(home: Home, vtn: RogueVtn) -> None:
        await online(home)
        assert [ven["venName"] for ven in vtn.vens] == ["house-1"]
        assert [r["resourceName"] for r in vtn.resources] == ["battery"]
        woken = home.woken
        vtn.events[0] = dimming(2.0)
        await home.until_true(lambda: home.limits_w == [2000.0], 11)
        assert home.woken > woken

    play(scene, resources=(Resource("battery", Role.BATTERY, "d1", "Battery"),))


def test_an_accepted_event_is_on_disk_before_it_counts() -> None:
    async def scene(home: Home, vtn: RogueVtn) -> None:
        await online(home)
        assert "utility/e1" in home.store.rows[StateKind.EVENT]
        vtn.events.clear()
        await home.until_true(lambda: home.limits_w == [], 11)
        assert home.store.rows[StateKind.EVENT] == {}

    play(scene)


def test_a_disk_that_fails_does_not_stop_the_limit() -> None:
    store = MemoryStore()
    store.fails = True

    async def scene(home: Home, vtn: RogueVtn) -> None:
        await online(home)
        assert home.store.commits == []
        assert vtn.count("GET", "/events") > 0

    play(scene, store=store)


def test_credentials_go_in_the_body_and_then_as_basic() -> None:
    async def scene(home: Home, vtn: RogueVtn) -> None:
        await online(home)
        assert vtn.count("POST", "/auth/token") == 2

    play(scene, RogueVtn([PROGRAM], [dimming(4.0)], basic_only=True))


def test_refused_credentials_say_what_to_check_and_the_default_holds() -> None:
    async def scene(home: Home, vtn: RogueVtn) -> None:
        await home.until_true(lambda: "refused the credentials" in home.link.detail)
        assert "client_id" in home.link.advice
        assert home.link.state is LinkState.FALLBACK
        assert home.limits_w == [4200.0]
        assert vtn.count("GET", "/events") == 0

    play(scene, client_secret="wrong")


def test_a_revoked_token_is_renewed_once_and_nobody_notices() -> None:
    async def scene(home: Home, vtn: RogueVtn) -> None:
        await online(home)
        tokens = vtn.tokens
        vtn.valid.clear()
        await asyncio.sleep(25)
        assert vtn.tokens == tokens + 1
        assert home.link.state is LinkState.ONLINE

    play(scene)


def test_a_vtn_that_takes_no_token_gets_one_new_token_per_request_and_no_storm() -> None:
    async def scene(home: Home, vtn: RogueVtn) -> None:
        await online(home)
        vtn.twists["GET", "/events"] = answer(401, {"status": 401})
        before = vtn.count("GET", "/events")
        await home.until_true(lambda: "HTTP 401" in home.link.detail)
        assert vtn.count("GET", "/events") == before + 2

    play(scene)


def test_a_token_is_renewed_before_it_runs_out() -> None:
    async def scene(home: Home, vtn: RogueVtn) -> None:
        await online(home)
        await asyncio.sleep(200)
        assert vtn.tokens >= 4

    play(scene, RogueVtn([PROGRAM], [dimming(4.0)], expires_in=60))


@pytest.mark.parametrize(
    ("twist", "words"),
    [
        (answer(500, {"title": "boom", "detail": "out of memory"}), "out of memory"),
        (answer(200, b"<html>Welcome to the hotel network</html>"), "not OpenADR 3.1"),
        (answer(200, {"an": "object"}), "must be an array"),
        (answer(200, b"[" * 100_000), "nested"),
        (answer(200, b"[]" + b" " * (2 * 1024 * 1024)), "more than 1048576 bytes"),
        (
            answer(200, gzip.compress(b"[" + b" " * 50_000_000 + b"]"), **{"Content-Encoding": "gzip"}),
            "more than 1048576",
        ),
        (answer(302, b"", Location="http://127.0.0.1:9/elsewhere"), "HTTP 302"),
        (answer(404, {"status": 404}), "HTTP 404"),
    ],
    ids=["500", "html", "object", "deep", "huge", "bomb", "redirect", "404"],
)
def test_an_answer_that_is_not_a_listing_changes_nothing_and_ages_the_link(
    twist: Callable[[web.Request], Awaitable[web.StreamResponse]], words: str
) -> None:
    async def scene(home: Home, vtn: RogueVtn) -> None:
        await online(home)
        vtn.twists["GET", "/events"] = twist
        await home.until(LinkState.STALE)
        assert words in home.link.detail
        assert home.link.advice
        assert home.limits_w == [4000.0]
        await home.until(LinkState.HOLD)
        assert home.limits_w == [4000.0]
        vtn.twists.clear()
        await online(home)

    play(scene)


def test_page_two_missing_is_no_cancellation() -> None:
    events = [dimming(10.0 + n, f"e{n:03}") for n in range(59)] + [dimming(4.0, "e999")]

    async def scene(home: Home, vtn: RogueVtn) -> None:
        await online(home)

        async def only_page_one(request: web.Request) -> web.StreamResponse:
            if request.query["skip"] != "0":
                return web.json_response({"status": 500}, status=500)
            return web.json_response(vtn.events[:50])

        vtn.twists["GET", "/events"] = only_page_one
        await asyncio.sleep(25)
        assert min(w for w in home.limits_w if w is not None) == 4000.0

    play(scene, RogueVtn([PROGRAM], events))


def test_an_event_that_slips_between_two_pages_is_not_cancelled() -> None:
    events = [dimming(10.0 + n, f"e{n:03}") for n in range(59)] + [dimming(4.0, "e999")]

    async def scene(home: Home, vtn: RogueVtn) -> None:
        await online(home)
        passes = [0]
        in_force: list[list[float | None]] = []

        async def shifting(request: web.Request) -> web.StreamResponse:
            skip = int(request.query["skip"])
            passes[0] += skip == 0
            in_force.append(home.limits_w)
            listed = [e for e in vtn.events if passes[0] != 1 or e["id"] != "e999"]
            return web.json_response(listed[skip : skip + 50])

        vtn.twists["GET", "/events"] = shifting
        await home.until_true(lambda: passes[0] >= 2)
        await asyncio.sleep(1)
        assert [home.limits_w, *in_force] == [[4000.0]] * (len(in_force) + 1)

    play(scene, RogueVtn([PROGRAM], events))


@pytest.mark.parametrize(("page", "skip"), [(50, "0"), (1, "1"), (1, "2")], ids=["all", "second page", "third page"])
def test_a_page_that_comes_empty_once_cancels_nothing_and_what_is_gone_for_good_is_gone(page: int, skip: str) -> None:
    events = [dimming(10.0, "e0"), dimming(9.0, "e1"), dimming(4.0, "e2")]

    async def scene(home: Home, vtn: RogueVtn) -> None:
        await online(home)
        emptied = [0]
        in_force: list[list[float | None]] = []

        async def empty_once(request: web.Request) -> web.StreamResponse:
            in_force.append(home.limits_w)
            first, size = int(request.query["skip"]), vtn.page
            if request.query["skip"] == skip and not emptied[0]:
                emptied[0] = 1
                return web.json_response([])
            return web.json_response(vtn.events[first : first + size])

        vtn.twists["GET", "/events"] = empty_once
        await home.until_true(lambda: emptied == [1] and len(in_force) > 8)
        assert [home.limits_w, *in_force] == [[4000.0]] * (len(in_force) + 1)
        vtn.events.pop()
        await home.until_true(lambda: home.limits_w == [9000.0])

    play(scene, RogueVtn([PROGRAM], events, page=page))


def test_small_pages_duplicate_ids_and_a_page_that_never_changes_are_survived() -> None:
    events = [dimming(4.0), dimming(4.0), *(dimming(10.0, f"e{n}") for n in range(2, 9))]

    async def scene(home: Home, vtn: RogueVtn) -> None:
        await online(home)
        assert len(home.point.events("utility", home.clock.now())) == 8
        vtn.twists["GET", "/events"] = answer(200, [dimming(3.0)])
        await home.until_true(lambda: home.limits_w == [3000.0])

    play(scene, RogueVtn([PROGRAM], events, page=3))


def test_nine_hundred_events_in_pages_of_twenty_are_a_listing() -> None:
    events = [dimming(10.0 + n, f"e{n:03}") for n in range(899)] + [dimming(4.0, "e999")]

    async def scene(home: Home, _: RogueVtn) -> None:
        await online(home)
        assert len(home.point.events("utility", home.clock.now())) == 900

    play(scene, RogueVtn([PROGRAM], events, page=20))


def test_a_listing_of_too_many_bytes_is_cut_off() -> None:
    async def scene(home: Home, vtn: RogueVtn) -> None:
        number = [0]

        async def fat(_: web.Request) -> web.StreamResponse:
            number[0] += 1
            return web.json_response([dimming(4.0, f"e{number[0]}", eventName="x" * 900_000)])

        vtn.twists["GET", "/events"] = fat
        await home.until_true(lambda: "more than 8 MiB" in home.link.detail)
        assert home.link.advice

    play(scene)


def refused(home: Home) -> list[str]:
    """What is said of the events that are not acted on."""
    events = home.point.directive(home.clock.now()).events
    return [event.asks for event in events if event.status is EventStatus.REFUSED]


def descriptor(units: str) -> list[dict[str, str]]:
    """The units of import limits."""
    return [{"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "IMPORT_CAPACITY_LIMIT", "units": units}]


def test_a_changed_event_is_read_in_the_units_that_its_programme_has_by_then() -> None:
    async def scene(home: Home, vtn: RogueVtn) -> None:
        await online(home)
        vtn.programs[0] = {**PROGRAM, "payloadDescriptors": descriptor("W")}
        vtn.events[0] = dimming(5000.0)
        seen: list[float | None] = []

        def corrected() -> bool:
            seen.extend(home.limits_w)
            return home.limits_w == [5000.0]

        await home.until_true(corrected, 11)
        assert set(seen) == {4000.0, 5000.0}

    play(scene, RogueVtn([{**PROGRAM, "payloadDescriptors": descriptor("KW")}], [dimming(4.0)]))


def test_a_unit_that_is_corrected_later_corrects_what_is_in_force() -> None:
    async def scene(home: Home, vtn: RogueVtn) -> None:
        await online(home, 5_000_000.0)
        vtn.programs[0] = {**PROGRAM, "payloadDescriptors": descriptor("W")}
        await home.until_true(lambda: home.limits_w == [5000.0], 120)
        assert home.link.state is LinkState.ONLINE

    play(scene, RogueVtn([{**PROGRAM, "payloadDescriptors": descriptor("KW")}], [dimming(5000.0)]))


@pytest.mark.parametrize(("own_units", "expected_w"), [(True, 2000.0), (False, 4000.0)])
def test_an_event_that_came_whole_before_the_line_broke_counts_if_it_says_its_units(
    own_units: bool, expected_w: float
) -> None:
    async def scene(home: Home, vtn: RogueVtn) -> None:
        await online(home)
        vtn.twists["GET", "/programs"] = answer(503, {"status": 503})
        asked = vtn.count("GET", "/programs")
        vtn.events[0] = dimming(2.0) | ({"payloadDescriptors": descriptor("KW")} if own_units else {})
        await home.until_true(lambda: vtn.count("GET", "/programs") > asked, 11)
        await home.until_true(lambda: "HTTP 503" in home.link.detail)
        assert home.limits_w == [expected_w]
        del vtn.twists["GET", "/programs"]
        await home.until_true(lambda: home.limits_w == [2000.0] and "HTTP" not in home.link.detail, 60)

    play(scene, RogueVtn([{**PROGRAM, "payloadDescriptors": descriptor("KW")}], [dimming(4.0)]))


class WitnessRandom(Random):
    """Notes in which threads it was drawn from."""

    threads: ClassVar[set[int]] = set()

    def uniform(self, a: float, b: float) -> float:
        """A draw."""
        self.threads.add(threading.get_ident())
        return super().uniform(a, b)


def test_events_are_bound_beside_the_event_loop() -> None:
    period = {"start": "2026-01-15T11:00:00Z", "duration": "PT9H", "randomizeStart": "PT10M"}

    async def main(clock: VirtualClock) -> None:
        vtn = RogueVtn([PROGRAM], [dimming(4.0, intervalPeriod=period)])
        await vtn.start()
        provider, http = utility(url=vtn.url), AiohttpClient()
        fetcher = EventFetcher(provider, VtnClient(provider, http, clock), MemoryStore(), clock, WitnessRandom(7))
        listing = await fetcher.listing({}, ())
        assert [event.id for event in listing.events] == ["e1"]
        assert WitnessRandom.threads
        assert threading.get_ident() not in WitnessRandom.threads
        await http.close()
        await vtn.stop()

    run_virtual(main, T0)


def test_targets_in_the_form_of_3_0_bring_the_default_limit_and_plain_words() -> None:
    async def scene(home: Home, vtn: RogueVtn) -> None:
        await online(home)
        vtn.events[0] = dimming(3.0, targets=[{"type": "GROUP", "values": ["all"]}])
        await home.until_true(lambda: bool(refused(home)), 11)
        assert home.limits_w == [4000.0]  # the earlier version still holds, stricter than the default
        assert refused(home) == ["not acted on: its targets[0] must be text, not an object"]

    play(scene)


def test_a_vtn_without_end_is_cut_off() -> None:
    async def scene(home: Home, vtn: RogueVtn) -> None:
        number = [0]

        async def endless(_: web.Request) -> web.StreamResponse:
            number[0] += 50
            return web.json_response([dimming(4.0, f"e{number[0] + n}") for n in range(50)])

        vtn.twists["GET", "/events"] = endless
        await home.until_true(lambda: "more than 1000" in home.link.detail)
        assert home.limits_w == [4200.0]

    play(scene)


def test_a_slow_vtn_is_cut_at_the_time_out() -> None:
    async def scene(home: Home, vtn: RogueVtn) -> None:
        await online(home)

        async def slow(request: web.Request) -> web.StreamResponse:
            reply = web.StreamResponse()
            await reply.prepare(request)
            while True:
                await reply.write(b" ")
                await asyncio.sleep(1)

        vtn.twists["GET", "/events"] = slow
        await home.until_true(lambda: "no complete answer within 5 s" in home.link.detail, 60)
        assert home.limits_w == [4000.0]

    play(scene, request_timeout_s=5.0)


def test_a_403_keeps_us_away_for_fifteen_minutes_and_retry_after_is_honoured() -> None:
    async def scene(home: Home, vtn: RogueVtn) -> None:
        await online(home)
        vtn.twists["GET", "/events"] = answer(403, {"status": 403})
        await home.until_true(lambda: "HTTP 403" in home.link.detail)
        seen = vtn.count("GET", "/events")
        await asyncio.sleep(890)
        assert vtn.count("GET", "/events") == seen
        vtn.twists["GET", "/programs"] = answer(503, {}, **{"Retry-After": "120"})
        await home.until_true(lambda: "HTTP 503" in home.link.detail)
        asked = vtn.count("GET", "/programs")
        await asyncio.sleep(115)
        assert vtn.count("GET", "/programs") == asked

    play(scene)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "5"}, 5.0),
        ({"retry-after": "999999999999"}, 3600.0),
        ({"retry-after": "Thu, 15 Jan 2026 12:02:30 GMT"}, 30.0),
        ({"retry-after": "Thu, 15 Jan 2026 12:02:30 GMT", "date": "Thu, 15 Jan 2026 12:02:10 GMT"}, 20.0),
        ({"retry-after": "Thu, 15 Jan 2026 12:02:30 GMT", "date": "Thu, 15 Jan 2026 12:03:10 GMT"}, 0.0),
        ({"retry-after": "Thu, 15 Jan 2026 12:02:30 GMT", "date": "now"}, 30.0),
        ({"retry-after": "soon"}, 0.0),
        ({"retry-after": "Thu, 15 Jan 2026 12:02:30"}, 30.0),
        ({}, 0.0),
    ],
)
def test_retry_after_counts_by_the_servers_own_clock(headers: dict[str, str], wait_s: float) -> None:
    now = datetime(2026, 1, 15, 12, 2, 0, tzinfo=UTC)
    assert retry_after_s(HttpAnswer(503, headers, b""), now) == wait_s


def test_a_vtn_that_forbids_registration_is_used_without_one() -> None:
    vtn = RogueVtn([PROGRAM], [dimming(4.0)])
    vtn.twists["GET", "/vens"] = answer(403, {"status": 403})

    async def scene(home: Home, vtn: RogueVtn) -> None:
        await online(home)
        assert vtn.count("POST", "/vens") == 0

    play(scene, vtn)


class Hook:
    """A callback that nobody calls."""

    async def start(self, answer: Callable[[HttpRequest], Awaitable[HttpResponse]]) -> None:
        """It needs no socket."""

    async def stop(self) -> None:
        """There is nothing to close."""


def test_a_ven_its_targets_and_its_subscription_are_looked_after_while_the_link_is_good() -> None:
    """The provider loses our ven and our subscription, and grants a target: all without a lost link."""
    subscriptions: list[dict[str, Any]] = []

    async def subscribe(request: web.Request) -> web.StreamResponse:
        made = {**await request.json(), "id": f"s{len(subscriptions)}"}
        subscriptions.append(made)
        return web.json_response(made, status=201)

    async def listed(request: web.Request) -> web.StreamResponse:
        return web.json_response(subscriptions if request.query["skip"] == "0" else [])

    async def by_target(request: web.Request) -> web.StreamResponse:
        granted = request.query.get("targets") == "street-5"
        return web.json_response([dimming(2.0, "e9", targets=["street-5"])] if granted else [])

    async def main(clock: VirtualClock) -> None:
        vtn = RogueVtn([PROGRAM], [])
        twists = {("GET", "/notifiers"): answer(200, {"WEBHOOK": True}), ("GET", "/events"): by_target}
        vtn.twists |= {**twists, ("POST", "/subscriptions"): subscribe, ("GET", "/subscriptions"): listed}
        await vtn.start()
        fields = {"notify": Notify.WEBHOOK, "callback_url": "https://gateway.example/hook"}
        provider = utility(url=vtn.url, poll_s=10.0, stale_s=30.0, reconnect_jitter_s=0.0, **fields)
        home = Home(provider, clock, ears=Ears(None, Hook()))
        try:
            await home.start()
            await home.until(LinkState.ONLINE, 60)
            await asyncio.sleep(2 * UPKEEP_S)
            assert (vtn.count("POST", "/vens"), vtn.count("POST", "/subscriptions")) == (1, 1)
            vtn.vens.clear()
            subscriptions.clear()
            await asyncio.sleep(UPKEEP_S + 10)
            assert (vtn.count("POST", "/vens"), len(subscriptions)) == (2, 1)
            vtn.vens[0]["targets"] = ["street-5"]
            await home.until_true(lambda: home.limits_w == [2000.0], UPKEEP_S + 10)
            vtn.programs.append({**PROGRAM, "id": "p2", "programName": "another"})
            asked = vtn.count("GET", "/notifiers")
            await home.until_true(lambda: vtn.count("GET", "/notifiers") > asked, 150)
            assert home.link.state is LinkState.ONLINE
        finally:
            await home.stop()
            await vtn.stop()

    run_virtual(main, T0)


def test_a_name_that_is_taken_is_said_in_words() -> None:
    vtn = RogueVtn([PROGRAM], [dimming(4.0)])
    vtn.twists["POST", "/vens"] = answer(409, {"status": 409, "detail": "venName exists"})

    async def scene(home: Home, _: RogueVtn) -> None:
        await home.until_true(lambda: "belongs to another client" in home.link.advice)

    play(scene, vtn)


def test_a_hostile_event_is_left_out_and_its_neighbour_is_acted_on() -> None:
    async def scene(home: Home, vtn: RogueVtn) -> None:
        await online(home)
        vtn.events.append(dimming(-5.0, "bad"))
        vtn.events.append({"id": "worse", "programID": 7})
        vtn.events[0] = dimming(3.0)
        await home.until_true(lambda: 3000.0 in home.limits_w)
        assert home.link.state is LinkState.ONLINE

    play(scene)


def test_a_token_address_elsewhere_without_tls_gets_no_secret() -> None:
    vtn = RogueVtn([PROGRAM], [dimming(4.0)])
    vtn.twists["GET", "/auth/server"] = answer(200, {"tokenURL": "http://192.0.2.1/token"})

    async def scene(home: Home, _: RogueVtn) -> None:
        await home.until_true(lambda: "neither https nor itself" in home.link.detail)

    play(scene, vtn)


def test_a_body_of_json_numbers_out_of_range_is_refused() -> None:
    async def scene(home: Home, vtn: RogueVtn) -> None:
        await online(home)
        body = json.dumps([dimming(4.0)]).replace("4.0", "1e999").encode()
        vtn.twists["GET", "/events"] = answer(200, body, **{"Content-Type": "application/json"})
        await home.until_true(lambda: "too big" in home.link.detail)
        assert home.limits_w == [4000.0]

    play(scene)
