"""What the control remembers from one tick to the next."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class ChargerMemory:
    """One charging point: the current that was last set and when charging was last switched on or off (monotonic)."""

    limit_a: float
    switched_at_s: float


@dataclass(frozen=True, slots=True)
class Memory:
    """Carried along by the loop, never looked at by anybody else."""

    reserve_locked: frozenset[str] = frozenset()  # batteries that reached their reserve and have not left it yet
    chargers: Mapping[str, ChargerMemory] = field(default_factory=lambda: MappingProxyType({}))
    batteries_w: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))  # last set points
    load_w: float | None = None  # last trustworthy estimate of what is not controllable
    meter_lost_at_s: float | None = None
