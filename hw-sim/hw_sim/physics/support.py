"""How an inverter supports the grid by itself: frequency-watt, volt-watt, volt-var, with their response times.

The figures are defaults: IEEE 1547-2018, category B (volt-var: table 8; volt-watt: table 10; frequency-droop: table
24), and EN 50549-1:2019 for frequency (LFSM-O: 50.2 Hz, 5 %), which has no default for voltage. A response time is the
one to nine tenths of a step (open loop); the inverter follows with a lag of first order.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

ROUNDING_HZ = 1e-9
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Functions:
    """What an inverter is set to. Voltages in p.u., powers in p.u. of its rating, injected reactive power positive."""

    dead_band_hz: float
    droop: float  # p.u. of frequency for the whole rating
    frequency_s: float
    volt_watt: Points = ()
    volt_watt_s: float = 10.0
    volt_var: Points = ()
    volt_var_s: float = 5.0


SETS: dict[str, Functions] = {
    "ieee1547-b": Functions(
        dead_band_hz=0.036,
        droop=0.05,
        frequency_s=5.0,
        volt_watt=((1.06, 1.0), (1.10, 0.2)),
        volt_var=((0.92, 0.44), (0.98, 0.0), (1.02, 0.0), (1.08, -0.44)),
    ),
    "en50549": Functions(dead_band_hz=0.2, droop=0.05, frequency_s=2.0),
}


def at(points: Sequence[tuple[float, float]], x: float) -> float:
    """The curve's value: straight between its points, level beyond them."""
    if x <= points[0][0]:
        return points[0][1]
    for (left, low), (right, high) in pairwise(points):
        if x <= right:
            return low + (high - low) * (x - left) / (right - left)
    return points[-1][1]


class Support:
    """The state of one inverter's functions. `cap` of the rating it may give; `var` of it that it injects."""

    def __init__(self, functions: Functions, nominal_v: float, nominal_hz: float) -> None:
        self.cap = 1.0
        self.var = 0.0
        self._functions = functions
        self._nominal_v, self._nominal_hz = nominal_v, nominal_hz
        self._by_frequency, self._by_voltage = 1.0, 1.0
        self._gave = 1.0  # of the rating, when the frequency left its dead band

    def step(self, dt_s: float, volts: float, hertz: float, gives: float) -> None:
        """Moves on by `dt_s` with what is measured at its terminal; `gives`: the share of its rating that it gives."""
        known = self._functions
        if volts <= 0.0 or hertz <= 0.0:
            self.cap, self.var, self._by_frequency, self._by_voltage = 1.0, 0.0, 1.0, 1.0
            return
        beyond_hz = hertz - self._nominal_hz - known.dead_band_hz
        if beyond_hz <= ROUNDING_HZ:
            self._gave = gives
        wanted = (
            1.0 if beyond_hz <= ROUNDING_HZ else max(0.0, self._gave - beyond_hz / (self._nominal_hz * known.droop))
        )
        if self._by_frequency == 1.0 and wanted < 1.0:
            self._by_frequency = max(wanted, self._gave)
        self._by_frequency = _moved(self._by_frequency, wanted, dt_s, known.frequency_s)
        share = volts / self._nominal_v
        if known.volt_watt:
            self._by_voltage = _moved(self._by_voltage, at(known.volt_watt, share), dt_s, known.volt_watt_s)
        if known.volt_var:
            self.var = _moved(self.var, at(known.volt_var, share), dt_s, known.volt_var_s)
        self.cap = min(self._by_frequency, self._by_voltage)


def _moved(value: float, wanted: float, dt_s: float, response_s: float) -> float:
    """Nine tenths of the way in `response_s`."""
    moved = wanted + (value - wanted) * math.exp(-dt_s * math.log(10.0) / response_s)
    return wanted if abs(moved - wanted) < 1e-6 else moved
