"""The roof: what the sky would give, and what the inverter lets through."""

import math

from hw_sim.physics.battery import Battery
from hw_sim.physics.phases import Phases, spread
from hw_sim.physics.recording import Recording
from hw_sim.physics.sun import clear_sky_w_per_m2, sun_position
from hw_sim.physics.support import SETS, Support
from hw_sim.physics.weather import Weather
from hw_sim.specs import GridSpec, PvSpec
from hw_sim.truth import PvTruth

_GRID_S = 60.0


class Roof:
    """PV modules and inverter. `limit_w`, `beside` and `connected` are the knobs; `power_w` is at most zero.

    A limit may hold for what comes out of an inverter as a whole, roof and the battery `beside`: the roof gives way to
    what that discharges, and what it charges comes on top.
    """

    def __init__(
        self, spec: PvSpec, weather: Weather, latitude: float, longitude: float, grid: GridSpec | None = None
    ) -> None:
        self.spec = spec
        grid = GridSpec() if grid is None else grid
        self.support = (
            None if spec.supports is None else Support(SETS[spec.supports], grid.voltage_v, grid.frequency_hz)
        )
        self.limit_w: float | None = None  # largest generation, a magnitude
        self.beside: Battery | None = None
        self.connected = True
        self.power_w = 0.0
        self.available_w = 0.0
        self.energy_wh = 0.0
        self.curtailed_wh = 0.0
        self._where = (latitude, longitude)
        self._weather = weather
        self._let_through_w = spec.rating_w
        self._points: dict[int, float] = {}  # the irradiance at minutes under the cloudiness below
        self._cloudiness = spec.cloudiness
        self._recorded = None if spec.recorded is None else Recording(spec.recorded)

    def _sky(self, k: int) -> float:
        """Irradiance at a minute: the clear sky's, less what the clouds take."""
        cloudiness = self.spec.cloudiness if self._weather.cloudiness is None else self._weather.cloudiness
        if cloudiness != self._cloudiness or len(self._points) > 8:
            self._cloudiness = cloudiness
            self._points.clear()
        found = self._points.get(k)
        if found is None:
            unix_s = k * _GRID_S
            elevation, azimuth = sun_position(unix_s, *self._where)
            clear = clear_sky_w_per_m2(elevation, azimuth, self.spec.tilt_deg, self.spec.azimuth_deg)
            found = clear * _passing(self._weather.clouds(unix_s), cloudiness) if clear > 0.0 else 0.0
            self._points[k] = found
        return found

    @property
    def bound_w(self) -> float | None:
        """What the limit leaves the roof alone, at least 0; None: no limit."""
        if self.limit_w is None:
            return None
        return max(0.0, self.limit_w + (0.0 if self.beside is None else self.beside.power_w))

    def possible_w(self, unix_s: float) -> float:
        """What the modules could give to the AC side at a time, limited by the inverter's rating alone; a magnitude."""
        if self._recorded is not None:
            return min(self.spec.rating_w, max(0.0, self._recorded.smooth(unix_s)))
        position = unix_s / _GRID_S
        k = math.floor(position)
        share = position - k
        irradiance = self._sky(k) * (1.0 - share) + self._sky(k + 1) * share
        return min(self.spec.rating_w, self.spec.peak_w * irradiance / 1000.0 * self.spec.performance)

    def step(self, dt_s: float, unix_s: float, powered: bool) -> None:
        """Moves on by `dt_s` to `unix_s`; `book` counts the energies once the house has settled."""
        wanted = self.spec.rating_w if self.connected and powered else 0.0
        bound_w = self.bound_w
        if bound_w is not None:
            wanted = min(wanted, bound_w)
        if self.support is not None:
            wanted = min(wanted, self.support.cap * self.spec.rating_w)
        response_s = self.spec.response_s if powered else 0.0
        if response_s > 0.0:
            self._let_through_w += (wanted - self._let_through_w) * -math.expm1(-dt_s / response_s)
        if response_s <= 0.0 or abs(wanted - self._let_through_w) < 0.5:
            self._let_through_w = wanted
        self.available_w = self.possible_w(unix_s)
        self.power_w = -min(self.available_w, self._let_through_w) if self.available_w > 0.0 else 0.0

    def sense(self, dt_s: float, voltages_v: Phases, hertz: float) -> None:
        """What its own functions make of voltage and frequency at its terminal; on three phases the mean counts."""
        if self.support is not None:
            volts = sum(voltages_v) / 3.0 if self.spec.phases == 3 else voltages_v[self.spec.phase - 1]
            self.support.step(dt_s, volts, hertz, -self.power_w / self.spec.rating_w)

    @property
    def reactive_var(self) -> float:
        """What it draws; what it injects is negative, as with power."""
        return 0.0 if self.support is None else -self.support.var * self.spec.rating_w

    def hold_back(self, share: float) -> None:
        """In an island: gives only this share of what it would."""
        self.power_w *= share

    def book(self, dt_s: float) -> None:
        """Counts the step's energies."""
        hours = dt_s / 3600.0
        self.energy_wh -= self.power_w * hours
        self.curtailed_wh += (self.available_w + self.power_w) * hours

    def truth(self) -> PvTruth:
        """What is the case now."""
        return PvTruth(
            self.power_w,
            spread(self.power_w, self.spec.phases, self.spec.phase),
            self.available_w,
            self.bound_w,
            self.connected,
            self.energy_wh,
            self.curtailed_wh,
        )


def _passing(clouds: float, cloudiness: float) -> float:
    """Share of the clear sky that comes through the clouds, 0.12 to 1."""
    if cloudiness <= 0.0:
        return 1.0
    x = 2.2 * clouds + 6.0 * (0.5 - cloudiness)
    return 1.0 - min(1.0, 2 * cloudiness) * 0.88 / (1.0 + math.exp(x))
