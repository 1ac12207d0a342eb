"""What may fail without ending the gateway: a grid session with a bug in it, the planner, a stored row of nonsense."""

import asyncio
import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cem.io.state_store import SqliteStateStore
from cem.io.virtual import VirtualClock, run_virtual
from cem.model.request import RequestKind, UserRequest
from cem.ports import Json, Put, StateKind
from cem.runtime.contained import FIRST_PAUSE_S, LONGEST_PAUSE_S, contained
from cem.runtime.remember import ROW, MemoryKeeper
from cem.runtime.requests import RequestBook

NOON = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)


def test_a_failing_service_is_started_anew_with_growing_pauses(caplog: pytest.LogCaptureFixture) -> None:
    began: list[float] = []

    async def main(clock: VirtualClock) -> None:
        async def service() -> None:
            began.append(clock.now().mono_s)
            raise KeyError("a bug")

        async with asyncio.TaskGroup() as group:
            running = group.create_task(contained("utility: its session", service))
            await asyncio.sleep(3600)
            running.cancel()

    run_virtual(main, NOON)
    pauses = [round(after - before) for before, after in itertools.pairwise(began)]
    assert pauses[:3] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    assert max(pauses) == LONGEST_PAUSE_S
    assert caplog.records[0].getMessage().startswith("utility: its session: failed")


def test_a_service_that_was_cancelled_is_not_started_anew() -> None:
    starts: list[int] = []

    async def main() -> None:
        async def service() -> None:
            starts.append(1)
            await asyncio.sleep(1e6)

        task = asyncio.create_task(contained("x", service))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    run_virtual(main(), NOON)
    assert starts == [1]


@pytest.mark.parametrize(
    "change",
    [{"kind": "dance"}, {"until": "soon"}, {"until": "2027-01-01T00:00:00"}, {"resource": None}],
)
def test_a_stored_request_of_nonsense_does_not_stop_the_start(tmp_path: Path, change: dict[str, str | None]) -> None:
    good = {
        "resource": "car",
        "kind": "pause",
        "until": (NOON + timedelta(hours=1)).isoformat(),
        "made_at": NOON.isoformat(),
        "by": "anna",
    }
    bad = {key: value for key, value in (good | change).items() if value is not None}

    async def main(clock: VirtualClock) -> None:
        store = SqliteStateStore(tmp_path / "state.db", clock)
        await store.commit([Put(StateKind.REQUEST, "bad", dict(bad)), Put(StateKind.REQUEST, "good", dict(good))])
        book = RequestBook(store, clock, lambda: None)
        await book.restore()
        assert [request.id for request in book.in_force()] == ["good"]
        await store.close()

    run_virtual(main, NOON)


@pytest.mark.parametrize("trusted", [True, False])
def test_an_act_that_has_ended_does_not_rise_again_when_a_trusted_clock_goes_back(
    tmp_path: Path, *, trusted: bool
) -> None:
    act = UserRequest("1", "car", RequestKind.CHARGE_NOW, NOON + timedelta(minutes=2), NOON)

    async def main(clock: VirtualClock) -> None:
        clock.trusted = trusted
        store = SqliteStateStore(tmp_path / "state.db", clock)
        book = RequestBook(store, clock, lambda: None)
        await book.add(act)
        seen = [len(book.in_force())]
        for by in (timedelta(minutes=3), timedelta(hours=-1)):
            clock.step_wall(by)
            seen.append(len(book.in_force()))
        assert seen == [1, 0, 0 if trusted else 1]
        await store.close()

    run_virtual(main, NOON)


@pytest.mark.parametrize(("wrote_s", "locked_s"), [(990.0, 1010.0), (1500.0, 1060.0), (None, 1060.0), ("x", 1060.0)])
def test_a_lock_is_counted_on_from_a_row_of_any_former_run(
    tmp_path: Path, wrote_s: float | str | None, locked_s: float
) -> None:
    """One of a version that wrote no time, of a machine started anew, of nonsense: as long as its contacts keep it."""
    pump: dict[str, Json] = {"state": 1, "switched_ago_s": 50.0, "locked_s": 1000.0, "day": 1}
    row: dict[str, Json] = {"format": 1, "switches": {"heat_pump": pump}, "boot": ""}

    async def main(clock: VirtualClock) -> None:
        now = replace(clock.now(), mono_s=1000.0)
        store = SqliteStateStore(tmp_path / "state.db", clock)
        await store.commit([Put(StateKind.SWITCH, ROW, row | ({} if wrote_s is None else {"mono_s": wrote_s}))])
        assert (await MemoryKeeper(store).restore(now)).switches["heat_pump"].locked_s == locked_s
        await store.close()

    run_virtual(main, NOON)
