"""Serial numbers, models and versions that a profile's identity accepts."""

import random
import re
import zlib
from collections.abc import Sequence

from hw_sim.profiled.codec import bounds_of, is_text, size_of, to_words
from hw_sim.profiled.tables import IdentityRow, Profile

_DIGITS = "0123456789"
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_SEPARATE = re.compile(r"\{(\d+)(?:,\d*)?\}")


class NoIdentity(ValueError):  # noqa: N818 - what is said of a profile
    """A text that a profile's rule accepts can't be made; the message says where."""


class _Maker:
    """One text for a regular expression: literals, classes, groups, alternatives and repetitions; the shortest one.

    Of each class one member is chosen at random, so that two devices differ where their expression lets them.
    """

    def __init__(self, expression: str, chance: random.Random) -> None:
        self._rest = expression
        self._chance = chance

    def text(self) -> str:
        """The alternatives up to the end, or to a closing bracket: the first one."""
        parts = [self._sequence()]
        while self._rest.startswith("|"):
            self._rest = self._rest[1:]
            parts.append(self._sequence())
        return parts[0]

    def _sequence(self) -> str:
        made = ""
        while self._rest and self._rest[0] not in "|)":
            made += self._repeated(*self._atom())
        return made

    def _atom(self) -> tuple[str, str]:
        """(a text, the alphabet of which each repetition is made anew; "" for the text itself)."""
        head, self._rest = self._rest[0], self._rest[1:]
        if head in "^$":
            return "", ""
        if head == "(":
            self._rest = self._rest.removeprefix("?:")
            inner = self.text()
            self._rest = self._rest[1:]
            return inner, ""
        if head == "[":
            alphabet = self._members()
            return self._chance.choice(alphabet), alphabet
        if head == ".":
            return self._chance.choice(_DIGITS), _DIGITS
        if head == "\\":
            head, self._rest = self._rest[0], self._rest[1:]
            alphabet = {"d": _DIGITS, "w": _LETTERS + _DIGITS, "s": " "}.get(head, "")
            return (self._chance.choice(alphabet), alphabet) if alphabet else (head, "")
        return head, ""

    def _members(self) -> str:
        inside, _, self._rest = self._rest.partition("]")
        members = ""
        while inside:
            if len(inside) > 2 and inside[1] == "-":
                members += "".join(chr(code) for code in range(ord(inside[0]), ord(inside[2]) + 1))
                inside = inside[3:]
            else:
                members, inside = members + inside[0], inside[1:]
        return members or " "

    def _repeated(self, one: str, alphabet: str) -> str:
        times, counted = 1, _SEPARATE.match(self._rest)
        if counted is not None:
            times, self._rest = int(counted[1]), self._rest[counted.end() :]
        elif self._rest[:1] in ("*", "?", "+"):
            times, self._rest = int(self._rest[0] == "+"), self._rest[1:]
        if not times:
            return ""
        return one + "".join(self._chance.choice(alphabet) if alphabet else one for _ in range(times - 1))


def told_words(profile: Profile, row: IdentityRow, text: str) -> tuple[int, ...]:
    """The registers that tell a text; raises NoIdentity where it does not fit."""
    if is_text(row.type):
        if len(text) > 2 * size_of(row.type):
            raise NoIdentity(f"'{text}' does not fit into {row.type}")
        raw: float | str = text
    else:
        try:
            raw = float(int(text, 16 if row.hexadecimal else 10))
        except ValueError:
            raise NoIdentity(f"'{text}' is no number, but this device tells one") from None
        low, high = bounds_of(row.type)
        if not low <= raw <= high:
            raise NoIdentity(f"'{text}' does not fit into {row.type}")
    if row.regex is not None and re.search(row.regex, shown_as(row, text)) is None:
        raise NoIdentity(f"'{text}' does not match {row.regex}")
    return to_words(row.type, raw, profile.order(row))


def shown_as(row: IdentityRow, text: str) -> str:
    """How a reader writes what a row tells: numbers plain, or with all their hexadecimal digits."""
    return text.upper().zfill(4 * size_of(row.type)) if row.hexadecimal else text


def _made(row: IdentityRow, chance: random.Random) -> str:
    if row.regex is not None:
        text = _Maker(row.regex, chance).text()
        if row.hexadecimal:
            return text.ljust(4 * size_of(row.type), "0")
        open_ended = row.tells == "serial" and "$" not in row.regex
        return text + "".join(chance.choice(_DIGITS) for _ in range(6 - len(text))) if open_ended else text
    if is_text(row.type):
        room = 2 * size_of(row.type)
        return {"serial": f"SIM{chance.randrange(10**6):06d}", "version": "1.0"}.get(row.tells or "", "SIM")[:room]
    digits = 4 if bounds_of(row.type)[1] < 10**6 else 6
    number = chance.randrange(10 ** (digits - 1), 10**digits)
    return f"{number:X}" if row.hexadecimal else str(number)


class Identity:
    """What a device tells of itself. `serial` of a home file stands where the profile tells a serial number."""

    def __init__(self, profile: Profile, device_id: str, serial: str, stranger: bool = False) -> None:
        chance = random.Random(zlib.crc32(f"{device_id}{' stranger' if stranger else ''}".encode()))  # noqa: S311
        self.words: list[tuple[IdentityRow, tuple[int, ...]]] = []
        told: list[tuple[str, str]] = []
        measured = {(row.fc, at) for row in profile.rows for at in row.addresses}
        for row in profile.identify.told:
            if row.tells is None and row.regex is None and not is_text(row.type):
                if not any((row.fc, at) in measured for at in row.addresses):
                    self.words.append((row, to_words(row.type, 1.0, profile.order(row))))
                continue  # any number will do, such as a measured value
            given = row.tells == "serial" and serial and not stranger
            text = serial if given else _made(row, chance)
            if stranger and not is_text(row.type) and row.tells is None:
                text = _made(row, random.Random(0))  # noqa: S311
            self.words.append((row, told_words(profile, row, text)))
            if row.tells is not None:
                told.append((row.tells, shown_as(row, text)))
        self.serial = _serial(told, weak=profile.identify.weak is not None)


def _serial(told: Sequence[tuple[str, str]], weak: bool) -> str:
    """By what it is told from others: its serial number, or all that it tells."""
    return "/".join(text for _, text in told) if weak else " ".join(text for what, text in told if what == "serial")
