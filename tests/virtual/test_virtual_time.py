"""Virtual time: days in seconds, real sockets and threads inside, and no silent hang."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import ClientSession, ClientTimeout, web
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from cem.io.virtual import ORIGIN_S, VirtualClock, VirtualEventLoop, VirtualTimeError, run_virtual

START = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_day_of_one_second_ticks_with_four_tasks_takes_seconds() -> None:
    ticks = [0, 0, 0, 0]

    async def task(index: int) -> None:
        while True:
            await asyncio.sleep(1.0)
            ticks[index] += 1

    async def day(clock: VirtualClock) -> datetime:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(task(index)) for index in range(4)]
            await asyncio.sleep(86_400.5)
            for one in tasks:
                one.cancel()
        return clock.now().wall

    began = time.monotonic()
    end = run_virtual(day, START)
    assert end == START + timedelta(seconds=86_400.5)
    assert ticks == [86_400] * 4
    assert time.monotonic() - began < 20.0


def test_both_clocks_move_together_until_the_wall_is_stepped() -> None:
    async def main(clock: VirtualClock) -> None:
        assert clock.now().mono_s == ORIGIN_S
        await asyncio.sleep(60)
        assert clock.now().wall == START + timedelta(seconds=60)
        clock.step_wall(timedelta(hours=-1))
        await asyncio.sleep(1)
        assert clock.now().wall == START + timedelta(seconds=61 - 3600)
        assert clock.now().mono_s == pytest.approx(ORIGIN_S + 61)

    run_virtual(main, START)


def test_an_http_client_and_server_live_in_the_same_virtual_hour() -> None:
    async def answer(_request: web.Request) -> web.Response:
        await asyncio.sleep(0.2)
        return web.json_response({"power_w": 1234})

    async def main(clock: VirtualClock) -> int:
        application = web.Application()
        application.router.add_get("/", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        good = 0
        end_s = clock.now().mono_s + 3600
        async with ClientSession(timeout=ClientTimeout(total=2.0)) as session:
            while clock.now().mono_s < end_s:
                async with session.get(f"http://127.0.0.1:{port}/") as response:
                    good += (await response.json())["power_w"] == 1234
                await asyncio.sleep(9.8)
        await runner.cleanup()
        return good

    assert run_virtual(main, START) == 360


def test_a_modbus_client_and_server_live_in_the_same_virtual_minutes() -> None:
    async def main(clock: VirtualClock) -> int:
        port = free_port()
        server = ModbusTcpServer(
            SimDevice(1, [SimData(0, values=list(range(100)), datatype=DataType.REGISTERS)]),
            address=("127.0.0.1", port),
        )
        await server.serve_forever(background=True)
        good = 0
        async with AsyncModbusTcpClient("127.0.0.1", port=port, timeout=1.0, retries=0) as client:
            end_s = clock.now().mono_s + 600
            while clock.now().mono_s < end_s:
                answer = await client.read_holding_registers(0, count=10)
                good += answer.registers == list(range(10))
                await asyncio.sleep(1.0)
        await server.shutdown()  # type: ignore[no-untyped-call]
        return good

    assert run_virtual(main, START) == 600


def test_an_executor_job_holds_the_clock() -> None:
    async def main(clock: VirtualClock) -> None:
        stop = asyncio.Event()
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while not stop.is_set():
                await asyncio.sleep(0.001)
                ticks += 1

        async with asyncio.TaskGroup() as group:
            group.create_task(tick())
            await asyncio.sleep(0.0105)
            before = clock.now()
            # 50 ms of real time in a thread; the tick task has a timer every virtual millisecond
            await asyncio.get_running_loop().run_in_executor(None, threading.Event().wait, 0.05)
            assert clock.now() == before
            stop.set()
        assert ticks == 11

    run_virtual(main, START)


def test_bytes_that_the_machine_carries_late_arrive_at_the_instant_at_which_they_were_sent() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    async def main(clock: VirtualClock) -> float:
        ticking = asyncio.create_task(tick())
        ear = socket.create_server(("127.0.0.1", 0))
        _, writer = await asyncio.open_connection(*ear.getsockname())
        other, _ = ear.accept()

        def read() -> None:
            while other.recv(1 << 20):
                pass

        # the other end is full and reads from real 20 ms on; a timer is due at each virtual millisecond
        writer.write(bytes(16 << 20))
        late = threading.Timer(0.02, read)
        late.start()
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        at_s = clock.now().mono_s
        ticking.cancel()
        late.join()
        other.close()
        ear.close()
        return at_s

    assert run_virtual(main, START) == ORIGIN_S
    assert ticks == 0


def test_bytes_that_nobody_reads_hold_the_clock_for_no_more_than_a_moment() -> None:
    async def main(clock: VirtualClock) -> float:
        ear = socket.create_server(("127.0.0.1", 0))
        _, writer = await asyncio.open_connection(*ear.getsockname())
        other, _ = ear.accept()
        writer.write(bytes(16 << 20))
        for _ in range(3600):
            await asyncio.sleep(1.0)
        writer.transport.abort()
        other.close()
        ear.close()
        return clock.now().mono_s

    began = time.monotonic()
    assert run_virtual(main, START) == ORIGIN_S + 3600
    assert time.monotonic() - began < 10.0


def test_a_cancelled_wait_for_a_job_still_holds_the_clock_until_the_job_ends() -> None:
    async def main(clock: VirtualClock) -> None:
        ended = threading.Event()
        started = threading.Event()
        proceed = threading.Event()

        def job() -> None:
            started.set()
            proceed.wait(10)
            ended.set()

        with ThreadPoolExecutor(1) as pool:
            future = asyncio.get_running_loop().run_in_executor(pool, job)
            started.wait(10)
            future.cancel()
            asyncio.get_running_loop().call_soon(proceed.set)
            await asyncio.sleep(5.0)
            assert ended.is_set()
            assert clock.now().mono_s == pytest.approx(ORIGIN_S + 5.0)

    run_virtual(main, START)


def test_to_thread_gives_its_result_and_its_error() -> None:
    def fail() -> None:
        raise ValueError("from the thread")

    async def main() -> int:
        with pytest.raises(ValueError, match="from the thread"):
            await asyncio.to_thread(fail)
        return await asyncio.to_thread(lambda: 42)

    assert run_virtual(main(), START) == 42


def test_waiting_for_nobody_is_an_error_and_not_a_hang() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(VirtualTimeError, match="deadlock"):
        run_virtual(main(), START)


def test_a_time_out_fires_at_its_virtual_time() -> None:
    async def main(clock: VirtualClock) -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(7200):
                await asyncio.Event().wait()
        return clock.now().mono_s

    assert run_virtual(main, START) == pytest.approx(ORIGIN_S + 7200)


def test_a_thread_outside_wakes_the_loop_while_the_clock_is_held() -> None:
    async def main(clock: VirtualClock) -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualEventLoop)
        woken = asyncio.Event()
        timer = threading.Timer(0.02, lambda: loop.call_soon_threadsafe(woken.set))
        with loop.held():
            timer.start()
            async with asyncio.timeout(1.0):
                await woken.wait()
        timer.join()
        return clock.now().mono_s

    assert run_virtual(main, START) == ORIGIN_S


def test_a_year_of_hourly_timers_does_not_drift() -> None:
    async def main(clock: VirtualClock) -> datetime:
        loop = asyncio.get_running_loop()
        due = loop.time()
        for _ in range(8760):
            due += 3600.0
            woken = asyncio.Event()
            loop.call_at(due, woken.set)
            await woken.wait()
        return clock.now().wall

    assert run_virtual(main, START) == START + timedelta(days=365)


def test_results_of_jobs_come_in_order_and_after_all_else_of_their_instant_however_long_they_took() -> None:
    async def main(clock: VirtualClock) -> list[str]:
        told: list[str] = []
        second_is_done = threading.Event()
        threads = ThreadPoolExecutor(4)

        async def wait_for(name: str, job: Callable[[], object]) -> None:
            await asyncio.get_running_loop().run_in_executor(threads, job)
            told.append(name)

        async def go_on() -> None:  # the first job ends after the second one
            assert await asyncio.get_running_loop().run_in_executor(threads, second_is_done.wait, 10)
            told.append("first")

        async def work() -> None:
            for _ in range(50):
                await asyncio.sleep(0)
            told.append("work")
            asyncio.get_running_loop().call_later(0.0, told.append, "timer")

        async with asyncio.TaskGroup() as group:
            group.create_task(go_on())
            group.create_task(wait_for("second", second_is_done.set))
            group.create_task(wait_for("third", bool))
            group.create_task(work())
        assert clock.now().mono_s == ORIGIN_S
        threads.shutdown()
        return told

    assert run_virtual(main, START) == ["work", "timer", "first", "second", "third"]


def test_without_sockets_a_job_is_done_in_the_loop_when_its_result_is_due_also_if_nobody_waits_any_more() -> None:
    done: list[tuple[str, str]] = []

    def job(name: str) -> None:
        done.append((name, threading.current_thread().name))

    async def main(clock: VirtualClock) -> None:
        loop, here = asyncio.get_running_loop(), threading.current_thread().name
        first, forsaken, last = (loop.run_in_executor(None, job, name) for name in ("first", "forsaken", "last"))
        forsaken.cancel()
        loop.call_later(0.0, done.append, ("timer", here))
        loop.call_later(0.001, done.append, ("a moment later", here))
        assert done == []
        await first
        await last
        assert clock.now().mono_s == ORIGIN_S
        await asyncio.sleep(1.0)
        assert done == [(name, here) for name in ("timer", "first", "forsaken", "last", "a moment later")]

    run_virtual(main, START)


def test_beside_a_socket_a_job_has_a_thread_and_may_wait_for_what_the_loop_serves() -> None:
    async def main(_: VirtualClock) -> bytes:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(4))
            writer.close()

        def ask(port: int) -> bytes:
            with socket.create_connection(("127.0.0.1", port), timeout=10.0) as line:
                line.sendall(b"ping")
                return line.recv(4)

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            return await asyncio.to_thread(ask, server.sockets[0].getsockname()[1])

    assert run_virtual(main, START) == b"ping"


def test_a_job_that_was_given_as_the_run_ended_is_done_all_the_same() -> None:
    done: list[str] = []

    async def main(_: VirtualClock) -> None:
        forgotten = asyncio.create_task(asyncio.to_thread(done.append, "forgotten"))
        await asyncio.sleep(0)
        forgotten.cancel()

    run_virtual(main, START)
    assert done == ["forgotten"]
