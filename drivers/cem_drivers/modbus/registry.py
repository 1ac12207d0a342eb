"""Who shares a link: devices behind the same address use one link, closed when the last of them lets go."""

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from cem_drivers.modbus.link import Link


@dataclass(slots=True)
class _Entry:
    link: Link
    holders: int = 0


class LinkRegistry:
    """Links by their address, counted. A link belongs to the event loop in which it was taken."""

    def __init__(self) -> None:
        self._entries: dict[Hashable, _Entry] = {}

    def take(self, key: Hashable, make: Callable[[], Link]) -> Link:
        """The link of that key, made if nobody holds one; give it back with `drop`."""
        key = (asyncio.get_running_loop(), key)
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(make())
        entry.holders += 1
        return entry.link

    def drop(self, link: Link) -> None:
        """One holder less; the last one closes the link."""
        for key, entry in self._entries.items():
            if entry.link is link:
                entry.holders -= 1
                if entry.holders <= 0:
                    del self._entries[key]
                    link.close()
                return
