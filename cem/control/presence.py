"""Whether the grid's voltage is there, as the meter at the connection point shows it (house, law 4).

| now | seen at the meter | then |
| --- | --- | --- |
| connected | every phase below a fifth of nominal, and no power | islanded, at once |
| islanded | every phase at 85 % of nominal or above | voltage is back; connected after a minute of it |
| islanded | anything between, or nothing | islanded |

An outage has to be seen within a second, and a flapping grid must not switch the house with it: the figures are our
own. A meter that never showed a voltage says nothing by showing none. The grid's limits hold from its first voltage
on; whatever was shed or planned waits.
"""

from cem.control.memory import Memory
from cem.control.tuning import RETURN_LEAST_S, RETURN_MOST_S
from cem.model.directive import GridPresence
from cem.model.reading import Snapshot
from cem.model.resource import Role
from cem.model.site import Site
from cem.model.tick import Inputs
from cem.model.values import replace

GONE_SHARE = 0.2
BACK_SHARE = 0.85
IDLE_W = 100.0
"""What a meter may show of power that is none."""


def voltage(site: Site, snapshot: Snapshot) -> bool | None:
    """Whether the meter sees the grid's voltage; None: neither clearly there nor clearly gone, or it is silent."""
    connection = site.connection
    for meter in site.of(Role.GRID):
        told = [snapshot.number(meter.id, point, connection.meter_stale_s) for point in site.once(_points)]
        volts = [value / connection.nominal_voltage_v for value in told if value is not None]
        power_w = snapshot.number(meter.id, "power_w", connection.meter_stale_s)
        if not volts or len(volts) < len(told):
            return None
        if all(share >= BACK_SHARE for share in volts):
            return True
        idle = power_w is not None and abs(power_w) <= IDLE_W
        return False if idle and all(share < GONE_SHARE for share in volts) else None
    return None


def followed(memory: Memory, site: Site, inputs: Inputs) -> Memory:
    """The memory with the grid's presence at this tick: `islanded`, and since when the voltage is back."""
    seen = voltage(site, inputs.snapshot)
    if seen is True and not memory.voltage_seen:
        memory = replace(memory, voltage_seen=True)
    if seen is False and not memory.voltage_seen:
        seen = None  # a meter that measures no voltage may well say 0
    if inputs.directive.grid is not GridPresence.UNKNOWN or not _tells(site, inputs.snapshot):
        seen = inputs.directive.grid is not GridPresence.ISLANDED  # somebody knows, or there is no other source
    now_s, back_s = inputs.now.mono_s, memory.grid_back_at_s
    if seen is False:
        return replace(memory, islanded=True, grid_back_at_s=None, grid_back="")
    if memory.islanded and back_s is None and seen is True:
        return replace(memory, grid_back_at_s=now_s, grid_back=f"{inputs.now.wall:%Y-%m-%dT%H:%M:%S}")
    if back_s is None:
        return memory
    since_s = now_s - back_s
    islanded = memory.islanded and since_s < RETURN_LEAST_S
    back_s = None if since_s > RETURN_MOST_S else back_s
    if (islanded, back_s) == (memory.islanded, memory.grid_back_at_s):
        return memory
    return replace(
        memory, islanded=islanded, grid_back_at_s=back_s, grid_back="" if back_s is None else memory.grid_back
    )


def gone(memory: Memory) -> bool:
    """Whether the grid's voltage is not there now; just after its return it is there and the house still an island."""
    return memory.islanded and memory.grid_back_at_s is None


def presence(memory: Memory) -> GridPresence:
    """The state in the model's word."""
    return GridPresence.ISLANDED if memory.islanded else GridPresence.CONNECTED


def _points(site: Site) -> tuple[str, ...]:
    return tuple(f"voltage_l{phase}_v" for phase in range(1, site.connection.phases + 1))


def _tells(site: Site, snapshot: Snapshot) -> bool:
    """Whether the meter is one that tells voltages at all."""
    return any(snapshot.reading(meter.id, point) for meter in site.of(Role.GRID) for point in site.once(_points))
