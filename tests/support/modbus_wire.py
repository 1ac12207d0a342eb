"""A Modbus/TCP server on real bytes whose every misbehaviour can be asked for, and register images to put behind it."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Respond = Callable[[int, bytes], bytes | None]
"""Unit and request PDU to the answer PDU; None keeps silent."""


@dataclass
class Registers:
    """A sparse register image with a log of what was asked. Reading or writing a hole is exception 2."""

    words: dict[int, int] = field(default_factory=dict)
    refuses: frozenset[int] = frozenset()  # function codes answered with exception 1
    ignores: frozenset[int] = frozenset()  # addresses whose writes are taken and forgotten
    units: frozenset[int] = frozenset({1})
    silent: bool = False
    longest_read: int = 125
    log: list[bytes] = field(default_factory=list)

    def put(self, address: int, words: Sequence[int]) -> int:
        """Stores words and gives the address behind them."""
        self.words.update({address + index: word for index, word in enumerate(words)})
        return address + len(words)

    @property
    def writes(self) -> list[bytes]:
        """The write requests so far."""
        return [pdu for pdu in self.log if pdu[0] in (6, 16)]

    def respond(self, unit: int, pdu: bytes) -> bytes | None:
        """The answer to one request."""
        if self.silent or unit not in self.units:
            return None
        self.log.append(pdu)
        function, address, count = struct.unpack_from(">BHH", pdu)
        if function in self.refuses:
            return bytes((function | 0x80, 1))
        wanted = range(address, address + (1 if function == 6 else count))
        if any(at not in self.words for at in wanted) or (function == 3 and count > self.longest_read):
            return bytes((function | 0x80, 2))
        if function == 3:
            return struct.pack(f">BB{count}H", 3, 2 * count, *(self.words[at] for at in wanted))
        values = [count] if function == 6 else list(struct.unpack_from(f">{count}H", pdu, 6))
        self.words.update({at: word for at, word in zip(wanted, values, strict=True) if at not in self.ignores})
        return pdu[:5]

    async def exchange(self, unit: int, pdu: bytes) -> bytes:
        """The same in memory, as a PduPort."""
        answer = self.respond(unit, pdu)
        if answer is None:
            raise TimeoutError
        return answer


@dataclass
class WireServer:
    """What a test may look at and turn while it listens."""

    port: int
    respond: Respond
    delay_s: float = 0.0
    hang_up: bool = False  # closes instead of answering
    other_transaction: bool = False
    connections: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def wire_server(respond: Respond) -> AsyncIterator[WireServer]:
    """Listens on a free port of 127.0.0.1 and answers each request in its own time."""
    server = WireServer(0, respond)
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        writers.append(writer)
        try:
            while header := await reader.readexactly(7):
                transaction, _, length, unit = struct.unpack(">HHHB", header)
                pdu = await reader.readexactly(length - 1)
                if server.hang_up:
                    return
                server.in_flight += 1
                server.asked.set()
                server.most_in_flight = max(server.most_in_flight, server.in_flight)
                delay_s, answer = server.delay_s, server.respond(unit, pdu)
                await asyncio.sleep(delay_s)
                server.in_flight -= 1
                if answer is not None:
                    sent = transaction + 1 if server.other_transaction else transaction
                    writer.write(struct.pack(">HHHB", sent, 0, len(answer) + 1, unit) + answer)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for writer in writers:
            writer.close()
        await asyncio.sleep(0)


def text_words(text: str, registers: int) -> list[int]:
    """A string point, padded with NUL."""
    raw = text.encode().ljust(2 * registers, b"\0")
    return list(struct.unpack(f">{registers}H", raw))


def common_model(serial: str, model: str = "Rooftop 8", length: int = 66) -> list[int]:
    """Model 1 with its header."""
    words = text_words("Maker", 16) + text_words(model, 16) + text_words("", 8) + text_words(" 1.2 ", 8)
    words += [*text_words(serial, 16), 1]
    return [1, length, *words[:length], *[0x8000] * (length - len(words))]


def sunspec_map(registers: Registers, models: Sequence[Sequence[int]], base: int = 40000, end: bool = True) -> None:
    """Marker, the models (headers included) and the end marker."""
    address = registers.put(base, [0x5375, 0x6E53])
    for model in models:
        address = registers.put(address, model)
    if end:
        registers.put(address, [0xFFFF, 0])


def model_words(model: int, length: int, values: Mapping[int, int], fill: int = 0xFFFF) -> list[int]:
    """A model with its header: `values` by offset from the identifier word, `fill` elsewhere."""
    words = [fill] * (length + 2)
    words[0:2] = [model, length]
    for offset, value in values.items():
        words[offset] = value & 0xFFFF
    return words


def inverter_103(power_w: int, state: int = 4, power_sf: int = 0) -> list[int]:
    """Model 103: 230.1 V, 49.98 Hz, 70000 Wh, everything else not implemented."""
    values = {6: -2, 10: 2301, 13: -1, 14: power_w, 15: power_sf, 16: 4998, 17: -2, 24: 1, 25: 4464, 26: 0, 38: state}
    scales = {19: 0x8000, 21: 0x8000, 23: 0x8000, 28: 0x8000, 30: 0x8000, 32: 0x8000, 37: 0x8000}
    return model_words(103, 50, scales | values)


def nameplate_120(rating_w: int, charge_w: int = 0xFFFF, capacity_wh: int = 0xFFFF) -> list[int]:
    """Model 120."""
    values = {2: 4, 3: rating_w, 4: 0, 19: capacity_wh, 20: 0, 23: charge_w, 24: 0, 25: charge_w, 26: 0}
    return model_words(120, 26, values)


def controls_123(percent_sf: int = -2, revert: int = 0, window: int = 0) -> list[int]:
    """Model 123 with no limit in force."""
    return model_words(123, 24, {5: 10000, 6: window, 7: revert, 8: 0, 9: 0, 23: percent_sf})


def storage_124(maximum_w: int, percent_sf: int = -2, revert: int = 0) -> list[int]:
    """Model 124 with the battery on its own control, 55.5 % charged, holding."""
    values = {2: maximum_w, 5: 0, 8: 555, 11: 6, 12: 10000, 13: 10000, 14: 0, 15: revert, 16: 0, 17: 1}
    return model_words(124, 24, values | {18: 0, 20: 0x8000, 22: -1, 25: percent_sf})


def meter_203(power_w: int, phases_w: Sequence[int] = (0, 0, 0)) -> list[int]:
    """Model 203: per phase 1.5 A out of the house, 231 V; 5 kWh exported, 70000 Wh imported."""
    values = {2: -45, 3: -15, 4: -15, 5: -15, 6: -1, 8: 231, 9: 231, 10: 231, 15: 0, 16: 500, 17: -1, 18: power_w}
    values |= {19 + line: power for line, power in enumerate(phases_w)} | {22: 0, 27: 0x8000, 32: 0x8000, 37: 0x8000}
    values |= {38: 0, 39: 5000, 46: 1, 47: 4464, 54: 0}
    return model_words(203, 105, values, fill=0x8000)
