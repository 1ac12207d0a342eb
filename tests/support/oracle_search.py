"""The search through random scenarios: seed after seed, judged, and counted."""

import logging
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from cem.simulation.play import play
from support.oracle_random import drawn

CRASH = "crash"


@dataclass(frozen=True, slots=True)
class Hour:
    """What became of one seed. `broken` names each invariant once, or says "crash"; `said` has the judge's words."""

    seed: int
    home: str
    tick_s: float
    hours: float
    cpu_s: float
    broken: tuple[str, ...] = ()
    said: tuple[str, ...] = ()


def played(seed: int) -> Hour:
    """Plays the scenario of a seed to its end."""
    one = drawn(seed)
    began = time.process_time()
    try:
        found = play(one).violations
        broken, said = tuple(dict.fromkeys(v.invariant for v in found)), tuple(map(str, found))
    except Exception as error:  # noqa: BLE001 - whatever ends a gateway is found here, not an end of the search
        broken, said = (CRASH,), ("".join(traceback.format_exception(error))[-2000:],)
    cpu_s = round(time.process_time() - began, 2)
    return Hour(seed, one.home.name, one.step_s, one.for_s / 3600, cpu_s, broken, said)


@dataclass(slots=True)
class Tally:
    """The counts of a search."""

    scenarios: int = 0
    clean: int = 0
    hours: float = 0.0
    clean_hours: float = 0.0
    cpu_s: float = 0.0
    broken: Counter[str] = field(default_factory=Counter)
    by_tick: dict[float, float] = field(default_factory=dict)

    def add(self, hour: Hour) -> None:
        """Counts one scenario."""
        self.scenarios += 1
        self.hours += hour.hours
        self.cpu_s += hour.cpu_s
        self.by_tick[hour.tick_s] = self.by_tick.get(hour.tick_s, 0.0) + hour.hours
        self.broken.update(hour.broken)
        if not hour.broken:
            self.clean += 1
            self.clean_hours += hour.hours

    def __str__(self) -> str:
        """For a person."""
        broken = ", ".join(f"{name} {count}" for name, count in sorted(self.broken.items())) or "nothing"
        ticks = ", ".join(f"{tick:g} s {hours:.0f} h" for tick, hours in sorted(self.by_tick.items()))
        return (
            f"{self.hours:.0f} h in {self.scenarios} scenarios ({ticks}), {self.cpu_s:.0f} s of processor time; "
            f"clean: {self.clean} scenarios, {self.clean_hours:.0f} h; broken, by scenario: {broken}"
        )


def search(hours: float, first: int, processes: int = 1) -> Iterator[Hour]:
    """Plays seed after seed, from `first` on, until so many hours are played."""
    seeds: list[int] = []
    left = hours
    while left > 0.0:
        seeds.append(first + len(seeds))
        left -= drawn(seeds[-1]).for_s / 3600
    if processes == 1:
        yield from map(played, seeds)
        return
    with ProcessPoolExecutor(processes, initializer=logging.disable, initargs=(logging.CRITICAL,)) as pool:
        yield from pool.map(played, seeds, chunksize=4)
