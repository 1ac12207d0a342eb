"""Puts curves for grid support in force: one at a time, read back, and nothing written that holds already."""

from cem.model.errors import Refused
from cem.model.inverter_curve import PROTECTION, CurveSet, WantedCurve
from cem.model.trip_curve import completed, contradiction
from cem.ports import HoldsCurves


async def put_in_force(device: HoldsCurves, wanted: WantedCurve) -> CurveSet:
    """What the open device holds then. Raises DeviceError, Refused where it does not take or keep it, or where the
    regions of a trip curve contradict each other with those that are kept."""
    if wanted.curve is None:
        return await device.switch_off_curve(wanted.function)
    curve = wanted.curve
    if wanted.function in PROTECTION:
        held = {one.function: one.active for one in await device.curves()}
        curve = completed(wanted.function, curve, held.get(wanted.function))
        if fault := contradiction(wanted.function, curve):
            raise Refused(f"{wanted.function}: {fault}; nothing was written")
    return await device.adopt_curve(wanted.function, curve, place=wanted.place, revert_s=wanted.revert_s)
