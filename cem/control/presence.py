"""Whether the house hangs on the grid, and how it returns to it after an outage (house, law 4).

Who says that it does not, in this order: a contact of the transfer switch; a device at the switch or an inverter that
forms the voltage (`on_grid`); the meter at the connection point, by its voltages. The gateway never closes a breaker.

| now | seen | then | source |
| --- | --- | --- | --- |
| connected | contact or device: cut off, and no power at the meter | islanded, at once | ours: in a second |
| connected | meter: every phase below a fifth of nominal, and no power | islanded, at once | ours |
| connected | cut off, yet power flows at the meter | nothing: one of them is wrong | ours |
| islanded | nobody says cut off; voltages and frequency in their windows | watched | EN 50549-1, 4.10.2 |
| watched | any of that not so, or not known | watched anew, or islanded | EN 50549-1, 4.10.2 |
| watched | for 300 s (EN 50549-1: 60 s at least) | asked for | IEEE 1547-2018, 4.10 |
| asked for | providers permit it, or 1,800 s of asking | connected | ours |
| connected | | after 0 to 900 s by chance | ours: see spreading.py |
| | | by 10 % a minute | EN 50549-1, 4.10.2 |

The windows are 85 to 110 % of nominal on every phase, and from 0.5 Hz below to 0.2 Hz above 50 or 60 Hz (EN 50549-1).
Every figure is in the site file's `[island]`; the last two rows are spreading.py's. A meter that tells no frequency is
believed by its voltages, and one that never showed a voltage says nothing by showing none. The grid's limits hold
from its first voltage on; whatever was shed or planned waits.

Interpretation: no message of OpenADR permits a return. A provider permits it by answering after the voltage came back
without forbidding to draw power, as ALERT_BLACK_START does. What it said before the outage is not taken for its word:
each answer is a whole listing, which replaces the former; until one came, what its link state says holds.
"""

from datetime import timedelta

from cem.control.memory import Memory
from cem.control.meter import Meter
from cem.model.directive import GridPresence, LinkState
from cem.model.envelope import SITE
from cem.model.reading import Snapshot
from cem.model.resource import Contact, Role
from cem.model.site import IslandPolicy, Site
from cem.model.tick import Inputs
from cem.model.values import replace

GONE_SHARE = 0.2
IDLE_W = 100.0
"""What a meter may show of power that is none."""
ON_GRID = "on_grid"
NOMINALS_HZ = (50.0, 60.0)


def voltage(site: Site, meter: Meter) -> bool | None:
    """Whether the meter sees the grid as it has to be; None: neither that nor clearly gone, or it is silent."""
    window, shares_pct = site.policy.island, _voltages_pct(site, meter)
    if not shares_pct:
        return None
    if window.low_voltage_pct <= min(shares_pct) and max(shares_pct) <= window.high_voltage_pct:
        return True if meter.frequency_hz is None or _in_window(window, meter.frequency_hz) else None
    return False if _idle(meter) is True and max(shares_pct) < 100.0 * GONE_SHARE else None


def _voltages_pct(site: Site, meter: Meter) -> list[float]:
    """Of each phase at the meter, of nominal; [] unless it tells them all."""
    nominal_v = site.connection.nominal_voltage_v
    shares_pct = [100.0 * volts / nominal_v for volts in meter.volts if volts is not None]
    return shares_pct if len(shares_pct) == len(meter.volts) else []


def _in_window(window: IslandPolicy, hertz: float) -> bool:
    low_hz, high_hz = NOMINALS_HZ
    off_hz = hertz - (low_hz if abs(hertz - low_hz) <= abs(hertz - high_hz) else high_hz)
    return -window.below_hz <= off_hz <= window.above_hz


def told(site: Site, snapshot: Snapshot, meter: Meter) -> bool | None:
    """Whether switch and inverters say that the house hangs on the grid; None: nobody says, or they are not believed.

    One that says cut off is enough, unless power flows at the meter: an inverter that left the grid by itself says the
    same of itself.
    """
    stale_s = site.connection.device_stale_s
    said = None
    for resource_id, point in site.once(_sayers):
        value = snapshot.number(resource_id, point, stale_s)
        if value == (0.0 if point == ON_GRID else 1.0):
            return None if _idle(meter) is False else False
        if value is not None:
            said = True
    return said


def _sayers(site: Site) -> tuple[tuple[str, str], ...]:
    """Resource and point of everybody who may say it."""
    switches = [(box.id, Contact.ISLAND.value) for box in site.of(Role.CONTACTS) if Contact.ISLAND in box.contacts]
    return (*switches, *((r.id, ON_GRID) for role in (Role.GRID, Role.BATTERY) for r in site.of(role)))


def _idle(meter: Meter) -> bool | None:
    """Whether no power flows at the meter; None: it is silent."""
    return None if meter.power_w is None else abs(meter.power_w) <= IDLE_W


def seen(site: Site, inputs: Inputs, memory: Memory, meter: Meter) -> bool | None:
    """Whether the grid is there at this tick; None: nobody can tell."""
    said, volts = told(site, inputs.snapshot, meter), voltage(site, meter)
    if said is False:
        return False
    if volts is False and not memory.voltage_seen:
        volts = None  # a meter that measures no voltage may well say 0
    if inputs.directive.grid is not GridPresence.UNKNOWN:
        return inputs.directive.grid is not GridPresence.ISLANDED  # somebody knows
    return volts if meter.tells_volts else True  # without a voltage it is for the others to say


def followed(memory: Memory, site: Site, inputs: Inputs, meter: Meter) -> Memory:
    """The memory with the grid's presence at this tick: `islanded`, since when it is watched, and whether it returned.

    `returned` is the occasion of a return in this very tick; '' in all others.
    """
    if not memory.voltage_seen:
        shares_pct = _voltages_pct(site, meter)
        if shares_pct and min(shares_pct) >= site.policy.island.low_voltage_pct:
            memory = replace(memory, voltage_seen=True)
    if memory.returned:
        memory = replace(memory, returned="")
    there, now_s, back_s = seen(site, inputs, memory, meter), inputs.now.mono_s, memory.grid_back_at_s
    if there is False:
        already = memory.islanded and back_s is None
        return memory if already else replace(memory, islanded=True, grid_back_at_s=None, grid_back="")
    if back_s is None and not memory.islanded:
        return memory
    if back_s is None or there is None:
        if there is None:
            # what is watched is not known to be well: its time begins anew when it is
            return memory if back_s is None else replace(memory, grid_back_at_s=now_s)
        return replace(memory, grid_back_at_s=now_s, grid_back=f"{inputs.now.wall:%Y-%m-%dT%H:%M:%S}")
    window = site.policy.island
    for_s = now_s - back_s
    if for_s < window.stable_s or not (
        for_s >= window.stable_s + window.permission_most_s or permitted(site, inputs, for_s)
    ):
        return memory
    return replace(memory, islanded=False, grid_back_at_s=None, grid_back="", returned=memory.grid_back)


def permitted(site: Site, inputs: Inputs, for_s: float) -> bool:
    """Whether everybody who is to permit the return does; the voltage is back for so long."""
    links = {link.provider_id: link for link in inputs.directive.links}
    since = inputs.now.wall - timedelta(seconds=for_s)
    for provider_id in site.policy.island.permitted_by:
        link = links.get(provider_id)
        if link is None or link.state is not LinkState.ONLINE:
            return False
        if link.last_success_at is None or link.last_success_at < since:
            return False
        bounds = (e.max_w for e in inputs.directive.envelopes if e.source == provider_id and e.subject == SITE)
        if any(most_w is not None and most_w <= 0.0 for most_w in bounds):
            return False
    return True


def gone(memory: Memory) -> bool:
    """Whether the grid's voltage is not there now; just after its return it is there and the house still an island."""
    return memory.islanded and memory.grid_back_at_s is None


def waits_for_permission(site: Site, memory: Memory, now_s: float) -> bool:
    """Whether only a provider's word is missing."""
    back_s = memory.grid_back_at_s
    return back_s is not None and now_s - back_s >= site.policy.island.stable_s


def presence(memory: Memory) -> GridPresence:
    """The state in the model's word."""
    return GridPresence.ISLANDED if memory.islanded else GridPresence.CONNECTED
