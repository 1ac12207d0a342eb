"""The grid's curves: what may be given at a voltage or frequency, and what may be taken at a price.

The shape is that of the volt-watt and frequency-watt functions of IEEE 1547-2018, clauses 5.4.2 and 6.5.2: one more
narrowing term, never a set point. The voltage is that of the highest phase at the connection point, smoothed over
the 10 s that the standard gives volt-watt to respond: what the house feeds in raises the very voltage that it follows.
Interpretation: while voltage, frequency or price are not known the strictest point of the curve holds.

The site file may have a volt-watt of the house's own, for inverters that have none: one more such curve, which needs no
provider. An inverter that has one by itself is narrowed by both.
"""

import math

from cem.control.memory import Volts
from cem.control.meter import Meter
from cem.control.picture import Picture
from cem.control.prices import Prices
from cem.model.curve import CurveOver
from cem.model.directive import CurveOrder
from cem.model.envelope import SITE, Envelope, Rank
from cem.model.site import Site
from cem.model.tick import Inputs
from cem.model.values import replace

SMOOTH_S = 10.0
LONGEST_GAP_S = 30.0


def followed(site: Site, inputs: Inputs, meter: Meter, before: Volts | None) -> Volts | None:
    """The smoothed voltage with this tick's; None while no curve asks for it or the meter does not tell it."""
    orders = _orders(site, inputs)
    if not orders or not any(order.curve.over in (CurveOver.VOLTS, CurveOver.VOLTS_SHARE) for order in orders):
        return None
    told = max((volts for volts in meter.volts if volts is not None), default=None)
    if told is None:
        return None
    now_s = inputs.now.mono_s
    if before is None or not 0.0 <= now_s - before.at_s <= LONGEST_GAP_S:
        return Volts(told, now_s)
    share = 1.0 - math.exp(-(now_s - before.at_s) / SMOOTH_S)
    return Volts(before.volts + share * (told - before.volts), now_s)


def _orders(site: Site, inputs: Inputs) -> tuple[CurveOrder, ...]:
    own = site.once(_own)
    return inputs.directive.curves if own is None else (*inputs.directive.curves, own)


def _own(site: Site) -> CurveOrder | None:
    curve = site.policy.volt_watt
    return None if curve is None else CurveOrder(SITE, curve, Rank.SAFETY, "voltage", "volt-watt of this house", None)


def curve_envelopes(
    site: Site, inputs: Inputs, picture: Picture, volts: Volts | None, prices: Prices
) -> tuple[Envelope, ...]:
    """What the curves in force leave now."""
    found: list[Envelope] = []
    for order in _orders(site, inputs):
        x, words = _x(site, order, picture, volts, prices)
        y = order.curve.strictest if x is None else order.curve.at(x)
        found += _bounds(site, order, picture, y, f"{order.reason} {words}")
    return tuple(found)


def _x(
    site: Site, order: CurveOrder, picture: Picture, volts: Volts | None, prices: Prices
) -> tuple[float | None, str]:
    over = order.curve.over
    if over is CurveOver.HERTZ:
        hertz = picture.frequency_hz
        return hertz, "as the frequency is not known" if hertz is None else f"at {hertz:.2f} Hz"
    if over is CurveOver.PRICE_PER_KWH:
        price = prices.import_per_kwh
        return price, "as the price is not known" if price is None else f"at {price:.4g} a kWh"
    if volts is None:
        return None, "as the voltage is not known"
    share = over is CurveOver.VOLTS_SHARE
    return volts.volts / (site.connection.nominal_voltage_v if share else 1.0), f"at {volts.volts:.1f} V"


def _bounds(site: Site, order: CurveOrder, picture: Picture, y: float, reason: str) -> list[Envelope]:
    bare = Envelope(order.subject, None, None, order.rank, order.source, reason, order.until)
    if order.curve.over is CurveOver.PRICE_PER_KWH:
        return [replace(bare, max_w=y)]
    if not order.curve.shares:
        return [replace(bare, min_w=-y)]
    if y >= 1.0:
        return []  # the whole rating: nothing is narrowed
    rated = {pv.resource.id: pv.resource.ratings.max_generation_w for pv in picture.pvs}
    rated |= {battery.resource.id: battery.max_discharge_w for battery in picture.batteries}
    return [
        replace(bare, subject=key, min_w=-most_w * y)
        for key, most_w in rated.items()
        if most_w is not None and order.subject in (SITE, key)
    ]
