"""The curves by which a device supports the grid: put in force whenever it is opened, read back, and told.

They are settings, which stay without us and which no release undoes, so nothing is written that holds already. A
function that the device refuses is not asked for again in this run: its memory may wear out.
"""

import asyncio
import logging
from collections.abc import Callable

from cem.model.errors import Refused
from cem.model.inverter_curve import GridFunction
from cem.ports import Device, DeviceConfig, HoldsCurves
from cem.runtime.curves import put_in_force

log = logging.getLogger(__name__)

CALL_S = 30.0
"""Patience for one function: a device may take ten seconds to adopt a curve."""


class GridSupport:
    """What one device holds of what the site file asks of it. `held` and `refused` (with the reason) by function."""

    def __init__(self, config: DeviceConfig, *, read_only: Callable[[], bool]) -> None:
        self.held: dict[GridFunction, bool] = {}  # whether the function is on
        self.refused: dict[GridFunction, str] = {}
        self._config = config
        self._read_only = read_only
        self._final: set[GridFunction] = set()  # that the device itself refused

    @property
    def words(self) -> str:
        """What is in force, for a person; '' where nothing was asked for."""
        on = ", ".join(function for function, enabled in self.held.items() if enabled)
        off = ", ".join(function for function, enabled in self.held.items() if not enabled)
        parts = [f"supports the grid by its own {on}"] * bool(on) + [f"{off} switched off"] * bool(off)
        return "; ".join(parts)

    async def establish(self, device: Device, alive: Callable[[], None]) -> None:
        """Puts in force what is asked of an open device; calls `alive` after each. Raises DeviceError, not Refused."""
        for wanted in self._config.grid_support:
            function = wanted.function
            if function in self._final:
                continue
            if self._read_only():
                self.refused[function] = "nothing is written: it is read only"
                continue
            try:
                if not isinstance(device, HoldsCurves):
                    raise Refused(f"a device of the driver {self._config.driver} has no curves that could be set")
                async with asyncio.timeout(CALL_S):
                    held = await put_in_force(device, wanted)
            except Refused as error:
                self._final.add(function)
                self.held.pop(function, None)
                self.refused[function] = str(error).removeprefix(f"{self._config.id}: ")
                log.warning("%s: %s is not set as the site file asks: %s", self._config.id, function, error)
            else:
                if function not in self.held:
                    log.info("%s: %s is %s, read back", self._config.id, function, "on" if held.enabled else "off")
                self.held[function] = held.enabled
                self.refused.pop(function, None)
            alive()
