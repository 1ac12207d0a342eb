"""What fuses and circuits leave to batteries: to all of them together, and to each where it draws."""

from collections.abc import Iterator

from cem.control.limits import POOLS, Limits, on_phases
from cem.control.picture import BatteryPicture
from cem.control.scene import Scene
from cem.model.envelope import Envelope

Room = tuple[float, Envelope]
"""W of charging, and what bounds it."""


def fuse(scene: Scene, left: Limits) -> Room:
    """What the main fuse leaves to all batteries together, as if they drew alike on each phase."""
    connection, room = scene.site.connection, left.pools.room
    used: set[int] = set()
    for battery in scene.picture.batteries:
        used.update(_places(scene, battery))
    worst = min([POOLS[phase] for phase in sorted(used) or range(1, connection.phases + 1)], key=room.__getitem__)
    return room[worst] * connection.nominal_voltage_v * connection.phases, left.behind[worst]


def rooms(scene: Scene, left: Limits) -> dict[str, Room]:
    """The tightest of what its phases of the main fuse and its circuits leave to each battery; bounded ones alone."""
    found: dict[str, Room] = {}
    for battery in scene.picture.batteries:
        own = [*_on_the_fuse(scene, battery, left), *_in_circuits(scene, battery, left)]
        if own:
            found[battery.resource.id] = min(own, key=lambda one: one[0])
    return found


def _places(scene: Scene, battery: BatteryPicture) -> tuple[int, ...]:
    return on_phases(battery.resource, battery.resource.ratings.phases, scene.site.connection.phases)


def _on_the_fuse(scene: Scene, battery: BatteryPicture, left: Limits) -> Iterator[Room]:
    """One on fewer phases than the house has puts all its power on those; several there share what is left."""
    connection, phases = scene.site.connection, battery.resource.ratings.phases
    if phases >= connection.phases or battery.max_charge_w <= 0.0:
        return
    for phase in _places(scene, battery):
        pool = POOLS[phase]
        there_w = sum([
            other.max_charge_w
            for other in scene.picture.batteries
            if other.resource.ratings.phases < connection.phases and phase in _places(scene, other)
        ])  # fmt: skip
        room_w = left.pools.room[pool] * connection.nominal_voltage_v * phases
        yield room_w * battery.max_charge_w / there_w, left.behind[pool]


def _in_circuits(scene: Scene, battery: BatteryPicture, left: Limits) -> Iterator[Room]:
    room, phases = left.pools.room, battery.resource.ratings.phases
    for circuit in scene.site.circuits:
        if battery.resource.id not in circuit.members:
            continue
        for pool in (pool for pool in room if pool.startswith(f"circuit {circuit.id} L")):
            yield room[pool] * circuit.nominal_voltage_v * phases, left.behind[pool]
        if circuit.limit_w is not None:
            yield room[f"circuit {circuit.id}"], left.behind[f"circuit {circuit.id}"]
