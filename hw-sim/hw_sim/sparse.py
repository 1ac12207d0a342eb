"""Registers with holes between them, as makers lay them out: those of each reading function apart."""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence

from hw_sim.registers import (
    DEVICE_FAILURE,
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    MAX_WRITE,
    READ_HOLDING,
    WRITE_MANY,
    ModbusFault,
)


class SparseBank:
    """Words by function and address. Another function is exception 1; a hole, or a write to what is read only, 2.

    `heard` runs at each request, `refresh` before a read, `stored(addresses)` after a write, `refused` for one that was
    answered with an exception. Addresses in `write_only` are a hole to whoever reads.
    """

    def __init__(
        self,
        *,
        max_read: int,
        write_function: int,
        heard: Callable[[], None],
        refresh: Callable[[], None],
        stored: Callable[[Sequence[int]], None],
        refused: Callable[[], None],
    ) -> None:
        self.frozen = False
        self.refuses_writes = False
        self.writable: frozenset[int] = frozenset()
        self.write_only: frozenset[int] = frozenset()
        self.other_functions: dict[int, int] = {}  # by address: another one than the device's own
        self._max_read = max_read
        self._write_function = write_function
        self._heard = heard
        self._refresh = refresh
        self._stored = stored
        self._refused = refused
        self._words: dict[int, dict[int, int]] = {}

    @property
    def addresses(self) -> Mapping[int, Iterable[int]]:
        """The registers that are there, by the function that reads them."""
        return self._words

    def show(self, function: int, address: int, words: Sequence[int]) -> None:
        """Stores words from the device's side."""
        there = self._words.setdefault(function, {})
        for at, word in enumerate(words, address):
            there[at] = word

    def put(self, address: int, words: Sequence[int]) -> None:
        """Stores holding registers from the device's side."""
        self.show(READ_HOLDING, address, words)

    def word(self, address: int) -> int:
        """One holding register as it stands; 0 where there is none."""
        return self._words.get(READ_HOLDING, {}).get(address, 0)

    def words(self, addresses: Iterable[int]) -> list[int]:
        """Holding registers as they stand."""
        return [self.word(at) for at in addresses]

    def read(self, address: int, count: int, function: int = READ_HOLDING) -> list[int]:
        """Words from `address` on; raises ModbusFault 1, 2, or 3 for more than it gives in one answer."""
        self._heard()
        there = self._words.get(function)
        if there is None:
            raise ModbusFault(ILLEGAL_FUNCTION)
        if not 1 <= count <= self._max_read:
            raise ModbusFault(ILLEGAL_VALUE)
        if not self.frozen:
            self._refresh()
        wanted = range(address, address + count)
        if any(at not in there or (function == READ_HOLDING and at in self.write_only) for at in wanted):
            raise ModbusFault(ILLEGAL_ADDRESS)
        return [there[at] for at in wanted]

    def read_bytes(self, address: int, count: int, function: int = READ_HOLDING) -> bytes:
        """As `read`, two bytes each, most significant first."""
        words = self.read(address, count, function)
        return struct.pack(f">{len(words)}H", *words)

    def write(self, address: int, values: Sequence[int], function: int = WRITE_MANY) -> None:
        """Stores all or none; raises ModbusFault 1, 2, 3, or 4 while it refuses writes. A frozen device takes it and
        does nothing."""
        self._heard()
        try:
            self._check(address, values, function)
        except ModbusFault:
            self._refused()
            raise
        if self.frozen:
            return
        self.put(address, values)
        self._stored(range(address, address + len(values)))

    def write_function(self, address: int) -> int:
        """The function that writes there."""
        return self.other_functions.get(address, self._write_function)

    def _check(self, address: int, values: Sequence[int], function: int) -> None:
        if function != self.write_function(address):
            raise ModbusFault(ILLEGAL_FUNCTION)
        if not 1 <= len(values) <= MAX_WRITE or any(not 0 <= value <= 0xFFFF for value in values):
            raise ModbusFault(ILLEGAL_VALUE)
        if self.refuses_writes:
            raise ModbusFault(DEVICE_FAILURE)
        if not self.writable.issuperset(range(address, address + len(values))):
            raise ModbusFault(ILLEGAL_ADDRESS)
