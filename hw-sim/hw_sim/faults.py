"""Which device fails how and when."""

from collections.abc import Sequence
from dataclasses import dataclass

from hw_sim.home import FaultKind, FaultSpec


@dataclass(frozen=True, slots=True)
class Condition:
    """What is wrong with a device now."""

    silent: bool = False  # no answer, connections stay
    disconnected: bool = False  # connections dropped and refused
    refuses_writes: bool = False
    frozen: bool = False  # values stand still, writes are taken without effect


HEALTHY = Condition()


class FaultPlan:
    """The planned faults of the home file, and those that a test injects by hand."""

    def __init__(self, planned: Sequence[FaultSpec]) -> None:
        self._planned = planned
        self._injected: set[tuple[str, FaultKind]] = set()

    def inject(self, target: str, kind: FaultKind) -> None:
        """From the next step on, until `clear`."""
        self._injected.add((target, kind))

    def clear(self, target: str, kind: FaultKind) -> None:
        """Ends an injected fault; planned ones stay."""
        self._injected.discard((target, kind))

    def condition(self, target: str, elapsed_s: float) -> Condition:
        """What is wrong with a device at a time, in seconds since the start."""
        if not self._planned and not self._injected:
            return HEALTHY
        kinds = {kind for which, kind in self._injected if which == target}
        for fault in self._planned:
            if fault.target == target and fault.start_s <= elapsed_s < fault.start_s + fault.for_s:
                kinds.add(fault.kind)
        return Condition(
            silent="silence" in kinds,
            disconnected="disconnect" in kinds,
            refuses_writes="refuse_writes" in kinds,
            frozen="freeze" in kinds,
        )
