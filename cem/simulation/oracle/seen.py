"""What the judge looks at in one step, and what it says when something is wrong."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Protocol

from cem.model.resource import Control
from cem.model.setpoint import Decision, Mode, Outcome, Setpoint, WriteState
from cem.model.site import Site
from cem.model.status import Status
from cem.model.tick import Inputs
from cem.model.values import lazy, value
from cem.ports import ControlSpec
from cem.simulation.oracle.excuses import Excused
from cem.simulation.oracle.facts import Facts
from cem.simulation.oracle.wires import written

TAKEN = frozenset({WriteState.ACCEPTED, WriteState.EFFECTIVE})
SAFE_WITHIN_S = 60.0
"""F1: safe mode for what depended on a silent device."""


@value(frozen=True, slots=True)
class Violation:
    """One promise that was broken, once: from when, what was allowed, what was seen, and what was decided last."""

    invariant: str
    at_s: float
    allowed: str
    seen: str
    decision: str = ""

    def __str__(self) -> str:
        """One line for a person."""
        end = f" (decided last: {self.decision})" if self.decision else ""
        return f"{self.invariant} at {self.at_s:.0f} s: allowed {self.allowed}; seen {self.seen}{end}"


@value(frozen=True, slots=True)
class TrueLimit:
    """A limit of one side that really holds for this gateway, a magnitude, and since when it must be kept to."""

    limit_w: float
    due_s: float
    source: str


@value(frozen=True, slots=False)
class Write:
    """Something that went out to a device of the site: the register writes, or the topic with its payload."""

    at_s: float
    device_id: str  # the site file's
    what: bytes
    by_topic: bool
    profiled: bool = False  # the registers are a maker's own, so that only the device itself knows what they mean
    hands_back: bool = False  # of such a device: nothing of anybody's is in force after it
    held_w: float | None = None  # of such a device: what its battery is told after it, charging positive
    offered_a: float | None = None  # of such a device: what its car is told after it
    former: bool = False  # by a gateway that had ended by the time of the step

    @lazy
    def words(self) -> Mapping[int, int]:
        """What it writes into registers: address to word."""
        return written(self.what)


@value(frozen=True, slots=False)
class Seen:
    """One step of the plant with everything around it. Seconds count from the plant's start.

    `at_mono_s` is the gateway's monotonic clock at the step; `started_s` when the present gateway was started, None
    while none runs; `died_s` when the last one ended.
    """

    at_s: float
    facts: Facts
    inputs: Inputs | None
    decision: Decision | None
    at_mono_s: float = 0.0
    started_s: float | None = 0.0
    died_s: float | None = None
    handed_back: bool = False  # the gateway's last end was an orderly one
    trusted: bool = True
    imports: tuple[TrueLimit, ...] = ()
    exports: tuple[TrueLimit, ...] = ()
    writes: tuple[Write, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    specs: Mapping[str, Sequence[ControlSpec]] = field(default_factory=dict)  # by the site file's device
    status: Callable[[], Status | None] = lambda: None
    tick_ms: float = 0.0
    decisions: tuple[Decision, ...] = ()  # all since the step before, the oldest first
    decided_under_w: Callable[[str], float | None] = lambda _: (
        None
    )  # the strictest limit of a side when the gateway decided last, infinite without any; None: it has not
    excused: Excused = field(default_factory=Excused)  # of the whole run, in which the judges count what they let pass

    @lazy
    def runs(self) -> bool:
        """Whether a gateway runs."""
        return self.started_s is not None

    def runs_for_s(self) -> float:
        """How long the present gateway has been running; 0 while none does."""
        return 0.0 if self.started_s is None else self.at_s - self.started_s

    def setpoint(self, resource_id: str, control: Control | None = None) -> Setpoint | None:
        """The last decision's set point of a resource."""
        return self._setpoints.get((resource_id, control))

    @lazy
    def _setpoints(self) -> Mapping[tuple[str, Control | None], Setpoint]:
        """The last decision's by resource and control, and the first of each resource."""
        found: dict[tuple[str, Control | None], Setpoint] = {}
        for setpoint in () if self.decision is None else self.decision.setpoints:
            found.setdefault((setpoint.resource_id, None), setpoint)
            found.setdefault((setpoint.resource_id, setpoint.control), setpoint)
        return found

    @lazy
    def effective(self) -> frozenset[tuple[str, Control]]:
        """What has taken its last word."""
        return frozenset([(o.resource_id, o.control) for o in self.outcomes if o.state in TAKEN])

    @lazy
    def ineffective(self) -> frozenset[str]:
        """The resources that the house says do not follow."""
        return frozenset([o.resource_id for o in self.outcomes if o.state is WriteState.NOT_EFFECTIVE])

    @lazy
    def safe(self) -> bool:
        """Whether the last decision was made in safe mode."""
        return self.decision is not None and self.decision.mode is Mode.SAFE

    def limit_w(self, side: str, margin_s: float = 0.0) -> float | None:
        """The strictest limit of "import" or "export" that has been due for `margin_s`; None: none is."""
        limits = self.imports if side == "import" else self.exports
        if not limits:
            return None
        return min((limit.limit_w for limit in limits if self.at_s - limit.due_s >= margin_s), default=None)

    def words(self, resource_id: str | None = None) -> str:
        """The last decision in short, of one resource or of the site."""
        if self.decision is None:
            return "nothing: no gateway runs"
        setpoint = self.setpoint(resource_id) if resource_id is not None else None
        if setpoint is None:
            return self.decision.headline
        return f"{setpoint.resource_id} {setpoint.control} = {setpoint.value}: {setpoint.reason}"


def setpoint_in(decision: Decision, resource_id: str) -> Setpoint | None:
    """A decision's first set point of a resource."""
    for setpoint in decision.setpoints:
        if setpoint.resource_id == resource_id:
            return setpoint
    return None


@value(frozen=True, slots=True)
class Bounds:
    """The judge's parameters of a site; proposed defaults of the reliability paper."""

    meter_stale_s: float = 10.0
    device_stale_s: float = 30.0
    lag_s: float = 5.0  # three ticks, and two seconds for the write and the device's own delay
    settle_s: float = 60.0  # from acceptance of a limit until it must be kept to
    min_on_s: float = 300.0
    min_off_s: float = 300.0
    operations_per_day: int = 24
    reserve_clear_pct: float = 2.0
    watchdog_s: float = 60.0  # the longest timer that a device may be given
    step_s: float = 1.0

    @staticmethod
    def of(site: Site, step_s: float = 1.0) -> "Bounds":
        """The bounds of a site that is simulated in steps of `step_s`."""
        connection = site.connection
        lag_s = 3.0 * step_s + 2.0
        return Bounds(connection.meter_stale_s, connection.device_stale_s, lag_s=lag_s, step_s=step_s)


class Invariant(Protocol):
    """One promise. Keeps its own memory; `observe` gives what was newly broken at this step."""

    name: str

    def observe(self, seen: Seen) -> list[Violation]:
        """Looks at one step."""


class Told:
    """Says a lasting breach once: a new breach only counts after the former has ended."""

    def __init__(self) -> None:
        self.open: set[str] = set()  # the breaches that last

    def once(self, key: str, broken: bool) -> bool:
        """Whether this breach is news. Where none lasts, what is not broken need not be said."""
        if not broken:
            if self.open:
                self.open.discard(key)
            return False
        if key in self.open:
            return False
        self.open.add(key)
        return True


class Lasting:
    """How long each of several conditions has been true without a break, in seconds."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def for_s(self, key: str, true: bool, at_s: float) -> float:
        """The time since which `true` holds; 0 at its first step and while it does not."""
        if not true:
            self._since.pop(key, None)
            return 0.0
        return at_s - self._since.setdefault(key, at_s)


class Window:
    """The mean of a value over the last so many seconds; None until so much was seen."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.clear()

    def clear(self) -> None:
        """Starts anew."""
        self._values: deque[tuple[float, float]] = deque()
        self._total = 0.0
        self._whole = False

    def add(self, at_s: float, value: float) -> float | None:
        """Takes a value that held until `at_s` and gives the mean."""
        self._values.append((at_s, value))
        self._total += value
        while self._values[0][0] <= at_s - self._seconds + 1e-6:
            self._total -= self._values.popleft()[1]
            self._whole = True
        return self._total / len(self._values) if self._whole else None
