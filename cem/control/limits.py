"""The limits that consumers share, as pools: connection point, phases of the main fuse, circuits, the sun's surplus."""

import math
from collections.abc import Mapping

from cem.control import words
from cem.control.asked import site_dispatch
from cem.control.deaf import heedless, stores, unmoved
from cem.control.fuse_heat import ahead_a, kept_a
from cem.control.island import carried_w
from cem.control.picture import Picture
from cem.control.scene import Scene
from cem.control.sharing import Pools
from cem.control.spreading import IMPORT
from cem.control.tuning import IMPORT_MARGIN_W, PHASE_MARGIN_A
from cem.model.envelope import SITE, Envelope, Rank
from cem.model.resource import Resource, Role
from cem.model.site import Circuit, Site
from cem.model.values import value

SURPLUS = "surplus"
ISLAND = "island"
"""The pool of what batteries can carry alone while there is no grid: an island that is asked for more goes dark."""
WAIT = "wait"
"""The pool of what may flow while the house waits by chance after an event."""
ASKED = "asked"
"""The pool of what a power that is asked of the connection point leaves to cars, which no battery is emptied into."""
ASKED_OF_LOADS = "asked of loads"
"""The same for heat pumps and loads, which batteries may supply."""


@value(frozen=True, slots=True)
class Limits:
    """The pools of this tick before anything is given out, and the envelope that stands behind each."""

    pools: Pools
    behind: Mapping[str, Envelope]


POOLS = {phase: f"L{phase}" for phase in (1, 2, 3)}
"""The pools of the main fuse."""


@value(frozen=True, slots=True)
class _Uses:
    """The pools that one resource on so many phases takes from, in the order in which they are looked at."""

    usual: tuple[str, ...]
    all: tuple[str, ...]  # with those that bound only now and then
    amperes: tuple[str, ...]  # of them, those that are in amperes, not watts


def on_phases(resource: Resource, phases: int, site_phases: int) -> tuple[int, ...]:
    """Where a device of so many phases draws: 1 to 3. A single-phase one of unknown place counts on every phase."""
    if phases == 1 and site_phases > 1:
        return (resource.ratings.phase,) if resource.ratings.phase is not None else (1, 2, 3)[:site_phases]
    return (1, 2, 3)[: min(phases, site_phases)]


def use_of(scene: Scene, resource: Resource, watts: float, amperes: float, phases: int) -> dict[str, float]:
    """What one unit, of so many watts and amperes per phase, takes from each pool that may bound it now."""
    uses = scene.site.once(_uses)[resource.id, phases]
    use = dict.fromkeys(uses.all if scene.special else uses.usual, watts)
    use.update(dict.fromkeys(uses.amperes, amperes))
    return use


def _uses(site: Site) -> dict[tuple[str, int], _Uses]:
    return {
        (resource.id, phases): _uses_of(site, resource, phases) for resource in site.resources for phases in (1, 2, 3)
    }


def _uses_of(site: Site, resource: Resource, phases: int) -> _Uses:
    often = ["site", SURPLUS]
    special = [WAIT, ASKED, ISLAND] if resource.role is Role.EV else [WAIT, ASKED_OF_LOADS]
    amperes = [POOLS[phase] for phase in on_phases(resource, phases, site.connection.phases)]
    narrow = [*amperes]
    for circuit in site.circuits:
        if resource.id in circuit.members:
            of_phases = [f"circuit {circuit.id} L{phase}" for phase in on_phases(resource, phases, circuit.phases)]
            narrow += [*([] if circuit.limit_w is None else [f"circuit {circuit.id}"]), *of_phases]
            amperes += of_phases
    return _Uses((*often, *narrow), (*often, *special, *narrow), tuple(amperes))


def limits(scene: Scene, moved_w: Mapping[str, float]) -> Limits:
    """The pools with everything that is given out this tick taken out of the present measurements.

    `moved_w`: the present measured power of each consumer that is given out (cars, heat pumps, loads). Batteries count
    as idle: they give way to consumers, and what they add is no room for a car. One that does not follow gives no way.
    """
    picture, deaf = scene.picture, unmoved(scene)
    fixed_w = sum([max(0.0, b.power_w) for b in picture.batteries if b.resource.id in deaf]) if deaf else 0
    base_w = scene.house_w + fixed_w - sum([moved_w.get(s.resource.id, 0.0) for s in picture.switched])
    room: dict[str, float] = {}
    behind: dict[str, Envelope] = {}
    by = scene.band.max_by
    room["site"] = scene.band.max_w - scene.margins_w[0] - base_w
    if by is not None:
        behind["site"] = by
        if by.rank is Rank.OBLIGATION:
            room["site"] = max(room["site"], scene.guaranteed_w)
    room[SURPLUS] = -base_w
    _wait(scene, moved_w, base_w, room, behind)
    _asked(scene, base_w, room, behind)
    room[ISLAND] = math.inf
    if scene.gone:
        room[ISLAND] = carried_w(scene) - (scene.picture.load_w or 0.0)
        why = "without the grid cars have what the batteries could carry alone"
        behind[ISLAND] = Envelope(SITE, None, max(0.0, room[ISLAND]), Rank.SAFETY, "island", why)
    trend, fuse_a = scene.memory.trend, scene.site.connection.fuse_a
    may_flow_a = fuse_a - (0.0 if trend is None else ahead_a(fuse_a, trend.every_s))
    for phase, unmoved_a in enumerate(_unmoved_a(scene, moved_w, base_w), start=1):
        room[POOLS[phase]] = may_flow_a - kept_a(scene.memory.heat, phase - 1) - unmoved_a
    behind |= scene.site.once(_of_fuse)
    for circuit in scene.site.circuits:
        _circuit(scene, circuit, moved_w, room, behind)
    return Limits(Pools(room), behind)


def _of_fuse(site: Site) -> dict[str, Envelope]:
    """What stands behind the phases of the main fuse."""
    fuse_a, fuse_w = site.connection.fuse_a, site.connection.fuse_w
    return {
        POOLS[phase]: Envelope(SITE, None, fuse_w, Rank.SAFETY, "fuse", f"main fuse {fuse_a:g} A on phase L{phase}")
        for phase in range(1, site.connection.phases + 1)
    }


def _wait(
    scene: Scene, moved_w: Mapping[str, float], base_w: float, room: dict[str, float], behind: dict[str, Envelope]
) -> None:
    """What the wait leaves: never less than what consumers have already, and what the law guarantees them.

    A car has what it was told: what its charger reports may be older than its offer, whether that rose or fell. One to
    which this run has said nothing yet has what it takes, as has one whose charger does not follow.
    """
    waiting = scene.waits.get(IMPORT)
    room[WAIT] = math.inf
    if waiting is None:
        return
    have_w, deaf = sum(moved_w.values()), heedless(scene)
    for charger in scene.picture.chargers:
        memory = scene.memory.chargers.get(charger.resource.id)
        if memory is not None and memory.met and charger.resource.id not in deaf:
            have_w += memory.limit_a * charger.watts_per_amp - moved_w.get(charger.resource.id, 0.0)
    margin = IMPORT_MARGIN_W if waiting.firm else 0.0
    room[WAIT] = max(waiting.limit_w - margin - base_w, have_w, scene.guaranteed_w if waiting.guarantees else 0.0)
    behind[WAIT] = waiting.by


def _asked(scene: Scene, base_w: float, room: dict[str, float], behind: dict[str, Envelope]) -> None:
    """What a power asked of the connection point leaves to consumers; to heat pumps and loads, if it is an obligation.

    Batteries make up for what then differs. What the law guarantees consumers under a limit an obligation leaves them.
    """
    room[ASKED] = room[ASKED_OF_LOADS] = math.inf
    asked = site_dispatch(scene.inputs)
    if asked is None or scene.islanded:
        return
    obliges = asked.rank is Rank.OBLIGATION
    others_w = base_w + scene.picture.switched_w
    room[ASKED] = max(asked.power_w - others_w, scene.guaranteed_w - scene.picture.switched_w if obliges else 0.0)
    behind[ASKED] = Envelope(SITE, None, asked.power_w, asked.rank, asked.source, asked.reason)
    if obliges:
        without = stores(scene) | scene.memory.reserve_locked
        able_w = sum([b.max_discharge_w for b in scene.picture.batteries if b.resource.id not in without])
        room[ASKED_OF_LOADS] = max(asked.power_w - base_w + able_w, scene.guaranteed_w)
        behind[ASKED_OF_LOADS] = behind[ASKED]


def _unmoved_a(scene: Scene, moved_w: Mapping[str, float], base_w: float) -> list[float]:
    """Current per phase of all that is neither given out nor a battery."""
    site, picture = scene.site, scene.picture
    count, voltage = site.connection.phases, site.connection.nominal_voltage_v
    told = picture.phases_a
    if told is None or len(told) != count:
        return [base_w / (count * voltage)] * count
    left = [current + PHASE_MARGIN_A for current in told]
    for resource, power_w, phases in _movers(picture, moved_w, unmoved(scene)):
        places = on_phases(resource, phases, count)
        if phases == 1 and len(places) > 1:
            # Not known where it draws: never on a phase that carries less than that, else it may be any. A consumer
            # takes it back on every phase (`use_of`); a battery that charges may be on another phase than this one.
            amperes = power_w / voltage
            if amperes < 0.0:
                left = [current - amperes for current in left]
            elif resource.role is not Role.BATTERY:
                left = [max(current - amperes, min(current, 0.0)) for current in left]
            continue
        amperes = power_w / (len(places) * voltage)
        for phase in places:
            left[phase - 1] -= amperes
    return left


def _movers(picture: Picture, moved_w: Mapping[str, float], deaf: frozenset[str]) -> list[tuple[Resource, float, int]]:
    movers = [
        (b.resource, b.power_w, b.resource.ratings.phases)
        for b in picture.batteries
        if b.resource.id not in deaf or b.power_w < 0.0
    ]
    movers += [(c.resource, moved_w[c.resource.id], c.phases) for c in picture.chargers if c.resource.id in moved_w]
    movers += [
        (s.resource, moved_w[s.resource.id], s.resource.ratings.phases)
        for s in picture.switched
        if s.resource.id in moved_w
    ]
    return movers


def _circuit(
    scene: Scene, circuit: Circuit, moved_w: Mapping[str, float], room: dict[str, float], behind: dict[str, Envelope]
) -> None:
    """What is left of a circuit beside those of its members that are not given out."""
    stale_s = scene.site.connection.device_stale_s
    fixed = [0.0] * circuit.phases
    total = 0.0
    batteries = {b.resource.id for b in scene.picture.batteries} - unmoved(scene)
    for member in circuit.members:
        if member in moved_w or member in batteries:
            continue
        power = max(0.0, scene.inputs.snapshot.number(member, "power_w", stale_s) or 0.0)  # the sun may pass any time
        total += power
        resource = scene.site.resource(member)
        places = on_phases(resource, resource.ratings.phases, circuit.phases)
        for phase in places:
            fixed[phase - 1] += power / (resource.ratings.phases * circuit.nominal_voltage_v)
    for phase, current in enumerate(fixed, start=1):
        key = f"circuit {circuit.id} L{phase}"
        room[key] = circuit.fuse_a - current
        reason = f"fuse {circuit.fuse_a:g} A of circuit {circuit.id}"
        behind[key] = Envelope(f"circuit {circuit.id}", None, None, Rank.SAFETY, "fuse", reason)
    if circuit.limit_w is not None:
        key = f"circuit {circuit.id}"
        room[key] = circuit.limit_w - total
        reason = f"limit {words.power(circuit.limit_w)} of circuit {circuit.id}"
        behind[key] = Envelope(key, None, circuit.limit_w, Rank.SAFETY, "installer", reason)
