"""From what a meter tells to one power with a sign: into the house positive, out of it negative.

IEC 62056-61 (OBIS) gives four ways in group C: 16 the difference of both directions, 1 and 2 each direction by itself,
15 the sum of both, without a sign. What does not settle the sign gives no power: nothing is guessed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cem_drivers.serial.telegram import PHASES, Code, Telegram

E_TOTAL = (0, 255)
"""Group E of a present value; some text telegrams have 255 (IEC 62056-21 with EasyMeter)."""
SUM_APART_W, SUM_APART = 100.0, 0.1
"""The phases may differ from the whole by so much, or by this share: they are not measured at the same instant."""


@dataclass(frozen=True, slots=True)
class StatusLayout:
    """A status word of which `mask` reads `equals` has its direction in `given`: set, energy flows out of the house."""

    mask: int
    equals: int
    given: int


def gives(status: int | None, layouts: Iterable[StatusLayout]) -> bool | None:
    """Whether the status word says that energy flows out of the house; None where it does not say."""
    if status is None:
        return None
    return next((bool(status & one.given) for one in layouts if status & one.mask == one.equals), None)


def net_power_w(telegram: Telegram, layouts: Sequence[StatusLayout]) -> float | None:
    """The power at the connection, or None where the telegram does not settle it."""
    outward = gives(telegram.status, layouts)
    if any(_of(telegram, c) is not None for c in (16, 1, 2, 15)):
        return _net_w(telegram, 0, outward)
    phases = [_net_w(telegram, phase, None) for phase in PHASES]
    known = [power_w for power_w in phases if power_w is not None]
    if len(known) != len(PHASES):
        return None
    whole_w = sum(known)
    return None if outward is not None and whole_w and outward != (whole_w < 0) else whole_w


def phase_powers_w(telegram: Telegram, total_w: float | None) -> tuple[float | None, ...]:
    """The powers of the three phases; none of them where a sign is missing, as together they are not the whole.

    Where both directions of a phase are told, its sign is settled.
    """
    phases = tuple(_net_w(telegram, phase, None) for phase in PHASES)
    known = [power_w for power_w in phases if power_w is not None]
    open_ones = [phase for phase in PHASES if _of(telegram, 2 + 20 * phase) is None]
    if total_w is None or len(known) == 2 or not any(phases[phase - 1] is not None for phase in open_ones):
        return phases  # two of three make no whole
    apart_w = abs(sum(known) - total_w)
    return (None, None, None) if known and apart_w > max(SUM_APART_W, SUM_APART * abs(total_w)) else phases


def _of(telegram: Telegram, c: int) -> float | None:
    return next((value for e in E_TOTAL if (value := telegram.values.get((c, 7, e))) is not None), None)


def _net_w(telegram: Telegram, phase: int, outward: bool | None) -> float | None:
    """The power of the whole (phase 0) or of a phase. `outward` is the direction that the status word tells."""
    shift = 20 * phase
    difference = _of(telegram, 16 + shift)
    if difference is not None:
        return _difference_w(telegram, 16 + shift, difference, outward)
    taken, given = _of(telegram, 1 + shift), _of(telegram, 2 + shift)
    if taken is not None and given is not None:
        return taken - given if taken >= 0 and given >= 0 else None
    if taken is not None:
        return _one_way_w(taken, outward)
    if given is not None:
        mirrored = None if given < 0 else _one_way_w(given, None if outward is None else not outward)
        return None if mirrored is None else -mirrored
    magnitude = _of(telegram, 15 + shift)
    return None if magnitude is None or phase else _magnitude_w(magnitude, outward)


def _difference_w(telegram: Telegram, c: int, value: float, outward: bool | None) -> float | None:
    """Group C 16: it carries its sign, unless it is coded without a place for one or the status word contradicts."""
    code: Code = (c, 7, 0) if (c, 7, 0) in telegram.values else (c, 7, 255)
    if code in telegram.doubtful:
        return None if outward is None else value if outward else telegram.doubtful[code]
    if outward is None or value == 0:
        return value
    if outward and value > 0:
        return -value if code in telegram.unsigned else None
    return None if not outward and value < 0 else value


def _one_way_w(value: float, outward: bool | None) -> float | None:
    """Group C 1 without 2: some makers put the difference there, with its sign; else 0 may mean the other direction."""
    if value < 0:
        return None if outward is False else value
    if outward or (value == 0 and outward is None):
        return None
    return value


def _magnitude_w(value: float, outward: bool | None) -> float | None:
    """Group C 15: the direction is the status word's, or nobody's. Meters that list one counter may still give."""
    if value == 0:
        return 0.0
    if value < 0 or outward is None:
        return None
    return -value if outward else value
