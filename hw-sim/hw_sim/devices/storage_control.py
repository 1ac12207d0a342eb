"""The control of a battery, SunSpec model 124, and what it tells of itself, models 124 and 802."""

from hw_sim.devices.deadline import RevertTimer
from hw_sim.devices.front import Held
from hw_sim.devices.sunspec import Model, SunSpecDevice, Value, factor_for
from hw_sim.physics.battery import FREE, Band, Battery
from hw_sim.physics.house import House
from hw_sim.truth import Hold

_EMPTY, _DISCHARGING, _CHARGING, _FULL, _HOLDING = 2, 3, 4, 5, 6
_LITHIUM_ION = 4
_CONNECTED = 3
_CHARGE_BIT, _DISCHARGE_BIT = 1, 2
_NOMINAL_V = 400.0
_RATE_GROUP = frozenset({"StorCtl_Mod", "OutWRte", "InWRte", "InOutWRte_WinTms", "InOutWRte_RvrtTms"})
_HELD = ("StorCtl_Mod", "WChaMax", "OutWRte", "InWRte", "InOutWRte_RvrtTms", "MinRsvPct", "ChaGriSet")


class StorageControl:
    """With StorCtl_Mod = 0 the battery does its own self-consumption. Bit 0 makes InWRte the largest charging power,
    bit 1 OutWRte the largest discharging power, both in percent of WChaMax; a negative rate forces the other
    direction. InOutWRte_RvrtTms seconds after the last write to this group StorCtl_Mod goes back to 0 (0: never)."""

    number = 124

    def __init__(self, house: House, battery: Battery) -> None:
        self.plant: str = battery.spec.id
        self.rating_w = max(battery.spec.max_charge_w, battery.spec.max_discharge_w)
        self._house = house
        self._battery = battery
        self._timer = RevertTimer()
        self._device: SunSpecDevice

    # --- models ---

    def model(self) -> Model:
        """Model 124 with everything at its default."""
        factors = {
            "WChaMax_SF": factor_for(1.2 * self.rating_w),
            "WChaDisChaGra_SF": 0,
            "MinRsvPct_SF": -1,
            "ChaState_SF": -1,
            "InOutWRte_SF": -2,
        }
        fixed: dict[str, Value] = {
            "WChaMax": self.rating_w,
            "WChaGra": 100,
            "WDisChaGra": 100,
            "StorCtl_Mod": 0,
            "MinRsvPct": 0.0,
            "OutWRte": 100.0,
            "InWRte": 100.0,
            "InOutWRte_WinTms": 0,
            "InOutWRte_RvrtTms": 0,
            "InOutWRte_RmpTms": 0,
            "ChaGriSet": int(self._battery.spec.grid_charge),
        }
        return Model(124, factors, fixed, self._live_124)

    def pack(self) -> Model:
        """Model 802."""
        plant = self._battery.spec
        watts = factor_for(1.2 * self.rating_w)
        factors = {
            "AHRtg_SF": factor_for(plant.capacity_wh / _NOMINAL_V, finest=-1),
            "WHRtg_SF": factor_for(plant.capacity_wh),
            "WChaDisChaMax_SF": watts,
            "SoC_SF": -1,
            "DoD_SF": -1,
            "SoH_SF": 0,
            "V_SF": -1,
            "CellV_SF": -3,
            "A_SF": factor_for(1.5 * self.rating_w / _NOMINAL_V, finest=-1),
            "W_SF": watts,
        }
        fixed: dict[str, Value] = {
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
        return Model(802, factors, fixed, self._live_802)

    def inside_w(self) -> float:
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
        if battery.soc_pct >= battery.spec.max_soc_pct - 0.01:
            return _FULL
        return _EMPTY if battery.max_discharge_w() == 0.0 else _HOLDING

    def _live_124(self) -> dict[str, Value]:
        return {"ChaState": self._battery.shown_soc_pct, "ChaSt": self._charge_state()}

    def _live_802(self) -> dict[str, Value]:
        battery, shown_soc_pct, inside_w = self._battery, self._battery.shown_soc_pct, self.inside_w()
        volts = _NOMINAL_V * (0.92 + 0.16 * battery.soc_pct / 100.0)
        return {
            "WChaRteMax": battery.max_charge_w(),
            "WDisChaRteMax": battery.max_discharge_w(),
            "SoC": shown_soc_pct,
            "DoD": 100.0 - shown_soc_pct,
            "NCyc": battery.discharged_wh / battery.spec.capacity_wh,
            "ChaSt": self._charge_state(),
            "Hb": int(self._house.elapsed_s) % 0x8000,
            "V": volts,
            "A": -inside_w / volts,  # out of the cells positive, as the power of model 103
            "W": -inside_w,
        }

    # --- control ---

    def attach(self, device: SunSpecDevice) -> None:
        """Its registers lie in this device."""
        self._device = device

    def _get(self, name: str) -> float:
        return self._device.get(124, name)

    def allows(self, name: str, value: float) -> bool:
        """Whether a value may be stored."""
        if name == "StorCtl_Mod":
            return 0 <= value <= 3
        if name in {"InWRte", "OutWRte"}:
            return -100.0 <= value <= 100.0
        if name == "MinRsvPct":
            return 0.0 <= value <= 100.0
        if name == "WChaMax":
            return 0.0 < value <= self.rating_w
        if name == "ChaGriSet":
            return value in {0.0, 1.0}
        return True

    def stored(self, names: frozenset[str]) -> None:
        """A write was taken: the timer starts anew."""
        if names & _RATE_GROUP:
            self._timer.arm(self._house.elapsed_s, self._get("InOutWRte_RvrtTms"))
        if self._get("StorCtl_Mod") == 0.0:
            self._timer.cancel()

    def _band(self) -> Band:
        mode = int(self._get("StorCtl_Mod"))
        if mode == 0:
            return FREE
        base_w = self._get("WChaMax") / 100.0
        return Band(
            lower_w=-base_w * self._get("OutWRte") if mode & _DISCHARGE_BIT else None,
            upper_w=base_w * self._get("InWRte") if mode & _CHARGE_BIT else None,
        )

    def apply(self) -> None:
        """Brings the registers to the battery."""
        self._battery.band = self._band()
        self._battery.reserve_pct = self._get("MinRsvPct")
        self._battery.grid_charge = self._get("ChaGriSet") == 1.0

    def ran_out(self) -> bool:
        """The revert timer."""
        if not self._timer.ran_out(self._house.elapsed_s):
            return False
        self._device.put(124, "StorCtl_Mod", 0)
        return True

    def to_defaults(self) -> None:
        """As after a restart."""
        self._timer.cancel()
        self._device.to_defaults(124)

    def hold(self) -> Hold:
        """The band."""
        band = self._band()
        if band is FREE:
            return Hold(remote=False)
        return Hold(remote=True, until_s=self._timer.ends_s, lower_w=band.lower_w, upper_w=band.upper_w)

    def commands(self) -> Held:
        """The registers as held."""
        return {name: self._get(name) for name in _HELD}

    def contest(self, value: float | None) -> None:
        """Somebody wants `value` W (charging positive), or standstill."""
        pct = max(-100.0, min(100.0, 100.0 * (value or 0.0) / self._get("WChaMax")))
        self._device.write(124, "InWRte", pct)
        self._device.write(124, "OutWRte", -pct)
        self._device.write(124, "StorCtl_Mod", 3)
