"""What sampled values say of one connector, in the house's units (OCPP 1.6, 7.43; OCPP 2.0.1 part 2, 2.42)."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from cem_drivers.ocpp.conversation import Payload, object_in, text_in

ENERGY = "Energy.Active.Import.Register"
POWER = "Power.Active.Import"
CURRENT = "Current.Import"
OFFERED_A = "Current.Offered"
SOC = "SoC"
FLOWS_A = 1.0
"""A phase with more current than this is in use."""
LONGEST_MEAN_S = 900.0
"""Over a longer time the energy says nothing of the power now."""
SHORTEST_MEAN_S = 5.0

_FACTOR = {"": 1.0, "W": 1.0, "kW": 1000.0, "Wh": 1.0, "kWh": 1000.0, "A": 1.0, "Percent": 1.0}
_PHASES = {"L1": 1, "L2": 2, "L3": 3, "L1-N": 1, "L2-N": 2, "L3-N": 3}


@dataclass(frozen=True, slots=True)
class Measured:
    """One moment's values; None for what was not told. `phases` are those that carry current."""

    power_w: float | None = None
    current_a: float | None = None
    offered_a: float | None = None
    energy_wh: float | None = None
    soc_pct: float | None = None
    phases: int | None = None


def measured(sampled: Iterable[Payload]) -> Measured:
    """The values of one `MeterValue`. What is no number or of an unknown unit or place is left out."""
    found: dict[str, dict[int, float]] = {}
    for sample in sampled:
        value = _number(sample)
        if value is None or text_in(sample, "location") not in {"", "Outlet"}:
            continue
        measurand = text_in(sample, "measurand") or ENERGY
        phase_name = text_in(sample, "phase")
        phase = _PHASES.get(phase_name, 0)
        if phase or not phase_name:
            found.setdefault(measurand, {})[phase] = value
    currents = found.get(CURRENT, {})
    phased = [value for phase, value in currents.items() if phase]
    return Measured(
        power_w=_sum(found.get(POWER, {})),
        current_a=max(phased) if phased else currents.get(0),
        offered_a=_largest(found.get(OFFERED_A, {})),
        energy_wh=_sum(found.get(ENERGY, {})),
        soc_pct=found.get(SOC, {}).get(0),
        phases=sum(1 for value in phased if value > FLOWS_A) or None,
    )


def mean_w(before_wh: float, before_s: float, now_wh: float, now_s: float) -> float | None:
    """The mean power between two readings of the energy; None where they are no two in a row of one counter."""
    passed_s = now_s - before_s
    if now_wh < before_wh or not SHORTEST_MEAN_S <= passed_s <= LONGEST_MEAN_S:
        return None
    return (now_wh - before_wh) * 3600.0 / passed_s


def _number(sample: Payload) -> float | None:
    raw = sample.get("value")
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        return None
    unit = object_in(sample.get("unitOfMeasure"))
    name = text_in(sample, "unit") or text_in(unit, "unit")
    factor = _FACTOR.get(name)
    multiplier = unit.get("multiplier", 0)
    if factor is None or not isinstance(multiplier, int) or not -9 <= multiplier <= 9:
        return None
    try:
        value = float(raw) * factor * 10.0**multiplier
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def _sum(by_phase: dict[int, float]) -> float | None:
    """The total where it is told, else that of all phases."""
    if 0 in by_phase:
        return by_phase[0]
    return sum(by_phase.values()) if by_phase else None


def _largest(by_phase: dict[int, float]) -> float | None:
    return max(by_phase.values()) if by_phase else None
