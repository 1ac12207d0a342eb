"""What every act of a scenario has: when it is done, and what it names that may not be there."""

from collections.abc import Sequence

from pydantic import Field

from cem.simulation.harness import Bench
from cem.simulation.oracle import Oracle
from cem.simulation.orders import Table


class BaseAct(Table):
    """One act, `at_s` seconds after the start."""

    at_s: float = Field(default=0.0, ge=0)

    def troubles(self, bench: Bench) -> Sequence[str]:
        """What this act names that is not there, each with its key."""
        del bench
        return ()

    def perform(self, bench: Bench, oracle: Oracle) -> None:
        """Does it now."""
        raise NotImplementedError
