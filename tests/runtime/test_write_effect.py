"""Whether what was written shows: against all that the device may have heard of when it was measured."""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cem.driver import ControlSpec, Identity, Reading, Storage
from cem.io.state_store import SqliteStateStore
from cem.io.virtual import VirtualClock, run_virtual
from cem.model.envelope import Rank
from cem.model.errors import Refused
from cem.model.resource import Control
from cem.model.setpoint import Setpoint, WriteState
from cem.runtime.board import Board
from cem.runtime.write_rules import effective
from cem.runtime.writer import Writer

NOON = datetime(2026, 6, 15, 10, 0, tzinfo=UTC)
SETPOINT = Control.BATTERY_SETPOINT_W
BEAT_S = 10.0


def _spec(control: Control) -> ControlSpec:
    return ControlSpec(
        "battery", control, "stays", Storage.RAM, effect_point="power_w", effect_tolerance=100.0, effect_within_s=30.0
    )


@pytest.mark.parametrize(
    ("control", "told", "measured", "shows"),
    [
        (SETPOINT, (2000.0, 2000.0), 1850.0, True),
        (SETPOINT, (2000.0, 2000.0), 1750.0, False),
        (SETPOINT, (-500.0, 2000.0), 700.0, True),  # on its way from one to the other
        (SETPOINT, (-500.0, 2000.0), -700.0, False),
        (Control.EV_LIMIT_A, (6.0, 16.0), 16.0, True),
        (Control.PV_LIMIT_W, (1000.0, 3000.0), -3500.0, False),
        (Control.LOAD_ON, (0.0, 1.0), 2000.0, True),
        (Control.LOAD_ON, (0.0, 0.0), 2000.0, False),
    ],
)
def test_a_measurement_shows_any_of_what_was_told_since_the_one_before(
    control: Control, told: tuple[float, float], measured: float, shows: bool
) -> None:
    assert effective(_spec(control), told, measured) is shows


@dataclass
class Late:
    """A battery at the port of the house that is measured a beat late; one that is deaf stays where it is."""

    deaf: bool = False
    id: str = "store"
    told: list[float] = field(default_factory=lambda: [0.0, 0.0])

    async def open(self) -> Identity:
        return Identity("Maker", "Store", "1")

    def controls(self) -> Sequence[ControlSpec]:
        return [_spec(SETPOINT)]

    async def poll(self) -> Sequence[Reading]:
        return []

    async def write(self, resource_id: str, control: Control, value: float) -> float:
        self.told.append(value)
        return value

    async def read_back(self, resource_id: str, control: Control) -> float | None:
        return self.told[-1]

    async def release(self, resource_id: str, control: Control) -> None:
        self.told.append(0.0)

    async def close(self) -> None:
        """Nothing is kept open."""


@pytest.mark.parametrize(("deaf", "ends_as"), [(False, WriteState.EFFECTIVE), (True, WriteState.NOT_EFFECTIVE)])
def test_who_follows_a_word_that_changes_with_each_tick_is_not_called_deaf(
    deaf: bool, ends_as: WriteState, tmp_path: Path
) -> None:
    async def main(clock: VirtualClock) -> None:
        store, board, disk = Late(deaf), Board(), SqliteStateStore(tmp_path / "state.db", clock)
        writer = Writer(store, board, disk, clock, read_only=False)
        await writer.opened(store.controls())
        for tick in range(12):
            now_s = clock.now().mono_s
            power_w = 0.0 if deaf else store.told[-2]
            writer.observe([Reading("battery", "power_w", power_w, now_s)])
            word_w = 1000.0 + 600.0 * (tick % 5)
            writer.post([Setpoint("battery", SETPOINT, word_w, 30.0, Rank.PLAN, "test", "because")], now_s)
            await writer.write_due()
            await asyncio.sleep(BEAT_S)
        assert [outcome.state for outcome in board.outcomes()] == [ends_as]
        await disk.close()

    run_virtual(main, NOON)


def test_who_is_measured_seldom_is_found_out_half_a_minute_after_the_word(tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> None:
        store, board, disk = Late(deaf=True), Board(), SqliteStateStore(tmp_path / "state.db", clock)
        writer = Writer(store, board, disk, clock, read_only=False)
        await writer.opened(store.controls())
        began_s = clock.now().mono_s
        for second in range(62):
            now_s = clock.now().mono_s
            measured_s = began_s + BEAT_S * (second // BEAT_S)
            writer.observe([Reading("battery", "power_w", 0.0, measured_s)])
            word_w = 0.0 if second < 15 else 2000.0
            writer.post([Setpoint("battery", SETPOINT, word_w, 30.0, Rank.PLAN, "test", "because")], now_s)
            await writer.write_due()
            await asyncio.sleep(1.0)
        outcome = next(iter(board.outcomes()))
        assert outcome.state is WriteState.NOT_EFFECTIVE
        assert outcome.at_s - began_s == pytest.approx(15.0 + 30.0, abs=1.0)
        await disk.close()

    run_virtual(main, NOON)


class Wallbox(Late):
    """A charger that offers nothing by itself, and tells no offer until it was told one."""

    def controls(self) -> Sequence[ControlSpec]:
        return [replace(_spec(Control.EV_LIMIT_A), effect_point="current_a", effect_tolerance=2.0)]

    async def read_back(self, resource_id: str, control: Control) -> float | None:
        return self.told[-1] if self.told else None


@pytest.mark.parametrize(("words", "told"), [((None, 16.0, 16.0), [16.0]), ((16.0, 16.0), [0.0, 16.0])])
def test_a_car_that_comes_after_a_start_is_told_what_was_decided_and_one_that_was_there_no_more_than_flows_at_first(
    words: Sequence[float | None], told: list[float], tmp_path: Path
) -> None:
    box = Wallbox(told=[])

    async def main(clock: VirtualClock) -> None:
        disk = SqliteStateStore(tmp_path / "state.db", clock)
        writer = Writer(box, Board(), disk, clock, read_only=False)
        await writer.opened(box.controls())
        for word_a in words:
            now_s = clock.now().mono_s
            writer.observe([Reading("battery", "current_a", 0.0, now_s)])
            writer.post([Setpoint("battery", Control.EV_LIMIT_A, word_a, 30.0, Rank.PLAN, "test", "because")], now_s)
            await writer.write_due()
            await asyncio.sleep(1.0)
        await disk.close()

    run_virtual(main, NOON)
    assert box.told == told


@dataclass
class Refusing(Late):
    """One that takes its word from time to time only, and goes back to 1 kW by its own timer when it was told none."""

    refuses: bool = False

    def controls(self) -> Sequence[ControlSpec]:
        return [replace(_spec(SETPOINT), refresh_s=BEAT_S)]

    async def write(self, resource_id: str, control: Control, value: float) -> float:
        if self.refuses:
            raise Refused("not now")
        return await super().write(resource_id, control, value)


def each_second(
    store: Late, folder: Path, seconds: int, measured_w: Callable[[int], float], word_w: Callable[[int], float | None]
) -> tuple[list[WriteState], list[int]]:
    """What is said of a battery that is measured and told something each second, and when it took its word."""
    states: list[WriteState] = []
    taken_at: list[int] = []

    async def main(clock: VirtualClock) -> None:
        board, disk = Board(), SqliteStateStore(folder / "state.db", clock)
        writer = Writer(store, board, disk, clock, read_only=False)
        await writer.opened(store.controls())
        for second in range(seconds):
            now_s, heard = clock.now().mono_s, len(store.told)
            writer.observe([Reading("battery", "power_w", measured_w(second), now_s)])
            writer.post([Setpoint("battery", SETPOINT, word_w(second), 30.0, Rank.PLAN, "test", "because")], now_s)
            await writer.write_due()
            states.extend([outcome.state for outcome in board.outcomes()])
            taken_at.extend([second] * (word_w(second) in store.told[heard:]))
            await asyncio.sleep(1.0)
        await disk.close()

    run_virtual(main, NOON)
    return states, taken_at


def test_who_refused_its_word_is_not_blamed_for_its_own_doings_and_is_asked_again_as_soon(tmp_path: Path) -> None:
    store = Refusing()

    def measured_w(second: int) -> float:
        store.refuses = 20 <= second < 200
        return 1000.0 if store.refuses and second > 50 else store.told[-1]

    states, taken_at = each_second(store, tmp_path, 300, measured_w, lambda _: 0.0)
    assert WriteState.REFUSED in states
    assert WriteState.NOT_EFFECTIVE not in states
    assert min(second for second in taken_at if second >= 200) <= 230
    assert states[-1] is WriteState.EFFECTIVE


class Large(Late):
    """One of which 450 W more or less count as following."""

    def controls(self) -> Sequence[ControlSpec]:
        return [replace(_spec(SETPOINT), effect_tolerance=450.0)]


@pytest.mark.parametrize(
    ("step_w", "measured_w", "told_w", "state"),
    [
        (12.0, 328.0, 170.0, WriteState.NOT_EFFECTIVE),  # within what counts as following, but it does not move at all
        (12.0, 328.0, 280.0, WriteState.NOT_EFFECTIVE),
        (12.0, 328.0, 290.0, WriteState.EFFECTIVE),
        (12.0, 328.0, 410.0, WriteState.EFFECTIVE),  # it may be at its own limit
        (50.0, 300.0, 250.0, WriteState.EFFECTIVE),  # it moves in steps
        (100.0, 300.0, 210.0, WriteState.EFFECTIVE),  # it shows hundreds of watts
        (100.0, 300.0, 190.0, WriteState.NOT_EFFECTIVE),
        (12.0, 0.0, 150.0, WriteState.EFFECTIVE),  # some give nothing below a least power
    ],
)
def test_a_battery_that_shows_the_very_same_power_whatever_it_is_told_does_not_follow(
    step_w: float, measured_w: float, told_w: float, state: WriteState, tmp_path: Path
) -> None:
    """It comes down to that power in steps."""
    states, _ = each_second(
        Large(),
        tmp_path,
        80,
        lambda second: measured_w + step_w * max(0, 4 - second),
        lambda second: measured_w if second < 10 else told_w,
    )
    assert states[-1] is state


@pytest.mark.parametrize(("moves", "found_out"), [(True, False), (False, True)])
def test_a_slow_battery_that_moves_on_behind_a_word_which_moves_on_too_is_not_called_deaf(
    moves: bool, found_out: bool, tmp_path: Path
) -> None:
    """It is told each second to take 700 W less than it shows; it goes down by 100 W a second, or to and fro."""

    def shown_w(second: int) -> float:
        return 5000.0 - 100.0 * second if moves else 5000.0 - 100.0 * (second % 3)

    states, _ = each_second(Late(), tmp_path, 45, shown_w, lambda second: shown_w(second) - 700.0)
    assert (WriteState.NOT_EFFECTIVE in states) is found_out


@pytest.mark.parametrize("house_w", [lambda s: 2500.0 * (s // 25 % 2), lambda s: 1000.0 + 700.0 * math.sin(s / 6.4)])
def test_a_battery_that_covers_the_house_by_itself_is_found_out_though_its_word_follows_the_house_too(
    house_w: Callable[[int], float], tmp_path: Path
) -> None:
    """It is told each second to give 700 W more than it does."""
    states, _ = each_second(Late(), tmp_path, 120, lambda s: -house_w(s), lambda s: -house_w(s) - 700.0)
    assert WriteState.NOT_EFFECTIVE in states


def test_a_battery_that_was_told_the_same_for_long_has_its_time_to_follow_another_word(tmp_path: Path) -> None:
    states, _ = each_second(
        Large(),
        tmp_path,
        160,
        lambda second: 490.0 if second < 3 else 500.0 if second < 110 else 890.0,
        lambda second: 500.0 if second < 100 else 900.0,
    )
    assert states[-1] is WriteState.EFFECTIVE
    assert WriteState.NOT_EFFECTIVE not in states


def test_what_lost_its_word_is_told_once_more_and_not_given_up(tmp_path: Path) -> None:
    store = Late()

    def measured_w(second: int) -> float:
        return 0.0 if store.told.count(2000.0) < 2 else 2000.0

    states, taken_at = each_second(store, tmp_path, 100, measured_w, lambda _: 2000.0)
    assert WriteState.NOT_EFFECTIVE not in states
    assert states[-1] is WriteState.EFFECTIVE
    assert len(taken_at) == 2


@dataclass
class Losing(Late):
    """One that tells so when it has lost its word."""

    lost: bool = False

    async def read_back(self, resource_id: str, control: Control) -> float | None:
        return 0.0 if self.lost else self.told[-1]

    async def write(self, resource_id: str, control: Control, value: float) -> float:
        self.lost = False
        return await super().write(resource_id, control, value)


def test_a_word_that_is_lost_again_long_after_is_told_again_and_nobody_else_is_blamed(tmp_path: Path) -> None:
    store, times = Losing(), (50, 400)

    def measured_w(second: int) -> float:
        store.lost = store.lost or second in times
        return 0.0 if store.lost else store.told[-1]

    states, taken_at = each_second(store, tmp_path, 500, measured_w, lambda _: 2000.0)
    assert [at // 50 * 50 for at in taken_at] == [0, *times]
    assert not {WriteState.CONTESTED, WriteState.NOT_EFFECTIVE} & {*states}


def test_a_word_that_is_lost_anew_after_it_was_handed_back_is_told_again(tmp_path: Path) -> None:
    store = Late()

    def measured_w(second: int) -> float:
        return 2000.0 if store.told.count(2000.0) >= (3 if second < 27 else 4) else 0.0

    states, taken_at = each_second(
        store, tmp_path, 160, measured_w, lambda second: None if 27 < second < 60 else 2000.0
    )
    assert len(taken_at) == 4
    assert states[-1] is WriteState.EFFECTIVE


def test_what_follows_nothing_is_told_twice_each_five_minutes(tmp_path: Path) -> None:
    _, taken_at = each_second(Late(deaf=True), tmp_path, 660, lambda _: 0.0, lambda _: 2000.0)
    assert [len([at for at in taken_at if since <= at < since + 100]) for since in (0, 300)] == [2, 2]
    assert len(taken_at) == 4


def test_what_stood_still_and_moves_again_is_tried_at_once(tmp_path: Path) -> None:
    deaf = Late(deaf=True)
    _, taken_at = each_second(
        deaf, tmp_path, 200, lambda second: 0.0 if second < 150 else 70.0 + second, lambda _: 2000.0
    )
    assert [at for at in taken_at if 100 < at < 160] == [150]
