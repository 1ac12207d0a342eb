"""The contract kit's bench for MQTT families: the real driver, a simulated device of the family, a broker in memory."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cem.driver import (
    ConnectionSink,
    Control,
    Device,
    DeviceConfig,
    Driver,
    DriverContext,
    MessageSink,
    Ratings,
    Resource,
    Role,
    TopicPort,
)
from cem_drivers.mqtt import DRIVER
from cem_drivers.mqtt.profile import shipped_profiles
from cem_drivers.mqtt.topics import Topics
from hw_sim.devices.families import FAMILIES, FamilyDevice, State
from hw_sim.memory_broker import MemoryBroker

Link = dict[str, str | int | float | bool]


@dataclass(frozen=True)
class FamilyCase:
    """A profile, the family that it is for, and what of it to write."""

    profile: str
    family: str
    role: Role
    serial: str
    name: str
    values: tuple[float, ...] = ()
    foreign: str = ""  # topic and text by which somebody else gives it the second value


CASES = (
    FamilyCase(
        *("tasmota.plug", "tasmota", Role.LOAD, "2C:3A:E8:01:02:03", "tasmota_010203"),
        *((1.0, 0.0, 1.0), "cmnd/tasmota_010203/POWER OFF"),
    ),
    FamilyCase(
        *("zigbee2mqtt.plug", "zigbee2mqtt", Role.LOAD, "0x00158d00018255df", "my_plug"),
        *((1.0, 0.0, 1.0), 'zigbee2mqtt/my_plug/set {"state":"OFF"}'),
    ),
    FamilyCase(
        *("esphome.switch", "esphome", Role.LOAD, "a1b2c3d4e5f6", "rod"),
        *((1.0, 0.0, 1.0), "rod/switch/relay/command OFF"),
    ),
    FamilyCase(
        *("openevse.wifi", "openevse", Role.EV, "c44f330d55ad", "openevse-55ad"),
        *((10.0, 0.0, 6.0, 32.0), 'openevse-55ad/claim/set {"state":"disabled"}'),
    ),
    FamilyCase(
        *("tinkerforge.warp-mqtt", "warp", Role.EV, "AbCd", "AbCd"),
        *((10.0, 0.0, 6.0, 31.0), 'warp2/AbCd/evse/external_current_update {"current":0}'),
    ),
    FamilyCase("victron.mqtt", "victron", Role.GRID, "c0619ab12345", "c0619ab12345"),
)


@dataclass
class _Counted:
    """A broker connection that notes what changes something: whatever the profile does not call a question."""

    port: TopicPort
    writes: list[tuple[str, str]]
    questions: frozenset[str]

    async def start(self, on_message: MessageSink, on_connection: ConnectionSink) -> None:
        await self.port.start(on_message, on_connection)

    def subscribe(self, topic_filter: str) -> None:
        self.port.subscribe(topic_filter)

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> bool:
        assert not retain, f"{topic}: nothing of ours is ever retained"
        if f"{topic} {payload.decode()}" not in self.questions:
            self.writes.append((topic, payload.decode()))
        return self.port.publish(topic, payload, retain)

    async def stop(self) -> None:
        await self.port.stop()


class FamilyBench:
    """Satisfies cem.driver.conformance.Bench."""

    def __init__(self, case: FamilyCase) -> None:
        self.case = case
        self.broker = MemoryBroker()
        self.profile = shipped_profiles()[case.profile]
        family = FAMILIES[case.family]
        self.state = State(serial=case.serial, name=case.name)
        will = None
        if family.will is not None:
            topic, payload = (
                part.replace("{name}", case.name).replace("{serial}", case.serial) for part in family.will
            )
            will = (topic, payload.encode())
        self.simulated = FamilyDevice(family, self.state, self.broker.client(will))
        self.sent: list[tuple[str, str]] = []

    @property
    def driver(self) -> Driver:
        return DRIVER

    @property
    def role(self) -> Role:
        return self.case.role

    @property
    def control(self) -> Control | None:
        return Control(self.profile.control[0].id) if self.profile.control else None

    @property
    def values(self) -> Sequence[float]:
        return self.case.values

    @property
    def serial(self) -> str:
        return self.case.serial

    @property
    def link(self) -> Link:
        link: Link = {"kind": "mqtt", "host": "memory", "timeout_s": 0.2}
        return link if self.case.name == self.case.serial else {**link, "serial": self.case.name}

    def config(self, serial: str | None, read_only: bool = False) -> DeviceConfig:
        controls = frozenset({self.control} if self.control is not None else ())
        resource = Resource(self.role.value, self.role, "dev", "Device", Ratings(max_current_a=16.0), controls)
        link = self.link if "serial" in self.link else {**self.link, "serial": self.case.name}
        return DeviceConfig("dev", "Device", "mqtt", link, (resource,), self.case.profile, serial, read_only=read_only)

    @property
    def context(self) -> DriverContext:
        asked = set()
        for row in self.profile.ask:
            whole = self._whole(row.topic)
            asked |= {f"{whole} {payload}" for payload in (row.payload, row.first) if payload is not None}
        port = _Counted(self.broker.client(), self.sent, frozenset(asked))
        return DriverContext(lambda: self.state.now_s, topics=lambda _link: port)

    def device(self, config: DeviceConfig) -> Device:
        assert DRIVER.faults(config) == []
        return DRIVER.device(config, self.context)

    def writes(self) -> Sequence[str]:
        return [f"{topic} {payload}" for topic, payload in self.sent]

    def strays(self) -> Sequence[str]:
        rows = [
            one for control in self.profile.control for one in (*control.write, *control.write_zero, *control.release)
        ]
        owned = {self._whole(row.to) for row in rows}
        return [topic for topic, _ in self.sent if topic not in owned]

    def _whole(self, topic: str) -> str:
        return Topics(self.profile.link, self.profile.link.prefix).whole(topic, self.case.name)

    async def pass_s(self, seconds: float) -> None:
        left_s = seconds
        while left_s > 0:
            self.simulated.pass_s(min(left_s, 1.0))
            left_s -= 1.0
            for _ in range(3):
                await asyncio.sleep(0)

    def silence(self, silent: bool) -> None:
        self.simulated.silent = silent

    def refuse(self, refusing: bool) -> None:
        self.simulated.refuses = refusing

    async def meddle(self, value: float) -> bool:
        topic, _, text = self.case.foreign.partition(" ")
        self.broker.spread(topic, text.encode(), False)
        for _ in range(3):
            await asyncio.sleep(0)
        return True


@asynccontextmanager
async def family_stage(case: FamilyCase) -> AsyncIterator[FamilyBench]:
    """A device that has been on its broker for some seconds, and speaks while a test waits."""
    bench = FamilyBench(case)
    await bench.simulated.start()
    await bench.pass_s(3)

    async def speak() -> None:
        """Real time for the driver's waits: the device's own clock stands still meanwhile."""
        while True:
            await asyncio.sleep(0.02)
            bench.simulated.pass_s(0)

    task = asyncio.create_task(speak())
    try:
        yield bench
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
