"""The two controls: limiting generation by model 123, steering a battery by model 124.

Every write begins with reading the control's registers: it finds the device's state, its scale factor and what
it implements, so that nothing has to be remembered that somebody else may have changed meanwhile.
"""

import logging
import struct
from collections.abc import Callable, Mapping
from typing import Protocol

from cem.driver import Control, ControlSpec, Refused, Storage
from cem_drivers.modbus import Bus
from cem_drivers.sunspec.decode import MAX_SCALE, encode
from cem_drivers.sunspec.definition import Definition, definition
from cem_drivers.sunspec.scan import Model

REVERT_S = 60
COUNTED_DOWN_S = 5  # some devices show what is left of a running timer
REFRESH_S = 20.0
LOWEST_LIMIT_PCT = 1.0  # 0 % sends some inverters to standby
NOT_IMPLEMENTED = 0xFFFF
CHARGE_AND_DISCHARGE = 3  # StorCtl_Mod: both rates are in force

_LOG = logging.getLogger(__name__)


class ControlSurface(Protocol):
    """One control of one resource of a SunSpec device."""

    def spec(self) -> ControlSpec:
        """How it wants to be written, as far as known now."""

    async def write(self, value: float) -> None:
        """Sets it and arms the revert timer."""

    async def read_back(self) -> float | None:
        """What the device holds; None when no value of ours is in force."""

    async def release(self) -> None:
        """Hands it back."""


class Registers:
    """The registers of one control model, 16 bits each, by point name."""

    def __init__(self, bus: Bus, model: Model) -> None:
        known = definition(model.id)
        assert known is not None
        self._bus = bus
        self._model = model
        self._known: Definition = known
        self._raw: tuple[int, ...] = ()

    async def read(self) -> None:
        """Reads the whole model."""
        block = await self._bus.read(self._model.address, self._model.length + 2)
        self._raw = struct.unpack(f">{len(block) // 2}H", block)

    def raw(self, name: str) -> int:
        """The register as it is; NOT_IMPLEMENTED beyond the device's length."""
        offset = self._known.point(name).offset
        return self._raw[offset] if offset < len(self._raw) else NOT_IMPLEMENTED

    def scale(self, name: str) -> int:
        """The scale factor of a point; raises Refused where the device gives none that can be used."""
        factor = self._known.point(name).sf
        assert isinstance(factor, str)
        raw = self.raw(factor) if self._known.point(factor).offset < len(self._raw) else 0x8000
        scale = raw - 0x10000 if raw & 0x8000 else raw
        if not -MAX_SCALE <= scale <= MAX_SCALE:
            raise Refused(f"{self._bus.name}: {factor} of model {self._model.id} is {raw:#06x}, allowed are -10 to 10")
        return scale

    def scaled(self, name: str) -> float:
        """The value of a signed or unsigned point."""
        point = self._known.point(name)
        raw = self.raw(name)
        if point.type == "int16" and raw & 0x8000:
            raw -= 0x10000
        scale = self.scale(name)
        return float(raw * 10**scale) if scale >= 0 else raw / 10**-scale

    def encoded(self, name: str, value: float) -> int:
        """The register for a value; raises Refused when it does not fit."""
        try:
            return encode(self._known.point(name), value, self.scale(name))[0]
        except ValueError as error:
            raise Refused(f"{self._bus.name}: {error}") from error

    async def write(self, values: Mapping[str, int]) -> None:
        """Writes the points, neighbours in one request, in the order of their addresses."""
        offsets = sorted((self._known.point(name).offset, value) for name, value in values.items())
        while offsets:
            first = offsets[0][0]
            run = [value for index, (offset, value) in enumerate(offsets) if offset == first + index]
            await self._bus.write(self._model.address + first, run)
            offsets = offsets[len(run) :]

    async def arm(self, name: str) -> int:
        """Sets a revert timer and reads it back, before anything is enabled; the seconds that the device keeps.

        0: the device has no such timer, or does not keep what is written.
        """
        if self.raw(name) == NOT_IMPLEMENTED:
            return 0
        await self.write({name: REVERT_S})
        await self.read()
        held = self.raw(name)
        if held in (0, NOT_IMPLEMENTED):
            _LOG.warning("%s: %s does not keep what is written; no timer of the device's own", self._bus.name, name)
            return 0
        return REVERT_S if REVERT_S - COUNTED_DOWN_S <= held <= REVERT_S else held


class PvLimit:
    """`pv.limit_w` through WMaxLimPct of model 123, a percentage of WMax.

    `zero_proven`: this device goes on generating after 0 %; otherwise the lowest limit sent is 1 %.
    """

    def __init__(
        self, bus: Bus, model: Model, resource_id: str, wmax_w: Callable[[], float | None], zero_proven: bool
    ) -> None:
        self._bus = bus
        self._registers = Registers(bus, model)
        self._resource_id = resource_id
        self._wmax_w = wmax_w
        self._zero_proven = zero_proven
        self._timer_s: int | None = None  # None: not tried yet
        self._step_w = 0.0

    async def learn(self) -> None:
        """Reads scale factor and timer once, for the specification. Raises Refused where it can't be used."""
        await self._registers.read()
        self._step_w = self._wmax() / 100 * 10.0 ** self._registers.scale("WMaxLimPct")
        if self._registers.raw("WMaxLimPct_RvrtTms") == NOT_IMPLEMENTED:
            self._timer_s = 0

    def spec(self) -> ControlSpec:
        """How it wants to be written."""
        timer_s = REVERT_S if self._timer_s is None else self._timer_s
        return ControlSpec(
            resource_id=self._resource_id,
            control=Control.PV_LIMIT_W,
            falls_back_to=(
                f"generates without limit {timer_s} s after the last write"
                if timer_s
                else "keeps the last limit until somebody clears it: this inverter has no revert timer"
            ),
            storage=Storage.RAM,
            dead_band=self._step_w,
            min_interval_s=1.0,
            refresh_s=min(REFRESH_S, timer_s / 3) if timer_s else None,
            device_timeout_s=float(timer_s) if timer_s else None,
            effect_point="power_w",
            effect_tolerance=max(0.02 * self._wmax(), self._step_w, 100.0),
        )

    async def write(self, value: float) -> None:
        """Limits generation to `value` W. Raises Refused for a negative one."""
        if value < 0:
            raise Refused(f"{self._bus.name}: a generation limit is a magnitude, not {value:g} W")
        registers, wmax_w = self._registers, self._wmax()
        await registers.read()
        percent = min(100.0 * value / wmax_w, 100.0)
        if not (value == 0 and self._zero_proven):
            percent = max(percent, LOWEST_LIMIT_PCT)
        if self._timer_s is None:
            self._timer_s = await registers.arm("WMaxLimPct_RvrtTms")
        wanted = {"WMaxLimPct": registers.encoded("WMaxLimPct", percent), "WMaxLim_Ena": 1}
        if registers.raw("WMaxLimPct_WinTms") != NOT_IMPLEMENTED:
            wanted["WMaxLimPct_WinTms"] = 0
        if self._timer_s:
            wanted["WMaxLimPct_RvrtTms"] = REVERT_S
        if registers.raw("WMaxLimPct_RmpTms") != NOT_IMPLEMENTED:
            wanted["WMaxLimPct_RmpTms"] = registers.raw("WMaxLimPct_RmpTms")
        await registers.write(wanted)

    async def read_back(self) -> float | None:
        """The limit in force, W; None when none is."""
        await self._registers.read()
        if self._registers.raw("WMaxLim_Ena") != 1:
            return None
        return self._registers.scaled("WMaxLimPct") * self._wmax() / 100

    async def release(self) -> None:
        """Switches the limit off; writes nothing when it is off already."""
        await self._registers.read()
        if self._registers.raw("WMaxLim_Ena") == 1:
            await self._registers.write({"WMaxLim_Ena": 0})

    def _wmax(self) -> float:
        wmax_w = self._wmax_w()
        if wmax_w is None or wmax_w <= 0:
            raise Refused(f"{self._bus.name}: neither model 121 nor 120 tells WMax; a limit can't be made a percentage")
        return wmax_w


class BatterySetpoint:
    """`battery.setpoint_w` (charging positive) through model 124: both rates pinned to the same power.

    Power is discharging-positive at the device: -InWRte <= power <= OutWRte. Charging with P is InWRte = +P and
    OutWRte = -P, discharging the reverse, holding both 0.
    """

    def __init__(
        self,
        bus: Bus,
        model: Model,
        resource_id: str,
        charge_base_w: Callable[[], float | None],
        discharge_base_w: Callable[[], float | None],
    ) -> None:
        self._bus = bus
        self._registers = Registers(bus, model)
        self._resource_id = resource_id
        self._bases = (charge_base_w, discharge_base_w)
        self._timer_s: int | None = None
        self._step_w = 0.0

    async def learn(self) -> None:
        """Reads scale factor and timer once, for the specification. Raises Refused where it can't be used."""
        await self._registers.read()
        rates = (self._registers.raw("InWRte"), self._registers.raw("OutWRte"))
        if self._registers.raw("StorCtl_Mod") == NOT_IMPLEMENTED or 0x8000 in rates:
            raise Refused(f"{self._bus.name}: model 124 is there without StorCtl_Mod, InWRte or OutWRte")
        self._step_w = max(self._base_w()) / 100 * 10.0 ** self._registers.scale("InWRte")
        if self._registers.raw("InOutWRte_RvrtTms") == NOT_IMPLEMENTED:
            self._timer_s = 0

    def spec(self) -> ControlSpec:
        """How it wants to be written."""
        timer_s = REVERT_S if self._timer_s is None else self._timer_s
        return ControlSpec(
            resource_id=self._resource_id,
            control=Control.BATTERY_SETPOINT_W,
            falls_back_to=(
                f"returns to its own control {timer_s} s after the last write"
                if timer_s
                else "keeps the last power until it is full or empty: this device has no revert timer"
            ),
            storage=Storage.RAM,
            dead_band=max(self._step_w, 10.0),
            min_interval_s=1.0,
            refresh_s=min(REFRESH_S, timer_s / 3) if timer_s else None,
            device_timeout_s=float(timer_s) if timer_s else None,
            effect_point="power_w",
            effect_tolerance=max(0.05 * max(self._base_w()), self._step_w, 100.0),
        )

    async def write(self, value: float) -> None:
        """Charges (+) or discharges (-) with `value` W, bounded by what the device says it can."""
        registers = self._registers
        charge_w, discharge_w = self._base_w()
        await registers.read()
        power_w = min(max(value, -discharge_w), charge_w)
        if self._timer_s is None:
            self._timer_s = await registers.arm("InOutWRte_RvrtTms")
        rates = {
            "OutWRte": registers.encoded("OutWRte", -100.0 * power_w / discharge_w),
            "InWRte": registers.encoded("InWRte", 100.0 * power_w / charge_w),
        }
        if registers.raw("InOutWRte_WinTms") != NOT_IMPLEMENTED:
            rates["InOutWRte_WinTms"] = 0
        if self._timer_s:
            rates["InOutWRte_RvrtTms"] = REVERT_S
        await registers.write(rates)
        if registers.raw("StorCtl_Mod") != CHARGE_AND_DISCHARGE:
            await registers.write({"StorCtl_Mod": CHARGE_AND_DISCHARGE})

    async def read_back(self) -> float | None:
        """The power in force, W; None when the rates are not in force or leave the device a choice."""
        registers = self._registers
        await registers.read()
        if registers.raw("StorCtl_Mod") != CHARGE_AND_DISCHARGE:
            return None
        charge_w, discharge_w = self._base_w()
        most_w = registers.scaled("InWRte") * charge_w / 100
        least_w = -registers.scaled("OutWRte") * discharge_w / 100
        if abs(most_w - least_w) > 2 * self._step_w:
            return None
        return most_w if most_w >= 0 else least_w

    async def release(self) -> None:
        """Gives the rates back; writes nothing when they are not in force already."""
        await self._registers.read()
        if self._registers.raw("StorCtl_Mod") != 0:
            await self._registers.write({"StorCtl_Mod": 0})

    def _base_w(self) -> tuple[float, float]:
        """What 100 % charging and discharging are."""
        charge_w, discharge_w = self._bases[0](), self._bases[1]()
        if not charge_w or not discharge_w:
            raise Refused(
                f"{self._bus.name}: no model tells the largest charging rate; power can't be made a percentage"
            )
        return charge_w, discharge_w
