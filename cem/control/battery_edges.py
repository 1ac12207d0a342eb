"""What the connection point leaves to all batteries together, and how they are moved within it."""

from collections.abc import Mapping, Sequence

from cem.control import deaf as deafness
from cem.control import words
from cem.control.battery_choice import BatteryChoice, Surroundings, deficit_w, demand_of, own_band, shared
from cem.control.battery_parts import in_parts
from cem.control.picture import BatteryPicture
from cem.control.scene import Scene
from cem.control.spreading import CHANCE, IMPORT
from cem.model.envelope import Band, Envelope, Rank
from cem.model.values import replace, value


@value(frozen=True, slots=True)
class Edge:
    """One edge of the connection point for the sum of the batteries: at most (or at least) `power_w`."""

    by: Envelope
    power_w: float
    is_import: bool
    keeps: bool  # only keeps charging down; never asks for discharge
    told: frozenset[str] = frozenset()  # batteries that do what a rank above `by` asks of them: it does not move them


def bounded(
    scene: Scene, around: Surroundings, choices: list[BatteryChoice], told: frozenset[str], fixed_w: float
) -> list[BatteryChoice]:
    """The choices within every edge, the strongest last; `told`: those that a rank above the plan's steers."""
    edges = [*_waits(scene, around, choices, told, fixed_w), *_edges(scene, around, fixed_w)]
    total_w = sum([c.power_w for c in choices])
    for edge in edges:
        excess = total_w - edge.power_w
        if excess > 0 if edge.is_import else excess < 0:
            choices = _moved(scene, around, choices, edge, excess)
            total_w = sum([c.power_w for c in choices])
    # what is kept free for who has not begun yet does not flow: that of the fuse at least is another one
    most_w = min([edge.power_w for edge in edges if edge.is_import and not edge.keeps])
    return in_parts(scene, around, _in_turns(choices, edges), most_w)


def _edges(scene: Scene, around: Surroundings, fixed_w: float) -> list[Edge]:
    """What the connection point leaves to the batteries together, the strongest bound last."""
    house_w, edges = scene.house_w + fixed_w + scene.lead_w, []
    by = scene.band.max_by
    if by is not None:
        most_w = scene.band.max_w - scene.margins_w[0]
        kept_w = most_w
        if by.rank is Rank.OBLIGATION:
            # what consumers draw by right is not the batteries' to make up for
            most_w = max(most_w, min(around.granted_w, scene.guaranteed_w))
        edges.append(Edge(by, kept_w - house_w - around.reserved_w, is_import=True, keeps=True))
        edges.append(Edge(by, most_w - house_w - around.ev_w, is_import=True, keeps=False))
    by = scene.band.min_by
    if by is not None:
        left_w = scene.band.min_w + scene.margins_w[1] - house_w - around.ev_w
        # what a car is about to leave no battery gives: it would flow out when the car has stopped
        least_w = max(left_w, min(0.0, left_w + around.leaving_w))
        if around.eased_w > 0.0 and least_w < 0.0:  # nor what a heat pump may leave, as far as the grid may give it
            may_w = min(0.0, least_w + around.eased_w, least_w + scene.import_room_w)
            least_w = max(least_w, may_w)
        if around.begins_w > 0.0:  # what flows out now is not stored as well where a load begins to take it
            room_w = scene.band.max_w - scene.margins_w[0] - house_w - around.ev_w - around.begins_w
            least_w = max(least_w - around.begins_w, min(least_w, room_w))
        edges.append(Edge(by, least_w, is_import=False, keeps=False))
    edges.append(Edge(around.fuse_by, around.fuse_w, is_import=True, keeps=False))
    return edges


def _waits(
    scene: Scene, around: Surroundings, choices: Sequence[BatteryChoice], told: frozenset[str], fixed_w: float
) -> list[Edge]:
    """What a wait by chance leaves: never less charging or feeding in than there is now, unless a limit is kept on.

    A battery that the owner or the grid tells what to do does not wait: it comes on top.
    """
    if not scene.waits:
        return []
    apart = told | deafness.unsteered(scene.site)
    present_w = [b.power_w for b in scene.picture.batteries if b.resource.id not in apart]
    told_w = [c.power_w for c in choices if c.battery.resource.id in told]
    into_car = any(scene.site.battery_policy(b.resource.id).into_car for b in scene.picture.batteries)
    house_w, edges = scene.house_w + fixed_w + scene.lead_w, []
    for side, waiting in scene.waits.items():
        is_import = side == IMPORT
        edge_w = waiting.limit_w if is_import else -waiting.limit_w
        kept_w = edge_w - house_w - max(0.0, around.reserved_w - around.at_once_w if is_import else around.ev_w)
        have_w = sum([w for w in present_w if (w > 0.0) == is_import])
        more_w = sum([w for w in told_w if (w > 0.0) == is_import])
        most_w = max(kept_w, have_w) if is_import else min(kept_w, have_w)
        edges.append(Edge(waiting.by, most_w + more_w, is_import, keeps=True, told=told))
        if waiting.firm:
            taken_w = max(0.0, around.ev_w - around.at_once_w) if is_import else around.ev_w
            left_w = edge_w - house_w - taken_w
            if is_import and not into_car:
                left_w = max(left_w, -deficit_w(scene, fixed_w))  # cars wait by themselves: none is emptied into one
            edges.append(Edge(waiting.by, left_w + more_w, is_import, keeps=False, told=told))
    return edges


def _moved(
    scene: Scene, around: Surroundings, choices: list[BatteryChoice], edge: Edge, excess_w: float
) -> list[BatteryChoice]:
    """Moves the batteries as far as an edge of the connection point needs, over the heads of weaker ranks.

    First to zero, all of them, and only then beyond, so that none ends up feeding another.
    """
    by = edge.by
    hard = {c.battery.resource.id: own_band(scene, around, c.battery, weakest=by.rank) for c in choices}
    powers = {c.battery.resource.id: c.power_w for c in choices}
    left = excess_w
    free = [c for c in choices if c.battery.resource.id not in edge.told]
    towards = sorted(
        free, key=lambda c: (c.battery.soc_pct if excess_w < 0 else -c.battery.soc_pct, c.battery.resource.id)
    )
    for choice in towards:
        key = choice.battery.resource.id
        if powers[key] * left > 0:
            power_w = hard[key].clamp(powers[key] - min(abs(left), abs(powers[key])) * (1 if left > 0 else -1))
            left -= powers[key] - power_w
            powers[key] = power_w
    feeds = any(powers[key] * left > 0 for key in edge.told)  # one that stays as it is: to go beyond would feed it
    if abs(left) > 1e-9 and left * excess_w > 0 and not edge.keeps and not feeds:
        same = [c.battery for c in free if powers[c.battery.resource.id] * left <= 0]
        _beyond(scene, powers, -left, same, hard)
    return [
        choice if powers[choice.battery.resource.id] == choice.power_w else _bound(scene, choice, powers, edge)
        for choice in choices
    ]


def _beyond(
    scene: Scene, powers: dict[str, float], more_w: float, same: Sequence[BatteryPicture], hard: Mapping[str, Band]
) -> None:
    """Adds `more_w` (charging positive) to the powers: who moves that way already comes first, so that nobody has to
    make room for another who is idle."""
    for moving in (True, False):
        group = [b for b in same if (powers[b.resource.id] != 0.0) is moving]
        rooms = {b.resource.id: _room(hard[b.resource.id], powers[b.resource.id]) for b in group}
        for key, part_w in shared(scene, more_w, group, rooms).items():
            power_w = hard[key].clamp(powers[key] + part_w)
            more_w -= power_w - powers[key]
            powers[key] = power_w
        if abs(more_w) <= 1e-9:
            return


def _room(band: Band, power_w: float) -> Band:
    """What a battery may do beyond a power of its own."""
    return replace(band, min_w=min(0.0, band.min_w - power_w), max_w=max(0.0, band.max_w - power_w))


def _in_turns(choices: list[BatteryChoice], edges: Sequence[Edge]) -> list[BatteryChoice]:
    """Whoever is to take over from another battery waits until that one has made room: some are slow to follow."""
    if len(choices) < 2:
        return choices
    behind_w: dict[float, float] = {}  # what has not gone back so far yet, by the sign of an edge
    total_w = sum([c.power_w for c in choices])
    for edge in edges:
        sign = 1.0 if edge.is_import else -1.0
        if sign not in behind_w:
            behind_w[sign] = sum([max(0.0, sign * (c.battery.power_w - c.power_w)) for c in choices])
        excess_w = sign * (total_w - edge.power_w) + behind_w[sign]
        if excess_w > 0.0 and behind_w[sign] > 0.0:
            choices = _in_turn(choices, sign, excess_w, edge.told)
            total_w = sum([c.power_w for c in choices])
            behind_w.clear()
    return choices


def _in_turn(choices: list[BatteryChoice], sign: float, excess_w: float, told: frozenset[str]) -> list[BatteryChoice]:
    # back to what it does, and never beyond zero: it would feed another one
    rises = [
        0.0 if c.battery.resource.id in told else max(0.0, sign * c.power_w - max(0.0, sign * c.battery.power_w))
        for c in choices
    ]
    if sum(rises) <= 0.0:
        return choices
    share = min(1.0, excess_w / sum(rises))
    reason = "waits until another battery has made room"
    return [
        replace(choice, power_w=choice.power_w - sign * share * rise, reason=reason, seldom=None)
        if rise > 0.0
        else choice
        for choice, rise in zip(choices, rises, strict=True)
    ]


def _bound(scene: Scene, choice: BatteryChoice, powers: Mapping[str, float], edge: Edge) -> BatteryChoice:
    by = edge.by
    power_w = powers[choice.battery.resource.id]
    verb = "gives" if power_w < 0 else "takes" if power_w > 0 else "stands still, taking"
    more = power_w > 0 if edge.is_import else power_w < 0  # it does what the bound is against: as far as that goes
    within = f"{' and no more,' if more else ''} to keep within the {scene.bound(by)}"
    reason = f"{verb} {words.power(power_w)}{f': {by.reason}' if by.source == CHANCE else within}"
    return BatteryChoice(choice.battery, power_w, by.rank, by.source, reason, demand_of(by, at_most=edge.is_import))
