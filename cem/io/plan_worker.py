"""The planner as another process, and in this one: two ways to solve planning problems away from the loop."""

import asyncio
import dataclasses
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from pydantic import TypeAdapter, ValidationError

from cem.io.frozen_json import encode
from cem.model.errors import CemError
from cem.model.plan import Plan, PlanRequest

COMMAND: Final = (sys.executable, "-m", "cem.planner_app")
LINE_BYTES: Final = 8 * 1024 * 1024
STDERR_BYTES: Final = 4096
NICE: Final = 10
END_S: Final = 5.0


class PlanWorkerError(CemError):
    """The planning worker crashed, could not be started, or answered with something that is not a plan."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Reply:
    plan: Plan | None = None
    error: str | None = None


_REPLY: Final = TypeAdapter(_Reply)


class WorkerPlanner:
    """Solves in a process of its own: started with the first request, ended and started anew when it fails.

    One request at a time; further ones wait their turn. A request that is not answered within `timeout_s` (its turn
    counts from when it is sent) raises TimeoutError, a crash or an answer that is no plan PlanWorkerError; after either
    the next request gets a fresh process.
    """

    def __init__(self, timeout_s: float = 20.0, command: Sequence[str] = COMMAND, nice: int = NICE) -> None:
        self._timeout_s = timeout_s
        self._command = tuple(command)
        self._nice = nice
        self._process: asyncio.subprocess.Process | None = None
        self._last_words = bytearray()
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The worker's process id while there is one."""
        return None if self._process is None else self._process.pid

    async def solve(self, request: PlanRequest) -> Plan:
        """A plan whose slots are those of the request; raises TimeoutError or CemError, never blocks the loop."""
        line = json.dumps(encode(request)).encode() + b"\n"
        async with self._turn:
            try:
                async with asyncio.timeout(self._timeout_s):
                    answer = await self._exchange(line)
                plan = plan_from(answer, request)
            except TimeoutError:
                raise TimeoutError(
                    f"planning worker: no plan within {self._timeout_s:g} s; it was ended, the last plan holds until "
                    f"it expires, then rules{await self._end()}"
                ) from None
            except (OSError, ValueError) as fault:
                raise PlanWorkerError(f"planning worker: {fault}; it was ended{await self._end()}") from fault
            except BaseException:  # cancelled half way: the answer would meet the next question
                await self._end()
                raise
        if isinstance(plan, str):
            raise PlanWorkerError(f"planning worker: refused the request: {plan}")
        return plan

    async def close(self) -> None:
        """Ends the worker; a request under way is answered first, or times out."""
        async with self._turn:
            await self._end()

    async def _exchange(self, line: bytes) -> bytes:
        process = self._process
        if process is None or process.returncode is not None:
            await self._end()
            process = self._process = await self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        answer, fault = b"", None
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(self._listen(process))
            try:
                process.stdin.write(line)
                await process.stdin.drain()
                answer = await process.stdout.readline()
            except (OSError, ValueError) as seen:  # carried out by hand: a task group would wrap it
                fault = seen
            finally:
                listening.cancel()
        if fault is not None:
            raise fault
        if not answer.endswith(b"\n"):
            raise ValueError("its process ended without an answer")
        return answer

    async def _start(self) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        self._last_words.clear()
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=pipe, stdout=pipe, stderr=pipe, limit=LINE_BYTES
        )
        if self._nice:
            os.setpriority(os.PRIO_PROCESS, process.pid, self._nice)
        return process

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Keeps the end of what the worker says on its standard error, so that its pipe never fills."""
        assert process.stderr is not None
        try:
            while chunk := await process.stderr.read(STDERR_BYTES):
                self._remember(chunk)
        except OSError as fault:
            self._remember(f"(its standard error broke: {fault})".encode())

    def _remember(self, chunk: bytes) -> None:
        self._last_words += chunk
        del self._last_words[:-STDERR_BYTES]

    async def _end(self) -> str:
        """Kills and reaps the process, if there is one; its last words for an error sentence, or nothing."""
        process, self._process = self._process, None
        if process is None:
            return ""
        if process.returncode is None:
            process.kill()
        try:
            async with asyncio.timeout(END_S):
                _, rest = await process.communicate()
            self._remember(rest)
        except TimeoutError:  # a child of its own still holds the pipes; it is not ours to wait for
            self._remember(b"(its pipes stay open)")
        words = self._last_words.decode("utf-8", "replace").strip().splitlines()
        return f" (its last words: {words[-1][:300]})" if words else ""


class InlinePlanner:
    """Solves with a function in a thread of this process, for virtual time, where another process can't follow."""

    def __init__(self, function: Callable[[PlanRequest], Plan], timeout_s: float = 20.0) -> None:
        self._function = function
        self._timeout_s = timeout_s

    async def solve(self, request: PlanRequest) -> Plan:
        """A plan, of which nobody says how long it took: that is real time, in which two runs are never the same.

        Raises TimeoutError (the thread then ends by itself) or what the function raises.
        """
        async with asyncio.timeout(self._timeout_s):
            plan = await asyncio.get_running_loop().run_in_executor(None, self._function, request)
        return dataclasses.replace(plan, solve_s=None)

    async def close(self) -> None:
        """Nothing to end."""


def plan_from(answer: bytes, request: PlanRequest) -> Plan | str:
    """The plan in a worker's answer, or the worker's own refusal in words; raises ValueError for nonsense.

    A plan is only believed if its slots are exactly those of the request, its intents are for resources of the request,
    and every number in it is finite.
    """
    try:
        reply = _REPLY.validate_json(answer)
    except ValidationError as fault:
        first = fault.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the line"
        raise ValueError(f"its answer is not a plan: {where}: {first['msg']}") from None
    if reply.error is not None:
        return reply.error
    if reply.plan is None:
        raise ValueError("its answer holds neither a plan nor an error")
    _check(reply.plan, request)
    return reply.plan


def _check(plan: Plan, request: PlanRequest) -> None:
    slots = [(slot.start, slot.end) for slot in plan.slots]
    if slots != list(pairwise(request.edges)):
        raise ValueError(f"its plan has other slots ({len(slots)}) than were asked for ({len(request.edges) - 1})")
    if plan.expires_at <= plan.made_at or plan.made_at != request.edges[0]:
        raise ValueError(f"its plan was made at {plan.made_at} and expires at {plan.expires_at}")
    known = {resource.id for resource in request.resources}
    for slot in plan.slots:
        strangers = (slot.intents.keys() | slot.power_w.keys() | slot.soc_pct.keys()) - known
        if strangers:
            raise ValueError(f"its plan speaks of {', '.join(sorted(strangers))}, which it was not asked about")
    if not all(math.isfinite(number) for number in _numbers(plan)):
        raise ValueError("its plan holds a number that is not finite")


def _numbers(plan: Plan) -> Iterator[float]:
    """Every number of a plan that is set."""
    numbers: list[float | None] = [plan.cost, plan.gap, plan.solve_s]
    for slot in plan.slots:
        numbers += [slot.import_price_per_kwh, slot.grid_w, slot.pv_w, slot.load_w]
        numbers += [*slot.power_w.values(), *slot.soc_pct.values()]
        for intent in slot.intents.values():
            numbers += [intent.target_soc_pct, intent.max_w, intent.value_per_kwh]
    yield from (number for number in numbers if number is not None)
