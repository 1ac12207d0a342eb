"""Notifications to callbacks: the echo challenge, bounded queues and retries, and an end for dead callbacks."""

import asyncio
import json
import logging
import secrets
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cem.io.callback_guard import CallbackFault, CallbackGuard
from cem.io.guarded_http import GuardedHttp

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WebhookBounds:
    """How long the VTN waits, how often it tries, how much it keeps.

    A callback is given up when one notification failed at the first try and after each of `retry_after_s`.
    """

    timeout_s: float = 10.0
    retry_after_s: tuple[float, ...] = (1.0, 5.0, 30.0, 120.0, 600.0)
    queue: int = 100  # notifications that wait for one callback; beyond it the oldest go
    at_once: int = 50  # exchanges under way


@dataclass(slots=True)
class _Line:
    """What waits for one callback of one subscription, oldest first."""

    waiting: deque[tuple[str | None, bytes]]
    task: asyncio.Task[None] | None = None
    dropped: int = field(default=0)


class Webhooks:
    """Satisfies cem.runtime.vtn.Callbacks. `tls` None verifies against the system's authorities."""

    def __init__(
        self, guard: CallbackGuard, bounds: WebhookBounds | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._bounds = bounds or WebhookBounds()
        self._http = GuardedHttp(guard, tls, timeout_s=self._bounds.timeout_s)
        self._lines: dict[tuple[str, str], _Line] = {}
        self._room = asyncio.Semaphore(self._bounds.at_once)
        self._gave_up: Callable[[str, str, str], None] | None = None

    def on_giving_up(self, gave_up: Callable[[str, str, str], None]) -> None:
        """Called with a subscription's id, the callback and the reason, once a callback is given up."""
        self._gave_up = gave_up

    async def prove(self, url: str, bearer_token: str | None) -> str | None:
        """Asks for the echo at `URL?echo=` and, where that fails, at `URL/echo?echo=`; None when it came back."""
        challenge = secrets.token_urlsafe(24)
        fault = "no answer"
        for below in ("", "echo"):
            try:
                status, body = await self._exchange("GET", url, bearer_token, below=below, query={"echo": challenge})
            except CallbackFault as error:
                return str(error)
            if status == 200 and _echoes(body, challenge):
                return None
            fault = f"the echo challenge was answered with {status} and not with 200 and its value"
        return fault

    def call(self, subscription_id: str, url: str, bearer_token: str | None, body: bytes) -> None:
        """Has a notification posted after those that wait for the same callback."""
        key = (subscription_id, url)
        line = self._lines.setdefault(key, _Line(deque(maxlen=self._bounds.queue)))
        if len(line.waiting) == self._bounds.queue:
            if not line.dropped:
                _log.warning("%s: more than %d notifications wait; the oldest are dropped", url, self._bounds.queue)
            line.dropped += 1
        line.waiting.append((bearer_token, body))
        if line.task is None:
            line.task = asyncio.get_running_loop().create_task(self._work_off(key, line))

    def forget(self, subscription_id: str) -> None:
        """Drops what waits for the callbacks of a subscription that is gone."""
        for key, line in list(self._lines.items()):
            if key[0] == subscription_id and line.task is not None:
                line.task.cancel()

    async def close(self) -> None:
        """Ends all tries; what waits is lost."""
        tasks = [line.task for line in self._lines.values() if line.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work_off(self, key: tuple[str, str], line: _Line) -> None:
        try:
            while line.waiting:
                bearer_token, body = line.waiting.popleft()
                fault = await self._deliver(key[1], bearer_token, body)
                if fault is not None:
                    _log.warning("%s: given up, subscription %s gets no more notifications: %s", key[1], key[0], fault)
                    if self._gave_up is not None:
                        self._gave_up(*key, fault)
                    return
        finally:
            del self._lines[key]

    async def _deliver(self, url: str, bearer_token: str | None, body: bytes) -> str | None:
        """Tries until the notification is taken; what was wrong at last when it never was."""
        fault = ""
        for wait_s in (0.0, *self._bounds.retry_after_s):
            await asyncio.sleep(wait_s)
            try:
                status, _ = await self._exchange("POST", url, bearer_token, body)
            except CallbackFault as error:
                fault = str(error)
                continue
            if 200 <= status < 300:
                return None
            fault = f"answered with {status}"
            if status == 410:
                return fault
        return fault

    async def _exchange(
        self,
        method: str,
        url: str,
        bearer_token: str | None,
        body: bytes | None = None,
        below: str = "",
        query: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """One exchange; raises CallbackFault when there was none."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if bearer_token is not None:
            headers["Authorization"] = f"Bearer {bearer_token}"
        async with self._room:
            return await self._http.exchange(method, url, headers, body, below=below, query=query)


def _echoes(body: bytes, challenge: str) -> bool:
    """Whether the body is the challenge: bare, as a JSON string, or as the member `echo` of an object."""
    if body.strip() == challenge.encode("ascii"):
        return True
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return value == challenge or (isinstance(value, dict) and value.get("echo") == challenge)
