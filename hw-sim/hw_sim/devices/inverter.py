"""The PV inverter: SunSpec models 1, 101 or 103, 120, 123."""

from collections.abc import Mapping

from hw_sim.devices.deadline import RevertTimer
from hw_sim.devices.sunspec import Model, SunSpecDevice, Value, common, factor_for
from hw_sim.home import DeviceSpec
from hw_sim.physics.house import House
from hw_sim.physics.pv import Roof

_SLEEPING, _MPPT, _THROTTLED, _STANDBY = 2, 4, 5, 8
_PV = 4


class Inverter:
    """Registers in front of the roof. `W` is positive when generating, as SunSpec says.

    Model 123: `WMaxLim_Ena` with `WMaxLimPct` (of the rating) limits; `Conn` = 0 takes it off the grid. A revert timer
    starts with every write to its group and undoes the control when it runs out.
    """

    def __init__(self, spec: DeviceSpec, house: House) -> None:
        if house.roof is None:
            raise ValueError(f"{spec.id}: the home has no [pv]")
        self.spec = spec
        self.serial = spec.serial or f"SIM-PV-{spec.id}"
        self._house = house
        self._roof: Roof = house.roof
        self._limit_timer = RevertTimer()
        self._conn_timer = RevertTimer()
        rating = self._roof.spec.rating_w
        watts = factor_for(1.2 * rating)
        amps = factor_for(1.2 * rating / 230.0, finest=-2)
        measured = {"A_SF": amps, "V_SF": -1, "W_SF": watts, "Hz_SF": -2, "VA_SF": watts, "PF_SF": -2, "WH_SF": 0}
        phases = self._roof.spec.phases
        controls: Mapping[str, Value] = {
            "Conn_WinTms": 0,
            "Conn_RvrtTms": 0,
            "Conn": 1,
            "WMaxLimPct": 100.0,
            "WMaxLimPct_WinTms": 0,
            "WMaxLimPct_RvrtTms": 0,
            "WMaxLimPct_RmpTms": 0,
            "WMaxLim_Ena": 0,
            "OutPFSet_Ena": 0,
            "VArPct_Ena": 0,
        }
        self._device = SunSpecDevice(
            [
                common("hw-sim", "Simulated PV inverter", self.serial, "1.0"),
                Model(101 if phases == 1 else 103, {**measured, "DCW_SF": watts, "Tmp_SF": 0}, live=self._live),
                Model(120, {"WRtg_SF": watts, "VARtg_SF": watts, "ARtg_SF": amps}, self._nameplate(rating, phases)),
                Model(123, {"WMaxLimPct_SF": -2}, controls),
            ],
            version=lambda: house.steps,
            check=self._check,
            written=self._written,
        )
        self.bank = self._device.bank

    def _nameplate(self, rating_w: float, phases: int) -> dict[str, Value]:
        return {"DERTyp": _PV, "WRtg": rating_w, "VARtg": rating_w, "ARtg": rating_w / phases / self._house.voltage_v}

    def _live(self) -> dict[str, Value]:
        house, roof = self._house, self._roof
        generated = -roof.power_w
        voltage, phases = house.voltage_v, roof.spec.phases
        amps = generated / voltage / phases
        between = voltage * 3.0**0.5
        throttled = roof.limit_w is not None and roof.limit_w < roof.available_w
        if not roof.connected:
            state = _STANDBY
        elif roof.available_w <= 0.0:
            state = _SLEEPING
        else:
            state = _THROTTLED if throttled else _MPPT
        live: dict[str, Value] = {
            "A": amps * phases,
            "AphA": amps,
            "PhVphA": voltage,
            "W": generated,
            "Hz": house.frequency_hz,
            "VA": generated,
            "PF": 100.0,
            "WH": house.pv_wh,
            "DCW": generated / 0.97,
            "TmpCab": 30.0 + 20.0 * generated / roof.spec.rating_w,
            "St": state,
            "Evt1": 0,
            "Evt2": 0,
        }
        if phases == 3:
            live.update(AphB=amps, AphC=amps, PhVphB=voltage, PhVphC=voltage)
            live.update(PPVphAB=between, PPVphBC=between, PPVphCA=between)
        return live

    @staticmethod
    def _check(name: str, value: float) -> bool:
        if name in {"Conn", "WMaxLim_Ena"}:
            return value in {0.0, 1.0}
        if name in {"OutPFSet_Ena", "VArPct_Ena"}:
            return value == 0.0  # not offered
        if name == "WMaxLimPct":
            return 0.0 <= value <= 100.0
        return True

    def _written(self, names: frozenset[str]) -> None:
        now_s = self._house.elapsed_s
        if any(name.startswith("WMaxLim") for name in names):
            self._limit_timer.arm(now_s, self._device.get(123, "WMaxLimPct_RvrtTms"))
        if any(name.startswith("Conn") for name in names):
            self._conn_timer.arm(now_s, self._device.get(123, "Conn_RvrtTms"))
        self._apply()

    def _apply(self) -> None:
        device, roof = self._device, self._roof
        limited = device.get(123, "WMaxLim_Ena") == 1.0
        roof.limit_w = roof.spec.rating_w * device.get(123, "WMaxLimPct") / 100.0 if limited else None
        roof.connected = device.get(123, "Conn") == 1.0

    def tick(self) -> None:
        """Called once before each step of the house: the revert timers."""
        now_s = self._house.elapsed_s
        if self._limit_timer.ran_out(now_s):
            self._device.put(123, "WMaxLim_Ena", 0)
            self._apply()
        if self._conn_timer.ran_out(now_s):
            self._device.put(123, "Conn", 1)
            self._apply()
