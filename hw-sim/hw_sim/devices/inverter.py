"""The PV inverter: SunSpec models 1, 101 or 103, 120, 123."""

from hw_sim.devices.ac_side import ac_factors, ac_model, ac_values
from hw_sim.devices.pv_control import PvControl
from hw_sim.devices.sunspec import Model, Value
from hw_sim.devices.sunspec_front import SunSpecFront
from hw_sim.physics.house import House
from hw_sim.physics.pv import Roof
from hw_sim.specs import DeviceSpec

_SLEEPING, _MPPT, _THROTTLED, _STANDBY = 2, 4, 5, 8
_PV = 4


def roof_state(roof: Roof) -> int:
    """St of model 103."""
    if not roof.connected:
        return _STANDBY
    if roof.available_w <= 0.0:
        return _SLEEPING
    return _THROTTLED if roof.limit_w is not None and roof.limit_w < roof.available_w else _MPPT


class Inverter(SunSpecFront):
    """Registers in front of one roof. `W` is positive when generating, as SunSpec says."""

    def __init__(self, spec: DeviceSpec, house: House) -> None:
        self._roof = house.roofs[house.home.of(spec)[0]]
        plant = self._roof.spec
        control = PvControl(house, self._roof)
        factors = ac_factors(plant.rating_w)
        scales = {"WRtg_SF": factors["W_SF"], "VARtg_SF": factors["W_SF"], "ARtg_SF": factors["A_SF"]}
        amps = plant.rating_w / plant.phases / house.home.grid.voltage_v
        plate: dict[str, Value] = {"DERTyp": _PV, "WRtg": plant.rating_w, "VARtg": plant.rating_w, "ARtg": amps}
        models = [
            ac_model(plant.rating_w, plant.phases, self._live),
            Model(120, scales, plate),
            control.model(),
        ]
        serial = spec.serial or f"SIM-PV-{spec.id}"
        super().__init__(spec, house, serial, "Simulated PV inverter", models, [control])

    def _live(self) -> dict[str, Value]:
        roof, plant = self._roof, self._roof.spec
        given = -roof.power_w
        live = ac_values(self.house, given, plant.phases, plant.phase, roof_state(roof))
        live |= {"WH": roof.energy_wh, "DCW": given / 0.97, "TmpCab": 30.0 + 20.0 * given / plant.rating_w}
        return live
