"""Which value a write check sets: safe for the house, and different enough that its effect shows."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from cem.commissioning.plausible import number
from cem.model.reading import Value
from cem.model.resource import Control, Resource, SgReady
from cem.ports import ControlSpec

BATTERY_STEP_W = 500.0
NEARLY_FULL_PCT = 95.0
NEARLY_EMPTY_PCT = 15.0
SUN_ALONE = "it did not charge now, as one that may charge from the sun alone"
WEAK_SUN_W = 500.0
SHARE_OF_SUN = 0.8
CHARGING = ("C", "D")
LEAST_TOLERANCE = {
    Control.EV_LIMIT_A: 0.5,
    Control.PV_LIMIT_W: 10.0,
    Control.BATTERY_SETPOINT_W: 10.0,
    Control.BATTERY_RESERVE_PCT: 0.5,
    Control.EV_PHASES: 0.5,
    Control.HEAT_PUMP_SG_READY: 0.5,
    Control.LOAD_ON: 0.5,
}
NEVER_TRIED = {
    Control.BATTERY_RESERVE_PCT: "the battery may keep it in memory that wears out; it is written once, at the start",
    Control.EV_PHASES: "phases are only changed while the car is paused, and each change wears the contactor",
    Control.HEAT_PUMP_SG_READY: "a heat pump is not started or stopped for some seconds: its compressor would suffer",
    Control.LOAD_ON: "nobody knows what an appliance does when it is switched for some seconds",
}
"""Controls for which no trial is harmless, and why."""
WITH_CONSENT = frozenset({Control.HEAT_PUMP_SG_READY, Control.LOAD_ON})
"""Of those, what is tried nevertheless where the owner says so."""
DRAWS_W = 50.0


@dataclass(frozen=True, slots=True)
class Trial:
    """A value to try. Its effect shows when low <= `effect_point` <= high; with no point only the read-back counts."""

    value: float
    words: str
    effect_point: str | None = None
    low: float = 0.0
    high: float = 0.0
    why_no_effect: str = ""
    maybe: bool = False  # the effect need not come: nobody can say what an appliance wants
    restore: float | None = None  # the owner's own setting, to be written back before the release
    instead: "Trial | None" = None  # what proves the control as well where this one is kept and has no effect
    why_instead: str = ""  # what it means that only the other one had an effect

    def shows(self, values: Mapping[str, Value]) -> bool:
        """Whether the effect is there."""
        seen = None if self.effect_point is None else number(values, self.effect_point)
        return seen is not None and self.low <= seen <= self.high


def trial(
    spec: ControlSpec, resource: Resource, values: Mapping[str, Value], held: float | None, consent: bool = False
) -> Trial | None:
    """The value to try from the present readings and what the device holds now; None when none is safe to choose.

    `consent`: the owner lets contacts be switched for a moment.
    """
    if spec.control in NEVER_TRIED and not (consent and spec.control in WITH_CONSENT):
        return None
    match spec.control:
        case Control.PV_LIMIT_W:
            return _less_sun(spec, resource, values)
        case Control.BATTERY_SETPOINT_W:
            return _battery_step(spec, resource, values)
        case Control.EV_LIMIT_A:
            return _small_current(spec, resource, values, held)
        case Control.LOAD_ON:
            return _other_position(values)
        case Control.HEAT_PUMP_SG_READY:
            why = "a heat pump starts when it wants to, so only the contacts prove it: look at its own display"
            return Trial(float(SgReady.FORCED), "both contacts closed for a moment", why_no_effect=why)
        case Control.EV_PHASES | Control.BATTERY_RESERVE_PCT:
            return None  # see NEVER_TRIED


def _other_position(values: Mapping[str, Value]) -> Trial:
    """Off where something is drawn, which must show; else on, after which it may draw."""
    power_w = number(values, "power_w")
    if power_w is not None and power_w > DRAWS_W:
        return Trial(0.0, "off for a moment", "power_w", -DRAWS_W, DRAWS_W)
    if "power_w" not in values:
        return Trial(1.0, "on for a moment", why_no_effect="nothing measures what it draws: listen to the relay")
    why = "nothing is drawn: it may want nothing now, so look whether the relay moved"
    return Trial(1.0, "on for a moment", "power_w", DRAWS_W, math.inf, why, maybe=True)


def tolerance(spec: ControlSpec, value: float) -> float:
    """How far a read-back may be from what was written: the device's step, or 2 %."""
    return max(spec.dead_band, 0.02 * abs(value), LEAST_TOLERANCE[spec.control])


def _less_sun(spec: ControlSpec, resource: Resource, values: Mapping[str, Value]) -> Trial | None:
    """A fifth less than the present generation; without sun the rating, which changes nothing."""
    generation_w = -(number(values, "power_w") or 0.0)
    limit_w = min(SHARE_OF_SUN * generation_w, generation_w - 2 * spec.effect_tolerance)
    if generation_w > WEAK_SUN_W and limit_w > WEAK_SUN_W / 2:
        high = max(0.0, spec.effect_tolerance)
        return Trial(limit_w, f"at most {limit_w:.0f} W", spec.effect_point or "power_w", -limit_w - high, high)
    rating_w = resource.ratings.max_generation_w or number(values, "rating_w")
    if rating_w is None:
        return None
    return Trial(
        rating_w, f"at most {rating_w:.0f} W", why_no_effect=f"too little sun ({generation_w:.0f} W) for an effect"
    )


def _battery_step(spec: ControlSpec, resource: Resource, values: Mapping[str, Value]) -> Trial | None:
    """500 W of charging, or of discharging when it is nearly full; more where that is what it does anyway.

    A battery that follows no charge may be set to charge from the sun alone: discharging proves its control then.
    """
    soc_pct, power_w = number(values, "soc_pct"), number(values, "power_w")
    if soc_pct is None or power_w is None:
        return None
    discharge = _battery_trial(spec, -1, resource.ratings.max_discharge_w, power_w)
    if soc_pct >= NEARLY_FULL_PCT:
        return discharge
    charge = _battery_trial(spec, 1, resource.ratings.max_charge_w, power_w)
    if soc_pct <= NEARLY_EMPTY_PCT or resource.ratings.max_discharge_w == 0.0:
        return charge
    return replace(charge, instead=discharge, why_instead=SUN_ALONE)


def _battery_trial(spec: ControlSpec, sign: int, rating_w: float | None, power_w: float) -> Trial:
    most_w = BATTERY_STEP_W if rating_w is None else rating_w
    wide_w = max(spec.effect_tolerance, tolerance(spec, BATTERY_STEP_W))
    steps_w = [min(count * BATTERY_STEP_W, most_w) for count in range(1, 5)]
    apart = (step_w for step_w in steps_w if abs(sign * step_w - power_w) >= 2 * wide_w)
    target_w = sign * next(apart, steps_w[0])
    words = f"{'charge' if sign > 0 else 'discharge'} {abs(target_w):.0f} W"
    return Trial(target_w, words, spec.effect_point or "power_w", target_w - wide_w, target_w + wide_w)


def _small_current(
    spec: ControlSpec, resource: Resource, values: Mapping[str, Value], held: float | None
) -> Trial | None:
    """The smallest current, or one ampere more where the charger is there already."""
    ratings = resource.ratings
    current_a, most_a = ratings.min_current_a, ratings.max_current_a
    own_a = held if held is not None else number(values, "limit_a")
    if own_a is not None and abs(own_a - current_a) < 0.5:
        current_a += 1.0
    if most_a is not None and current_a > most_a:
        return None
    words = f"at most {current_a:g} A"
    attempt = Trial(current_a, words, restore=own_a if own_a is not None and own_a >= ratings.min_current_a else None)
    if values.get("state") not in CHARGING:
        return replace(attempt, why_no_effect="no car is charging, so there is no effect to see")
    taken_a, high_a = number(values, "current_a"), current_a + max(1.0, spec.effect_tolerance)
    if taken_a is not None and taken_a <= high_a:
        return replace(attempt, why_no_effect=f"the car takes {taken_a:g} A anyway, so there is no effect to see")
    if taken_a is not None:
        return replace(attempt, effect_point="current_a", high=high_a)
    if number(values, "power_w") is not None:
        most_w = 1.1 * (current_a + 1.0) * ratings.nominal_voltage_v * ratings.phases
        return replace(attempt, effect_point="power_w", high=most_w)
    return replace(attempt, why_no_effect="the charger tells neither current nor power, so no effect can be seen")
