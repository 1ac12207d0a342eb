"""What events and faults do to the house itself: the rest of a fault is its device's condition."""

from collections.abc import Callable, Mapping
from functools import partial

from hw_sim.devices.front import Front
from hw_sim.devices.pin_fronts import ContactsFront
from hw_sim.happenings import EventSpec, FaultSpec
from hw_sim.physics.battery import Battery
from hw_sim.physics.ev import ChargingPoint
from hw_sim.physics.heat_pump import HeatPump
from hw_sim.physics.house import House, Plant
from hw_sim.specs import QUIRKS


class Effects:
    """Begins and ends what comes along the time line. The newest of several at once holds, where only one can."""

    def __init__(self, house: House, fronts: Mapping[str, Front]) -> None:
        self._house = house
        self._fronts = fronts
        self._plants = dict(house.plants())
        self._weather: dict[int, EventSpec] = {}
        self._before: dict[int, dict[str, object]] = {}
        self._later: list[Callable[[], None]] = []
        self._unmanaged: dict[int, tuple[Battery, float]] = {}
        self._masters: dict[int, tuple[FaultSpec, float]] = {}

    # --- events ---

    def event(self, spec: EventSpec, number: int, begins: bool) -> None:
        """An event begins or ends."""
        match spec.kind:
            case "weather":
                self._change_weather(spec, number, begins)
            case "load":
                self._step_load(spec, 1.0 if begins else -1.0)
            case "arrive" | "leave":
                self._drive(spec, begins == (spec.kind == "arrive"))
            case "draw_off":
                pump = self._plants[spec.target or ""]
                if isinstance(pump, HeatPump):
                    pump.extra_draw_w += (spec.draw_w or 0.0) * (1.0 if begins else -1.0)
            case "voltage" | "frequency":
                self._move_grid(spec, number, begins)
            case "grid_loss":
                self._house.grid.lost += 1 if begins else -1
            case "contact":
                box = self._fronts[spec.target or ""]
                assert isinstance(box, ContactsFront)
                assert spec.contact is not None
                box.signal(spec.contact, begins)
            case "quirk":
                self._set_quirks(spec, number, begins)

    def _change_weather(self, spec: EventSpec, number: int, begins: bool) -> None:
        if begins:
            self._weather[number] = spec
        else:
            self._weather.pop(number, None)
        active = list(self._weather.values())
        weather = self._house.weather
        weather.cloudiness = next((one.cloudiness for one in reversed(active) if one.cloudiness is not None), None)
        weather.shift_c = sum(one.shift_c or 0.0 for one in active)

    def _step_load(self, spec: EventSpec, sign: float) -> None:
        power = sign * (spec.extra_w or 0.0)
        if spec.phase is None:
            self._house.household.extra_w += power
        else:
            self._house.household.steps_w[spec.phase - 1] += power

    def _drive(self, spec: EventSpec, comes: bool) -> None:
        point = self._plants[spec.target or ""]
        assert isinstance(point, ChargingPoint)
        self._later.append(point.unplug)  # where one comes: another car, or the same one again
        if comes:
            self._later.append(partial(point.plug, spec.used_wh or 0.0, spec.soc_pct, spec.wants_wh))

    def _move_grid(self, spec: EventSpec, number: int, begins: bool) -> None:
        grid, now_s = self._house.grid, self._house.elapsed_s
        courses = (grid.frequency,) if spec.kind == "frequency" else grid.courses_of(spec.phase)
        value = spec.hz if spec.kind == "frequency" else spec.volts
        target = spec.profile or ((0.0, value or 0.0),)
        for course in courses:
            if begins:
                course.lay(number, now_s, target, spec.ramp_s)
            else:
                course.lift(number, now_s, spec.ramp_s)

    def _set_quirks(self, spec: EventSpec, number: int, begins: bool) -> None:
        target = spec.target or ""
        if begins:
            wanted = spec.set or {}
            self._before[number] = {key: getattr(self._holder(target, key).spec, key) for key in wanted}
            self._take_quirks(target, wanted)
        else:
            self._take_quirks(target, self._before.pop(number))

    def _holder(self, target: str, key: str) -> Front | Plant:
        """Device and plant may share an id; the key tells which is meant."""
        return self._fronts[target] if key in QUIRKS["device"] else self._plants[target]

    def _take_quirks(self, target: str, values: Mapping[str, object]) -> None:
        for key, value in values.items():
            holder = self._holder(target, key)
            holder.spec = type(holder.spec).model_validate({**holder.spec.model_dump(), key: value})

    # --- faults ---

    def fault(self, spec: FaultSpec, number: int, begins: bool) -> None:
        """A fault begins or ends."""
        match spec.kind:
            case "bms":
                battery = next(one for one in self._of(spec.target) if isinstance(one, Battery))
                battery.refuses_charge = begins and spec.charge
                battery.refuses_discharge = begins and spec.discharge
            case "bms_lost":
                battery = next(one for one in self._of(spec.target) if isinstance(one, Battery))
                self._unmanaged.pop(number, None)
                battery.refuses_charge = battery.refuses_discharge = False
                if begins:
                    self._unmanaged[number] = (battery, self._house.elapsed_s + spec.delay_s)
            case "unplug":
                point = next(one for one in self._of(spec.target) if isinstance(one, ChargingPoint))
                self._later.append(point.unplug if begins else point.plug)
            case "reboot" if begins:
                self._fronts[spec.target].reboot()
            case "second_master":
                self._masters.pop(number, None)
                if begins:
                    self._masters[number] = (spec, self._house.elapsed_s)

    def _of(self, device: str) -> list[object]:
        return [self._plants[name] for name in self._fronts[device].plants]

    def before_step(self) -> None:
        """Cars come and go, so that the powers of the last step stood until now; second masters write."""
        if self._later:
            for act in self._later:
                act()
            self._later.clear()
        now_s = self._house.elapsed_s
        for battery, due_s in self._unmanaged.values():
            if now_s + 1e-9 >= due_s:  # the inverter's own watchdog on its battery
                battery.refuses_charge = battery.refuses_discharge = True
        for number, (spec, due_s) in list(self._masters.items()):
            if now_s + 1e-9 >= due_s:
                self._fronts[spec.target].second_master(spec.value)
                self._masters[number] = (spec, due_s + spec.period_s)
