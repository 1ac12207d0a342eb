"""What is chosen for a battery and what the choice looks at, as batteries.py and battery_edges.py both know it."""

from collections.abc import Mapping, Sequence

from cem.control import hidden
from cem.control.fleet import split
from cem.control.fold import fold
from cem.control.picture import BatteryPicture
from cem.control.scene import Scene
from cem.model.envelope import Band, Envelope, Rank
from cem.model.setpoint import Demand, Seldom
from cem.model.values import replace, value


@value(frozen=True, slots=True)
class BatteryChoice:
    """The power for one battery, charging positive."""

    battery: BatteryPicture
    power_w: float
    rank: Rank
    source: str
    reason: str
    demand: Demand | None = None  # by safety or an obligation; what it can take and give itself is none
    seldom: Seldom | None = None


@value(frozen=True, slots=True)
class Surroundings:
    """What the batteries act on, W: the cars as measured, what is kept free for them, and the room of the fuse."""

    ev_w: float
    reserved_w: float
    granted_w: float  # given to steered consumers this tick
    fuse_w: float  # what the main fuse leaves to all batteries together
    fuse_by: Envelope
    rooms_w: Mapping[str, tuple[float, Envelope]]  # what circuits and its phases of the main fuse leave to a battery
    leaving_w: float = 0.0  # of what cars draw now: what they are about to leave, as they were told
    eased_w: float = 0.0  # what loads that are asked for less from this tick on may leave at once, or not
    begins_w: float = 0.0  # what loads begin to draw with this tick, under an import limit
    at_once_w: float = 0.0  # of what is kept free for cars: theirs that do not wait by chance after an event


def own_band(scene: Scene, around: Surroundings, battery: BatteryPicture, weakest: Rank = Rank.PLAN) -> Band:
    """What a battery itself may do: its envelopes of ranks not below `weakest`, the room of its phases and circuits."""
    own = scene.envelopes_of(battery.resource.id)
    room = around.rooms_w.get(battery.resource.id)
    if room is not None:
        own = (*own, replace(room[1], subject=battery.resource.id, min_w=None, max_w=max(0.0, room[0])))
    return fold(battery.resource.id, own, scene.now, weakest=weakest)


def shared(
    scene: Scene, total_w: float, batteries: Sequence[BatteryPicture], bands: Mapping[str, Band]
) -> dict[str, float]:
    """A total shared by what each battery can take or give."""
    if len(batteries) == 1:
        return {batteries[0].resource.id: total_w}
    caps = {
        b.resource.id: max(0.0, bands[b.resource.id].max_w if total_w >= 0 else -bands[b.resource.id].min_w)
        for b in batteries
    }
    reserve = {b.resource.id: scene.site.battery_policy(b.resource.id).reserve_pct for b in batteries}
    return split(total_w, batteries, caps, reserve)


def deficit_w(scene: Scene, fixed_w: float) -> float:
    """What the house takes beyond the sun and is no car; `fixed_w`: counted as a part of it, of batteries."""
    missing_w = max(0.0, scene.house_w + fixed_w)
    if scene.hidden_car:  # no more than what is the house's for sure
        without_w = hidden.house_w(scene) + scene.picture.switched_w + scene.picture.pv_w + fixed_w
        missing_w = min(missing_w, max(0.0, without_w))
    return missing_w


def demand_of(by: Envelope, *, at_most: bool) -> Demand | None:
    """What safety or an obligation asks of a battery that it binds; None: a weaker rank does."""
    if by.rank > Rank.OBLIGATION:
        return None
    return Demand.AT_MOST if at_most else Demand.AT_LEAST
