"""The planner in a process of its own: real processes, killed, hanging and lying."""

import asyncio
import io
import json
import os
import signal
import sys
from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from cem.io.frozen_json import encode
from cem.io.plan_worker import InlinePlanner, PlanWorkerError, WorkerPlanner, plan_from
from cem.model.plan import EvNeed, Plan, PlanRequest
from cem.planner_app import reply_to, serve
from cem.planning.solve import Replanner, solve
from support.planning import BATTERY, CAR, START, problem

REQUEST = problem(12, price=[0.2] * 6 + [0.4] * 6, resources=(BATTERY, CAR), ev=(EvNeed("car", 4e3, None),))

HANGS_ONCE = """
import os, pathlib, sys, time
marker = pathlib.Path(sys.argv[1])
if not marker.exists():
    sys.stdin.readline()
    marker.write_text(str(os.getpid()))
    print("thinking", file=sys.stderr, flush=True)
    time.sleep(600)
os.execv(sys.executable, [sys.executable, "-m", "cem.planner_app"])
"""


def scripted(code: str, *arguments: str) -> tuple[str, ...]:
    """A worker that is something else."""
    return (sys.executable, "-c", code, *arguments)


def _pid_in(marker: Path) -> int | None:
    text = marker.read_text() if marker.exists() else ""
    return int(text) if text else None


async def written(marker: Path) -> int:
    """The process id in a file, as soon as a worker has written it; a file gives no event to wait on."""
    for _ in range(2000):
        pid = _pid_in(marker)
        if pid is not None:
            return pid
        await asyncio.sleep(0.01)
    raise AssertionError("the worker never got its request")


async def fault_of(solving: Awaitable[Plan]) -> BaseException:
    """What a solve ends with."""
    try:
        await solving
    except (PlanWorkerError, TimeoutError) as fault:
        return fault
    raise AssertionError("it gave a plan")


def same(plan: Plan) -> Plan:
    """A plan without the time it took."""
    return replace(plan, solve_s=None)


def test_the_worker_gives_the_plan_that_the_optimiser_gives() -> None:
    async def _main() -> None:
        planner = WorkerPlanner()
        try:
            plan = await planner.solve(REQUEST)
            first = planner.pid
            again = await planner.solve(REQUEST)
            assert planner.pid == first
            assert first is not None
            assert os.getpriority(os.PRIO_PROCESS, first) >= 10
            assert len(os.listdir(f"/proc/{first}/task")) == 1  # whatever cores there are: none spins for another
        finally:
            await planner.close()
        assert same(plan) == same(again) == same(solve(REQUEST))
        assert planner.pid is None
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)

    asyncio.run(_main())


def test_nothing_is_started_before_the_first_request() -> None:
    async def _main() -> None:
        planner = WorkerPlanner()
        assert planner.pid is None
        await planner.close()

    asyncio.run(_main())


def test_concurrent_requests_take_turns() -> None:
    async def _main() -> None:
        planner = WorkerPlanner()
        requests = [replace(REQUEST, load_w=(100.0 * k,) * 12) for k in range(6)]
        try:
            plans = await asyncio.gather(*(planner.solve(request) for request in requests))
        finally:
            await planner.close()
        assert [plan.slots[0].load_w for plan in plans] == [100.0 * k for k in range(6)]

    asyncio.run(_main())


def test_a_worker_killed_while_it_solves_is_replaced(tmp_path: Path) -> None:
    marker = tmp_path / "pid"

    async def _main() -> None:
        planner = WorkerPlanner(command=scripted(HANGS_ONCE, str(marker)))
        solving = asyncio.create_task(planner.solve(REQUEST))
        os.kill(await written(marker), signal.SIGKILL)
        fault = await fault_of(solving)
        assert isinstance(fault, PlanWorkerError)
        assert "ended without an answer" in str(fault)
        try:
            assert same(await planner.solve(REQUEST)) == same(solve(REQUEST))
        finally:
            await planner.close()

    asyncio.run(_main())


def test_a_hanging_worker_times_out_while_the_loop_keeps_ticking(tmp_path: Path) -> None:
    async def _main() -> None:
        planner = WorkerPlanner(timeout_s=0.6, command=scripted(HANGS_ONCE, str(tmp_path / "pid")))
        loop = asyncio.get_running_loop()
        started_s, gaps = loop.time(), [0.0]

        async def tick() -> None:
            last_s = loop.time()
            while True:
                await asyncio.sleep(0.01)
                gaps.append(loop.time() - last_s)
                last_s = loop.time()

        ticking = asyncio.create_task(tick())
        fault = await fault_of(planner.solve(REQUEST))
        took_s = loop.time() - started_s
        ticking.cancel()
        assert isinstance(fault, TimeoutError)
        assert "no plan within 0.6 s" in str(fault)
        assert 0.5 < took_s < 5.0
        assert len(gaps) > 20
        assert sorted(gaps)[-3] < 0.2
        assert planner.pid is None
        await planner.close()

    asyncio.run(_main())


def test_a_cancelled_request_does_not_leave_its_answer_for_the_next(tmp_path: Path) -> None:
    async def _main() -> None:
        planner = WorkerPlanner(command=scripted(HANGS_ONCE, str(tmp_path / "pid")))
        solving = asyncio.create_task(planner.solve(REQUEST))
        await written(tmp_path / "pid")
        solving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await solving
        assert planner.pid is None
        other = replace(REQUEST, load_w=(1234.0,) * 12)
        try:
            assert (await planner.solve(other)).slots[0].load_w == 1234.0
        finally:
            await planner.close()

    asyncio.run(_main())


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; sys.stdin.readline(); print('hello')", "its answer is not a plan"),
        ("import sys; sys.stdin.readline(); print('{}')", "neither a plan nor an error"),
        ("import sys; sys.stdin.readline(); sys.exit('out of memory')", "out of memory"),
        ("import sys; print('x' * (1 << 24))", "worker: "),
        ("import sys; sys.stderr.write('y' * 3000000 + '\\nthe end'); sys.exit(3)", "the end"),
    ],
)
def test_a_worker_that_answers_nonsense_is_refused_and_ended(code: str, words: str) -> None:
    async def _main() -> None:
        planner = WorkerPlanner(timeout_s=10.0, command=scripted(code))
        fault = await fault_of(planner.solve(REQUEST))
        assert isinstance(fault, PlanWorkerError)
        assert words in str(fault)
        assert len(str(fault)) < 1000
        assert planner.pid is None
        await planner.close()

    asyncio.run(_main())


def test_a_command_that_does_not_exist_is_an_error_not_a_crash() -> None:
    async def _main() -> None:
        fault = await fault_of(WorkerPlanner(command=("/nonexistent/worker",)).solve(REQUEST))
        assert isinstance(fault, PlanWorkerError)

    asyncio.run(_main())


def test_a_request_that_can_not_be_solved_is_refused_in_words_and_the_worker_lives_on() -> None:
    async def _main() -> None:
        planner = WorkerPlanner()
        try:
            fault = await fault_of(planner.solve(replace(REQUEST, load_w=(1.0,))))
            assert "load_w has 1 values for 12 slots" in str(fault)
            pid = planner.pid
            await planner.solve(REQUEST)
            assert planner.pid == pid
        finally:
            await planner.close()

    asyncio.run(_main())


def reply_of(request: PlanRequest) -> bytes:
    """The worker's answer to a request."""
    return reply_to(json.dumps(encode(request)).encode(), Replanner())


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("slots",), [], "other slots"),
        (("slots", 3, "start"), "2026-01-15T00:46:00Z", "other slots"),
        (("slots", 0, "grid_w"), 1e999, "not finite"),
        (("slots", 0, "intents", "battery", "value_per_kwh"), float("nan"), "not finite"),
        (("slots", 0, "power_w", "toaster"), 5.0, "speaks of toaster"),
        (("slots", 0, "intents", "battery", "kind"), "explode", "not a plan"),
        (("expires_at",), "2026-01-14T00:00:00Z", "expires"),
    ],
)
def test_a_plan_that_does_not_fit_its_request_is_refused(
    path: tuple[str | int, ...], value: object, words: str
) -> None:
    answer = json.loads(reply_of(REQUEST))
    spot = answer["plan"]
    for key in path[:-1]:
        spot = spot[key]
    spot[path[-1]] = value
    with pytest.raises(ValueError, match=words):
        plan_from(json.dumps(answer).encode(), REQUEST)


def test_an_honest_answer_is_believed() -> None:
    plan = plan_from(reply_of(REQUEST), REQUEST)
    assert isinstance(plan, Plan)
    assert same(plan) == same(solve(REQUEST))


def test_the_worker_answers_each_line_and_ends_with_its_input() -> None:
    answers = io.BytesIO()
    serve(io.BytesIO(b"nonsense\n\n{}\n"), answers)
    lines = [json.loads(line) for line in answers.getvalue().splitlines()]
    assert len(lines) == 2
    assert all(line["error"].startswith("not a planning request") for line in lines)


def test_the_inline_planner_solves_away_from_the_loop_within_its_time() -> None:
    async def _main() -> None:
        planner = InlinePlanner(solve)
        assert same(await planner.solve(REQUEST)) == same(solve(REQUEST))
        await planner.close()

    asyncio.run(_main())


def test_plans_from_the_worker_expire_an_hour_after_they_were_made() -> None:
    plan = plan_from(reply_of(REQUEST), REQUEST)
    assert isinstance(plan, Plan)
    assert plan.expires_at == START + timedelta(hours=1)
