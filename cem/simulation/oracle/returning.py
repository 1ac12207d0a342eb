"""I9 after an outage: nothing comes back before the grid has been there for long enough, nor faster than the ramp."""

from cem.model.envelope import Rank
from cem.model.request import RequestKind
from cem.model.site import Site
from cem.simulation.oracle.seen import Bounds, Lasting, Seen, Told, Violation


class Return:
    """I9: after the grid's true return the house takes no more than it did then, for the stable time; then as the ramp.

    The ramp is that of the limits that hold without an event. Excused: what stronger ranks or the owner's word ask
    for, what nobody controls, a meter that tells what is not so, and an outage too short for the gateway to have seen.
    """

    name = "I9"

    def __init__(self, site: Site, bounds: Bounds) -> None:
        island = site.policy.island
        self._stable_s = island.stable_s
        self._ramp_w_per_s = island.ramp_w_per_s(island.import_limit_w, site.connection)
        self._most_w = site.connection.fuse_w
        self._lag_s = bounds.lag_s
        self._gone_s: float | None = None
        self._had_w = 0.0  # by what can be controlled, at the end of the outage
        self._back: tuple[float, float, float] | None = None  # when, and what flowed and was controlled then
        self._more = Lasting()
        self._told = Told()

    def observe(self, seen: Seen) -> list[Violation]:
        """The return, and what is taken afterwards."""
        facts, at_s = seen.facts, seen.at_s
        if not facts.grid_there:
            self._gone_s, self._back = (at_s if self._gone_s is None else self._gone_s), None
            self._had_w = facts.controlled_import_w
            return []
        if self._gone_s is not None:
            unseen = at_s - self._gone_s < self._lag_s or not seen.runs or facts.meter == "lies"
            self._gone_s, self._back = None, None if unseen else (at_s, 0.0, self._had_w)
        if self._back is None or not seen.runs or facts.meter == "lies":
            self._back = None
            return []
        back_s, flowed_w, had_w = self._back
        # what nobody controls moves meanwhile, and the ramp begins at what flows when the grid counts as back
        flowed_w = max(flowed_w, facts.load_w + facts.roofs_w + had_w)
        self._back = (back_s, flowed_w, had_w)
        rises_w = max(0.0, at_s - back_s - self._stable_s + self._lag_s) * self._ramp_w_per_s
        if flowed_w + rises_w > self._most_w:
            self._back = None
            return []
        more = facts.controlled_import_w > had_w + rises_w + 200.0 and facts.grid_w > flowed_w + rises_w + 200.0
        taken = self._more.for_s("more", more and not _asked(seen), at_s) > self._lag_s
        if not self._told.once("early", taken):
            return []
        allowed = f"no more than {flowed_w + rises_w:.0f} W {at_s - back_s:.0f} s after the outage"
        return [Violation(self.name, at_s, allowed, f"{facts.grid_w:.0f} W", seen.words())]


def _asked(seen: Seen) -> bool:
    """Whether the owner's word, or what is stronger, asks for power."""
    if seen.inputs is None or seen.decision is None:
        return False
    charges = {RequestKind.CHARGE_NOW, RequestKind.CHARGE_BY}
    wall = seen.inputs.now.wall
    return any(s.rank is Rank.USER for s in seen.decision.setpoints) or any(
        request.kind in charges and request.in_force(wall) for request in seen.inputs.requests
    )
