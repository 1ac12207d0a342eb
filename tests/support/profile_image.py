"""A device made from a profile file: its registers served over Modbus, values put in from outside.

Reads the TOML by itself and shares no code with the drivers, so that a wrong sign or word order cannot cancel itself.
"""

import math
import re
import struct
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

FORMATS = {"16": {"u": "H", "i": "h", "b": "H"}, "32": {"u": "I", "i": "i", "b": "I", "f": "f"}}
FORMATS["64"] = {"u": "Q", "i": "q", "f": "d"}
WRITES = (6, 16)

Row = Mapping[str, Any]


def registers_of(kind: str) -> int:
    """How many 16-bit registers a type takes."""
    return int(kind.split(":")[1]) if kind.startswith("string") else int(kind[-2:]) // 16


def words_for(kind: str, raw: float | str, order: str) -> list[int]:
    """A raw value as the device would hold it."""
    count = registers_of(kind)
    if kind.startswith("string"):
        return list(struct.unpack(f">{count}H", str(raw).encode().ljust(2 * count, b"\0")[: 2 * count]))
    code = FORMATS[kind[-2:]][kind[0]]
    number = float(raw) if code in "fd" else round(float(raw))
    words = list(struct.unpack(f">{count}H", struct.pack(f">{code}", number)))
    return words[::-1] if order == "little" else words


def raw_in(kind: str, words: Sequence[int], order: str) -> float | str:
    """The raw value that words hold."""
    if kind.startswith("string"):
        return struct.pack(f">{len(words)}H", *words).split(b"\0")[0].decode()
    ordered = words[::-1] if order == "little" else words
    (value,) = struct.unpack(f">{FORMATS[kind[-2:]][kind[0]]}", struct.pack(f">{len(words)}H", *ordered))
    assert isinstance(value, float | int)
    return value


@dataclass
class ProfileImage:
    """The registers of one device. A hole in the map is exception 2, as real devices have it."""

    profile: Mapping[str, Any]
    unit: int = 1
    words: dict[tuple[int, int], int] = field(default_factory=dict)  # (function, address) -> register
    deaf: set[int] = field(default_factory=set)  # addresses whose writes are taken and forgotten
    refuses: frozenset[int] = frozenset()  # function codes answered with exception 4
    silent: bool = False
    log: list[bytes] = field(default_factory=list)
    serial: str = ""
    chosen: int = 0  # which of the profile's controls is under test
    now_s: float = 0.0
    fell_back: int = 0  # how often a watchdog ran out while a set point was in force
    _fed_at_s: float | None = None  # None: no set point since the last release

    @property
    def writes(self) -> list[bytes]:
        """Every request that writes, so far."""
        return [pdu for pdu in self.log if pdu[0] in (5, 6, 15, 16, 22, 23)]

    @property
    def written(self) -> set[int]:
        """Every address ever written."""
        found: set[int] = set()
        for pdu in self.writes:
            address, count = struct.unpack_from(">HH", pdu, 1)
            found |= set(range(address, address + (1 if pdu[0] == 6 else count)))
        return found

    @property
    def may_be_written(self) -> set[int]:
        """Every address that the profile's controls own."""
        found: set[int] = set()
        for control in self.profile.get("control", []):
            for row in _write_rows(control):
                found |= set(range(row["at"], row["at"] + registers_of(row["type"])))
            if "phases" in control:
                found.add(control["phases"]["at"]["at"])
        return found

    def order(self, row: Row) -> str:
        """The word order of a row."""
        return str(row.get("word_order") or self.profile["link"].get("word_order", "big"))

    def row(self, name: str) -> Row:
        """A [[point]] or [[value]] by its id."""
        rows = [*self.profile.get("value", []), *self.profile["point"]]
        found: Row = next(row for row in rows if row["id"] == name)
        return found

    def hold(self, row: Row, raw: float | str) -> None:
        """Puts a raw value where a row lies."""
        for index, word in enumerate(words_for(row["type"], raw, self.order(row))):
            self.words[row.get("fc", 3), row["at"] + index] = word

    def put(self, name: str, value: float) -> None:
        """A value in the house's unit and sign, turned into what the device would hold."""
        row = self.row(name)
        exponent = 0.0
        if "exponent" in row:
            factor = self.row(row["exponent"])
            exponent = float(self.raw(factor))
        self.hold(row, (value - row.get("offset", 0)) / row.get("scale", 1) / 10**exponent)

    def steer(self, value: float) -> None:
        """Somebody sets the control under test to a value in the house's unit, as the profile's rows would."""
        negative = value < 0 and "write_negative" in self.control
        for row in self.control["write_negative" if negative else "write"]:
            raw = row["value"]
            if isinstance(raw, str):
                sign = -1 if raw.startswith("-") else 1
                base = self.house(row["per"]) if "per" in row else 1.0
                amount = (sign * value / base - row.get("offset", 0)) / row.get("scale", 1)
                raw = row["codes"][str(int(value))] if "codes" in row else amount
            self.hold({**row, "fc": 3}, raw)
            if isinstance(row.get("back"), dict):
                self.hold(row["back"], raw)

    def house(self, name: str) -> float:
        """What a value, or what a sum or the largest of some makes, is in the house's unit."""
        for derived in self.profile.get("derive", []):
            if derived["id"] == name:
                parts = [self.house(source) for source in derived.get("sum", derived.get("max", []))]
                return float((sum(parts) if "sum" in derived else max(parts)) * derived.get("scale", 1))
        row = self.row(name)
        exponent = float(self.raw(self.row(row["exponent"]))) if "exponent" in row else 0.0
        return float(self.raw(row)) * float(row.get("scale", 1)) * 10**exponent

    def raw(self, row: Row) -> float | str:
        """The raw value that lies where a row says."""
        count = registers_of(row["type"])
        words = [self.words[row.get("fc", 3), row["at"] + index] for index in range(count)]
        return raw_in(row["type"], words, self.order(row))

    async def exchange(self, unit: int, pdu: bytes) -> bytes:
        """One request, as an in-memory link."""
        answer = self.respond(unit, pdu)
        if answer is None:
            raise TimeoutError
        return answer

    def respond(self, unit: int, pdu: bytes) -> bytes | None:
        """One request, as a server on real bytes; None keeps silent."""
        if self.silent:
            return None
        self.log.append(pdu)
        self._feed(pdu)
        function, address, count = struct.unpack_from(">BHH", pdu)
        if function in self.refuses:
            return bytes((function | 0x80, 4))
        if function in (3, 4):
            wanted = [(function, at) for at in range(address, address + count)]
            if any(place not in self.words for place in wanted):
                return bytes((function | 0x80, 2))
            return struct.pack(f">BB{count}H", function, 2 * count, *(self.words[place] for place in wanted))
        if function not in WRITES:
            return bytes((function | 0x80, 1))
        values = [count] if function == 6 else list(struct.unpack_from(f">{len(pdu[6:]) // 2}H", pdu, 6))
        for at, word in enumerate(values, address):
            if at not in self.deaf:
                self.words[3, at] = word
                self._mirror(at)
        return pdu[:5]

    def pass_s(self, seconds: float) -> None:
        """Time goes by; a watchdog that was not fed lets go of the set point."""
        self.now_s += seconds
        timeout = self.watchdog
        if timeout is None or self._fed_at_s is None or self.now_s - self._fed_at_s <= timeout["s"]:
            return
        self.fell_back += 1
        self._fed_at_s = None
        for row in self.control["write"]:
            for index in range(registers_of(row["type"])):
                self.words[3, row["at"] + index] = 0xFFFF

    @property
    def watchdog(self) -> Row | None:
        """The device's own time-out, if its profile knows one."""
        return self.control.get("device_timeout")

    @property
    def control(self) -> Row:
        """The control under test; empty for a device that is only read."""
        controls = self.profile.get("control", [])
        found: Row = controls[self.chosen] if controls else {}
        return found

    def _feed(self, pdu: bytes) -> None:
        """A request that keeps the watchdog quiet, in the way that the profile says."""
        timeout = self.watchdog
        if timeout is None:
            return
        control = self.control
        address = struct.unpack_from(">H", pdu, 1)[0] if pdu[0] in WRITES else None
        movers = {row["at"] for row in control["write"] if "$setpoint" in str(row["value"])}
        beats = {row["at"] for row in control.get("heartbeat", {}).get("write", [])}
        if address in movers:
            self._fed_at_s = self.now_s
        fed_by = timeout.get("fed_by", "write")
        if self._fed_at_s is not None and (fed_by == "polling" or (fed_by == "heartbeat" and address in beats)):
            self._fed_at_s = self.now_s

    def _mirror(self, address: int) -> None:
        """Where a profile reads a write back from another register, the device shows it there."""
        for control in self.profile.get("control", []):
            for row in _write_rows(control):
                back = row.get("back")
                last = row["at"] + registers_of(row["type"]) - 1
                if isinstance(back, dict) and address == last:
                    self.hold(back, self.raw({**row, "fc": 3}))


def _write_rows(control: Row) -> list[Row]:
    rows = [*control["write"], *control.get("write_zero", []), *control.get("write_negative", []), *control["release"]]
    rows += control.get("device_timeout", {}).get("arm", [])
    rows += control.get("heartbeat", {}).get("write", [])
    return rows


def image_of(source: str, serial: str = "123456789012") -> ProfileImage:
    """A device as its profile describes it: plausible values everywhere, every control in its released state."""
    profile = tomllib.loads(source)
    image = ProfileImage(profile, profile["link"].get("unit", 1))
    for row in [*profile.get("value", []), *profile["point"]]:
        image.hold(row, _plausible(row))
    for row in [*profile.get("value", []), *profile["point"]]:
        if "exponent" in row:
            image.hold(image.row(row["exponent"]), 0)
    for control in profile.get("control", []):
        _release(image, control)
        for need in control.get("requires", []):
            accepted = need["equals"]
            image.put(need["of"], accepted[0] if isinstance(accepted, list) else accepted)
    told = []
    for row in profile["identify"]["points"]:
        if row["type"].startswith("float") or (row["type"].startswith("int") and "tells" not in row):
            continue  # a measured value that stands in for an identity; it is there already
        raw = _identifying(row, serial)
        image.hold(row, raw)
        if "tells" in row:
            told.append((row["tells"], _shown(row, raw)))
    weak = "weak" in profile["identify"]
    image.serial = "/".join(text for what, text in told if weak or what == "serial")
    return image


def _release(image: ProfileImage, control: Row) -> None:
    """The registers of a control as they are while nobody steers it."""
    for row in _write_rows(control):
        for index in range(registers_of(row["type"])):
            image.words.setdefault((3, row["at"] + index), 0)
        if isinstance(row.get("back"), dict):
            image.hold(row["back"], 0)
    for row in control["release"]:
        value = row["value"]
        if value == "$max":
            limit = control["limits"]["max"]
            house = limit if not isinstance(limit, str) else image.house(limit[1:])
            value = (house - row.get("offset", 0)) / row.get("scale", 1)
        image.hold({**row, "fc": 3}, value)
        if isinstance(row.get("back"), dict):
            image.hold(row["back"], value)
    if "phases" in control:
        image.hold(control["phases"]["at"], control["phases"]["three"])


def _identifying(row: Row, serial: str) -> float | str:
    text = serial if row.get("tells") == "serial" else _matching(row)
    if row["type"].startswith("string"):
        return text[: 2 * registers_of(row["type"])]
    if row.get("hexadecimal"):
        return float(int(text[: 2 * registers_of(row["type"])].ljust(4 * registers_of(row["type"]), "0"), 16))
    return float(int(text) % 60000)


def _shown(row: Row, raw: float | str) -> str:
    if isinstance(raw, str):
        return raw
    return f"{int(raw):0{4 * registers_of(row['type'])}X}" if row.get("hexadecimal") else str(int(raw))


def _matching(row: Row) -> str:
    """A text that the row's own regular expression accepts; only plain ones occur."""
    plain = str(row.get("regex", "1")).strip("^$").replace("\\", "")
    plain = re.sub(r"\(([^|)]*)[^)]*\)", r"\1", plain)
    return re.sub(r"\[(.)[^]]*\]", r"\1", plain)


def _plausible(row: Row) -> float | str:
    """A raw value within the row's range."""
    if "map" in row:
        code = next(iter(row["map"]))
        return str(code) if row["type"].startswith("string") else float(code)
    if "range" not in row:
        return 25.0
    low, high = row["range"]
    house = low + (high - low) * 0.25 if low > 0 or high <= 0 else min(high * 0.25, 4000)
    raw = (house - row.get("offset", 0)) / row.get("scale", 1)
    return raw if math.isfinite(raw) else 0.0
