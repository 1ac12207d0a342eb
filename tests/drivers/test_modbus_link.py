"""The guarded link on real bytes: what it never does, and how it comes back."""

import asyncio
import struct
import time

import pymodbus
import pytest
from pymodbus.client import AsyncModbusTcpClient

from cem.driver import BadAnswer, DriverContext, NoAnswer, Refused
from cem_drivers.modbus import Bus, open_bus
from support.modbus_wire import Registers, wire_server

CONTEXT = DriverContext(time.monotonic)


def _bus(port: int, unit: int = 1, timeout_s: float = 0.3) -> Bus:
    return open_bus({"host": "127.0.0.1", "port": port, "unit": unit, "timeout_s": timeout_s}, CONTEXT)


def _counting() -> Registers:
    registers = Registers()
    registers.put(0, range(1000))
    return registers


def test_the_pinned_version_is_the_one_that_was_measured() -> None:
    assert pymodbus.__version__.startswith("3.16.")


def test_a_read_gives_the_registers_as_bytes() -> None:
    async def main() -> None:
        async with wire_server(_counting().respond) as server:
            bus = _bus(server.port)
            assert await bus.read(7, 3) == struct.pack(">3H", 7, 8, 9)
            assert bus.link.statistics.requests == 1
            bus.close()

    asyncio.run(main())


def test_a_late_answer_is_never_taken_for_the_next_question() -> None:
    async def main() -> None:
        async with wire_server(_counting().respond) as server:
            bus = _bus(server.port, timeout_s=0.1)
            wrong = errors = 0
            for address in range(30):
                server.delay_s = 0.15 if address % 3 == 0 else 0.0
                try:
                    (value,) = struct.unpack(">H", await bus.read(address, 1))
                    wrong += value != address
                except NoAnswer:
                    errors += 1
            assert (wrong, errors) == (0, 10)
            assert bus.link.statistics.errors == 10
            bus.close()

    asyncio.run(main())


def test_after_any_error_the_connection_is_made_anew() -> None:
    async def main() -> None:
        registers = _counting()
        async with wire_server(registers.respond) as server:
            bus = _bus(server.port, timeout_s=0.1)
            await bus.read(0, 1)
            assert (server.connections, bus.generation) == (1, 0)
            registers.silent = True
            with pytest.raises(NoAnswer, match=r"unit 1 in 0\.1 s"):
                await bus.read(0, 1)
            registers.silent = False
            await bus.read(0, 1)
            assert (server.connections, bus.generation) == (2, 1)
            bus.close()

    asyncio.run(main())


def test_a_device_that_hangs_up_is_known_at_once() -> None:
    async def main() -> None:
        async with wire_server(_counting().respond) as server:
            bus = _bus(server.port, timeout_s=1.5)
            server.hang_up = True
            began = time.monotonic()
            with pytest.raises(NoAnswer, match="closed by the device"):
                await bus.read(0, 1)
            assert time.monotonic() - began < 1.0
            server.hang_up = False
            assert await bus.read(5, 1) == b"\0\5"
            bus.close()

    asyncio.run(main())


def test_a_closed_port_says_so() -> None:
    async def main() -> None:
        async with wire_server(_counting().respond) as server:
            port = server.port
        bus = _bus(port)
        with pytest.raises(NoAnswer, match=f"no connection to 127.0.0.1:{port}"):
            await bus.read(0, 1)
        bus.close()

    asyncio.run(main())


def test_an_answer_of_another_transaction_or_length_is_not_taken() -> None:
    async def main() -> None:
        registers = _counting()
        async with wire_server(registers.respond) as server:
            bus = _bus(server.port, timeout_s=0.1)
            server.other_transaction = True
            with pytest.raises(NoAnswer):
                await bus.read(0, 1)
            server.other_transaction = False
            server.respond = lambda _unit, _pdu: bytes((3, 4, 0, 0, 0, 0))
            with pytest.raises(BadAnswer, match="1 registers asked, 2 answered"):
                await bus.read(0, 1)
            server.respond = lambda _unit, _pdu: b"\x2b\x0e\x01"
            with pytest.raises(BadAnswer) as caught:
                await bus.read(0, 1)
            assert caught.value.raw == b"\x2b\x0e\x01"
            server.respond = registers.respond
            assert await bus.read(3, 1) == b"\0\3"
            bus.close()

    asyncio.run(main())


def test_a_refusal_keeps_the_connection_and_names_the_code() -> None:
    async def main() -> None:
        async with wire_server(_counting().respond) as server:
            bus = _bus(server.port)
            with pytest.raises(Refused, match="illegal data address") as caught:
                await bus.read(5000, 1)
            assert caught.value.code == 2
            await bus.read(0, 1)
            assert server.connections == 1
            bus.close()

    asyncio.run(main())


def test_a_gateway_that_reached_nobody_is_no_answer() -> None:
    async def main() -> None:
        async with wire_server(lambda _unit, pdu: bytes((pdu[0] | 0x80, 11))) as server:
            bus = _bus(server.port)
            with pytest.raises(NoAnswer, match="gateway"):
                await bus.read(0, 1)
            bus.close()

    asyncio.run(main())


def test_devices_behind_one_address_share_a_link_with_one_request_in_flight() -> None:
    async def main() -> None:
        registers = _counting()
        registers.units = frozenset({1, 2, 3})
        async with wire_server(registers.respond) as server:
            server.delay_s = 0.005
            buses = [_bus(server.port, unit, 1.0) for unit in (1, 2, 3)]
            answers = await asyncio.gather(*(bus.read(at, 1) for at in range(8) for bus in buses))
            assert answers == [struct.pack(">H", at) for at in range(8) for _ in buses]
            assert (server.connections, server.most_in_flight) == (1, 1)
            for bus in buses[1:]:
                bus.close()
            assert await buses[0].read(1, 1) == b"\0\1"
            assert server.connections == 1
            buses[0].close()
            again = _bus(server.port)
            await again.read(0, 1)
            assert server.connections == 2
            again.close()

    asyncio.run(main())


def test_a_write_without_answer_is_sent_once() -> None:
    async def main() -> None:
        registers = _counting()
        asked: list[bytes] = []

        def swallow(unit: int, pdu: bytes) -> bytes | None:
            asked.append(pdu)
            return None if pdu[0] == 16 else registers.respond(unit, pdu)

        async with wire_server(swallow) as server:
            bus = _bus(server.port, timeout_s=0.1)
            with pytest.raises(NoAnswer):
                await bus.write(5, [1, 2])
            await bus.read(5, 2)
            assert [pdu[0] for pdu in asked] == [16, 3]
            bus.close()

    asyncio.run(main())


def test_a_device_without_function_16_gets_function_6_from_then_on() -> None:
    async def main() -> None:
        registers = _counting()
        registers.refuses = frozenset({16})
        async with wire_server(registers.respond) as server:
            bus = _bus(server.port)
            await bus.write(5, [1, 2])
            await bus.write(9, [7])
            assert [pdu[0] for pdu in registers.writes] == [16, 6, 6, 6]
            assert (registers.words[5], registers.words[6], registers.words[9]) == (1, 2, 7)
            bus.close()

    asyncio.run(main())


def test_a_cancelled_request_leaves_no_answer_behind() -> None:
    async def main() -> None:
        async with wire_server(_counting().respond) as server:
            server.delay_s = 0.2
            bus = _bus(server.port, timeout_s=1.0)
            task = asyncio.create_task(bus.read(1, 1))
            await server.asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            server.delay_s = 0.0
            assert await bus.read(2, 1) == b"\0\2"
            assert server.connections == 2
            bus.close()

    asyncio.run(main())


def test_the_guard_costs_at_most_a_third_more_than_the_bare_client() -> None:
    reads = 300

    async def bare(port: int) -> float:
        client = AsyncModbusTcpClient("127.0.0.1", port=port)
        assert await client.connect()
        began = time.process_time()
        for _ in range(reads):
            assert (await client.read_holding_registers(0, count=100)).registers[99] == 99
        spent = time.process_time() - began
        client.close()
        return spent

    async def guarded(port: int) -> float:
        bus = _bus(port, timeout_s=1.0)
        await bus.read(0, 1)
        began = time.process_time()
        for _ in range(reads):
            assert struct.unpack(">100H", await bus.read(0, 100))[99] == 99
        spent = time.process_time() - began
        bus.close()
        return spent

    async def main() -> None:
        async with wire_server(_counting().respond) as server:
            ratios = [await guarded(server.port) / await bare(server.port) for _ in range(3)]
            assert min(ratios) <= 1.3, ratios

    asyncio.run(main())
