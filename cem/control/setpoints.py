"""From choices to set points: values in the device's unit, guarded once more, each with every term that narrowed it."""

from collections.abc import Sequence
from math import inf
from types import MappingProxyType

from cem.control import words
from cem.control.authority import guarded
from cem.control.battery_choice import BatteryChoice
from cem.control.bounds import released
from cem.control.chargers import ChargerChoice
from cem.control.limits import Limits
from cem.control.panels import PvChoice
from cem.control.scene import Scene
from cem.control.switched import SwitchedChoice
from cem.control.terms import narrowings
from cem.control.tuning import EXPORT_MARGIN_W, LEASE_S
from cem.model.envelope import Rank
from cem.model.resource import Control, Resource
from cem.model.setpoint import Decision, Demand, Seldom, Setpoint
from cem.model.site import Site
from cem.model.values import replace

Choice = ChargerChoice | BatteryChoice | PvChoice | SwitchedChoice


def made(
    scene: Scene,
    limits: Limits,
    cars: Sequence[ChargerChoice],
    relays: Sequence[SwitchedChoice],
    stores: Sequence[BatteryChoice],
    roofs: Sequence[PvChoice],
) -> tuple[Setpoint, ...]:
    """The set points of one tick: cars, batteries, panels, then heat pumps and loads, each in the site's order."""
    result = []
    for car in cars:
        result.append(_made(scene, limits, car, car.charger.resource, Control.EV_LIMIT_A, car.limit_a))
        if car.phases is not None:
            phases = _made(scene, limits, car, car.charger.resource, Control.EV_PHASES, float(car.phases))
            result.append(phases)
    result += [_battery(scene, limits, store) for store in stores]
    for roof in roofs:
        limit = None if roof.limit_w is None else float(round(roof.limit_w))
        result.append(_made(scene, limits, roof, roof.pv.resource, Control.PV_LIMIT_W, limit))
    result += [_made(scene, limits, relay, relay.switched.resource, relay.control, relay.value) for relay in relays]
    return tuple(result)


def _battery(scene: Scene, limits: Limits, store: BatteryChoice) -> Setpoint:
    """The battery's power; none where the owner leaves it to its own control and nothing stronger needs it."""
    resource = store.battery.resource
    release = released(scene.inputs.requests, resource.id, scene.now)
    power: float | None = float(round(store.power_w))
    alone_w = scene.house_w + scene.picture.ev_w
    needed = store.rank <= Rank.USER or alone_w != scene.band.clamp(alone_w)
    if release is not None and not needed:
        end = words.until(release.until, scene.site.zone, scene.now)
        reason = f"left to its own control as asked{end}"
        store = replace(store, rank=Rank.USER, source=release.by, reason=reason)
        power = None
    seldom = None if scene.gone or power is None else store.seldom
    watched = not scene.gone and not _takes_what_there_is(scene, store)
    return _made(scene, limits, store, resource, Control.BATTERY_SETPOINT_W, power, watched=watched, seldom=seldom)


def _takes_what_there_is(scene: Scene, store: BatteryChoice) -> bool:
    """Whether a battery that is charged from the roof alone may take less than it is told as the sun gives no more.

    One that takes all of a sinking sun will have taken less by the time at which its answer is measured.
    """
    policy = scene.site.battery_policy(store.battery.resource.id)
    less = 0.0 <= store.battery.power_w <= store.power_w
    return less and not policy.grid_charge and (scene.picture.grid_w or 0.0) > -EXPORT_MARGIN_W


def _made(
    scene: Scene,
    limits: Limits,
    choice: Choice,
    resource: Resource,
    control: Control,
    value: float | None,
    *,
    watched: bool = True,
    seldom: Seldom | None = None,
) -> Setpoint:
    held, reason = guarded(scene.site, resource, control, value, choice.reason)
    terms = narrowings(scene, resource, choice.source, reason, limits) if scene.explained else ()
    demanded = _demanded(choice)
    return Setpoint(
        resource.id, control, held, LEASE_S, choice.rank, choice.source, reason, demanded, terms, watched, seldom
    )


def _demanded(choice: Choice) -> Demand | None:
    """What of it safety or an obligation demands: of a limit not to exceed it, of a switch its position."""
    if isinstance(choice, BatteryChoice):
        return choice.demand
    if choice.rank > Rank.OBLIGATION:
        return None
    if isinstance(choice, PvChoice) and (choice.limit_w or 0.0) >= (choice.pv.resource.ratings.max_generation_w or inf):
        return None  # more than this can't come off the roof anyway
    return Demand.EXACTLY if isinstance(choice, SwitchedChoice) else Demand.AT_MOST


def shown(site: Site, decision: Decision) -> Decision:
    """Read-only is hard: no set point at all, and in the notes what would be done."""
    if not site.read_only:
        return decision
    notes = dict(decision.notes)
    for setpoint in decision.setpoints:
        value = "its own control" if setpoint.value is None else f"{setpoint.control} {setpoint.value:g}"
        words = f"read-only; would be set to {value}: {setpoint.reason}"
        notes[setpoint.resource_id] = "; ".join(filter(None, (notes.get(setpoint.resource_id, ""), words)))
    return replace(decision, setpoints=(), notes=MappingProxyType(notes))
