"""Curves for people, and as JSON."""

from collections.abc import Iterator, Mapping

from cem.model.inverter_curve import Curve, CurveSet, GridFunction, Points, WantedCurve

AXES: Mapping[GridFunction, str] = {
    GridFunction.VOLT_VAR: "% V -> % var",
    GridFunction.VOLT_WATT: "% V -> % W",
    GridFunction.WATT_VAR: "% W -> % var",
    GridFunction.FREQUENCY_WATT: "",
    GridFunction.LOW_VOLTAGE_TRIP: "% V -> s",
    GridFunction.HIGH_VOLTAGE_TRIP: "% V -> s",
    GridFunction.LOW_FREQUENCY_TRIP: "Hz -> s",
    GridFunction.HIGH_FREQUENCY_TRIP: "Hz -> s",
}


def curve_words(curve: Curve) -> str:
    """'92 -> 44, 98 -> 0; RspTms 5', or 'must-trip 50 -> 2, 88 -> 21; may-trip none'."""
    settings = ", ".join(f"{name} {value:g}" for name, value in curve.settings.items())
    regions = [f"{region.words} {_points_words(points) or 'none'}" for region, points in curve.regions.items()]
    return "; ".join(filter(None, (_points_words(curve.points), settings, *regions))) or "empty"


def _points_words(points: Points) -> str:
    return ", ".join(f"{x:g} -> {y:g}" for x, y in points)


def set_lines(held: CurveSet) -> Iterator[str]:
    """What a device holds for one function."""
    state = "in force" if held.enabled else "off"
    back = f", goes back by itself after {held.revert_s} s" if held.revert_s else ""
    room = f", up to {held.most_points} points" if held.most_points else ""
    axes = f", {AXES[held.function]}" if AXES[held.function] else ""
    yield f"{held.function}: {state}{back}; {len(held.curves)} curves{room}{axes}"
    for place, curve in enumerate(held.curves, 1):
        yield f"  {place}{' (the one in force)' if place == 1 else ''}: {curve_words(curve)}"


def change_lines(wanted: WantedCurve, held: CurveSet | None) -> Iterator[str]:
    """Before and after of one function; what is not named stays as it is at the place that is written."""
    yield f"{wanted.function}:"
    if held is None:
        yield "  now:   the device has no such function"
    else:
        yield f"  now:   {'' if held.enabled else 'off; '}{curve_words(held.active or Curve())}"
    if wanted.curve is None:
        yield "  then:  off"
        return
    back = f", for {wanted.revert_s} s" if wanted.revert_s else ""
    yield f"  then:  {curve_words(wanted.curve)} (by way of place {wanted.place}{back})"


def curve_json(held: CurveSet) -> dict[str, object]:
    """One function."""
    return {
        "function": held.function,
        "enabled": held.enabled,
        "revert_s": held.revert_s,
        "most_points": held.most_points,
        "curves": [
            {
                "place": place,
                "points": [list(point) for point in curve.points],
                "settings": dict(curve.settings),
                "read_only": curve.read_only,
                **{region.value: [list(point) for point in points] for region, points in curve.regions.items()},
            }
            for place, curve in enumerate(held.curves, 1)
        ],
    }
