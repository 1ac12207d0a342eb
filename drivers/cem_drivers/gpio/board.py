"""The pins of one board, shared by all gpio devices of this process, through gpiozero.

The machine's own pins are reached by gpiozero's lgpio factory and by nothing else: where lgpio is missing or may not
open the chip, the device does not open, and says why. gpiozero's mock factory is used only where the site file or the
house's context names simulated pins.
"""

import asyncio
import importlib
import logging
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cem.driver import DriverContext, NoAnswer, PinPort, Refused
from cem_drivers.gpio.simulated import SocketPins
from cem_drivers.gpio.wiring import LGPIO, SIMULATED, Pin
from cem_drivers.table import LinkTable, text

_LOG = logging.getLogger(__name__)
SERIAL_FILE = Path("/sys/firmware/devicetree/base/serial-number")
MOST_EDGES = 10_000  # that wait for the next poll: a wire that oscillates must not fill the memory
INSTALL = "Install the system's package python3-lgpio, or the extra: pip install 'cem-gateway[pi]'"
OPEN_S = 3.0

Edge = tuple[float, bool]


class Input:
    """One input: its level, and the edges since they were last taken, dated as they came."""

    def __init__(self, pin: Pin, device: Any, context: DriverContext) -> None:
        self.pin = pin
        self._device = device
        self._monotonic = context.monotonic
        self._edges: deque[Edge] = deque(maxlen=MOST_EDGES)  # filled by the factory's thread
        device.pin.bounce = None
        device.pin.edges = "both"
        device.pin.when_changed = self._changed

    @property
    def closed(self) -> bool:
        """Whether the contact is closed now."""
        return bool(self._device.pin.state) is self.pin.high

    def take(self) -> list[Edge]:
        """(when, closed) of the edges since the last call."""
        return [self._edges.popleft() for _ in range(len(self._edges))]

    def close(self) -> None:
        """Gives the pin back."""
        self._device.close()

    def _changed(self, _ticks: float, state: int) -> None:
        self._edges.append((self._monotonic(), bool(state) is self.pin.high))


class Board:
    """One board. Outputs are taken with the first write and given back with the release: until then, and after it,
    the pin is an input, and what hangs on it is not energised."""

    def __init__(self, name: str, factory: Any, port: PinPort | None = None, serial: str = "") -> None:
        self.name = name
        self.serial = serial
        self._gpiozero = importlib.import_module("gpiozero")
        self._factory = factory
        self._port = port
        self._outputs: dict[int, Any] = {}
        self._inputs: dict[int, Any] = {}
        self._levels: dict[int, bool] = {}

    async def start(self) -> None:
        """Connects to a simulated board and learns its serial number; raises NoAnswer."""
        if self._port is None:
            return
        try:
            async with asyncio.timeout(OPEN_S):
                self.serial = await self._port.start(self._level)
        except (OSError, TimeoutError) as error:
            raise NoAnswer(
                f"{self.name}: no simulated pins: {str(error) or 'no answer'}. Check that hw-sim runs"
            ) from error

    @property
    def gone(self) -> bool:
        """Whether a simulated board went away; the machine's own never does."""
        return self._port is not None and not self._port.connected

    @property
    def held(self) -> bool:
        """Whether an output is driven by us."""
        return bool(self._outputs)

    def input(self, pin: Pin, context: DriverContext) -> Input:
        """Takes an input; raises Refused where the pin has another use, NoAnswer where it can't be had."""
        pull = {"up": True, "down": False}.get(pin.pull)
        active = pin.high if pull is None else None
        taken = self._taken(
            pin,
            lambda: self._gpiozero.InputDevice(
                pin.number, pull_up=pull, active_state=active, pin_factory=self._factory
            ),
        )
        self._inputs[pin.number] = taken
        self._show(pin.number)
        return Input(pin, taken, context)

    def give_back(self, read: Input) -> None:
        """An input is not read any more."""
        self._inputs.pop(read.pin.number, None)
        read.close()

    def energised(self, pin: Pin) -> bool | None:
        """How an output is driven; None where it is not ours."""
        device = self._outputs.get(pin.number)
        return None if device is None else bool(device.value)

    def drive(self, pin: Pin, on: bool) -> None:
        """Drives an output, energised or not; raises Refused, NoAnswer."""
        if self.energised(pin) is not on:
            self._tell(pin, pin.high is on)
        device = self._outputs.get(pin.number)
        if device is None:
            self._outputs[pin.number] = self._taken(
                pin,
                lambda: self._gpiozero.OutputDevice(
                    pin.number, active_high=pin.high, initial_value=on, pin_factory=self._factory
                ),
            )
        elif bool(device.value) is not on:
            (device.on if on else device.off)()

    def free(self, pin: Pin) -> None:
        """Makes an output an input again: not energised. Nothing is sent where it is one already."""
        device = self._outputs.pop(pin.number, None)
        if device is not None or (self._port is not None and pin.number in self._port.left()):
            self._tell(pin, None)
        if device is not None:
            device.close()
        elif self._port is None:
            self._factory.pin(pin.number)  # lgpio takes it as an input: what a dead process left ends

    async def close(self) -> None:
        """Gives every pin back."""
        for device in (*self._outputs.values(), *self._inputs.values()):
            device.close()
        self._outputs.clear()
        self._inputs.clear()
        self._factory.close()
        if self._port is not None:
            await self._port.stop()

    def _taken(self, pin: Pin, take: Callable[[], Any]) -> Any:
        try:
            return take()
        except self._gpiozero.GPIOPinInUse as error:
            raise Refused(
                f"pin {pin.number} of {self.name} has another use in this site file. Check the pins of the gpio devices"
            ) from error
        except self._gpiozero.GPIOZeroError as error:
            raise Refused(
                f"pin {pin.number} of {self.name}: {error}. Check the pin's words in the site file"
            ) from error
        except lgpio_faults() as error:
            raise NoAnswer(
                f"pin {pin.number} of {self.name}: {error}. Check that no other program holds it (gpioinfo shows)"
            ) from error

    def _tell(self, pin: Pin, high: bool | None) -> None:
        if self._port is None:
            return
        try:
            self._port.drive(pin.number, high)
        except PermissionError as error:
            raise Refused(f"pin {pin.number} of {self.name}: {error}") from error
        except ConnectionError as error:
            raise NoAnswer(f"{self.name}: {error}. Check that hw-sim runs") from error

    def _level(self, pin: int, high: bool) -> None:
        self._levels[pin] = high
        self._show(pin)

    def _show(self, number: int) -> None:
        """Brings the simulated level of an input to gpiozero's mock pin."""
        device = self._inputs.get(number)
        if device is not None and number in self._levels:
            (device.pin.drive_high if self._levels[number] else device.pin.drive_low)()


def lgpio_faults() -> tuple[type[Exception], ...]:
    """What goes wrong below gpiozero."""
    try:
        lgpio = importlib.import_module("lgpio")
    except ImportError:
        return (OSError,)
    return (OSError, lgpio.error)


def _own_pins(link: LinkTable) -> Board:
    """The machine's own pins; raises NoAnswer where they can't be had. Nothing stands in for lgpio."""
    chip = link.get("chip")
    name = "the board's own pins"
    try:
        factories = importlib.import_module("gpiozero.pins.lgpio")
    except ImportError as error:
        raise NoAnswer(f"{name}: the package {error.name or 'lgpio'} is missing. {INSTALL}") from error
    except OSError as error:  # lgpio opens a pipe in the working directory as soon as it is imported
        raise NoAnswer(f"{name}: lgpio: {error}. Check that the service's working directory is writable") from error
    try:
        factory = factories.LGPIOFactory(chip)
    except importlib.import_module("gpiozero").GPIOZeroError as error:
        raise NoAnswer(f"{name}: {error}. Check that this machine is a Raspberry Pi") from error
    except lgpio_faults() as error:
        raise NoAnswer(f"{name}: {error}. Check that the service's user is in the group gpio") from error
    serial = SERIAL_FILE.read_text().strip("\0\n ") if SERIAL_FILE.exists() else ""
    if not serial:
        raise NoAnswer(f"{name}: the board tells no serial number ({SERIAL_FILE}). Check that it is a Raspberry Pi")
    return Board(name, factory, serial=serial)


def _simulated_pins(name: str, port: PinPort) -> Board:
    factories = importlib.import_module("gpiozero.pins.mock")
    return Board(name, factories.MockFactory(revision="a02082", pin_class=factories.MockPin), port)


@dataclass(slots=True)
class _Entry:
    board: Board
    holders: int = 0


@dataclass(slots=True)
class BoardRegistry:
    """Boards by where they are, each belonging to one event loop. A board whose outputs are driven stays open."""

    _entries: dict[Hashable, _Entry] = field(default_factory=dict)
    _opening: dict[Hashable, asyncio.Lock] = field(default_factory=dict)

    async def take(self, link: LinkTable, context: DriverContext) -> Board:
        """The board of a checked link table, opened if nobody holds it; give it back with `drop`. Raises NoAnswer."""
        path = text(link, "simulated_file", "")
        key: Hashable = (asyncio.get_running_loop(), context.pins, path, link.get("chip"))
        async with self._opening.setdefault(key, asyncio.Lock()):
            entry = self._entries.get(key)
            if entry is not None and entry.board.gone:
                del self._entries[key]
                await entry.board.close()
                entry = None
            if entry is None:
                board = self._made(link, path, context)
                try:
                    await board.start()
                except NoAnswer:
                    await board.close()
                    raise
                entry = self._entries[key] = _Entry(board)
            entry.holders += 1
            return entry.board

    @staticmethod
    def _made(link: LinkTable, path: str, context: DriverContext) -> Board:
        if context.pins is not None:
            return _simulated_pins("the simulated board", context.pins(link))
        if text(link, "board", LGPIO) == SIMULATED:
            _LOG.warning("gpio: simulated pins at %s, as the site file says: no real contact moves", path)
            return _simulated_pins(f"the simulated board at {path}", SocketPins(Path(path)))
        return _own_pins(link)

    async def drop(self, board: Board) -> None:
        """One holder less; the last one closes the board, unless an output is still to be released."""
        for key, entry in list(self._entries.items()):
            if entry.board is board:
                entry.holders -= 1
                if entry.holders <= 0 and (board.gone or not board.held):
                    del self._entries[key]
                    await board.close()
                return


BOARDS = BoardRegistry()
"""Every board of this process."""
