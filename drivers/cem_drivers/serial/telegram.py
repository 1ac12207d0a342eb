"""What a meter has said once, whatever the dialect, and how the readers of all dialects count what they drop."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

Code = tuple[int, int, int]
"""The groups C, D and E of an OBIS code (IEC 62056-61): (1, 8, 0) is the energy taken, all tariffs."""

PHASES = (1, 2, 3)
_TOTAL_C = (1, 2, 15, 16)
"""Group C of the active powers and energies: taken, given, their sum, their difference; per phase 20, 40, 60 more."""
POWERS = frozenset(c + 20 * phase for phase in (0, *PHASES) for c in _TOTAL_C)
CURRENTS = frozenset(11 + 20 * phase for phase in PHASES)
VOLTAGES = frozenset(12 + 20 * phase for phase in PHASES)
FREQUENCY = 14
_UNIT_OF_C: Mapping[int, str] = MappingProxyType(
    dict.fromkeys(POWERS, "W") | dict.fromkeys(CURRENTS, "A") | dict.fromkeys(VOLTAGES, "V") | {FREQUENCY: "Hz"}
)


def unit_of(code: Code) -> str | None:
    """The base unit that a code of interest here is told in; None for everything else."""
    c, d, _ = code
    if d == 8:
        return "Wh" if c in (1, 2) else None
    return _UNIT_OF_C.get(c) if d == 7 else None


UNKNOWN_MODEL = "electricity meter"
"""SML does not tell the model."""

MAKERS: Mapping[str, str] = MappingProxyType(
    {
        "ADN": "Aidon",
        "APA": "Apator",
        "AUX": "AUX",
        "DNT": "Dr. Neuhaus",
        "DZG": "DZG",
        "EBZ": "eBZ",
        "ELL": "Ellevio",
        "EMH": "EMH",
        "ENE": "Enel",
        "EST": "Sagemcom",
        "ESY": "EasyMeter",
        "FLU": "Fluvius",
        "HLY": "Holley",
        "ISK": "Iskraemeco",
        "ITR": "Itron",
        "KAM": "Kamstrup",
        "KFM": "Kaifa",
        "KMP": "Kamstrup",
        "LGB": "Landis+Gyr",
        "LGF": "Landis+Gyr",
        "LGZ": "Landis+Gyr",
        "LOG": "Logarex",
        "NIK": "Nikola",
        "SAG": "Sagemcom",
        "XMX": "Landis+Gyr",
    }
)
"""Names of makers by their letters (FLAG association)."""


def maker_of(letters: str) -> str:
    """The maker's name, or the letters themselves where they are not known here."""
    return MAKERS.get(letters.upper(), letters.upper())


@dataclass(frozen=True, slots=True)
class Telegram:
    """One telegram or frame that passed every check it carries.

    `values` in W, Wh, V, A and Hz, with the sign that the meter gives. `unsigned`: coded without a place for a sign.
    `doubtful`: coded in a way known to be wrong, with the other value that may be meant. `coarse`: in whole units.
    `status` is the status word; None where there is none. `checked`: a check sum stood for it.
    """

    protocol: str
    maker: str
    model: str
    serial: str
    version: str
    values: Mapping[Code, float]
    status: int | None = None
    unsigned: frozenset[Code] = frozenset()
    doubtful: Mapping[Code, float] = field(default_factory=lambda: MappingProxyType({}))
    coarse: frozenset[Code] = frozenset()
    meter_time: str = ""
    checked: bool = True


@dataclass(slots=True)
class Count:
    """What a reader has seen so far."""

    good: int = 0
    bad_check: int = 0  # the check sum did not fit
    malformed: int = 0  # the check sum fits or there is none, but the content does not make sense
    oversize: int = 0  # no end came within what is bounded
    octets: int = 0

    @property
    def dropped(self) -> int:
        """Telegrams that were not used."""
        return self.bad_check + self.malformed + self.oversize


class Reader(Protocol):
    """Bytes in, telegrams out; keeps no more than it needs and never raises for what is on the line."""

    count: Count

    @property
    def kept(self) -> int:
        """Bytes that are kept as the beginning of what is not complete."""

    def feed(self, data: bytes) -> list[Telegram]:
        """Takes what came and gives the telegrams that are complete now."""
