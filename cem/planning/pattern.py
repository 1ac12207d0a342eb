"""What an answer has on and off, known by part and slot: a start for a problem in which other columns are there.

Which columns a programme has depends on its values (a slot with a surplus has more ways than one without), so what is
to be followed is kept by name: of each switched part a value per slot, NaN where nothing is known.
"""

import numpy as np
from numpy.typing import NDArray

from cem.model.values import value
from cem.planning.lp import Array
from cem.planning.programme import NOISE_KW, Layout


@value(frozen=True, slots=True, eq=False)
class Pattern:
    """One value per slot: 1 on (or inwards), 0 off (or outwards), NaN unknown."""

    on: dict[str, Array]
    slots: int


def pattern_of(layout: Layout, slots: int, values: Array) -> Pattern:
    """What an answer that keeps every on/off rule has on and off, and which way everything goes."""
    found: dict[str, Array] = {}
    for steady in layout.steady:
        at = found[steady.name] = np.full(slots, np.nan)
        at[steady.slots] = values[steady.columns] >= steady.least - NOISE_KW
    for ways in layout.ways:
        at = found[ways.name] = np.full(slots, np.nan)
        at[ways.slots] = values[ways.into] >= values[ways.out]
    for load in layout.loads:
        for choice in load.choices:
            at = found[choice.name] = np.full(slots, np.nan)
            at[choice.slots(0)] = np.round(values[choice.columns])
    return Pattern(found, slots)


def followed(pattern: Pattern, layout: Layout, bounds: tuple[Array, Array], values: Array) -> tuple[Array, Array]:
    """Bounds of all columns that settle everything as in the pattern; as `values` lean where it knows nothing."""
    lower, upper = bounds[0].copy(), bounds[1].copy()
    for steady in layout.steady:
        lean = values[steady.columns] >= 0.5 * steady.least
        on = _known(pattern, steady.name, steady.slots, lean) & (upper[steady.columns] >= steady.least)
        lower[steady.columns] = np.where(on, steady.least, 0.0)
        upper[steady.columns[~on]] = 0.0
    for ways in layout.ways:
        inward = _known(pattern, ways.name, ways.slots, values[ways.into] >= values[ways.out])
        upper[ways.out[inward]] = 0.0
        upper[ways.into[~inward]] = 0.0
    for load in layout.loads:
        for choice in load.choices:
            chosen = _known(pattern, choice.name, choice.slots(0), np.zeros(len(choice.columns), bool))
            if np.count_nonzero(chosen) == choice.count:
                lower[choice.columns] = upper[choice.columns] = chosen
    return np.minimum(lower, upper), upper


def _known(pattern: Pattern, name: str, slots: NDArray[np.int64], otherwise: NDArray[np.bool_]) -> NDArray[np.bool_]:
    there = pattern.on.get(name)
    if there is None:
        return otherwise
    return np.where(np.isnan(there[slots]), otherwise, there[slots] > 0.5)
