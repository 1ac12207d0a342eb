"""The control of a roof: SunSpec model 123."""

from hw_sim.devices.deadline import RevertTimer
from hw_sim.devices.front import Held
from hw_sim.devices.sunspec import Model, SunSpecDevice, Value
from hw_sim.physics.house import House
from hw_sim.physics.pv import Roof
from hw_sim.truth import Hold

_DEFAULTS: dict[str, Value] = {
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
_HELD = ("Conn", "Conn_RvrtTms", "WMaxLimPct", "WMaxLimPct_RvrtTms", "WMaxLim_Ena")


class PvControl:
    """`WMaxLim_Ena` with `WMaxLimPct` (of the rating) limits; `Conn` = 0 takes it off the grid. A revert timer starts
    with every write to its group and undoes the control when it runs out."""

    number = 123

    def __init__(self, house: House, roof: Roof) -> None:
        self.plant: str = roof.spec.id
        self._house = house
        self._roof = roof
        self._limit_timer = RevertTimer()
        self._conn_timer = RevertTimer()
        self._device: SunSpecDevice

    def model(self) -> Model:
        """Model 123 with everything at its default."""
        return Model(123, {"WMaxLimPct_SF": -2}, _DEFAULTS)

    def attach(self, device: SunSpecDevice) -> None:
        """Its registers lie in this device."""
        self._device = device

    def _get(self, name: str) -> float:
        return self._device.get(123, name)

    def allows(self, name: str, value: float) -> bool:
        """Whether a value may be stored."""
        if name in {"Conn", "WMaxLim_Ena"}:
            return value in {0.0, 1.0}
        if name in {"OutPFSet_Ena", "VArPct_Ena"}:
            return value == 0.0  # not offered
        if name == "WMaxLimPct":
            return 0.0 <= value <= 100.0
        return True

    def stored(self, names: frozenset[str]) -> None:
        """A write was taken: its timer starts anew."""
        now_s = self._house.elapsed_s
        if any(name.startswith("WMaxLim") for name in names):
            self._limit_timer.arm(now_s, self._get("WMaxLimPct_RvrtTms"))
        if any(name.startswith("Conn") for name in names):
            self._conn_timer.arm(now_s, self._get("Conn_RvrtTms"))

    def _limit_w(self) -> float | None:
        if self._get("WMaxLim_Ena") != 1.0:
            return None
        return self._roof.spec.rating_w * self._get("WMaxLimPct") / 100.0

    def apply(self) -> None:
        """Brings the registers to the roof."""
        self._roof.limit_w = self._limit_w()
        self._roof.connected = self._get("Conn") == 1.0

    def ran_out(self) -> bool:
        """The revert timers."""
        now_s = self._house.elapsed_s
        limit, conn = self._limit_timer.ran_out(now_s), self._conn_timer.ran_out(now_s)
        if limit:
            self._device.put(123, "WMaxLim_Ena", 0)
        if conn:
            self._device.put(123, "Conn", 1)
        return limit or conn

    def to_defaults(self) -> None:
        """As after a restart."""
        self._limit_timer.cancel()
        self._conn_timer.cancel()
        self._device.to_defaults(123)

    def hold(self) -> Hold:
        """A limit bounds the power from below: generation is negative."""
        limit_w = self._limit_w()
        off = self._get("Conn") != 1.0
        if not off and limit_w is None:
            return Hold(remote=False)
        until_s = self._conn_timer.ends_s if off else self._limit_timer.ends_s
        return Hold(remote=True, until_s=until_s, lower_w=0.0 if off else -(limit_w or 0.0))

    def commands(self) -> Held:
        """The registers as held."""
        return {name: self._get(name) for name in _HELD}

    def contest(self, value: float | None) -> None:
        """Somebody limits to `value` W, or to half."""
        share = 50.0 if value is None else 100.0 * abs(value) / self._roof.spec.rating_w
        self._device.write(123, "WMaxLimPct", min(100.0, share))
        self._device.write(123, "WMaxLim_Ena", 1)
