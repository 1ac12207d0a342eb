"""What is remembered of heat pumps and switched loads: as which each stands, since when, and how long it was locked."""

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from cem.control.deaf import refusing
from cem.control.memory import LONG_AGO_S, SwitchMemory
from cem.control.picture import SwitchedPicture
from cem.control.scene import Scene
from cem.control.tuning import (
    EV_DRAWS_W,
    HEAT_PUMP_LOCK_DAY_S,
    START_S,
    SWITCHED_LATE_S,
    SWITCHED_LOST_S,
)
from cem.model.resource import Control, SgReady
from cem.model.setpoint import Health
from cem.model.site import LoadRun
from cem.model.values import replace

SG_WORDS: Mapping[int, str] = {int(state): state.name.lower() for state in SgReady}
OWN = -1
"""State of a load that is left to itself."""


def memories(scene: Scene) -> dict[str, SwitchMemory]:
    """Of each, by what its device shows now; to be asked for by `Scene.once`."""
    return {switched.resource.id: _looked_at(scene, switched) for switched in scene.picture.switched}


def _looked_at(scene: Scene, switched: SwitchedPicture) -> SwitchMemory:
    """What was last set; where the device went back by itself, its own state, since now.

    It did when it tells so, for long or since it was reached again, and when it was not reached for longer than the
    timers of contacts run. One that was away since then may have gone back for a moment, and was told anew: its times
    count from when it was reached again.
    """
    own, told = _own(scene, switched)
    memory = scene.memory.switches.get(switched.resource.id, SwitchMemory(own or OWN))
    if memory.state in {own, OWN}:
        return memory
    device, now_s = scene.inputs.devices.get(switched.resource.device_id), scene.now_s
    lost = _lost(scene, switched)
    reached_s = device.since_s if device is not None else LONG_AGO_S
    if lost or (switched.state == told and (scene.first or _is_late(scene, switched, memory, reached_s))):
        return replace(memory, state=own, switched_at_s=now_s, was=memory.state)
    begun_s = scene.memory.begun_at_s
    away = memory.switched_at_s < reached_s and not silent(scene, switched)
    if away and begun_s is not None and reached_s - begun_s > START_S:
        return replace(memory, switched_at_s=reached_s)
    return memory


def _is_late(scene: Scene, switched: SwitchedPicture, memory: SwitchMemory, reached_s: float) -> bool:
    """Whether it has had its time to stand as told, or was away since it was told."""
    if scene.now_s - memory.switched_at_s > SWITCHED_LATE_S or memory.switched_at_s < reached_s:
        return True
    # what a former run left counts as switched when this one began, which may be the moment when it was reached
    untold = all(outcome.resource_id != switched.resource.id for outcome in scene.inputs.outcomes)
    return untold and memory.switched_at_s == reached_s


def remembered(scene: Scene, switched: SwitchedPicture, memory: SwitchMemory, state: int) -> SwitchMemory:
    """What was locked today, and when it was switched: leaving alone what stands still is no switching, and what
    refuses its word, or could not be told it, has not been switched yet. What refuses to be told once more, has."""
    day, last_s = _today(scene), scene.memory.decided_at_s
    locked_s = memory.locked_s
    if memory.day != day:  # a lock over midnight counts to the new day as a whole: none is longer than two hours
        since_s = scene.now_s - memory.switched_at_s
        locked_s = min(locked_s, since_s) if memory.state == SgReady.LOCKED else 0.0
    if memory.state == SgReady.LOCKED and last_s is not None:
        locked_s += max(0.0, scene.now_s - last_s)
    stood = memory.state == OWN and state == 0 and (switched.power_w or 0.0) <= EV_DRAWS_W
    same = memory.state == state
    taken = (same and memory.taken) or switched.state == _word(switched, state)
    refuses = not taken and switched.resource.id in refusing(scene)
    stays = stood or (same and not refuses and not _unreached(scene, switched, state))
    at_s = memory.switched_at_s if stays else scene.now_s
    was = memory.was if same else memory.state
    return SwitchMemory(state, at_s, memory.wanted_since_s, locked_s, day, was, taken)


def let_go(scene: Scene) -> dict[str, SwitchMemory]:
    """The memories when nothing is decided any more, so that everything goes back to itself."""
    memories = dict(scene.memory.switches)
    for switched in scene.picture.switched:
        memory = memories.get(switched.resource.id)
        own = int(SgReady.NORMAL) if is_heat_pump(switched) else OWN
        if memory is not None and memory.state != own:
            memories[switched.resource.id] = replace(memory, state=own, switched_at_s=scene.now_s)
    return memories


def is_heat_pump(switched: SwitchedPicture) -> bool:
    """Whether it is told SG Ready states, and not on and off."""
    return Control.HEAT_PUMP_SG_READY in switched.resource.controls


def silent(scene: Scene, switched: SwitchedPicture) -> bool:
    """Whether its device can't be reached."""
    device = scene.inputs.devices.get(switched.resource.device_id)
    return device is not None and device.health is not Health.ONLINE


def _lost(scene: Scene, switched: SwitchedPicture) -> bool:
    """Whether it was not reached for longer than the timers of contacts run."""
    device = scene.inputs.devices.get(switched.resource.device_id)
    return device is not None and silent(scene, switched) and scene.now_s - device.since_s > SWITCHED_LOST_S


def _unreached(scene: Scene, switched: SwitchedPicture, state: int) -> bool:
    """Whether it is away, and was told this state in vain: its contacts still stand as it took them last."""
    if not silent(scene, switched) or _lost(scene, switched):
        return False
    key = switched.resource.id
    return any(o.resource_id == key and o.value not in {None, float(state)} for o in scene.inputs.outcomes)


def _own(scene: Scene, switched: SwitchedPicture) -> tuple[int, str]:
    """The state without us, and the device's word for it."""
    own = int(SgReady.NORMAL)
    if not is_heat_pump(switched):
        own = OWN if scene.site.load_policy(switched.resource.id).runs is LoadRun.BY_ITSELF else 0
    return own, _word(switched, own)


def _word(switched: SwitchedPicture, state: int) -> str:
    """What the device calls a state."""
    return SG_WORDS.get(state, "") if is_heat_pump(switched) else "on" if state else "off"


def lock_used_up(scene: Scene, memory: SwitchMemory) -> bool:
    """Whether a heat pump was locked for as long as it may be in a day."""
    counts = memory.day == _today(scene) or memory.state == SgReady.LOCKED
    return counts and memory.locked_s >= HEAT_PUMP_LOCK_DAY_S


def _day(scene: Scene) -> int:
    return scene.now.astimezone(ZoneInfo(scene.site.zone)).toordinal()


def _today(scene: Scene) -> int:
    """The day of the house."""
    return scene.once(_day)
