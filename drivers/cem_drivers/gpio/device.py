"""One thing on the board's pins: a relay, a heat pump, a pulse meter, or what the grid operator signals."""

import asyncio
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

from cem.driver import (
    SG_READY,
    Contact,
    Control,
    ControlSpec,
    DeviceConfig,
    DriverContext,
    Identity,
    Json,
    NoAnswer,
    Reading,
    Refused,
    Resource,
    Role,
    Storage,
    Value,
    WrongDevice,
    moving_order,
)
from cem_drivers.gpio.board import BOARDS, Board, Input
from cem_drivers.gpio.debounce import Debouncer
from cem_drivers.gpio.pulses import PulseContact, PulseMeter
from cem_drivers.gpio.wiring import Wiring, wiring_of

_LOG = logging.getLogger(__name__)
STAGGER_S = 0.1  # between two contacts: a relay moves within 20 ms
RESTLESS_S = 2.0  # a contact that finds no rest for so long is a loose wire
KEEP_S = 300.0  # between two savings of a counter
STATES = {1: "locked", 2: "normal", 3: "recommended", 4: "forced"}
FALLS_BACK = (
    "stays as it was told until the service manager's stop command (cem release) or the next start opens the contact; "
    "a stop by itself, a reboot and a loss of power open it at once"
)
ENERGY = {Role.PV: "energy_wh", Role.GRID: "import_wh", Role.LOAD: "energy_wh", Role.HEAT_PUMP: "energy_wh"}


class _ContactInput:
    """One contact of the grid operator: debounced edges and the polled level."""

    def __init__(self, read: Input, settle_s: float, now_s: float) -> None:
        self.read = read
        self.debouncer = Debouncer(settle_s, read.closed, now_s)

    def signals(self, now_s: float) -> float | None:
        """1 if it signals, or did for a moment since the last call; None for a loose wire."""
        seen = [self.debouncer.closed]
        for at_s, closed in self.read.take():
            seen += [change.closed for change in self.debouncer.edge(at_s, closed)]
        seen += [change.closed for change in self.debouncer.level(now_s, self.read.closed)]
        if self.debouncer.restless_s(now_s) > RESTLESS_S:
            return None
        if len(seen) > 1:
            seen = seen[1:]
        return float(any(closed is not self.read.pin.opposite for closed in seen))


@dataclass(slots=True)
class _PulseInput:
    """The pulse output of a meter."""

    read: Input
    contact: PulseContact

    def listen(self, now_s: float) -> None:
        """Takes what came."""
        for at_s, closed in self.read.take():
            self.contact.edge(at_s, closed)
        self.contact.level(now_s, self.read.closed)


class GpioDevice:
    """Satisfies cem.driver.Device. It outlives `close`: what it drives stays driven until it is released."""

    def __init__(self, config: DeviceConfig, context: DriverContext) -> None:
        self._config = config
        self._context = context
        self._wiring = wiring_of(config.link)
        self._board: Board | None = None
        self._contacts: dict[Contact, _ContactInput] = {}
        self._pulse: _PulseInput | None = None
        self._saved: tuple[int, float] = (-1, 0.0)  # pulses, and when

    @property
    def id(self) -> str:
        """The device's id in the site file."""
        return self._config.id

    @property
    def _resource(self) -> Resource:
        return self._config.resources[0]

    async def open(self) -> Identity:
        """Takes the inputs; what a dead process left driven on our outputs is let go. Raises NoAnswer, WrongDevice."""
        await self.close()
        board = await BOARDS.take(self._config.link, self._context)
        try:
            serial = serial_of(board, self._wiring)
            if self._config.serial is not None and self._config.serial != serial:
                raise WrongDevice(
                    f"{self.id}: these pins are {serial!r}, the site file says {self._config.serial!r}; nothing is "
                    "switched. Check that this is the board that was wired"
                )
            if not self._locked():
                for pin in self._wiring.outputs:
                    if board.energised(pin) is None:
                        board.free(pin)
            await self._listen(board)
        except BaseException:
            await self._give_back(board)
            raise
        self._board = board
        return Identity("GPIO", "pins of this board", serial)

    async def _listen(self, board: Board) -> None:
        wiring, now_s = self._wiring, self._context.monotonic()
        for contact, pin in wiring.contacts.items():
            read = board.input(pin, self._context)
            self._contacts[contact] = _ContactInput(read, wiring.debounce_s, now_s)
        if wiring.pulse is not None:
            meter = PulseMeter(wiring.pulses_per_kwh, now_s, _most_w(self._resource), await self._kept())
            read = board.input(wiring.pulse, self._context)
            self._pulse = _PulseInput(
                read, PulseContact(meter, Debouncer(wiring.debounce_s, read.closed, now_s), now_s)
            )

    def controls(self) -> Sequence[ControlSpec]:
        """What may be written; () for a device that is read only or has no serial number in the site file."""
        if self._locked():
            return ()
        return [self._spec(control) for control in sorted(self._resource.controls)]

    async def poll(self) -> Sequence[Reading]:
        """What the inputs tell, and where the outputs stand; raises NoAnswer when a simulated board is gone."""
        self._reached()
        now_s = self._context.monotonic()
        wait_s = max((c.debouncer.settles_in_s(now_s) for c in self._contacts.values()), default=0.0)
        if wait_s > 0.0:
            await asyncio.sleep(wait_s + 0.001)
            now_s = self._context.monotonic()
        readings = [self._reading(c.value, one.signals(now_s), now_s) for c, one in self._contacts.items()]
        if self._pulse is not None:
            readings += await self._metered(self._pulse, now_s)
        if self._wiring.outputs:
            readings.append(self._reading("state", self._state(), now_s))
        return readings

    async def write(self, resource_id: str, control: Control, value: float) -> None:
        """Moves the contacts, those that open before those that close, a moment apart. Raises Refused, NoAnswer."""
        board = self._reached()
        if self._locked():
            why = "read only" if self._config.read_only else "no serial number in the site file"
            raise Refused(f"{self.id}: nothing is switched: {why}")
        wanted = self._positions(control, value)
        pins = self._wiring.outputs
        before = [board.energised(pin) is True for pin in pins]
        for number, index in enumerate(moving_order(before, wanted)):
            if number and before[index] is not wanted[index]:
                await asyncio.sleep(STAGGER_S)
            board.drive(pins[index], wanted[index])

    async def read_back(self, resource_id: str, control: Control) -> float | None:
        """The value that the contacts make; None while the pins are not driven by us."""
        board = self._reached()
        energised = [board.energised(pin) for pin in self._wiring.outputs]
        return None if None in energised else self._value([on is True for on in energised])

    async def release(self, resource_id: str, control: Control) -> None:
        """Opens the contacts and gives the pins back: nothing is energised."""
        if self._locked():
            return
        board, pins = self._reached(), self._wiring.outputs
        before = [board.energised(pin) is True for pin in pins]
        for number, index in enumerate(moving_order(before, [False] * len(pins))):
            if number and before[index]:
                await asyncio.sleep(STAGGER_S)
            board.free(pins[index])

    async def close(self) -> None:
        """Lets go of the inputs, and of the board unless its outputs are driven."""
        board, self._board = self._board, None
        if board is not None:
            await self._save(self._context.monotonic())
            await self._give_back(board)

    async def _give_back(self, board: Board) -> None:
        for one in self._contacts.values():
            board.give_back(one.read)
        self._contacts.clear()
        if self._pulse is not None:
            board.give_back(self._pulse.read)
            self._pulse = None
        await BOARDS.drop(board)

    # --- outputs -------------------------------------------------------------------------------------------

    def _positions(self, control: Control, value: float) -> list[bool]:
        """Which outputs are energised for a value; Refused for what is none."""
        if math.isfinite(value) and value == int(value):
            if control is Control.HEAT_PUMP_SG_READY and int(value) in SG_READY:
                closed = SG_READY[int(value)]
                return [on is not pin.opposite for on, pin in zip(closed, self._wiring.outputs, strict=True)]
            if control is Control.LOAD_ON and value in {0.0, 1.0}:
                return [(value == 1.0) is not self._wiring.outputs[0].opposite]
        raise Refused(f"{self.id}: {value} is no value for {control}")

    def _value(self, energised: Sequence[bool]) -> float:
        closed = tuple(on is not pin.opposite for on, pin in zip(energised, self._wiring.outputs, strict=True))
        if len(closed) == 1:
            return float(closed[0])
        return next(float(state) for state, positions in SG_READY.items() if positions == closed)

    def _state(self) -> str:
        board = self._reached()
        value = self._value([board.energised(pin) is True for pin in self._wiring.outputs])
        return STATES[int(value)] if len(self._wiring.outputs) == 2 else ("on" if value else "off")

    def _spec(self, control: Control) -> ControlSpec:
        seen = control is Control.LOAD_ON and self._pulse is not None
        return ControlSpec(
            self._resource.id,
            control,
            FALLS_BACK,
            Storage.RAM,
            effect_point="power_w" if seen else None,
            effect_tolerance=max(50.0, 0.1 * (_most_w(self._resource) or 0.0)),
            effect_within_s=120.0,  # so long after its last pulse a meter still shows some power
        )

    # --- inputs --------------------------------------------------------------------------------------------

    async def _metered(self, pulse: _PulseInput, now_s: float) -> list[Reading]:
        pulse.listen(now_s)
        if now_s - self._saved[1] >= KEEP_S:
            await self._save(now_s)
        if pulse.contact.shorted(now_s):
            raise NoAnswer(f"{self.id}: the pulse contact never opens. Check its wires, and pull-up or pull-down")
        power_w = pulse.contact.meter.power_w(now_s)
        if power_w is not None and self._resource.role is Role.PV:
            power_w = -power_w
        return [
            self._reading("power_w", power_w, now_s),
            self._reading(ENERGY[self._resource.role], self._wiring.counter_wh + pulse.contact.meter.energy_wh, now_s),
        ]

    async def _kept(self) -> int:
        """The pulses counted before this start, of the same meter with the same register."""
        keep = self._context.keep
        row = None if keep is None else await keep.load(self.id)
        pulses = 0
        if isinstance(row, dict) and row.get("of") == self._of():
            told = row.get("pulses")
            pulses = told if isinstance(told, int) else 0
        self._saved = (pulses, self._context.monotonic())
        return pulses

    def _of(self) -> Json:
        return [self._wiring.pulses_per_kwh, self._wiring.counter_wh]

    async def _save(self, now_s: float) -> None:
        keep, pulse = self._context.keep, self._pulse
        if keep is None or pulse is None:
            return
        pulses, _ = self._saved
        self._saved = (pulse.contact.meter.pulses, now_s)
        if pulses != pulse.contact.meter.pulses:
            await keep.save(self.id, {"pulses": pulse.contact.meter.pulses, "of": self._of()})

    # --- inside --------------------------------------------------------------------------------------------

    def _locked(self) -> bool:
        return self._config.read_only or self._config.serial is None

    def _reached(self) -> Board:
        if self._board is None:
            raise NoAnswer(f"{self.id}: not open")
        if self._board.gone:
            raise NoAnswer(f"{self.id}: {self._board.name} is gone. Check that hw-sim runs")
        return self._board

    def _reading(self, point: str, told: Value, now_s: float) -> Reading:
        return Reading(self._resource.id, point, told, now_s)


def serial_of(board: Board, wiring: Wiring) -> str:
    """What tells these wires from all others: the board's own number, and the pins."""
    return f"{board.serial}/{'-'.join(str(number) for number in wiring.numbers)}"


def _most_w(resource: Resource) -> float | None:
    ratings = resource.ratings
    return ratings.max_generation_w if resource.role is Role.PV else ratings.max_power_w
