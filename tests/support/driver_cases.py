"""What the conformance kit puts each driver in front of: one simulated device in memory, with every message counted."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from cem.driver import (
    ByteSink,
    ConnectionSink,
    Control,
    Device,
    DeviceConfig,
    Driver,
    DriverContext,
    LossSink,
    MessageSink,
    PduPort,
    Role,
    StreamPort,
    TopicPort,
)
from cem_drivers.mqtt import DRIVER as MQTT
from cem_drivers.serial import DRIVER as SERIAL
from cem_drivers.sunspec import DRIVER as SUNSPEC
from hw_sim.devices.line_meter import LineMeter
from hw_sim.simulation import SimulatedHome
from support.driver_devices import mqtt_config, serial_config, sunspec_config
from support.sim_homes import (
    BATTERY,
    D0_METER,
    EV,
    HEAT_PUMP,
    METER,
    NOON,
    P1_METER,
    PV,
    RELAY,
    SML_METER,
    home,
)

Link = Mapping[str, str | int | float | bool]


@dataclass(frozen=True)
class Case:
    """One device of the simulated home behind one driver."""

    name: str
    driver: Driver
    role: Role
    control: Control | None
    values: tuple[float, ...]  # worth writing, each different from the one before
    profile: str = ""  # of what is behind a broker
    parts: tuple[str, ...] = (PV, BATTERY, EV, METER)  # of the home around it

    @property
    def link(self) -> Link:
        """The link table."""
        if self.driver is SERIAL:
            return {"host": "memory", "port": 2001}
        return {"host": "memory", "timeout_s": 0.3 if self.driver is MQTT else 0.1}

    def config(self, serial: str | None, read_only: bool = False) -> DeviceConfig:
        """The device table."""
        if self.driver is MQTT:
            return mqtt_config(self.link, self.role, self.profile, serial, read_only)
        if self.driver is SERIAL:
            return serial_config(self.link, self.role, self.profile, serial)
        return sunspec_config(self.link, self.role, serial=serial, read_only=read_only)


CASES = (
    Case("meter", SUNSPEC, Role.GRID, None, ()),
    Case("inverter", SUNSPEC, Role.PV, Control.PV_LIMIT_W, (2000.0, 5000.0, 80.0)),
    Case("battery", SUNSPEC, Role.BATTERY, Control.BATTERY_SETPOINT_W, (1500.0, -2500.0, 0.0)),
    Case("wallbox", MQTT, Role.EV, Control.EV_LIMIT_A, (10.0, 0.0, 6.0), "go-e.v2"),
    Case("relay", MQTT, Role.LOAD, Control.LOAD_ON, (1.0, 0.0, 1.0), "shelly.relay", (RELAY, METER)),
    Case(
        "heat-pump",
        MQTT,
        Role.HEAT_PUMP,
        Control.HEAT_PUMP_SG_READY,
        (3.0, 1.0, 4.0, 2.0, 1.0, 3.0, 4.0),
        "shelly.sg-ready",
        (HEAT_PUMP, METER),
    ),
    Case("p1-meter", SERIAL, Role.GRID, None, (), "p1.dsmr", (PV, BATTERY, P1_METER)),
    Case("sml-meter", SERIAL, Role.GRID, None, (), "sml.generic", (PV, BATTERY, SML_METER)),
    Case("d0-meter", SERIAL, Role.GRID, None, (), "d0.push", (PV, BATTERY, D0_METER)),
)


@dataclass
class MemoryStream:
    """The line of a simulated meter. `at_once`: it speaks when somebody begins to listen, as its time stands still."""

    meter: LineMeter
    at_once: bool = True
    listening: bool = False

    async def start(self, on_bytes: ByteSink, on_lost: LossSink) -> None:
        self.meter.line.listen(on_bytes, on_lost)
        self.listening = True
        if self.meter.reachable and self.at_once:
            asyncio.get_running_loop().call_soon(self.meter.speak)

    def stop(self) -> None:
        if self.listening:
            self.listening = False
            self.meter.line.leave()


@dataclass
class _CountedPdus:
    port: PduPort
    writes: list[str]

    async def exchange(self, unit: int, pdu: bytes) -> bytes:
        if pdu[0] in (5, 6, 15, 16, 22, 23):
            self.writes.append(pdu.hex())
        return await self.port.exchange(unit, pdu)


@dataclass
class _CountedTopics:
    port: TopicPort
    writes: list[str]
    breathe: Callable[[], None]  # the home's time stands still while a test waits, its devices do not

    async def start(self, on_message: MessageSink, on_connection: ConnectionSink) -> None:
        await self.port.start(on_message, on_connection)

    def subscribe(self, topic_filter: str) -> None:
        self.port.subscribe(topic_filter)
        asyncio.get_running_loop().call_soon(self.breathe)

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> bool:
        if not (topic.endswith("/rpc") and json.loads(payload)["method"].partition(".")[2].startswith("Get")):
            self.writes.append(f"{topic} {payload.decode()}")
        return self.port.publish(topic, payload, retain)

    async def stop(self) -> None:
        await self.port.stop()


@dataclass
class Scene:
    """The device under test and the home around it. The home's clock is the driver's clock."""

    case: Case
    home: SimulatedHome
    writes: list[str] = field(default_factory=list)

    @property
    def serial(self) -> str:
        """The serial number that the simulated device really has."""
        return self.home.serial(self.case.name)

    @property
    def context(self) -> DriverContext:
        """In-memory transports."""
        pdus = None
        if self.case.driver is SUNSPEC:
            port = _CountedPdus(self.home.modbus(self.case.name), self.writes)

            def pdus(_link: Link) -> PduPort:
                return port

        def topics(_link: Link) -> TopicPort:
            return _CountedTopics(self.home.broker.client(), self.writes, self._breathe)

        def streams(_link: Link) -> StreamPort:
            meter = self.home.fronts[self.case.name]
            assert isinstance(meter, LineMeter)
            return MemoryStream(meter)

        return DriverContext(lambda: self.home.house.elapsed_s, pdus, topics, streams)

    def _breathe(self) -> None:
        """The charger's counter of milliseconds, if it says anything at all."""
        charger = self.home.charger
        if charger is None:
            return  # what answers when it is asked needs no time to pass
        if charger.online and not charger.condition.silent and not charger.condition.frozen:
            counter = str(int(self.home.house.elapsed_s * 1000)).encode()
            for topic in [topic for topic in self.home.broker.retained if topic.endswith(f"{charger.serial}/rbt")]:
                self.home.broker.spread(topic, counter, True)

    def device(self, serial: str | None = "", read_only: bool = False) -> Device:
        """The driver's device; with its right serial number unless another one (or None) is given."""
        config = self.case.config(self.serial if serial == "" else serial, read_only)
        assert self.case.driver.faults(config) == []
        return self.case.driver.device(config, self.context)

    async def pass_s(self, seconds: int) -> None:
        """Lets house time pass, a second at a time, delivering what is said meanwhile."""
        for _ in range(seconds):
            self.home.step(1.0)
            await self.home.follow()
            await asyncio.sleep(0)
            await asyncio.sleep(0)


@asynccontextmanager
async def scene(case: Case) -> AsyncIterator[Scene]:
    """A home that has been running for ten seconds."""
    house = SimulatedHome(home(*case.parts), NOON)
    await house.start()
    stage = Scene(case, house)
    await stage.pass_s(10)
    try:
        yield stage
    finally:
        await house.stop()
        await asyncio.sleep(0)
