"""Who is admitted, who is registered, and where messages for a VEN are posted to.

A VEN is admitted beforehand: by the fingerprint of its certificate, or by its name where there is no TLS (on this
machine). Once it registers it is a ven of the VTN's objects, its venID being its id and its client.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cem.sgcp.vtn.objects import Body, Change, Objects
from cem.sgcp.vtn2b.records import Offer, Opt, Party, Request, Told, Waiting, forgotten
from cem.sgcp.vtn2b.refusal import Refused, fine
from cem.wire.openadr2b.messages import (
    CanceledPartyRegistration,
    CancelPartyRegistration,
    CreatedPartyRegistration,
    CreatePartyRegistration,
    Message,
    RequestReregistration,
)
from cem.wire.openadr2b.names import PATH_PREFIX, Code, Transport
from cem.wire.openadr2b.parts import Profile, Response
from cem.wire.openadr3 import ObjectType, format_datetime

_LOG = logging.getLogger(__name__)
_PROFILES = (Profile(name="2.0b", transports=(Transport.HTTP,)),)
_MOST_ADDRESS = 2048


@dataclass(frozen=True, slots=True)
class Admitted:
    """A VEN that may register. `fingerprint` None: nobody checks, for a VTN without TLS."""

    ven_id: str
    ven_name: str
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Config2b:
    """What it is made with. `vtn_id` has an upper-case letter, or one known peer refuses it."""

    vens: tuple[Admitted, ...]
    new_id: Callable[[], str]
    vtn_id: str = "CEM-VTN"
    poll_every: timedelta = timedelta(seconds=10)
    report_every: timedelta = timedelta(seconds=60)


class Parties:
    """The VENs of a VTN."""

    def __init__(self, config: Config2b, objects: Objects) -> None:
        self._config = config
        self._objects = objects
        self._by_id = {ven.ven_id: ven for ven in config.vens}

    def offer(self, response: Response, party: Party | None = None) -> CreatedPartyRegistration:
        """What the VTN is and can do, and who the VEN is where it is registered."""
        return CreatedPartyRegistration(
            response=response,
            registration_id=None if party is None else party.registration_id,
            ven_id=None if party is None else party.ven_id,
            vtn_id=self._config.vtn_id,
            profiles=_PROFILES,
            poll_every=self._config.poll_every if party is None or party.address is None else None,
        )

    def admitted(self, ven_id: str) -> Admitted | None:
        """The VEN of an id."""
        return self._by_id.get(ven_id)

    def registered(self, ven_id: str) -> tuple[Body, Party] | None:
        """A VEN that is registered, with its registration; None where the business logic removed it, too."""
        held, party = self._objects.get(ObjectType.VEN, ven_id), Party.find(self._objects, ven_id)
        return None if held is None or party is None or ven_id not in self._by_id else (held, party)

    def pushed(self) -> tuple[str, ...]:
        """The ids of the registered VENs that messages are posted to."""
        found = (self.registered(ven_id) for ven_id in self._by_id)
        return tuple(one[1].ven_id for one in found if one is not None and one[1].address is not None)

    def known(self, ven_id: str | None, fingerprint: str | None) -> Body | None:
        """The ven that speaks; None where it must register first. Raises Refused for the venID of somebody else."""
        admitted = self._by_id.get(ven_id or "")
        if admitted is None or admitted.fingerprint != fingerprint:
            words = f"venID {str(ven_id)[:60]!r} does not go with the fingerprint {fingerprint}"
            raise Refused(Code.NOT_REGISTERED, words)
        found = self.registered(admitted.ven_id)
        return None if found is None else found[0]

    def register(
        self, message: CreatePartyRegistration, fingerprint: str | None, address_fault: str | None, now: datetime
    ) -> tuple[CreatedPartyRegistration, tuple[Change, ...]]:
        """Registers a VEN, or again under its identifiers; `address_fault` is what is wrong with where it wants
        messages posted to. Raises Refused.

        A new registration drops what belonged to the old one: reports, opts and answers. The events' numbers go on.
        """
        admitted = self._admitted(message, fingerprint)
        if message.profile != "2.0b" or message.transport != Transport.HTTP:
            raise Refused(Code.DEPLOYMENT, "2.0b over simple HTTP is served here")
        address = push_address(message)
        if address is not None and address_fault is not None:
            raise Refused(Code.DEPLOYMENT, f"nothing can be posted to {address[:200]}: {address_fault}")
        found = self.registered(admitted.ven_id)
        if message.registration_id is not None:
            if found is None or found[1].registration_id != message.registration_id:
                raise Refused(Code.INVALID_ID, "this registration is not known; register without it")
            party = replace(found[1], address=address)
            asked = [one for one in Waiting.of(self._objects, party.ven_id) if one.tag == RequestReregistration.TAG]
            moved = [party.stored()] if party != found[1] else []
            return self.offer(fine(message.request_id), party), (*moved, *(one.dropped() for one in asked))
        party = Party(ven_id=admitted.ven_id, registration_id=self._config.new_id(), registered_at=now, address=address)
        again = [
            replace(told, told_at=None, times=0, answer=None, answer_code=None).stored()
            for told in Told.of(self._objects, party.ven_id)
        ]
        gone = forgotten(self._objects, party.ven_id, Offer, Request, Opt, Waiting)
        _LOG.info("%s registered with OpenADR 2.0b%s", admitted.ven_name, f", pushed to {address}" if address else "")
        changes = (*self._ven(admitted, now), party.stored(), *again, *gone)
        return self.offer(fine(message.request_id), party), changes

    def _ven(self, admitted: Admitted, now: datetime) -> tuple[Change, ...]:
        """The ven among the objects of 3.1, where it is not there yet under this name."""
        held = self._objects.get(ObjectType.VEN, admitted.ven_id)
        if held is not None and held["venName"] == admitted.ven_name:
            return ()
        stamp = format_datetime(now)
        body = {
            **({} if held is None else held),
            "id": admitted.ven_id,
            "objectType": ObjectType.VEN.value,
            "createdDateTime": stamp if held is None else held["createdDateTime"],
            "modificationDateTime": stamp,
            "clientID": admitted.ven_id,
            "venName": admitted.ven_name,
        }
        return (Change(ObjectType.VEN.value, admitted.ven_id, body),)

    def _admitted(self, message: CreatePartyRegistration, fingerprint: str | None) -> Admitted:
        for ven in self._config.vens:
            named = message.ven_id in (None, ven.ven_id) and message.ven_name in (None, ven.ven_name)
            if named and (message.ven_id or message.ven_name or fingerprint) and ven.fingerprint == fingerprint:
                return ven
        who = message.ven_name or message.ven_id or "a VEN without a name"
        raise Refused(Code.NOT_REGISTERED, f"{who[:60]!r} is not admitted with the fingerprint {fingerprint}")

    def cancelled(self, message: CancelPartyRegistration, ven: Body) -> tuple[Message, tuple[Change, ...]]:
        """Ends a registration as the VEN wants it; raises Refused."""
        party = Party.find(self._objects, ven["id"])
        if party is None or message.registration_id != party.registration_id:
            raise Refused(Code.INVALID_ID, "this registration is not known")
        _LOG.info("%s ended its registration", ven["venName"])
        answer = CanceledPartyRegistration(
            response=fine(message.request_id), registration_id=party.registration_id, ven_id=ven["id"]
        )
        return answer, forgotten(self._objects, ven["id"], Party, Offer, Request, Opt, Waiting)


def push_address(message: CreatePartyRegistration) -> str | None:
    """Where a VEN wants messages posted to, below which the services are; None where it asks. Raises Refused.

    Interpretation: an address without a scheme is https; one that has the profile's path already means the same.
    """
    if message.pull is not False:
        return None
    address = (message.transport_address or "").strip().rstrip("/")
    if not address or len(address) > _MOST_ADDRESS:
        raise Refused(Code.INVALID_DATA, "a VEN that does not ask says at which oadrTransportAddress it listens")
    if "://" not in address:
        address = f"https://{address}"
    return address if address.endswith(PATH_PREFIX) else address + PATH_PREFIX
