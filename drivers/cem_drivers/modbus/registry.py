"""Who shares a link: devices behind the same address use one link, closed when the last of them lets go.

What is known of a link (its counters, the question that may still be answered, the units that keep silent) outlives
its users: a device that is closed and opened again must not mistake an old answer for a new one.
"""

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from cem.driver import NoAnswer
from cem_drivers.modbus.link import Link
from cem_drivers.modbus.second_client import SecondClient


@dataclass(slots=True)
class _Entry:
    link: Link
    settings: Hashable
    holders: int = 0
    second: SecondClient | None = None


class LinkRegistry:
    """Links by their address, counted. A link belongs to the event loop in which it was taken."""

    def __init__(self) -> None:
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Entry]] = WeakKeyDictionary()

    def take(self, key: Hashable, settings: Hashable, unit: int, make: Callable[[], Link]) -> Link:
        """The link of that key, made if nobody knows one; give it back with `drop`.

        Raises NoAnswer where somebody holds it with other settings.
        """
        entries = self._loops.setdefault(asyncio.get_running_loop(), {})
        entry = entries.get(key)
        if entry is not None and entry.settings != settings:
            if entry.holders:
                raise NoAnswer(
                    f"{entry.link.name}: another device uses this link with other settings ({entry.settings}, here "
                    f"{settings}). Make the link tables of both the same"
                )
            entry = None
        if entry is None:
            entry = entries[key] = _Entry(make(), settings)
        entry.holders += 1
        entry.link.units[unit] += 1
        return entry.link

    def serve_second(self, link: Link, host: str, port: int, writes: bool) -> None:
        """Opens the port for a second client of this link, as long as anybody holds it."""
        entry = self._entry(link)
        if entry is not None and entry.second is None:
            entry.second = SecondClient(link, host, port, writes)
            entry.second.start()

    def second(self, link: Link) -> SecondClient | None:
        """The port for a second client, where there is one."""
        entry = self._entry(link)
        return entry.second if entry is not None else None

    def drop(self, link: Link, unit: int) -> None:
        """One holder less; the last one closes the link."""
        entry = self._entry(link)
        if entry is None or entry.holders == 0:
            return
        entry.holders -= 1
        link.units[unit] -= 1
        if link.units[unit] <= 0:
            del link.units[unit]
        if entry.holders == 0:
            second, entry.second = entry.second, None
            if second is not None:
                second.close()
            link.close()

    def links(self) -> list[Link]:
        """The links of the running loop that somebody holds."""
        entries = self._loops.get(asyncio.get_running_loop(), {})
        return [entry.link for entry in entries.values() if entry.holders]

    def _entry(self, link: Link) -> _Entry | None:
        entries = self._loops.get(asyncio.get_running_loop(), {})
        return next((entry for entry in entries.values() if entry.link is link), None)
