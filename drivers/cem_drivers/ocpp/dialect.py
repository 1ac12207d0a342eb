"""What every version of OCPP can be asked, and which versions are spoken."""

from collections.abc import Mapping
from typing import Protocol

from cem_drivers.ocpp.conversation import Conversation, Payload
from cem_drivers.ocpp.station import Abilities, Composite, Lease, Station
from cem_drivers.ocpp.v16 import Dialect16
from cem_drivers.ocpp.v201 import Dialect201


class Dialect(Protocol):
    """One charger in its version. Every question raises NoAnswer, BadAnswer, and Refused where it is not said else."""

    station: Station
    talk: Conversation

    @property
    def protocol(self) -> str:
        """The WebSocket subprotocol."""

    def answer(self, action: str, payload: Payload) -> object:
        """What the charger sends, answered; LookupError for what it has no business to send."""

    async def trigger(self, message: str, connector: int | None, timeout_s: float) -> bool:
        """Asks it to send a message; whether it said that it will."""

    async def knock(self, timeout_s: float) -> None:
        """Asks for anything, to see whether it is there."""

    async def abilities(self, timeout_s: float) -> Abilities:
        """What it says of itself."""

    async def configure(self, wanted: Mapping[str, str], timeout_s: float) -> dict[str, str]:
        """Sets configuration keys (the names of 1.6); what became of each."""

    async def set_limit(self, lease: Lease, timeout_s: float) -> str:
        """Sends the charging profile; what became of it."""

    async def clear(self, profile_id: int, timeout_s: float) -> str:
        """Takes the charging profile away; what became of it."""

    async def composite(self, connector: int, duration_s: int, unit: str, timeout_s: float) -> Composite | None:
        """What will hold from now on; None where it does not say."""

    async def start(self, connector: int, tag: str, timeout_s: float) -> str:
        """Starts a transaction; what became of it."""


PROTOCOLS = ("ocpp2.1", "ocpp2.0.1", "ocpp1.6")
"""The charger's own order counts. What we say in 2.1 is the part of it that 2.0.1 has too."""


def dialect_of(protocol: str, station: Station) -> Dialect:
    """The version that goes by this subprotocol."""
    return Dialect16(station) if protocol == "ocpp1.6" else Dialect201(station, protocol)
