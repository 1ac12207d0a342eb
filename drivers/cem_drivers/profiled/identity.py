"""Who answers at an address, by the registers that a profile names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cem.driver import Identity, Refused, Value, WrongDevice
from cem_drivers.modbus import NOT_THERE, Bus, Function
from cem_drivers.profiled.codec import bits_of, decode
from cem_drivers.profiled.schema import Identify, IdentifyRow, Profile


@dataclass(frozen=True, slots=True)
class Seen:
    """What one identifying register held."""

    row: IdentifyRow
    text: str


async def identify(bus: Bus, profile: Profile, name: str) -> Identity:
    """Reads every identifying register. Raises WrongDevice when one does not match, NoAnswer, BadAnswer, Refused."""
    return _identity(profile.identify, await _matched(bus, profile, name, profile.identify.points))


async def recognise(bus: Bus, profile: Profile) -> None:
    """Reads what tells a scan that it is such a device; raises WrongDevice where it is another one, or the others."""
    await _matched(bus, profile, profile.id, profile.identify.finds)


async def _matched(bus: Bus, profile: Profile, name: str, rows: Sequence[IdentifyRow]) -> list[Seen]:
    seen: list[Seen] = []
    for row in rows:
        try:
            raw = await bus.read(row.at, row.words, Function(row.fc))
        except Refused as error:
            if error.code not in NOT_THERE:
                raise  # busy, or ill: that tells nothing about who it is
            raise WrongDevice(
                f"{name}: {error}, where a {profile.title} tells who it is; nothing is written. "
                "Check address, unit and profile"
            ) from error
        text = _text(row, raw, profile)
        if row.regex is not None and re.search(row.regex, text) is None:
            raise WrongDevice(
                f"{name}: {bus.name} tells {text!r} in register {row.at}, a {profile.title} would match {row.regex!r}; "
                "nothing is written. Check address, unit and profile"
            )
        seen.append(Seen(row, text))
    return seen


def _text(row: IdentifyRow, raw: bytes, profile: Profile) -> str:
    order = row.word_order or profile.link.word_order
    if row.hexadecimal:
        return f"{bits_of(raw, order):0{2 * len(raw)}X}"
    value: Value = decode(row.type, raw, order)
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float | int) and value == int(value) else str(value)


def _identity(identify: Identify, seen: list[Seen]) -> Identity:
    def told(what: str) -> str:
        return " ".join(one.text for one in seen if one.row.tells == what and one.text)

    named = [one.text for one in seen if one.row.tells is not None]
    serial = told("serial") if identify.weak is None else "/".join(named)
    return Identity(identify.maker, told("model") or identify.model or "", serial, told("version"))
