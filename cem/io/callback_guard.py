"""Where the VTN may call back (Definition, "Webhooks"): https to public addresses; more only where it was told so.

Everything is judged by the addresses that a name resolves to, and exactly those are connected to, so that a name
that resolves to something else a moment later gains nothing (DNS rebinding).
"""

import asyncio
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import aiohttp.abc
from yarl import URL

Network = IPv4Network | IPv6Network
_NAT64 = IPv6Network("64:ff9b::/96")
_RESOLVE_S = 5.0


class CallbackFault(Exception):  # noqa: N818 - not an error of ours
    """A callback that can't be used, and why, in words for its owner."""


@dataclass(frozen=True, slots=True)
class Target:
    """A callback whose addresses were judged."""

    url: URL
    addresses: tuple[aiohttp.abc.ResolveResult, ...]


class CallbackGuard:
    """`networks` may be called although they are not public, and by plain http."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._networks = tuple(networks)

    async def target(self, text: str) -> Target:
        """Resolves a callback once and judges every address; raises CallbackFault."""
        try:
            url = URL(text)
            host, port = url.host, url.port
        except ValueError as error:
            raise CallbackFault("this is not a URL that can be called") from error
        if url.scheme not in ("http", "https") or not host or port is None:
            raise CallbackFault("an https URL with a host is needed")
        if url.user is not None or url.password is not None:
            raise CallbackFault("a user name in the URL is not allowed; use bearerToken")
        found = await _resolved(host, port)
        for one in found:
            self._judge(one["host"], url.scheme == "http")
        return Target(url, found)

    def _judge(self, text: str, plain: bool) -> None:
        address = _inner(ip_address(text.partition("%")[0]))
        if any(address in network for network in self._networks):
            return
        if not _is_public(address):
            raise CallbackFault("its address is not a public one; the operator of this VTN can allow its network")
        if plain:
            raise CallbackFault("plain http is not allowed; an https URL is needed")


class KnownAddresses(aiohttp.abc.AbstractResolver):
    """Gives the connector the addresses that were judged, and asks nobody again."""

    def __init__(self, target: Target) -> None:
        self._addresses = list(target.addresses)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        """The judged addresses."""
        return self._addresses

    async def close(self) -> None:
        """Nothing to close."""


async def _resolved(host: str, port: int) -> tuple[aiohttp.abc.ResolveResult, ...]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_RESOLVE_S):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        raise CallbackFault("its host name is not found") from error
    addresses: list[aiohttp.abc.ResolveResult] = []
    for family, _, proto, _, address in found:
        if family in (socket.AF_INET, socket.AF_INET6):
            numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
            addresses.append(
                aiohttp.abc.ResolveResult(
                    hostname=host, host=str(address[0]), port=port, family=family, proto=proto, flags=numeric
                )
            )
    if not addresses:
        raise CallbackFault("its host name has no address")
    return tuple(addresses)


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside an IPv6 one that leads to it (mapped, 6to4, NAT64); else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    special = address.is_multicast or address.is_reserved or address.is_loopback or address.is_link_local
    if isinstance(address, IPv6Address):
        special = special or address.is_site_local or address.teredo is not None
    return address.is_global and not special
