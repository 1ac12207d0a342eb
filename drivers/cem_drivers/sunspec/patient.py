"""Reads of a scan, which must tell a device that is gone, or busy, from an address that it does not have."""

import asyncio

from cem.driver import BadAnswer, NoAnswer, Refused
from cem_drivers.modbus import BUSY, Bus

TRIES = 2  # reading again is harmless, and a single answer may get lost
SILENCES = 12  # questions that may stay without answer in one scan; each costs a time-out
BUSY_S = 0.3  # before a device that said that it is busy is asked again


class PatientReader:
    """Reads again what got lost, `tries` times in all, and keeps count of the silence met. One for each scan."""

    def __init__(self, bus: Bus, silences: int = SILENCES, tries: int = TRIES) -> None:
        self.bus = bus
        self.tries = tries
        self.answered = False  # anything at all, a refusal too
        self.cut_at: int | None = None  # where a map could not be read on, though nothing says that it ends there
        self._left = silences

    @property
    def exhausted(self) -> bool:
        """Whether more silence was met than a scan may take."""
        return self._left <= 0

    async def read(self, address: int, count: int, tries: int | None = None) -> bytes:
        """Registers as bytes. Raises Refused at once; NoAnswer, BadAnswer or a busy Refused after the last try."""
        tries = self.tries if tries is None else tries
        while True:
            tries -= 1
            try:
                block = await self.bus.read(address, count)
            except Refused as error:
                self.answered = True
                if error.code not in BUSY or tries <= 0:
                    raise
                await asyncio.sleep(BUSY_S)
            except NoAnswer:
                self._left -= 1
                if tries <= 0 or self.exhausted:
                    raise
            except BadAnswer:
                if tries <= 0:
                    raise
            else:
                self.answered = True
                return block

    async def read_or_none(self, address: int, count: int, tries: int | None = None) -> bytes | None:
        """The same; None where it can't be read."""
        try:
            return await self.read(address, count, tries)
        except (Refused, NoAnswer, BadAnswer):
            return None
