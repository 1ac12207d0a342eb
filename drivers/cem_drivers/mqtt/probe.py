"""Looks who speaks at a broker: by the topics in which devices of a family tell who they are."""

from collections.abc import Iterator, Mapping

from cem.driver import DriverContext, Found
from cem_drivers.mqtt.broker import BROKERS, Broker, Subscription, listened
from cem_drivers.mqtt.found import Told, found_device
from cem_drivers.mqtt.messages import Payload, UnreadableError, pointed, read
from cem_drivers.mqtt.profile import Profile, Spot
from cem_drivers.mqtt.topics import Topics, matches, pattern
from cem_drivers.table import text

MOST = 256
"""So many devices of one family at one broker are looked at; who has more gives a prefix."""
LARGEST = 1024 * 1024

Link = Mapping[str, str | int | float | bool]


class _Seeker:
    """Listens for one family behind one prefix; sends only what a profile asks of each device that it hears of."""

    def __init__(self, profile: Profile, prefix: str, broker: Broker) -> None:
        self.told: dict[tuple[str, ...], Told] = {}  # by the serial and the names in the topics
        self.topics = Topics(profile.link, prefix)
        self.names: tuple[str, ...] = tuple(profile.link.names)
        self._profile, self._broker = profile, broker
        self._wanted = [spot.topic for spot in profile.identify.spots().values()]
        self._wanted += [Spot.of(need).topic for need in profile.find.needs]
        picks = {pick.into: pick for pick in profile.pick}
        self._picks = [(pattern(self.topics.whole_template(pick.source)), pick) for pick in picks.values()]
        self._wanted = list(dict.fromkeys(topic for topic in self._wanted if topic not in picks))

    def filters(self) -> tuple[str, ...]:
        """Everything in which such devices tell of themselves."""
        wanted = [pattern(self.topics.whole_template(topic)) for topic in self._wanted]
        heard = [pattern(self.topics.whole_template(topic)) for topic in self._profile.find.hear]
        return tuple(dict.fromkeys([*wanted, *heard, *(found for found, _ in self._picks)]))

    def take(self, topic: str, payload: bytes, retained: bool) -> None:
        """One message; what can't be read says nothing."""
        if len(payload) > LARGEST:
            return
        try:
            parsed = read(topic, payload, self._profile.link.plain) if payload else None
        except UnreadableError:
            parsed = None
        for topic_filter, pick in self._picks:
            if matches(topic_filter, topic):
                for item in parsed if isinstance(parsed, list) else [parsed]:
                    name = pointed(item, pick.key)
                    if isinstance(item, dict) and isinstance(name, str):
                        self._hear({**self.topics.link.names, "serial": name}, pick.into, item)
        for wanted in self._wanted:
            places = self.topics.extract(wanted, topic)
            if places is not None and parsed is not None:
                self._hear(places, wanted, parsed)
                return
        for heard in self._profile.find.hear:
            places = self.topics.extract(heard, topic)
            if places is not None:
                self._hear(places, None, None)
                return

    def connection(self, connected: bool) -> None:
        """Nothing to do: the subscriptions are renewed by the broker connection."""

    def _hear(self, places: Mapping[str, str], topic: str | None, payload: Payload) -> None:
        serial = places.get("serial", "")
        key = (serial, *(places.get(name, self.topics.link.names[name]) for name in self.names))
        if key not in self.told:
            if len(self.told) >= MOST or any(sign in serial for sign in "/#+"):
                return
            self.told[key] = {}
            for row in self._profile.ask if self._wanted else ():
                first = row.payload if row.first is None else row.first
                self._broker.publish(self.topics.whole(row.topic, serial), first.encode())
        if topic is not None:
            self.told[key][topic] = payload


async def probe(profile: Profile, link: Link, context: DriverContext, timeout_s: float) -> list[Found]:
    """Every device of a family that tells who it is within `timeout_s`."""
    prefixes = [text(link, "prefix", "").rstrip("/")] if "prefix" in link else profile.find.prefixes
    broker = BROKERS.take(link, profile.link.port, context)
    seekers = [_Seeker(profile, prefix, broker) for prefix in prefixes or [profile.link.prefix]]

    def take(topic: str, payload: bytes, retained: bool) -> None:
        for seeker in seekers:
            seeker.take(topic, payload, retained)

    filters = tuple(dict.fromkeys(topic for seeker in seekers for topic in seeker.filters()))
    await listened(broker, Subscription(filters, take, seekers[0].connection), timeout_s)
    return [found for seeker in seekers for found in _found(profile, link, seeker)]


def _found(profile: Profile, link: Link, seeker: _Seeker) -> Iterator[Found]:
    for (name, *values), told in sorted(seeker.told.items()):
        if not all(_there(told, need) for need in profile.find.needs):
            continue
        if not all(listed >= set(has) for has, listed in _listed(profile, told)):
            continue
        prefix = {} if seeker.topics.prefix == profile.link.prefix else {"prefix": seeker.topics.prefix}
        named = {
            key: value for key, value in zip(seeker.names, values, strict=True) if value != profile.link.names[key]
        }
        one = found_device(profile, {**link, **prefix, **named}, name, told)
        if one is not None:
            yield one


def _there(told: Told, need: str) -> bool:
    spot = Spot.of(need)
    return pointed(told.get(spot.topic), spot.json_pointer) is not None


def _listed(profile: Profile, told: Told) -> Iterator[tuple[list[str], set[str]]]:
    for topic, has in profile.find.has.items():
        yield has, set(_properties(told.get(topic)))


def _properties(payload: Payload) -> Iterator[str]:
    """Every text that a key "property" has, at any depth."""
    if isinstance(payload, dict):
        named = payload.get("property")
        if isinstance(named, str):
            yield named
        for value in payload.values():
            yield from _properties(value)
    elif isinstance(payload, list):
        for value in payload:
            yield from _properties(value)
