"""Which device fails how at the moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hw_sim.happenings import FaultKind, FaultSpec


@dataclass(frozen=True, slots=True)
class Condition:
    """What is wrong with a device now: the active faults by kind, and what of it every device looks at."""

    faults: Mapping[str, FaultSpec] = field(default_factory=dict)
    silent: bool = False  # no answer, connections stay
    disconnected: bool = False  # connections dropped and refused
    left_alone: bool = False  # gone from its broker without a word; what is retained stays
    refuses_writes: bool = False
    frozen: bool = False  # values stand still, writes are taken without effect
    ineffective: bool = False  # writes are taken without effect, values live
    timers_lie: bool = False  # its time-outs are taken, read back, and never run out

    def __contains__(self, kind: str) -> bool:
        return kind in self.faults


HEALTHY = Condition()


def condition_of(active: Mapping[str, FaultSpec]) -> Condition:
    """The condition under these faults, by kind."""
    if not active:
        return HEALTHY
    return Condition(
        faults=active,
        silent="silence" in active,
        disconnected="disconnect" in active or "reboot" in active,
        left_alone="stale_retained" in active,
        refuses_writes="refuse_writes" in active,
        frozen="freeze" in active,
        ineffective="ineffective" in active,
        timers_lie="lying_timer" in active,
    )


class Faults:
    """The faults that are active per target: those of the time line, and those that a test injects by hand."""

    def __init__(self) -> None:
        self._active: dict[str, list[tuple[int, FaultSpec]]] = {}
        self._wanted: list[tuple[bool, FaultSpec]] = []  # injected and cleared since the last step
        self._changed: set[str] = set()

    def inject(self, target: str, kind: FaultKind, **given: Any) -> None:
        """From the next step on, until `clear`. `given` are the keys that the kind takes."""
        self._wanted.append((True, FaultSpec(kind=kind, target=target, at_s=0.0, **given)))

    def clear(self, target: str, kind: FaultKind) -> None:
        """Ends an injected fault with the next step; those of the time line stay."""
        self._wanted.append((False, FaultSpec(kind=kind, target=target, at_s=0.0)))

    def by_hand(self) -> list[tuple[FaultSpec, bool]]:
        """What was injected (True) or cleared since the last call, now begun or ended."""
        if not self._wanted:
            return []
        wanted, self._wanted = self._wanted, []
        done: list[tuple[FaultSpec, bool]] = []
        for begins, spec in wanted:
            there = [one for number, one in self._active.get(spec.target, ()) if not number and one.kind == spec.kind]
            if begins and not there:
                self.begin(spec, 0)
                done.append((spec, True))
            elif there and not begins:
                self.end(there[0], 0)
                done.append((there[0], False))
        return done

    def begin(self, spec: FaultSpec, number: int) -> None:
        """A fault begins; `number` tells its occurrences apart, 0 is one by hand."""
        self._active.setdefault(spec.target, []).append((number, spec))
        self._changed.add(spec.target)

    def end(self, spec: FaultSpec, number: int) -> None:
        """It ends."""
        active = self._active.get(spec.target, [])
        self._active[spec.target] = [(n, one) for n, one in active if (n, one.kind) != (number, spec.kind)]
        self._changed.add(spec.target)

    def take_changed(self) -> dict[str, Condition]:
        """The targets whose condition may have changed since the last call, with what it is."""
        if not self._changed:
            return {}
        changed, self._changed = self._changed, set()
        return {target: self.condition(target) for target in changed}

    def condition(self, target: str) -> Condition:
        """What is wrong with a target now."""
        return condition_of({spec.kind: spec for _, spec in self._active.get(target, ())})
