"""Simulated pins in another process: the socket between the gpio driver and hw-sim."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cem.driver import Control, Device, DriverContext, NoAnswer, Role
from cem_drivers.gpio import DRIVER
from hw_sim.pins import PinBoard, PinSocket
from support.pin_bench import BOX, RELAY, SERIAL, Link, pins_config

LOAD_ON = Control.LOAD_ON


class Served:
    """A board behind a socket."""

    def __init__(self, folder: Path) -> None:
        self.board = PinBoard(SERIAL)
        self.board.levels |= dict.fromkeys((5, 6, 13, 19), True)
        self.path = folder / "pins.sock"
        self.socket = PinSocket(self.board, self.path)

    def device(self, link: Link, role: Role, control: Control | None = None) -> Device:
        """A device of a gateway in another process."""
        config = pins_config({**link, "board": "simulated", "simulated_file": str(self.path)}, role, control)
        return DRIVER.device(replace(config, id=role.value), DriverContext(time.monotonic))


def play(folder: Path, act: Callable[[Served], Awaitable[None]]) -> None:
    """An act with a board that is served."""

    async def main() -> None:
        served = Served(folder)
        await served.socket.start()
        try:
            await act(served)
        finally:
            await served.socket.stop()

    asyncio.run(main())


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(1000):
        if await holds():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("not within 5 s")


def test_levels_come_and_outputs_go(tmp_path: Path) -> None:
    async def act(served: Served) -> None:
        box, relay = served.device(BOX, Role.CONTACTS), served.device(RELAY, Role.LOAD, LOAD_ON)
        await box.open()
        await relay.open()
        assert {reading.point: reading.value for reading in await box.poll()} == dict.fromkeys(BOX, 0.0)
        served.board.bring(5, False)
        await relay.write("load", LOAD_ON, 1)

        async def is_driven() -> bool:
            return served.board.driven == {17: True}

        async def signals() -> bool:
            return {reading.point: reading.value for reading in await box.poll()}["w3"] == 1.0

        await _until(is_driven)
        await _until(signals)
        await relay.release("load", LOAD_ON)
        await relay.close()
        await box.close()
        assert served.board.driven == {}  # a close that ended has been heard
        assert not served.board.busy

    play(tmp_path, act)


def test_where_nobody_serves_pins_it_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        device = Served(tmp_path).device(RELAY, Role.LOAD, LOAD_ON)
        with pytest.raises(NoAnswer, match=r"no simulated pins: .* Check that hw-sim runs"):
            await device.open()

    asyncio.run(main())


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"[1]\n", b'{"serial": 3, "levels": {}}\n']
)
def test_what_is_no_board_is_no_answer(tmp_path: Path, answer: bytes) -> None:
    async def main() -> None:
        async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(answer)
            writer.close()

        served = Served(tmp_path)
        server = await asyncio.start_unix_server(serve, served.path)
        device = served.device(RELAY, Role.LOAD, LOAD_ON)
        with pytest.raises(NoAnswer, match="Check that hw-sim runs"):
            await device.open()
        server.close()

    asyncio.run(main())


def test_one_process_has_the_pins_at_a_time(tmp_path: Path) -> None:
    async def act(served: Served) -> None:
        first = served.device(RELAY, Role.LOAD, LOAD_ON)
        await first.open()
        assert served.board.busy
        reader, writer = await asyncio.open_unix_connection(served.path)
        assert await reader.read() == b""
        writer.close()
        await first.poll()
        await first.close()

    play(tmp_path, act)


def test_a_board_that_goes_away_is_silence_and_comes_back(tmp_path: Path) -> None:
    async def act(served: Served) -> None:
        device = served.device(BOX, Role.CONTACTS)
        await device.open()
        await served.socket.stop()

        async def is_gone() -> bool:
            try:
                await device.poll()
            except NoAnswer as error:
                return "is gone" in str(error)
            return False

        await _until(is_gone)
        await device.close()
        await served.socket.start()
        await device.open()
        assert await device.poll()
        await device.close()

    play(tmp_path, act)


def test_no_file_but_a_socket_is_ever_replaced(tmp_path: Path) -> None:
    async def main() -> None:
        served = Served(tmp_path)
        served.path.write_text("mine")
        with pytest.raises(OSError, match="in use"):
            await served.socket.start()
        assert served.path.read_text() == "mine"

    asyncio.run(main())
