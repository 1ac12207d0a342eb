"""The simulated home on real sockets and in real time."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from hw_sim.broker import EmbeddedBroker
from hw_sim.devices.charger import serial_of, will_of
from hw_sim.files import save_state
from hw_sim.home import DeviceSpec, Home
from hw_sim.modbus import ModbusEndpoint
from hw_sim.paho_link import PahoLink
from hw_sim.simulation import SavedHome, SimulatedHome

STEP_S = 0.2
_log = logging.getLogger("hw_sim")

Addresses = dict[str, object]


class ServedHome:
    """One home with its listeners. `ports` (device id or "mqtt" to port) overrides the home file's.

    `saved` is taken over at the start; with `state` the file is written with every step.
    """

    def __init__(
        self,
        home: Home,
        start: datetime,
        *,
        seed: int | None = None,
        ports: Mapping[str, int] | None = None,
        saved: SavedHome | None = None,
        state: Path | None = None,
        step_s: float = STEP_S,
    ) -> None:
        self.home = home
        self._start = start
        self._seed = seed
        self._ports = dict(ports or {})
        self._saved = saved
        self._state = state
        self._step_s = step_s
        self._endpoints: dict[str, ModbusEndpoint] = {}
        self._broker: EmbeddedBroker | None = None
        self.simulation: SimulatedHome

    def _charger_spec(self) -> DeviceSpec | None:
        return next((spec for spec in self.home.device if spec.kind == "goe.charger"), None)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["ServedHome"]:
        """All listeners are up inside; raises OSError where a port is taken. `run` has still to be called."""
        try:
            link = await self._broker_link()
            self.simulation = SimulatedHome(
                self.home,
                self._start,
                seed=self._seed,
                step_s=self._step_s,
                charger_link=link,
                after_step=self._keep if self._state is not None else None,
            )
            if self._saved is not None:
                self.simulation.restore(self._saved)
            for spec in self.home.device:
                if spec.kind == "goe.charger":
                    continue
                port = self._ports.get(spec.id, spec.port)
                endpoint = ModbusEndpoint(self.simulation.modbus(spec.id), spec.host, port)
                await endpoint.start()
                self._endpoints[spec.id] = endpoint
            yield self
        finally:
            for endpoint in self._endpoints.values():
                await endpoint.stop()
            if self._broker is not None:
                await self._broker.stop()

    async def _broker_link(self) -> PahoLink | None:
        mqtt = self.home.mqtt
        spec = self._charger_spec()
        if spec is None:
            return None
        host, port = mqtt.host, mqtt.port
        if mqtt.embedded:
            self._broker = EmbeddedBroker(host, self._ports.get("mqtt", port))
            await self._broker.start()
            port = self._broker.port
        self._ports["mqtt"] = port
        return PahoLink(host, port, f"go-eCharger-{serial_of(spec)}", will_of(spec), mqtt.username, mqtt.password)

    def endpoint(self, device_id: str) -> ModbusEndpoint:
        """The listener of a Modbus device; raises KeyError for another id."""
        return self._endpoints[device_id]

    def addresses(self) -> Addresses:
        """Where everything is, as JSON types."""
        devices: dict[str, object] = {}
        for spec in self.home.device:
            if spec.kind == "goe.charger":
                serial = serial_of(spec)
                devices[spec.id] = {
                    "kind": spec.kind,
                    "host": self.home.mqtt.host,
                    "port": self._ports["mqtt"],
                    "serial": serial,
                    "topic_prefix": spec.topic_prefix,
                    "topic": f"{spec.topic_prefix}{serial}",
                }
            else:
                devices[spec.id] = {
                    "kind": spec.kind,
                    "host": spec.host,
                    "port": self._endpoints[spec.id].port,
                    "unit": spec.unit,
                    "serial": self.simulation.serial(spec.id),
                }
        mqtt = None
        if self._charger_spec() is not None:
            mqtt = {"host": self.home.mqtt.host, "port": self._ports["mqtt"], "embedded": self.home.mqtt.embedded}
        return {
            "home": self.home.name,
            "zone": self.home.zone,
            "start": self.simulation.house.start.isoformat(),
            "devices": devices,
            "mqtt": mqtt,
        }

    async def run(self) -> None:
        """Steps in real time until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.simulation.run())
            tasks.create_task(self._follow_faults())

    def _keep(self) -> None:
        """Writes the state file with every step, in the loop, so that no counter is read that a kill could undo."""
        if self._state is not None:
            save_state(self._state, self.simulation.save())

    async def _follow_faults(self) -> None:
        """Closes and reopens listeners as the devices' conditions say."""
        while True:
            for device_id, endpoint in self._endpoints.items():
                down = endpoint.unit.condition.disconnected
                if down and endpoint.listening:
                    await endpoint.stop()
                elif not down and not endpoint.listening:
                    await self._reopen(device_id, endpoint)
            await asyncio.sleep(self._step_s)

    @staticmethod
    async def _reopen(device_id: str, endpoint: ModbusEndpoint) -> None:
        try:
            await endpoint.start()
        except OSError as exc:
            _log.warning("%s: %s; trying again with the next step", device_id, exc)


async def serve(served: ServedHome, announce: Callable[[Addresses], None], stop: asyncio.Event) -> None:
    """Listens, announces the addresses, and runs until `stop` is set."""
    async with served.listening():
        announce(served.addresses())
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(served.run())
            await stop.wait()
            running.cancel()
