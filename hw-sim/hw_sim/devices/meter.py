"""The meter at the connection point: SunSpec models 1, 203."""

from functools import lru_cache

from hw_sim.devices.grid_values import grid_values
from hw_sim.devices.sunspec import Model, Value, factor_for
from hw_sim.devices.sunspec_front import SunSpecFront
from hw_sim.homefile import Home
from hw_sim.physics.house import House
from hw_sim.physics.phases import Phases
from hw_sim.specs import DeviceSpec


def largest_w(home: Home) -> float:
    """What may flow at most in either direction, for the choice of the scale factor."""
    load = (
        home.load.base_w + 5.0 * home.load.profile_w + home.load.extra_w + sum(a.power_w for a in home.load.appliance)
    )
    battery = sum(max(b.max_charge_w, b.max_discharge_w) for b in home.battery)
    cars = sum(ev.max_a * ev.phases * home.grid.voltage_v for ev in home.ev)
    heat = sum(pump.max_w + pump.heater_w for pump in home.heat_pump)
    relays = sum(one.power_w for one in home.relay_load)
    return max(load + battery + cars + heat + relays, sum(pv.rating_w for pv in home.pv) + battery)


class Meter(SunSpecFront):
    """Registers in front of the connection point. `W` is positive for import; TotWhImp and TotWhExp only grow.

    Interpretation: SunSpec leaves the meter's direction to the installation; here positive is what the house takes.
    It sits on the grid's side of the switch that makes an island, and lives on the house's: while the grid is gone
    it shows no voltage.
    """

    def __init__(self, spec: DeviceSpec, house: House) -> None:
        largest = largest_w(house.home)
        watts = factor_for(largest)
        factors = {
            "A_SF": factor_for(largest / 230.0, finest=-2),
            "V_SF": -1,
            "Hz_SF": -2,
            "W_SF": watts,
            "VA_SF": watts,
            "PF_SF": -2,
            "TotWh_SF": 0,
        }
        model = Model(203, factors, {"Evt": 0}, self._live)
        super().__init__(spec, house, spec.serial or f"SIM-METER-{spec.id}", "Simulated grid meter", [model])

    def _live(self) -> dict[str, Value]:
        live = grid_values(self.house)
        if self.house.home.grid.phases == 3:
            live.update(_between(self.house.grid.voltages_v))
        return live


@lru_cache(maxsize=256)
def _between(volts: Phases) -> dict[str, float]:
    """The voltages between the phases; they seldom change. Nobody changes what is given here."""
    between = 3.0**0.5 / 2.0
    return {
        "PPV": sum(volts) / 3.0 * 3.0**0.5,
        "PhVphAB": (volts[0] + volts[1]) * between,
        "PhVphBC": (volts[1] + volts[2]) * between,
        "PhVphCA": (volts[2] + volts[0]) * between,
    }
