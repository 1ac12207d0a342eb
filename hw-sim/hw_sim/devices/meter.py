"""The meter at the connection point: SunSpec models 1, 203."""

from hw_sim.devices.sunspec import Model, SunSpecDevice, Value, common, factor_for
from hw_sim.home import DeviceSpec, Home
from hw_sim.physics.house import House


def _largest_w(home: Home) -> float:
    """What may flow at most in either direction, for the choice of the scale factor."""
    load = (
        home.load.base_w + 5.0 * home.load.profile_w + home.load.extra_w + sum(a.power_w for a in home.load.appliance)
    )
    battery = max(home.battery.max_charge_w, home.battery.max_discharge_w) if home.battery else 0.0
    ev = home.ev.max_a * home.ev.phases * home.grid.voltage_v if home.ev else 0.0
    return max(load + battery + ev, (home.pv.rating_w if home.pv else 0.0) + battery)


class Meter:
    """Registers in front of the connection point. `W` is positive for import; TotWhImp and TotWhExp only grow.

    Interpretation: SunSpec leaves the meter's direction to the installation; here positive is what the house takes.
    """

    def __init__(self, spec: DeviceSpec, house: House) -> None:
        self.spec = spec
        self.serial = spec.serial or f"SIM-METER-{spec.id}"
        self._house = house
        largest = _largest_w(house.home)
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
        self._device = SunSpecDevice(
            [
                common("hw-sim", "Simulated grid meter", self.serial, "1.0"),
                Model(203, factors, {"Evt": 0}, self._live),
            ],
            version=lambda: house.steps,
        )
        self.bank = self._device.bank

    def _live(self) -> dict[str, Value]:
        house = self._house
        volts = house.voltage_v
        between = volts * 3.0**0.5
        one, two, three = house.grid_phases_w()
        return {
            "A": house.grid_w / volts,
            "AphA": one / volts,
            "AphB": two / volts,
            "AphC": three / volts,
            "PhV": volts,
            "PhVphA": volts,
            "PhVphB": volts,
            "PhVphC": volts,
            "PPV": between,
            "PhVphAB": between,
            "PhVphBC": between,
            "PhVphCA": between,
            "Hz": house.frequency_hz,
            "W": house.grid_w,
            "WphA": one,
            "WphB": two,
            "WphC": three,
            "VA": abs(house.grid_w),
            "PF": 100.0,
            "TotWhExp": house.export_wh,
            "TotWhImp": house.import_wh,
        }

    def tick(self) -> None:
        """Called once before each step of the house; a meter has no timers."""
