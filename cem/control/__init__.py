"""The pure heart: one tick's inputs in, one decision out. No await, no clock, no log.

`decide` drops what cannot be true (plausible.py, signs.py, steady.py), reads the snapshot into a `Picture`
(picture.py), folds every bound by rank (bounds.py, droop.py, curves.py, fold.py), keeps for a while to what ended for
many houses at once (spreading.py), asks what each car would like (car_wishes.py, goals.py), shares each limit over
the consumers (limits.py, fuse_heat.py, sharing.py, chargers.py, switched.py), lets batteries and panels follow the
plan's regime within what is left (following.py, batteries.py, panels.py), and guards every set point once more
(setpoints.py, authority.py), each with the terms that narrowed it.
"""

from cem.control.decide import decide
from cem.control.memory import Memory
from cem.control.memory_json import from_json, lasting, to_json

__all__ = ["Memory", "decide", "from_json", "lasting", "to_json"]
