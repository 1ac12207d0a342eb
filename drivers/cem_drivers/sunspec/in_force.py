"""What a device holds of ours, as its own readings, and what its strings give."""

from cem.driver import Value
from cem_drivers.sunspec.image import Image
from cem_drivers.sunspec.roles import (
    DC_PORTS,
    DER_CONTROL,
    LIMIT_CONTROL,
    MPPT,
    STORAGE_CONTROL,
    charge_base_w,
    discharge_base_w,
    generation_w,
    port_generation_w,
    wmax_w,
)


def image_generation_w(image: Image) -> float | None:
    """What the strings behind the inverter give, W; None where no model tells."""
    strings = generation_w(image.modules.get(MPPT, []))
    return strings if strings is not None else port_generation_w(image.modules.get(DC_PORTS, []))


def limit_points(image: Image) -> dict[str, Value]:
    """The limit in force, as read with the last poll; None when the device is not limited."""
    base_w = wmax_w(image.values)
    held = image.values.get(LIMIT_CONTROL) or image.values.get(DER_CONTROL)
    if held is None or base_w is None:
        return {}
    percent = held.get("WMaxLimPct")
    enabled = held.get("WMaxLim_Ena", held.get("WMaxLimPctEna")) == 1
    return {"limit_w": percent * base_w / 100 if enabled and isinstance(percent, float) else None}


def setpoint_points(image: Image) -> dict[str, Value]:
    """The battery's power in force, as read with the last poll; None when it follows its own control."""
    held = image.values.get(STORAGE_CONTROL)
    charge_w, discharge_w = charge_base_w(image.values), discharge_base_w(image.values)
    if held is None or charge_w is None or discharge_w is None:
        return _der_setpoint(image)
    most, least = held.get("InWRte"), held.get("OutWRte")
    if held.get("StorCtl_Mod") != 3 or not isinstance(most, float) or not isinstance(least, float):
        return {"setpoint_w": None}
    most_w, least_w = most * charge_w / 100, -least * discharge_w / 100
    pinned = abs(most_w - least_w) <= 0.02 * max(charge_w, discharge_w)
    return {"setpoint_w": (most_w if most_w >= 0 else least_w) if pinned else None}


def _der_setpoint(image: Image) -> dict[str, Value]:
    held = image.values.get(DER_CONTROL)
    if held is None:
        return {}
    power = held.get("WSet")
    ours = held.get("WSetEna") == 1 and held.get("WSetMod") in (None, 1.0) and isinstance(power, float)
    return {"setpoint_w": 0.0 - power if ours and isinstance(power, float) else None}
