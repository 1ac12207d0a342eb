"""Between an import and an export limit batteries go down in parts, so that roofs which close for it stay in step."""

from cem.control.battery_choice import BatteryChoice, Surroundings, own_band
from cem.control.panels import OPENS_W, least
from cem.control.scene import Scene
from cem.control.trend import FOLLOW_S
from cem.model.envelope import Rank
from cem.model.resource import Control
from cem.model.setpoint import Demand
from cem.model.values import replace


def in_parts(scene: Scene, around: Surroundings, choices: list[BatteryChoice], most_w: float) -> list[BatteryChoice]:
    """The choices, none of them further below what a battery stores now than there is room between the limits.

    A roof may close seconds before the battery has followed: until then what it takes comes from the grid. `most_w`: as
    much may all of them store together; down to there no roof closes for them.
    """
    by, trend = scene.band.max_by, scene.memory.trend
    if scene.gone or by is None or by.rank is Rank.SAFETY or trend is None:
        return choices
    falls, rises = [_falls_w(choice) for choice in choices], [_rises_w(choice) for choice in choices]
    fall_w, present_w = sum(falls), sum([choice.battery.power_w for choice in choices])
    room_w = (scene.import_room_w + scene.export_room_w + OPENS_W) * min(1.0, trend.every_s / FOLLOW_S)
    room_w = max(room_w, present_w - most_w)
    moves_w = fall_w + sum(rises)  # one that takes over may be there before the other has gone
    if not fall_w or moves_w <= room_w or least(scene)[1] is None or not _closes(scene):
        return choices
    share = room_w / moves_w
    return [
        _partly(scene, around, choice, share * falls_w, share * rises_w) if falls_w > 0.0 or rises_w > 0.0 else choice
        for choice, falls_w, rises_w in zip(choices, falls, rises, strict=True)
    ]


def _falls_w(choice: BatteryChoice) -> float:
    """By how much a battery that nobody tells exactly what to do is to store less than it does."""
    return 0.0 if choice.demand is Demand.EXACTLY else max(0.0, choice.battery.power_w - max(0.0, choice.power_w))


def _rises_w(choice: BatteryChoice) -> float:
    """By how much such a one is to store more."""
    return 0.0 if choice.demand is Demand.EXACTLY else max(0.0, choice.power_w - max(0.0, choice.battery.power_w))


def _closes(scene: Scene) -> bool:
    """Whether a roof gives something that can be bound."""
    return any(pv.power_w < 0.0 and Control.PV_LIMIT_W in pv.resource.controls for pv in scene.picture.pvs)


def _partly(scene: Scene, around: Surroundings, choice: BatteryChoice, fall_w: float, rise_w: float) -> BatteryChoice:
    """As far down or up as its part; what it was told before stands, also where it has not followed yet."""
    key, measured_w = choice.battery.resource.id, choice.battery.power_w
    before_w, own = scene.memory.batteries_w.get(key, measured_w), own_band(scene, around, choice.battery)
    if rise_w > 0.0:
        power_w = own.clamp(min(choice.power_w, max(max(0.0, measured_w) + rise_w, before_w)))
    else:
        power_w = own.clamp(max(choice.power_w, min(measured_w - fall_w, before_w)))
    if power_w == choice.power_w:
        return choice
    way = "up in parts, as another goes down" if rise_w > 0.0 else "down in parts, as roofs close for it"
    return replace(choice, power_w=power_w, reason=f"goes {way}: {choice.reason}")
