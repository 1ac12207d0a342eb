"""What can be seen of a simulated house's dealings with its grids: `[[expect]]` tables with `see` and its keys."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal

from pydantic import Field

from cem.model.directive import GridPresence, LinkState
from cem.model.grid_log import Happening
from cem.sgcp.reports.compliance import Verdict
from cem.simulation.acts_grid import unknown_grid
from cem.simulation.expectations import BaseExpectation, Bounded, Look, State, View
from cem.simulation.harness import Bench
from cem.simulation.orders import GridId


class GridIs(State):
    """Whether the grid is there, as the gateway has it."""

    see: Literal["grid"]
    is_: GridPresence = Field(alias="is")

    def found(self, view: View) -> Iterable[str]:
        """One."""
        return [view.status.grid.value]

    def wanted(self) -> str:
        """As given."""
        return self.is_.value


class LinkIs(State):
    """How the line to one provider stands, or to any where none is named."""

    see: Literal["link"]
    of: GridId | None = None
    is_: LinkState = Field(alias="is")

    def troubles(self, bench: Bench) -> Sequence[str]:
        """The provider."""
        return () if self.of is None else unknown_grid(bench, self.of, "of")

    def found(self, view: View) -> Iterable[str]:
        """One of each provider that is meant."""
        return [link.state.value for link in view.status.links if self.of in (None, link.provider_id)]

    def wanted(self) -> str:
        """As given."""
        return self.is_.value


class Logged(Bounded):
    """How many rows of a kind the log of the grid side has, as `cem history --show grid` lists them.

    `of` is the provider, '' the house; None: any. `value_w` is the limit's.
    """

    see: Literal["log"]
    is_: Happening = Field(alias="is")
    of: str | None = None
    value_w: float | None = None

    def troubles(self, bench: Bench) -> Sequence[str]:
        """The provider."""
        return () if not self.of else unknown_grid(bench, self.of, "of")

    def look(self, view: View, first: Look | None) -> Look:
        """What is kept, whether a gateway runs or not."""
        mine = [
            entry
            for entry in view.grid_log
            if entry.kind is self.is_ and self.of in (None, entry.source) and self.value_w in (None, entry.value_w)
        ]
        return self.within(float(len(mine)), f" times '{self.is_.value}' among {len(view.grid_log)} rows")


class _AtVtn(BaseExpectation):
    """What one VTN holds or counted."""

    of: GridId = "utility"

    def troubles(self, bench: Bench) -> Sequence[str]:
        """The provider."""
        return unknown_grid(bench, self.of, "of")


class Reported(_AtVtn):
    """At least `min` usage intervals of a resource ("site": the meter) are at the VTN, each once, one joining the
    other; at most `missing` of them are told as gaps."""

    see: Literal["reports"]
    resource: str = "site"
    min: int = Field(ge=1)
    missing: int = Field(default=0, ge=0)

    def look(self, view: View, first: Look | None) -> Look:
        """Over all report objects."""
        found = view.usage(self.of, self.resource)
        gaps = sum(one.missing for one in found)
        torn = [after for before, after in pairwise(found) if before.start + before.length != after.start]
        words = f"{len(found)} intervals, {gaps} of them told as gaps"
        if torn:
            words += f"; not joined at {torn[0].start:%Y-%m-%dT%H:%M:%S}"
        return Look(len(found) >= self.min and gaps <= self.missing and not torn, words)


class SettledAs(_AtVtn):
    """A settlement at the VTN with that verdict, which earned at least `earned`."""

    see: Literal["settlement"]
    is_: Verdict = Field(alias="is")
    earned: float = 0.0

    def look(self, view: View, first: Look | None) -> Look:
        """Over all report objects."""
        found = view.settlements(self.of)
        fits = any(verdict == self.is_.value and (earned or 0.0) >= self.earned for verdict, earned in found)
        return Look(fits, "; ".join(f"{verdict}, earned {earned}" for verdict, earned in found) or "no settlement")


class Requests(_AtVtn):
    """What left the gateway for one VTN since the first look, answered or not: at most so many requests."""

    see: Literal["requests"]
    max: int = Field(ge=0)

    def look(self, view: View, first: Look | None) -> Look:
        """Counted on the line."""
        count = view.requests(self.of)
        since = count - (count if first is None else first.count)
        return Look(since <= self.max, f"{since} requests", count)
