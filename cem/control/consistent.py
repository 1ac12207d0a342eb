"""Whether one sample of a meter agrees with itself: the phases make the whole, and a power needs current and voltage.

A wrong word order, a scale factor that changed between two reads, or an overflow in one register shows here at once,
whatever the size of the number. Where a meter tells only its power there is nothing to compare.
"""

from collections.abc import Mapping
from math import isfinite

from cem.model.reading import NUMBERS, Reading

TOGETHER_S = 0.05
"""Values of one transaction bear the same time; others are not compared."""
SUM_W, SUM_SHARE = 200.0, 0.15
POWER_W, POWER_SHARE = 100.0, 1.2
AMPERE_STEP = 1.0
"""Some meters tell whole amperes."""
HIGHEST_SHARE_V = 1.3
LOWEST_HZ, HIGHEST_HZ = 40.0, 70.0
PHASES = (1, 2, 3)
OF_PHASE = tuple((phase, f"power_l{phase}_w", f"voltage_l{phase}_v", f"current_l{phase}_a") for phase in PHASES)
COMPARED = ("power_w", "frequency_hz", *(point for _, *points in OF_PHASE for point in points))


def contradiction(points: Mapping[str, Reading], nominal_voltage_v: float) -> str:
    """Why the values of one sample cannot all be true, in words; '' when they can."""
    power = points.get("power_w")
    if power is None:
        return ""
    at_s = power.taken_at_s
    told: dict[str, float] = {}
    for point in COMPARED:
        reading = points.get(point)
        if reading is not None and abs(reading.taken_at_s - at_s) <= TOGETHER_S:
            held = reading.value
            if isinstance(held, NUMBERS) and isfinite(held):
                told[point] = held
    frequency = told.get("frequency_hz")
    if frequency is not None and frequency != 0.0 and not LOWEST_HZ <= frequency <= HIGHEST_HZ:
        return f"{frequency:g} Hz cannot be"
    total_w = told.get("power_w")
    told_w = [told[power_point] for _, power_point, _, _ in OF_PHASE if power_point in told]
    if total_w is not None and len(told_w) == len(PHASES):
        made_w = sum(told_w)
        if abs(made_w - total_w) > max(SUM_W, SUM_SHARE * max(abs(total_w), abs(made_w))):
            return f"{total_w:.0f} W in all, but the phases make {made_w:.0f} W"
    for phase, power_point, volt_point, ampere_point in OF_PHASE:
        power_w, volt, ampere = told.get(power_point), told.get(volt_point), told.get(ampere_point)
        if volt is not None and volt > HIGHEST_SHARE_V * nominal_voltage_v:
            return f"{volt:.0f} V on phase L{phase} cannot be"
        if power_w is None or volt is None or ampere is None:
            continue
        most_w = POWER_SHARE * abs(volt) * (abs(ampere) + AMPERE_STEP) + POWER_W
        if abs(power_w) > most_w:
            return f"{power_w:.0f} W on phase L{phase}, but {volt:.0f} V and {ampere:.1f} A are told with it"
    return ""
