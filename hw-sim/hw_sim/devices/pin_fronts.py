"""What hangs on the pins of a simulated board: SG Ready, a relay, pulse meters, the grid operator's control box."""

from collections.abc import Callable

from hw_sim.devices.front import Front, Held
from hw_sim.faults import Condition
from hw_sim.physics.heat_pump import FORCED, LOCKED, NORMAL, RECOMMENDED
from hw_sim.physics.house import House
from hw_sim.pins import PinBoard
from hw_sim.specs import DeviceSpec
from hw_sim.truth import Hold, Supply

PULSE_S = 0.04  # EN 62053-31, class A: 30 ms at least, and as much between two
SPACING_S = 0.1
ISLAND = "island"
_STATES = {(True, False): LOCKED, (False, False): NORMAL, (False, True): RECOMMENDED, (True, True): FORCED}
Later = Callable[[float, Callable[[], None]], object]


class PinFront(Front):
    """A device on pins. Its serial number is the board's with its pins, as the gateway's driver has it."""

    def __init__(self, spec: DeviceSpec, house: House, board: PinBoard) -> None:
        pins = "-".join(str(number) for number in sorted(spec.pins.values()))
        super().__init__(spec, house, f"{board.serial}/{pins}")
        self.board = board
        self._counted_wh = 0.0
        self._owed = 0.0  # pulses that are not sent yet
        self._names = {number: name for name, number in spec.pins.items()}
        board.on_drive.append(self._driven)
        if "s0" in spec.pins:
            board.pulse(spec.pins["s0"], True)
        self._settle()

    def _settle(self) -> None:
        """What it brings to its inputs at the start."""

    def energy_wh(self) -> float:
        """What its meter has counted."""
        return 0.0

    def energised(self, name: str) -> bool:
        """Whether an output's relay is pulled in: a pin that nobody drives leaves it off."""
        high = self.board.driven.get(self.spec.pins[name])
        return high is not None and high is not self.spec.active_low

    def send(self, later: Later, dt_s: float) -> None:
        """Spreads the pulses of the step that has passed over one of the same length."""
        pin = self.spec.pins.get("s0")
        if pin is None:
            return
        owed, fresh = self._owed, (self.energy_wh() - self._counted_wh) * self.spec.pulses_per_kwh / 1000.0
        self._counted_wh = self.energy_wh()
        count = min(int(owed + fresh), max(1, int(dt_s / SPACING_S)))
        self._owed = owed + fresh - count
        if "broken_wire" in self.condition:
            return
        for number in range(1, count + 1):
            at_s = dt_s * min(1.0, max(0.0, (number - owed) / fresh)) if fresh > 0.0 else 0.0
            later(at_s, lambda: self.board.pulse(pin, False))
            later(at_s + PULSE_S, lambda: self.board.pulse(pin, True))

    def _driven(self, pin: int, high: bool | None) -> None:
        name = self._names.get(pin)
        del high
        if name is not None:
            self.count(name)
            self.changed()


class SgReadyFront(PinFront):
    """Two contacts; with a pin s0 a pulse meter of the machine."""

    def __init__(self, spec: DeviceSpec, house: House, board: PinBoard) -> None:
        self._pump = house.heat_pumps[house.home.of(spec)[0]]
        self._closed = (False, False)
        super().__init__(spec, house, board)

    def energy_wh(self) -> float:
        """Of the machine."""
        return self._pump.energy_wh

    def apply(self) -> None:
        """The contacts."""
        closed = (self.energised("contact_1"), self.energised("contact_2"))
        self._pump.contact_switchings += sum(a != b for a, b in zip(closed, self._closed, strict=True))
        self._closed = closed
        self._pump.sg_state = _STATES[closed]

    def holds(self) -> dict[str, Hold]:
        """The state of the contacts; no timer ends it."""
        state = _STATES[self.energised("contact_1"), self.energised("contact_2")]
        return {self._pump.spec.id: Hold(remote=state != NORMAL, state=state)}


class RelayFront(PinFront):
    """A load behind a relay, on its normally open contact, or with `nc` on the normally closed one."""

    def __init__(self, spec: DeviceSpec, house: House, board: PinBoard) -> None:
        self._load = house.relay_loads[house.home.of(spec)[0]]
        super().__init__(spec, house, board)
        self.apply()

    def energy_wh(self) -> float:
        """Of the load."""
        return self._load.energy_wh

    def apply(self) -> None:
        """The relay."""
        self._load.on = self.energised("relay") is not self.spec.nc

    def holds(self) -> dict[str, Hold]:
        """Remote while the relay is pulled in."""
        return {self._load.spec.id: Hold(remote=self.energised("relay"), state=int(self._load.on))}


class PulseFront(PinFront):
    """A pulse meter behind a roof's inverter."""

    def __init__(self, spec: DeviceSpec, house: House, board: PinBoard) -> None:
        self._roof = house.roofs[house.home.of(spec)[0]]
        super().__init__(spec, house, board)

    def energy_wh(self) -> float:
        """Generated."""
        return self._roof.energy_wh


class ContactsFront(PinFront):
    """A control box: its contacts close (with `nc`: open) while it signals. Events of the time line work it.

    The pin `island` is an auxiliary contact of the transfer switch: it signals while the house is off the grid.
    """

    def __init__(self, spec: DeviceSpec, house: House, board: PinBoard) -> None:
        self._signals = dict.fromkeys(spec.pins, 0)
        super().__init__(spec, house, board)

    def send(self, later: Later, dt_s: float) -> None:
        """Called after each step: where the transfer switch stands."""
        super().send(later, dt_s)
        off_grid = int(self.house.supply is not Supply.GRID)
        if self._signals.get(ISLAND, off_grid) != off_grid:
            self._signals[ISLAND] = off_grid
            self._settle()

    def signal(self, contact: str, begins: bool) -> None:
        """One signal begins or ends."""
        self._signals[contact] += 1 if begins else -1
        self._seen = None
        self._settle()

    def commands(self) -> Held:
        """1 for each contact that signals."""
        return {contact: int(count > 0) for contact, count in self._signals.items()}

    def take(self, condition: Condition) -> None:
        """A broken wire is an open contact."""
        super().take(condition)
        self._settle()

    def _settle(self) -> None:
        for contact, count in self._signals.items():
            closed = ((count > 0) is not self.spec.nc) and "broken_wire" not in self.condition
            self.board.bring(self.spec.pins[contact], not closed)  # the gateway pulls up, the contact to ground
