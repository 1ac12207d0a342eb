"""From a minute's samples to its row: one integer per signal, and the minute's energies and cost."""

from collections.abc import Mapping
from dataclasses import dataclass

from cem.io.samples import (
    COST,
    EXPORT_PRICE,
    EXPORTED,
    GENERATED,
    IMPORT_PRICE,
    IMPORTED,
    Fold,
    ScaledSeries,
    scale_of,
)
from cem.model.resource import Role
from cem.model.site import Site

_MINUTE_S = 60.0

Row = Mapping[str, int]
"""Scaled values by signal name."""


@dataclass(frozen=True, slots=True)
class EnergySums:
    """Energies as magnitudes in Wh, money in the tariff's currency (paid positive)."""

    import_wh: float = 0.0
    export_wh: float = 0.0
    pv_wh: float = 0.0
    cost: float = 0.0

    def plus(self, other: "EnergySums", sign: int = 1) -> "EnergySums":
        """The sum, or with sign -1 the difference."""
        return EnergySums(
            self.import_wh + sign * other.import_wh,
            self.export_wh + sign * other.export_wh,
            self.pv_wh + sign * other.pv_wh,
            self.cost + sign * other.cost,
        )


class RowMaker:
    """Makes rows for one site: knows which signal is the meter and which are generators."""

    def __init__(self, site: Site) -> None:
        self._grid = next((f"{resource.id}.power_w" for resource in site.of(Role.GRID)), None)
        self._generators = tuple(f"{resource.id}.power_w" for resource in site.of(Role.PV))
        self.energy_names = frozenset((self._grid or "", *self._generators, IMPORT_PRICE, EXPORT_PRICE))

    def row(self, series: Mapping[str, ScaledSeries]) -> dict[str, int]:
        """Per signal the mean (of a counter the last value) of its samples, and the derived signals."""
        row = {}
        for name, (_, values) in series.items():
            is_counter = scale_of(name).fold is Fold.LAST
            row[name] = values[-1] if is_counter else round(sum(values) / len(values))
        for name, value in self._derived(series).items():
            row[name] = round(value * scale_of(name).per_unit)
        return row

    def energy(self, series: Mapping[str, ScaledSeries]) -> EnergySums:
        """The energies of these samples."""
        return energy_of({name: round(v * scale_of(name).per_unit) for name, v in self._derived(series).items()})

    def _derived(self, series: Mapping[str, ScaledSeries]) -> dict[str, float]:
        derived: dict[str, float] = {}
        generated = [_energy_wh(series[name], sign=-1) for name in self._generators if name in series]
        if generated:
            derived[GENERATED] = sum(generated)
        if self._grid is None or self._grid not in series:
            return derived
        derived[IMPORTED] = _energy_wh(series[self._grid], sign=1)
        derived[EXPORTED] = _energy_wh(series[self._grid], sign=-1)
        if IMPORT_PRICE in series and EXPORT_PRICE in series:
            derived[COST] = (
                derived[IMPORTED] * _mean(IMPORT_PRICE, series) - derived[EXPORTED] * _mean(EXPORT_PRICE, series)
            ) / 1000
        return derived


def energy_of(row: Row) -> EnergySums:
    """The energies of a row."""
    return EnergySums(*(row.get(name, 0) / scale_of(name).per_unit for name in (IMPORTED, EXPORTED, GENERATED, COST)))


def _energy_wh(power: ScaledSeries, sign: int) -> float:
    """Energy of the power's positive (sign 1) or negative (-1) part over the time that the samples cover.

    Each sample stands for the mean step between samples; a single one for the whole minute. A time without samples
    at either end of the minute is a gap, not zero power and not the last value.
    """
    times, values = power
    covered_s = _MINUTE_S
    if len(times) > 1:
        covered_s = min(_MINUTE_S, (times[-1] - times[0]) / 1000 * len(times) / (len(times) - 1))
    mean = sum(max(0, sign * value) for value in values) / len(values)
    return mean / scale_of("power_w").per_unit * covered_s / 3600


def _mean(name: str, series: Mapping[str, ScaledSeries]) -> float:
    values = series[name][1]
    return sum(values) / len(values) / scale_of(name).per_unit
