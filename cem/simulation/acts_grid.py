"""What a grid may do at a moment of a scenario: `[[act]]` tables that publish, take back, cut and mend."""

from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import Field

from cem.simulation.acting import BaseAct
from cem.simulation.grid import MemoryVtn
from cem.simulation.harness import Bench
from cem.simulation.oracle import Oracle
from cem.simulation.orders import Asked, GridId


def unknown_grid(bench: Bench, grid: str, key: str = "grid") -> Sequence[str]:
    """The fault of a key that names no grid of the scenario."""
    if grid in bench.grids:
        return ()
    return [f"{key}: no [[grid]] '{grid}'; known: {', '.join(bench.grids) or 'none'}"]


class Signalled(BaseAct, Asked):
    """The grid publishes an order that begins in `in_s`."""

    do: Literal["signal"]
    in_s: float = Field(default=0.0, ge=0)
    grid: GridId = "utility"

    def troubles(self, bench: Bench) -> Sequence[str]:
        """Who asks."""
        return unknown_grid(bench, self.grid)

    def perform(self, bench: Bench, oracle: Oracle) -> None:
        """Counted on the wall clock of the house, as it is now."""
        start_s = round((bench.now - bench.start).total_seconds() + self.in_s)
        bench.grids[self.grid].publish(self.order(start_s, self.in_s), bench.start)


class _OfSome(BaseAct):
    """Something that one grid does, or all of them where none is named."""

    grid: GridId | None = None

    def troubles(self, bench: Bench) -> Sequence[str]:
        """Who does it."""
        return () if self.grid is None else unknown_grid(bench, self.grid)

    def _meant(self, bench: Bench) -> Iterable[MemoryVtn]:
        return bench.grids.values() if self.grid is None else [bench.grids[self.grid]]


class Cancel(_OfSome):
    """The grids take back everything, or what has that name."""

    do: Literal["cancel"]
    name: str | None = None

    def perform(self, bench: Bench, oracle: Oracle) -> None:
        """Every event that is meant."""
        for vtn in self._meant(bench):
            for event in tuple(vtn.events()):
                if self.name in (None, event["eventName"]):
                    vtn.cancel(str(event["id"]))


class LinkCut(_OfSome):
    """The line to the grids is cut or mended."""

    do: Literal["link"]
    up: bool

    def perform(self, bench: Bench, oracle: Oracle) -> None:
        """Every one that is meant."""
        for vtn in self._meant(bench):
            vtn.connected = self.up
