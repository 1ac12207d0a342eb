"""The points of a CURVE payload, as a curve that can be followed (Definition, table 1; User Guide 8.4).

The payload has one unit for two axes. Interpretation: the unit is that of y. A power, or PERCENT of the rating, is what
may be given at most (volt-watt, frequency-watt), and x, by its size, volts, a share of the nominal voltage, or hertz;
with a currency beside a power it is what may be taken at most at a price per kWh. A reactive power is for devices that
we do not have, and without a unit a curve may be one.
"""

import math

from cem.model.curve import Curve, CurveOver
from cem.sgcp.bindings.openadr3_schedule import Unusable
from cem.sgcp.bindings.openadr3_units import POWER_UNITS, Units
from cem.wire.openadr3 import Point, ValuesMap

MOST_POINTS = 100
_AXES = (
    (CurveOver.VOLTS_SHARE, 0.5, 1.5),
    (CurveOver.HERTZ, 45.0, 66.0),
    (CurveOver.VOLTS, 90.0, 500.0),
)


def read_curve(payload: ValuesMap, units: Units, max_power_w: float) -> Curve:
    """The curve; raises Unusable for what is none, and LookupError, with words, for one that is not for us."""
    points = sorted(_points(payload))
    if not points or len(points) > MOST_POINTS:
        raise Unusable(f"{payload.type} of {len(points)} points; 1 to {MOST_POINTS} are taken")
    unit = units.units(payload.type, "")
    if not unit:
        raise LookupError(f"{payload.type} without units (it may be volt-var)")
    money = units.money(payload.type)
    shares = unit == "PERCENT" and not money
    factor = 0.01 if shares else POWER_UNITS.get(unit)
    if factor is None:
        raise LookupError(f"{payload.type} in {unit}")
    most = 1.0 if shares else max_power_w
    scaled = tuple((x, y * factor) for x, y in points)
    if any(not math.isfinite(x) or not 0.0 <= y <= most for x, y in scaled):
        raise LookupError(f"{payload.type} with a y below 0 or above {'100 %' if shares else 'any house'}")
    if money:
        return Curve(CurveOver.PRICE_PER_KWH, scaled, shares=False)
    over = next((axis for axis, low, high in _AXES if low <= points[0][0] and points[-1][0] <= high), None)
    if over is None:
        raise LookupError(f"{payload.type} over {points[0][0]:g} to {points[-1][0]:g}: no voltage and no frequency")
    return Curve(over, scaled, shares)


def _points(payload: ValuesMap) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for value in payload.values:
        for point in value if isinstance(value, list) else [value]:
            if not isinstance(point, Point):
                raise Unusable(f"{payload.type} with a value that is no point")
            found.append((point.x, point.y))
    return found
