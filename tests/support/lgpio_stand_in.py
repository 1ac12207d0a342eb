"""What stands for the C library lgpio where there are no pins: its functions as gpiozero calls them, over a dict.

Laid beside the path as `lgpio.py`. Flags as in lgpio 0.2: a line is an output, an input, or an input with alerts.
"""

from collections.abc import Callable

Func = Callable[[int, int, int, int], None]
BOTH_EDGES, RISING_EDGE, FALLING_EDGE = 3, 1, 2
SET_PULL_NONE, SET_PULL_UP, SET_PULL_DOWN = 128, 32, 64
_OUT = 1 << 1
lines: dict[int, str] = {}  # "in" or "out", of those that are claimed
levels: dict[int, int] = {}
flags: dict[int, int] = {}
alerts: dict[int, "callback"] = {}


class error(Exception):  # noqa: N801, N818 - lgpio's own name
    """What lgpio raises."""


def gpiochip_open(chip: int) -> int:
    return 1


def gpiochip_close(handle: int) -> None:
    lines.clear()


def gpio_claim_input(handle: int, pin: int, flag: int = 0) -> None:
    lines[pin], flags[pin] = "in", flag


def gpio_claim_output(handle: int, pin: int, level: int = 0, flag: int = 0) -> None:
    lines[pin], levels[pin] = "out", level


def gpio_claim_alert(handle: int, pin: int, edges: int, flag: int = 0, notify: object = None) -> None:
    lines[pin] = "in"


def gpio_free(handle: int, pin: int) -> None:
    lines.pop(pin, None)


def gpio_get_mode(handle: int, pin: int) -> int:
    return _OUT if lines.get(pin) == "out" else flags.get(pin, 0)


def gpio_read(handle: int, pin: int) -> int:
    if pin not in lines:
        raise error("GPIO not allocated")
    return levels.get(pin, 1)


def gpio_write(handle: int, pin: int, level: int) -> None:
    if lines.get(pin) != "out":
        raise error("bad GPIO mode")
    levels[pin] = int(level)


def gpio_set_debounce_micros(handle: int, pin: int, micros: int) -> None:
    pass


class callback:  # noqa: N801 - lgpio's own name
    """A subscription to the edges of a line."""

    def __init__(self, handle: int, pin: int, edges: int, func: Func) -> None:
        self._pin, self._func = pin, func
        alerts[pin] = self

    def cancel(self) -> None:
        alerts.pop(self._pin, None)

    def edge(self, level: int, ticks: int) -> None:
        """The line changed, in lgpio's own thread."""
        levels[self._pin] = level
        self._func(1, self._pin, level, ticks)
