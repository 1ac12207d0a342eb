"""Which model tells what about which role, in the house's signs: power into a terminal is positive.

Signs at the device: an inverter's W is positive when it generates or discharges (models 101 to 113 and 701,
description of W); a meter's W is positive on import (models 201 to 214, TotWhImp is the register that it feeds).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from cem.driver import Ratings, Role, Value
from cem_drivers.sunspec.definition import definition
from cem_drivers.sunspec.scan import Map, Model

INVERTER = (101, 102, 103, 111, 112, 113, 701)
METER = (201, 202, 203, 204, 211, 212, 213, 214)
STORAGE = (124, 713, 802)
STATUS = 122
NAMEPLATE, SETTINGS, DER_RATINGS = 120, 121, 702
LIMIT_CONTROLS = (123, 704)  # in the order of preference
STORAGE_CONTROLS = (124, 704)
RESERVES = {802: "SoCRsvMin", 124: "MinRsvPct"}  # the point that holds it
LIMIT_CONTROL, STORAGE_CONTROL, DER_CONTROL = 123, 124, 704
HEARTBEAT = 715
MPPT, DC_PORTS = 160, 714
PV_PORT = 0  # PrtTyp of model 714
GRID_FOLLOWING, GRID_FORMING = 1 << 0, 1 << 1  # DERMode of model 701
WORKING = (4.0, 5.0)  # St of models 101 to 113: MPPT, THROTTLED
NEEDED: dict[int, tuple[str, ...]] = {
    **dict.fromkeys((101, 102, 103, 111, 112, 113), ("W", "Hz", "PhVphA", "WH", "St")),
    701: ("W", "Hz", "VL1", "LNV", "TotWhInj", "TotWhAbs", "InvSt", "DERMode"),
    122: ("ECPConn",),
    **dict.fromkeys(
        METER,
        (
            *("W", "WphA", "WphB", "WphC", "AphA", "AphB", "AphC", "PhVphA", "PhVphB", "PhVphC"),
            *("Hz", "TotWhImp", "TotWhExp"),
        ),
    ),
    120: ("WRtg", "WHRtg", "MaxChaRte", "MaxDisChaRte"),
    121: ("WMax",),
    702: ("WMaxRtg", "WChaRteMaxRtg", "WDisChaRteMaxRtg", "WMax"),
    123: ("WMaxLimPct", "WMaxLimPct_WinTms", "WMaxLimPct_RvrtTms", "WMaxLimPct_RmpTms", "WMaxLim_Ena", "WMaxLimPct_SF"),
    124: (
        *("WChaMax", "StorCtl_Mod", "ChaState", "ChaSt", "OutWRte", "InWRte"),
        *("InOutWRte_WinTms", "InOutWRte_RvrtTms", "InOutWRte_SF", "ChaGriSet"),
    ),
    704: ("WMaxLimPctEna", "WMaxLimPct", "WSetEna", "WSetMod", "WSet"),
    713: ("WHRtg", "WHAvail", "SoC", "SoH", "Sta"),
    802: ("WHRtg", "WChaRteMax", "WDisChaRteMax", "SoC", "SoH", "ChaSt", "State", "W"),
    160: (),  # all modules
    714: ("DCW",),  # and all ports
}
"""The points that we read of each model."""

SLOW = frozenset({NAMEPLATE, SETTINGS, DER_RATINGS})
"""Models whose values change by hand only: read now and then."""

Values = Mapping[int, Mapping[str, Value]]
"""Model id -> point -> value, as last read."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where one role's readings come from: the models of one device of the map."""

    role: Role
    map: Map
    meter: Model | None = None
    inverter: Model | None = None
    hybrid: bool = False  # pv and battery behind one inverter: its AC power is the sum of both

    @property
    def models(self) -> tuple[Model, ...]:
        """The models to read, each once."""
        if self.role is Role.GRID:
            return (self.meter,) if self.meter is not None else ()
        ids: tuple[int, ...] = (*SLOW, *LIMIT_CONTROLS)
        if self.role is Role.BATTERY:
            ids = (*SLOW, *STORAGE, DER_CONTROL, STATUS)
        if self.hybrid:
            ids = (*ids, MPPT, DC_PORTS)
        found = [self.inverter, *(self.map.first(model) for model in ids)]
        return tuple(model for model in found if model is not None)


def find_source(maps: list[Map], role: Role, hybrid: bool) -> Source | None:
    """The first device of the map that can play a role; `maps` begins with the identified one."""
    for device in maps:
        if role is Role.GRID:
            meter = device.first(*METER)
            if meter is not None:
                return Source(role, device, meter=meter)
        elif role in (Role.PV, Role.BATTERY):
            inverter = device.first(*INVERTER)
            if inverter is not None and (role is Role.PV or device.first(*STORAGE) is not None):
                return Source(role, device, inverter=inverter, hybrid=hybrid)
    return None


def number(values: Values, *candidates: tuple[int, str]) -> float | None:
    """The first of the candidates (model, point) that has a number."""
    for model, name in candidates:
        held = values.get(model)
        if held is not None:
            value = held.get(name)
            if isinstance(value, float):
                return value
    return None


def wmax_w(values: Values) -> float | None:
    """What the percentage of model 123 is of: WMax as set, else the nameplate."""
    return number(values, (SETTINGS, "WMax"), (DER_RATINGS, "WMax"), (NAMEPLATE, "WRtg"), (DER_RATINGS, "WMaxRtg"))


def charge_base_w(values: Values) -> float | None:
    """What InWRte of model 124 is a percentage of: the setting WChaMax, else the ratings."""
    return number(values, (124, "WChaMax"), (NAMEPLATE, "MaxChaRte"), (DER_RATINGS, "WChaRteMaxRtg"))


def discharge_base_w(values: Values) -> float | None:
    """What OutWRte of model 124 is a percentage of.

    Interpretation: its unit names WDisChaMax, a point that no model has; devices take WChaMax for both directions.
    """
    return number(values, (124, "WChaMax"), (NAMEPLATE, "MaxDisChaRte"), (DER_RATINGS, "WDisChaRteMaxRtg"))


def max_charge_w(values: Values) -> float | None:
    """What the battery accepts now, the rating where it does not say."""
    return number(
        values, (802, "WChaRteMax"), (NAMEPLATE, "MaxChaRte"), (DER_RATINGS, "WChaRteMaxRtg"), (124, "WChaMax")
    )


def max_discharge_w(values: Values) -> float | None:
    """What the battery gives now, the rating where it does not say."""
    return number(
        values,
        (802, "WDisChaRteMax"), (NAMEPLATE, "MaxDisChaRte"), (DER_RATINGS, "WDisChaRteMaxRtg"), (124, "WChaMax"),
    )  # fmt: skip


def _minus(value: float | None) -> float | None:
    return None if value is None else 0.0 - value


def _symbol(values: Values, model: int, name: str) -> str | None:
    """The word of an enumeration in lower case, the number where the definition has no word for it."""
    value = values.get(model, {}).get(name)
    return _word(model, name, int(value)) if isinstance(value, float) else None


@lru_cache(maxsize=1024)
def _word(model: int, name: str, code: int) -> str | None:
    known = definition(model)
    return None if known is None else known.point(name).symbols.get(code, str(code)).lower().replace(" ", "_")


def _turned(value: float) -> float:
    return 0.0 - value


_METER_POINTS: tuple[tuple[str, str, Callable[[float], float]], ...] = (
    ("power_w", "W", float),
    *(
        row
        for line, phase in enumerate("ABC", 1)
        for row in (
            (f"power_l{line}_w", f"Wph{phase}", float),
            (f"current_l{line}_a", f"Aph{phase}", abs),
            (f"voltage_l{line}_v", f"PhVph{phase}", float),
        )
    ),
    ("frequency_hz", "Hz", float),
)
"""Point, the meter's name for it, and what makes it ours."""
_TURNED_POINTS = tuple((point, name, _turned if "power" in point else ours) for point, name, ours in _METER_POINTS)
"""The same for a meter that is turned round."""
_COUNTERS = (("import_wh", "TotWhImp", "TotWhExp"), ("export_wh", "TotWhExp", "TotWhImp"))


def grid_points(source: Source, values: Values, meter_sign: int) -> dict[str, Value]:
    """The connection point's readings; `meter_sign` -1 for a meter that counts export as positive."""
    assert source.meter is not None
    read = values.get(source.meter.id, {})
    points: dict[str, Value] = {}
    for point, name, ours in _METER_POINTS if meter_sign > 0 else _TURNED_POINTS:
        if name in read:
            value = read[name]
            points[point] = ours(value) if isinstance(value, float) else None
    for point, right_name, turned_name in _COUNTERS:
        name = right_name if meter_sign > 0 else turned_name
        if name in read:
            value = read[name]
            points[point] = value if isinstance(value, float) else None
    return points


def pv_points(source: Source, values: Values, generation_w: float | None) -> dict[str, Value]:
    """The generator's readings. `generation_w`: its share behind a hybrid inverter, a magnitude."""
    assert source.inverter is not None
    inverter = source.inverter.id
    power_w = _minus(generation_w if source.hybrid else number(values, (inverter, "W")))
    points: dict[str, Value] = {
        "power_w": power_w,
        "voltage_v": number(values, (inverter, "PhVphA"), (inverter, "VL1"), (inverter, "LNV")),
        "frequency_hz": number(values, (inverter, "Hz")),
        "state": _symbol(values, inverter, "InvSt" if inverter == 701 else "St"),
    }
    if not source.hybrid:
        points["energy_wh"] = number(values, (inverter, "WH"), (inverter, "TotWhInj"))
    rating_w = number(values, (NAMEPLATE, "WRtg"), (DER_RATINGS, "WMaxRtg"))
    if rating_w is not None:
        points["rating_w"] = rating_w
    return points


def battery_points(source: Source, values: Values, generation_w: float | None) -> dict[str, Value]:
    """The battery's readings; behind a hybrid inverter its power is what the generator does not explain."""
    assert source.inverter is not None
    inverter = source.inverter.id
    power_w = _minus(number(values, (inverter, "W")))
    if source.hybrid:
        power_w = None if power_w is None or generation_w is None else power_w + generation_w
    points: dict[str, Value] = {"power_w": power_w}
    optional: dict[str, Value] = {
        "soc_pct": number(values, (802, "SoC"), (713, "SoC"), (124, "ChaState")),
        "capacity_wh": number(values, (802, "WHRtg"), (713, "WHRtg"), (NAMEPLATE, "WHRtg")),
        "max_charge_w": max_charge_w(values),
        "max_discharge_w": max_discharge_w(values),
        "charged_wh": None if source.hybrid else number(values, (inverter, "TotWhAbs")),
        "discharged_wh": None if source.hybrid else number(values, (inverter, "TotWhInj")),
        "on_grid": on_grid(values, inverter),
        "state": _symbol(values, 802, "ChaSt") or _symbol(values, 124, "ChaSt") or _symbol(values, 802, "State"),
    }
    points["soc_pct"] = optional.pop("soc_pct")
    points.update({name: value for name, value in optional.items() if value is not None})
    return points


def on_grid(values: Values, inverter: int) -> float | None:
    """1 while the battery's inverter follows the grid, 0 while it forms the house's voltage; None where nobody tells.

    Models 701 (DERMode) and 122 (ECPConn, with the inverter's St). Interpretation: 701 says so by grid forming without
    grid following, as some form and follow at once; a disconnected ECPConn means an island only while the inverter
    works, since one that sleeps or is off may have left the grid alone.
    """
    modes = number(values, (701, "DERMode"))
    if modes is not None and int(modes) & (GRID_FOLLOWING | GRID_FORMING):
        return float(bool(int(modes) & GRID_FOLLOWING))
    connected = number(values, (STATUS, "ECPConn"))
    if connected is None or inverter == 701:
        return None
    if connected == 1.0:
        return 1.0
    return 0.0 if number(values, (inverter, "St")) in WORKING else None


def port_generation_w(ports: list[dict[str, Value]]) -> float | None:
    """What the PV ports of model 714 give, W; None where there is none or one does not tell."""
    powers = [port.get("DCW") for port in ports if port.get("PrtTyp") == PV_PORT]
    if not powers or not all(isinstance(power, float) for power in powers):
        return None
    return sum(power for power in powers if isinstance(power, float))


def stores(values: Values) -> bool:
    """Whether a battery is behind the storage models: inverters without one carry them too, empty."""
    tells = (
        *((124, "WChaMax"), (124, "ChaState"), (713, "WHRtg"), (713, "SoC")),
        *((802, "WHRtg"), (802, "SoC"), (802, "WChaRteMax")),
    )
    return any(values.get(model, {}).get(name) not in (None, 0.0) for model, name in tells)


def generation_w(modules: list[dict[str, Value]]) -> float | None:
    """What the generator's strings give behind a hybrid inverter, W; None where the modules don't tell.

    Interpretation: modules whose name begins with "StCha" or "StDisCha" belong to the battery (so in practice;
    model 160 has no point for it).
    """
    strings = [
        module for module in modules if not str(module.get("IDStr") or "").lower().startswith(("stcha", "stdis"))
    ]
    powers = [module["DCW"] for module in strings if isinstance(module.get("DCW"), float)]
    return sum(power for power in powers if isinstance(power, float)) if powers else None


def ratings(source: Source, values: Values) -> Ratings:
    """The physical ratings that a device tells about a role."""
    if source.role is Role.PV:
        return Ratings(max_generation_w=number(values, (NAMEPLATE, "WRtg"), (DER_RATINGS, "WMaxRtg")))
    if source.role is Role.BATTERY:
        return Ratings(
            max_charge_w=number(values, (NAMEPLATE, "MaxChaRte"), (DER_RATINGS, "WChaRteMaxRtg"), (802, "WChaRteMax")),
            max_discharge_w=number(
                values, (NAMEPLATE, "MaxDisChaRte"), (DER_RATINGS, "WDisChaRteMaxRtg"), (802, "WDisChaRteMax")
            ),
            capacity_wh=number(values, (802, "WHRtg"), (713, "WHRtg"), (NAMEPLATE, "WHRtg")),
        )
    return Ratings()
