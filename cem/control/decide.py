"""The decision of one tick: fold the bounds, let cars, batteries and panels choose within them, say why."""

from dataclasses import replace
from types import MappingProxyType

from cem.control import batteries, bounds, chargers, panels, words
from cem.control.batteries import BatteryChoice
from cem.control.chargers import ChargerChoice
from cem.control.fold import fold
from cem.control.memory import Memory
from cem.control.panels import PvChoice
from cem.control.picture import Picture, look
from cem.control.safe import safe_setpoints
from cem.control.scene import Scene
from cem.control.tuning import LEASE_S, SKEW_S
from cem.model.directive import GridPresence, LinkState
from cem.model.envelope import SITE, Rank
from cem.model.resource import Control
from cem.model.setpoint import Decision, Mode, Setpoint
from cem.model.site import Site
from cem.model.tick import Inputs

Choice = ChargerChoice | BatteryChoice | PvChoice
LOST = frozenset({LinkState.FALLBACK, LinkState.RESYNC})


def decide(site: Site, inputs: Inputs, memory: Memory) -> tuple[Decision, Memory]:
    """What every controllable resource should do now, and why. Pure and deterministic."""
    picture = _steady(look(site, inputs.snapshot, SKEW_S), memory)
    locked = bounds.locked_reserves(site, picture, memory.reserve_locked)
    envelopes = (
        *bounds.site_envelopes(site),
        *inputs.directive.envelopes,
        *bounds.battery_envelopes(site, picture, locked),
        *bounds.user_envelopes(inputs.requests, inputs.now.wall),
    )
    scene = Scene(site, inputs, picture, fold(SITE, envelopes, inputs.now.wall), envelopes)
    if picture.grid_w is None:
        return _blind(scene, replace(memory, reserve_locked=locked))
    charger_memories = dict(memory.chargers)
    last_w = dict(memory.batteries_w)
    cars = chargers.choose(scene, charger_memories)
    stores = batteries.choose(scene, last_w)
    roofs = panels.choose(scene, stores)
    choices: list[Choice] = [*cars, *stores, *roofs]
    setpoints = tuple(_setpoint(choice) for choice in choices)
    mode = _mode(scene)
    decision = Decision(setpoints, scene.band, mode, _headline(scene, mode, setpoints), picture.load_w)
    return decision, Memory(
        locked, MappingProxyType(charger_memories), MappingProxyType(last_w), picture.load_w, meter_lost_at_s=None
    )


def _setpoint(choice: Choice) -> Setpoint:
    value: float | None
    if isinstance(choice, ChargerChoice):
        resource_id, control, value = choice.charger.resource.id, Control.EV_LIMIT_A, choice.limit_a
    elif isinstance(choice, BatteryChoice):
        resource_id, control, value = choice.battery.resource.id, Control.BATTERY_SETPOINT_W, round(choice.power_w)
    else:
        resource_id, control = choice.pv.resource.id, Control.PV_LIMIT_W
        value = None if choice.limit_w is None else round(choice.limit_w)
    demanded = choice.rank <= Rank.OBLIGATION
    return Setpoint(resource_id, control, value, LEASE_S, choice.rank, choice.source, choice.reason, demanded)


def _steady(picture: Picture, memory: Memory) -> Picture:
    """Keeps the former load estimate while meter and battery were read too far apart to be summed."""
    if picture.grid_w is None or not picture.skewed or memory.load_w is None:
        return picture
    return replace(picture, load_w=memory.load_w)


def _blind(scene: Scene, memory: Memory) -> tuple[Decision, Memory]:
    now_s = scene.inputs.now.mono_s
    lost_at = memory.meter_lost_at_s if memory.meter_lost_at_s is not None else now_s
    setpoints = safe_setpoints(scene, now_s - lost_at)
    headline = "The grid meter is silent: nothing is steered beyond its safe value until it answers again."
    decision = Decision(setpoints, scene.band, Mode.SAFE, headline)
    return decision, replace(memory, batteries_w=MappingProxyType({}), load_w=None, meter_lost_at_s=lost_at)


def _mode(scene: Scene) -> Mode:
    directive = scene.inputs.directive
    if directive.grid is GridPresence.ISLANDED:
        return Mode.ISLANDED
    if any(link.state in LOST for link in directive.links):
        return Mode.FALLBACK
    return Mode.LIMITED if _grid_bounds(scene) else Mode.NORMAL


def _grid_bounds(scene: Scene) -> str:
    """The edges that a provider set, in words; '' when none did."""
    sources = {envelope.source for envelope in scene.inputs.directive.envelopes}
    edges = ((scene.band.max_by, scene.band.max_w, "import"), (scene.band.min_by, scene.band.min_w, "export"))
    return ", ".join(
        f"{side} at most {words.power(edge)}{words.until(by.until, scene.site.zone, scene.now)}"
        for by, edge, side in edges
        if by is not None and by.source in sources
    )


def _headline(scene: Scene, mode: Mode, setpoints: tuple[Setpoint, ...]) -> str:
    bounded = _grid_bounds(scene)
    if mode is Mode.FALLBACK:
        lost = next(link for link in scene.inputs.directive.links if link.state in LOST)
        return f"No link to {lost.provider_id}; the agreed fallback holds: {bounded or 'its own tariff and limits'}."
    if mode is Mode.LIMITED:
        return f"The grid sets a limit: {bounded}."
    voluntary = next((s for s in setpoints if s.rank is Rank.PROGRAMME), None)
    if voluntary is not None:
        return f"Follows {voluntary.source}: {voluntary.reason}."
    leading = next((s for s in setpoints if s.control is Control.BATTERY_SETPOINT_W), None)
    return f"The battery {leading.reason}." if leading is not None else "Everything runs by itself."
