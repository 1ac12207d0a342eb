"""The order in which a dark house comes back to life without the grid.

| step | what | begins |
| --- | --- | --- |
| 1 | a battery forms the voltage; loads that can be switched are off, roofs give nothing | at once |
| 2 | the gateway's own supply: it runs, and sees the battery carry the house | a battery is read |
| 3 | the loads, the most important first, as far as reserve and battery allow | 10 s later, one in 20 s |
| 4 | the roofs, so that what they give finds takers | after the last load |

It applies to an island in which no battery could be read, and no roof gave anything, before: after an empty battery,
or after a start of the gateway's machine in the dark. An outage that the battery carries from its first second on is
none, and neither is a restart of the gateway alone. Cars come after the roofs. The order is that of a grid's black
start in small: source, auxiliaries, load in blocks, then further sources.

Interpretation: a house without a battery that can be read has nothing that this could order.
"""

from cem.control.island import priority
from cem.control.memory import Memory
from cem.control.picture import Picture
from cem.control.scene import Scene
from cem.control.tuning import BLACK_START_SETTLE_S, BLACK_START_STEP_S, EV_DRAWS_W
from cem.model.values import replace


def followed(memory: Memory, picture: Picture, now_s: float) -> Memory:
    """The memory with where the black start stands."""
    if not memory.islanded:
        return replace(memory, unformed=False, formed_at_s=None) if memory.unformed or memory.formed_at_s else memory
    if not picture.batteries and picture.pv_w >= -EV_DRAWS_W:  # where a roof gives, somebody forms the voltage
        return memory if memory.unformed else replace(memory, unformed=True, formed_at_s=None)
    return replace(memory, unformed=False, formed_at_s=now_s) if memory.unformed and picture.batteries else memory


def turn_at_s(place: int) -> float:
    """When the load of that place in the order of importance, from 0 on, has its turn, after a battery was read."""
    return BLACK_START_SETTLE_S + BLACK_START_STEP_S * place


def unserved(scene: Scene) -> frozenset[str]:
    """The loads whose turn has not come; all of them while no battery is read."""
    memory, formed_at_s = scene.memory, scene.memory.formed_at_s
    if memory.unformed:
        return frozenset(important_first(scene))
    if formed_at_s is None:
        return frozenset()
    order = enumerate(important_first(scene))
    return frozenset(key for place, key in order if scene.now_s - formed_at_s < turn_at_s(place))


def roofs_wait(scene: Scene) -> bool:
    """Whether the roofs' turn has not come."""
    memory = scene.memory
    if memory.formed_at_s is None:
        return memory.unformed
    return scene.now_s - memory.formed_at_s < turn_at_s(len(important_first(scene)))


def important_first(scene: Scene) -> list[str]:
    """The loads that can be switched."""
    resources = (switched.resource for switched in scene.picture.switched)
    return [r.id for r in sorted(resources, key=lambda resource: (priority(resource), resource.id))]
