"""A device on the test bench: every call bounded, the link made anew after an error, nothing left controlled."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from cem.model.errors import BadAnswer, DeviceError, NoAnswer
from cem.model.reading import Value
from cem.model.resource import Control
from cem.ports import Complains, Complaint, ControlSpec, Device, DeviceConfig, DriverContext, Identity

CALL_TIMEOUT_S = 15.0
"""Patience for one call of a driver."""
RELEASE_TRIES = 3

T = TypeVar("T")


class Bench:
    """One device under test. Every method raises DeviceError, and none hangs."""

    def __init__(self, config: DeviceConfig, device: Device, context: DriverContext) -> None:
        self.config = config
        self.device = device
        self.context = context
        self._values: dict[str, dict[str, Value]] = {}
        self._written_at_s: dict[tuple[str, Control], float] = {}

    @property
    def complaint(self) -> Complaint | None:
        """What the device says stands in its way, though it answers."""
        return self.device.complaint if isinstance(self.device, Complains) else None

    async def open(self) -> Identity:
        """Connects and identifies."""
        return await self._bounded(self.device.open(), "connecting")

    async def close(self) -> None:
        """Lets go of the link."""
        await self._bounded(self.device.close(), "closing")

    async def values(self) -> dict[str, dict[str, Value]]:
        """One round of reading, and what came in earlier rounds: resource id -> point -> value.

        A device that pushes tells in each round only what arrived since the last.
        """
        for reading in await self._bounded(self.device.poll(), "reading"):
            self._values.setdefault(reading.resource_id, {})[reading.point] = reading.value
        return {resource_id: dict(points) for resource_id, points in self._values.items()}

    async def write(self, spec: ControlSpec, value: float) -> None:
        """Sets a control, no sooner after the last time than it allows."""
        key, now_s = (spec.resource_id, spec.control), self.context.monotonic
        if (last_s := self._written_at_s.get(key)) is not None:
            await asyncio.sleep(max(0.0, last_s + spec.min_interval_s - now_s()))
        self._written_at_s[key] = now_s()
        await self._bounded(self.device.write(spec.resource_id, spec.control, value), f"writing {spec.control}")

    async def read_back(self, spec: ControlSpec) -> float | None:
        """The control as the device holds it."""
        return await self._bounded(
            self.device.read_back(spec.resource_id, spec.control), f"reading {spec.control} back"
        )

    async def release(self, spec: ControlSpec) -> None:
        """Hands a control back, on a new link where the old one fails; raises DeviceError when nothing helped."""
        for attempt in range(RELEASE_TRIES):
            try:
                return await self._bounded(
                    self.device.release(spec.resource_id, spec.control), f"releasing {spec.control}"
                )
            except DeviceError:
                if attempt == RELEASE_TRIES - 1:
                    raise
                await self.close()
                await asyncio.sleep(1.0)
                await self._reopen()
        return None

    async def _reopen(self) -> None:
        try:
            await self.open()
        except (NoAnswer, BadAnswer):
            return  # the next release on the closed link tells

    async def _bounded(self, call: Awaitable[T], doing: str) -> T:
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                return await call
        except TimeoutError as error:
            raise NoAnswer(f"{self.config.id}: {doing} took longer than {CALL_TIMEOUT_S:g} s") from error
