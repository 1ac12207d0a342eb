"""Puts curves for grid support in force: one at a time, read back, and nothing written that holds already."""

from cem.model.inverter_curve import CurveSet, WantedCurve
from cem.ports import HoldsCurves


async def put_in_force(device: HoldsCurves, wanted: WantedCurve) -> CurveSet:
    """What the open device holds then. Raises DeviceError, Refused where it does not take or keep it."""
    if wanted.curve is None:
        return await device.switch_off_curve(wanted.function)
    return await device.adopt_curve(wanted.function, wanted.curve, place=wanted.place, revert_s=wanted.revert_s)
