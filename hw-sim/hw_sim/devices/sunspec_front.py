"""A SunSpec device: models from live parts, controls that are parts of their own."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from hw_sim.devices.distort import BMS, METER, SUNSPEC, SUNSPEC_UNWIRED, Delayed, distorted
from hw_sim.devices.front import Held
from hw_sim.devices.modbus_front import ModbusFront
from hw_sim.devices.sunspec import Model, SunSpecDevice, Value, common
from hw_sim.faults import Condition
from hw_sim.physics.house import House
from hw_sim.specs import DeviceSpec
from hw_sim.truth import Hold


class ControlPart(Protocol):
    """The control of one plant through one model."""

    number: int  # of the model
    plant: str

    def attach(self, device: SunSpecDevice) -> None:
        """Its registers lie in this device."""

    def allows(self, name: str, value: float) -> bool:
        """Whether a value may be stored."""

    def stored(self, names: frozenset[str]) -> None:
        """A write was taken: timers."""

    def apply(self) -> None:
        """Brings the registers to the plant."""

    def ran_out(self) -> bool:
        """True when a timer has changed registers."""

    def to_defaults(self) -> None:
        """As after a restart."""

    def hold(self) -> Hold:
        """What it understands its command to be."""

    def commands(self) -> Held:
        """The registers as held."""

    def contest(self, value: float | None) -> None:
        """Somebody else writes."""


class SunSpecFront(ModbusFront):
    """Registers in front of some plants. `controls` are parts; a model's live values may be shown late or wrong."""

    def __init__(
        self,
        spec: DeviceSpec,
        house: House,
        serial: str,
        title: str,
        models: list[Model],
        controls: Sequence[ControlPart] = (),
    ) -> None:
        super().__init__(spec, house, serial)
        self._controls = {part.number: part for part in controls}
        self._late = {model.number: Delayed(model.live) for model in models if model.live is not None}
        self._is_late = self._is_exact = False
        self._look()
        self._scaled: list[int] = []
        self._all = [common("hw-sim", title, self.serial, "1.0"), *models]
        self.device = SunSpecDevice(self._all, self)
        self.banks = {spec.unit: self.device.bank}
        for part in controls:
            part.attach(self.device)

    # --- its registers ask ---

    def version(self) -> int:
        """Another number when live values may have changed."""
        return self.house.steps

    def seen(self, model: Model) -> Mapping[str, Value]:
        """The live values of a model as the device shows them now."""
        assert model.live is not None
        if self._is_exact and not self.condition.faults:
            return model.live()
        values = self._late[model.number]() if self._is_late else model.live()
        if not self.condition.faults and self.spec.round_w <= 0.0:
            return values
        if "bms_lost" in self.condition and model.number in BMS:
            return dict.fromkeys(values)
        names = SUNSPEC if model.number == METER else SUNSPEC_UNWIRED
        return distorted(values, self.condition, self.spec.round_w, names, self.drifted_w)

    def allows(self, number: int, name: str, value: float) -> bool:
        """Whether a value may be stored."""
        part = self._controls.get(number)
        return part is None or part.allows(name, value)

    def stored(self, number: int, names: frozenset[str]) -> None:
        """A write was taken."""
        for name in names:
            self.count(f"{number}.{name}")
        part = self._controls.get(number)
        if part is not None:
            part.stored(names)
            self.changed()

    # --- a front ---

    def apply(self) -> None:
        """Brings the registers to the plants."""
        for part in self._controls.values():
            part.apply()

    def timers(self) -> None:
        """The revert timers."""
        if self.condition.timers_lie:
            return
        for part in self._controls.values():
            if part.ran_out():
                self.changed_by_itself()

    def to_defaults(self) -> None:
        """The controls are volatile."""
        for part in self._controls.values():
            part.to_defaults()

    def holds(self) -> dict[str, Hold]:
        """By plant."""
        return {part.plant: part.hold() for part in self._controls.values()}

    def commands(self) -> Held:
        """Model and point to the value as held."""
        return {f"{n}.{name}": value for n, part in self._controls.items() for name, value in part.commands().items()}

    def contest(self, value: float | None) -> None:
        """Somebody else writes to the last of its controls: a hybrid's battery."""
        if self._controls:
            list(self._controls.values())[-1].contest(value)

    def take(self, condition: Condition) -> None:
        """From now on the device is in this condition."""
        super().take(condition)
        for number in self._scaled:
            self.device.put_factor(number, "W_SF", 0)
        self._scaled = []
        scale = condition.faults.get("scale")
        if scale is not None:
            self._scaled = [model.number for model in self._all if "W_SF" in model.factors]
            for number in self._scaled:
                self.device.put_factor(number, "W_SF", 1 if scale.value is None else round(scale.value))
        self.device.put(1, "SN", self.shown_serial)
        self.device.forget()

    def record(self) -> None:
        """Called after each step: keeps what will be shown later."""
        self._look()
        if self._is_late:
            spec = self.spec
            for late in self._late.values():
                late.record(self.house.elapsed_s, spec.report_every_s, spec.report_delay_s)

    def _look(self) -> None:
        """How its values are shown now: a quirk may begin and end while it runs."""
        spec = self.spec
        self._is_late = spec.report_every_s > 0.0 or spec.report_delay_s > 0.0
        self._is_exact = not self._is_late and spec.round_w <= 0.0


LiveValues = Callable[[], Mapping[str, Value]]
