"""Frames of the Smart Message Language, version 1.04, as an electricity meter pushes them."""

from hw_sim.devices.sunspec import Value

_ESCAPE = b"\x1b\x1b\x1b\x1b"
_OPEN_RESPONSE, _CLOSE_RESPONSE, _GET_LIST_RESPONSE = 0x0101, 0x0201, 0x0701
_W, _WH, _A, _V, _HZ = 27, 30, 33, 35, 44  # DLMS units
_OUTWARD = 0x800  # in the status word of the FNN Basiszähler
_STATUS = 0x1C0104
_ABSENT, _END = b"\x01", b"\x00"


def crc16_x25(data: bytes) -> bytes:
    """CRC-16/X-25 (DIN EN 62056-46), its low octet first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8408 if crc & 1 else crc >> 1
    return (crc ^ 0xFFFF).to_bytes(2, "little")


def server_id(serial: str) -> bytes:
    """The identity of ten octets for one as printed on a meter (1SIM0000000042), else the text itself."""
    if len(serial) == 14 and serial[0] == "1" and serial[1:4].isalpha() and serial[6:].isdigit():
        return (
            b"\x0a\x01" + serial[1:4].encode("ascii") + bytes.fromhex(serial[4:6]) + int(serial[6:]).to_bytes(4, "big")
        )
    return serial.encode("ascii")


def sml_frame(
    values: dict[str, Value], serial: str, seconds: int, number: int, phases: int, *, no_sign: bool, no_power: bool
) -> bytes:
    """One frame. `no_sign`: 15.7.0 and no status word; `no_power`: counters in whole kWh, as before the PIN."""
    who = server_id(serial)
    watts = values.get("W")
    outward = isinstance(watts, int | float) and watts < 0
    entries = [
        _list(_octets(bytes((1, 0, 96, 50, 1, 1))), *[_ABSENT] * 4, _octets(b"SIM"), _ABSENT),
        _list(_octets(bytes((1, 0, 96, 1, 0, 255))), *[_ABSENT] * 4, _octets(who), _ABSENT),
    ]
    status = _ABSENT if no_sign else _unsigned(_STATUS | (_OUTWARD if outward and not no_power else 0), 4)
    scaler, unit_wh = (3, 1000.0) if no_power else (-1, 0.1)
    for group, name in ((1, "TotWhImp"), (2, "TotWhExp")):
        entries += _entry((group, 8, 0), _WH, scaler, values.get(name), unit_wh, 8, status if group == 1 else _ABSENT)
    if not no_power:
        entries += _measured(values, phases, no_sign=no_sign)
    told = _list(
        _ABSENT,
        _octets(who),
        _octets(bytes((1, 0, 98, 10, 255, 255))),
        _time(seconds),
        _many(entries),
        _ABSENT,
        _ABSENT,
    )
    opened = _list(_ABSENT, _ABSENT, _octets(number.to_bytes(4, "big")), _octets(who), _ABSENT, _ABSENT)
    messages = _message(3 * number, _OPEN_RESPONSE, opened) + _message(3 * number + 1, _GET_LIST_RESPONSE, told)
    messages += _message(3 * number + 2, _CLOSE_RESPONSE, _list(_ABSENT))
    return _framed(messages)


def _measured(values: dict[str, Value], phases: int, *, no_sign: bool) -> list[bytes]:
    watts = values.get("W")
    if no_sign:
        magnitude = abs(watts) if isinstance(watts, int | float) else None
        return _entry((15, 7, 0), _W, -1, magnitude, 0.1, 4)
    entries = _entry((16, 7, 0), _W, -1, watts, 0.1, 4)
    for shift, name in zip((20, 40, 60), "ABC"[:phases], strict=False):
        entries += _entry((16 + shift, 7, 0), _W, -1, values.get(f"Wph{name}"), 0.1, 4)
        entries += _entry((12 + shift, 7, 0), _V, -1, values.get(f"PhVph{name}"), 0.1, 2)
        amps = values.get(f"Aph{name}")
        entries += _entry((11 + shift, 7, 0), _A, -2, abs(amps) if isinstance(amps, int | float) else None, 0.01, 3)
    return entries + _entry((14, 7, 0), _HZ, -1, values.get("Hz"), 0.1, 2)


def _entry(
    code: tuple[int, int, int], unit: int, scaler: int, value: Value, step: float, size: int, status: bytes = _ABSENT
) -> list[bytes]:
    if not isinstance(value, int | float):
        return []
    name = _octets(bytes((1, 0, *code, 255)))
    return [
        _list(
            name, status, _ABSENT, _unsigned(unit, 1), _signed(scaler, 1), _signed(round(value / step), size), _ABSENT
        )
    ]


def _message(transaction: int, kind: int, body: bytes) -> bytes:
    head = b"\x76" + _octets(transaction.to_bytes(4, "big")) + _unsigned(0, 1) + _unsigned(0, 1)
    content = head + _list(_unsigned(kind, 2), body)
    return content + b"\x63" + crc16_x25(content) + _END


def _framed(messages: bytes) -> bytes:
    padding = -len(messages) % 4
    content = messages.replace(_ESCAPE, _ESCAPE + _ESCAPE) + bytes(padding)
    frame = _ESCAPE + b"\x01\x01\x01\x01" + content + _ESCAPE + bytes((0x1A, padding))
    return frame + crc16_x25(frame)


def _octets(content: bytes) -> bytes:
    return _head(0x00, len(content)) + content


def _signed(value: int, size: int) -> bytes:
    return _head(0x50, size) + value.to_bytes(size, "big", signed=True)


def _unsigned(value: int, size: int) -> bytes:
    return _head(0x60, size) + value.to_bytes(size, "big")


def _time(seconds: int) -> bytes:
    return _list(_unsigned(1, 1), _unsigned(seconds, 4))


def _list(*items: bytes) -> bytes:
    return _many(list(items))


def _many(items: list[bytes]) -> bytes:
    """A list; from 16 elements on its length takes two octets."""
    count = len(items)
    head = bytes((0x70 | count,)) if count < 16 else bytes((0xF0 | count >> 4, count & 0x0F))
    return head + b"".join(items)


def _head(kind: int, size: int) -> bytes:
    """Type and length; the length counts itself, from 15 octets of content on it takes two."""
    return bytes((kind | size + 1,)) if size < 15 else bytes((0x80 | kind | size + 2 >> 4, size + 2 & 0x0F))
