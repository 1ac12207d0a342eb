"""From SML frames to telegrams: the messages in them, and of those the list of values (SML 1.04, 5.1.12)."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from cem_drivers.serial.crc import crc16_kermit, crc16_x25
from cem_drivers.serial.quirks import Miscoded, settled
from cem_drivers.serial.server_id import ServerId, server_id
from cem_drivers.serial.sml_frames import Frame, FrameReader
from cem_drivers.serial.sml_values import Value, Whole, value_at
from cem_drivers.serial.telegram import UNKNOWN_MODEL, Code, Count, Telegram, maker_of, unit_of

GET_LIST_RESPONSE = 0x0701
_MESSAGE = 0x76  # a list of six
_UNITS: Mapping[int, str] = MappingProxyType({27: "W", 30: "Wh", 33: "A", 35: "V", 44: "Hz"})  # IEC 62056-62, 4.3.2
LARGEST_SCALER = 9
STATUS_CODES: frozenset[Code] = frozenset({(96, 5, 0), (96, 5, 5)})
_OWN_NUMBERS = (b"\x01\x00\x60\x01\x00\xff", b"\x01\x00\x00\x00\x09\xff", b"\x00\x00\x60\x01\xff\xff")
"""96.1.0 and 0.0.9, which repeat the server id, and what old meters have in their place."""


_MAKER_NAMES = (b"\x01\x00\x60\x32\x01\x01", b"\x81\x81\xc7\x82\x03\xff")
"""96.50.1*1, and 129-129:199.130.3 of older meters."""


class BrokenMessage(ValueError):  # noqa: N818 - what was found, not what happened
    """Values in an order that is no message."""


class SmlReader:
    """Telegrams out of a stream of SML frames; `miscoded` are the known mistakes of makers."""

    def __init__(self, miscoded: Sequence[Miscoded] = ()) -> None:
        self.count = Count()
        self._frames = FrameReader(self.count)
        self._miscoded = tuple(miscoded)

    @property
    def kept(self) -> int:
        """Bytes that are kept as the beginning of what is not complete."""
        return self._frames.kept

    def feed(self, data: bytes) -> list[Telegram]:
        """Takes what came; gives the telegrams that are complete now."""
        telegrams: list[Telegram] = []
        for frame in self._frames.feed(data):
            try:
                told = [telegram(body, self._miscoded) for body in lists_in(frame)]
            except (BrokenMessage, ValueError, IndexError):
                self.count.malformed += 1
                continue
            self.count.good += 1
            telegrams += told
        return telegrams


def lists_in(frame: Frame) -> list[list[Value]]:
    """The bodies of the value lists in a frame. Raises BrokenMessage, BrokenValue, IndexError."""
    data, at, bodies = frame.messages, 0, []
    while at < len(data):
        if data[at] == 0:
            at += 1  # padding, and an end of message too many
            continue
        if data[at] != _MESSAGE:
            raise BrokenMessage(f"0x{data[at]:02x} where a message begins")
        begin, at = at, at + 1
        for _ in range(3):  # transaction, group, abort on error
            _, at = value_at(data, at)
        body, at = value_at(data, at)
        crc, after = value_at(data, at)
        if not isinstance(crc, Whole) or crc.size > 2:
            raise BrokenMessage("a message without its check sum")
        if not _fits(data[begin:at], crc.value, frame):
            raise BrokenMessage("a message with a wrong check sum")
        at = after
        if not isinstance(body, list) or len(body) != 2 or not isinstance(body[0], Whole):
            raise BrokenMessage("a message without a kind")
        if body[0].value == GET_LIST_RESPONSE:
            if not isinstance(body[1], list):
                raise BrokenMessage("a response without a list")
            bodies.append(body[1])
    return bodies


def _fits(message: bytes, told: int, frame: Frame) -> bool:
    """Whether a message's own check sum is right: low octet first X-25, or high octet first KERMIT, which some send."""
    if told == crc16_kermit(message):
        return True
    right = crc16_x25(message)
    return not frame.kermit and told == (right & 0xFF) << 8 | right >> 8


def telegram(body: Sequence[Value], miscoded: Iterable[Miscoded] = ()) -> Telegram:
    """What one value list tells: client, server, name, sensor time, values, signature, gateway time."""
    if len(body) < 5 or not isinstance(body[4], list):
        raise BrokenMessage("a list response without values")
    entries = [entry for entry in body[4] if isinstance(entry, list) and len(entry) == 7]
    who = _who(body[1], entries)
    values: dict[Code, float] = {}
    unsigned: set[Code] = set()
    doubtful: dict[Code, float] = {}
    coarse: set[Code] = set()
    status: int | None = None
    for name, state, _, unit, scaler, value, _ in entries:
        code = _code(name)
        if code is None:
            continue
        if code in STATUS_CODES and isinstance(value, Whole):
            status = value.value if status is None else status
        base = unit_of(code)
        if base is None or not isinstance(value, Whole):
            continue
        if isinstance(state, Whole) and base == "Wh" and status is None:
            status = state.value
        exponent = 0 if scaler is None else scaler.value if isinstance(scaler, Whole) else None
        if not isinstance(unit, Whole) or _UNITS.get(unit.value) != base or exponent is None:
            continue
        if abs(exponent) > LARGEST_SCALER:
            continue
        number, other = settled(miscoded, who, code, value)
        values[code] = _scaled(number, exponent)
        if not value.signed:
            unsigned.add(code)
        if other is not None:
            doubtful[code] = _scaled(other, exponent)
        if exponent >= 0:
            coarse.add(code)
    return Telegram(
        protocol="SML",
        maker=maker_of(who.letters or _letters(entries)) or "SML meter",
        model=UNKNOWN_MODEL,
        serial=who.serial,
        version="",
        values=values,
        status=status,
        unsigned=frozenset(unsigned),
        doubtful=doubtful,
        coarse=frozenset(coarse),
    )


def _scaled(number: int, exponent: int) -> float:
    """As near as a number can be to the decimal one."""
    return float(number * 10**exponent) if exponent >= 0 else number / 10**-exponent


def _code(name: Value) -> Code | None:
    """C, D and E of an electricity meter's own, present value."""
    if not isinstance(name, bytes) or len(name) != 6 or name[0] != 1 or name[1] != 0 or name[5] != 0xFF:
        return None
    return name[2], name[3], name[4]


def _who(told: Value, entries: Iterable[Sequence[Value]]) -> ServerId:
    """The meter's identity: the server id, else what the list repeats of it."""
    if isinstance(told, bytes) and told:
        return server_id(told)
    own = (entry[5] for wanted in _OWN_NUMBERS for entry in entries if entry[0] == wanted)
    return next((server_id(number) for number in own if isinstance(number, bytes) and number), ServerId("", "", None))


def _letters(entries: Iterable[Sequence[Value]]) -> str:
    named = (entry[5] for entry in entries if entry[0] in _MAKER_NAMES)
    return next((name.decode("ascii") for name in named if isinstance(name, bytes) and name.isalnum()), "")
