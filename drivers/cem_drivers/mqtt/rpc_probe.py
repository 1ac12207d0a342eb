"""Looks who answers requests at a broker: everybody whose presence is retained there is asked who it is."""

import logging
from collections.abc import Mapping

from cem.driver import DriverContext, Found
from cem_drivers.mqtt.broker import BROKERS, Broker, Subscription, listened
from cem_drivers.mqtt.found import Told, found_device
from cem_drivers.mqtt.messages import Payload, UnreadableError
from cem_drivers.mqtt.profile import Profile
from cem_drivers.mqtt.rpc import Requests
from cem_drivers.mqtt.rpc_tables import Rpc
from cem_drivers.mqtt.topics import Topics
from cem_drivers.table import text

MOST = 256
"""So many devices at one broker are asked; who has more gives a prefix."""

_LOG = logging.getLogger(__name__)


Answers = dict[str, dict[str, Payload]]
"""What one device answered to each question."""


class _Asker:
    """Asks everybody of one family; only requests that read."""

    def __init__(self, profile: Profile, rpc: Rpc, prefix: str, broker: Broker) -> None:
        self.told: dict[str, Answers] = {}  # by the level of the topic that stands for the serial number
        self._rpc, self._broker = rpc, broker
        self._requests = Requests(f"cem-scan-{profile.id}")
        self._topics = Topics(profile.link, prefix)

    def topics(self) -> tuple[str, ...]:
        """Presences and answers."""
        return self._topics.whole(self._rpc.presence, "+"), self._requests.answers_topic

    def take(self, topic: str, payload: bytes, retained: bool) -> None:
        """A presence or an answer."""
        if topic == self._requests.answers_topic:
            self._answer(payload)
            return
        name = (self._topics.extract(self._rpc.presence, topic) or {}).get("serial", "")
        if name and payload != b"false" and name not in self.told and len(self.told) < MOST:
            self.told[name] = {}
            for ask in (self._rpc.identify, self._rpc.status):
                _, frame = self._requests.frame(ask.method, {}, f"{name}/{ask.into}")
                self._broker.publish(self._topics.whole(self._rpc.request, name), frame)

    def connection(self, connected: bool) -> None:
        """Nothing to do: the subscriptions are renewed by the broker connection."""

    def _answer(self, payload: bytes) -> None:
        try:
            told = self._requests.take(payload)
        except UnreadableError as error:
            _LOG.warning("broker %s: %s; left out", self._broker.name, error)
            return
        if told is not None:
            name, _, into = told[0].partition("/")
            self.told[name][into] = dict(told[1])


async def probe_requests(
    profile: Profile, link: Mapping[str, str | int | float | bool], context: DriverContext, timeout_s: float
) -> list[Found]:
    """Every device of a family that answers requests, after `timeout_s`; known by the components that it has."""
    rpc = profile.rpc
    assert rpc is not None
    prefix = text(link, "prefix", profile.link.prefix).rstrip("/")
    broker = BROKERS.take(link, profile.link.port, context)
    asker = _Asker(profile, rpc, prefix, broker)
    subscription = Subscription(asker.topics(), asker.take, asker.connection)
    await listened(broker, subscription, timeout_s)
    found = (_found(profile, rpc, link, name, told) for name, told in sorted(asker.told.items()))
    return [one for one in found if one is not None]


def _found(
    profile: Profile, rpc: Rpc, link: Mapping[str, str | int | float | bool], name: str, told: Answers
) -> Found | None:
    components = set(told.get(rpc.status.into, ()))
    if not components.issuperset(rpc.needs) or components & set(rpc.lacks):
        return None
    flat: Told = {f"{into}/{key}": value for into, result in told.items() for key, value in result.items()}
    return found_device(profile, link, name, flat)
