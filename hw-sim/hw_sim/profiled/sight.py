"""What is true of the plants behind a device, under the names of the profile format's vocabulary.

Signs are the physics': power into a terminal positive. Beside the published points there are the values that makers
tell besides, such as the currents of a charger's phases; these are found by their names.
"""

from collections.abc import Callable, Mapping

from hw_sim.devices.sunspec import Value
from hw_sim.physics.battery import Battery
from hw_sim.physics.ev import ChargingPoint
from hw_sim.physics.heat_pump import HeatPump
from hw_sim.physics.house import House, currents
from hw_sim.physics.phases import Phases
from hw_sim.physics.pv import Roof
from hw_sim.physics.relay_load import RelayLoad

Facts = dict[str, Value]
Source = Callable[[], Facts]


def sight_of(house: House, role: str, plant: str | None) -> Source:
    """What a device tells of one role; without a plant of it, nothing flows there."""
    if role == "grid":
        return lambda: _grid(house)
    if plant is None:
        return lambda: {f"{role}.power_w": 0.0}
    if role == "pv":
        roof = house.roofs[plant]
        return lambda: _pv(house, roof)
    if role == "battery":
        battery = house.batteries[plant]
        return lambda: _battery(house, battery)
    if role == "ev":
        point = house.charging_points[plant]
        return lambda: _ev(house, point)
    if role == "heat_pump":
        pump = house.heat_pumps[plant]
        return lambda: _heat_pump(house, pump)
    load = house.relay_loads[plant]
    return lambda: _load(house, load)


def ratings_of(house: House, role: str, plant: str | None) -> Mapping[str, float]:
    """The largest values of a role: "max" and "min" (a magnitude) of what can be asked of it."""
    if plant is None:
        return {}
    if role == "pv":
        return {"max": house.roofs[plant].spec.rating_w, "min": 0.0}
    if role == "battery":
        spec = house.batteries[plant].spec
        return {"max": spec.max_charge_w, "min": spec.max_discharge_w}
    if role == "ev":
        return {"max": float(house.charging_points[plant].spec.max_a), "min": 6.0}
    return {}


def _each(role: str, head: str, unit: str, values: Phases) -> Facts:
    return {f"{role}.{head}_l{line}_{unit}": value for line, value in enumerate(values, 1)}


def _grid(house: House) -> Facts:
    """The connection point; while the grid is gone there is no voltage."""
    volts, powers = house.grid.voltages_v, house.grid_phases_w
    one, two, three = (a if w >= 0.0 else -a for a, w in zip(currents(powers, volts), powers, strict=True))
    facts: Facts = {
        "grid.power_w": house.grid_w,
        "grid.frequency_hz": house.grid.frequency_hz,
        "grid.import_wh": house.import_wh,
        "grid.export_wh": house.export_wh,
    }
    facts |= _each("grid", "power", "w", powers) | _each("grid", "current", "a", (one, two, three))
    return facts | _each("grid", "voltage", "v", volts)


def _wired(house: House, role: str, phases_w: Phases) -> Facts:
    volts = house.voltages_v
    facts = _each(role, "power", "w", phases_w) | _each(role, "current", "a", currents(phases_w, volts))
    return facts | _each(role, "voltage", "v", volts)


def _pv(house: House, roof: Roof) -> Facts:
    bound_w = roof.bound_w
    limited = bound_w is not None and bound_w < roof.available_w
    state = "off" if not roof.connected else "throttled" if limited else "running" if roof.power_w else "standby"
    return _wired(house, "pv", roof.truth().phases_w) | {
        "pv.power_w": roof.power_w,
        "pv.energy_wh": roof.energy_wh,
        "pv.rating_w": roof.spec.rating_w,
        "pv.limit_w": roof.spec.rating_w if bound_w is None else bound_w,
        "pv.voltage_v": house.voltages_v[0],
        "pv.frequency_hz": house.frequency_hz,
        "pv.state": state,
    }


def _battery(house: House, battery: Battery) -> Facts:
    power, spec = battery.power_w, battery.spec
    told = battery.band.upper_w if battery.band.fixed else 0.0
    return _wired(house, "battery", battery.truth().phases_w) | {
        "battery.power_w": power,
        "battery.soc_pct": battery.shown_soc_pct,
        "battery.capacity_wh": spec.capacity_wh,
        "battery.max_charge_w": battery.max_charge_w(),
        "battery.max_discharge_w": battery.max_discharge_w(),
        "battery.setpoint_w": told,
        "battery.charged_wh": battery.charged_wh,
        "battery.discharged_wh": battery.discharged_wh,
        "battery.temperature_c": battery.cell_c,
        "battery.state": "charging" if power > 1.0 else "discharging" if power < -1.0 else "idle",
    }


def _ev(house: House, point: ChargingPoint) -> Facts:
    return _wired(house, "ev", point.phases_w) | {
        "ev.power_w": point.power_w,
        "ev.current_a": point.current_a,
        "ev.limit_a": point.offered_a,
        "ev.state": point.state,
        "ev.session_wh": point.session_wh,
        "ev.energy_wh": point.energy_wh,
        "ev.phases": float(point.offered_phases),
        "ev.soc_pct": point.soc_pct,
    }


def _heat_pump(house: House, pump: HeatPump) -> Facts:
    return _wired(house, "heat_pump", pump.truth().phases_w) | {
        "heat_pump.power_w": pump.power_w,
        "heat_pump.energy_wh": pump.energy_wh,
        "heat_pump.temperature_c": pump.store_c,
        "heat_pump.state": "running" if pump.running else "standby",
    }


def _load(house: House, load: RelayLoad) -> Facts:
    return _wired(house, "load", load.truth().phases_w) | {
        "load.power_w": load.power_w,
        "load.energy_wh": load.energy_wh,
        "load.state": "on" if load.on else "off",
    }
