"""The simulated home: physics, devices and faults, moved on by the event loop's time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from hw_sim.devices.charger import Charger, will_of
from hw_sim.devices.inverter import Inverter
from hw_sim.devices.meter import Meter
from hw_sim.devices.storage import Storage
from hw_sim.faults import FaultPlan
from hw_sim.home import DeviceSpec, Home
from hw_sim.memory_broker import MemoryBroker
from hw_sim.modbus import ModbusUnit
from hw_sim.physics.house import House, Saved, Truth
from hw_sim.topics import TopicLink

_MOST_STEPS_AT_ONCE = 10
_FRONTS: dict[str, Callable[[DeviceSpec, House], "Inverter | Storage | Meter"]] = {
    "sunspec.inverter": Inverter,
    "sunspec.battery": Storage,
    "sunspec.meter": Meter,
}


@dataclass(frozen=True, slots=True)
class SavedHome:
    """What survives a restart: the house's counters and the charger's settings (it keeps them in flash)."""

    house: Saved
    charger: dict[str, int | str]
    charger_reboots: int


class SimulatedHome:
    """A home with its devices. `broker` is in memory; `charger_link` replaces it by a real one.
    `after_step` is called at the end of each step, before anyone can read what it brought.

    `run` steps every `step_s` of the event loop's time with asyncio.sleep alone, so a virtual loop can drive it.
    """

    def __init__(
        self,
        home: Home,
        start: datetime,
        *,
        seed: int | None = None,
        step_s: float = 1.0,
        charger_link: TopicLink | None = None,
        after_step: Callable[[], None] | None = None,
    ) -> None:
        self.home = home
        self.house = House(home, start, seed)
        self.faults = FaultPlan(home.fault)
        self.broker = MemoryBroker()
        self.step_s = step_s
        self.charger: Charger | None = None
        self._after_step = after_step
        self._units: dict[str, ModbusUnit] = {}
        self._serials: dict[str, str] = {}
        self._fronts: list[Inverter | Storage | Meter] = []
        for spec in home.device:
            self._add(spec, charger_link)

    def _add(self, spec: DeviceSpec, charger_link: TopicLink | None) -> None:
        if spec.kind == "goe.charger":
            self.charger = Charger(spec, self.house, charger_link or self.broker.client(will_of(spec)))
            return
        front = _FRONTS[spec.kind](spec, self.house)
        self._fronts.append(front)
        self._units[spec.id] = ModbusUnit(front.bank, spec.unit)
        self._serials[spec.id] = front.serial

    def modbus(self, device_id: str) -> ModbusUnit:
        """The in-memory transport of a Modbus device: `exchange(unit, pdu)`. Raises KeyError for another id."""
        if device_id not in self._units:
            raise KeyError(f"no Modbus device '{device_id}'; known: {', '.join(self._units) or 'none'}")
        return self._units[device_id]

    def serial(self, device_id: str) -> str:
        """The serial number under which a device identifies itself. Raises KeyError for an unknown id."""
        if self.charger is not None and self.charger.spec.id == device_id:
            return self.charger.serial
        return self._serials[device_id]

    def truth(self) -> Truth:
        """What is really the case now."""
        return self.house.truth()

    def save(self) -> SavedHome:
        """What a later `restore` needs."""
        charger = self.charger
        return SavedHome(
            house=self.house.save(),
            charger=dict(charger.settings) if charger else {},
            charger_reboots=charger.reboots if charger else 0,
        )

    def restore(self, saved: SavedHome) -> None:
        """Takes over what survives a restart; Modbus controls are volatile and gone."""
        self.house.restore(saved.house)
        if self.charger is not None and saved.charger:
            self.charger.settings.update(saved.charger)
            self.charger.reboots = saved.charger_reboots + 1

    def step(self, dt_s: float) -> None:
        """Moves everything on by `dt_s`."""
        for front in self._fronts:
            front.tick()
        if self.charger is not None:
            self.charger.tick()
        self.house.step(dt_s)
        self._fail()
        if self.charger is not None:
            self.charger.report()
        if self._after_step is not None:
            self._after_step()

    def _fail(self) -> None:
        now_s = self.house.elapsed_s
        for device_id, unit in self._units.items():
            condition = self.faults.condition(device_id, now_s)
            if condition is not unit.condition and condition != unit.condition:
                unit.take(condition)
        if self.charger is not None:
            self.charger.take(self.faults.condition(self.charger.spec.id, now_s))

    async def run(self) -> None:
        """Steps until it is cancelled."""
        loop = asyncio.get_running_loop()
        if self.charger is not None:
            await self.charger.start()
        due = loop.time()
        try:
            while True:
                due += self.step_s
                await asyncio.sleep(max(0.0, due - loop.time()))
                self.step(self.step_s)
                behind = loop.time() - due
                if behind > _MOST_STEPS_AT_ONCE * self.step_s:  # the machine slept: one long step, not many
                    self.step(behind)
                    due += behind
                if self.charger is not None:
                    await self._connect(self.charger)
        finally:
            if self.charger is not None:
                await self.charger.stop()

    @staticmethod
    async def _connect(charger: Charger) -> None:
        """Takes the charger off its broker, or back to it, as its condition says."""
        if charger.condition.disconnected and charger.online:
            await charger.stop()
        elif not charger.condition.disconnected and not charger.online:
            await charger.start()
