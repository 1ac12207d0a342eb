"""What is asked of a device, so that it says its values or goes on saying them. Nothing of it changes anything."""

from collections.abc import Callable, Sequence

from cem_drivers.mqtt.broker import Broker
from cem_drivers.mqtt.listener import Listener
from cem_drivers.mqtt.profile import AskRow

SELDOM_S = 60.0
"""What is asked for so seldom, or begins with another form, is not asked for in between."""


class Asking:
    """The questions of one profile, and when each was last sent."""

    def __init__(self, rows: Sequence[AskRow], monotonic: Callable[[], float]) -> None:
        self._rows = rows
        self._monotonic = monotonic
        self._at_s: dict[AskRow, float] = {}

    def forget(self) -> None:
        """A new connection: everything is asked for, in its first form."""
        self._at_s.clear()

    def due(self, broker: Broker, listener: Listener) -> None:
        """Sends what is due, if it is known to whom; nothing while disconnected."""
        now_s = self._monotonic()
        for row in self._rows if listener.serial is not None else ():
            last_s = self._at_s.get(row)
            if last_s is not None and now_s - last_s < row.every_s:
                continue
            payload = row.first if last_s is None and row.first is not None else row.payload
            if broker.publish(listener.topic(row.topic), payload.encode()):
                self._at_s[row] = now_s

    def again(self, broker: Broker, listener: Listener) -> None:
        """Sends everything now that may be asked for often."""
        for row in self._rows:
            if row.every_s < SELDOM_S and row.first is None:
                self._at_s.pop(row, None)
        self.due(broker, listener)
