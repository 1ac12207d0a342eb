"""Announces the VTN in the local network by mDNS (Definition, "Discovery and Configuration of Local VTNs")."""

import socket
from dataclasses import dataclass, replace
from ipaddress import ip_address

import ifaddr
from zeroconf import NonUniqueNameException, ServiceInfo
from zeroconf.asyncio import AsyncZeroconf

from cem.model.errors import GridError

SERVICE_TYPE = "_openadr3._tcp.local."
_MAX_TXT = 200  # a string of a TXT record has 255 bytes at most, its key and the equals sign among them


@dataclass(frozen=True, slots=True)
class Announcement:
    """What is announced. `host` is the name before `.local`; `addresses` are those that we listen on."""

    name: str
    host: str
    port: int
    tls: bool
    base_path: str
    addresses: tuple[str, ...]
    program_names: tuple[str, ...] = ()
    version: str = "3.1.0"

    def properties(self) -> dict[str, str]:
        """The TXT record. Names of programs that do not fit are left out whole."""
        names = ""
        for program in self.program_names:
            longer = f"{names},{program}" if names else program
            if "," in program or len(longer.encode()) > _MAX_TXT:
                continue
            names = longer
        base = self.base_path.strip("/")
        scheme = "https" if self.tls else "http"
        return {
            "version": self.version,
            "base_path": base,
            "local_url": f"{scheme}://{self.host}.local:{self.port}/{base}",
            "program_names": names,
            "requires_auth": "True",
        }


class MdnsAnnouncement:
    """Announces until `stop`; `interfaces` are the addresses of the network cards to speak on, all by default."""

    def __init__(self, announcement: Announcement, interfaces: tuple[str, ...] = ()) -> None:
        self._announcement = announcement
        self._interfaces = list(interfaces)
        self._zeroconf: AsyncZeroconf | None = None
        self._info: ServiceInfo | None = None

    async def start(self) -> None:
        """Registers; raises GridError when the network or another service of the same name does not let us."""
        info = self._service()
        try:
            self._zeroconf = AsyncZeroconf(interfaces=self._interfaces) if self._interfaces else AsyncZeroconf()
            await (await self._zeroconf.async_register_service(info, cooperating_responders=True))
            self._info = info
        except (OSError, NonUniqueNameException) as error:
            await self.stop()
            name = self._announcement.name
            raise GridError(f"mDNS: {name!r} can't be announced: {error!r}") from error

    async def rename_programs(self, names: tuple[str, ...]) -> None:
        """Announces other programs; does nothing before `start` and after `stop`."""
        self._announcement = replace(self._announcement, program_names=names)
        if self._zeroconf is not None and self._info is not None:
            self._info = self._service()
            await (await self._zeroconf.async_update_service(self._info))

    async def stop(self) -> None:
        """Takes the announcement back."""
        zeroconf, self._zeroconf = self._zeroconf, None
        if zeroconf is None:
            return
        if self._info is not None:
            await (await zeroconf.async_unregister_service(self._info))
        await zeroconf.async_close()

    def _service(self) -> ServiceInfo:
        one = self._announcement
        return ServiceInfo(
            SERVICE_TYPE,
            f"{one.name}.{SERVICE_TYPE}",
            port=one.port,
            properties=one.properties(),
            server=f"{one.host}.local.",
            parsed_addresses=list(one.addresses),
        )


def own_addresses(listening_on: str) -> tuple[str, ...]:
    """The addresses to announce: the one listened on, or all of this machine's but loopback for a wildcard.

    Raises OSError when the machine has none.
    """
    if not ip_address(listening_on).is_unspecified:
        return (listening_on,)
    wanted_v6 = ip_address(listening_on).version == 6
    found = []
    for adapter in ifaddr.get_adapters():
        for one in adapter.ips:
            text = one.ip if isinstance(one.ip, str) else one.ip[0]
            address = ip_address(text)
            if not address.is_loopback and (wanted_v6 or address.version == 4):
                found.append(text)
    if not found:
        raise OSError("no network address but loopback")
    return tuple(found)


def host_name() -> str:
    """This machine's own name as a label before `.local`."""
    return socket.gethostname().partition(".")[0] or "vtn"
