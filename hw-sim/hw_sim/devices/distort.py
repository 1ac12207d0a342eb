"""How a device's measured values come out wrong, late, or coarse."""

from collections import deque
from collections.abc import Callable, Mapping

from hw_sim.devices.sunspec import Value
from hw_sim.faults import Condition

Values = Mapping[str, Value]
_POWERS = frozenset({"W", "WphA", "WphB", "WphC", "DCW"})
_SIGNED = ("W", "WphA", "WphB", "WphC", "A", "AphA", "AphB", "AphC")
_FAR_OFF_W = 1e9
METER = 203
BMS = (124, 802)
"""The models whose values come from a battery's management."""


def distorted(number: int, values: Values, wrong: Condition, round_w: float) -> Values:
    """What a device shows of its live values under these faults; `round_w` 0: as fine as its registers."""
    shown = dict(values)
    if round_w > 0.0:
        for name in _POWERS & shown.keys():
            shown[name] = round_w * round(_float(shown[name]) / round_w)
    if not wrong.faults:
        return shown
    if number == METER:
        _miswire(shown, wrong)
    if "stuck" in wrong:
        shown = {name: value for name, value in shown.items() if name in {"WH", "TotWhImp", "TotWhExp"}}
    spike = wrong.faults.get("spike")
    if spike is not None and "W" in shown:
        shown["W"] = _FAR_OFF_W if spike.value is None else spike.value
    if "bms_lost" in wrong and number in BMS:
        shown = dict.fromkeys(shown)
    if "nan" in wrong:
        shown = dict.fromkeys(shown)
    return shown


def _float(value: Value) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _miswire(shown: dict[str, Value], wrong: Condition) -> None:
    """A meter whose clamps sit wrong."""
    if "sign" in wrong:
        for name in _SIGNED:
            shown[name] = -_float(shown[name])
        shown["TotWhImp"], shown["TotWhExp"] = shown["TotWhExp"], shown["TotWhImp"]
    if "phases_swapped" in wrong:
        for head in ("Wph", "Aph"):
            a, b, c = (shown[head + phase] for phase in "ABC")
            shown.update({f"{head}A": b, f"{head}B": c, f"{head}C": a})
    lost = wrong.faults.get("phase_lost")
    if lost is not None:
        phase = "ABC"[(lost.phase or 1) - 1]
        shown["W"] = _float(shown["W"]) - _float(shown[f"Wph{phase}"])
        shown["A"] = _float(shown["A"]) - _float(shown[f"Aph{phase}"])
        shown.update({f"Wph{phase}": 0.0, f"Aph{phase}": 0.0, f"PhVph{phase}": 0.0})


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
