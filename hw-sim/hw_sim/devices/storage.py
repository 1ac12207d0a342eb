"""A battery system, alone or behind one inverter with a roof: SunSpec models 1, 103, 120 to 124, 160, 802."""

from hw_sim.devices.ac_side import ac_factors, ac_model, ac_values, status_model
from hw_sim.devices.inverter import roof_state
from hw_sim.devices.pv_control import PvControl
from hw_sim.devices.storage_control import StorageControl
from hw_sim.devices.sunspec import Model, Value, factor_for
from hw_sim.devices.sunspec_front import SunSpecFront
from hw_sim.physics.house import House
from hw_sim.specs import BatterySpec, DeviceSpec

_MPPT, _STANDBY = 4, 8
_PV_STOR = 82
_STRING_V = 600.0


def _plate(house: House, rating_w: float, plant: BatterySpec) -> Model:
    """Model 120."""
    ac = ac_factors(rating_w)
    scales = {"WRtg_SF": ac["W_SF"], "VARtg_SF": ac["W_SF"], "ARtg_SF": ac["A_SF"]}
    scales |= {"WHRtg_SF": factor_for(plant.capacity_wh), "MaxChaRte_SF": ac["W_SF"], "MaxDisChaRte_SF": ac["W_SF"]}
    values: dict[str, Value] = {
        "DERTyp": _PV_STOR,
        "WRtg": rating_w,
        "VARtg": rating_w,
        "ARtg": rating_w / plant.phases / house.home.grid.voltage_v,
        "WHRtg": plant.capacity_wh,
        "MaxChaRte": plant.max_charge_w,
        "MaxDisChaRte": plant.max_discharge_w,
    }
    return Model(120, scales, values)


class Storage(SunSpecFront):
    """Registers in front of one battery. Model 103 `W` is positive when discharging to AC, as SunSpec says."""

    def __init__(self, spec: DeviceSpec, house: House) -> None:
        self._battery = house.batteries[house.home.of(spec)[0]]
        plant = self._battery.spec
        self._control = StorageControl(house, self._battery)
        rating_w = self._control.rating_w
        models = [
            ac_model(rating_w, plant.phases, self._live),
            _plate(house, rating_w, plant),
            self._control.model(),
            self._control.pack(),
            status_model(house, roof=False, storage=True),
        ]
        serial = spec.serial or f"SIM-BAT-{spec.id}"
        super().__init__(spec, house, serial, "Simulated battery", models, [self._control])

    def _live(self) -> dict[str, Value]:
        battery, plant = self._battery, self._battery.spec
        given = -battery.power_w
        live = ac_values(self.house, given, plant.phases, plant.phase, _MPPT if given else _STANDBY)
        warm = 25.0 + 15.0 * abs(given) / self._control.rating_w
        live |= {"WH": battery.discharged_wh, "DCW": -self._control.inside_w(), "TmpCab": warm}
        return live


class Hybrid(SunSpecFront):
    """One inverter for a roof and a battery: 103 is the sum of both, 160 tells them apart, 123 limits the roof.

    Interpretation: its strings' DC power is given as what they bring to the AC side, and the modules that begin with
    "StCha" and "StDisCha" are the battery's, as devices of this kind have it.
    """

    def __init__(self, spec: DeviceSpec, house: House) -> None:
        self._roof = next(house.roofs[name] for name in house.home.of(spec) if name in house.roofs)
        self._battery = next(house.batteries[name] for name in house.home.of(spec) if name in house.batteries)
        roof, plant = self._roof.spec, self._battery.spec
        sun, store = PvControl(house, self._roof), StorageControl(house, self._battery)
        self._rating_w = max(roof.rating_w, store.rating_w)
        models = [
            ac_model(self._rating_w, roof.phases, self._live),
            _plate(house, self._rating_w, plant),
            sun.model(),
            store.model(),
            self._strings(),
            store.pack(),
            status_model(house, roof=True, storage=True),
        ]
        serial = spec.serial or f"SIM-HYB-{spec.id}"
        super().__init__(spec, house, serial, "Simulated hybrid inverter", models, [sun, store])

    def _strings(self) -> Model:
        factors = {
            "DCA_SF": factor_for(1.5 * self._rating_w / _STRING_V, finest=-2),
            "DCV_SF": -1,
            "DCW_SF": factor_for(1.2 * self._rating_w),
            "DCWH_SF": 0,
        }
        fixed: dict[str, Value] = {"Evt": 0, "N": 3, "1_ID": 1, "2_ID": 2, "3_ID": 3}
        fixed |= {"1_IDStr": "String 1", "2_IDStr": "StCha 1", "3_IDStr": "StDisCha 1"}
        return Model(160, factors, fixed, self._live_160)

    def _live_160(self) -> dict[str, Value]:
        roof, battery = self._roof, self._battery
        powers = (-roof.power_w, max(0.0, battery.power_w), max(0.0, -battery.power_w))
        counts = (roof.energy_wh, battery.charged_wh, battery.discharged_wh)
        live: dict[str, Value] = {}
        for n, (power, counted) in enumerate(zip(powers, counts, strict=True), 1):
            live |= {f"{n}_DCW": power, f"{n}_DCWH": counted, f"{n}_DCV": _STRING_V, f"{n}_DCA": power / _STRING_V}
            live[f"{n}_DCSt"] = _MPPT if power > 0.0 else _STANDBY
        return live

    def _live(self) -> dict[str, Value]:
        roof, battery = self._roof, self._battery
        given = -roof.power_w - battery.power_w
        state = _MPPT if battery.power_w else roof_state(roof)
        live = ac_values(self.house, given, roof.spec.phases, roof.spec.phase, state)
        live |= {"WH": roof.energy_wh + battery.discharged_wh, "DCW": given, "TmpCab": 32.0}
        return live
