"""Which models can carry a control, in the order of preference."""

from cem.driver import Control, DeviceConfig, DriverContext
from cem_drivers.modbus import Bus
from cem_drivers.sunspec.controls import BatterySetpoint, ControlSurface, PvLimit, Watts
from cem_drivers.sunspec.der_controls import DerSetpoint
from cem_drivers.sunspec.grid_charging import GridCharging
from cem_drivers.sunspec.image import Image
from cem_drivers.sunspec.in_force import image_generation_w
from cem_drivers.sunspec.registers import Registers
from cem_drivers.sunspec.reserve import BatteryReserve, Kept
from cem_drivers.sunspec.roles import (
    DER_CONTROL,
    LIMIT_CONTROLS,
    RESERVES,
    STORAGE_CONTROLS,
    Source,
    battery_points,
    charge_base_w,
    discharge_base_w,
    max_charge_w,
    max_discharge_w,
    wmax_w,
)
from cem_drivers.table import flag


def candidates(
    config: DeviceConfig,
    context: DriverContext,
    bus: Bus,
    source: Source,
    image: Image,
    resource_id: str,
    control: Control,
) -> list[ControlSurface]:
    """The surfaces of a control that the device's models may carry; whether one can be used, `learn` finds out."""
    found: list[ControlSurface] = []
    if control is Control.PV_LIMIT_W:
        proven = flag(config.link, "zero_limit_proven")
        models = [model for wanted in LIMIT_CONTROLS if (model := source.map.first(wanted)) is not None]
        found += [
            PvLimit(Registers(bus, model, image.max_read), resource_id, lambda: wmax_w(image.values), proven)
            for model in models
        ]
    elif control is Control.BATTERY_RESERVE_PCT:
        for wanted in RESERVES:
            if (model := source.map.first(wanted)) is not None:
                registers = Registers(bus, model, image.max_read)
                found.append(BatteryReserve(registers, resource_id, Kept(context.keep, config.id)))
    elif control is Control.BATTERY_SETPOINT_W:
        for wanted in STORAGE_CONTROLS:
            model = source.map.first(wanted)
            if model is None:
                continue
            registers = Registers(bus, model, image.max_read)
            if wanted == DER_CONTROL:
                most: tuple[Watts, Watts] = (
                    lambda: max_charge_w(image.values) or wmax_w(image.values),
                    lambda: max_discharge_w(image.values) or wmax_w(image.values),
                )
                found.append(DerSetpoint(registers, resource_id, most))
            else:
                bases: tuple[Watts, Watts] = (
                    lambda: charge_base_w(image.values),
                    lambda: discharge_base_w(image.values),
                )
                found.append(BatterySetpoint(registers, resource_id, bases, _charging(config, context, source, image)))
    return found


def _charging(config: DeviceConfig, context: DriverContext, source: Source, image: Image) -> GridCharging:
    def power_w() -> float | None:
        power = battery_points(source, image.values, image_generation_w(image))["power_w"]
        return power if isinstance(power, float) else None

    permitted = flag(config.link, "grid_charge")
    return GridCharging(permitted, lambda: image_generation_w(image), power_w, context.monotonic)
