"""What one device says on its topics: messages, answers to writes, and who else is there."""

import asyncio
import logging
from collections.abc import Callable

from cem_drivers.mqtt.broker import Broker, Subscription
from cem_drivers.mqtt.messages import Messages, UnreadableError
from cem_drivers.mqtt.profile import Profile

_LOG = logging.getLogger(__name__)


class Listener:
    """Listens to the topics of one serial number, of the first that speaks where `serial` is None."""

    def __init__(
        self, owner: str, profile: Profile, prefix: str, serial: str | None, monotonic: Callable[[], float]
    ) -> None:
        self.serial = serial
        self.seen: dict[str, str] = {}  # serial number in the topic -> what the identity topic there says
        self.messages = Messages()
        self.results: dict[str, str] = {}  # topic -> what the device answered to the last write
        self.since_s = monotonic()  # of the present connection
        self._owner = owner
        self._profile = profile
        self._prefix = prefix
        self._monotonic = monotonic
        self._news = asyncio.Event()
        self._unreadable = False
        self._broker: Broker | None = None
        pattern = self.base("\0").split("/")
        self._depth, self._serial_level = len(pattern), pattern.index("\0")
        own = self.base(serial or "+") + "/#"
        everybody = f"{self.base('+')}/{profile.identify.serial}"  # to name the wrong one when it is there
        self._subscription = Subscription((own, everybody), self._on_message, self._on_connection)

    def base(self, serial: str) -> str:
        """The part of a device's topics that they all have in common."""
        return self._profile.link.topic.format(prefix=self._prefix, serial=serial)

    def topic(self, relative: str) -> str:
        """A topic of the device in full."""
        return f"{self.base(self.serial or '')}/{relative}"

    async def start(self, broker: Broker) -> None:
        """Subscribes; raises OSError where the broker's credentials can't be read."""
        self._broker = broker
        await broker.subscribe(self._subscription)

    def stop(self) -> None:
        """Listens no more; harmless when repeated."""
        if self._broker is not None:
            self._broker.unsubscribe(self._subscription)

    async def until(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Waits for messages until `done`; False when it did not come in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while not done():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return done()
        return True

    def _on_connection(self, connected: bool) -> None:
        if not connected:
            self.messages.forget_times()
        self.since_s = self._monotonic()
        self._news.set()

    def _on_message(self, topic: str, payload: bytes, retained: bool) -> None:
        serial, relative = self._split(topic)
        if serial is None or relative.endswith(self._profile.link.set_suffix):
            return
        if relative == self._profile.identify.serial:
            self.seen[serial] = payload.decode("utf-8", "replace").strip().strip('"')
            if self.serial is None:
                self.serial = serial
        if serial == self.serial:
            self._take(relative, payload, retained)
        self._news.set()

    def _take(self, relative: str, payload: bytes, retained: bool) -> None:
        suffix = self._profile.link.result_suffix
        if suffix is not None and relative.endswith(suffix):
            self.results[relative.removesuffix(suffix)] = payload.decode("utf-8", "replace").strip()
            return
        try:
            self.messages.take(relative, payload, retained, self._monotonic())
        except UnreadableError as error:
            if not self._unreadable:
                self._unreadable = True
                _LOG.warning("%s: %s; such messages are left out", self._owner, error)

    def _split(self, topic: str) -> tuple[str | None, str]:
        """The serial number in a topic, and what follows the device's own part."""
        levels = topic.split("/")
        if len(levels) <= self._depth:
            return None, ""
        return levels[self._serial_level], "/".join(levels[self._depth :])
