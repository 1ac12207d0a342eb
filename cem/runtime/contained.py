"""Keeps a service going whose failure must not end the gateway: the devices need the loop, not this service."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 300.0


async def contained(name: str, service: Callable[[], Awaitable[None]]) -> None:
    """Runs a service until it is cancelled; after an unforeseen failure it is started anew, with growing pauses.

    Not for the control loop: if that fails, the process must end (house law 9).
    """
    failures = 0
    while True:
        try:
            await service()
        except Exception:
            pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(failures, 10))
            failures += 1
            log.exception("%s: failed; started anew in %.0f s. Report this with the log", name, pause_s)
            await asyncio.sleep(pause_s)
        else:
            return
