"""The judge: promises that must hold at every step of every simulation, whatever befalls the house.

An `Oracle` is tied to a bench and looks at each step of the plant: at what is really the case there, at what went over
the wires, and at what the gateway decided. It never believes the gateway where the plant can be asked.
"""

from cem.simulation.oracle.judge import INVARIANTS, Oracle
from cem.simulation.oracle.seen import Bounds, Invariant, Seen, Violation

__all__ = ["INVARIANTS", "Bounds", "Invariant", "Oracle", "Seen", "Violation"]
