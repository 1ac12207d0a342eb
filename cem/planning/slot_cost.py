"""What a slot costs at the meter when everything that can be moved takes so much together."""

import numpy as np

from cem.planning.lp import Array, Index
from cem.planning.parts import Problem
from cem.planning.programme import LIMIT_PRICE


def slot_cost(problem: Problem, slots: Index, taken_kw: Array) -> tuple[Array, Array]:
    """Money and what is beyond the limits at its price, and the net import, at the best of what the sun is kept off.

    `slots` and `taken_kw` are broadcast against each other.
    """
    p = problem
    buy, sell = p.import_price[slots], p.export_price[slots]
    most_in, most_out = p.import_limit_kw[slots], p.export_limit_kw[slots]
    low = p.load_kw[slots] - p.pv_kw[slots] + taken_kw
    high = low + p.pv_kw[slots] * p.curtailable
    best, at = np.full(low.shape, np.inf), low
    for grid in (low, high, np.clip(0.0, low, high), np.clip(most_in, low, high), np.clip(-most_out, low, high)):
        over = np.maximum(grid - most_in, 0.0) + np.maximum(-grid - most_out, 0.0)
        money = np.maximum(grid, 0.0) * buy - np.maximum(-grid, 0.0) * sell
        cost = money + LIMIT_PRICE * p.price_scale * over
        better = cost < best
        best, at = np.where(better, cost, best), np.where(better, grid, at)
    return best * p.hours[slots], at
