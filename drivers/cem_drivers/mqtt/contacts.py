"""A control whose values are positions of a device's switches, each leased by the device's own timer."""

import asyncio
import math
from collections.abc import Callable, Sequence

from cem.driver import NoAnswer, Refused, WrongDevice, moving_order
from cem_drivers.mqtt.listener import Listener
from cem_drivers.mqtt.messages import Payload, pointed
from cem_drivers.mqtt.rpc_tables import Contacts, Rpc

LET_GO_S = float("-inf")


class ContactControl:
    """One such control. It outlives a lost link, for it belongs to the device object."""

    def __init__(self, owner: str, serial: str | None, row: Contacts, rpc: Rpc, monotonic: Callable[[], float]) -> None:
        self._owner = owner
        self._serial = serial  # of the site file: who must have signed what the contacts are switched on
        self._row = row
        self._rpc = rpc
        self._monotonic = monotonic
        self._held_until_s = LET_GO_S  # a value that is also the contacts' own shows no timer: it is ours until then
        self._let_go = False  # by us, and told nothing since

    async def write(self, listener: Listener, value: float) -> None:
        """Brings the contacts into a value's positions and arms their timers, each switch confirmed before the next.

        The first word after they were let go is always sent: a contact may tell the position that is wanted and stand
        otherwise, and only what is sent anew can move it. Raises Refused for what is no value of the control or is
        refused, NoAnswer.
        """
        positions = self._row.states.get(str(int(value))) if math.isfinite(value) and value == int(value) else None
        if positions is None:
            known = ", ".join(self._row.states)
            raise Refused(f"{self._owner}: {value:g} is no value for {self._row.id}; allowed are {known}")
        await self._switch(listener, positions, leased=True, anew=self._let_go)
        self._let_go = False
        self._held_until_s = self._monotonic() + self._row.device_timeout_s

    async def read_back(self, listener: Listener) -> float | None:
        """The value that the contacts make now, asked of the device; None while they are in their own positions or
        where somebody else put them for good. Raises NoAnswer."""
        closed, timed = await self._look(listener)
        value = next((float(name) for name, positions in self._row.states.items() if positions == closed), None)
        own = self._own(closed, timed)
        ours = any(timed) or closed != own or self._monotonic() < self._held_until_s
        return value if ours else None

    async def release(self, listener: Listener) -> None:
        """Brings the contacts into their own positions without a timer; sends nothing where they are. Raises as
        `write`."""
        closed, timed = await self._look(listener)
        self._held_until_s, self._let_go = LET_GO_S, True
        await self._switch(listener, self._own(closed, timed), leased=False)

    def _own(self, closed: Sequence[bool], timed: Sequence[bool]) -> list[bool]:
        """The positions without us: the profile's, or those to which the contacts go back when their timers end."""
        if isinstance(self._row.own, int):
            return self._row.states[str(self._row.own)]
        return [position != runs for position, runs in zip(closed, timed, strict=True)]

    async def _switch(self, listener: Listener, wanted: Sequence[bool], *, leased: bool, anew: bool = False) -> None:
        """Opens first, in the order of the contacts, then closes and renews in the reverse.

        What is so already is sent only where a timer must be renewed, or everything `anew`.
        """
        until_s = asyncio.get_running_loop().time() + self._row.confirm_s
        closed, timed = await self._look(listener)
        own = self._own(closed, timed)
        for index in moving_order(closed, wanted):
            want, natural = wanted[index], wanted[index] == own[index]
            if natural and closed[index] == want and not timed[index] and not anew:
                continue
            call = self._row.set
            params: dict[str, Payload] = {call.id: self._row.ids[index], call.on: want}
            if leased and not natural:
                later = len(wanted) - 1 - index
                params[call.lease_s] = self._row.device_timeout_s - later * self._row.stagger_s
            left_s = max(0.0, until_s - asyncio.get_running_loop().time())
            await self._call(listener, params, left_s)

    async def _call(self, listener: Listener, params: dict[str, Payload], within_s: float) -> None:
        method = self._row.set.method
        number = listener.request(method, params)
        answered = await listener.until(lambda: not listener.waits(number), within_s)
        answer = listener.answer(number)
        if not answered or answer is None:
            raise NoAnswer(
                f"{self._owner}: no answer to {method} {params} in {within_s:.1f} s; the contact goes back by itself "
                "when its timer ends. Check its power and its network"
            )
        if answer.error is not None:
            raise Refused(
                f"{self._owner}: {method} {params} was answered with {answer.error!r}; "
                "check that it may be switched over MQTT"
            )

    async def _look(self, listener: Listener) -> tuple[list[bool], list[bool]]:
        """(closed, a timer runs) of each contact, asked now; NoAnswer where the device does not tell, WrongDevice."""
        number = listener.request(self._rpc.status.method, {}, self._rpc.status.into)
        await listener.until(lambda: not listener.waits(number), self._row.confirm_s)
        if listener.answered_by not in {None, self._serial}:
            raise WrongDevice(
                f"{self._owner}: serial number {listener.answered_by!r} answers, the site file says "
                f"{self._serial!r}; nothing is written. Check the broker and the prefix"
            )
        statuses = [listener.messages.payload(self._row.topic_of(contact)) for contact in self._row.ids]
        closed = [pointed(status, self._row.closed) for status in statuses]
        if listener.waits(number) or not all(isinstance(position, bool) for position in closed):
            raise NoAnswer(
                f"{self._owner}: it does not tell where its contacts stand ({self._row.topic_of(self._row.ids[0])}); "
                "check its power and its network"
            )
        timed = [pointed(status, self._row.timer) is not None for status in statuses]
        return [position is True for position in closed], timed
