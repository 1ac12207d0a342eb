"""Where the house's voltage comes from, and how it holds itself when the grid is gone."""

from hw_sim.physics.battery import Battery
from hw_sim.physics.grid import Grid
from hw_sim.physics.phases import NONE, Phases
from hw_sim.physics.pv import Roof
from hw_sim.truth import Supply

OVERLOAD_S = 5.0  # so long a forming battery gives more than its rating
TOO_MUCH = 2.0  # times its rating: it gives up at once
BLACK_START_S = 60.0  # after a collapse
_MOST_HZ_ABOVE = 1.5


class Island:
    """Decides at the beginning of each step who carries the house, and balances it when a battery does.

    The forming batteries share the need by what they can. A surplus that they can't take makes the frequency rise,
    and the roofs give less. More than the rating for OVERLOAD_S, or cells at their floor: the house goes dark.
    """

    def __init__(self, grid: Grid, batteries: list[Battery]) -> None:
        self.supply = Supply.GRID
        self.frequency_hz = grid.spec.frequency_hz
        self.restarts = 0  # times that voltage came back to a dark house
        self._grid = grid
        self._batteries = [battery for battery in batteries if battery.spec.forms_grid]
        self._overload_s = 0.0
        self._dark_s = 0.0
        self._collapses = False
        volts = grid.spec.voltage_v
        self._nominal: Phases = (volts, volts, volts) if grid.spec.phases == 3 else (volts, 0.0, 0.0)

    @property
    def voltages_v(self) -> Phases:
        """In the house."""
        if self.supply is Supply.GRID:
            return self._grid.voltages_v
        return self._nominal if self.supply is Supply.ISLAND else NONE

    def begin(self, dt_s: float, wanted_w: float) -> Supply:
        """Who carries the house in the step to come; `wanted_w` is what the household alone would take."""
        before = self.supply
        self.supply = self._next(before, wanted_w)
        if self.supply is not before:
            self.restarts += int(before is Supply.DARK)
            self._overload_s = self._dark_s = 0.0
        if self.supply is Supply.DARK:
            self._dark_s += dt_s
        self._collapses = False
        for battery in self._batteries:
            battery.forming = self.supply is Supply.ISLAND and battery.can_form(again=False)
        return self.supply

    def _next(self, before: Supply, wanted_w: float) -> Supply:
        if self._grid.present:
            return Supply.GRID
        if before is Supply.DARK:
            able = [battery.max_discharge_w() for battery in self._batteries if battery.can_form(again=True)]
            return Supply.ISLAND if self._dark_s >= BLACK_START_S and wanted_w < sum(able) else Supply.DARK
        carried = any(battery.can_form(again=False) for battery in self._batteries)
        return Supply.ISLAND if carried and not self._collapses else Supply.DARK

    def balance(self, dt_s: float, others_w: float, roofs: list[Roof], outdoor_c: float) -> float:
        """Lets the forming batteries carry `others_w` (what everything else but the roofs takes) and gives what nobody
        could give: that much load has to be shed."""
        forming = [battery for battery in self._batteries if battery.forming]
        sun_w = -sum(roof.power_w for roof in roofs)
        need_w = others_w - sun_w
        room_w = sum(battery.max_charge_w() for battery in forming)
        self.frequency_hz = self._grid.spec.frequency_hz
        if -need_w > room_w and sun_w > 0.0:
            kept = max(0.0, (others_w + room_w) / sun_w)
            for roof in roofs:
                roof.hold_back(kept)
            self.frequency_hz += _MOST_HZ_ABOVE * (1.0 - kept)
            need_w = others_w + sum(roof.power_w for roof in roofs)
        missing_w = self._carry(dt_s, need_w, forming, outdoor_c)
        self._judge(dt_s, need_w, forming)
        return missing_w

    @staticmethod
    def _carry(dt_s: float, need_w: float, forming: list[Battery], outdoor_c: float) -> float:
        able = [one.max_discharge_w() if need_w > 0.0 else one.max_charge_w() for one in forming]
        missing_w, left = need_w, sum(able)
        for battery, able_w in zip(forming, able, strict=True):
            last = battery is forming[-1]
            part_w = missing_w if last or left <= 0.0 else missing_w * able_w / left
            missing_w += battery.carry(dt_s, part_w, outdoor_c) - part_w
            left -= able_w
        return max(0.0, missing_w)

    def _judge(self, dt_s: float, need_w: float, forming: list[Battery]) -> None:
        """A collapse comes with the next step, so that this one adds up."""
        able_w = sum(battery.max_discharge_w() for battery in forming)
        self._overload_s = self._overload_s + dt_s if need_w > able_w else 0.0
        empty = not any(battery.can_form(again=False) for battery in forming)
        self._collapses = empty or need_w > TOO_MUCH * max(able_w, 1.0) or self._overload_s > OVERLOAD_S
