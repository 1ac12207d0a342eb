"""Trip curves: what a wanted one leaves open, and whether its regions agree. Pure.

A device must leave the grid in one region of voltage (or frequency) and time, must stay in another, and may do either
in what lies between (IEEE 1547-2018, clauses 6.4.1 and 6.4.2 for voltage, 6.5.1 and 6.5.2 for frequency). So no part
of the region in which it must trip lies outside of the one in which it may.

Interpretation: devices hold such a curve as its outline, corner by corner (IEEE 2030.5-2018, DERControlBase: pairs that
are joined by straight lines), or as steps, each a threshold and the time after which it counts; both are met. So a
must-trip curve is taken for the least that it can mean, the steps at its points, a may-trip curve for the most, all
that its lines reach. What is refused contradicts itself in every reading.
"""

from cem.model.inverter_curve import PROTECTION, TRIPS_BELOW, Curve, GridFunction, TripRegion

ROUNDING = 1e-9  # of a point on a slanted line

Place = tuple[float, float]


def completed(function: GridFunction, wanted: Curve, active: Curve | None) -> Curve:
    """A wanted trip curve with the regions that it does not name as they are in force; other curves as they are."""
    if function not in PROTECTION or active is None:
        return wanted
    return Curve(wanted.points, wanted.settings, regions={**active.regions, **wanted.regions})


def contradiction(function: GridFunction, curve: Curve) -> str:
    """Why the regions of a trip curve can't all hold, in words; "" where they can, or where one of them is not told."""
    must, may = (curve.regions.get(region, ()) for region in (TripRegion.MUST_TRIP, TripRegion.MAY_TRIP))
    if function not in PROTECTION or not may:
        return ""
    reached = [_severity(function, point) for point in may]
    for x, time_s in must:
        if not _reaches(reached, _severity(function, (x, time_s))):
            unit = "Hz" if function in (GridFunction.LOW_FREQUENCY_TRIP, GridFunction.HIGH_FREQUENCY_TRIP) else "%"
            side = "below" if function in TRIPS_BELOW else "above"
            where = f"{side} {x:g} {unit} after {time_s:g} s"
            return f"it would have to trip {where}, where its may-trip curve does not let it"
    return ""


def _severity(function: GridFunction, point: Place) -> Place:
    """A point so that a region is all that is not greater than its bound, in both: (how near to normal, how early)."""
    x, time_s = point
    return (x if function in TRIPS_BELOW else -x), -time_s


def _reaches(bound: list[Place], place: Place) -> bool:
    """Whether any part of the bound's lines is at least as great in both."""
    return any(
        _line_reaches(first, second, place) for first, second in zip(bound, [*bound[1:], bound[-1]], strict=True)
    )


def _line_reaches(first: Place, second: Place, place: Place) -> bool:
    begin, end = 0.0, 1.0  # the part of the line that does
    for start, stop, least in zip(first, second, place, strict=True):
        rise = stop - start
        if rise == 0.0:
            if start < least - ROUNDING:
                return False
        elif rise > 0.0:
            begin = max(begin, (least - ROUNDING - start) / rise)
        else:
            end = min(end, (least - ROUNDING - start) / rise)
    return begin <= end
