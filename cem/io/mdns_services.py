"""Looks which services are announced in the local network by mDNS (RFC 6762, RFC 6763)."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from zeroconf import DNSQuestionType, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

MOST = 256
"""So many services are asked about."""
ASKED_S = 2.0
"""Patience for where one service is: who has just told everybody does not say it again within a second."""
ASKED_AS = DNSQuestionType.QM
"""To be answered to everybody: an answer for us alone may reach another program at this host's port 5353, as Avahi."""
_LONGEST_TEXT = 64


@dataclass(frozen=True, slots=True)
class Announced:
    """One service: of which type it is, its name, where it is, and what else it says (keys in lower case)."""

    kind: str  # such as _mqtt._tcp
    name: str
    addresses: tuple[str, ...]
    port: int
    says: dict[str, str] = field(default_factory=dict)
    host: str = ""  # the name that the service is at, in small letters, without the final dot


async def announced(
    kinds: Iterable[str], timeout_s: float, interfaces: tuple[str, ...] = (), longest: int = _LONGEST_TEXT
) -> list[Announced]:
    """Every service of the kinds that is announced within `timeout_s`, by kind and name. `interfaces` are the addresses
    of the network cards to listen on, all by default; what others say is cut at `longest` characters.
    Raises OSError where the network does not let us.
    """
    full = {f"{kind}.local.": kind for kind in kinds}
    seen: dict[str, str] = {}

    def notice(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        del zeroconf
        if state_change is ServiceStateChange.Removed:
            seen.pop(name, None)
        elif len(seen) < MOST:
            seen[name] = service_type

    ears = AsyncZeroconf(interfaces=list(interfaces)) if interfaces else AsyncZeroconf()
    try:
        browser = AsyncServiceBrowser(ears.zeroconf, list(full), handlers=[notice], question_type=ASKED_AS)
        await asyncio.sleep(timeout_s)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_asked(ears, full[of], of, name, longest)) for name, of in sorted(seen.items())]
        await browser.async_cancel()
    finally:
        await ears.async_close()
    found = [service for task in tasks if (service := task.result()) is not None]
    return sorted(found, key=lambda service: (service.kind, service.name))


async def _asked(ears: AsyncZeroconf, kind: str, service_type: str, name: str, longest: int) -> Announced | None:
    info = AsyncServiceInfo(service_type, name)
    if not await info.async_request(ears.zeroconf, ASKED_S * 1000, ASKED_AS) or info.port is None:
        return None
    says = {
        key.decode("utf-8", "replace").lower(): _shown(value, longest)
        for key, value in info.properties.items()
        if value is not None
    }
    own = _shown(name.removesuffix(f".{service_type}").encode(), longest)
    host = _shown((info.server or "").encode(), longest).rstrip(".").lower()
    return Announced(kind, own, tuple(info.parsed_addresses()), info.port, says, host)


def _shown(text: bytes, longest: int) -> str:
    """Text of somebody else, as it may be shown: bounded and without control characters."""
    return "".join(sign for sign in text.decode("utf-8", "replace") if sign.isprintable())[:longest]
