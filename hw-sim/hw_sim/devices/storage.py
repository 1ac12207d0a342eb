"""The battery system: SunSpec models 1, 103, 120, 124, 802."""

from hw_sim.devices.deadline import RevertTimer
from hw_sim.devices.sunspec import Model, SunSpecDevice, Value, common, factor_for
from hw_sim.home import DeviceSpec
from hw_sim.physics.battery import FREE, Band, Battery
from hw_sim.physics.house import House

_EMPTY, _DISCHARGING, _CHARGING, _FULL, _HOLDING = 2, 3, 4, 5, 6
_MPPT, _STANDBY = 4, 8
_PV_STOR = 82
_LITHIUM_ION = 4
_CONNECTED = 3
_CHARGE_BIT, _DISCHARGE_BIT = 1, 2
_NOMINAL_V = 400.0
_RATE_GROUP = frozenset({"StorCtl_Mod", "OutWRte", "InWRte", "InOutWRte_WinTms", "InOutWRte_RvrtTms"})


class Storage:
    """Registers in front of the battery. Model 103 `W` is positive when discharging to AC, as SunSpec says.

    Model 124: with StorCtl_Mod = 0 the battery does its own self-consumption. Bit 0 makes InWRte the largest charging
    power, bit 1 OutWRte the largest discharging power, both in percent of WChaMax; a negative rate forces the other
    direction. InOutWRte_RvrtTms seconds after the last write to this group StorCtl_Mod goes back to 0 (0: never).
    """

    def __init__(self, spec: DeviceSpec, house: House) -> None:
        if house.battery is None:
            raise ValueError(f"{spec.id}: the home has no [battery]")
        self.spec = spec
        self.serial = spec.serial or f"SIM-BAT-{spec.id}"
        self._house = house
        self._battery: Battery = house.battery
        self._timer = RevertTimer()
        plant = self._battery.spec
        self._rating_w = max(plant.max_charge_w, plant.max_discharge_w)
        watts = factor_for(1.2 * self._rating_w)
        amps = factor_for(1.2 * self._rating_w / 230.0, finest=-2)
        energy = factor_for(plant.capacity_wh)
        measured = {"A_SF": amps, "V_SF": -1, "W_SF": watts, "Hz_SF": -2, "WH_SF": 0, "DCW_SF": watts, "Tmp_SF": 0}
        ratings = {"WRtg_SF": watts, "VARtg_SF": watts, "ARtg_SF": amps, "WHRtg_SF": energy}
        rates = {"MaxChaRte_SF": watts, "MaxDisChaRte_SF": watts}
        control = {
            "WChaMax_SF": watts,
            "WChaDisChaGra_SF": 0,
            "MinRsvPct_SF": -1,
            "ChaState_SF": -1,
            "InOutWRte_SF": -2,
        }
        pack = {"AHRtg_SF": factor_for(plant.capacity_wh / _NOMINAL_V, finest=-1), "WHRtg_SF": energy}
        pack |= {"WChaDisChaMax_SF": watts, "SoC_SF": -1, "DoD_SF": -1, "SoH_SF": 0, "V_SF": -1, "CellV_SF": -3}
        pack |= {"A_SF": factor_for(1.5 * self._rating_w / _NOMINAL_V, finest=-1), "W_SF": watts}
        self._device = SunSpecDevice(
            [
                common("hw-sim", "Simulated battery", self.serial, "1.0"),
                Model(103, measured, live=self._live_103),
                Model(120, ratings | rates, self._fixed_120()),
                Model(124, control, self._fixed_124(), self._live_124),
                Model(802, pack, self._fixed_802(), self._live_802),
            ],
            version=lambda: house.steps,
            check=self._check,
            written=self._written,
        )
        self.bank = self._device.bank

    def _fixed_120(self) -> dict[str, Value]:
        plant = self._battery.spec
        return {
            "DERTyp": _PV_STOR,
            "WRtg": self._rating_w,
            "VARtg": self._rating_w,
            "ARtg": self._rating_w / 3.0 / self._house.voltage_v,
            "WHRtg": plant.capacity_wh,
            "MaxChaRte": plant.max_charge_w,
            "MaxDisChaRte": plant.max_discharge_w,
        }

    def _fixed_124(self) -> dict[str, Value]:
        return {
            "WChaMax": self._rating_w,
            "WChaGra": 100,
            "WDisChaGra": 100,
            "StorCtl_Mod": 0,
            "MinRsvPct": 0.0,
            "OutWRte": 100.0,
            "InWRte": 100.0,
            "InOutWRte_WinTms": 0,
            "InOutWRte_RvrtTms": 0,
            "InOutWRte_RmpTms": 0,
            "ChaGriSet": 1 if self._battery.grid_charge else 0,
        }

    def _fixed_802(self) -> dict[str, Value]:
        plant = self._battery.spec
        return {
            "AHRtg": plant.capacity_wh / _NOMINAL_V,
            "WHRtg": plant.capacity_wh,
            "SoCMax": plant.max_soc_pct,
            "SoCMin": plant.min_soc_pct,
            "SoH": 100,
            "LocRemCtl": 0,
            "Typ": _LITHIUM_ION,
            "State": _CONNECTED,
            "Evt1": 0,
            "Evt2": 0,
            "EvtVnd1": 0,
            "EvtVnd2": 0,
        }

    def _live_103(self) -> dict[str, Value]:
        house, battery = self._house, self._battery
        given = -battery.power_w
        amps = abs(given) / 3.0 / house.voltage_v
        between = house.voltage_v * 3.0**0.5
        return {
            "A": 3.0 * amps,
            "AphA": amps,
            "AphB": amps,
            "AphC": amps,
            "PhVphA": house.voltage_v,
            "PhVphB": house.voltage_v,
            "PhVphC": house.voltage_v,
            "PPVphAB": between,
            "PPVphBC": between,
            "PPVphCA": between,
            "W": given,
            "Hz": house.frequency_hz,
            "WH": battery.discharged_wh,
            "DCW": -self._inside_w(),
            "TmpCab": 25.0 + 15.0 * abs(given) / self._rating_w,
            "St": _MPPT if battery.power_w else _STANDBY,
            "Evt1": 0,
            "Evt2": 0,
        }

    def _inside_w(self) -> float:
        """Power into the cells."""
        battery = self._battery
        if battery.power_w >= 0.0:
            return battery.power_w * battery.spec.charge_efficiency
        return battery.power_w / battery.spec.discharge_efficiency

    def _charge_state(self) -> int:
        battery = self._battery
        if battery.power_w > 1.0:
            return _CHARGING
        if battery.power_w < -1.0:
            return _DISCHARGING
        if battery.max_charge_w() == 0.0:
            return _FULL
        return _EMPTY if battery.max_discharge_w() == 0.0 else _HOLDING

    def _live_124(self) -> dict[str, Value]:
        return {"ChaState": self._battery.soc_pct, "ChaSt": self._charge_state()}

    def _live_802(self) -> dict[str, Value]:
        battery = self._battery
        volts = _NOMINAL_V * (0.92 + 0.16 * battery.soc_pct / 100.0)
        return {
            "WChaRteMax": battery.max_charge_w(),
            "WDisChaRteMax": battery.max_discharge_w(),
            "SoC": battery.soc_pct,
            "DoD": 100.0 - battery.soc_pct,
            "NCyc": battery.discharged_wh / battery.spec.capacity_wh,
            "ChaSt": self._charge_state(),
            "Hb": int(self._house.elapsed_s) % 0x8000,
            "V": volts,
            "A": -self._inside_w() / volts,  # out of the cells positive, as the power of model 103
            "W": -self._inside_w(),
        }

    def _check(self, name: str, value: float) -> bool:
        if name == "StorCtl_Mod":
            return 0 <= value <= 3
        if name in {"InWRte", "OutWRte"}:
            return -100.0 <= value <= 100.0
        if name == "MinRsvPct":
            return 0.0 <= value <= 100.0
        if name == "WChaMax":
            return 0.0 < value <= self._rating_w
        if name == "ChaGriSet":
            return value in {0.0, 1.0}
        return True

    def _written(self, names: frozenset[str]) -> None:
        if names & _RATE_GROUP:
            self._timer.arm(self._house.elapsed_s, self._device.get(124, "InOutWRte_RvrtTms"))
        self._apply()

    def _apply(self) -> None:
        device, battery = self._device, self._battery
        mode = int(device.get(124, "StorCtl_Mod"))
        base_w = device.get(124, "WChaMax") / 100.0
        if mode == 0:
            self._timer.cancel()
            battery.band = FREE
        else:
            battery.band = Band(
                lower_w=-base_w * device.get(124, "OutWRte") if mode & _DISCHARGE_BIT else None,
                upper_w=base_w * device.get(124, "InWRte") if mode & _CHARGE_BIT else None,
            )
        battery.reserve_pct = device.get(124, "MinRsvPct")
        battery.grid_charge = device.get(124, "ChaGriSet") == 1.0

    def tick(self) -> None:
        """Called once before each step of the house: the revert timer."""
        if self._timer.ran_out(self._house.elapsed_s):
            self._device.put(124, "StorCtl_Mod", 0)
            self._apply()
