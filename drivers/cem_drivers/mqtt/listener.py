"""What one device says on its topics: messages, answers to writes, and who else is there."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from cem.driver import NoAnswer
from cem_drivers.mqtt.broker import Broker, Subscription
from cem_drivers.mqtt.messages import Messages, Payload, UnreadableError, pointed, read
from cem_drivers.mqtt.mutes import Mutes
from cem_drivers.mqtt.profile import Pick, Profile
from cem_drivers.mqtt.rpc import Answer, Requests, notice
from cem_drivers.mqtt.stamps import Stamps
from cem_drivers.mqtt.topics import ANY, Topics, matches

LARGEST = 65536
"""So long may the payload of one topic be, in bytes; a list of all devices is not bound by it."""
MOST_SEEN = 64

_LOG = logging.getLogger(__name__)


class Listener:
    """Listens to the topics of one serial number, of the first that speaks where `serial` is None."""

    def __init__(
        self, owner: str, profile: Profile, topics: Topics, serial: str | None, monotonic: Callable[[], float]
    ) -> None:
        named = "{serial}" in profile.link.topic
        self.serial = serial if named else ""
        self.seen: dict[str, str] = {}  # serial number in the topic -> what the identity topic there says
        self.messages = Messages()
        self.results: dict[str, str] = {}  # topic -> what the device answered to the last write
        self.since_s = monotonic()  # of the present connection
        self.connections = 0  # how often the broker was connected
        self._mutes = Mutes()
        self._owner = owner
        self._profile = profile
        self._topics = topics
        self._monotonic = monotonic
        self._loop: asyncio.AbstractEventLoop
        self._waiters: list[asyncio.Future[None]] = []
        self._stamps = Stamps(profile.link.stamps)
        self._broker: Broker | None = None
        self._rpc = profile.rpc
        self._requests = Requests(f"cem-{owner}")
        self._presence = profile.identify.spots()["serial"].topic if self._rpc is None else self._rpc.presence
        self._tells_serial = named and self._presence not in {pick.into for pick in profile.pick}
        self._presence_ends = self._presence.rpartition("/")[2]
        self._keys: dict[str, str] = {}  # whole topic -> the profile's, once the serial is known
        self._results: dict[str, str] = {}  # whole topic of a result -> the profile's topic
        self._picks: list[tuple[str, Pick]] = []
        self._prefixes: tuple[str, ...] = ()  # of everything that the device says
        self._others = frozenset(  # what somebody else says of the device: no sign of its life
            topic
            for topic in profile.topics
            if topic.startswith("/") or any(matches(theirs, topic) for theirs in profile.link.theirs)
        )
        self._know(self.serial)
        filters = [*topics.own(self.serial if self.serial is not None else ANY)]
        filters += [topics.whole(topic, self.serial or ANY) for topic in profile.topics if topic.startswith("/")]
        filters += [topic_filter for topic_filter, _ in self._picks]
        if self._tells_serial:
            filters.append(topics.whole(self._presence, ANY))  # to name the wrong one when it is there
        if self._rpc is not None:
            filters.append(self._requests.answers_topic)
        self._subscription = Subscription(tuple(dict.fromkeys(filters)), self._on_message, self._on_connection)

    def topic(self, relative: str) -> str:
        """A topic of the device in full."""
        return self._topics.whole(relative, self.serial or "")

    def muted(self) -> list[str]:
        """The topics, in full, that are not listened to now since they said too much that can't be read."""
        whole = {pick.into: topic_filter for topic_filter, pick in self._picks}
        whole[self._requests.answers_topic] = self._requests.answers_topic
        return [whole.get(key) or self.topic(key) for key in self._mutes.present(self._monotonic())]

    async def start(self, broker: Broker) -> None:
        """Subscribes; raises OSError where the broker's credentials can't be read."""
        self._broker = broker
        self._loop = asyncio.get_running_loop()
        await broker.subscribe(self._subscription)

    def stop(self) -> None:
        """Listens no more; harmless when repeated."""
        if self._broker is not None:
            self._broker.unsubscribe(self._subscription)

    async def until(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Waits for messages until `done`; False when it did not come in time."""
        if done():
            return True
        loop = self._loop
        over: list[None] = []  # one as soon as the time is over
        timer = loop.call_later(max(0.0, timeout_s), self._give_up, over)
        try:
            while not over and not done():
                waiter = loop.create_future()
                self._waiters.append(waiter)
                await waiter
        finally:
            timer.cancel()
        return done()

    def _give_up(self, over: list[None]) -> None:
        over.append(None)
        self._news()

    def _news(self) -> None:
        """Whoever waits looks again."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

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

    def _know(self, serial: str | None) -> None:
        """The serial is known: so is every topic in full."""
        if serial is None:
            return
        profile, whole = self._profile, self._topics.whole
        self._keys = {whole(topic, serial): topic for topic in profile.topics}
        self._picks = [(whole(pick.source, serial), pick) for pick in profile.pick]
        self._prefixes = tuple(own.removesuffix("#") for own in self._topics.own(serial))
        suffix = profile.link.result_suffix
        if suffix is not None:
            self._results = {f"{topic}{suffix}": key for topic, key in self._keys.items()}

    def _on_connection(self, connected: bool) -> None:
        if not connected:
            self.messages.forget()
        self.connections += connected
        self.since_s = self._monotonic()
        self._news()

    def _on_message(self, topic: str, payload: bytes, retained: bool) -> None:
        if self._rpc is not None and topic == self._requests.answers_topic:
            self._take_answer(payload)
            return
        if self._tells_serial and topic.endswith(self._presence_ends):
            self._look_who(topic, payload)
        key = self._keys.get(topic)
        if key is not None:
            self._guarded(key, topic, payload, retained)
        elif topic in self._results:
            self.results[self._results[topic]] = payload[:LARGEST].decode("utf-8", "replace").strip()
        elif self._rpc is not None:
            if self._rpc.events is not None and topic == self.topic(self._rpc.events) and not retained:
                self._guarded(self._rpc.events, topic, payload, retained)
        elif self.serial is not None:
            self._something_else(topic, payload, retained)
        self._news()

    def _look_who(self, topic: str, payload: bytes) -> None:
        found = self._topics.extract(self._presence, topic)
        if found is None or "serial" not in found or len(self.seen) >= MOST_SEEN:
            return
        told = payload[:LARGEST].decode("utf-8", "replace").strip().strip('"')
        self.seen[found["serial"]] = told if self._rpc is None else found["serial"]
        if self.serial is None:
            self.serial = found["serial"]
            self._know(self.serial)

    def _something_else(self, topic: str, payload: bytes, retained: bool) -> None:
        """A topic of no interest is a sign of life; a message of several devices may concern this one."""
        for topic_filter, pick in self._picks:
            if matches(topic_filter, topic):
                self._guarded(pick.into, topic, payload, retained, pick)
                return
        for prefix in self._prefixes if not retained else ():
            if topic.startswith(prefix):
                below = topic[len(prefix) :]
                if not any(matches(theirs, below) for theirs in self._profile.link.theirs):
                    self.messages.lives(self._monotonic())
                return

    def _guarded(self, key: str, topic: str, payload: bytes, retained: bool, pick: Pick | None = None) -> None:
        """Takes a message in; one that can't be read is left out, and a topic of many such is not listened to."""
        now_s = self._monotonic()
        if self._mutes.muted(key, now_s):
            return
        try:
            if not payload:
                self.messages.drop(key)
            elif pick is None and len(payload) > LARGEST:
                raise UnreadableError(f"{topic}: {len(payload)} bytes, allowed are {LARGEST}")
            else:
                self._take(key, topic, payload, retained, pick)
        except UnreadableError as error:
            told = self._mutes.strike(key, now_s)
            if told is not None:
                _LOG.warning("%s: %s; %s", self._owner, error, told)

    def _take(self, key: str, topic: str, payload: bytes, retained: bool, pick: Pick | None) -> None:
        rpc, now_s = self._rpc, self._monotonic()
        if rpc is not None and key == rpc.events:
            told = notice(payload)
            if self._stamps.newer(key, told.at):
                for component, changes in told.changes.items():
                    self.messages.overlay(f"{rpc.status.into}/{component}", changes, now_s)
            return
        parsed = read(topic, payload, self._profile.link.plain)
        if pick is not None:
            mine = picked(pick, parsed, self.serial or "")
            if mine is not None:
                self.messages.take(key, mine, True, now_s)  # whoever lists devices is no sign of life of theirs
        elif self._stamps.fresh(key, parsed):
            self.messages.take(key, parsed, retained or key in self._others, now_s)

    def _take_answer(self, payload: bytes) -> None:
        try:
            told = self._requests.take(payload)
        except UnreadableError as error:
            words = self._mutes.strike(self._requests.answers_topic, self._monotonic())
            if words is not None:
                _LOG.warning("%s: %s; such messages are left out", self._owner, error)
            return
        if told is not None:
            into, result = told
            for key, value in result.items():
                self.messages.put(f"{into}/{key}", value, self._monotonic())
        self._news()


def picked(pick: Pick, parsed: Payload, serial: str) -> Payload:
    """What of a message concerns a device; None where nothing does."""
    for item in parsed if isinstance(parsed, list) else [parsed]:
        if isinstance(item, dict) and pointed(item, pick.key) == serial:
            return item
    return None
