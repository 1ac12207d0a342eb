"""The simulated home in memory, and the site that fits it: the real drivers over real PDUs and topics."""

from collections.abc import Mapping
from pathlib import Path

from cem.model.resource import Control, Ratings, Resource, Role
from cem.ports import Clock, DeviceConfig, DriverContext, TopicPort
from hw_sim.home import load_home
from hw_sim.modbus import ModbusUnit
from hw_sim.simulation import SimulatedHome

HOMES = Path(__file__).resolve().parents[2] / "hw-sim" / "homes"


def demo_home(clock: Clock, *, step_s: float = 1.0, seed: int = 1, grid_charge: bool = True) -> SimulatedHome:
    """The demo home, starting at the clock's present time; its battery may charge from the sun alone."""
    spec = load_home(HOMES / "demo.toml")
    batteries = tuple(one.model_copy(update={"grid_charge": grid_charge}) for one in spec.battery)
    return SimulatedHome(spec.model_copy(update={"battery": batteries}), clock.now().wall, seed=seed, step_s=step_s)


def context(home: SimulatedHome, clock: Clock) -> DriverContext:
    """Links in memory: `link.host` is the simulated device's id."""

    def pdu(link: Mapping[str, str | int | float | bool]) -> ModbusUnit:
        return home.modbus(str(link["host"]))

    def topics(link: Mapping[str, str | int | float | bool]) -> TopicPort:
        del link
        return home.broker.client()

    return DriverContext(lambda: clock.now().mono_s, pdu, topics)


def demo_devices(home: SimulatedHome) -> tuple[DeviceConfig, ...]:
    """The four devices as `cem provision` would write them."""
    return (
        _modbus(home, "meter", Resource("grid", Role.GRID, "meter", "Grid meter")),
        _modbus(
            home,
            "inverter",
            Resource(
                "pv", Role.PV, "inverter", "Roof", Ratings(max_generation_w=8000), frozenset({Control.PV_LIMIT_W})
            ),
        ),
        _modbus(
            home,
            "battery",
            Resource(
                "battery",
                Role.BATTERY,
                "battery",
                "Battery",
                Ratings(max_charge_w=5000, max_discharge_w=5000, capacity_wh=10000),
                frozenset({Control.BATTERY_SETPOINT_W}),
            ),
        ),
        DeviceConfig(
            "wallbox",
            "Wallbox",
            "mqtt",
            {"host": "memory", "port": 1883},
            (Resource("car", Role.EV, "wallbox", "Car", Ratings(max_current_a=16), frozenset({Control.EV_LIMIT_A})),),
            profile="go-e.v2",
            serial=home.serial("wallbox"),
        ),
    )


def _modbus(home: SimulatedHome, device_id: str, resource: Resource) -> DeviceConfig:
    link: dict[str, str | int | float | bool] = {"kind": "tcp", "host": device_id, "port": 502, "unit": 1}
    return DeviceConfig(device_id, device_id, "sunspec", link, (resource,), serial=home.serial(device_id))
