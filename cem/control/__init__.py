"""The pure heart: one tick's inputs in, one decision out. No await, no clock, no log.

`decide` reads the frozen snapshot into a `Picture` (picture.py), folds every bound by rank (fold.py), follows the
plan's regime within them (regime.py, allocate.py) and says why in words (words.py).
"""

from cem.control.decide import decide
from cem.control.memory import Memory

__all__ = ["Memory", "decide"]
