"""RTU frames carry no number: late, lost and doubled answers must never become wrong values."""

import asyncio
import struct
import time
from collections import Counter

import pytest

from cem.driver import DeviceError, DriverContext, NoAnswer
from cem_drivers.modbus import Bus, link_statistics, open_bus
from hw_sim.late_gateway import LateGateway, Lateness

Link = dict[str, str | int | float | bool]
CONTEXT = DriverContext(time.monotonic)
UNITS = (1, 2, 3)
LANES, READS = 40, 250  # 10,000 reads


def _word(unit: int, address: int) -> int:
    return unit * 10_000 + address


def _bus(gateway: LateGateway, unit: int, timeout_s: float = 0.1) -> Bus:
    link: Link = {"kind": "rtu-tcp", "host": "127.0.0.1", "port": gateway.port, "unit": unit, "timeout_s": timeout_s}
    return open_bus(link, CONTEXT)


async def _lane(lateness: Lateness, passes_bytes: bool, seed: int, timeout_s: float) -> Counter[str]:
    """Interleaved units and addresses over one link, one after the other."""
    gateway = LateGateway(_word, dict.fromkeys(UNITS, lateness), passes_bytes=passes_bytes, seed=seed)
    await gateway.start()
    buses = [_bus(gateway, unit, timeout_s) for unit in UNITS]
    seen: Counter[str] = Counter()
    for number in range(READS):
        bus, address = buses[number // 2 % 3], number * 37 % 900
        try:
            (value,) = struct.unpack(">H", await bus.read(address, 1))
        except DeviceError:
            seen["error"] += 1
        else:
            seen["right" if value == _word(bus.unit, address) else "wrong"] += 1
    seen["late"] = gateway.late
    for bus in buses:
        bus.close()
    await gateway.stop()
    return seen


def _total(lateness: Lateness, passes_bytes: bool, lanes: int, timeout_s: float = 0.1) -> Counter[str]:
    async def main() -> Counter[str]:
        seen = await asyncio.gather(*(_lane(lateness, passes_bytes, seed, timeout_s) for seed in range(lanes)))
        return sum(seen, Counter())

    return asyncio.run(main())


@pytest.mark.parametrize("passes_bytes", [False, True])
def test_of_10000_reads_with_5_percent_late_answers_none_is_wrong_and_nine_in_ten_are_right(passes_bytes: bool) -> None:
    seen = _total(Lateness(share=0.05), passes_bytes, LANES)
    assert seen["late"] >= 0.03 * LANES * READS
    assert seen["wrong"] == 0
    assert seen["right"] >= 0.9 * LANES * READS


def test_doubled_answers_are_not_taken_twice() -> None:
    seen = _total(Lateness(twice=0.3), False, 4, timeout_s=1.0)  # patience enough for a busy machine
    assert (seen["wrong"], seen["error"]) == (0, 0)


def test_the_link_tells_what_it_saw() -> None:
    async def main() -> None:
        gateway = LateGateway(_word, {1: Lateness(share=1.0, least_s=0.15, most_s=0.15)})
        await gateway.start()
        bus = _bus(gateway, 1)
        with pytest.raises(NoAnswer):
            await bus.read(1, 1)
        gateway.lateness[1] = Lateness()
        assert await bus.read(2, 1) == struct.pack(">H", _word(1, 2))
        seen = link_statistics()[bus.link.name]
        assert (seen.requests, seen.timeouts, seen.late, seen.opened) == (2, 1, 1, 2)
        bus.close()
        assert link_statistics() == {}
        await gateway.stop()

    asyncio.run(main())


def test_a_dead_unit_leaves_the_others_four_fifths_of_the_line() -> None:
    """Two live units and a dead one on one line, each polled as fast as it goes.

    Counted, not raced: a question to the dead one costs the line its patience, and what may still come after it.
    """
    patience_s = slowest_s = 0.1

    async def poll_dead(bus: Bus) -> None:
        while True:
            with pytest.raises(NoAnswer):
                await bus.read(1, 1)
            await asyncio.sleep(0.02)

    async def poll_live(bus: Bus) -> None:
        for _ in range(150):
            assert await bus.read(1, 1) == struct.pack(">H", _word(bus.unit, 1))

    async def main() -> None:
        gateway = LateGateway(_word, {1: Lateness(prompt_s=0.005), 2: Lateness(prompt_s=0.005)})
        await gateway.start()
        link: Link = {"kind": "rtu-tcp", "host": "127.0.0.1", "port": gateway.port, "slowest_answer_s": slowest_s}
        live = [open_bus({**link, "unit": unit, "timeout_s": 1.5}, CONTEXT) for unit in (1, 2)]
        dead = open_bus({**link, "unit": 9, "timeout_s": patience_s}, CONTEXT)
        try:
            began_s = time.monotonic()
            pestering = asyncio.create_task(poll_dead(dead))
            await asyncio.gather(*(poll_live(bus) for bus in live))
            passed_s = time.monotonic() - began_s
            assert not pestering.done()
            pestering.cancel()
            await asyncio.gather(pestering, return_exceptions=True)
            seen = dead.link.statistics
            assert seen.timeouts > 0
            assert seen.spared > seen.timeouts
            assert seen.timeouts * (patience_s + slowest_s) <= 0.2 * passed_s, seen
        finally:
            for bus in (*live, dead):
                bus.close()
            await gateway.stop()

    asyncio.run(main())
