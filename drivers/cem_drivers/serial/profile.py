"""Profiles of meters that speak by themselves: the schema, and loading with every fault named by its path."""

import re
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from typing import Annotated, Literal

from pydantic import Field

from cem.driver import Complaint, Role
from cem_drivers.profiles.faults import Fault, parse
from cem_drivers.profiles.store import SERIAL, family_texts, find, shipped
from cem_drivers.profiles.tables import ProfileTable, Table
from cem_drivers.serial.net_power import StatusLayout
from cem_drivers.serial.points import points_of
from cem_drivers.serial.quirks import Miscoded
from cem_drivers.serial.sml_reader import SmlReader
from cem_drivers.serial.telegram import Code, Reader, Telegram
from cem_drivers.serial.text_reader import TextReader

KINDS = ("serial", "serial-tcp")
Span = Annotated[list[int], Field(min_length=2, max_length=2)]
_CODE = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})")


class Link(Table):
    """Defaults of the link table, and what is spoken on it."""

    kinds: list[Literal["serial", "serial-tcp"]] = Field(min_length=1)
    protocol: Literal["text", "sml"]
    baud: int = Field(ge=300, le=921_600)


class Life(Table):
    """The slowest of these meters speaks every `every_s`; silence longer than `expire_s` is no answer in any case."""

    every_s: float = Field(gt=0, le=60)
    expire_s: float = Field(gt=0, le=300)


class DirectionRow(Table):
    """A status word of which `mask` reads `equals` tells by `outward` that energy flows out of the house."""

    mask: int
    equals: int
    outward: int
    source: str


class MiscodedRow(Table):
    """Meters of `maker` (its letters) whose signed values in at most `octets` octets have no sign, by their number."""

    maker: str = Field(min_length=3, max_length=3)
    codes: list[str] = Field(min_length=1)
    octets: int = Field(ge=1, le=4)
    wrong: list[Span] = Field(min_length=1)
    right: list[Span] = Field(default=[])
    source: str


class Words(Table):
    """What stands in the way, and what the owner can do."""

    says: str
    do: str

    @property
    def complaint(self) -> Complaint:
        """As the owner is told."""
        return Complaint(self.says, self.do)

    def __str__(self) -> str:
        """Both in one line."""
        return f"{self.says}: {self.do[:1].lower()}{self.do[1:]}"


class Advice(Table):
    """What the owner is told of a meter that tells no power, or one without a sign."""

    no_power: Words
    no_sign: Words


class Golden(Table):
    """One telegram, recorded or typed in from the document, and what it must be read as ("none": no such point)."""

    source: str
    text: str | None = None  # line ends as the line has them are put in
    hexadecimal: str | None = Field(default=None, alias="hex")
    expect: dict[str, float | str] = Field(min_length=1)

    @property
    def octets(self) -> bytes:
        """As it comes from the line. Raises ValueError."""
        if self.text is not None:
            return "\r\n".join(self.text.strip("\n").splitlines()).encode("ascii") + b"\r\n"
        return bytes.fromhex(self.hexadecimal or "")


class Profile(ProfileTable):
    """One family of meters."""

    link: Link
    life: Life
    advice: Advice
    direction: list[DirectionRow] = Field(default=[])
    miscoded: list[MiscodedRow] = Field(default=[])
    golden: list[Golden] = Field(min_length=1)

    @cached_property
    def layouts(self) -> tuple[StatusLayout, ...]:
        """The status words, in the order in which they are tried."""
        return tuple(StatusLayout(row.mask, row.equals, row.outward) for row in self.direction)

    @cached_property
    def quirks(self) -> tuple[Miscoded, ...]:
        """The known mistakes in coding."""
        return tuple(
            Miscoded(
                row.maker,
                frozenset(_code(code) for code in row.codes),
                row.octets,
                tuple((first, last) for first, last in row.wrong),
                tuple((first, last) for first, last in row.right),
            )
            for row in self.miscoded
        )

    def reader(self) -> Reader:
        """A fresh reader of what these meters say."""
        return SmlReader(self.quirks) if self.link.protocol == "sml" else TextReader()

    def points(self, telegram: Telegram, role: Role, sign: int = 1) -> Mapping[str, float | None]:
        """The points of a role that a telegram tells."""
        return points_of(telegram, role, self.layouts, sign)


def _code(text: str) -> Code:
    match = _CODE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no code such as 16.7.0")
    return int(match[1]), int(match[2]), int(match[3])


def _check(profile: Profile) -> Iterator[Fault]:
    for index, row in enumerate(profile.miscoded):
        for code in row.codes:
            if _CODE.fullmatch(code) is None:
                yield Fault(("miscoded", index, "codes"), f"{code!r} is no code such as 16.7.0")
                return
    for index, golden in enumerate(profile.golden):
        at: tuple[str | int, ...] = ("golden", index)
        try:
            told = profile.reader().feed(golden.octets)
        except ValueError as error:
            yield Fault((*at, "hex"), str(error))
            continue
        if len(told) != 1:
            yield Fault(at, f"{len(told)} telegrams in it; one is needed")
            continue
        yield from (Fault((*at, "expect", name), says) for name, says in _missed(profile, golden, told[0]))


def _missed(profile: Profile, golden: Golden, telegram: Telegram) -> Iterator[tuple[str, str]]:
    for name, wanted in golden.expect.items():
        if name == "serial":
            if telegram.serial != wanted:
                yield name, f"{telegram.serial!r} was read"
            continue
        role, _, point = name.partition(".")
        if role not in profile.roles:
            yield name, f"no role {role!r}; roles: {', '.join(profile.roles)}"
            continue
        seen = profile.points(telegram, Role(role)).get(point)
        if (wanted == "none") != (seen is None) or (isinstance(wanted, float | int) and not _near(seen, wanted)):
            yield name, f"{seen} was read"


def _near(seen: float | None, wanted: float) -> bool:
    return seen is not None and abs(seen - wanted) < 1e-6 * max(1.0, abs(wanted))


def parse_profile(source: str) -> tuple[Profile | None, list[str]]:
    """The profile, or None with every fault, each with its line and its path."""
    return parse(source, Profile, _check)


@cache
def shipped_profiles() -> Mapping[str, Profile]:
    """The profiles that come with the product, by id. Raises ValueError if one of them is faulty."""
    return shipped(family_texts(SERIAL), parse_profile)


def find_profile(name: str) -> tuple[Profile | None, list[str]]:
    """A profile by its id, or by the path of a site's own file (*.toml); None with every fault, paths included."""
    return find(name, parse_profile, list(family_texts(SERIAL)))
