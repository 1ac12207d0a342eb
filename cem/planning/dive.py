"""First answers: what the relaxed optimum breaks is fixed round by round until nothing is broken."""

from typing import Final

import numpy as np

from cem.planning.decisions import Decided, Decisions, between, split
from cem.planning.lp import Answer, Array, Index
from cem.planning.programme import NOISE_KW, Layout, LoadColumns

ROUNDS: Final = 12  # of fixing before a dive is given up
FIRM: Final = 5  # rounds after which every way is settled
LATE: Final = 3  # rounds after which only what runs already may run
FEW_OF: Final = 4
"""The tactic "few" settles so small a part of what is weak in one round from above, and as much from below."""
TACTICS: Final = ("energy", "spread", "round", "drop")


def dive(
    decisions: Decisions, start: Answer, lower: Array, upper: Array, tactic: str, most: float = np.inf
) -> Decided | None:
    """An answer below `most` that breaks nothing, or None; `start` is the last optimum of the relaxed programme.

    Where what was fixed can't be, everything that stands below its least is kept off instead.
    """
    answer = start
    for turn in range(ROUNDS):
        if not decisions.broken(answer.values):
            return decisions.decided(answer, lower, upper)
        reduced = decisions.reduced_costs()
        for way in (tactic, "off"):
            low, high = lower.copy(), upper.copy()
            _settle_ways(decisions.layout, answer.values, high, tactic == "spread", every=turn >= FIRM)
            _settle_choices(decisions.layout, answer.values, low, high, reduced)
            for steady in decisions.layout.steady:
                _settle_steady(steady.columns, steady.least, answer.values, low, high, way, turn)
            found = decisions.relaxed_below(low, high, most)
            if found is not None:
                break
        if found is None:
            return None
        answer, lower, upper = found, low, high
    return None


def stand_still(decisions: Decisions) -> Decided | None:
    """Nothing is moved: possible as limits, goals and runs may be missed, and a place to start from."""
    lower, upper = decisions.lower.copy(), decisions.upper.copy()
    stores = [
        columns for store in decisions.layout.stores for columns in (store.charge.columns, store.discharge.columns)
    ]
    for columns in (
        *stores,
        *(c.power.columns for c in decisions.layout.cars),
        *(c.columns for c in decisions.choices),
    ):
        lower[columns] = upper[columns] = 0.0
    decisions.settle_meter(upper, np.zeros(decisions.problem.slots))
    return decisions.settled_below(lower, upper, np.inf)


def _settle_ways(layout: Layout, values: Array, upper: Array, spread: bool, every: bool) -> None:
    """The stronger of two flows stays; spread: each as often as makes the sum of both come out over time.

    `every`: also where the solution does not go both ways, so that it does not begin to.
    """
    for ways in layout.ways:
        both = ways.both(values)
        into, out = values[ways.into], values[ways.out]
        inward = into / ways.most_in >= out / ways.most_out
        if spread:
            owed = 0.0
            for at in np.flatnonzero(both):
                owed += float(into[at] / ways.most_in[at] - out[at] / ways.most_out[at])
                inward[at] = owed >= 0.0
                owed -= 1.0 if inward[at] else -1.0
        settled = both | every
        upper[ways.out[settled & inward]] = 0.0
        upper[ways.into[settled & ~inward]] = 0.0


def _settle_choices(layout: Layout, values: Array, lower: Array, upper: Array, cost: Array) -> None:
    """Of the first load that is split, what is most chosen is taken, the cheaper of equals, its pieces in order."""
    for load in layout.loads:
        if not any(split(values[choice.columns]).any() for choice in load.choices):
            continue
        if values[load.missed[0]] > 0.5:  # no room for it
            taken: list[int] = []
        elif len(load.choices) > 1:
            taken = _in_order([values[choice.columns] for choice in load.choices], load)
        else:
            (choice,) = load.choices
            order = np.lexsort((cost[choice.columns], -np.round(values[choice.columns], 6)))
            taken = [int(column) for column in choice.columns[order[: choice.count]]]
        for choice in load.choices:
            upper[choice.columns] = 0.0
        lower[taken] = upper[taken] = 1.0
        return


def _in_order(chosen: list[Array], load: LoadColumns) -> list[int]:
    """One column of each piece, none before the one of the piece ahead of it, with the most that is chosen in sum."""
    best, came = chosen[0], []
    for piece in chosen[1:]:
        leading = np.maximum.accumulate(best)
        first = np.maximum.accumulate(np.where(best >= leading, np.arange(len(best)), 0))
        came.append(first)
        best = leading + piece
    at = int(best.argmax())
    places = [at]
    for first in reversed(came):
        at = int(first[at])
        places.append(at)
    places.reverse()
    return [int(choice.columns[place]) for choice, place in zip(load.choices, places, strict=True)]


def _settle_steady(
    columns: Index, least: float, values: Array, lower: Array, upper: Array, tactic: str, turn: int
) -> None:
    """Turns what stands between on or off.

    "drop" keeps off what is weak first and lets the rest find its place; "energy" turns on the strongest, as many as
    the energy of the weak ones makes; "round" goes by each one's own power; "few" turns on only the strongest and off
    only the weakest in one round, and looks where the rest then goes; "off" keeps all of them off and lets go what was
    to run.
    """
    now = values[columns]
    weak = between(now, least)
    if not weak.any():
        return
    on = np.zeros(len(columns), bool)
    if tactic == "few" and turn < ROUNDS - 4:
        order = np.flatnonzero(weak)[np.argsort(-now[weak], kind="stable")]
        some = -(-len(order) // FEW_OF)
        strong, faint = order[:some], order[max(len(order) - some, some) :]
        lower[columns[strong]] = least
        upper[columns[faint]] = 0.0
        return
    if tactic == "off":
        lower[columns] = 0.0
    elif tactic == "spread" and turn < 2:
        owed = 0.0
        for at in np.flatnonzero(weak):
            owed += float(now[at])
            on[at] = owed >= least / 2.0
            owed -= least if on[at] else 0.0
    elif tactic == "energy" or turn >= LATE:
        strongest = np.flatnonzero(weak)[np.argsort(-now[weak], kind="stable")]
        on[strongest[: int(np.round(now[weak].sum() / least))]] = True
    elif tactic == "round":
        on = weak & (now >= least / 2.0)
    else:
        on = weak & (now >= 0.75 * least)
    if turn >= LATE:  # what is turned off must not turn up elsewhere for ever
        upper[columns[now <= NOISE_KW]] = 0.0
        on |= weak & (turn % 2 == 0)
    lower[columns[on]] = least
    upper[columns[weak & ~on]] = 0.0
    if tactic not in {"drop", "off"} or turn >= 2:
        running = now >= least - NOISE_KW
        lower[columns[running]] = np.maximum(lower[columns[running]], least)
