"""What must be seen by when: an expectation is looked at with every step of the plant, and remembered.

True at one look between `from_s` and `by_s`, or at every look from `from_s` to `until_s`; seconds since the start.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from pydantic import Field, model_validator

from cem.model.grid_log import GridEntry, entry_of
from cem.model.status import Status
from cem.ports import StateKind
from cem.simulation.grid import UsageTold
from cem.simulation.harness import Bench
from cem.simulation.orders import Table
from cem.simulation.plant import Truth


@dataclass(frozen=True, slots=True)
class Look:
    """What one look gave: whether it fits, and what was there in words."""

    fits: bool
    words: str
    count: int = 0  # of what is counted, so far


class View(Protocol):
    """A house with its gateway and its grids at one moment, seen from inside a bench or from outside of processes."""

    @property
    def truth(self) -> Truth:
        """What is really the case."""

    @property
    def ticked(self) -> bool:
        """Whether a gateway runs that has decided something; what it shows and decided can be seen then."""

    @property
    def status(self) -> Status:
        """What the gateway shows."""

    @property
    def grid_log(self) -> Sequence[GridEntry]:
        """The log of the grid side as it is kept, oldest first, whether a gateway runs or not."""

    def ids(self, of: str) -> set[str]:
        """The resources that are meant: all of a role, or the one of that id."""

    def set_point(self, of: str) -> float | None:
        """What the last tick decided for the first resource that is meant; None: it is left to itself."""

    def outcomes(self, of: str) -> Sequence[str]:
        """What became of the set points of the resources that are meant."""

    def dropped(self) -> int:
        """How many implausible readings the control has dropped so far."""

    def writes(self, device_id: str) -> int:
        """What left the gateway for a simulated device so far."""

    def requests(self, grid: str) -> int:
        """What left the gateway for a VTN so far, answered or not."""

    def usage(self, grid: str, resource: str) -> Sequence[UsageTold]:
        """Every interval of usage that a VTN was told of a resource, in order of time."""

    def settlements(self, grid: str) -> Sequence[tuple[str, float | None]]:
        """The verdict and what it earned, of every stretch that a VTN was told as settled."""


class BenchView:
    """A bench at one step of the plant. What is dear to make is made once, however many look at it."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    @cached_property
    def truth(self) -> Truth:
        """What is really the case."""
        return self.bench.truth()

    @cached_property
    def ticked(self) -> bool:
        """Whether a gateway runs that has decided something."""
        return self.bench.gateway is not None and self.bench.gateway.loop.last is not None

    @cached_property
    def status(self) -> Status:
        """What the gateway shows."""
        return self.bench.status()

    @cached_property
    def grid_log(self) -> Sequence[GridEntry]:
        """The log of the grid side as it is kept, oldest first."""
        rows = self.bench.run(self.bench.store.load(StateKind.GRID_LOG))
        return [entry_of(row) for row in rows.values()]

    def ids(self, of: str) -> set[str]:
        """The resources that are meant: all of a role, or the one of that id."""
        return {r.id for r in self.bench.site_file.site.resources if of in {r.role.value, r.id}}

    def set_point(self, of: str) -> float | None:
        """Of the last tick."""
        assert self.bench.gateway is not None
        assert self.bench.gateway.loop.last is not None
        mine = self.ids(of)
        return next((s.value for s in self.bench.gateway.loop.last.decision.setpoints if s.resource_id in mine), None)

    def outcomes(self, of: str) -> Sequence[str]:
        """As the board has them."""
        assert self.bench.gateway is not None
        mine = self.ids(of)
        return [o.state.value for o in self.bench.gateway.board.outcomes() if o.resource_id in mine]

    def dropped(self) -> int:
        """In the control's memory."""
        assert self.bench.gateway is not None
        return sum(d.count for d in self.bench.gateway.loop.memory.dropped.values())

    def writes(self, device_id: str) -> int:
        """Counted on the wires."""
        return self.bench.wire.writes.get(device_id, 0)

    def requests(self, grid: str) -> int:
        """Counted on the line."""
        return self.bench.grids[grid].requests

    def usage(self, grid: str, resource: str) -> Sequence[UsageTold]:
        """Over all report objects."""
        return self.bench.grids[grid].usage(resource)

    def settlements(self, grid: str) -> Sequence[tuple[str, float | None]]:
        """Over all report objects."""
        return self.bench.grids[grid].settlements()


class BaseExpectation(Table):
    """When to look, and how often it must be true."""

    from_s: float = Field(default=0.0, ge=0)
    by_s: float | None = Field(default=None, ge=0)
    until_s: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _one_end(self) -> "BaseExpectation":
        if (self.by_s is None) == (self.until_s is None):
            raise ValueError("give either by_s (true once by then) or until_s (true throughout)")
        if self.end_s < self.from_s:
            raise ValueError(f"from_s is {self.from_s:g}, after its end at {self.end_s:g}")
        return self

    @property
    def end_s(self) -> float:
        """When it is looked at for the last time."""
        return self.by_s if self.by_s is not None else self.until_s or 0.0

    def troubles(self, bench: Bench) -> Sequence[str]:
        """What this names that is not there, each with its key."""
        del bench
        return ()

    def look(self, view: View, first: Look | None) -> Look:
        """One look; `first` is what the first one gave, None: this is it."""
        raise NotImplementedError


class Bounded(BaseExpectation):
    """A number between `min` and `max`."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _a_bound(self) -> "Bounded":
        if self.min is None and self.max is None:
            raise ValueError("give min, max, or both")
        return self

    def within(self, number: float | None, unit: str) -> Look:
        """Whether it is; None never is."""
        if number is None:
            return Look(False, "none")
        low, high = float("-inf") if self.min is None else self.min, float("inf") if self.max is None else self.max
        return Look(low <= number <= high, f"{number:.6g}{unit}")


class State(BaseExpectation):
    """One word of several."""

    def found(self, view: View) -> Iterable[str]:
        """The words that are there now."""
        raise NotImplementedError

    def wanted(self) -> str:
        """The word that must be among them."""
        raise NotImplementedError

    def look(self, view: View, first: Look | None) -> Look:
        """What the gateway shows."""
        if not view.ticked:
            return Look(False, "no gateway")
        found = list(self.found(view))
        return Look(self.wanted() in found, ", ".join(found) or "nothing")


class Watched:
    """One expectation while a scenario is played."""

    def __init__(self, what: BaseExpectation) -> None:
        self.what = what
        self._first: Look | None = None
        self._last = Look(False, "nothing: never looked at")
        self._met = False
        self._broken_s: float | None = None

    def next_s(self, now_s: float) -> float | None:
        """When it is to be looked at next, not before now; None: never again."""
        if self._broken_s is not None or now_s > self.what.end_s or (self._met and self.what.until_s is None):
            return None
        return max(now_s, self.what.from_s)

    def look(self, view: View, now_s: float) -> None:
        """One step of the plant."""
        if self.next_s(now_s) != now_s:
            return
        self._last = self.what.look(view, self._first)
        self._first = self._first or self._last
        self._met = self._met or self._last.fits
        if self.what.until_s is not None and not self._last.fits:
            self._broken_s = now_s

    @property
    def met(self) -> bool:
        """Whether it was seen as it had to be."""
        return self._met and self._broken_s is None

    def result(self, ended_s: float) -> dict[str, Any]:
        """As JSON types: the table, whether it was met (None: the run ended before), what was seen last or when it
        broke, and that second."""
        table = self.what.model_dump(mode="json", by_alias=True, exclude_unset=True)
        open_still = ended_s < self.what.end_s and self.next_s(ended_s) is not None
        met = None if open_still else self.met
        return {"expect": table, "met": met, "seen": self._last.words, "broken_at_s": self._broken_s}


def in_words(result: dict[str, Any]) -> str:
    """A result on one line."""
    keys = ", ".join(f"{key} {value}" for key, value in result["expect"].items())
    when = "" if result["broken_at_s"] is None else f" at {result['broken_at_s']:.0f} s"
    return f"{keys}: seen{when} {result['seen']}"
