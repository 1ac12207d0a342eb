"""Model 101 or 103 for whatever an inverter carries, and the status of its connections, model 122."""

from functools import lru_cache

from hw_sim.devices.sunspec import Model, Value, factor_for
from hw_sim.devices.sunspec_front import LiveValues
from hw_sim.physics.house import House
from hw_sim.physics.phases import Phases
from hw_sim.truth import Supply

_CONNECTED_AVAILABLE_OPERATING = 7
_BETWEEN = 3.0**0.5 / 2.0


def ac_factors(rating_w: float) -> dict[str, int]:
    """Scale factors of the AC side that fit a plant of this size."""
    watts = factor_for(1.2 * rating_w)
    amps = factor_for(1.2 * rating_w / 230.0, finest=-2)
    return {"A_SF": amps, "V_SF": -1, "W_SF": watts, "Hz_SF": -2, "VA_SF": watts, "PF_SF": -2, "WH_SF": 0,
            "DCW_SF": watts, "Tmp_SF": 0}  # fmt: skip


def ac_model(rating_w: float, phases: int, live: LiveValues) -> Model:
    """Model 103, on one phase 101."""
    return Model(103 if phases == 3 else 101, ac_factors(rating_w), live=live)


def ac_values(house: House, given_w: float, phases: int, phase: int, state: int) -> dict[str, Value]:
    """What models 101 and 103 have in common; `given_w` is positive out of the terminal."""
    volts = house.island.voltages_v
    size_w = abs(given_w)
    measured: dict[str, Value]
    if phases == 3:
        one, two, three = [size_w / phases / v if v > 0.0 else 0.0 for v in volts]
        measured = {"A": one + two + three, "AphA": one, "AphB": two, "AphC": three, **_of_three(volts)}
    else:
        first = volts[phase - 1] if phases == 1 else volts[0]
        amps = size_w / phases / first if first > 0.0 else 0.0
        measured = {"A": amps, "AphA": amps, "PhVphA": first}
    hz = house.frequency_hz
    return measured | {"W": given_w, "Hz": hz, "VA": size_w, "PF": 100.0, "St": state, "Evt1": 0, "Evt2": 0}


@lru_cache(maxsize=256)
def _of_three(volts: Phases) -> dict[str, float]:
    """The voltages of three phases; they seldom change. Nobody changes what is given here."""
    one, two, three = volts
    return {
        "PhVphA": one,
        "PhVphB": two,
        "PhVphC": three,
        "PPVphAB": (one + two) * _BETWEEN,
        "PPVphBC": (two + three) * _BETWEEN,
        "PPVphCA": (three + one) * _BETWEEN,
    }


def status_model(house: House, roof: bool, storage: bool) -> Model:
    """Model 122: whether roof, battery and the connection point are connected.

    Interpretation: ECPConn is 1 while the house hangs on the grid, else 0, as its description says.
    """

    def live() -> dict[str, Value]:
        return {
            "PVConn": _CONNECTED_AVAILABLE_OPERATING if roof else 0,
            "StorConn": _CONNECTED_AVAILABLE_OPERATING if storage else 0,
            "ECPConn": int(house.supply is Supply.GRID),
        }

    return Model(122, live=live)
