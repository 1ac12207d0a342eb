"""The simulated home on real sockets and in real time."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from hw_sim.broker import EmbeddedBroker
from hw_sim.call_websocket import WebSocketCall
from hw_sim.calls import CallLink
from hw_sim.devices import charger, shelly
from hw_sim.devices.ocpp_charger import dial_of
from hw_sim.files import save_state, write_truth
from hw_sim.happenings import BROKER
from hw_sim.homefile import Home
from hw_sim.lines import LineEndpoint, PtyLineEndpoint, TcpLineEndpoint
from hw_sim.modbus_server import Endpoint, PtyEndpoint, TcpEndpoint
from hw_sim.paho_link import PahoLink
from hw_sim.pins import PinSocket
from hw_sim.simulation import SavedHome, SimulatedHome, will_of
from hw_sim.specs import DeviceSpec
from hw_sim.topics import TopicLink

STEP_S = 0.2
CENTRAL_PORT = 8887
"""Where chargers call when nobody says otherwise."""
_log = logging.getLogger("hw_sim")

Addresses = dict[str, object]


class ServedHome:
    """One home with its listeners. `ports` (device id or "mqtt" to port) overrides the home file's.

    `saved` is taken over at the start; with `state` and `truth` those files are written with every step.
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
        truth: Path | None = None,
        step_s: float = STEP_S,
    ) -> None:
        self.home = home
        self._start = start
        self._seed = seed
        self._ports = dict(ports or {})
        self._saved = saved
        self._state = state
        self._truth = truth
        self._step_s = step_s
        self._endpoints: dict[str, Endpoint] = {}
        self._lines: dict[str, LineEndpoint] = {}
        self._broker: EmbeddedBroker | None = None
        self._pins: PinSocket | None = None
        self._pin_path = Path(home.gpio.socket).absolute()
        self.simulation: SimulatedHome

    @property
    def _brokered(self) -> bool:
        return any(spec.over_mqtt for spec in self.home.device)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["ServedHome"]:
        """All listeners are up inside; raises OSError where a port is taken. `run` has still to be called."""
        try:
            await self._start_broker()
            self.simulation = SimulatedHome(
                self.home,
                self._start,
                seed=self._seed,
                step_s=self._step_s,
                link_of=self._link_of,
                call_of=self._call_of,
                after_step=self._keep,
            )
            if self._saved is not None:
                self.simulation.restore(self._saved)
            for spec in self.home.device:
                if spec.over_mqtt or spec.calls_in or spec.on_pins:
                    continue
                if spec.on_line:
                    self._lines[spec.id] = line = self._line_of(spec)
                    await line.start()
                    continue
                endpoint = self._endpoint_of(spec)
                await endpoint.start()
                self._endpoints[spec.id] = endpoint
            if any(spec.on_pins for spec in self.home.device):
                self._pins = PinSocket(self.simulation.pins, self._pin_path)
                await self._pins.start()
            self._keep()
            yield self
        finally:
            if self._pins is not None:
                await self._pins.stop()
            for endpoint in self._endpoints.values():
                await endpoint.stop()
            for line in self._lines.values():
                await line.stop()
            if self._broker is not None:
                await self._broker.stop()

    async def _start_broker(self) -> None:
        mqtt = self.home.mqtt
        if not self._brokered:
            return
        port = mqtt.port
        if mqtt.embedded:
            self._broker = EmbeddedBroker(mqtt.host, self._ports.get("mqtt", port))
            await self._broker.start()
            port = self._broker.port
        self._ports["mqtt"] = port

    def _line_of(self, spec: DeviceSpec) -> LineEndpoint:
        line = self.simulation.line(spec.id)
        if spec.line == "pty":
            return PtyLineEndpoint(line, Path(spec.tty) if spec.tty is not None else None)
        return TcpLineEndpoint(line, spec.host, self._ports.get(spec.id, spec.port))

    def _link_of(self, spec: DeviceSpec) -> TopicLink:
        mqtt = self.home.mqtt
        client_id = _topic(spec).replace("/", "-")
        return PahoLink(mqtt.host, self._ports["mqtt"], client_id, will_of(spec), mqtt.username, mqtt.password)

    def _call_of(self, spec: DeviceSpec) -> CallLink:
        return WebSocketCall(self._url(spec), dial_of(spec), spec.ca_file)

    def _url(self, spec: DeviceSpec) -> str:
        """Where a device calls: as it says, else at its host, where `port` 0 means the usual one."""
        return spec.calls or f"ws://{spec.host}:{self._ports.get(spec.id, spec.port) or CENTRAL_PORT}"

    def _endpoint_of(self, spec: DeviceSpec) -> Endpoint:
        unit = self.simulation.modbus(spec.id)
        if spec.link == "rtu":
            return PtyEndpoint(unit, Path(spec.tty) if spec.tty is not None else None)
        return TcpEndpoint(unit, spec.host, self._ports.get(spec.id, spec.port), rtu=spec.link == "rtu-tcp")

    def endpoint(self, device_id: str) -> Endpoint:
        """The listener of a Modbus device; raises KeyError for another id."""
        return self._endpoints[device_id]

    def addresses(self) -> Addresses:
        """Where everything is, as JSON types."""
        devices: dict[str, object] = {}
        for spec in self.home.device:
            if spec.over_mqtt:
                devices[spec.id] = {
                    "kind": spec.kind,
                    "host": self.home.mqtt.host,
                    "port": self._ports["mqtt"],
                    "serial": self.simulation.serial(spec.id),
                    "topic": _topic(spec),
                }
            elif spec.on_line:
                where = self._lines[spec.id].address()
                devices[spec.id] = {"kind": spec.kind, **where, "serial": self.simulation.serial(spec.id)}
            elif spec.calls_in:
                devices[spec.id] = {
                    "kind": spec.kind,
                    "calls": self._url(spec),
                    "identity": spec.called,
                    "serial": self.simulation.serial(spec.id),
                }
            elif spec.on_pins:
                assert self._pins is not None
                devices[spec.id] = {
                    "kind": spec.kind,
                    "socket": str(self._pins.path),
                    "serial": self.simulation.serial(spec.id),
                    "pins": dict(spec.pins),
                }
            else:
                devices[spec.id] = {
                    "kind": spec.kind,
                    "link": spec.link or "tcp",
                    **self._endpoints[spec.id].where(),
                    "unit": spec.unit,
                    "serial": self.simulation.serial(spec.id),
                }
        mqtt = None
        if self._brokered:
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
        """Writes the files with every step, in the loop, so that no counter is read that a kill could undo."""
        if self._state is not None:
            save_state(self._state, self.simulation.save())
        if self._truth is not None:
            write_truth(self._truth, self.simulation.truth())

    async def _follow_faults(self) -> None:
        """Closes and reopens listeners as the devices' conditions say, and the broker's."""
        while True:
            await self._follow_broker()
            for device_id, endpoint in self._endpoints.items():
                down = endpoint.unit.condition.disconnected
                if down and endpoint.listening:
                    await endpoint.stop()
                elif not down and not endpoint.listening:
                    await self._reopen(device_id, endpoint)
            for device_id, line in self._lines.items():
                down = self.simulation.fronts[device_id].condition.disconnected
                if down and line.listening:
                    await line.stop()
                elif not down and not line.listening:
                    await self._reopen(device_id, line)
            await asyncio.sleep(self._step_s)

    async def _follow_broker(self) -> None:
        broker = self._broker
        if broker is None:
            return
        down = "broker_down" in self.simulation.faults.condition(BROKER)
        if down and broker.listening:
            await broker.stop()
        elif not down and not broker.listening:
            try:
                await broker.start()
            except OSError as exc:
                _log.warning("broker: %s; trying again with the next step", exc)

    @staticmethod
    async def _reopen(device_id: str, endpoint: Endpoint | LineEndpoint) -> None:
        try:
            await endpoint.start()
        except OSError as exc:
            _log.warning("%s: %s; trying again with the next step", device_id, exc)


def _topic(spec: DeviceSpec) -> str:
    """The topic under which a device is found."""
    return charger.prefix_of(spec).rstrip("/") if spec.kind == "goe.charger" else shelly.prefix_of(spec)


async def serve(served: ServedHome, announce: Callable[[Addresses], None], stop: asyncio.Event) -> None:
    """Listens, announces the addresses, and runs until `stop` is set."""
    async with served.listening():
        announce(served.addresses())
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(served.run())
            await stop.wait()
            running.cancel()
