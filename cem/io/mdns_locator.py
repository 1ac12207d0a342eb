"""Finds a VTN in the local network by mDNS, and reaches it (Definition, "Discovery and Configuration of Local VTNs").

What is announced by mDNS anybody in the network may have written: only names below .local are taken, which no public
authority certifies, so that the site's own `ca_file` decides who gets our credentials.
"""

import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from cem.io.mdns_services import Announced, announced
from cem.model.errors import GridError

KIND = "_openadr3._tcp"
LISTEN_S = 3.0
LONGEST = 255  # a string of a TXT record


class MdnsLocator(AbstractResolver):
    """The VTN of a name, or the only one where the name is empty; as a resolver, the way to those it has found.

    `plain` permits http. `interfaces` are the addresses of the network cards to listen on, all by default.
    """

    def __init__(
        self, name: str, *, plain: bool = False, listen_s: float = LISTEN_S, interfaces: tuple[str, ...] = ()
    ) -> None:
        self._name = name
        self._plain = plain
        self._listen_s = listen_s
        self._interfaces = interfaces
        self._addresses: dict[str, Sequence[str]] = {}
        self._others: ThreadedResolver | None = None

    async def locate(self) -> str:
        """The base URL; raises GridError when nobody, or more than one, or nobody trustworthy is there."""
        try:
            found = await announced((KIND,), self._listen_s, self._interfaces, LONGEST)
        except OSError as error:
            raise GridError(f"mDNS: the network can't be listened to: {error.strerror or error}") from error
        fitting = [one for one in found if not self._name or one.name == self._name]
        if len(fitting) != 1:
            seen = ", ".join(repr(one.name) for one in found) or "none"
            wanted = repr(self._name) if self._name else "a single VTN"
            raise GridError(f"mDNS: {wanted} is not announced; seen: {seen}")
        url, host = base_url(fitting[0], plain=self._plain)
        self._addresses[host] = fitting[0].addresses
        return url

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses that were announced; the system's answer for other names."""
        known = self._addresses.get(host.lower())
        if known is None:
            if self._others is None:
                self._others = ThreadedResolver()
            return await self._others.resolve(host, port, family)
        wanted = {socket.AF_INET: (4,), socket.AF_INET6: (6,)}.get(family, (4, 6))
        usable = [address for address in known if ip_address(address.partition("%")[0]).version in wanted]
        if not usable:
            raise OSError(f"no usable address was announced for {host}")
        return [_result(host, address, port) for address in usable]

    async def close(self) -> None:
        """Closes nothing of its own."""
        if self._others is not None:
            await self._others.close()


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET if ip_address(address.partition("%")[0]).version == 4 else socket.AF_INET6
    flags: Any = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=flags)


def base_url(found: Announced, *, plain: bool) -> tuple[str, str]:
    """(base URL, its host) of an announced VTN; raises GridError for one that must not be asked.

    Interpretation: `local_url` counts, else host and port of the SRV record and `base_path`, by https.
    """
    version = found.says.get("version", "3.1.0")
    if not version.startswith("3.1"):
        raise GridError(f"mDNS: {found.name!r} speaks OpenADR {version}; 3.1 is understood")
    url = found.says.get("local_url") or _by_srv(found)
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").lower(), parts.port
    except ValueError as error:
        raise GridError(f"mDNS: {found.name!r} announces {url!r}: {error}") from error
    if parts.scheme not in ("http", "https") or not host.endswith(".local") or parts.query or parts.username:
        raise GridError(f"mDNS: {found.name!r} announces {url!r}; https://NAME.local:PORT/PATH is needed")
    if parts.scheme == "http" and not plain:
        raise GridError(f"mDNS: {found.name!r} is served by plain http; set allow_plain_http if you trust it")
    return url.rstrip("/"), host


def _by_srv(found: Announced) -> str:
    path = found.says.get("base_path", "").strip("/")
    return f"https://{found.host}:{found.port}/{path}"
