"""The tie to the simulator: the only module of the product that imports `hw_sim`.

The gateway's side sees nothing but links in memory; what is really the case is read from the plant, never through
the gateway.
"""

import json
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cem.io.virtual import VirtualClock
from cem.model.errors import CemError
from cem.ports import (
    ByteSink,
    Caller,
    CallPort,
    CallSink,
    ConnectionSink,
    DriverContext,
    LevelSink,
    LossSink,
    MessageSink,
    PduPort,
    PinPort,
    StreamPort,
    TopicPort,
)
from hw_sim.calls import Dial, Line
from hw_sim.cross_checks import faults_of_fault
from hw_sim.happenings import FaultSpec
from hw_sim.home import Home, HomeError, home_of, in_words, table_of, text_of
from hw_sim.lines import MemoryLine
from hw_sim.physics.heat_pump import cop_at
from hw_sim.pins import PinProcess
from hw_sim.profiled.find import catalogue
from hw_sim.scenario import Scenario as TiedHome
from hw_sim.scenario import is_scenario, scenario_of
from hw_sim.simulation import SimulatedHome
from hw_sim.specs import LINES, DeviceSpec, EvSpec, HeatPumpSpec
from hw_sim.truth import BatteryTruth, EvTruth, PvTruth, Truth

__all__ = [
    "BatteryTruth",
    "EvSpec",
    "EvTruth",
    "HeatPumpSpec",
    "Home",
    "HomeUnusable",
    "Link",
    "PvTruth",
    "SimulatedHome",
    "TiedHome",
    "Truth",
    "Wire",
    "begins_at",
    "cop_at",
    "fault_troubles",
    "has_registers",
    "home_in",
    "is_scenario",
    "links_of",
    "open_home",
    "read_table",
    "tied",
]

Link = Mapping[str, str | int | float | bool]
BROKER = "broker"
"""The host that stands for the home's broker in memory."""
CENTRAL = "switchboard"
"""The address that stands for where chargers call in, in memory."""
BOARD = "board"
"""Who is written to at a pin on which nothing hangs."""
WRITING_FUNCTIONS = frozenset({5, 6, 15, 16, 22, 23})
"""Function codes of Modbus that change something at the device."""
ASKS = re.compile(rb'"method"\s*:\s*"[^".]*\.Get')
"""Of a request in JSON-RPC: it only reads."""
OCPP_PORT = 8887
WRITING_ACTIONS = frozenset(
    {
        *("SetChargingProfile", "ClearChargingProfile", "ChangeConfiguration", "SetVariables"),
        *("RemoteStartTransaction", "RequestStartTransaction"),
    }
)
"""What a central system says that changes something at the charger."""


class HomeUnusable(CemError):  # noqa: N818 - the field's word
    """A home or scenario file that can't be simulated; `faults` names every fault with its path, the message too."""

    def __init__(self, source: str, faults: Sequence[str]) -> None:
        super().__init__("\n".join(f"{source}: {fault}" for fault in faults))
        self.faults = tuple(faults)


def read_table(path: Path) -> dict[str, Any]:
    """The parsed TOML of a file; raises HomeUnusable."""
    try:
        return table_of(text_of(path), str(path))
    except HomeError as error:
        raise HomeUnusable(error.source, error.faults) from error


def open_home(path: Path) -> Home:
    """The home of a home file; raises HomeUnusable with every fault, one a line."""
    return home_in(read_table(path), path)


def home_in(table: dict[str, Any], path: Path) -> Home:
    """The home of a parsed home file; raises HomeUnusable."""
    try:
        return home_of(table, str(path))
    except HomeError as error:
        raise HomeUnusable(error.source, error.faults) from error


def tied(table: dict[str, Any], path: Path) -> TiedHome:
    """A parsed scenario file tied to its home, with its time line in it; raises HomeUnusable.

    Homes are looked for beside `path`, then among the ready-made ones.
    """
    try:
        return scenario_of(table, path)
    except HomeError as error:
        raise HomeUnusable(error.source, error.faults) from error


def fault_troubles(home: Home, fault: Mapping[str, Any]) -> list[str]:
    """What is wrong with a fault (target, kind and what the kind takes) for this home, each with its key."""
    try:
        spec = FaultSpec.model_validate({"at_s": 0.0} | dict(fault))
    except ValidationError as error:
        return in_words(error, "kind")
    return faults_of_fault(home, spec)


def begins_at(home: Home, text: str | None) -> datetime | None:
    """The start as aware UTC, of the text if given, else the home's own; raises ValueError for what is no time."""
    return home.begins_at(text)


def links_of(home: SimulatedHome) -> list[Link]:
    """The link tables under which a home's devices are found: one per Modbus device, per line and per thing on pins,
    one for the broker, one for all that call in. What stands there with a profile is known to whoever set it up."""
    links: list[Link] = []
    brokered = calling = False
    for spec in home.home.device:
        if spec.calls_in:
            calling = True
        elif spec.on_pins:
            links.append(_wired(spec))
        elif spec.on_line:
            links.append({"kind": "serial", "device": spec.id})
        elif has_registers(home, spec.id):
            kind = "rtu-tcp" if spec.link in LINES else "tcp"
            profile = {"profile": _named(spec.profile)} if spec.profile is not None else {}
            links.append({"kind": kind, "host": spec.id, "port": home.port(spec.id), "unit": spec.unit, **profile})
        else:
            brokered = True
    links += [{"kind": "mqtt", "host": BROKER, "port": 1883}] if brokered else []
    return [*links, {"kind": "ocpp", "listen": CENTRAL, "port": OCPP_PORT}] if calling else links


def _named(profile: str) -> str:
    """A profile as a site file names it: by its id where it ships, else by its path."""
    path = Path(profile)
    return path.stem if path.parent == catalogue() else profile


ROLES_ON_PINS = {"gpio.sg_ready": "heat_pump", "gpio.relay": "load", "gpio.pulses": "pv", "gpio.contacts": "contacts"}


def _wired(spec: DeviceSpec) -> Link:
    """What an installer would say of a device on pins."""
    words = f"{' active-low' if spec.active_low else ''}{' nc' if spec.nc else ''}"
    pins = {name: f"{pin}{words if name != 's0' else ''}" for name, pin in spec.pins.items()}
    meter: Link = {"pulses_per_kwh": spec.pulses_per_kwh} if "s0" in spec.pins else {}
    return {"kind": "gpio", "role": ROLES_ON_PINS[spec.kind], **pins, **meter}


def has_registers(home: SimulatedHome, device_id: str) -> bool:
    """Whether a simulated device speaks Modbus."""
    try:
        home.modbus(device_id)
    except KeyError:
        return False
    return True


@dataclass
class Wire:
    """The links in memory between drivers and simulated devices, and what went over them.

    `writes` counts what left the gateway by the simulated device's id: Modbus requests that change something, messages
    published, and what changes a charger that called in. `on_write` is called with (device id, the bytes or the topic
    with its payload).
    """

    home: SimulatedHome
    clock: VirtualClock
    writes: dict[str, int] = field(default_factory=dict)
    on_write: Callable[[str, bytes], None] | None = None

    def context(self) -> DriverContext:
        """What the drivers get."""
        return DriverContext(
            self.clock.monotonic,
            pdu=self._pdu,
            topics=self._topics,
            streams=self._streams,
            pins=_Pins(self),
            calls=self._calls,
            wall=self._wall,
        )

    def device_of(self, serial: str) -> str | None:
        """The simulated device with that serial number."""
        return next((spec.id for spec in self.home.home.device if self.home.serial(spec.id) == serial), None)

    def wrote(self, device_id: str, what: bytes) -> None:
        """Counts one write."""
        self.writes[device_id] = self.writes.get(device_id, 0) + 1
        if self.on_write is not None:
            self.on_write(device_id, what)

    def published(self, topic: str, payload: bytes) -> None:
        """Counts one message, for the device whose serial number the topic names; not what only asks."""
        if _only_asks(topic, payload):
            return
        levels: Sequence[str] = topic.split("/")
        owner = next((found for level in levels if (found := self.device_of(level)) is not None), BROKER)
        self.wrote(owner, topic.encode() + b" " + payload)

    def _pdu(self, link: Link) -> PduPort:
        return _CountedPdus(self, str(link["host"]))

    def _topics(self, link: Link) -> TopicPort:
        del link
        return _CountedTopics(self)

    def _streams(self, link: Link) -> StreamPort:
        return _Line(self.home.line(str(link["device"])))

    def _calls(self, link: Link) -> CallPort:
        del link
        return _CountedCalls(self)

    def _wall(self) -> datetime:
        return self.clock.now().wall

    def caller(self, identity: str) -> str | None:
        """The simulated device that calls under that name."""
        return next((spec.id for spec in self.home.home.device if spec.calls_in and spec.called == identity), None)


def _only_asks(topic: str, payload: bytes) -> bool:
    """Whether a message is a request that reads (JSON-RPC: Component.GetSomething)."""
    return topic.endswith("/rpc") and ASKS.search(payload) is not None


class _CountedPdus:
    """The in-memory Modbus link of one device."""

    def __init__(self, wire: Wire, device_id: str) -> None:
        self._wire = wire
        self._id = device_id
        self._unit = wire.home.modbus(device_id)

    def exchange(self, unit: int, pdu: bytes) -> Coroutine[Any, Any, bytes]:
        """One request and its answer."""
        if pdu[0] in WRITING_FUNCTIONS:
            self._wire.wrote(self._id, pdu)
        return self._unit.exchange(unit, pdu)


class _Line:
    """The line of a meter that speaks by itself: nothing can be written to it."""

    def __init__(self, line: MemoryLine) -> None:
        self._line = line
        self._listening = False

    async def start(self, on_bytes: ByteSink, on_lost: LossSink) -> None:
        """Listens; raises ConnectionError where the line is down or somebody else listens."""
        self._line.listen(on_bytes, on_lost)
        self._listening = True

    def stop(self) -> None:
        """Listens no more."""
        if self._listening:
            self._listening = False
            self._line.leave()


class _CountedTopics:
    """A connection to the home's broker."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._client = wire.home.broker.client()

    async def start(self, on_message: MessageSink, on_connection: ConnectionSink) -> None:
        """Connects."""
        await self._client.start(on_message, on_connection)

    def subscribe(self, topic_filter: str) -> None:
        """Subscribes."""
        self._client.subscribe(topic_filter)

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> bool:
        """Sends if connected."""
        sent = self._client.publish(topic, payload, retain)
        if sent:
            self._wire.published(topic, payload)
        return sent

    async def stop(self) -> None:
        """Disconnects."""
        await self._client.stop()


class _CountedCalls:
    """Where the home's chargers call in."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._sink: CallSink

    async def start(self, sink: CallSink) -> None:
        """Answers from now on."""
        self._sink = sink
        self._wire.home.switchboard.answer(self._pick, self._serve)

    async def stop(self) -> None:
        """Answers no more."""
        await self._wire.home.switchboard.hang_up(self._serve)

    def _pick(self, dial: Dial) -> str | int:
        return self._sink.admit(_caller(dial))

    async def _serve(self, dial: Dial, protocol: str, line: Line) -> None:
        stream = _CountedLine(self._wire, self._wire.caller(dial.path) or dial.path, line)
        await self._sink.serve(_caller(dial), protocol, stream)


def _caller(dial: Dial) -> Caller:
    password = None if dial.password is None else dial.password.encode()
    return Caller(dial.path, dial.protocols, dial.user, password, "the home")


class _CountedLine:
    """One charger's connection."""

    def __init__(self, wire: Wire, device_id: str, line: Line) -> None:
        self._wire = wire
        self._id = device_id
        self._line = line

    async def recv(self) -> str:
        """The next message."""
        return await self._line.recv()

    async def send(self, text: str) -> None:
        """Sends one message."""
        frame = json.loads(text)
        if frame[0] == 2 and frame[2] in WRITING_ACTIONS:
            self._wire.wrote(self._id, text.encode())
        await self._line.send(text)

    async def close(self) -> None:
        """Hangs up."""
        await self._line.close()


class _Pins:
    """The pins for one process: a gateway that starts takes them over from the one before it."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def __call__(self, link: Link, /) -> PinPort:
        """A process at the home's board."""
        del link
        return _CountedPins(self._wire)


class _CountedPins:
    """What a process has of the board's pins."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._process: PinProcess = wire.home.pins.process()
        wired = [(pin, spec.id, name) for spec in wire.home.home.device for name, pin in spec.pins.items()]
        self._owners = {pin: (device, f"pin/{name}") for pin, device, name in wired}

    @property
    def connected(self) -> bool:
        """Whether it holds the pins."""
        return self._process.connected

    async def start(self, on_level: LevelSink) -> str:
        """Connects."""
        return await self._process.start(on_level)

    def left(self) -> frozenset[int]:
        """What the process before it left driven."""
        return self._process.left()

    def drive(self, pin: int, high: bool | None) -> None:
        """Drives a pin."""
        self._process.drive(pin, high)
        device, name = self._owners.get(pin, (BOARD, f"pin/{pin}"))
        self._wire.wrote(device, f"{name} {high}".encode())

    async def stop(self) -> None:
        """Lets go."""
        await self._process.stop()
