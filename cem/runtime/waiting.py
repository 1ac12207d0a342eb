"""Waiting for a signal with a bound."""

import asyncio


async def signalled(event: asyncio.Event, within_s: float) -> bool:
    """Waits for the event at most so long; whether it came."""
    try:
        async with asyncio.timeout(max(0.0, within_s)):
            await event.wait()
    except TimeoutError:
        return False
    return True
