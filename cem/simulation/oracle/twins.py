"""Two runs side by side: what differs between them, although nothing that may differ did (I17 to I20)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cem.simulation.oracle.facts import Facts
from cem.simulation.oracle.seen import Seen, Violation


@dataclass(frozen=True, slots=True)
class Acts:
    """What the actuators really did at one step, by resource."""

    at_s: float
    values: tuple[tuple[str, float | None], ...]


class Trace:
    """Records what the actuators did; `observe` fits a bench as the oracle's invariants do."""

    name = "trace"

    def __init__(self) -> None:
        self.acts: list[Acts] = []

    def observe(self, seen: Seen) -> list[Violation]:
        """Takes one step."""
        self.acts.append(Acts(seen.at_s, tuple(_values(seen.facts))))
        return []


def _values(facts: Facts) -> list[tuple[str, float | None]]:
    values: list[tuple[str, float | None]] = [(b.resource.id, b.held_w) for b in facts.batteries]
    values += [(c.resource.id, c.offered_a) for c in facts.chargers]
    values += [(s.resource.id, None if s.held is None else float(s.held)) for s in facts.switched]
    return values + [(r.resource.id, r.limit_w) for r in facts.roofs]


def differences(
    invariant: str,
    one: Sequence[Acts],
    other: Sequence[Acts],
    *,
    leaving_out: Collection[str] = (),
    tolerance: float = 0.0,
    from_s: float = 0.0,
    until_s: float = float("inf"),
) -> list[Violation]:
    """The first difference of each actuator in [from_s, until_s); `leaving_out` names those that may differ.

    I17: the runs differ in what somebody said who may not say anything here. I18: in the wall clock. I19: in the
    order, or the number, of messages; compare the ends. I20: in what befell one device; leave that one out.
    """
    found: dict[str, Violation] = {}
    for mine, yours in zip(one, other, strict=False):
        if not from_s <= mine.at_s < until_s:
            continue
        for (key, a), (_, b) in zip(mine.values, yours.values, strict=True):
            same = a == b or (a is not None and b is not None and abs(a - b) <= tolerance)
            if key not in leaving_out and key not in found and not same:
                found[key] = Violation(invariant, mine.at_s, f"{key}: {a} as in the other run", f"{b}")
    return list(found.values())
