"""What comes over a simulated home whoever runs it: load, sun, cars; in means of minutes, before, within and after."""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from cem.simulation.harness import ANSWER_S
from cem.simulation.plant import Home, SimulatedHome

Array = NDArray[np.float64]
MINUTE_S = 60
HUGE_WH = 1e9
"""Capacity of a car that never gets empty, nor wants anything, while its trips are looked at."""


@dataclass(frozen=True, slots=True)
class CarCourse:
    """Of a car per minute: the share of it in which it is plugged, and what it used since it left (Wh, at arrival)."""

    plugged: Array
    used_wh: Array


@dataclass(frozen=True, slots=True)
class HeatCourse:
    """Of a heat pump per minute: the air outside, and the heat that the house wants, in Wh."""

    outdoor_c: Array
    wanted_wh: Array


@dataclass(frozen=True, slots=True)
class Course:
    """Values of whole minutes from `start` on; powers are means in W, generation as a magnitude before any limit."""

    start: datetime
    load_w: Array
    pv_w: Mapping[str, Array]
    cars: Mapping[str, CarCourse]
    heat: Mapping[str, HeatCourse] = field(default_factory=dict)

    @property
    def minutes(self) -> int:
        """How many there are."""
        return len(self.load_w)

    @property
    def sun_w(self) -> Array:
        """All roofs together."""
        return np.sum([*self.pv_w.values()], axis=0) if self.pv_w else np.zeros(self.minutes)

    def minute_of(self, at: datetime) -> int:
        """Which minute an instant falls into."""
        return math.floor((at - self.start).total_seconds() / MINUTE_S + 1e-6)

    def then(self, later: "Course") -> "Course":
        """This one, and another one of the same home that begins where it ends."""
        return Course(
            self.start,
            np.concatenate([self.load_w, later.load_w]),
            {name: np.concatenate([values, later.pv_w[name]]) for name, values in self.pv_w.items()},
            {
                name: CarCourse(
                    np.concatenate([car.plugged, later.cars[name].plugged]),
                    np.concatenate([car.used_wh, later.cars[name].used_wh]),
                )
                for name, car in self.cars.items()
            },
            {
                name: HeatCourse(
                    np.concatenate([heat.outdoor_c, later.heat[name].outdoor_c]),
                    np.concatenate([heat.wanted_wh, later.heat[name].wanted_wh]),
                )
                for name, heat in self.heat.items()
            },
        )

    def part(self, start: datetime, end: datetime) -> "Course":
        """The minutes from one instant to another."""
        which = slice(self.minute_of(start), self.minute_of(end))
        return Course(
            start,
            self.load_w[which],
            {name: values[which] for name, values in self.pv_w.items()},
            {name: CarCourse(car.plugged[which], car.used_wh[which]) for name, car in self.cars.items()},
            {name: HeatCourse(heat.outdoor_c[which], heat.wanted_wh[which]) for name, heat in self.heat.items()},
        )


def course_of(home: Home, start: datetime, end: datetime, *, seed: int | None, step_s: float = 60.0) -> Course:
    """Lets the home run alone, with nobody who steers it; `step_s` divides a minute. Time lines count from `start`."""
    if not math.isclose(round(MINUTE_S / step_s) * step_s, MINUTE_S):
        raise ValueError(f"step_s: {step_s:g}; allowed: what divides a minute")
    thirsty = home.model_copy(
        update={
            "ev": tuple(
                s.model_copy(update={"capacity_wh": HUGE_WH, "soc_pct": 50.0, "target_soc_pct": 0.0}) for s in home.ev
            )
        }
    )
    count = math.ceil((end - start) / timedelta(minutes=1))

    return asyncio.run(_watched(thirsty, start, count, seed, step_s))


async def _watched(home: Home, start: datetime, count: int, seed: int | None, step_s: float) -> Course:
    """The course of so many minutes; in a long step load and sky stay until its last second, as in a brisk bench."""
    plant = SimulatedHome(home, start, seed=seed, step_s=step_s)
    record = _Record(plant, count)
    answer_s = min(ANSWER_S, step_s)
    await plant.start()
    try:
        for minute in range(count):
            for _ in range(round(MINUTE_S / step_s)):
                if step_s > answer_s:
                    plant.step(step_s - answer_s, steady=True)
                    record.take(minute, (step_s - answer_s) / MINUTE_S)
                plant.step(answer_s)
                record.take(minute, answer_s / MINUTE_S)
    finally:
        await plant.stop()
    return record.course(start)


class _Record:
    """Sums of minutes while they are made."""

    def __init__(self, plant: SimulatedHome, count: int) -> None:
        self._house = house = plant.house
        self._load = np.zeros(count)
        self._pv = {name: np.zeros(count) for name in house.roofs}
        self._cars = {name: CarCourse(np.zeros(count), np.zeros(count)) for name in house.charging_points}
        self._heat = {name: HeatCourse(np.zeros(count), np.zeros(count)) for name in house.heat_pumps}
        self._left = {name: car.soc_wh for name, car in house.charging_points.items()}
        self._wanted = {name: pump.drawn_wh + pump.unmet_wh for name, pump in house.heat_pumps.items()}
        self._plug_ins = {name: car.plug_ins for name, car in house.charging_points.items()}

    def take(self, minute: int, share: float) -> None:
        """Adds a step that has just been made; `share` is its part of the minute."""
        house = self._house
        self._load[minute] += share * house.household.power_w
        for name, roof in house.roofs.items():
            self._pv[name][minute] += share * roof.available_w
        for name, car in house.charging_points.items():
            mine = self._cars[name]
            mine.plugged[minute] += share * car.plugged
            if car.plug_ins != self._plug_ins[name]:
                self._plug_ins[name] = car.plug_ins
                mine.used_wh[minute] += self._left[name] - car.soc_wh
            self._left[name] = car.soc_wh
        for name, pump in house.heat_pumps.items():
            heat = self._heat[name]
            heat.outdoor_c[minute] += share * house.outdoor_c
            heat.wanted_wh[minute] += pump.drawn_wh + pump.unmet_wh - self._wanted[name]
            self._wanted[name] = pump.drawn_wh + pump.unmet_wh

    def course(self, start: datetime) -> Course:
        """All of it, from `start` on."""
        return Course(start, self._load, self._pv, self._cars, self._heat)
