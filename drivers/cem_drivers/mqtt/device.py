"""One MQTT device, as its profile describes it."""

import asyncio
from collections.abc import Sequence

from cem.driver import (
    Complaint,
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
from cem_drivers.mqtt.asking import Asking
from cem_drivers.mqtt.broker import BROKERS, Broker
from cem_drivers.mqtt.contacts import ContactControl
from cem_drivers.mqtt.control import TopicControl
from cem_drivers.mqtt.listener import Listener
from cem_drivers.mqtt.messages import pointed
from cem_drivers.mqtt.profile import Profile
from cem_drivers.mqtt.rows import Condition
from cem_drivers.mqtt.topics import Topics
from cem_drivers.profiles.tables import ControlTable
from cem_drivers.table import number, text

OPEN_TIMEOUT_S = 3.0
OPEN_LONGEST_S = 7.0  # connecting, identity and sign of life together: whoever opens gives up a second later
LATE_S = 1.0  # a sign of life may come this much later than the profile promises
ASK_S = 0.3  # a poll waits so long for what it asked; what comes later is read by the next one
SETTLE_S = 0.3  # the other retained messages come together with the serial number


class MqttDevice:
    """A device of the site file behind a broker."""

    def __init__(self, config: DeviceConfig, profile: Profile, context: DriverContext) -> None:
        self._config = config
        self._profile = profile
        self._context = context
        self._timeout_s = min(number(config.link, "timeout_s", OPEN_TIMEOUT_S), OPEN_LONGEST_S)
        prefix = text(config.link, "prefix", profile.link.prefix).rstrip("/")
        names = {name: text(config.link, name, default) for name, default in profile.link.names.items()}
        self._topics = Topics(profile.link, prefix, names)
        self._broker: Broker | None = None
        self._listener: Listener | None = None
        self._identity: Identity | None = None
        self._opened_in = 0  # which of the broker's connections the device was identified in
        self._rows = [
            (row, row.id.partition(".")[2], one.id)
            for row in profile.point
            for one in config.resources
            if one.role == row.id.partition(".")[0]
        ]  # each with its point and a resource that has it
        self._asking = Asking(profile.ask, context.monotonic)
        self._status_at_s = float("-inf")  # when the status was last asked for
        self._polled: tuple[list[Reading], int] = [], -1  # the last readings, and of which changes of the messages
        self._looked_at = -1  # the changes of the messages after which it was looked who says that it is gone
        self._gone_by: Condition | None = None
        self._controls: dict[Control, TopicControl | ContactControl] = {}
        for row in profile.control:
            ratings = [resource.ratings for resource in config.resources if Control(row.id) in resource.controls]
            rest = 1.0 if text(config.link, "rest", "off") == "on" else 0.0
            self._controls[Control(row.id)] = TopicControl(
                config.id, row, profile.link, ratings, rest, self._told_to_live, self._ask_again
            )
        rpc = profile.rpc
        if rpc is not None:
            for contacts in profile.contacts:
                self._controls[Control(contacts.id)] = ContactControl(
                    config.id, config.serial, contacts, rpc, context.monotonic
                )

    @property
    def id(self) -> str:
        """The device's id in the site file."""
        return self._config.id

    @property
    def complaint(self) -> Complaint | None:
        """Topics that are not listened to, as they said too much that can't be read."""
        muted = self._listener.muted() if self._listener is not None else []
        if not muted:
            return None
        return Complaint(
            f"What comes on {', '.join(muted)} can't be read",
            "See who else may publish there (deploy/mosquitto/), and check the device's firmware and the profile",
        )

    async def open(self) -> Identity:
        """Connects to the broker and waits for the identity, which may be retained, and for one live message.

        Takes 7 s at most. Raises NoAnswer (retained messages alone prove no life), WrongDevice.
        """
        await self.close()
        last_s = asyncio.get_running_loop().time() + OPEN_LONGEST_S
        broker = self._broker = BROKERS.take(self._config.link, self._profile.link.port, self._context)
        serial = text(self._config.link, "serial", self._config.serial or "") or None
        listener = self._listener = Listener(self.id, self._profile, self._topics, serial, self._context.monotonic)
        try:
            await listener.start(broker)
            identity = await self._identify(broker, listener)
            await self._sign_of_life(broker, listener, last_s)
            self._opened_in = listener.connections
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
        broker, listener = self._reached()
        self._asking.due(broker, listener)
        if self._profile.rpc is not None and await self._ask_status(listener):
            _, listener = self._reached()
        self._insist_on_life(listener)
        messages = listener.messages
        readings, changes = self._polled
        if changes == messages.changes:
            return readings  # nothing came since
        readings = []
        for row, point, resource_id in self._rows:
            taken_at_s = messages.taken_at_s(row)
            if taken_at_s is not None:  # a retained value has no age
                readings.append(Reading(resource_id, point, messages.value(row), taken_at_s))
        self._polled = readings, messages.changes
        return readings

    async def write(self, resource_id: str, control: Control, value: float) -> None:
        """Publishes what differs from what the device reports, and waits until it reports it.

        Raises Refused when the device refuses, NoAnswer when it says nothing or the broker is away.
        """
        found = self._of(resource_id, control)
        if isinstance(found, ContactControl):
            await found.write(self._reached()[1], value)
        else:
            await found.write(value)

    async def read_back(self, resource_id: str, control: Control) -> float | None:
        """The value as the device reports it; None when none is in force. Raises NoAnswer when it is silent."""
        found = self._controls.get(control)
        if isinstance(found, ContactControl):
            return await found.read_back(self._reached()[1])
        self._living()
        return None if found is None else found.read_back()

    async def release(self, resource_id: str, control: Control) -> None:
        """Hands the control back with what the owner had set; publishes nothing that is already so.

        Raises Refused when the device refuses to be released, NoAnswer when it does not confirm.
        """
        if self._why_not_written() is not None:
            return
        found = self._of(resource_id, control)
        if isinstance(found, ContactControl):
            await found.release(self._reached()[1])
        else:
            await found.release()

    async def close(self) -> None:
        """Lets go of the broker connection."""
        broker, self._broker = self._broker, None
        listener, self._listener = self._listener, None
        self._identity, self._polled, self._looked_at = None, ([], -1), -1
        if listener is not None:
            listener.stop()
        if broker is not None:
            await BROKERS.drop(broker)

    # --- identity and life ---------------------------------------------------------------------------------

    async def _identify(self, broker: Broker, listener: Listener) -> Identity:
        names, messages = self._profile.identify, listener.messages
        spots = names.spots()

        def told(name: str) -> str:
            spot = spots.get(name)
            found = None if spot is None else pointed(messages.payload(spot.topic), spot.json_pointer)
            return "" if found is None else str(found)

        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._timeout_s
        if await listener.until(lambda: broker.connected, self._timeout_s):
            await self._ask_who(broker, listener, until_s)
        known = await listener.until(lambda: bool(told("serial")), self._timeout_s)
        if known:
            await listener.until(lambda: all(told(name) for name in spots if name != "rating"), SETTLE_S)
        if not broker.connected:
            raise NoAnswer(
                f"{self.id}: no connection to the broker {broker.name} in {self._timeout_s:g} s; tried on. "
                "Check that it runs, and host, port, username, password_file and, with TLS, ca_file"
            )
        insisted = self._config.serial
        if not known:
            if insisted is not None and listener.seen and listener.serial not in listener.seen:
                raise WrongDevice(self._other_serial(", ".join(sorted(listener.seen.values()))))
            raise NoAnswer(
                f"{self.id}: nothing under {self._told_where(listener)} at the broker {broker.name} in "
                f"{self._timeout_s:g} s. Check that MQTT is switched on in the device, its broker and its topic prefix"
            )
        serial = told("serial") if names.weak is None else self._topics.prefix
        if insisted is not None and serial != insisted:
            raise WrongDevice(self._other_serial(serial))
        if insisted is None and "serial" not in self._config.link and len(listener.seen) > 1:
            raise WrongDevice(
                f"{self.id}: several devices under {self._topics.prefix}: {', '.join(sorted(listener.seen.values()))}; "
                "name one by 'serial' in the site file"
            )
        return Identity(names.maker, told("model"), serial, told("version"))

    def _told_where(self, listener: Listener) -> str:
        """The topic in which the identity is looked for."""
        topic = self._profile.identify.spots()["serial"].topic
        for pick in self._profile.pick:
            topic = pick.source if pick.into == topic else topic
        return self._topics.whole(topic, listener.serial or "+")

    async def _ask_who(self, broker: Broker, listener: Listener, until_s: float) -> None:
        """Asks who is there, and how it stands, as soon as there is somebody to ask."""
        rpc = self._profile.rpc
        self._asking.forget()
        self._asking.due(broker, listener)
        left_s = max(0.0, until_s - asyncio.get_running_loop().time())
        if rpc is not None and await listener.until(lambda: listener.serial is not None, left_s):
            listener.request(rpc.identify.method, {}, rpc.identify.into)
            listener.request(rpc.status.method, {}, rpc.status.into)

    def _ask_again(self) -> None:
        if self._broker is not None and self._listener is not None:
            self._asking.again(self._broker, self._listener)

    async def _ask_status(self, listener: Listener) -> bool:
        """Asks for the status where the last answer is too old, and waits a little for it; whether it did."""
        rpc, now_s = self._profile.rpc, self._context.monotonic()
        assert rpc is not None
        if now_s - self._status_at_s < rpc.every_s:
            return False
        self._status_at_s = now_s
        number = listener.request(rpc.status.method, {}, rpc.status.into)
        await listener.until(lambda: not listener.waits(number), ASK_S)
        return True

    async def _sign_of_life(self, broker: Broker, listener: Listener, last_s: float) -> None:
        """Waits for a live message; NoAnswer without one. The last will is the broker's, not the device's.

        Where a device speaks too seldom for that, only its last will counts here.
        """
        messages, life = listener.messages, self._profile.life
        if not life.waited_for and not self._gone(listener):
            return
        wait_s = max(0.0, min(life.every_s + LATE_S, last_s - asyncio.get_running_loop().time()))
        if not await listener.until(lambda: messages.live_at_s is not None and not self._gone(listener), wait_s):
            raise NoAnswer(
                f"{self.id}: the broker {broker.name} holds what it said earlier, and it said nothing in "
                f"{wait_s:.1f} s; alive, it does every {life.every_s:g} s. Check its power and its network"
            )

    def _gone(self, listener: Listener) -> Condition | None:
        """By which word of the broker's the device is gone; None where there is none."""
        messages = listener.messages
        if self._looked_at != messages.changes:
            self._looked_at = messages.changes
            self._gone_by = next((down for down in self._profile.life.down if messages.met(down)), None)
        return self._gone_by

    def _is_up(self, listener: Listener) -> bool:
        """Whether the broker says that the device is there."""
        up = self._profile.life.up
        return up is not None and listener.messages.met(up) and self._gone(listener) is None

    def _other_serial(self, seen: str) -> str:
        return (
            f"{self.id}: serial number {seen!r} is there, the site file says {self._config.serial!r}; nothing is "
            "written. Check the broker and the prefix, or put the new serial number into the site file"
        )

    def _reached(self) -> tuple[Broker, Listener]:
        """Broker and listener, if nothing says that the device is gone; else NoAnswer."""
        broker, listener = self._broker, self._listener
        if broker is None or listener is None or self._identity is None:
            raise NoAnswer(f"{self.id}: not open")
        if not broker.connected:
            raise NoAnswer(
                f"{self.id}: the connection to the broker {broker.name} is lost; it is tried again by itself"
            )
        if listener.answered_by is not None and listener.answered_by != self._identity.serial:
            raise WrongDevice(self._other_serial(listener.answered_by))
        if listener.connections != self._opened_in:
            raise NoAnswer(
                f"{self.id}: the connection to the broker {broker.name} was lost meanwhile; it is identified anew"
            )
        gone = self._gone(listener)
        if gone is not None:
            raise NoAnswer(f"{self.id}: the broker {broker.name} says that it is gone ({gone.topic}); check its power")
        return broker, listener

    def _living(self) -> tuple[Broker, Listener]:
        """Broker and listener, if the device said something lately; else NoAnswer."""
        broker, listener = self._reached()
        self._insist_on_life(listener)
        return broker, listener

    def _insist_on_life(self, listener: Listener) -> None:
        """Raises NoAnswer where the device has said nothing for too long."""
        messages, life = listener.messages, self._profile.life
        last_s = messages.live_at_s if messages.live_at_s is not None else listener.since_s
        silent_s = self._context.monotonic() - last_s
        if silent_s > life.expire_s:
            raise NoAnswer(
                f"{self.id}: no message for {silent_s:.0f} s, allowed are {life.expire_s:g} s; "
                "check its power and its network"
            )

    # --- writing -------------------------------------------------------------------------------------------

    def _why_not_written(self) -> str | None:
        if self._profile.status == "draft":
            return f"its profile {self._profile.id} is a draft"
        if self._config.read_only:
            return "it is read only"
        if self._config.serial is None:
            return "the site file has no serial number to insist on"
        return None

    def _of(self, resource_id: str, control: Control) -> TopicControl | ContactControl:
        why = self._why_not_written()
        owned = any(resource.id == resource_id and control in resource.controls for resource in self._config.resources)
        found = self._controls.get(control) if owned else None
        if why is None and found is not None:
            return found
        raise Refused(f"{self.id}: {control} is not written: {why or 'it has no such control'}")

    def _told_to_live(self) -> tuple[Broker, Listener]:
        """As `_living`; and what only retained messages are known of is not written to."""
        broker, listener = self._living()
        if listener.messages.live_at_s is None and not self._is_up(listener):
            raise NoAnswer(f"{self.id}: it said nothing yet since we listen; nothing is written. Check its power")
        return broker, listener


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
