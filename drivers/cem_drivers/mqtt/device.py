"""One MQTT device, as its profile describes it."""

import asyncio
import json
import logging
import math
from collections.abc import Sequence

from cem.driver import (
    Control,
    ControlSpec,
    DeviceConfig,
    DriverContext,
    Identity,
    NoAnswer,
    Reading,
    Refused,
    Resource,
    Storage,
    WrongDevice,
)
from cem_drivers.mqtt.broker import BROKERS, Broker
from cem_drivers.mqtt.contacts import ContactControl
from cem_drivers.mqtt.listener import Listener
from cem_drivers.mqtt.messages import Payload
from cem_drivers.mqtt.owner import OwnersValues
from cem_drivers.mqtt.profile import ControlRow, Profile, Publish
from cem_drivers.mqtt.rpc_tables import Contacts
from cem_drivers.profiles.tables import ControlTable
from cem_drivers.table import number, text

OPEN_TIMEOUT_S = 3.0
OPEN_LONGEST_S = 7.0  # connecting, identity and sign of life together: whoever opens gives up a second later
LATE_S = 1.0  # a sign of life may come this much later than the profile promises
ASK_S = 0.3  # a poll waits so long for what it asked; what comes later is read by the next one
SETTLE_S = 0.3  # the other retained messages come together with the serial number

_LOG = logging.getLogger(__name__)


class MqttDevice:
    """A device of the site file behind a broker."""

    def __init__(self, config: DeviceConfig, profile: Profile, context: DriverContext) -> None:
        self._config = config
        self._profile = profile
        self._context = context
        self._timeout_s = min(number(config.link, "timeout_s", OPEN_TIMEOUT_S), OPEN_LONGEST_S)
        self._prefix = text(config.link, "prefix", profile.link.prefix).rstrip("/")
        self._broker: Broker | None = None
        self._listener: Listener | None = None
        self._identity: Identity | None = None
        self._owners = {row.id: OwnersValues(row) for row in profile.control}
        self._asked_at_s = float("-inf")
        self._rows = [
            (
                row,
                row.id.partition(".")[2],
                tuple(one.id for one in config.resources if one.role == row.id.split(".")[0]),
            )
            for row in profile.point
        ]  # each with its point and the resources that have it
        self._contacts = {
            row.id: ContactControl(config.id, config.serial, row, profile.rpc, context.monotonic)
            for row in profile.contacts
            if profile.rpc is not None
        }

    @property
    def id(self) -> str:
        """The device's id in the site file."""
        return self._config.id

    async def open(self) -> Identity:
        """Connects to the broker and waits for the identity, which may be retained, and for one live message.

        Takes 7 s at most. Raises NoAnswer (retained messages alone prove no life), WrongDevice.
        """
        await self.close()
        last_s = asyncio.get_running_loop().time() + OPEN_LONGEST_S
        broker = self._broker = BROKERS.take(self._config.link, self._profile.link.port, self._context)
        serial = text(self._config.link, "serial", self._config.serial or "") or None
        listener = self._listener = Listener(self.id, self._profile, self._prefix, serial, self._context.monotonic)
        try:
            await listener.start(broker)
            identity = await self._identify(broker, listener)
            await self._sign_of_life(broker, listener, last_s)
            self._identity = identity
        except OSError as error:
            raise NoAnswer(f"{self.id}: broker {broker.name}: {error}; check password_file and ca_file") from error
        finally:
            if self._identity is None:
                await self.close()
        assert self._identity is not None
        return self._identity

    def controls(self) -> Sequence[ControlSpec]:
        """What may be written; () for a device that is read only or has no serial number in the site file."""
        if self._why_not_written() is not None:
            return ()
        return [
            _spec(resource, row)
            for resource in self._config.resources
            for row in self._profile.controls
            if Control(row.id) in resource.controls
        ]

    async def poll(self) -> Sequence[Reading]:
        """The newest live value of each point; raises NoAnswer when the device is silent or gone."""
        if self._profile.rpc is not None:
            await self._ask(self._reached()[1])
        messages = self._living()[1].messages
        readings: list[Reading] = []
        for row, point, resource_ids in self._rows:
            taken_at_s = messages.taken_at_s(row)
            if taken_at_s is None:
                continue  # a retained value has no age
            value = messages.value(row)
            readings += [Reading(resource_id, point, value, taken_at_s) for resource_id in resource_ids]
        return readings

    async def write(self, resource_id: str, control: Control, value: float) -> None:
        """Publishes what differs from what the device reports, and waits until it reports it.

        Raises Refused when the device refuses, NoAnswer when it says nothing or the broker is away.
        """
        row = self._row(resource_id, control)
        if isinstance(row, Contacts):
            await self._contacts[row.id].write(self._reached()[1], value)
            return
        limits = row.limits
        if not math.isfinite(value) or value < 0:
            raise Refused(
                f"{self.id}: {value} is no value for {control}; allowed are 0 and {limits.min:g} to {limits.max:g}"
            )
        whole = limits.step * math.floor(min(value, limits.max) / limits.step + 1e-9)
        if whole < limits.min:
            if not limits.zero:
                raise Refused(f"{self.id}: {value:g} is below {limits.min:g}, the lowest value for {control}")
            await self._publish_all(row, row.write_zero, 0.0)
        else:
            await self._publish_all(row, row.write, whole)

    async def read_back(self, resource_id: str, control: Control) -> float | None:
        """The value as the device reports it; None when none is in force. Raises NoAnswer when it is silent."""
        if control in self._contacts:
            return await self._contacts[control].read_back(self._reached()[1])
        messages = self._living()[1].messages
        row = next((row for row in self._profile.control if row.id == control), None)
        if row is None:
            return None
        held = messages.case(row.read_back)
        return held if isinstance(held, float | int) else self._owners[row.id].still_ours(messages)

    async def release(self, resource_id: str, control: Control) -> None:
        """Hands the control back with what the owner had set; publishes nothing that is already so.

        Raises Refused when the device refuses to be released, NoAnswer when it does not confirm.
        """
        if self._why_not_written() is not None:
            return
        row = self._row(resource_id, control)
        if isinstance(row, Contacts):
            await self._contacts[row.id].release(self._reached()[1])
        else:
            await self._hand_back(row)

    async def close(self) -> None:
        """Lets go of the broker connection."""
        broker, self._broker = self._broker, None
        listener, self._listener = self._listener, None
        self._identity = None
        if listener is not None:
            listener.stop()
        if broker is not None:
            await BROKERS.drop(broker)

    # --- identity and life ---------------------------------------------------------------------------------

    async def _identify(self, broker: Broker, listener: Listener) -> Identity:
        names, messages = self._profile.identify, listener.messages
        wanted = [name for name in (names.model, names.version) if name is not None]
        if self._profile.rpc is not None:
            await self._ask_who(broker, listener)
        known = await listener.until(lambda: messages.holds(names.serial), self._timeout_s)
        if known:
            await listener.until(lambda: all(messages.holds(name) for name in wanted), SETTLE_S)
        if not broker.connected:
            raise NoAnswer(
                f"{self.id}: no connection to the broker {broker.name} in {self._timeout_s:g} s; tried on. "
                "Check that it runs, and host, port, username and password_file"
            )
        insisted = self._config.serial
        if not known:
            if insisted is not None and listener.seen and listener.serial not in listener.seen:
                raise WrongDevice(self._other_serial(", ".join(sorted(listener.seen.values()))))
            topic = f"{listener.base(listener.serial or '+')}/{names.serial}"
            raise NoAnswer(
                f"{self.id}: nothing under {topic} at the broker {broker.name} in {self._timeout_s:g} s. "
                "Check that MQTT is switched on in the device, its broker and its topic prefix"
            )
        serial = str(messages.payload(names.serial) or "")
        if insisted is not None and serial != insisted:
            raise WrongDevice(self._other_serial(serial))
        if insisted is None and "serial" not in self._config.link and len(listener.seen) > 1:
            raise WrongDevice(
                f"{self.id}: several devices under {self._prefix}: {', '.join(sorted(listener.seen.values()))}; "
                "name one by 'serial' in the site file"
            )

        def told(topic: str | None) -> str:
            return "" if topic is None else str(messages.payload(topic) or "")

        return Identity(names.maker, told(names.model), serial, told(names.version))

    async def _ask_who(self, broker: Broker, listener: Listener) -> None:
        """Asks who is there, and how it stands, as soon as the broker and somebody to ask are there."""
        rpc = self._profile.rpc
        assert rpc is not None
        if await listener.until(lambda: broker.connected and listener.serial is not None, self._timeout_s):
            listener.request(rpc.identify.method, {}, rpc.identify.into)
            listener.request(rpc.status.method, {}, rpc.status.into)

    async def _ask(self, listener: Listener) -> None:
        """Asks for the status where the last answer is too old, and waits a little for it."""
        rpc, now_s = self._profile.rpc, self._context.monotonic()
        assert rpc is not None
        if now_s - self._asked_at_s < rpc.every_s:
            return
        self._asked_at_s = now_s
        number = listener.request(rpc.status.method, {}, rpc.status.into)
        await listener.until(lambda: not listener.waits(number), ASK_S)

    async def _sign_of_life(self, broker: Broker, listener: Listener, last_s: float) -> None:
        """Waits for a live message; NoAnswer without one. The last will is the broker's, not the device's."""
        messages, life = listener.messages, self._profile.life

        def lives() -> bool:
            down = life.down is not None and messages.payload(life.down.topic) == life.down.equals
            return messages.live_at_s is not None and not down

        wait_s = max(0.0, min(life.every_s + LATE_S, last_s - asyncio.get_running_loop().time()))
        if not await listener.until(lives, wait_s):
            raise NoAnswer(
                f"{self.id}: the broker {broker.name} holds what it said earlier, and it said nothing in "
                f"{wait_s:.1f} s; alive, it does every {life.every_s:g} s. Check its power and its network"
            )

    def _other_serial(self, seen: str) -> str:
        return (
            f"{self.id}: serial number {seen!r} is there, the site file says {self._config.serial!r}; nothing is "
            "written. Check the broker and the prefix, or put the new serial number into the site file"
        )

    def _reached(self) -> tuple[Broker, Listener]:
        """Broker and listener, if nothing says that the device is gone; else NoAnswer."""
        broker, listener, life = self._broker, self._listener, self._profile.life
        if broker is None or listener is None or self._identity is None:
            raise NoAnswer(f"{self.id}: not open")
        if not broker.connected:
            raise NoAnswer(
                f"{self.id}: the connection to the broker {broker.name} is lost; it is tried again by itself"
            )
        if listener.answered_by is not None and listener.answered_by != self._identity.serial:
            raise WrongDevice(self._other_serial(listener.answered_by))
        if life.down is not None and listener.messages.payload(life.down.topic) == life.down.equals:
            raise NoAnswer(
                f"{self.id}: the broker {broker.name} says that it is gone ({life.down.topic}); check its power"
            )
        return broker, listener

    def _living(self) -> tuple[Broker, Listener]:
        """Broker and listener, if the device said something lately; else NoAnswer."""
        broker, listener = self._reached()
        messages, life = listener.messages, self._profile.life
        last_s = messages.live_at_s if messages.live_at_s is not None else listener.since_s
        silent_s = self._context.monotonic() - last_s
        if silent_s > life.expire_s:
            raise NoAnswer(
                f"{self.id}: no message for {silent_s:.0f} s, allowed are {life.expire_s:g} s; "
                "check its power and its network"
            )
        return broker, listener

    # --- writing -------------------------------------------------------------------------------------------

    def _why_not_written(self) -> str | None:
        if self._config.read_only:
            return "it is read only"
        if self._config.serial is None:
            return "the site file has no serial number to insist on"
        return None

    def _row(self, resource_id: str, control: Control) -> ControlRow | Contacts:
        why = self._why_not_written()
        owned = any(resource.id == resource_id and control in resource.controls for resource in self._config.resources)
        row = next((row for row in self._profile.controls if owned and row.id == control), None)
        if why is None and row is not None:
            return row
        raise Refused(f"{self.id}: {control} is not written: {why or 'it has no such control'}")

    async def _publish_all(self, row: ControlRow, publications: Sequence[Publish], value: float) -> None:
        """One after the other, each confirmed before the next."""
        broker, listener = self._living()
        self._owners[row.id].look(listener.messages)
        for publication in publications:
            wanted: Payload = publication.value
            if publication.value == "$setpoint":
                wanted = int(value) if value == int(value) else value
            self._owners[row.id].sending(publication.topic, wanted)
            if self._send(broker, listener, publication.topic, wanted):
                await self._confirm(listener, publication.topic, wanted, row.confirm_s)

    async def _hand_back(self, row: ControlRow) -> None:
        """Sends everything at once and then waits, for a stop has two seconds; the owner's values come first.

        A refused owner's value must not keep the device from being released: it is told and left.
        """
        broker, listener = self._living()
        owners, messages, control = self._owners[row.id], listener.messages, Control(row.id)
        owners.look(messages)
        ratings = [resource.ratings for resource in self._config.resources if control in resource.controls]
        restored = {
            restore.topic: wanted
            for restore in row.restore
            if (wanted := owners.due(restore, messages, ratings)) is not None
        }
        for restore in row.restore:
            if owners.lost(restore, messages):
                self._tell_lost(restore.topic, messages.payload(restore.topic), restored.get(restore.topic))
        released = {publication.topic: publication.value for publication in row.release}
        sent = {
            topic: wanted
            for topic, wanted in (restored | released).items()
            if self._send(broker, listener, topic, wanted)
        }
        until_s = asyncio.get_running_loop().time() + row.confirm_s
        for topic in sorted(sent, key=lambda topic: topic in restored):
            try:
                left_s = max(until_s - asyncio.get_running_loop().time(), 0.0)
                await self._confirm(listener, topic, sent[topic], left_s)
            except Refused as error:
                if topic not in restored:
                    raise
                _LOG.warning("%s; it stays as it is. Set it in the device's app", error)
        owners.forget()

    def _tell_lost(self, topic: str, present: Payload, restored: Payload) -> None:
        if restored is not None:
            then = f"set to {json.dumps(restored)}, the largest that the device and the site file allow"
        else:
            then = f"it stays at {json.dumps(present)}, the site file's max_current_a allows or tells no other"
        _LOG.warning(
            "%s: %s was ours already when we came, the owner's value is not known; %s. Look at it in the device's app",
            self.id,
            topic,
            then,
        )

    def _send(self, broker: Broker, listener: Listener, topic: str, wanted: Payload) -> bool:
        """Sends what is not so already, which spares the flash, and says whether it did; NoAnswer without a broker."""
        messages, suffix = listener.messages, self._profile.link.set_suffix
        if messages.holds(topic) and messages.payload(topic) == wanted:
            return False
        listener.results.pop(topic, None)
        if not broker.publish(listener.topic(topic + suffix), json.dumps(wanted).encode()):
            raise NoAnswer(
                f"{self.id}: not connected to the broker {broker.name}; {topic} was not sent and is not kept"
            )
        return True

    async def _confirm(self, listener: Listener, topic: str, wanted: Payload, within_s: float) -> None:
        """Waits until the device reports what was sent; raises Refused, NoAnswer."""
        link, results, messages = self._profile.link, listener.results, listener.messages

        def reported() -> bool:
            return messages.payload(topic) == wanted

        def refused() -> bool:
            return results.get(topic, link.result_ok) != link.result_ok

        await listener.until(lambda: reported() or refused(), within_s)
        sent = json.dumps(wanted)
        if refused():
            raise Refused(
                f"{self.id}: {topic}{link.set_suffix} {sent} was answered with {results[topic]!r}; "
                "check that writing over MQTT is allowed in the device"
            )
        if not reported():
            raise NoAnswer(
                f"{self.id}: {topic} was set to {sent} and still reads {json.dumps(messages.payload(topic))} after "
                f"{within_s:.1f} s; not sent again before it is read back. "
                "Check that writing over MQTT is allowed in the device"
            )


def _spec(resource: Resource, row: ControlTable) -> ControlSpec:
    verify = row.verify
    return ControlSpec(
        resource_id=resource.id,
        control=Control(row.id),
        falls_back_to=row.falls_back_to,
        storage=Storage(row.storage),
        dead_band=row.dead_band,
        min_interval_s=row.budget.min_interval_s,
        daily_budget=row.budget.daily,
        refresh_s=row.refresh_s,
        device_timeout_s=row.device_timeout_s,
        timeout_proven=row.timeout_proven,
        effect_point=verify.effect if verify is not None else None,
        effect_tolerance=verify.tol if verify is not None else 0.0,
        effect_within_s=verify.within_s if verify is not None else 30.0,
    )
