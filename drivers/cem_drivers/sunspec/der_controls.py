"""The controls of the newer models (IEEE 1547-2018): WSet of 704, and the heartbeats of 715 and 802."""

import logging
from collections.abc import Callable

from cem.driver import ControlSpec, Refused
from cem_drivers.modbus import Bus
from cem_drivers.sunspec.controls import RevertTimer, Watts, setpoint_spec
from cem_drivers.sunspec.registers import Registers
from cem_drivers.sunspec.roles import HEARTBEAT
from cem_drivers.sunspec.scan import Model

_LOG = logging.getLogger(__name__)

IN_WATTS = 1  # WSetMod
LOCAL = 1  # LocRemCtl
BEAT_S = 1.0
HEARTBEATS = {HEARTBEAT: "ControllerHb", 802: "CtrlHb"}
"""Model -> the point that a controller counts up."""


class DerSetpoint:
    """`battery.setpoint_w` (charging positive) through WSet of model 704, which is positive when it discharges."""

    def __init__(self, registers: Registers, resource_id: str, most_w: tuple[Watts, Watts]) -> None:
        self._bus = registers.bus
        self._registers = registers
        self._timer = RevertTimer(self._registers, "WSetRvrtTms")
        self._resource_id = resource_id
        self._most_w = most_w  # charging and discharging
        self._step_w = 0.0

    async def learn(self) -> None:
        """Reads scale factor and timer once. Raises Refused where it can't be used."""
        await self._registers.read()
        if not all(self._registers.given(name) for name in ("WSetEna", "WSet")):
            raise Refused(f"{self._bus.name}: model 704 is there without WSetEna or WSet")
        self._step_w = 10.0 ** self._registers.scale("WSet")
        self._bounds()
        self._timer.look()

    def spec(self) -> ControlSpec:
        """How it wants to be written."""
        return setpoint_spec(self._resource_id, self._timer.seconds, self._step_w, max(self._bounds()))

    async def write(self, value: float) -> float:
        """Charges (+) or discharges (-) with `value` W, bounded by what the device says it can."""
        registers = self._registers
        charge_w, discharge_w = self._bounds()
        await registers.read()
        power_w = min(max(value, -discharge_w), charge_w)
        await self._timer.arm()
        wanted = {"WSetEna": 1, "WSet": registers.encoded("WSet", -power_w)}
        await registers.write(wanted | registers.some({"WSetMod": IN_WATTS, "WSetEnaRvrt": 0}) | self._timer.running())
        return power_w

    async def read_back(self) -> float | None:
        """The power in force, W; None when none is."""
        registers = self._registers
        await registers.read()
        if registers.raw("WSetEna") != 1 or not registers.given("WSet"):
            return None
        if registers.given("WSetMod") and registers.raw("WSetMod") != IN_WATTS:
            return None
        return 0.0 - registers.scaled("WSet")

    async def release(self) -> None:
        """Switches it off; writes nothing when it is off already."""
        await self._registers.read()
        if self._registers.raw("WSetEna") == 1:
            await self._registers.write({"WSetEna": 0} | self._timer.as_found())

    def _bounds(self) -> tuple[float, float]:
        charge_w, discharge_w = self._most_w[0](), self._most_w[1]()
        if not charge_w or not discharge_w:
            raise Refused(f"{self._bus.name}: neither model 702 nor 120 tells the largest rates; nothing to bound by")
        return charge_w, discharge_w


class Heartbeat:
    """The controller's heartbeat of model 715 or 802, counted up every second while we hold a control.

    Interpretation: local control (LocRemCtl) of 715 is the whole device's, which then takes no set point; that of 802
    is the battery bank's alone, which then has no use for our heartbeat.
    """

    def __init__(self, bus: Bus, model: Model, monotonic: Callable[[], float]) -> None:
        self._bus = bus
        self._point = HEARTBEATS[model.id]
        self._whole_device = model.id == HEARTBEAT
        self._registers = Registers(bus, model)
        self._monotonic = monotonic
        self._beaten_s = -BEAT_S
        self._refused = False

    async def check(self) -> None:
        """Before a write: raises Refused when the device takes no remote control."""
        await self._registers.read()
        if self._whole_device and self._local():
            raise Refused(f"{self._bus.name}: it is in local control (LocRemCtl). Leave it at the device")

    def _local(self) -> bool:
        return self._registers.given("LocRemCtl") and self._registers.raw("LocRemCtl") == LOCAL

    async def beat(self) -> None:
        """Counts up every second; harmless when called more often. Writes to nobody without the point.

        A device that refuses it is told of once and left alone: whether it follows shows in what it does.
        """
        now_s = self._monotonic()
        passed = now_s - self._beaten_s
        if passed < 0.9 * BEAT_S:
            return
        if self._refused or not self._registers.given(self._point) or self._local():
            return
        count = self._registers.next_count(self._point)
        self._beaten_s = now_s
        try:
            await self._registers.write({self._point: count})
        except Refused as error:
            self._refused = True
            _LOG.warning("%s: it takes no heartbeat (%s): %s", self._bus.name, self._point, error)
