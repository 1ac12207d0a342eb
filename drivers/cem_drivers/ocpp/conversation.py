"""OCPP-J frames over one connection: answers what the charger asks, asks it one thing at a time (OCPP-J 1.6, 4)."""

import asyncio
import json
import logging
import uuid
from collections.abc import Callable
from typing import Any

from ocpp.charge_point import remove_nones, serialize_as_dict, snake_to_camel_case
from ocpp.exceptions import InternalError, OCPPError
from ocpp.exceptions import NotImplementedError as NotKnown
from ocpp.messages import Call, CallError, CallResult, unpack

from cem.driver import BadAnswer, NoAnswer, Refused, TextStream

MOST_BYTES = 64 * 1024
"""A longer message is no OCPP of a charging point with a handful of connectors; the connection is ended."""
MOST_MALFORMED = 20
"""More frames than this that are no OCPP end the connection."""
BURST = 50
"""So many frames at once are taken without a pause; a flood is slowed down to `BURST` in `BREATH_S`."""
BREATH_S = 0.5
SEND_S = 3.0
"""A peer that takes nothing for so long is gone."""

Payload = dict[str, Any]
Answer = Callable[[str, Payload], object]
"""Takes (action, payload as sent) and gives the payload object of the answer. LookupError: no such action here."""

_LOG = logging.getLogger(__name__)


def packed(payload: object) -> Payload:
    """The JSON object of a payload of the ocpp package."""
    packed_up: Payload = snake_to_camel_case(remove_nones(serialize_as_dict(payload)))
    return packed_up


class Conversation:
    """One connection. `listen` runs as long as it lasts; `ask` may be called meanwhile.

    An answer is taken only while it is waited for and under its own number: late, repeated and unasked ones are
    counted in `dropped` and forgotten.
    """

    def __init__(
        self,
        name: str,
        stream: TextStream,
        answer: Answer,
        heard: Callable[[], None],
        monotonic: Callable[[], float],
    ) -> None:
        self.name = name
        self.dropped = 0
        self.malformed = 0
        self._stream = stream
        self._answer = answer
        self._heard = heard
        self._monotonic = monotonic
        self._turn = asyncio.Lock()
        self._waiting: tuple[str, asyncio.Future[CallResult | CallError]] | None = None
        self._over = False

    async def listen(self) -> None:
        """Takes in what comes until the connection ends."""
        taken, since_s = 0, self._monotonic()
        try:
            while self.malformed <= MOST_MALFORMED:
                raw = await self._stream.recv()
                await self._take(raw)
                taken += 1
                if self._monotonic() - since_s > BREATH_S:
                    taken, since_s = 0, self._monotonic()
                elif taken >= BURST:
                    await asyncio.sleep(BREATH_S)
                    taken, since_s = 0, self._monotonic()
            _LOG.warning("%s: sends what is no OCPP; its connection is ended", self.name)
        except ConnectionError:
            pass  # the usual end
        finally:
            self._over = True
            if self._waiting is not None and not self._waiting[1].done():
                self._waiting[1].set_exception(ConnectionError("the connection ended"))
            await self._stream.close()

    async def close(self) -> None:
        """Ends the connection, and with it `listen`."""
        await self._stream.close()

    async def ask(self, request: object, timeout_s: float) -> Payload:
        """The answer to one question, as sent. Raises NoAnswer, Refused (an error answer) and BadAnswer."""
        action = type(request).__name__
        call = Call(str(uuid.uuid4()), action, packed(request))
        try:
            async with asyncio.timeout(timeout_s), self._turn:
                answer = await self._asked(call)
        except TimeoutError as error:
            raise NoAnswer(f"{self.name}: no answer to {action} in {timeout_s:.1f} s; check its power") from error
        except ConnectionError as error:
            raise NoAnswer(f"{self.name}: the connection was lost at {action}; it calls again by itself") from error
        if isinstance(answer, CallError):
            words = " ".join(str(word)[:200] for word in (answer.error_code, answer.error_description) if word)
            raise Refused(f"{self.name}: {action} was answered with the error {words}")
        if not isinstance(answer.payload, dict):
            raise BadAnswer(f"{self.name}: the answer to {action} is no object", repr(answer.payload)[:200].encode())
        return answer.payload

    async def _asked(self, call: Call) -> CallResult | CallError:
        if self._over:
            raise ConnectionError("the connection has ended")
        future: asyncio.Future[CallResult | CallError] = asyncio.get_running_loop().create_future()
        self._waiting = (call.unique_id, future)
        try:
            await self._send(call.to_json())
            return await future
        finally:
            self._waiting = None

    async def _send(self, text: str) -> None:
        try:
            async with asyncio.timeout(SEND_S):
                await self._stream.send(text)
        except TimeoutError as error:
            await self._stream.close()
            raise ConnectionError("it takes nothing more") from error

    async def _take(self, raw: str) -> None:
        try:
            message = unpack(raw)
            sound = isinstance(message.unique_id, str)
        except (OCPPError, ValueError, RecursionError, LookupError):
            sound = False
        if not sound:
            self.malformed += 1
            return
        self._heard()
        if isinstance(message, Call):
            await self._send(self._answered(message))
        elif self._waiting is not None and self._waiting[0] == message.unique_id and not self._waiting[1].done():
            self._waiting[1].set_result(message)
        else:
            self.dropped += 1

    def _answered(self, call: Call) -> str:
        """The frame that answers a question; what we don't understand is an error answer, never an end."""
        error: OCPPError
        try:
            if not isinstance(call.payload, dict):
                raise TypeError("the payload is no object")
            return str(CallResult(call.unique_id, packed(self._answer(str(call.action), call.payload))).to_json())
        except LookupError:
            error = NotKnown()
        except (ValueError, TypeError, ArithmeticError, RecursionError) as fault:
            self.malformed += 1
            error = InternalError(description=f"not understood: {fault}"[:250])
        return str(call.create_call_error(error).to_json())


def object_in(value: object) -> Payload:
    """An object of a message, {} for anything else: chargers leave out and mistype what they like."""
    return value if isinstance(value, dict) else {}


def objects_in(value: object) -> list[Payload]:
    """The objects of a list of a message."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text_in(payload: Payload, *keys: str) -> str:
    """The first of the keys that holds a text with something in it, at most 64 characters of what can be printed."""
    for key in keys:
        value = payload.get(key)
        if isinstance(value, str) and value.strip():
            return "".join(char for char in value.strip() if char.isprintable())[:64]
    return ""


def whole_in(payload: Payload, key: str) -> int | None:
    """A whole number of a message, also where it is written as a text."""
    value = payload.get(key)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 2**53:
        return None
    return int(value)
