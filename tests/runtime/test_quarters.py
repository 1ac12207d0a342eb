"""Quarter hours of the record, read once."""

import asyncio
from bisect import bisect_left

from cem.runtime.quarters import Quarters

DAY_S = 86400
NOON_S = 1_780_000_200 // 900 * 900 + 12 * 3600


class _Record:
    """Minutes, and how many of them were asked for."""

    def __init__(self, minutes: list[tuple[int, float]]) -> None:
        self.minutes = minutes
        self.read = 0

    async def minute_means(self, signal: str, since_s: int, until_s: int) -> list[tuple[int, float]]:
        assert signal == "pv.power_w"
        found = self.minutes[bisect_left(self.minutes, (since_s,)) : bisect_left(self.minutes, (until_s,))]
        self.read += len(found)
        return found


def _ramp(until_s: int) -> list[tuple[int, float]]:
    return [(at, float(at - NOON_S)) for at in range(NOON_S - DAY_S, until_s, 60)]


def test_quarters_are_the_means_of_their_minutes_and_the_running_one_so_far() -> None:
    quarters = Quarters(_Record(_ramp(NOON_S + 300)), DAY_S)
    found = asyncio.run(quarters.means("pv.power_w", NOON_S + 300))
    assert len(found) == 97 - 1 + 1
    assert found[-2] == (NOON_S - 900, -900.0 + 420.0)
    assert found[-1] == (NOON_S, 120.0)  # of five minutes


def test_a_second_look_reads_only_what_is_new_and_says_the_same_as_a_first_one() -> None:
    record = _Record(_ramp(NOON_S + 1200))
    kept = Quarters(record, DAY_S)

    async def looks() -> list[list[tuple[int, float]]]:
        await kept.means("pv.power_w", NOON_S + 300)
        read = record.read
        again = await kept.means("pv.power_w", NOON_S + 1200)
        assert record.read - read <= 40
        return [again, await Quarters(_Record(record.minutes), DAY_S).means("pv.power_w", NOON_S + 1200)]

    again, anew = asyncio.run(looks())
    assert again == [one for one in anew if one[0] >= again[0][0]]
    assert again[0][0] >= NOON_S + 1200 - DAY_S


def test_what_comes_late_into_the_record_is_not_missed() -> None:
    record = _Record(_ramp(NOON_S - 60))  # the last minute is not written yet
    kept = Quarters(record, DAY_S)

    async def looks() -> list[tuple[int, float]]:
        await kept.means("pv.power_w", NOON_S + 30)
        record.minutes = _ramp(NOON_S + 120)
        return await kept.means("pv.power_w", NOON_S + 120)

    assert (NOON_S - 900, -480.0) in asyncio.run(looks())


def test_a_clock_that_was_turned_back_reads_anew() -> None:
    kept = Quarters(_Record(_ramp(NOON_S + 7200)), DAY_S)

    async def looks() -> list[tuple[int, float]]:
        await kept.means("pv.power_w", NOON_S + 7200)
        return await kept.means("pv.power_w", NOON_S)

    found = asyncio.run(looks())
    assert found[-1][0] == NOON_S - 900
    assert len(found) == 96
