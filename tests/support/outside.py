"""A house of real processes seen from outside, as `cem.simulation.expectations.View` wants it."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path

from pydantic import TypeAdapter

from cem.config.schema import SiteTable
from cem.io.local_client import GatewayUnreachable, LocalClient
from cem.model.grid_log import GridEntry, entry_of
from cem.model.status import Status
from cem.model.why import Explanation
from cem.simulation.grid import UsageTold
from hw_sim.truth import Truth
from support.grid_process import GridProcess
from support.stand import ran

_TRUTH = TypeAdapter(Truth)


def truth_in(file: Path) -> Truth:
    """What `hw-sim serve --truth` wrote last."""
    return _TRUTH.validate_json(file.read_bytes())


class OutsideView:
    """One moment: the plant by hw-sim's file, the gateway by its local API, its record by `cem history`, the grids by
    their VTNs. Everything is asked for when it is first looked at, and once."""

    def __init__(
        self,
        truth: Truth,
        since: datetime,
        client: LocalClient,
        site_file: Path,
        site: SiteTable,
        grids: Mapping[str, GridProcess],
    ) -> None:
        self.truth = truth
        self._since = since  # the house is there; the gateway, which was started before it, had nothing to measure
        self._client = client
        self._site_file = site_file
        self._site = site
        self._grids = grids

    @cached_property
    def _answered(self) -> Status | None:
        try:
            return self._client.status()
        except GatewayUnreachable:
            return None

    @property
    def ticked(self) -> bool:
        """Whether it answers, and has decided something."""
        return self._answered is not None and self._answered.tick.count > 0

    @property
    def status(self) -> Status:
        """As `cem status` has it."""
        assert self._answered is not None
        return self._answered

    @cached_property
    def _explained(self) -> Explanation:
        return self._client.explanation()

    @cached_property
    def grid_log(self) -> Sequence[GridEntry]:
        """As `cem history` lists it."""
        words = ("--show", "grid", "--json", "--from", "yesterday", "--config", str(self._site_file))
        done = ran("cem", "history", *words)
        assert done.returncode in {0, 1}, done.stderr  # 1: nothing is recorded yet
        return [entry_of(row) for row in json.loads(done.stdout)["grid"]]

    def ids(self, of: str) -> set[str]:
        """By the site file."""
        return {r.id for device in self._site.device for r in device.resource if of in {r.role.value, r.id}}

    def set_point(self, of: str) -> float | None:
        """As `cem why` has it."""
        mine = self.ids(of)
        return next((why.value for why in self._explained.whys if why.resource_id in mine and why.control), None)

    def outcomes(self, of: str) -> Sequence[str]:
        """In the words of `cem why`."""
        mine = self.ids(of)
        return [why.outcome for why in self._explained.whys if why.resource_id in mine and why.outcome is not None]

    def dropped(self) -> int:
        """Of all resources of this run."""
        return sum(resource.dropped for device in self.status.devices for resource in device.resources)

    def writes(self, device_id: str) -> int:
        """What the device took and refused."""
        device = self.truth.devices[device_id]
        return sum(device.writes.values()) + device.refused

    def requests(self, grid: str) -> int:
        """Counted on the line."""
        return self._grids[grid].line.requests

    def usage(self, grid: str, resource: str) -> Sequence[UsageTold]:
        """As `cem vtn report list` has it, of the time in which the house is there."""
        return [one for one in self._grids[grid].usage(resource) if one.start >= self._since]

    def settlements(self, grid: str) -> Sequence[tuple[str, float | None]]:
        """The same."""
        return self._grids[grid].settlements()
