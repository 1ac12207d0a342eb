"""The dashboard's screens against a served status, in every state and at both sizes."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.visual import VisualType
from textual.widgets import Static

from cem.dashboard.app import Dashboard
from cem.model.request import RequestKind
from cem.model.status import Status
from support.gateways import Gateway, gateway, rendered, until
from support.statuses import NOON, fallback, islanded, limited, normal, safe, starting

SMALL, LARGE = (80, 24), (120, 40)
SIZES = [SMALL, LARGE]


@asynccontextmanager
async def looking(
    tmp_path: Path, status: Status, size: tuple[int, int]
) -> AsyncIterator[tuple[Gateway, Dashboard, Pilot[None]]]:
    """A dashboard that has drawn its first status."""
    async with gateway(tmp_path / "api", status) as found:
        app = Dashboard(found.path)
        async with app.run_test(size=size, notifications=True) as pilot:
            await until(lambda: app.view.status is not None, pilot)
            await pilot.pause()
            yield found, app, pilot


def _shown(tmp_path: Path, status: Status, size: tuple[int, int], *keys: str) -> str:
    async def main() -> str:
        async with looking(tmp_path, status, size) as (_, app, pilot):
            await pilot.press(*keys)
            await pilot.pause()
            return rendered(app)

    return asyncio.run(main())


KEY_PHRASES: list[tuple[Callable[[], Status], list[str]]] = [
    (
        normal,
        ["NORMAL", "Storing the sun", "battery", "charging 3.1 kW 62 %", "plugged in", "Nothing needs you", "12:03:05"],
    ),
    (
        limited,
        ["LIMITED BY THE GRID", "export at most 0.5 kW · utility · since 11:30 until 15:00", "→ plug in the car"],
    ),
    (fallback, ["GRID LINK LOST", "No word from utility since 11:22", "import at most 4.2 kW", "→ check the internet"]),
    (
        safe,
        ["SAFE STATE", "The grid meter is silent", "✖ Grid meter", "unknown", "47 s", "→ check the meter's network"],
    ),
    (islanded, ["NO GRID POWER", "the house runs on its own", "giving", "→ switch off"]),
    (starting, ["Starting", "clock is not set", "no plan yet", "never"]),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("build", "phrases"), KEY_PHRASES, ids=[build.__name__ for build, _ in KEY_PHRASES])
def test_each_state_shows_what_matters(
    build: Callable[[], Status], phrases: list[str], size: tuple[int, int], tmp_path: Path
) -> None:
    screen = _shown(tmp_path, build(), size)
    for phrase in phrases:
        assert phrase in screen, screen
    lines = screen.split("\n")
    assert len(lines) <= size[1]
    assert max(len(line) for line in lines) <= size[0]
    assert "Quit" in lines[-1], "the keys stay in sight"


@pytest.mark.parametrize("size", SIZES)
def test_every_device_is_there_with_what_it_does_and_its_age(size: tuple[int, int], tmp_path: Path) -> None:
    lines = _shown(tmp_path, normal(), size).split("\n")
    for name, doing, age in [
        ("Grid meter", "exporting 0.5 kW", "now"),
        ("Roof", "making 4.2 kW", "now"),
        ("Battery", "charging 3.1 kW 62 %", "now"),
        ("Car", "plugged in", "now"),
        ("Heat pump", "using 0.2 kW", "3 s"),
    ]:
        assert any(f"● {name}" in line and doing in line and line.endswith(age) for line in lines), (name, lines)


def test_the_large_screen_says_why_in_full(tmp_path: Path) -> None:
    screen = _shown(tmp_path, normal(), LARGE)
    assert "stores the sun for the evening" in screen
    assert "waits for the cheap hours" in screen


@pytest.mark.parametrize("size", SIZES)
def test_a_gone_gateway_is_told_at_once_and_comes_back_by_itself(size: tuple[int, int], tmp_path: Path) -> None:
    async def main() -> None:
        async with looking(tmp_path, normal(), size) as (found, app, pilot):
            await found.api.stop()
            await until(lambda: app.view.gone is not None, pilot)
            await pilot.pause()
            screen = rendered(app)
            assert "gateway not answering since 12:03:05; the devices are under their own control" in screen
            assert "NO ANSWER" in screen
            assert "This screen comes back by itself" in screen
            assert "alone: charges with 6 A after 30 s" in screen
            assert "Nothing needs you" not in screen
            found.status = dataclasses.replace(found.status, at=NOON + timedelta(seconds=30))
            await found.again()
            await until(lambda: app.view.gone is None, pilot)
            await pilot.pause()
            screen = rendered(app)
            assert "NORMAL" in screen
            assert "12:03:35" in screen
            assert "not answering" not in screen

    asyncio.run(main())


def test_without_a_gateway_the_screen_says_how_to_start_one(tmp_path: Path) -> None:
    async def main() -> None:
        app = Dashboard(tmp_path / "api")
        async with app.run_test(size=SMALL) as pilot:
            await until(lambda: app.view.gone is not None and "no gateway is running" in app.view.gone, pilot)
            await pilot.pause()
            screen = rendered(app)
            assert "no gateway" in screen
            assert "cem run" in screen

    asyncio.run(main())


def test_a_picture_that_stands_still_is_called_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cem.dashboard.app.STILL_S", 0.5)

    async def main() -> None:
        async with looking(tmp_path, normal(), SMALL) as (_, app, pilot):
            await until(lambda: app.view.gone is not None, pilot)
            assert "has not changed" in (app.view.gone or "")

    asyncio.run(main())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("key", "phrases"),
    [
        ("d", ["Grid meter", "silent since 12:02", "no answer from 192.0.2.30:502", "check the meter's network cable"]),
        ("p", ["Plan", "battery %", "good until 15:03: optimal", "the battery fills from the roof"]),
        ("l", ["Limits at the grid connection", "main fuse 35 A", "Links to the grid", "Evening peak"]),
        ("a", ["the grid meter has not answered", "since", "The gateway", "decides in"]),
        ("question_mark", ["every device", "Arrows point", "nothing in the house changes"]),
    ],
)
def test_each_page_opens_on_its_key(key: str, phrases: list[str], size: tuple[int, int], tmp_path: Path) -> None:
    screen = _shown(tmp_path, safe(), size, key)
    for phrase in phrases:
        assert phrase in screen, screen
    assert "Back" in screen


def test_pages_close_on_their_key_and_on_escape(tmp_path: Path) -> None:
    async def main() -> None:
        async with looking(tmp_path, normal(), SMALL) as (_, app, pilot):
            first = app.screen
            await pilot.press("d", "d")
            assert app.screen is first
            await pilot.press("d", "p", "escape")
            assert app.screen is first

    asyncio.run(main())


def test_an_open_page_follows_the_gateway(tmp_path: Path) -> None:
    async def main() -> None:
        async with looking(tmp_path, normal(), SMALL) as (found, app, pilot):
            await pilot.press("d")
            assert "silent" not in rendered(app)
            found.status = safe()
            await until(lambda: "silent since 12:02" in rendered(app), pilot)

    asyncio.run(main())


def test_an_act_is_sent_only_after_what_and_how_long_are_chosen(tmp_path: Path) -> None:
    async def main() -> None:
        async with looking(tmp_path, normal(), SMALL) as (found, app, pilot):
            await pilot.press("o")
            await pilot.pause()
            assert "What should the house do?" in rendered(app)
            await pilot.press("enter")
            await pilot.pause()
            assert "Battery: charge now. How long?" in rendered(app)
            assert not found.asked
            await pilot.press("down", "enter")
            await until(lambda: bool(found.asked), pilot)
            (act,) = found.asked.values()
            assert (act.resource_id, act.kind) == ("battery", RequestKind.CHARGE_NOW)
            assert act.until == NOON + timedelta(hours=2)
            found.status = dataclasses.replace(found.status, requests=(act,))
            await until(lambda: "Battery: charge now until 14:03" in rendered(app), pilot)
            await pilot.press("o", "enter")
            await until(lambda: not found.asked, pilot)

    asyncio.run(main())


def test_leaving_the_question_sends_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with looking(tmp_path, normal(), SMALL) as (found, app, pilot):
            first = app.screen
            await pilot.press("o", "enter", "escape")
            assert app.screen is first
            assert not found.asked

    asyncio.run(main())


def test_a_refused_act_is_shown_with_the_gateways_words(tmp_path: Path) -> None:
    async def main() -> None:
        async with looking(tmp_path, normal(), LARGE) as (found, app, pilot):
            found.refuses = "the battery is being serviced"
            await pilot.press("o", "enter", "enter")
            await until(lambda: "the battery is being serviced" in rendered(app), pilot)

    asyncio.run(main())


def test_a_gateway_that_only_watches_is_asked_nothing(tmp_path: Path) -> None:
    screen = _shown(tmp_path, dataclasses.replace(normal(), read_only=True), LARGE, "o")
    assert "watching only: nothing is steered" in screen
    assert "there is nothing to ask" in screen


def test_monochrome_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coloured = _shown(tmp_path, safe(), SMALL)
    monkeypatch.setenv("NO_COLOR", "1")
    assert _shown(tmp_path, safe(), SMALL) == coloured


def test_only_what_changed_is_painted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    painted: list[str] = []
    update = Static.update

    def counted(widget: Static, content: VisualType = "", *, layout: bool = True) -> None:
        painted.append(widget.id or "")
        update(widget, content, layout=layout)

    async def main() -> None:
        async with looking(tmp_path, normal(), LARGE) as (found, app, pilot):
            monkeypatch.setattr(Static, "update", counted)
            beat = app.view.beat
            found.status = dataclasses.replace(found.status, at=NOON + timedelta(seconds=1))
            await until(lambda: app.view.beat > beat, pilot)
            assert painted == ["title", "flow"]  # the clock, and the arrows that move with every status

    asyncio.run(main())


def test_frames_that_stop_are_told_with_the_age_of_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cem.dashboard.app.QUIET_S", 0.5)

    async def main() -> None:
        async with looking(tmp_path, normal(), SMALL) as (found, app, pilot):
            assert "last word" not in rendered(app)
            await until(lambda: "last word" in rendered(app), pilot)
            assert " ago 12:03:05" in rendered(app)
            assert app.view.gone is None
            found.status = dataclasses.replace(found.status, at=NOON + timedelta(seconds=30))
            await until(lambda: "12:03:35" in rendered(app), pilot)
            assert "last word" not in rendered(app)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("build", "phrases"),
    [
        (limited, ["(event Midday peak)", "stores the sun for the evening"]),
        (fallback, ["link lost;", "subscribed capacity holds", "→ check the internet", "waits for the cheap hours"]),
    ],
)
def test_the_small_screen_says_why_without_cutting_words(
    build: Callable[[], Status], phrases: list[str], tmp_path: Path
) -> None:
    screen = _shown(tmp_path, build(), SMALL)
    for phrase in phrases:
        assert phrase in screen, screen


@pytest.mark.parametrize("size", SIZES)
def test_a_plan_of_the_rules_is_named_on_the_first_screen(tmp_path: Path, size: tuple[int, int]) -> None:
    status = normal()
    assert status.plan is not None
    why = "over the last 7 days the plan cost 9.10 where the rules would have cost 8.20"
    by_rules = dataclasses.replace(status.plan, status="rules", reasons=(why,))
    assert "by rules: over the last 7 days" in _shown(tmp_path, dataclasses.replace(status, plan=by_rules), size)
    assert "by rules" not in _shown(tmp_path, status, size)
