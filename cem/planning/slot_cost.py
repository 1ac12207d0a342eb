"""What a slot costs at the meter when everything that can be moved takes so much together."""

import numpy as np

from cem.planning.lp import Array, Index
from cem.planning.parts import Problem
from cem.planning.programme import LIMIT_PRICE


def slot_cost(problem: Problem, slots: Index, taken_kw: Array) -> tuple[Array, Array]:
    """Money and what is beyond the limits at its price, and the net import, at the best of what the sun is kept off.

    `taken_kw` has a row, or one value, per position of `slots`.
    """
    p = problem
    at = slots.reshape(len(slots), *[1] * (taken_kw.ndim - 1))
    best_at = p.net_kw[at] + taken_kw
    best = _money(p, at, best_at)
    rows = np.flatnonzero(p.less_sun_helps[slots])
    if rows.size:  # sun that is kept off helps where there is any, and more import can cost less
        best[rows], best_at[rows] = _with_less_sun(p, at[rows], best[rows], best_at[rows])
    return best * p.hours[at], best_at


def _money(p: Problem, at: Index, grid_kw: Array) -> Array:
    """Per hour, at a net import."""
    money = grid_kw * np.where(grid_kw > 0.0, p.import_price[at], p.export_price[at])
    beyond = LIMIT_PRICE * p.price_scale
    if p.import_limited:
        money += beyond * np.maximum(grid_kw - p.import_limit_kw[at], 0.0)
    if p.export_limited:
        money += beyond * np.maximum(-grid_kw - p.export_limit_kw[at], 0.0)
    return money


def _with_less_sun(p: Problem, at: Index, best: Array, low: Array) -> tuple[Array, Array]:
    """The best of the net imports above `low` that less sun makes: it is at the most, or at a bend of the curve."""
    best_at, high = low, low + p.pv_kw[at]
    bends = [high, np.zeros(at.shape)]
    if p.import_limited:
        bends.append(p.import_limit_kw[at])
    if p.export_limited:
        bends.append(-p.export_limit_kw[at])
    for bend in bends:
        grid = np.minimum(np.maximum(bend, low), high)
        cost = _money(p, at, grid)
        better = cost < best
        best, best_at = np.where(better, cost, best), np.where(better, grid, best_at)
    return best, best_at
