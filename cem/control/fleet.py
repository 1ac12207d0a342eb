"""Several batteries as one: a total is shared so that their states of charge converge."""

from collections.abc import Mapping, Sequence

from cem.control.picture import BatteryPicture


def split(
    total_w: float, batteries: Sequence[BatteryPicture], caps_w: Mapping[str, float], reserve: Mapping[str, float]
) -> dict[str, float]:
    """Shares `total_w` (charging positive) by what each can take or give, weighted by the room in its state of charge.

    `caps_w` are magnitudes in the direction of the total. What does not fit anywhere is left out.
    """
    sign = 1.0 if total_w >= 0 else -1.0
    left = abs(total_w)
    given, weights = {}, {}
    for battery in batteries:
        key = battery.resource.id
        given[key], weights[key] = 0.0, _weight(battery, sign, caps_w[key], reserve[key])
    open_ids = sorted([key for key in given if caps_w[key] > 0.0])
    while open_ids and left > 1e-9:
        whole = sum([weights[key] for key in open_ids])
        if whole <= 0.0:
            break
        full = [key for key in open_ids if given[key] + left * weights[key] / whole >= caps_w[key] - 1e-9]
        if not full:
            for key in open_ids:
                given[key] += left * weights[key] / whole
            break
        for key in full:
            left -= caps_w[key] - given[key]
            given[key] = caps_w[key]
        left = max(0.0, left)
        open_ids = [key for key in open_ids if key not in full]
    return {key: sign * power for key, power in given.items()}


def _weight(battery: BatteryPicture, sign: float, cap_w: float, reserve_pct: float) -> float:
    room_pct = 100.0 - battery.soc_pct if sign > 0 else battery.soc_pct - reserve_pct
    return cap_w * max(1.0, room_pct)  # never nothing: a full one says so itself by what it accepts
