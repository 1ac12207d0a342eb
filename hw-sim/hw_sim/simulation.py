"""The simulated home: physics, devices and a time line, moved on by the event loop's time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from hw_sim.calls import CallLink, Switchboard
from hw_sim.devices import charger, ocpp_charger, shelly
from hw_sim.devices.charger import Charger
from hw_sim.devices.front import Front
from hw_sim.devices.inverter import Inverter
from hw_sim.devices.line_meter import LineMeter
from hw_sim.devices.meter import Meter
from hw_sim.devices.modbus_front import ModbusFront
from hw_sim.devices.ocpp_charger import OcppCharger
from hw_sim.devices.pin_fronts import ContactsFront, PinFront, PulseFront, SgReadyFront
from hw_sim.devices.pin_fronts import RelayFront as RelayOnPins
from hw_sim.devices.relays import HeatPumpFront, RelayFront
from hw_sim.devices.storage import Hybrid, Storage
from hw_sim.devices.topic_front import TopicFront
from hw_sim.effects import Effects
from hw_sim.faults import Faults
from hw_sim.happenings import BROKER, EventSpec
from hw_sim.homefile import Home
from hw_sim.lines import MemoryLine
from hw_sim.memory_broker import MemoryBroker
from hw_sim.modbus import ModbusUnit
from hw_sim.physics.house import House, Saved, Truth
from hw_sim.pins import PinBoard
from hw_sim.profiled.front import ProfiledDevice
from hw_sim.specs import LINES, PROFILE, DeviceSpec
from hw_sim.timeline import Timeline
from hw_sim.topics import TopicLink

MODBUS_PORT = 502
_MOST_STEPS_AT_ONCE = 10
_SPEAKS_S = 5.0  # alive, a device that speaks over the broker is not silent for longer, however long the steps are
_ON_MODBUS: dict[str, Callable[[DeviceSpec, House], ModbusFront]] = {
    "sunspec.inverter": Inverter,
    "sunspec.battery": Storage,
    "sunspec.hybrid": Hybrid,
    "sunspec.meter": Meter,
    PROFILE: ProfiledDevice,
}
_ON_MQTT: dict[str, Callable[[DeviceSpec, House, TopicLink], TopicFront]] = {
    "goe.charger": Charger,
    "shelly.relay": RelayFront,
    "shelly.heat_pump": HeatPumpFront,
}
_ON_PINS: dict[str, Callable[[DeviceSpec, House, PinBoard], PinFront]] = {
    "gpio.sg_ready": SgReadyFront,
    "gpio.relay": RelayOnPins,
    "gpio.pulses": PulseFront,
    "gpio.contacts": ContactsFront,
}


def will_of(spec: DeviceSpec) -> tuple[str, bytes]:
    """The last will of a device that speaks over the broker."""
    return charger.will_of(spec) if spec.kind == "goe.charger" else shelly.will_of(spec)


@dataclass(frozen=True, slots=True)
class SavedHome:
    """What survives a restart: the house's counters, and what devices keep in flash: settings of chargers, and the
    registers of controls (address to word) of devices with a profile."""

    house: Saved
    settings: dict[str, dict[str, int | str]]
    reboots: dict[str, int]
    registers: dict[str, dict[int, int]] = field(default_factory=dict)


class SimulatedHome:
    """A home with its devices. `broker` and `switchboard` are in memory; `link_of` and `call_of` give real links to
    a broker and to a central system in their places.
    `after_step` is called at the end of each step, before anyone can read what it brought.

    `run` steps every `step_s` of the event loop's time with asyncio.sleep alone, so a virtual loop can drive it. With
    an `answer_s` below it each long step is two: a short one, in which load and sky change, and the rest, in which they
    stay. What steers the house then answers a change as late as in steps of `answer_s`, not a long step late.
    What a time line or `faults` brings up to the end of a step holds from the next one on.
    """

    def __init__(
        self,
        home: Home,
        start: datetime,
        *,
        seed: int | None = None,
        step_s: float = 1.0,
        answer_s: float | None = None,
        link_of: Callable[[DeviceSpec], TopicLink] | None = None,
        call_of: Callable[[DeviceSpec], CallLink] | None = None,
        after_step: Callable[[], None] | None = None,
    ) -> None:
        self.home = home
        self.house = House(home, start, seed)
        self.faults = Faults()
        self.broker = MemoryBroker()
        self.switchboard = Switchboard()
        self.pins = PinBoard(home.gpio.serial, home.gpio.keeps_outputs)
        self.step_s = step_s
        self._answer_s = answer_s if answer_s is not None and answer_s < step_s else None
        self.fronts: dict[str, Front] = {}
        self._after_step = after_step
        self._units: dict[str, ModbusUnit] = {}
        self._on_modbus: list[ModbusFront] = []
        self._on_mqtt: list[TopicFront] = []
        self._on_line: dict[str, LineMeter] = {}
        self._calling: list[OcppCharger] = []
        self._on_pins: list[PinFront] = []
        for spec in home.device:
            self._add(spec, link_of, call_of)
        self._effects = Effects(self.house, self.fronts)
        self._timeline = Timeline((*home.event, *home.fault), self.house.start, self.house.calendar)
        self._restarts = 0
        self._dark = False
        self._happen()

    def _add(
        self,
        spec: DeviceSpec,
        link_of: Callable[[DeviceSpec], TopicLink] | None,
        call_of: Callable[[DeviceSpec], CallLink] | None,
    ) -> None:
        if spec.calls_in:
            call = self.switchboard.call(ocpp_charger.dial_of(spec)) if call_of is None else call_of(spec)
            caller = OcppCharger(spec, self.house, call)
            self._calling.append(caller)
            self.fronts[spec.id] = caller
            return
        if spec.over_mqtt:
            link = self.broker.client(will_of(spec)) if link_of is None else link_of(spec)
            speaker = _ON_MQTT[spec.kind](spec, self.house, link)
            self._on_mqtt.append(speaker)
            self.fronts[spec.id] = speaker
            return
        if spec.on_line:
            self._on_line[spec.id] = self.fronts[spec.id] = LineMeter(spec, self.house)
            return
        if spec.on_pins:
            wired = _ON_PINS[spec.kind](spec, self.house, self.pins)
            self._on_pins.append(wired)
            self.fronts[spec.id] = wired
            return
        front = _ON_MODBUS[spec.kind](spec, self.house)
        self._on_modbus.append(front)
        self.fronts[spec.id] = front
        most = front.profile.link.max_clients if isinstance(front, ProfiledDevice) else None
        line = spec.link in LINES
        self._units[spec.id] = ModbusUnit(front.banks, line=line, max_clients=most)

    def modbus(self, device_id: str) -> ModbusUnit:
        """The in-memory transport of a Modbus device: `exchange(unit, pdu)`. Raises KeyError for another id."""
        if device_id not in self._units:
            raise KeyError(f"no Modbus device '{device_id}'; known: {', '.join(self._units) or 'none'}")
        return self._units[device_id]

    def line(self, device_id: str) -> MemoryLine:
        """The in-memory line of a device that speaks by itself. Raises KeyError for another id."""
        if device_id not in self._on_line:
            raise KeyError(f"no device '{device_id}' on a line; known: {', '.join(self._on_line) or 'none'}")
        return self._on_line[device_id].line

    def port(self, device_id: str) -> int:
        """The TCP port at which such a device listens. Raises KeyError for an unknown id."""
        front = self.fronts[device_id]
        return front.profile.link.port if isinstance(front, ProfiledDevice) else MODBUS_PORT

    def owned(self, device_id: str) -> frozenset[int] | None:
        """The registers that may be written of a device with a profile; None for any other kind."""
        front = self.fronts[device_id]
        return front.owned if isinstance(front, ProfiledDevice) else None

    def telling(self, device_id: str) -> dict[str, frozenset[int]]:
        """Of these, by plant those that tell a set point or end one; others only arm a time-out of the device."""
        front = self.fronts[device_id]
        return front.telling if isinstance(front, ProfiledDevice) else {}

    def timeouts_s(self, device_id: str) -> dict[str, float]:
        """The plants of a device with a profile that have a time-out of their own, and its seconds."""
        front = self.fronts[device_id]
        return front.timeouts_s if isinstance(front, ProfiledDevice) else {}

    def lets_go_s(self, device_id: str) -> dict[str, float]:
        """The plants of a device that only its own time-out hands back, as its profile has it, and after how long."""
        front = self.fronts[device_id]
        return front.lets_go_s if isinstance(front, ProfiledDevice) else {}

    def serial(self, device_id: str) -> str:
        """The serial number under which a device identifies itself. Raises KeyError for an unknown id."""
        return self.fronts[device_id].serial

    @property
    def charger(self) -> Charger | None:
        """The first charger."""
        return next((front for front in self._on_mqtt if isinstance(front, Charger)), None)

    def truth(self) -> Truth:
        """What is really the case now."""
        return self.house.truth({name: front.truth() for name, front in self.fronts.items()})

    def save(self) -> SavedHome:
        """What a later `restore` needs."""
        chargers = {name: front for name, front in self.fronts.items() if isinstance(front, Charger)}
        return SavedHome(
            house=self.house.save(),
            settings={name: dict(front.settings) for name, front in chargers.items()},
            reboots={name: front.reboots for name, front in chargers.items()},
            registers={name: front.kept() for name, front in self.fronts.items() if isinstance(front, ProfiledDevice)},
        )

    def restore(self, saved: SavedHome) -> None:
        """Takes over what survives a restart; what is volatile is gone."""
        self.house.restore(saved.house)
        for name, front in self.fronts.items():
            if isinstance(front, Charger) and name in saved.settings:
                front.settings.update(saved.settings[name])
                front.reboots = saved.reboots[name] + 1
                front.changed_by_itself()
            if isinstance(front, ProfiledDevice) and name in saved.registers:
                front.keep(saved.registers[name])

    # --- time ---

    def step(self, dt_s: float, *, steady: bool = False) -> None:
        """Moves everything on by `dt_s`; `steady`: under the load and the sky of before."""
        self._effects.before_step()
        for front in self.fronts.values():
            front.tick()
        self.house.step(dt_s, steady=steady)
        self._happen()
        for modbus in self._on_modbus:
            modbus.record()
        for speaker in self._on_mqtt:
            speaker.report()
        for meter in self._on_line.values():
            meter.report()
        for caller in self._calling:
            caller.report()
        if self._after_step is not None:
            self._after_step()

    def _happen(self) -> None:
        """What has come up to now begins or ends."""
        for spec, number, begins in self._timeline.take(self.house.elapsed_s):
            if isinstance(spec, EventSpec):
                self._effects.event(spec, number, begins)
                continue
            if begins:
                self.faults.begin(spec, number)
            else:
                self.faults.end(spec, number)
            self._effects.fault(spec, number, begins)
        for fault, begins in self.faults.by_hand():
            self._effects.fault(fault, 0, begins)
        for target, condition in self.faults.take_changed().items():
            if target == BROKER:
                self.broker.set_up("broker_down" not in condition)
            elif target in self.fronts:
                self.fronts[target].take(condition)
                if target in self._units:
                    self._units[target].take(condition)
        if self.house.island.restarts != self._restarts:
            self._restarts = self.house.island.restarts
            for front in self.fronts.values():
                front.reboot()
        self._supply()

    def _supply(self) -> None:
        """Devices have voltage or none."""
        dark = not self.house.island.voltages_v[0] and not self.house.island.voltages_v[1]
        if dark is not self._dark:
            self._dark = dark
            for unit in self._units.values():
                unit.powered = not dark

    async def start(self) -> None:
        """Brings the devices to their broker, and has them call; `run` does so by itself."""
        for speaker in self._on_mqtt:
            await speaker.start()
        for caller in self._calling:
            await caller.start()

    async def follow(self) -> None:
        """Takes devices off their broker, or back to it, as their conditions say; `run` does so after each step."""
        for speaker in self._on_mqtt:
            if speaker.online is speaker.kept_off:
                await speaker.follow()
        for caller in self._calling:
            if caller.online is caller.kept_off or caller.calls_again():
                await caller.follow()

    async def stop(self) -> None:
        """Takes the devices off their broker; those that called hang up."""
        for speaker in self._on_mqtt:
            await speaker.stop()
        for caller in self._calling:
            await caller.stop()

    async def _talk_until(self, loop: asyncio.AbstractEventLoop, due_s: float) -> None:
        """Waits for a step of the loop's time; in a long one what speaks by itself says again how things stand."""
        while (left_s := due_s - loop.time()) > _SPEAKS_S:
            await asyncio.sleep(_SPEAKS_S)
            if left_s > 1.5 * _SPEAKS_S:
                for speaker in self._on_mqtt:
                    speaker.beat()
        await asyncio.sleep(max(0.0, left_s))

    async def run(self) -> None:
        """Steps until it is cancelled."""
        loop = asyncio.get_running_loop()
        await self.start()
        due = loop.time()
        try:
            while True:
                due += self.step_s
                if self._answer_s is not None:
                    await self._talk_until(loop, due - self._answer_s)
                    self.step(self.step_s - self._answer_s, steady=True)
                    await self.follow()
                await self._talk_until(loop, due)
                self.step(self.step_s if self._answer_s is None else self._answer_s)
                for wired in self._on_pins:
                    wired.send(loop.call_later, self.step_s)
                behind = loop.time() - due
                if behind > _MOST_STEPS_AT_ONCE * self.step_s:  # the machine slept: one long step, not many
                    self.step(behind)
                    due += behind
                await self.follow()
        finally:
            await self.stop()
