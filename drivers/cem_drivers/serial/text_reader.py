"""Telegrams in text: the P1 port (DSMR 2.2 to 5, eMUCS and their kin) and IEC 62056-21 mode D, pushed without request.

`/` identification, an empty line, a data set a line, `!`, from DSMR 4 on with CRC-16/ARC over everything from the `/`
to the `!` (P1 companion standard 5.0.2, 6.2). Lines of 7 data bits with even parity may be read as 8 bits: the parity
is then checked and taken off here, so that one setting of the port serves all.
"""

import re
from collections.abc import Callable, Iterable, Mapping

from cem_drivers.serial.agreement import Agreement, Shape
from cem_drivers.serial.crc import crc16_arc
from cem_drivers.serial.telegram import UNKNOWN_MODEL, Code, Count, Telegram, maker_of, unit_of

LONGEST = 8192  # bytes of one telegram; a text message of 1,024 characters makes about 3,500
CRC_DIGITS = 4

_HEADER = re.compile(rb"/([A-Za-z]{3})([0-9A-Za-z])([\x20\x22-\x2e\x30-\x7e]{0,40})\r?\n")
_DATA = re.compile(
    rb"^(?:([0-9])-([0-9]{1,2}):)?([0-9A-FLP]{1,3})\.([0-9]{1,3})(?:\.([0-9]{1,3}))?(?:[*&]([0-9]{1,3}))?"
    rb"\(([^()\r\n*]*)(?:\*([^()\r\n]*))?\)",
    re.MULTILINE,
)
_LINE = re.compile(
    rb"(?:(?:[0-9]{1,3}-[0-9]{1,3}:)?[0-9A-FLP]{1,3}\.[0-9A-F]{1,3}(?:\.[0-9]{1,3})?(?:[*&][0-9]{1,3})?)?(?:\([\x20-\x27\x2a-\x7e]*\))+"
)
_NUMBER = re.compile(rb"[+-]?[0-9]{1,12}(?:\.[0-9]{1,12})?")
_EVEN = bytes(byte & 0x7F if byte.bit_count() % 2 == 0 else 0xFF for byte in range(256))
"""The character without its parity bit; 0xFF where the parity is wrong."""
_SLASH_EVEN, _BANG = 0xAF, b"!"
_UNITS: Mapping[bytes, tuple[str, int]] = {
    b"W": ("W", 1),
    b"kW": ("W", 1000),
    b"KW": ("W", 1000),
    b"MW": ("W", 1_000_000),
    b"Wh": ("Wh", 1),
    b"kWh": ("Wh", 1000),
    b"KWh": ("Wh", 1000),
    b"KWH": ("Wh", 1000),
    b"MWh": ("Wh", 1_000_000),
    b"V": ("V", 1),
    b"A": ("A", 1),
    b"Hz": ("Hz", 1),
}
_Key = tuple[int, int, int, int]
"""The groups A, C, D and E."""

_SERIALS = ((0, 96, 1, 1), (0, 96, 1, 0), (1, 96, 1, 0), (0, 42, 0, 0), (1, 0, 0, 0), (0, 0, 0, 0), (0, 96, 1, 255))
"""Where the meter's own number stands, (A, C, D, E), the surest first."""
_CLOCK = (0, 1, 0, 0)
_VERSIONS = ((1, 0, 2, 8), (0, 96, 1, 4))  # DSMR; eMUCS and Switzerland
_CRC_FOLLOWS = frozenset({_CLOCK, *_VERSIONS})
"""What came with DSMR 4, as the check sum did: where it stands, a check sum must follow."""
_STATUS = ((1, 96, 5, 0), (1, 96, 5, 5))


class TextReader:
    """Telegrams out of a stream that may begin anywhere and have noise in between.

    Once a telegram had a check sum, or names a version that has one, none without is taken from this line. One that
    has none must be well formed in every line and agree with the one before (see `agreement`).
    """

    def __init__(self) -> None:
        self.count = Count()
        self._heard = bytearray()
        self._has_crc = False
        self._agreement = Agreement()

    @property
    def kept(self) -> int:
        """Bytes that are kept as the beginning of what is not complete."""
        return len(self._heard)

    def feed(self, data: bytes) -> list[Telegram]:
        """Takes what came; gives the telegrams that are complete now."""
        self.count.octets += len(data)
        heard = self._heard
        looked = max(0, len(heard) - CRC_DIGITS - 1)
        heard += data
        telegrams: list[Telegram] = []
        while (end := heard.find(_BANG, looked)) >= 0:
            if heard[end - 1 : end] != b"\n":
                looked = end + 1
                continue
            tail = bytes(heard[end + 1 : end + 2 + CRC_DIGITS])
            if not tail or (tail[0] & 0x7F not in b"\r\n" and len(tail) < CRC_DIGITS):
                break  # the rest is still to come
            telegram = self._telegram(bytes(heard[:end]), tail)
            if telegram is not None:
                telegrams.append(telegram)
            del heard[: end + 1]
            looked = 0
        self._bound()
        return telegrams

    def _bound(self) -> None:
        heard = self._heard
        if len(heard) <= LONGEST:
            return
        self.count.oversize += 1
        begin = max(heard.rfind(b"/"), heard.rfind(_SLASH_EVEN))
        del heard[: begin if begin > len(heard) - LONGEST // 2 else len(heard)]

    def _telegram(self, before: bytes, tail: bytes) -> Telegram | None:
        """What ends at `!`, from the last identification before it on; None for what is not to be believed."""
        plain, begin = before, _last_header(before)
        if begin is None:
            plain = before.translate(_EVEN)
            begin = _last_header(plain)
            if begin is None or before[begin] != _SLASH_EVEN:
                return None  # the beginning was not heard
            tail = tail.translate(_EVEN)
        body = plain[begin:]
        if tail[0] in b"\r\n":
            checked = False
        else:
            checked = _fits(_as_sent(body) + _BANG, tail[:CRC_DIGITS])
            self._has_crc |= checked
            if not checked:
                self.count.bad_check += 1
                return None
        telegram = self._read(body, checked)
        if telegram is None:
            self.count.malformed += 1
        else:
            self.count.good += 1
        return telegram

    def _read(self, body: bytes, checked: bool) -> Telegram | None:
        header = _HEADER.match(body)
        if header is None:
            return None
        data = body[header.end() :]
        if not checked and (self._has_crc or not _all_well_formed(data)):
            return None
        values: dict[Code, float] = {}
        coarse: set[Code] = set()
        texts: dict[_Key, bytes] = {}
        found = _DATA.findall(data)
        for medium, channel, c, d, e, f, text, unit in found:
            if (f and f != b"255") or not c.isdigit():
                continue  # a register of an earlier period
            code = (int(c), int(d), int(e or b"0"))
            if not unit:
                if channel in (b"0", b"") or (medium, channel) == (b"1", b"3"):  # 1-3:0.2.8, the version
                    texts.setdefault((int(medium or b"1"), *code), text)
                continue
            if medium not in (b"1", b"") or channel not in (b"0", b"1", b""):
                continue  # gas, water, heat, or a meter behind this one
            base, factor = _UNITS.get(unit, ("", 0))
            if unit_of(code) != base or not _NUMBER.fullmatch(text):
                continue
            if code not in values or channel != b"1":
                values[code] = _scaled(text, factor)
                if b"." not in text:
                    coarse.add(code)
        if not checked and not (_CRC_FOLLOWS.isdisjoint(texts) and self._agreement.bears_out(_shape(found), values)):
            return None
        letters, _, model = header.groups()
        return Telegram(
            protocol="P1" if checked or _SERIALS[0] in texts else "D0",
            maker=maker_of(letters.decode("ascii")),
            model=_model(model) or UNKNOWN_MODEL,
            serial=_first(texts, _SERIALS, _number_text),
            version=_first(texts, _VERSIONS, _plain),
            values=values,
            status=_status(texts),
            coarse=frozenset(coarse),
            meter_time=_plain(texts.get(_CLOCK, b"")),
            checked=checked,
        )


def _last_header(text: bytes) -> int | None:
    """Where the last identification begins."""
    at = len(text)
    while (at := text.rfind(b"/", 0, at)) >= 0:
        if _HEADER.match(text, at):
            return at
    return None


def _as_sent(body: bytes) -> bytes:
    """With the line ends that the meter sends and sums up: some converters leave the carriage returns out."""
    return body if b"\r\n" in body else body.replace(b"\n", b"\r\n")


def _fits(body: bytes, digits: bytes) -> bool:
    try:
        told = int(digits, 16)
    except ValueError:
        return False
    return digits.isalnum() and crc16_arc(body) == told


def _all_well_formed(data: bytes) -> bool:
    """Whether every line is a data set: without a check sum, a line that is none is damage."""
    return all(not line or _LINE.fullmatch(line) for line in data.replace(b"\r", b"").split(b"\n"))


def _scaled(text: bytes, factor: int) -> float:
    """The value in the base unit, as near as a number can be: 1.234 kW is 1234.0 W."""
    whole, _, digits = text.partition(b".")
    scale: int = 10 ** len(digits)
    return int(whole + digits) * factor / scale


def _shape(found: Iterable[tuple[bytes, ...]]) -> Shape:
    return tuple((b".".join(one[:6]), len(one[6].lstrip(b"+-"))) for one in found)


def _model(ident: bytes) -> str:
    text = ident.decode("ascii", "replace").strip()
    return text[2:] if text.startswith("\\") else text  # \2: the mode, not the model (IEC 62056-21, 6.3.14)


def _plain(text: bytes) -> str:
    return text.decode("ascii", "replace").strip()


def _number_text(text: bytes) -> str:
    """A meter's number; P1 ports give its characters as hexadecimal digits (4B38.. is K8..)."""
    if len(text) % 2 == 0 and (len(text) >= 16 or text[:1] in (b"3", b"4", b"5", b"6")):
        try:
            spelt = bytes.fromhex(text.decode("ascii"))
        except ValueError:
            return _plain(text)
        if len(spelt) > 4 and all(0x20 < octet < 0x7F for octet in spelt):
            return spelt.decode("ascii")
    return _plain(text)


def _first(texts: Mapping[_Key, bytes], keys: Iterable[_Key], read: Callable[[bytes], str]) -> str:
    return next((found for key in keys if key in texts and (found := read(texts[key]))), "")


def _status(texts: Mapping[_Key, bytes]) -> int | None:
    for key in _STATUS:
        try:
            return int(texts[key], 16)
        except (KeyError, ValueError):
            continue
    return None
