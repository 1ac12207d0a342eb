"""Hands devices back to their own control when no gateway runs: after it ended, however it ended."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cem.model.errors import DeviceError, WrongDevice
from cem.model.resource import Control
from cem.ports import Device, DeviceConfig, Driver, DriverContext

OPEN_S = 5.0
RELEASE_S = 2.0
CLOSE_S = 1.0
AGAIN_S = 0.5


@dataclass(frozen=True, slots=True)
class HandedBack:
    """What became of one control: `ok` means that the device steers itself, as it says when read back."""

    device_id: str
    resource_id: str
    control: Control
    ok: bool
    detail: str


async def hand_back_all(
    configs: Sequence[DeviceConfig], drivers: Mapping[str, Driver], context: DriverContext
) -> list[HandedBack]:
    """Every control of every device that may be written, all devices at once; within 8 s, and it never raises."""
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_hand_back(config, drivers[config.driver].device(config, context)))
            for config in configs
            if _controls(config) and not config.read_only and config.serial is not None
        ]
    return [result for task in tasks for result in task.result()]


def _controls(config: DeviceConfig) -> list[tuple[str, Control]]:
    return [(resource.id, control) for resource in config.resources for control in sorted(resource.controls)]


async def _hand_back(config: DeviceConfig, device: Device) -> list[HandedBack]:
    done: dict[tuple[str, Control], HandedBack] = {}
    fault = ""
    try:
        await _open(device)
        async with asyncio.timeout(RELEASE_S):
            for resource_id, control in _controls(config):
                done[resource_id, control] = await _release(config.id, device, resource_id, control)
    except TimeoutError:
        fault = "no answer in time; check its power, cable and address"
    except DeviceError as error:
        fault = str(error)
    except Exception as error:  # noqa: BLE001 - the one place where a driver's failure is contained; the others go on
        fault = f"the driver failed: {error!r}"
    finally:
        await _close(device)
    missing = [key for key in _controls(config) if key not in done]
    return [*done.values(), *(HandedBack(config.id, *key, ok=False, detail=fault) for key in missing)]


async def _open(device: Device) -> None:
    """Tries until it answers: the only connection that a device takes may still belong to the gateway that died."""
    seen: DeviceError | None = None
    try:
        async with asyncio.timeout(OPEN_S):
            while True:
                try:
                    await device.open()
                except WrongDevice:
                    raise
                except DeviceError as error:
                    seen = error
                else:
                    return
                await asyncio.sleep(AGAIN_S)
    except TimeoutError:
        if seen is not None:
            raise seen from None
        raise


async def _release(device_id: str, device: Device, resource_id: str, control: Control) -> HandedBack:
    try:
        await device.release(resource_id, control)
        held = await device.read_back(resource_id, control)
    except DeviceError as error:
        return HandedBack(device_id, resource_id, control, ok=False, detail=str(error))
    if held is not None:
        detail = f"released, but the device still holds {held:g}; look at its own display and settings"
        return HandedBack(device_id, resource_id, control, ok=False, detail=detail)
    return HandedBack(device_id, resource_id, control, ok=True, detail="its own control, read back")


async def _close(device: Device) -> None:
    try:
        async with asyncio.timeout(CLOSE_S):
            await device.close()
    except TimeoutError:
        return  # the link is let go with the process
