"""How a device's measured values come out wrong, late, or coarse."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hw_sim.devices.sunspec import Value
from hw_sim.faults import Condition

Values = Mapping[str, Value]
_FAR_OFF_W = 1e9
_LINES = 3


@dataclass(frozen=True, slots=True)
class Names:
    """How a family of devices calls what faults are about. What a phase has is (L1, L2, L3)."""

    totals: frozenset[str]  # powers that stand for all phases
    powers: frozenset[str]  # these, and those of phases
    counters: frozenset[str]
    signed: tuple[str, ...] = ()  # of a meter: what another direction turns round
    imported: str = ""
    exported: str = ""
    by_phase: tuple[tuple[str, ...], ...] = ()  # of a meter: powers, currents, voltages

    @classmethod
    def of_roles(cls, roles: Sequence[str]) -> "Names":
        """Those of the profile format's vocabulary."""
        lines = range(1, _LINES + 1)
        powers = {f"{role}.power_l{line}_w" for role in roles for line in lines}
        totals = frozenset(f"{role}.power_w" for role in roles)
        heads = (("power", "w"), ("current", "a"), ("voltage", "v"))
        by_phase = tuple(tuple(f"grid.{head}_l{line}_{unit}" for line in lines) for head, unit in heads)
        counted = ("energy_wh", "import_wh", "export_wh", "charged_wh", "discharged_wh", "session_wh")
        counters = frozenset(f"{role}.{name}" for role in roles for name in counted)
        signed = ("grid.power_w", *by_phase[0], *by_phase[1])
        return cls(totals, totals | powers, counters, signed, "grid.import_wh", "grid.export_wh", by_phase)


METER = 203
BMS = (124, 802)
"""The models whose values come from a battery's management."""
_COUNTERS = frozenset({"WH", "TotWhImp", "TotWhExp"})
_PHASES = (("WphA", "WphB", "WphC"), ("AphA", "AphB", "AphC"), ("PhVphA", "PhVphB", "PhVphC"))
SUNSPEC_UNWIRED = Names(frozenset({"W"}), frozenset({"W", "WphA", "WphB", "WphC", "DCW"}), _COUNTERS)
SUNSPEC = Names(
    SUNSPEC_UNWIRED.totals,
    SUNSPEC_UNWIRED.powers,
    _COUNTERS,
    ("W", *_PHASES[0], "A", *_PHASES[1]),
    "TotWhImp",
    "TotWhExp",
    _PHASES,
)
"""The points of a SunSpec meter; `SUNSPEC_UNWIRED` are those of other models, which have no clamps to sit wrong."""


def distorted(
    values: Values,
    wrong: Condition,
    round_w: float,
    names: Names,
    drifted_w: float = 0.0,
    stuck: Values | None = None,
) -> Values:
    """What a device shows of its live values under these faults; `round_w` 0: as fine as its registers.

    `stuck` are the values that stand still; None: whoever shows them keeps what is not given.
    """
    shown = dict(values)
    if round_w > 0.0:
        for name in names.powers & shown.keys():
            shown[name] = round_w * round(_float(shown[name]) / round_w)
    if not wrong.faults:
        return shown
    if names.signed and names.signed[0] in shown:
        _miswire(shown, wrong, names)
    if drifted_w:
        for name in names.totals & shown.keys():
            shown[name] = _float(shown[name]) + drifted_w
    if "stuck" in wrong:
        shown = {**(stuck or {}), **{name: value for name, value in shown.items() if name in names.counters}}
    spike = wrong.faults.get("spike")
    if spike is not None:
        shown.update(dict.fromkeys(names.totals & shown.keys(), _FAR_OFF_W if spike.value is None else spike.value))
    if "nan" in wrong:
        shown = dict.fromkeys(shown)
    return shown


def _float(value: Value) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _miswire(shown: dict[str, Value], wrong: Condition, names: Names) -> None:
    """A meter whose clamps sit wrong."""
    powers, amps, volts = names.by_phase
    if "sign" in wrong:
        for name in names.signed:
            shown[name] = -_float(shown[name])
        shown[names.imported], shown[names.exported] = shown[names.exported], shown[names.imported]
    if "phases_swapped" in wrong:
        for one, two, three in (powers, amps):
            a, b, c = shown[one], shown[two], shown[three]
            shown.update({one: b, two: c, three: a})
    lost = wrong.faults.get("phase_lost")
    if lost is not None:
        line = (lost.phase or 1) - 1
        shown[names.signed[0]] = _float(shown[names.signed[0]]) - _float(shown[powers[line]])
        if "A" in shown:
            shown["A"] = _float(shown["A"]) - _float(shown[amps[line]])
        shown.update({powers[line]: 0.0, amps[line]: 0.0, volts[line]: 0.0})


class Delayed:
    """Live values as they were: every so often, and so old. `record` is called after each step."""

    def __init__(self, live: Callable[[], Values]) -> None:
        self._live = live
        self._kept: deque[tuple[float, Values]] = deque()

    def record(self, now_s: float, every_s: float, delay_s: float) -> None:
        """Looks if it is time to."""
        if not self._kept or now_s - self._kept[-1][0] + 1e-6 >= every_s:
            self._kept.append((now_s, dict(self._live())))
        while len(self._kept) > 1 and self._kept[1][0] <= now_s - delay_s + 1e-6:
            self._kept.popleft()

    def __call__(self) -> Values:
        """What is shown now."""
        return self._kept[0][1] if self._kept else self._live()
