"""Is the grid meter the right way round? Every step of the batteries must show at the meter with the same sign."""

from cem.control.memory import SignMemory
from cem.control.tuning import SIGN_FORGET_S, SIGN_LOOK_S, SIGN_SHARE, SIGN_STEP_W, SIGN_STOP_S
from cem.model.envelope import Envelope, Rank
from cem.model.reading import Snapshot
from cem.model.resource import Role
from cem.model.site import Site
from cem.model.values import replace

REASON = "the grid meter counts backwards: a battery that charges shows as less import. Turn the meter or its sensors"
DOUBT_SHARE = 0.1  # of the rating, while it is tried again
ENOUGH = 1.5  # weight of evidence; one step weighs at most 1


def watch(site: Site, snapshot: Snapshot, before: SignMemory) -> SignMemory:
    """Compares what the batteries have moved since the last look with what the meter has, once it is enough to tell.

    A look is as old as the movement needs, so that a slow run away from a reversed meter is seen as well as a step.
    """
    meters, batteries = site.of(Role.GRID), site.of(Role.BATTERY)
    if not meters or not batteries:
        return before
    stale_s = site.connection.meter_stale_s
    grid = snapshot.number(meters[0].id, "power_w", stale_s)
    powers = [snapshot.number(b.id, "power_w", stale_s) for b in batteries]
    reading = snapshot.reading(meters[0].id, "power_w")
    if grid is None or reading is None or any(p is None for p in powers):
        return replace(before, grid_w=None, battery_w=None)
    battery, at_s = sum([p for p in powers if p is not None]), reading.taken_at_s
    if before.grid_w is None or before.battery_w is None or at_s - before.taken_at_s > SIGN_LOOK_S:
        return replace(before, grid_w=grid, battery_w=battery, taken_at_s=at_s)
    rated = sum([max(b.ratings.max_charge_w or 0.0, b.ratings.max_discharge_w or 0.0) for b in batteries])
    least_w = max(SIGN_STEP_W, SIGN_SHARE * rated)
    if at_s <= before.taken_at_s or abs(battery - before.battery_w) < least_w:
        return before
    now = replace(before, grid_w=grid, battery_w=battery, taken_at_s=at_s)
    return _weighed(now, battery - before.battery_w, grid - before.grid_w, least_w)


def _weighed(memory: SignMemory, battery_step: float, grid_step: float, least_w: float) -> SignMemory:
    at_s = memory.taken_at_s
    against, since_s = memory.against, memory.since_s
    if against > 0.0 and at_s - since_s > SIGN_FORGET_S:
        against = 0.0
    if abs(grid_step - battery_step) <= 0.3 * abs(battery_step):
        return replace(memory, against=0.0, doubt=False)
    if abs(grid_step + battery_step) > 0.3 * abs(battery_step):
        return replace(memory, against=against)  # something else moved as well
    since_s = at_s if against == 0.0 else since_s
    against += min(1.0, abs(battery_step) / (2 * least_w))
    if against < (1.0 if memory.doubt else ENOUGH):
        return replace(memory, against=against, since_s=since_s)
    return replace(memory, against=0.0, stopped_until_s=at_s + SIGN_STOP_S, doubt=True)


def reversed_now(memory: SignMemory, now_s: float) -> bool:
    """Whether the batteries stand still because the meter counts backwards."""
    return now_s < memory.stopped_until_s


def sign_envelopes(site: Site, memory: SignMemory, now_s: float) -> list[Envelope]:
    """Nothing while it is known to be reversed; a tenth while it is tried again."""
    if not memory.doubt:
        return []
    envelopes = []
    for battery in site.of(Role.BATTERY):
        rated = max(battery.ratings.max_charge_w or 0.0, battery.ratings.max_discharge_w or 0.0)
        most = 0.0 if reversed_now(memory, now_s) else max(DOUBT_SHARE * rated, 2 * SIGN_STEP_W)
        envelopes.append(Envelope(battery.id, -most, most, Rank.SAFETY, "meter", REASON))
    return envelopes
