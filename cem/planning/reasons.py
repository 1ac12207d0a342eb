"""Why the plan is as it is, and what it can't keep, in words for the owner."""

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from cem.model.plan import EvNeed, Intent, IntentKind, PlanRequest
from cem.planning.lp import Array
from cem.planning.optimiser import Solution
from cem.planning.parts import CarPart, Problem, StorePart

LEAST_KWH = 0.05  # what is missed by less is not worth a sentence
LEAST_KW = 0.02


class _Words:
    """Times and prices of one request in words."""

    def __init__(self, request: PlanRequest) -> None:
        self._edges = request.edges
        self._zone = ZoneInfo(request.zone)

    def at(self, instant: datetime) -> str:
        """Local time, with the weekday where it isn't the plan's first day."""
        local, first = instant.astimezone(self._zone), self._edges[0].astimezone(self._zone)
        return f"{local:%H:%M}" if local.date() == first.date() else f"{local:%a %H:%M}"

    def span(self, first: int, last: int) -> str:
        """From the start of one slot to the end of another."""
        end = self._edges[last + 1].astimezone(self._zone)
        return f"{self.at(self._edges[first])}-{end:%H:%M}"

    def slot(self, t: int) -> str:
        """When a slot starts."""
        return self.at(self._edges[t])


def reasons_of(
    request: PlanRequest, problem: Problem, solution: Solution, intents: dict[str, list[Intent]]
) -> list[str]:
    """First what can't be kept, then what is done and why."""
    words = _Words(request)
    missed = _limits_missed(words, problem, solution)
    done: list[str] = []
    for battery, found in zip(problem.stores, solution.stores, strict=True):
        if not battery.max_discharge_kw.any():
            done += [
                f"{battery.name}: stores heat {words.span(first, last)}, "
                f"{_against(words, problem, _mean(problem.import_price, problem.hours, first, last), last)}"
                for kind, first, last in _kinds(intents[battery.id])
                if kind is IntentKind.CHARGE_TO
            ]
            continue
        missed += _reserve_missed(words, battery, found.soc_kwh)
        done += _battery(words, problem, battery, found.value_per_kwh, intents[battery.id])
    for car, charged in zip(problem.cars, solution.cars, strict=True):
        need = next(need for need in request.ev if need.resource_id == car.id)
        missed += _goal_missed(words, problem, car, charged.missed_kwh, need.due)
        done += _usual(words, car, need)
        done += _car(words, problem, car, charged.power_kw, intents[car.id])
    for load, run in zip(problem.loads, solution.loads, strict=True):
        if not run.slots:
            missed.append(f"{load.name}: does not run, the time that is left is too short")
        for kind, first, last in _kinds(intents[load.id]):
            if kind is IntentKind.CHARGE_TO:
                price = _mean(problem.import_price, problem.hours, first, last)
                done.append(f"{load.name}: runs {words.span(first, last)}, price {price:.2f}")
    return missed + done + _curtailed(words, problem, solution)


def _limits_missed(words: _Words, problem: Problem, solution: Solution) -> list[str]:
    sentences = []
    sides = (
        ("import", solution.import_over_kw, problem.import_limit_kw, "load"),
        ("export", solution.export_over_kw, problem.export_limit_kw, "generation"),
    )
    for side, over, limit, cause in sides:
        for first, last in _runs(over > LEAST_KW):
            most = float(over[first : last + 1].max())
            sentences.append(
                f"{side} limit: exceeded by up to {most:.1f} kW {words.span(first, last)}, the expected {cause} is "
                f"above {float(limit[first]):.1f} kW and nothing that may be planned can take it up"
            )
    return sentences


def _reserve_missed(words: _Words, battery: StorePart, soc_kwh: Array) -> list[str]:
    if battery.soc_kwh >= battery.floor_kwh - battery.capacity_kwh / 1000.0:
        return []
    below = soc_kwh < battery.floor_kwh - battery.capacity_kwh / 1000.0
    back = np.flatnonzero(~below)
    until = f"until {words.slot(int(back[0]))}" if back.size else "over the whole plan"
    return [f"{battery.name}: below its reserve of {100 * battery.floor_kwh / battery.capacity_kwh:.0f} % {until}"]


def _goal_missed(
    words: _Words, problem: Problem, car: CarPart, missed_kwh: tuple[float, ...], due: datetime | None
) -> list[str]:
    if due is None or not missed_kwh or missed_kwh[0] < LEAST_KWH:
        return []
    most_kw, goal = float(car.max_kw.max()), car.goals[0]
    possible = float((car.max_kw * problem.hours * goal.by).sum())
    cause = (
        f"the time left is too short even at {most_kw:.1f} kW"
        if possible < goal.level_kwh
        else "the import limit leaves no more"
    )
    return [
        f"{car.name}: {missed_kwh[0]:.1f} kWh of {goal.level_kwh:.1f} kWh will be missing at {words.at(due)}, {cause}"
    ]


def _usual(words: _Words, car: CarPart, need: EvNeed) -> list[str]:
    if not need.usual:
        return []
    if need.due is None:
        return [f"{car.name}: has what it usually takes; more of it while that is cheap"]
    kwh = need.energy_wh / 1000.0
    return [f"{car.name}: gets {kwh:.1f} kWh by {words.at(need.due)}, as it usually takes and leaves"]


def _battery(words: _Words, problem: Problem, battery: StorePart, value: Array, intents: list[Intent]) -> list[str]:
    sentences = []
    for kind, first, last in _kinds(intents):
        span, price = words.span(first, last), _mean(problem.import_price, problem.hours, first, last)
        if kind is IntentKind.CHARGE_TO:
            sentences.append(f"{battery.name}: charge from the grid {span}, {_against(words, problem, price, last)}")
        elif kind is IntentKind.DISCHARGE_TO:
            paid = _mean(problem.export_price, problem.hours, first, last)
            sentences.append(f"{battery.name}: feed in {span}, paid {paid:.2f}")
        elif kind is IntentKind.HOLD:
            worth = _mean(value, problem.hours, first, last)
            sentences.append(f"{battery.name}: hold {span}, what is stored is worth {worth:.2f}, the grid {price:.2f}")
    return sentences


def _against(words: _Words, problem: Problem, price: float, last: int) -> str:
    later = problem.import_price[last + 1 :]
    if price < 0:
        return f"price {price:.2f}: using it is paid"
    if not later.size or float(later.max()) <= price:
        return f"price {price:.2f}"
    dearest = last + 1 + int(later.argmax())
    return f"price {price:.2f} against {problem.import_price[dearest]:.2f} at {words.slot(dearest)}"


def _car(words: _Words, problem: Problem, car: CarPart, power_kw: Array, intents: list[Intent]) -> list[str]:
    sentences = []
    for kind, first, last in _kinds(intents):
        stretch = slice(first, last + 1)
        energy = float((power_kw * problem.hours)[stretch].sum())
        if kind is IntentKind.CHARGE_TO:
            price = _mean(problem.import_price, problem.hours, first, last)
            sentences.append(
                f"{car.name}: charge from the grid {words.span(first, last)}, {energy:.1f} kWh at {price:.2f}"
            )
        elif kind is IntentKind.SURPLUS_ONLY and energy >= LEAST_KWH:
            sentences.append(f"{car.name}: charge from the sun {words.span(first, last)}, {energy:.1f} kWh")
    return sentences


def _curtailed(words: _Words, problem: Problem, solution: Solution) -> list[str]:
    sentences = []
    for first, last in _runs(solution.curtailed_kw > LEAST_KW):
        stretch = slice(first, last + 1)
        energy = float((solution.curtailed_kw * problem.hours)[stretch].sum())
        if energy < LEAST_KWH:
            continue
        paid = _mean(problem.export_price, problem.hours, first, last)
        cause = f"feeding in costs {-paid:.2f}" if paid < 0 else "the export limit is reached"
        sentences.append(f"PV: {energy:.1f} kWh not generated {words.span(first, last)}, {cause}")
    return sentences


def _runs(flags: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """First and last index of each stretch of True."""
    for flag, group in groupby(range(len(flags)), key=lambda t: bool(flags[t])):
        if flag:
            stretch = list(group)
            yield stretch[0], stretch[-1]


def _kinds(intents: list[Intent]) -> Iterator[tuple[IntentKind, int, int]]:
    """Each stretch of slots with one kind of intent."""
    for kind, group in groupby(range(len(intents)), key=lambda t: intents[t].kind):
        stretch = list(group)
        yield kind, stretch[0], stretch[-1]


def _mean(values: Array, hours: Array, first: int, last: int) -> float:
    stretch = slice(first, last + 1)
    return float((values[stretch] * hours[stretch]).sum() / hours[stretch].sum())
