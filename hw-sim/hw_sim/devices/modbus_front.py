"""What every device on Modbus has: its register banks, and the faults that befall registers and values alike."""

from hw_sim.devices.front import Front
from hw_sim.faults import Condition
from hw_sim.physics.house import House
from hw_sim.registers import Bank
from hw_sim.specs import DeviceSpec

_DRIFT_W = 60.0
"""A minute, where a fault does not say how much."""


class ModbusFront(Front):
    """Registers in front of some plants, in `banks` by unit id; the first is the one that is meant by itself."""

    def __init__(self, spec: DeviceSpec, house: House, serial: str) -> None:
        super().__init__(spec, house, serial)
        self.banks: dict[int, Bank] = {}
        self._drifts_from_s = 0.0

    @property
    def drifted_w(self) -> float:
        """How far its powers are off by now, because its measurement drifts."""
        drift = self.condition.faults.get("drift")
        if drift is None:
            return 0.0
        per_minute = _DRIFT_W if drift.value is None else drift.value
        return per_minute * (self.house.elapsed_s - self._drifts_from_s) / 60.0

    def record(self) -> None:
        """Called after each step: keeps what will be shown later."""

    def take(self, condition: Condition) -> None:
        """From now on the device is in this condition."""
        if "drift" in condition and "drift" not in self.condition:
            self._drifts_from_s = self.house.elapsed_s
        super().take(condition)
        for bank in self.banks.values():
            bank.frozen = condition.frozen
            bank.refuses_writes = condition.refuses_writes
