"""Looks what speaks on a line: every dialect at once, at each baud rate that meters use."""

import asyncio
from dataclasses import dataclass, field

from cem.driver import DriverContext, Found, Identity, NoAnswer, Ratings, Role
from cem_drivers.serial.lines import LINES, SERIAL, kind_of
from cem_drivers.serial.net_power import net_power_w
from cem_drivers.serial.points import tells_power
from cem_drivers.serial.profile import Profile, shipped_profiles
from cem_drivers.serial.telegram import Reader, Telegram
from cem_drivers.table import LinkTable, number

LISTEN_S = 12.0
"""A meter of the older standards speaks every 10 s."""
BAUDS = (115_200, 9600)
FOREIGN_BYTES = 64
"""So many that are no text at this rate are another rate's."""
PRINTABLE_SHARE = 0.9
CHECKED, UNCHECKED, WITHOUT_NUMBER = 0.95, 0.8, 0.7
PROFILE_OF = {"SML": "sml.generic", "P1": "p1.dsmr", "D0": "d0.push"}
SELDOM_S = 10.0
"""Of P1 before version 5 (P1 companion standard 4.2.2, 5.3: every ten seconds)."""

_TEXT = frozenset(b"\r\n" + bytes(range(0x20, 0x7F)))


@dataclass(slots=True)
class _Ear:
    """One listening: the readers of all dialects, and what came."""

    now_s: float
    readers: tuple[Reader, ...] = field(
        default_factory=lambda: tuple(shipped_profiles()[name].reader() for name in ("sml.generic", "p1.dsmr"))
    )
    heard: bytearray = field(default_factory=bytearray)
    telegrams: list[Telegram] = field(default_factory=list)
    lost: Exception | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def on_bytes(self, data: bytes) -> None:
        self.heard += data[: max(0, FOREIGN_BYTES - len(self.heard))]
        for reader in self.readers:
            self.telegrams += reader.feed(data)
        self.news.set()

    def on_lost(self, error: Exception) -> None:
        self.lost = error
        self.news.set()

    @property
    def foreign(self) -> bool:
        """Whether what came is another baud rate's."""
        if len(self.heard) < FOREIGN_BYTES:
            return False
        printable = sum(byte & 0x7F in _TEXT for byte in self.heard)
        return printable < PRINTABLE_SHARE * len(self.heard)

    @property
    def damaged(self) -> int:
        """Telegrams that were dropped."""
        return sum(reader.count.dropped for reader in self.readers)


async def probe_line(link: LinkTable, context: DriverContext) -> list[Found]:
    """The meter on a line, [] for silence. Raises NoAnswer where there is no line, or where it cannot be understood."""
    real_port = kind_of(link) == SERIAL and context.streams is None
    bauds = [int(number(link, "baud", 0))] if "baud" in link else list(BAUDS) if real_port else [BAUDS[-1]]
    octets, damaged = 0, 0
    for baud in bauds:
        ear = await _listened(link, context, baud, last=baud == bauds[-1])
        if ear.telegrams:
            telegram = ear.telegrams[0]
            found_link = {**link, "kind": kind_of(link)} | ({"baud": baud} if real_port else {})
            return [_found(telegram, found_link)]
        octets += len(ear.heard)
        damaged += ear.damaged
    if octets:
        raise NoAnswer(
            f"bytes come, but no whole telegram in them ({damaged} damaged); no meter with P1, SML or mode D at "
            f"{' or '.join(map(str, bauds))} baud, or an encrypted one (Luxembourg, Austria), which is not read"
        )
    return []


async def _listened(link: LinkTable, context: DriverContext, baud: int, *, last: bool) -> _Ear:
    ear = _Ear(context.monotonic())
    table = {**link, "baud": baud} if kind_of(link) == SERIAL else link
    stream = await LINES.listen("probe", table, baud, context, ear.on_bytes, ear.on_lost)
    try:
        async with asyncio.timeout(LISTEN_S):
            while not ear.telegrams and ear.lost is None and (last or not ear.foreign):
                ear.news.clear()
                await ear.news.wait()
    except TimeoutError:
        return ear  # what came until now is all there is
    finally:
        LINES.leave(stream)
    return ear


def _found(telegram: Telegram, link: LinkTable) -> Found:
    profile = shipped_profiles()[PROFILE_OF[telegram.protocol]]
    confidence = CHECKED if telegram.checked else UNCHECKED
    if not telegram.serial:
        confidence = min(confidence, WITHOUT_NUMBER)
    return Found(
        driver="serial",
        profile=profile.id,
        identity=Identity(telegram.maker, telegram.model, telegram.serial, telegram.version),
        link=link,
        resources=((Role.GRID, Ratings(), frozenset()),),
        confidence=confidence,
        details={"protocol": telegram.protocol, "advice": list(_advice(telegram, profile))},
        every_s=_every_s(telegram),
    )


def _every_s(telegram: Telegram) -> float | None:
    """How seldom such a meter speaks; None for every second or so."""
    if telegram.protocol != "P1" or telegram.version.startswith("5"):
        return None
    return SELDOM_S if not telegram.checked or telegram.version.startswith("4") else None


def _advice(telegram: Telegram, profile: Profile) -> list[str]:
    """What the owner has to do before the meter is of use."""
    if not tells_power(telegram):
        return [str(profile.advice.no_power)]
    if net_power_w(telegram, profile.layouts) is None:
        return [str(profile.advice.no_sign)]
    return []
