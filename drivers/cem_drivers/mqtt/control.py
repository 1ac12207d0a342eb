"""A control that is written, read back and released by topics."""

import asyncio
import json
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cem.driver import NoAnswer, Ratings, Refused
from cem_drivers.mqtt.broker import Broker
from cem_drivers.mqtt.listener import Listener
from cem_drivers.mqtt.messages import Messages, Payload, pointed
from cem_drivers.mqtt.owner import OwnersValues
from cem_drivers.mqtt.profile import Link
from cem_drivers.mqtt.rows import SETPOINT, ControlRow, Publish

ASK_AFTER = 0.6
"""This share of the time that a device has to report what it was told is waited for before it is asked."""

_LOG = logging.getLogger(__name__)
Living = Callable[[], tuple[Broker, Listener]]


@dataclass(frozen=True, slots=True)
class Sending:
    """One message as it goes out, and the value that shows when the device took it."""

    row: Publish
    value: Payload

    @property
    def payload(self) -> bytes:
        """What is sent."""
        told = json.dumps(self.value)
        return (told if self.row.payload is None else self.row.payload.replace("$value", told)).encode()

    def shows(self, messages: Messages) -> bool:
        """Whether the device reports it."""
        here = pointed(messages.payload(self.row.topic), self.row.json_pointer) == self.value
        return here and all(messages.met(condition) for condition in self.row.also)


def sending(row: Publish, value: float) -> Sending:
    """A row with the value in it."""
    if row.value != SETPOINT:
        return Sending(row, row.value)
    scaled = round(value * row.per, 6)
    return Sending(row, int(scaled) if scaled == int(scaled) else scaled)


class TopicControl:
    """One such control. It outlives a lost link, for it belongs to the device object.

    `living` gives broker and listener of a device that said something lately, or raises NoAnswer; `ask` has the device
    say what it can be asked for.
    """

    def __init__(
        self,
        owner: str,
        row: ControlRow,
        link: Link,
        ratings: Sequence[Ratings],
        rest: float,
        living: Living,
        ask: Callable[[], None],
    ) -> None:
        self._owner = owner
        self._row = row
        self._link = link
        self._ratings = ratings
        self._rest = rest
        self._living = living
        self._ask = ask
        self._owners = OwnersValues(row)
        self._holding = False  # a switch in its position without us shows no trace of us: only this does
        self._unsure: set[str] = set()  # topics of which the last word of ours was not confirmed

    async def write(self, value: float) -> None:
        """Publishes what differs from what the device reports, and waits until it does; raises Refused, NoAnswer."""
        limits = self._row.limits
        if not math.isfinite(value) or value < 0:
            raise Refused(
                f"{self._owner}: {value} is no value for {self._row.id}; allowed are 0 and "
                f"{limits.min:g} to {limits.max:g}"
            )
        whole = limits.step * math.floor(min(value, limits.max) / limits.step + 1e-9)
        if whole < limits.min:
            if not limits.zero:
                raise Refused(f"{self._owner}: {value:g} is below {limits.min:g}, the lowest value for {self._row.id}")
            await self._publish_all(self._row.write_zero, 0.0)
        else:
            await self._publish_all(self._row.write, whole)

    def read_back(self) -> float | None:
        """The value as the device reports it; None when none is in force. Raises NoAnswer when it is silent."""
        messages = self._living()[1].messages
        held = messages.case(self._row.read_back)
        if not isinstance(held, float | int):
            return self._owners.still_ours(messages)
        if self._row.rests and held == self._rest and not self._holding:
            return None
        return float(held)

    async def release(self) -> None:
        """Hands the control back with what the owner had set; publishes nothing that is already so.

        Raises Refused when the device refuses to be released, NoAnswer when it does not confirm.
        """
        if self._row.rests:
            rows = self._row.write if self._rest else self._row.write_zero
            await self._publish_all(rows, self._rest)
            self._holding = False
        else:
            await self._hand_back()

    # --- how ---

    async def _publish_all(self, rows: Sequence[Publish], value: float) -> None:
        """One after the other, each confirmed before the next."""
        broker, listener = self._living()
        for require in self._row.require:
            if not listener.messages.met(require):
                raise Refused(f"{self._owner}: {self._row.id} is not written: {require.says}")
        self._owners.look(listener.messages)
        for row in rows:
            one = sending(row, value)
            self._owners.sending(row.topic, one.value)
            self._holding = True
            if self._send(broker, listener, one):
                await self._confirm(listener, one, self._row.confirm_s)

    async def _hand_back(self) -> None:
        """Sends everything at once and then waits, for a stop has two seconds; the owner's values come first.

        A refused owner's value must not keep the device from being released: it is told and left.
        """
        broker, listener = self._living()
        messages, row = listener.messages, self._row
        self._owners.look(messages)
        by_topic = {publication.topic: publication for publication in (*row.write_zero, *row.write)}
        restored: list[Sending] = []
        for restore in row.restore:
            due = self._owners.due(restore, messages, self._ratings)
            restored += [] if due is None else [Sending(by_topic[restore.topic], due)]
            if self._owners.lost(restore, messages):
                self._tell_lost(restore.topic, messages.payload(restore.topic), due)
        released = [sending(publication, 0.0) for publication in row.release]
        sent = [one for one in (*restored, *released) if self._send(broker, listener, one)]
        until_s = asyncio.get_running_loop().time() + row.confirm_s
        for one in sorted(sent, key=lambda one: one in restored):
            try:
                left_s = max(until_s - asyncio.get_running_loop().time(), 0.0)
                await self._confirm(listener, one, left_s)
            except Refused as error:
                if one not in restored:
                    raise
                _LOG.warning("%s; it stays as it is. Set it in the device's app", error)
        self._owners.forget()

    def _tell_lost(self, topic: str, present: Payload, restored: Payload) -> None:
        if restored is not None:
            then = f"set to {json.dumps(restored)}, the largest that the device and the site file allow"
        else:
            then = f"it stays at {json.dumps(present)}, the site file's max_current_a allows or tells no other"
        _LOG.warning(
            "%s: %s was ours already when we came, the owner's value is not known; %s. Look at it in the device's app",
            self._owner,
            topic,
            then,
        )

    def _send(self, broker: Broker, listener: Listener, one: Sending) -> bool:
        """Sends what is not so already, which spares the flash, and says whether it did; NoAnswer without a broker.

        What was not confirmed when it was sent is sent anew, whatever the device reports since: it may have taken the
        word and not have followed it.
        """
        sure = one.row.topic not in self._unsure
        if sure and listener.messages.holds(one.row.topic) and one.shows(listener.messages):
            return False
        listener.results.pop(one.row.topic, None)
        if not broker.publish(listener.topic(one.row.to), one.payload):
            raise NoAnswer(
                f"{self._owner}: not connected to the broker {broker.name}; {one.row.to} was not sent and is not kept"
            )
        self._unsure.add(one.row.topic)
        return True

    async def _confirm(self, listener: Listener, one: Sending, within_s: float) -> None:
        """Waits until the device reports what was sent; raises Refused, NoAnswer.

        Where a device answers no writes, one that goes on speaking and reports something else refuses.
        """
        link, results, messages = self._link, listener.results, listener.messages
        topic, to, sent = one.row.topic, one.row.to, one.payload.decode()
        spoken = messages.spoken

        def refused() -> bool:
            return results.get(topic, link.result_ok) != link.result_ok

        if not await listener.until(lambda: one.shows(messages) or refused(), within_s * ASK_AFTER):
            self._ask()  # its report may have been lost on the way
            await listener.until(lambda: one.shows(messages) or refused(), within_s * (1 - ASK_AFTER))
        if refused():
            raise Refused(
                f"{self._owner}: {to} {sent} was answered with {results[topic]!r}; "
                "check that writing over MQTT is allowed in the device"
            )
        if one.shows(messages):
            self._unsure.discard(topic)
            return
        reads = json.dumps(pointed(messages.payload(topic), one.row.json_pointer))
        told = f"{self._owner}: {to} was sent {sent} and {topic} still reads {reads} after {within_s:.1f} s"
        if link.result_suffix is None and messages.spoken > spoken:
            raise Refused(f"{told}; the device goes on speaking. Check that writing over MQTT is allowed in it")
        raise NoAnswer(
            f"{told}; not sent again before it is read back. Check that writing over MQTT is allowed in the device"
        )
