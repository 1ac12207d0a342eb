"""The controls of the older models: limiting generation by 123 (and by 704), steering a battery by 124.

Every write begins with reading the control's registers: it finds the device's state, its scale factor and what
it implements, so that nothing has to be remembered that somebody else may have changed meanwhile.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cem.driver import Control, ControlSpec, Refused, Storage
from cem_drivers.sunspec.grid_charging import GridCharging
from cem_drivers.sunspec.registers import REVERT_S, Registers

REFRESH_S = 20.0
LOWEST_LIMIT_PCT = 1.0  # 0 % sends some inverters to standby
CHARGE_AND_DISCHARGE = 3  # StorCtl_Mod: both rates are in force

Watts = Callable[[], float | None]


class ControlSurface(Protocol):
    """One control of one resource of a SunSpec device."""

    async def learn(self) -> None:
        """Reads what the specification needs. Raises Refused where the control can't be used."""

    def spec(self) -> ControlSpec:
        """How it wants to be written, as far as known now."""

    async def write(self, value: float) -> float:
        """Sets it and arms the revert timer; gives what it set, within what the device can do."""

    async def read_back(self) -> float | None:
        """What the device holds; None when no value of ours is in force."""

    async def release(self) -> None:
        """Hands it back."""


TRIED_AGAIN_AFTER = 3
"""With the next write after a timer was not kept it is tried again, and then after so many each time: a device may have
stood still, or just started."""


class RevertTimer:
    """A model's revert timer: armed before the first write, given back as it was found.

    Once written it may persist and end a later hold of somebody else's, hence the giving back.
    """

    def __init__(self, registers: Registers, name: str) -> None:
        self._registers = registers
        self._name = name
        self._found: int | None = None
        self._seconds: int | None = None  # None: not tried yet
        self._writes = 0  # since the first one

    @property
    def seconds(self) -> int:
        """What the device keeps, or would keep as far as known; 0: it has none."""
        return REVERT_S if self._seconds is None else self._seconds

    def look(self) -> None:
        """Takes from the registers just read whether there is a timer at all."""
        if not self._registers.given(self._name):
            self._seconds = 0

    async def arm(self) -> None:
        """Before the first write: sets it and reads it back. A device that stood still then is tried again."""
        self._writes += 1
        again = self._writes == 2 or self._writes % TRIED_AGAIN_AFTER == 0
        if self._seconds is None or (self._seconds == 0 and again):
            self._found = self._registers.raw(self._name) if self._registers.given(self._name) else None
            self._seconds = await self._registers.arm(self._name)

    def running(self) -> dict[str, int]:
        """What to write along with each value."""
        return {self._name: REVERT_S} if self._seconds else {}

    def as_found(self) -> dict[str, int]:
        """What to write along with a release."""
        return {self._name: self._found} if self._seconds and self._found not in (None, REVERT_S) else {}


@dataclass(frozen=True, slots=True)
class LimitPoints:
    """How a model names the points of its limit."""

    enable: str
    timer: str
    window: str | None = None
    ramp: str | None = None
    after: str | None = None  # whether the function is enabled after the timer has run out


LIMIT_POINTS = {
    123: LimitPoints("WMaxLim_Ena", "WMaxLimPct_RvrtTms", "WMaxLimPct_WinTms", "WMaxLimPct_RmpTms"),
    704: LimitPoints("WMaxLimPctEna", "WMaxLimPctRvrtTms", after="WMaxLimPctEnaRvrt"),
}


class PvLimit:
    """`pv.limit_w` through WMaxLimPct of model 123 or 704, a percentage of WMax.

    `zero_proven`: this device goes on generating after 0 %; otherwise the lowest limit sent is 1 %.
    """

    def __init__(self, registers: Registers, resource_id: str, wmax_w: Watts, zero_proven: bool) -> None:
        self._bus = registers.bus
        self._points = LIMIT_POINTS[registers.model.id]
        self._registers = registers
        self._timer = RevertTimer(self._registers, self._points.timer)
        self._resource_id = resource_id
        self._wmax_w = wmax_w
        self._zero_proven = zero_proven
        self._step_w = 0.0

    async def learn(self) -> None:
        """Reads scale factor and timer once, for the specification. Raises Refused where it can't be used."""
        await self._registers.read()
        for name in ("WMaxLimPct", self._points.enable):
            if not self._registers.given(name):
                raise Refused(f"{self._bus.name}: model {self._registers.model.id} is there without {name}")
        self._step_w = self._wmax() / 100 * 10.0 ** self._registers.scale("WMaxLimPct")
        self._timer.look()

    def spec(self) -> ControlSpec:
        """How it wants to be written."""
        timer_s = self._timer.seconds
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

    async def write(self, value: float) -> float:
        """Limits generation to `value` W. Raises Refused for a negative one."""
        if value < 0:
            raise Refused(f"{self._bus.name}: a generation limit is a magnitude, not {value:g} W")
        registers, wmax_w = self._registers, self._wmax()
        await registers.read()
        percent = min(100.0 * value / wmax_w, 100.0)
        if not (value == 0 and self._zero_proven):
            percent = max(percent, LOWEST_LIMIT_PCT)
        await self._timer.arm()
        wanted = {"WMaxLimPct": registers.encoded("WMaxLimPct", percent), self._points.enable: 1}
        if self._points.window is not None:
            wanted |= registers.some({self._points.window: 0})
        if self._points.after is not None:
            wanted |= registers.some({self._points.after: 0})
        await registers.write(wanted | self._timer.running() | self._ramp())
        return percent * wmax_w / 100 if value > wmax_w else value

    def _ramp(self) -> dict[str, int]:
        """The ramp as it is: written along so that one request reaches from percentage to enable."""
        name = self._points.ramp
        return {name: self._registers.raw(name)} if name is not None and self._registers.given(name) else {}

    async def read_back(self) -> float | None:
        """The limit in force, W; None when none is."""
        await self._registers.read()
        if not self._registers.given("WMaxLimPct") or self._registers.raw(self._points.enable) != 1:
            return None
        return self._registers.scaled("WMaxLimPct") * self._wmax() / 100

    async def release(self) -> None:
        """Switches the limit off; writes nothing when it is off already."""
        await self._registers.read()
        if self._registers.raw(self._points.enable) == 1:
            timer = self._timer.as_found()
            await self._registers.write({self._points.enable: 0} | timer | (self._ramp() if timer else {}))

    def _wmax(self) -> float:
        wmax_w = self._wmax_w()
        if wmax_w is None or wmax_w <= 0:
            raise Refused(
                f"{self._bus.name}: none of models 121, 120 and 702 tells WMax; a limit can't be made a percentage"
            )
        return wmax_w


class BatterySetpoint:
    """`battery.setpoint_w` (charging positive) through model 124: both rates pinned to the same power.

    Power is discharging-positive at the device: -InWRte <= power <= OutWRte. Charging with P is InWRte = +P and
    OutWRte = -P, discharging the reverse, holding both 0.
    """

    def __init__(
        self, registers: Registers, resource_id: str, bases: tuple[Watts, Watts], charging: GridCharging
    ) -> None:
        self._bus = registers.bus
        self._registers = registers
        self._timer = RevertTimer(self._registers, "InOutWRte_RvrtTms")
        self._resource_id = resource_id
        self._bases = bases  # what 100 % charging and discharging are
        self._charging = charging
        self._step_w = 0.0

    async def learn(self) -> None:
        """Reads scale factor and timer once, for the specification. Raises Refused where it can't be used."""
        await self._registers.read()
        if not all(self._registers.given(name) for name in ("StorCtl_Mod", "InWRte", "OutWRte")):
            raise Refused(f"{self._bus.name}: model 124 is there without StorCtl_Mod, InWRte or OutWRte")
        self._step_w = max(self._base_w()) / 100 * 10.0 ** self._registers.scale("InWRte")
        self._timer.look()

    def spec(self) -> ControlSpec:
        """How it wants to be written."""
        return setpoint_spec(self._resource_id, self._timer.seconds, self._step_w, max(self._base_w()))

    async def write(self, value: float) -> float:
        """Charges (+) or discharges (-) with `value` W, bounded by what the device says it can."""
        registers = self._registers
        charge_w, discharge_w = self._base_w()
        await registers.read()
        power_w = min(max(value, -discharge_w), charge_w)
        await self._charging.permit(registers, power_w)
        await self._timer.arm()
        rates = {
            "OutWRte": registers.encoded("OutWRte", -100.0 * power_w / discharge_w),
            "InWRte": registers.encoded("InWRte", 100.0 * power_w / charge_w),
        }
        await registers.write(rates | registers.some({"InOutWRte_WinTms": 0}) | self._timer.running())
        if registers.raw("StorCtl_Mod") != CHARGE_AND_DISCHARGE:
            await registers.write({"StorCtl_Mod": CHARGE_AND_DISCHARGE})
        return power_w

    async def read_back(self) -> float | None:
        """The power in force, W; None when the rates are not in force or leave the device a choice."""
        registers = self._registers
        await registers.read()
        if registers.raw("StorCtl_Mod") != CHARGE_AND_DISCHARGE:
            return None
        if not registers.given("InWRte") or not registers.given("OutWRte"):
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
            timer = self._timer.as_found()
            if timer:
                await self._registers.write(timer)
        await self._charging.restore(self._registers)

    def _base_w(self) -> tuple[float, float]:
        """What 100 % charging and discharging are."""
        charge_w, discharge_w = self._bases[0](), self._bases[1]()
        if not charge_w or not discharge_w:
            raise Refused(
                f"{self._bus.name}: no model tells the largest charging rate; power can't be made a percentage"
            )
        return charge_w, discharge_w


def setpoint_spec(resource_id: str, timer_s: int, step_w: float, most_w: float) -> ControlSpec:
    """How a battery's set point wants to be written, whichever model carries it."""
    return ControlSpec(
        resource_id=resource_id,
        control=Control.BATTERY_SETPOINT_W,
        falls_back_to=(
            f"returns to its own control {timer_s} s after the last write"
            if timer_s
            else "keeps the last power until it is full or empty: this device has no revert timer"
        ),
        storage=Storage.RAM,
        dead_band=max(step_w, 10.0),
        min_interval_s=1.0,
        refresh_s=min(REFRESH_S, timer_s / 3) if timer_s else None,
        device_timeout_s=float(timer_s) if timer_s else None,
        effect_point="power_w",
        effect_tolerance=max(0.05 * most_w, step_w, 100.0),
    )
