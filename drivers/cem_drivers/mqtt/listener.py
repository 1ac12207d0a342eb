"""What one device says on its topics: messages, answers to writes, and who else is there."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from cem.driver import NoAnswer
from cem_drivers.mqtt.broker import MOST_WAYS, Broker, Subscription
from cem_drivers.mqtt.messages import Messages, Payload, UnreadableError
from cem_drivers.mqtt.profile import Profile
from cem_drivers.mqtt.rpc import Answer, Requests, notice

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
        self._rpc = profile.rpc
        self._requests = Requests(f"cem-{owner}")
        self._presence = profile.identify.serial if self._rpc is None else self._rpc.presence
        pattern = self.base("\0").split("/")
        self._depth, self._serial_level = len(pattern), pattern.index("\0")
        self._places: dict[str, tuple[str | None, str]] = {}  # topics as `_split` took them apart
        own = self.base(serial or "+") + "/#"
        everybody = f"{self.base('+')}/{self._presence}"  # to name the wrong one when it is there
        topics = (own, everybody) if self._rpc is None else (own, everybody, self._requests.answers_topic)
        self._subscription = Subscription(topics, self._on_message, self._on_connection)

    def base(self, serial: str) -> str:
        """The part of a device's topics that they all have in common."""
        whole = self._profile.link.topic.format(prefix=self._prefix, serial=serial)
        return whole if self._prefix else whole.removeprefix("/")

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

    # --- requests, for devices that answer them ---

    @property
    def answered_by(self) -> str | None:
        """The serial number in the last answer; None before the first."""
        return self._requests.answered_by

    def request(self, method: str, params: Mapping[str, Payload], into: str | None = None) -> int:
        """Sends a request and gives its number; raises NoAnswer without a broker."""
        assert self._rpc is not None
        number, frame = self._requests.frame(method, params, into)
        if self._broker is None or not self._broker.publish(self.topic(self._rpc.request), frame):
            raise NoAnswer(f"{self._owner}: not connected to the broker; {method} was not sent and is not kept")
        return number

    def waits(self, number: int) -> bool:
        """Whether a request still has no answer."""
        return self._requests.waits(number)

    def answer(self, number: int) -> Answer | None:
        """What a request was answered with."""
        return self._requests.answer(number)

    # --- what comes in ---

    def _on_connection(self, connected: bool) -> None:
        if not connected:
            self.messages.forget_times()
        self.since_s = self._monotonic()
        self._news.set()

    def _on_message(self, topic: str, payload: bytes, retained: bool) -> None:
        if self._rpc is not None and topic == self._requests.answers_topic:
            self._take_answer(payload)
            return
        serial, relative = self._split(topic)
        if serial is None or relative.endswith(self._profile.link.set_suffix):
            return
        if relative == self._presence:
            told = payload.decode("utf-8", "replace").strip().strip('"')
            self.seen[serial] = told if self._rpc is None else serial
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
            self._read(relative, payload, retained)
        except UnreadableError as error:
            self._tell_unreadable(error)

    def _read(self, relative: str, payload: bytes, retained: bool) -> None:
        rpc, now_s = self._rpc, self._monotonic()
        if rpc is None or relative == rpc.presence or relative.startswith(f"{rpc.status.into}/"):
            self.messages.take(relative, payload, retained, now_s)
        elif relative == rpc.events and not retained:
            for component, changes in notice(payload).changes.items():
                self.messages.overlay(f"{rpc.status.into}/{component}", changes, now_s)
        # anything else below its prefix is what others ask of it: no word of the device's own

    def _take_answer(self, payload: bytes) -> None:
        try:
            told = self._requests.take(payload)
        except UnreadableError as error:
            self._tell_unreadable(error)
            return
        if told is not None:
            into, result = told
            for key, value in result.items():
                self.messages.put(f"{into}/{key}", value, self._monotonic())
        self._news.set()

    def _tell_unreadable(self, error: UnreadableError) -> None:
        if not self._unreadable:
            self._unreadable = True
            _LOG.warning("%s: %s; such messages are left out", self._owner, error)

    def _split(self, topic: str) -> tuple[str | None, str]:
        """The serial number in a topic, and what follows the device's own part."""
        known = self._places.get(topic)
        if known is None:
            if len(self._places) >= MOST_WAYS:
                self._places.clear()
            levels = topic.split("/")
            known = (None, "")
            if len(levels) > self._depth:
                known = (levels[self._serial_level], "/".join(levels[self._depth :]))
            self._places[topic] = known
        return known
