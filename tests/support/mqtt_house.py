"""Simulated MQTT devices and the real driver at a real broker, in one loop and in real time."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cem.driver import Control, Device, DeviceConfig, DriverContext, NoAnswer, Reading, Resource, Role
from cem_drivers.mqtt import DRIVER
from hw_sim.devices.families import FAMILIES, FamilyDevice, State
from hw_sim.paho_link import PahoLink

CONTEXT = DriverContext(time.monotonic)
SPEAKS_S = 0.1
WITHIN_S = 20.0

PLUG = ("tasmota", "tasmota.plug", "2C:3A:E8:01:02:03", "plug")
ROD = ("esphome", "esphome.switch", "a1b2c3d4e5f6", "rod")


@dataclass
class Peer:
    """One simulated device and the driver's device for it."""

    simulated: FamilyDevice
    device: Device
    will: tuple[str, bytes] | None
    _speaking: asyncio.Task[None] | None = None

    async def _speak(self) -> None:
        while True:
            self.simulated.pass_s(SPEAKS_S)
            await asyncio.sleep(SPEAKS_S)

    async def start(self) -> None:
        """Joins the broker and speaks."""
        await self.simulated.start()
        self._speaking = asyncio.create_task(self._speak())

    async def stop(self) -> None:
        """Leaves, and lets go of the driver's link."""
        await self.device.close()
        if self._speaking is not None:
            self._speaking.cancel()
            await asyncio.gather(self._speaking, return_exceptions=True)
        await self.simulated.link.stop()

    async def readings(self) -> dict[str, Reading]:
        """One poll, by point."""
        return {reading.point: reading for reading in await self.device.poll()}

    async def reads(self, point: str, value: str) -> None:
        """Polls until a point has a value."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                reading = (await self.readings()).get(point)
                if reading is not None and reading.value == value:
                    return
                await asyncio.sleep(0.02)

    async def power(self, done: Callable[[Reading], bool] = lambda _reading: True) -> Reading:
        """The power, once there is one that will do; opens the device anew where it lost its link, as a supervisor."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                try:
                    reading = (await self.readings()).get("power_w")
                    if reading is not None and done(reading):
                        return reading
                except NoAnswer:
                    await self.reopen()
                await asyncio.sleep(0.05)

    async def reopen(self) -> None:
        """Closes and opens until somebody answers."""
        while True:
            await self.device.close()
            try:
                await self.device.open()
            except NoAnswer:
                await asyncio.sleep(0.05)
            else:
                return


def peer(kind: tuple[str, str, str, str], port: int, login: tuple[str, str] | None = None, **link: str | float) -> Peer:
    """A device of a kind (family, profile, serial, name) at 127.0.0.1:port. `link`: more of the driver's link table."""
    name, profile, serial, topic = kind
    family = FAMILIES[name]
    will = None
    if family.will is not None:
        will = (family.will[0].replace("{name}", topic), family.will[1].encode())
    client = PahoLink("127.0.0.1", port, f"sim-{topic}", will, *(login or (None, None)))
    role = Role.LOAD
    resource = Resource(role.value, role, topic, topic, controls=frozenset({Control.LOAD_ON}))
    table: dict[str, str | int | float | bool] = {
        "kind": "mqtt",
        "host": "127.0.0.1",
        "port": port,
        "serial": topic,
        "timeout_s": 5.0,
        **link,
    }
    config = DeviceConfig(topic, topic, "mqtt", table, (resource,), profile, serial)
    assert DRIVER.faults(config) == []
    return Peer(FamilyDevice(family, State(serial, topic), client), DRIVER.device(config, CONTEXT), will)


@asynccontextmanager
async def at_broker(*peers: Peer) -> AsyncIterator[None]:
    """The peers on their broker, each open; gone at the end."""
    try:
        for one in peers:
            await one.start()
        for one in peers:
            await one.reopen()
        yield
    finally:
        for one in peers:
            await one.stop()
