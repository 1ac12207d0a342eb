"""Why something is as it is: one tick explained, for a person or a program."""

from dataclasses import dataclass
from datetime import datetime

from cem.model.setpoint import Mode, Narrowing


@dataclass(frozen=True, slots=True)
class Seen:
    """A value that the decision looked at, with its age then."""

    resource_id: str
    point: str
    value: float | str | None
    unit: str  # "" for text and counts
    age_s: float


@dataclass(frozen=True, slots=True)
class Why:
    """One resource's part in a decision. Without a control it is only measured; a value of None is its own control."""

    resource_id: str
    name: str
    device_id: str
    control: str | None
    value: float | None
    set_to: str  # in words with unit
    rank: str | None  # whose word it is: "safety", "obligation", "user", "programme", "plan"
    source: str | None
    reason: str
    bound_by: tuple[Narrowing, ...] = ()  # what narrowed it, the binding term first
    outcome: str | None = None  # what became of it at the device
    inputs: tuple[Seen, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision explained. `origin` says where it comes from: "now", "replay journal", "decision log"."""

    at: datetime
    mode: Mode
    headline: str
    whys: tuple[Why, ...]
    origin: str = "now"
    zone: str = "UTC"
