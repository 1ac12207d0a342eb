"""Names of topics: between what a profile writes and what goes over the broker. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from cem_drivers.mqtt.profile import PLACE, Link

ANY = "+"
MOST_KNOWN = 1000
"""Names of topics that are kept as they were made."""


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one kind of device behind one prefix; `names` fill what a profile leaves to the site file."""

    link: Link
    prefix: str
    names: Mapping[str, str] = field(default_factory=dict)
    _known: dict[tuple[str, str], str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def base(self, serial: str, branch: str = "") -> str:
        """What all topics of a device (of one branch) begin with."""
        whole = self.link.topic.format(prefix=self.prefix, serial=serial, branch=branch)
        return whole if self.prefix else whole.removeprefix("/")

    def whole(self, topic: str, serial: str) -> str:
        """A profile's topic as the broker knows it. `serial` may be + for any device."""
        found = self._known.get((topic, serial))
        if found is None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            found = self._known[topic, serial] = self._made(topic, serial)
        return found

    def _made(self, topic: str, serial: str) -> str:
        places = {**self.link.names, **self.names, "prefix": self.prefix, "serial": serial}
        filled = PLACE.sub(lambda found: places.get(found[1], found[0]), topic)
        if filled.startswith("/"):
            return filled[1:]
        branch = ""
        if self.link.branches:
            branch, _, filled = filled.partition("/")
        base = self.base(serial, branch)
        return f"{base}/{filled}" if filled else base

    def own(self, serial: str) -> tuple[str, ...]:
        """Filters of everything that a device says."""
        return tuple(f"{self.base(serial, branch)}/#" for branch in self.link.branches or ("",))

    def extract(self, topic: str, whole: str) -> dict[str, str] | None:
        """The serial and the names that a whole topic has in the places of a profile's topic; None if it is another."""
        template = self.whole_template(topic).split("/")
        levels = whole.split("/")
        if len(template) != len(levels):
            return None
        found: dict[str, str] = {}
        for want, level in zip(template, levels, strict=True):
            place = PLACE.fullmatch(want)
            if place is not None:
                if found.setdefault(place[1], level) != level:
                    return None
            elif want not in (ANY, level):
                return None
        return found

    def whole_template(self, topic: str) -> str:
        """A profile's topic as the broker knows it, serial and names left as places."""
        if topic.startswith("/"):
            return topic[1:].replace("{prefix}", self.prefix)
        branch = ""
        if self.link.branches:
            branch, _, topic = topic.partition("/")
        base = self.base("{serial}", branch)
        return f"{base}/{topic}" if topic else base


def pattern(template: str) -> str:
    """A template as a filter: + in every place."""
    return PLACE.sub(ANY, template)


@lru_cache(maxsize=1024)
def matches(topic_filter: str, topic: str) -> bool:
    """Whether a topic falls under a filter (MQTT 3.1.1 clause 4.7; topics beginning with $ are not for us)."""
    return _fits(topic_filter.split("/"), topic.split("/"))


def _fits(wanted: Sequence[str], levels: Sequence[str]) -> bool:
    for index, want in enumerate(wanted):
        if want == "#":
            return True
        if index >= len(levels) or want not in (ANY, levels[index]):
            return False
    return len(wanted) == len(levels)
