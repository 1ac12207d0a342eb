"""ChaGriSet of model 124: whether a battery may charge from the grid. The owner decides, and we say so."""

from collections.abc import Callable
from dataclasses import dataclass

from cem.driver import Refused
from cem_drivers.sunspec.registers import Registers

FROM_PV, FROM_GRID = 0, 1
TOLERANCE_W = 100.0
EFFECT_WITHIN_S = 30.0
FORBIDDEN = "not effective: the battery forbids charging from the grid (ChaGriSet)"


@dataclass(slots=True)
class GridCharging:
    """Watches that charging is not asked for where the device will not do it.

    `may_change`: the owner lets us switch ChaGriSet to the grid while we charge; it goes back to PV with the release,
    which is the setting that this permission implies, so that nothing must be remembered over a crash.
    """

    may_change: bool
    generation_w: Callable[[], float | None]  # behind the same inverter, a magnitude; None: not told
    power_w: Callable[[], float | None]  # of the battery, charging positive
    now_s: Callable[[], float]
    lacks_since_s: float | None = None  # since when charging is asked for and seen not to be done

    async def permit(self, registers: Registers, value: float) -> None:
        """Before charging with `value` W: switches the grid on where we may, raises Refused where it can't work."""
        if value <= 0 or not registers.given("ChaGriSet") or registers.raw("ChaGriSet") != FROM_PV:
            self.lacks_since_s = None
            return
        generation_w = self.generation_w()
        if generation_w is not None and value <= generation_w + TOLERANCE_W:
            self.lacks_since_s = None
            return
        if self.may_change:
            await registers.write({"ChaGriSet": FROM_GRID})
            await registers.read()
            if registers.raw("ChaGriSet") == FROM_GRID:
                return
            raise Refused(f"{registers.bus.name}: {FORBIDDEN} and does not keep it when switched on")
        if generation_w is not None or self._unfollowed(value):
            raise Refused(
                f"{registers.bus.name}: {FORBIDDEN}. Allow it at the inverter, or with grid_charge = true in the "
                "link table: then it is switched on while we charge, and off again afterwards"
            )

    def _unfollowed(self, value: float) -> bool:
        """Whether charging was asked for, and not done, for long enough to say that the battery does not follow.

        One that follows, and stops in the moment in which the sun is gone, has as long from when that is seen.
        """
        now_s, power_w = self.now_s(), self.power_w()
        if power_w is None:
            return False
        if value - power_w <= max(value / 2, TOLERANCE_W):
            self.lacks_since_s = None
            return False
        if self.lacks_since_s is None:
            self.lacks_since_s = now_s
        return now_s - self.lacks_since_s > EFFECT_WITHIN_S

    async def restore(self, registers: Registers) -> None:
        """With the release: back to the owner's setting, where changing it is ours."""
        self.lacks_since_s = None
        if self.may_change and registers.given("ChaGriSet") and registers.raw("ChaGriSet") == FROM_GRID:
            await registers.write({"ChaGriSet": FROM_PV})
