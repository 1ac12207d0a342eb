"""What a writer goes by: what a device is told, what it may round, when a value shows, what must be kept in hand."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, time, timedelta

from cem.model.resource import Control
from cem.model.setpoint import Demand, Setpoint
from cem.model.time import Instant
from cem.ports import ControlSpec, Storage

WEARS_OUT = frozenset({Storage.FLASH, Storage.UNKNOWN})
STATES = frozenset({Control.HEAT_PUMP_SG_READY, Control.LOAD_ON, Control.EV_PHASES})
"""What is one of a few whole numbers: nothing is rounded, and the next one is another state."""


def told(spec: ControlSpec, setpoint: Setpoint) -> float | None:
    """What a device is told: where writes wear it out, what stands in place of a value that follows the house."""
    seldom = setpoint.seldom
    return setpoint.value if seldom is None or spec.storage not in WEARS_OUT else seldom.value


def as_told(specs: Iterable[ControlSpec], setpoint: Setpoint) -> Setpoint:
    """The set point as its device gets it, with the reason for that; as it is where no such control is known."""
    spec = next((s for s in specs if (s.resource_id, s.control) == (setpoint.resource_id, setpoint.control)), None)
    if spec is None or setpoint.seldom is None or spec.storage not in WEARS_OUT:
        return setpoint
    return replace(setpoint, value=setpoint.seldom.value, reason=setpoint.seldom.reason or setpoint.reason)


def keeps_clear(spec: ControlSpec, demand: Demand | None) -> bool:
    """Whether less is asked for than a limit allows: its dead band less, within which nothing is written again.

    So a limit of what is seldom written is kept while it moves within the dead band.
    """
    return demand is Demand.AT_MOST and spec.control is Control.PV_LIMIT_W and spec.storage in WEARS_OUT


def refreshes_today(spec: ControlSpec, now: Instant) -> int:
    """How often a value that is written now must be written again until the day of its budget (UTC) ends."""
    if spec.refresh_s is None:
        return 0
    ends = datetime.combine(now.wall.date() + timedelta(days=1), time(), now.wall.tzinfo)
    return int((ends - now.wall).total_seconds() // spec.refresh_s)


def tolerance(spec: ControlSpec, value: float) -> float:
    """What a device may round: its dead band, one per cent, at least one unit; of a state nothing."""
    if spec.control in STATES:
        return 0.5
    return max(spec.dead_band, abs(value) * 0.01, spec.effect_tolerance / 2, 1.0)


def effective(spec: ControlSpec, told: tuple[float, float], measured: float) -> bool:
    """A set point must be followed; a limit must only not be exceeded (a car or the sun may want less).

    `told`: the least and the most of what it may have heard when it was measured; it may have been on its way. A load
    that is switched on takes what it wants; one that is off takes nothing.
    """
    least, most = told
    if spec.control is Control.LOAD_ON:
        return most > 0.0 or abs(measured) <= spec.effect_tolerance
    if spec.control is Control.BATTERY_SETPOINT_W:
        return least - short_of(spec, least) <= measured <= most + short_of(spec, most)
    return abs(measured) <= most + short_of(spec, most)


def short_of(spec: ControlSpec, written: float) -> float:
    """By how much a measurement may differ from what was told."""
    return max(spec.effect_tolerance, abs(written) * 0.1)
