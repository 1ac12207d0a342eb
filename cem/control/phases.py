"""One or three phases: so that a car can use a small surplus, or fit under a small limit."""

from cem.control.memory import ChargerMemory
from cem.control.picture import ChargerPicture
from cem.control.tuning import EV_DRAWS_W, EV_PHASES_PAUSE_S, EV_PHASES_SURE_S, EV_STEP_UP_SHARE
from cem.model.resource import Control
from cem.model.values import replace


def switchable(charger: ChargerPicture) -> bool:
    """Whether the charging point can do both."""
    return Control.EV_PHASES in charger.resource.controls and charger.resource.ratings.phases == 3


def commanded(charger: ChargerPicture, memory: ChargerMemory) -> int:
    """The phases that the charging point is told to use."""
    return memory.phases if memory.phases is not None else charger.phases_told or charger.resource.ratings.phases


def wanted(charger: ChargerPicture, memory: ChargerMemory, room_w: float, least_a: float) -> int:
    """The number of phases with which `room_w` can be used best: three where their smallest power fits with ease."""
    three_w = 3 * least_a * charger.resource.ratings.nominal_voltage_v
    if commanded(charger, memory) == 3:
        return 3 if room_w >= three_w or room_w < three_w / 3 else 1
    return 3 if room_w >= three_w * EV_STEP_UP_SHARE else 1


def switched(
    charger: ChargerPicture, memory: ChargerMemory, want: int, now_s: float, *, may_pause: bool
) -> tuple[ChargerMemory, bool]:
    """(memory, whether the car must pause for the change). A change comes only while nothing flows, 300 s apart."""
    have = commanded(charger, memory)
    memory = replace(memory, phases=have)
    if want == have:
        return replace(memory, phases_wanted_since_s=None), False
    since_s = now_s if memory.phases_wanted_since_s is None else memory.phases_wanted_since_s
    memory = replace(memory, phases_wanted_since_s=since_s)
    sure = now_s - since_s >= EV_PHASES_SURE_S and now_s - memory.phases_at_s >= EV_PHASES_PAUSE_S
    if not sure:
        return memory, False
    paused = memory.limit_a == 0.0 and charger.power_w <= EV_DRAWS_W
    if paused:
        return replace(memory, phases=want, phases_at_s=now_s, phases_wanted_since_s=None), True
    return memory, may_pause or memory.limit_a == 0.0
