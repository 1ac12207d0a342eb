"""Reading and setting a device's curves from the bench: bounded in time, the link let go afterwards."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cem.model.errors import DeviceError, NoAnswer, Refused
from cem.model.inverter_curve import CurveSet, GridFunction, WantedCurve
from cem.ports import DeviceConfig, Driver, DriverContext, HoldsCurves
from cem.runtime.curves import put_in_force

CALL_S = 30.0
"""Patience for one function: a device may take ten seconds to adopt a curve."""
CLOSE_S = 2.0


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of one function: `error` is empty where the device holds what was wanted."""

    function: GridFunction
    after: CurveSet | None
    error: str = ""


async def read_curves(config: DeviceConfig, driver: Driver, context: DriverContext) -> tuple[CurveSet, ...]:
    """What the device holds; raises DeviceError."""
    async with _opened(config, driver, context) as device:
        return tuple(await device.curves())


async def set_curves(
    config: DeviceConfig, driver: Driver, context: DriverContext, wanted: Sequence[WantedCurve]
) -> tuple[Changed, ...]:
    """Puts each in force. A refused one does not keep the next ones from being tried; raises other DeviceErrors."""
    changed = []
    async with _opened(config, driver, context) as device:
        for one in wanted:
            try:
                async with asyncio.timeout(CALL_S):
                    changed.append(Changed(one.function, await put_in_force(device, one)))
            except Refused as error:
                changed.append(Changed(one.function, None, str(error)))
            except TimeoutError:
                changed.append(Changed(one.function, None, f"{config.id}: not done in {CALL_S:g} s; look at it again"))
    return tuple(changed)


@asynccontextmanager
async def _opened(config: DeviceConfig, driver: Driver, context: DriverContext) -> AsyncIterator[HoldsCurves]:
    device = driver.device(config, context)
    if not isinstance(device, HoldsCurves):
        raise DeviceError(f"{config.id}: a device of the driver {config.driver} has no curves that could be set")
    try:
        try:
            async with asyncio.timeout(CALL_S):
                await device.open()
        except TimeoutError as error:
            raise NoAnswer(f"{config.id}: not open within {CALL_S:g} s; check its power, cable and address") from error
        yield device
    finally:
        async with asyncio.timeout(CLOSE_S):
            await device.close()
