"""What wears out: a few writes a day, more only where safety or the grid demands it; and what a device can't take."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cem.driver import ControlSpec, Identity, Reading, Storage
from cem.io.state_store import SqliteStateStore
from cem.io.virtual import VirtualClock, run_virtual
from cem.model.envelope import Rank
from cem.model.resource import Control
from cem.model.setpoint import Demand, Outcome, Seldom, Setpoint, WriteState
from cem.runtime.board import Board
from cem.runtime.writer import Writer

NOON = datetime(2026, 6, 15, 10, 0, tzinfo=UTC)
SETPOINT = Control.BATTERY_SETPOINT_W


@dataclass
class Store:
    """A battery, or a roof, at the port of the house: what it was told, and what it can take now."""

    storage: Storage
    refresh_s: float | None = None
    most_w: float = 5000.0
    control: Control = SETPOINT
    least_w: float = -5000.0
    id: str = "store"
    told: list[float | None] = field(default_factory=list)

    async def open(self) -> Identity:
        return Identity("Maker", "Store", "1")

    def controls(self) -> Sequence[ControlSpec]:
        return [ControlSpec("battery", self.control, "stays", self.storage, dead_band=50.0, refresh_s=self.refresh_s)]

    async def poll(self) -> Sequence[Reading]:
        return []

    async def write(self, resource_id: str, control: Control, value: float) -> float:
        self.told.append(max(self.least_w, min(value, self.most_w)))
        return self.told[-1] or 0.0

    async def read_back(self, resource_id: str, control: Control) -> float | None:
        return self.told[-1] if self.told else None

    async def release(self, resource_id: str, control: Control) -> None:
        self.told.append(None)

    async def close(self) -> None:
        """Nothing is kept open."""


@dataclass
class Bench:
    """One writer in front of the store, on virtual time."""

    store: Store
    writer: Writer
    board: Board
    clock: VirtualClock

    async def ask(
        self, value: float | None, demanded: Demand | None = None, seldom: Seldom | None = None, after_s: float = 1.0
    ) -> Outcome | None:
        """One set point, `after_s` later, and what became of it."""
        await asyncio.sleep(after_s)
        rank = Rank.PLAN if demanded is None else Rank.SAFETY
        setpoint = Setpoint(
            "battery", self.store.control, value, 10.0, rank, "test", "because", demanded, seldom=seldom
        )
        self.writer.post([setpoint], self.clock.now().mono_s)
        if not self.writer.idle(self.clock.now().mono_s):
            await self.writer.write_due()
        return next(iter(self.board.outcomes()), None)


def play(folder: Path, store: Store, act: Callable[[Bench], Awaitable[None]]) -> None:
    """Plays an act on one writer in virtual time."""

    async def main(clock: VirtualClock) -> None:
        disk, board = SqliteStateStore(folder / "state.db", clock), Board()
        writer = Writer(store, board, disk, clock, read_only=False)
        await writer.opened(store.controls())
        await act(Bench(store, writer, board, clock))
        await disk.close()

    run_virtual(main, NOON)


@pytest.mark.parametrize("storage", [Storage.FLASH, Storage.UNKNOWN])
def test_flash_takes_a_value_each_quarter_of_an_hour_and_twenty_a_day(tmp_path: Path, storage: Storage) -> None:
    async def act(bench: Bench) -> None:
        for second in range(0, 36_000, 60):  # ten hours, another value each minute
            await bench.ask(float(second % 4000), after_s=60.0)
        assert len(bench.store.told) == 20
        outcome = await bench.ask(100.0)
        assert outcome is not None
        assert outcome.state is WriteState.BLOCKED
        assert "budget" in outcome.detail

    play(tmp_path, Store(storage), act)


@pytest.mark.parametrize(
    ("demand", "value", "written"),
    [
        (Demand.AT_MOST, 1000.0, True),
        (Demand.AT_MOST, 3000.0, False),
        (Demand.AT_LEAST, 3000.0, True),
        (Demand.AT_LEAST, 1000.0, False),
        (Demand.EXACTLY, 1000.0, True),
        (Demand.EXACTLY, 3000.0, True),
        (None, 1000.0, False),
    ],
)
def test_only_what_safety_demands_of_what_is_held_goes_past_the_budget(
    tmp_path: Path, demand: Demand | None, value: float, written: bool
) -> None:
    async def act(bench: Bench) -> None:
        await bench.ask(2000.0)
        await bench.ask(value, demand)
        assert bench.store.told == ([2000.0, value] if written else [2000.0])

    play(tmp_path, Store(Storage.FLASH), act)


def test_a_limit_that_is_seldom_written_is_kept_while_it_moves_within_the_dead_band(tmp_path: Path) -> None:
    async def act(bench: Bench) -> None:
        for minute in range(120):  # to and fro by 40 W, the dead band being 50
            allowed_w = 3000.0 + 20.0 * (minute % 3 - 1)
            await bench.ask(allowed_w, Demand.AT_MOST, after_s=60.0)
            assert (bench.store.told[-1] or 0.0) <= allowed_w
        assert bench.store.told == [2930.0]
        await bench.ask(2900.0, Demand.AT_MOST)
        await bench.ask(4000.0, Demand.AT_MOST, after_s=1000.0)
        assert bench.store.told == [2930.0, 2850.0, 3950.0]

    play(tmp_path, Store(Storage.FLASH, control=Control.PV_LIMIT_W), act)


def test_a_limit_below_what_a_device_can_keep_is_no_storm(tmp_path: Path) -> None:
    async def act(bench: Bench) -> None:
        for _ in range(600):
            await bench.ask(0.0, Demand.AT_MOST)
        assert len(bench.store.told) < 25  # what it can't take is tried again each 30 s

    play(tmp_path, Store(Storage.FLASH, control=Control.PV_LIMIT_W, least_w=85.0), act)


def test_of_the_budget_enough_is_left_to_keep_a_value_in_force_all_day(tmp_path: Path) -> None:
    told_s: list[float] = []
    said: set[str] = set()

    async def act(bench: Bench) -> None:
        await asyncio.sleep(14 * 3600.0)  # midnight, where the day of the budget begins
        for minute in range(24 * 60 - 1):
            before = len(bench.store.told)
            outcome = await bench.ask(float(97 * minute % 4000), after_s=60.0)
            if len(bench.store.told) > before:
                told_s.append(60.0 * minute)
            said.add(outcome.detail if outcome is not None else "")

    play(tmp_path, Store(Storage.FLASH, refresh_s=5400.0), act)
    gaps_s = [after - before for before, after in zip(told_s, [*told_s[1:], 86_400.0], strict=True)]
    assert len(told_s) <= 20
    assert "what is left of today's write budget of its flash is needed to keep a value in force" in said
    assert max(gaps_s) <= 5400.0 + 60.0
    assert min(gaps_s) == 900.0  # and what is left over is free for changes


def test_what_a_limit_needs_to_stay_in_force_is_written_again_without_a_budget(tmp_path: Path) -> None:
    async def act(bench: Bench) -> None:
        for _ in range(30):
            await bench.ask(2000.0, Demand.AT_MOST, after_s=1800.0)
        assert len(bench.store.told) == 30

    play(tmp_path, Store(Storage.FLASH, refresh_s=1800.0), act)


@pytest.mark.parametrize(("storage", "told"), [(Storage.FLASH, [0.0, None]), (Storage.RAM, [1200.0, 1500.0])])
def test_flash_is_told_what_stays_in_place_of_what_follows_the_house(
    tmp_path: Path, storage: Storage, told: list[float | None]
) -> None:
    async def act(bench: Bench) -> None:
        await bench.ask(1200.0, seldom=Seldom(0.0, "stands still"))
        outcome = await bench.ask(1500.0, seldom=Seldom(None, "its own control follows the house"), after_s=901.0)
        assert bench.store.told == told
        assert outcome is not None
        assert (outcome.state is WriteState.RELEASED) == (storage is Storage.FLASH)
        assert ("follows the house" in outcome.detail) == (storage is Storage.FLASH)

    play(tmp_path, Store(storage), act)


def test_handing_back_wears_flash_as_well_and_is_never_refused(tmp_path: Path) -> None:
    async def act(bench: Bench) -> None:
        for _ in range(12):
            await bench.ask(2000.0, after_s=1000.0)
            await bench.ask(None)
        assert bench.store.told == [2000.0, None] * 10
        blocked = await bench.ask(2000.0, after_s=1000.0)
        assert blocked is not None
        assert blocked.state is WriteState.BLOCKED

    play(tmp_path, Store(Storage.FLASH), act)


def test_what_a_device_can_take_of_a_value_is_held_without_alarm_and_tried_again(tmp_path: Path) -> None:
    async def act(bench: Bench) -> None:
        outcome = await bench.ask(4713.0)
        assert outcome is not None
        assert outcome.state is WriteState.ACCEPTED
        assert outcome.value == 4350.0
        assert "held at 4350" in outcome.detail
        for _ in range(20):
            await bench.ask(4713.0)
        assert bench.store.told == [4350.0]
        bench.store.most_w = 5000.0
        for _ in range(15):
            outcome = await bench.ask(4713.0)
        assert bench.store.told == [4350.0, 4713.0]
        assert outcome is not None
        assert outcome.detail == ""

    play(tmp_path, Store(Storage.RAM, most_w=4350.0), act)
