"""One store or car gone over again, all else as it is: a dynamic programme over a grid of what is stored.

Where buying is paid or feeding in pays more than buying costs, single decisions turned over find little: charging now
and giving in the next slot only pays together. The grid is coarse; what counts is only which way each slot goes.
"""

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cem.model.values import value
from cem.planning.lp import Array, Index
from cem.planning.parts import CarPart, Problem, StorePart
from cem.planning.programme import GOAL_PRICE, most_discharge
from cem.planning.slot_cost import slot_cost

LEVELS: Final = 160


@value(frozen=True, slots=True, eq=False)
class Beside:
    """A car that may charge along, and what a kW of it is worth in each slot."""

    car: CarPart
    worth: Array


def fits(part: StorePart | CarPart) -> bool:
    """Whether a grid can follow it: nothing is lost from it, and it stands within its band."""
    if isinstance(part, CarPart):
        return part.room_kwh > 0.0
    quiet = part.drain_kw is None and part.loss_per_h == 0.0
    return quiet and part.floor_kwh <= part.soc_kwh <= part.capacity_kwh and part.floor_kwh < part.capacity_kwh


def swept(
    problem: Problem, part: StorePart | CarPart, others_kw: Array, beside: Beside | None = None
) -> tuple[Array, Array]:
    """The cheapest kW per slot, charging positive, when all others together take `others_kw`; and of the car beside."""
    store = _as_store(problem, part) if isinstance(part, CarPart) else part
    grid_kwh = (store.capacity_kwh - store.floor_kwh) / LEVELS
    reach, power, possible = _moves(problem, store, grid_kwh)
    slots, hours = np.arange(problem.slots), problem.hours[:, None]
    taken = others_kw[:, None] + power
    cost, also = slot_cost(problem, slots, taken)[0], np.zeros(power.shape)
    if beside is not None:
        cost, also = _along(problem, beside, taken, cost)
    cost = np.where(possible, cost + store.wear * np.maximum(-power, 0.0) * hours, np.inf)
    levels = np.linspace(store.floor_kwh, store.capacity_kwh, LEVELS + 1)
    level = round((store.soc_kwh - store.floor_kwh) / grid_kwh)
    moves = _cheapest(cost, _dues(problem, store, levels), reach, level)
    return power[slots, moves], also[slots, moves]


def _as_store(problem: Problem, car: CarPart) -> StorePart:
    return StorePart(
        id=car.id,
        name=car.name,
        capacity_kwh=car.capacity_kwh,
        soc_kwh=car.soc_kwh,
        floor_kwh=car.soc_kwh,
        max_charge_kw=car.max_kw,
        max_discharge_kw=np.zeros(problem.slots),
        charge_efficiency=np.full(problem.slots, car.efficiency),
        min_charge_kw=car.min_kw,
        end_value=car.end_value,
        goals=car.goals,
    )


def _moves(problem: Problem, store: StorePart, grid_kwh: float) -> tuple[int, Array, Array]:
    """How many levels a slot moves at most; kW of each move of each slot, and whether it can be.

    The move nearest to the most counts as it, so that rounding makes no store slower.
    """
    hours = problem.hours[:, None]
    per_kwh_in, per_kwh_out = 1.0 / (store.charge_efficiency[:, None] * hours), store.discharge_efficiency / hours
    into, out = store.max_charge_kw[:, None], most_discharge(problem, store)[:, None]
    reach = min(round(float(max((into / per_kwh_in).max(), (out / per_kwh_out).max())) / grid_kwh), LEVELS)
    gain = np.arange(-reach, reach + 1) * grid_kwh
    wanted = np.where(gain > 0.0, gain * per_kwh_in, gain * per_kwh_out)
    power = np.clip(wanted, -out, into)
    half = grid_kwh / 2.0
    possible = np.abs(wanted - power) <= np.where(gain > 0.0, half * per_kwh_in, half * per_kwh_out)
    possible &= (np.sign(power) == np.sign(gain)) & ((power <= 0.0) | (power >= store.min_charge_kw))
    return reach, power, possible


def _along(problem: Problem, beside: Beside, taken: Array, cost: Array) -> tuple[Array, Array]:
    """The cost with the best that the car may do at each move: nothing, its least, its most, or up to a bend."""
    car, slots = beside.car, np.flatnonzero(beside.car.max_kw > 0.0)
    least, most = np.minimum(car.min_kw, car.max_kw)[slots, None], car.max_kw[slots, None]
    here = taken[slots]
    net = (problem.load_kw - problem.pv_kw)[slots, None] + here
    to_limit = np.clip(problem.import_limit_kw[slots, None] - net, least, most)
    best, chosen = cost[slots], np.zeros(here.shape)
    for amount in (least, most, to_limit, np.clip(-net, least, most)):
        other = slot_cost(problem, slots, here + amount)[0] - beside.worth[slots, None] * amount
        better = other < best
        best, chosen = np.where(better, other, best), np.where(better, amount, chosen)
    cost, also = cost.copy(), np.zeros(cost.shape)
    cost[slots], also[slots] = best, chosen
    return cost, also


def _dues(problem: Problem, store: StorePart, levels: Array) -> Array:
    """What it costs to stand at each level at the end of each slot."""
    dues = np.zeros((problem.slots, len(levels)))
    dues[-1] -= store.end_value * levels
    for goal in store.goals:
        if goal.slots_before:
            missed = np.maximum(goal.level_kwh - levels, 0.0)
            dues[goal.slots_before - 1] += GOAL_PRICE * problem.price_scale * goal.weight * missed
    return dues


def _cheapest(cost: Array, dues: Array, reach: int, level: int) -> Index:
    """The best move of each slot, from a level on."""
    slots, count = dues.shape
    ahead = np.full((slots, count + 2 * reach), np.inf, np.float32)  # the cost from the end of each slot on, by level
    inner = ahead[:, reach : reach + count]
    inner[:] = dues
    some = np.flatnonzero(np.isfinite(cost).any(axis=0))  # a car only takes, and nothing below its least
    moving = slice(int(some[0]), int(some[-1]) + 1)
    ways = sliding_window_view(ahead, count, axis=1)[:, moving]  # slots x moves x levels, all the same memory
    costs = cost[:, moving, None].astype(np.float32)
    tried, best = np.empty(ways.shape[1:], np.float32), np.empty(count, np.float32)
    for t in range(slots - 1, 0, -1):
        np.add(ways[t], costs[t], out=tried)
        np.minimum.reduce(tried, axis=0, out=best)
        inner[t - 1] += best
    moves = np.zeros(slots, np.int64)
    for t in range(slots):
        moves[t] = (cost[t] + ahead[t, level : level + 2 * reach + 1]).argmin()
        level += int(moves[t]) - reach
    return moves
