"""Frequency-watt: the further the frequency from nominal, the narrower what makes it worse may be.

The shape is that of EN 50549-1 (LFSM-O and LFSM-U): outside a dead band the power changes in proportion, by the whole
rating per `droop_pct` of the nominal frequency. It is one more narrowing term, never a set point.
"""

from cem.control.picture import Picture
from cem.model.envelope import Envelope, Rank
from cem.model.resource import Control
from cem.model.site import Droop, Site


def share(droop: Droop, frequency_hz: float) -> float:
    """How much of the rating the frequency asks for: above 0 too high, below 0 too low, 0 within the dead band."""
    off_hz = frequency_hz - droop.nominal_hz
    beyond = max(0.0, abs(off_hz) - droop.dead_band_hz) / (droop.nominal_hz * droop.droop_pct / 100.0)
    return beyond if off_hz > 0 else -beyond


def droop_envelopes(site: Site, picture: Picture, *, islanded: bool = False) -> list[Envelope]:
    """One per steered resource while the measured frequency is outside the dead band.

    In an island the battery makes the frequency itself, to tell the roofs what it can't take: it is not bound by it.
    """
    droop, frequency = site.policy.droop, picture.frequency_hz
    if droop is None or frequency is None:
        return []
    asked = share(droop, frequency)
    if asked == 0.0:
        return []
    reason = f"frequency {frequency:.2f} Hz, outside {droop.nominal_hz:g} ± {droop.dead_band_hz:g} Hz"
    less = max(0.0, 1.0 - abs(asked))
    more = min(1.0, max(0.0, abs(asked) - 1.0))  # beyond the whole rating it turns round
    envelopes = []

    def bound(resource_id: str, low: float | None, high: float | None) -> None:
        envelopes.append(Envelope(resource_id, low, high, Rank.SAFETY, "frequency", reason))

    for battery in () if islanded else picture.batteries:
        charge, discharge = battery.max_charge_w, battery.max_discharge_w
        if asked > 0:
            bound(battery.resource.id, charge * more - discharge * less, None)
        else:
            bound(battery.resource.id, None, charge * less - discharge * more)
    if asked > 0:
        for pv in picture.pvs:
            rated = pv.resource.ratings.max_generation_w
            if rated is not None and Control.PV_LIMIT_W in pv.resource.controls:
                bound(pv.resource.id, -rated * less, None)
    else:
        for charger in picture.chargers:
            most_w = (charger.resource.ratings.max_current_a or 0.0) * charger.watts_per_amp
            bound(charger.resource.id, None, most_w * less)
    return envelopes
