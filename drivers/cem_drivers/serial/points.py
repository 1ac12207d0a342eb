"""From a telegram to the points of a role, in the house's signs and units."""

from collections.abc import Mapping, Sequence

from cem.driver import Role
from cem_drivers.serial.net_power import StatusLayout, net_power_w, phase_powers_w
from cem_drivers.serial.telegram import FREQUENCY, PHASES, Telegram

TARIFFS = range(1, 10)
Points = Mapping[str, float | None]


def points_of(telegram: Telegram, role: Role, layouts: Sequence[StatusLayout], sign: int = 1) -> Points:
    """The points that a telegram tells of a meter in that role; `sign` -1: the meter counts the other way round.

    `power_w` is there whenever the meter tells any power at all, None where its sign is not settled; where it tells
    none, it is None.
    """
    total_w = net_power_w(telegram, layouts)
    taken_wh, given_wh = energy_wh(telegram, 1), energy_wh(telegram, 2)
    if sign < 0:
        total_w = None if total_w is None else -total_w
        taken_wh, given_wh = given_wh, taken_wh
    points: dict[str, float | None] = {"power_w": total_w}
    volts = {phase: _value(telegram, 12 + 20 * phase) for phase in PHASES}
    frequency = _value(telegram, FREQUENCY)
    if role is Role.PV:
        return points | _told({"energy_wh": given_wh, "voltage_v": volts[1], "frequency_hz": frequency})
    phases_w = phase_powers_w(telegram, None if total_w is None else sign * total_w)
    for phase, power_w in zip(PHASES, phases_w, strict=True):
        points |= _told(
            {
                f"power_l{phase}_w": None if power_w is None else sign * power_w,
                f"current_l{phase}_a": _current_a(telegram, phase, power_w is not None),
                f"voltage_l{phase}_v": volts[phase],
            }
        )
    return points | _told({"frequency_hz": frequency, "import_wh": taken_wh, "export_wh": given_wh})


def tells_power(telegram: Telegram) -> bool:
    """Whether it has any active power in it, with or without a sign."""
    return any(code[1] == 7 and code[0] in {1, 2, 15, 16, 36, 56, 76} for code in telegram.values)


def energy_wh(telegram: Telegram, c: int) -> float | None:
    """A counter: of all tariffs, else their sum where every one of them is told."""
    whole = telegram.values.get((c, 8, 0))
    if whole is not None:
        return whole
    parts = [value for tariff in TARIFFS if (value := telegram.values.get((c, 8, tariff))) is not None]
    return sum(parts) if parts else None


def _value(telegram: Telegram, c: int) -> float | None:
    return telegram.values.get((c, 7, 0))


def _current_a(telegram: Telegram, phase: int, has_power: bool) -> float | None:
    """The current of a phase. In whole amperes it would contradict a power beside it, and is left out then."""
    c = 11 + 20 * phase
    if has_power and (c, 7, 0) in telegram.coarse:
        return None
    return _value(telegram, c)


def _told(points: Points) -> dict[str, float | None]:
    return {name: value for name, value in points.items() if value is not None}
