"""A VEN's registration with an OpenADR 2.0b VTN, kept over restarts: who we are there, and how often we may ask."""

import logging
from collections.abc import Callable
from datetime import timedelta

from cem.model.provider import Provider
from cem.ports import StateKind, StateStore
from cem.runtime.ven2b_client import Vtn2bClient, is_refusal
from cem.runtime.ven_client import VtnFailure
from cem.runtime.ven_rows import commit
from cem.sgcp.durable import REGISTRATION, Row, row_key
from cem.wire.openadr2b.messages import (
    CanceledPartyRegistration,
    CancelPartyRegistration,
    CreatedPartyRegistration,
    CreatePartyRegistration,
    QueryRegistration,
)
from cem.wire.openadr2b.names import Code, Transport

_LOG = logging.getLogger(__name__)
_PROFILE = "2.0b"
_UNKNOWN = (Code.INVALID_ID, Code.NOT_REGISTERED)


class Registration2b:
    """The identifiers that a VTN gave us. `pushed`: it said that it sends by itself."""

    def __init__(
        self,
        provider: Provider,
        client: Vtn2bClient,
        store: StateStore,
        new_id: Callable[[], str],
        *,
        signed: bool = False,
    ) -> None:
        self._provider = provider
        self._client = client
        self._store = store
        self._new_id = new_id
        self._signed = signed
        self.ven_id: str | None = None
        self.vtn_id: str | None = None
        self.registration_id: str | None = None
        self.poll_every = timedelta()
        self.pushed = False

    async def restore(self) -> None:
        """Loads the identifiers that the VTN gave us before."""
        row = (await self._store.load(StateKind.REGISTRATION)).get(row_key(self._provider.id))
        known = row if isinstance(row, dict) else {}
        texts = {key: value for key, value in known.items() if isinstance(value, str)}
        self.ven_id, self.vtn_id = texts.get("ven_id"), texts.get("vtn_id")
        self.registration_id = texts.get("registration_id")

    async def query(self) -> None:
        """Asks what the VTN offers; raises VtnFailure while it cannot be used or does not speak 2.0b over HTTP.

        A VTN that does not answer this is registered with all the same.
        """
        try:
            offer = await self._client.ask(CreatedPartyRegistration, QueryRegistration(request_id=self._new_id()))
        except VtnFailure as fault:
            if is_refusal(fault):
                return
            raise
        profiles = {profile.name: profile.transports for profile in offer.profiles}
        if profiles and Transport.HTTP not in profiles.get(_PROFILE, ()):
            raise VtnFailure(
                f"{self._provider.id}: the VTN offers {', '.join(profiles)}, not {_PROFILE} over simple HTTP",
                "Ask the provider for an OpenADR 2.0b service over HTTP.",
            )

    async def ensure(self, address: str | None = None) -> None:
        """Registers, under the identifiers given before where there are any; raises VtnFailure.

        `address` is where the VTN may send to; a VTN that does not send is asked instead.
        """
        answer = await self._registered(self.registration_id, address)
        if not answer.ven_id or not answer.registration_id:
            raise VtnFailure(
                f"{self._provider.id}: the VTN gave no registration",
                f"Ask the provider to admit the VEN {self._provider.ven_name!r}.",
            )
        self.ven_id, self.vtn_id, self.registration_id = answer.ven_id, answer.vtn_id, answer.registration_id
        self.poll_every = answer.poll_every or timedelta()
        await self._keep()
        if 2 * self.poll_every.total_seconds() > self._provider.stale_after_s():
            _LOG.warning(
                "%s: the provider allows one poll every %g s, and the link counts as stale after %g s. "
                "Set poll_s in the site file to what the provider allows.",
                self._provider.id,
                self.poll_every.total_seconds(),
                self._provider.stale_after_s(),
            )

    async def _registered(self, known: str | None, address: str | None) -> CreatedPartyRegistration:
        try:
            answer = await self._register(known, address)
        except VtnFailure as fault:
            refused = fault.status is not None and 450 <= fault.status < 470
            stranger = fault.status in _UNKNOWN
            if refused and known is not None and (stranger or address is None):
                _LOG.warning("%s; registering anew", fault.detail)
                return await self._registered(None, address)
            if refused and address is not None and not stranger:
                _LOG.warning("%s; it does not send by itself, so we ask it", fault.detail)
                return await self._registered(known, None)
            raise
        self.pushed = address is not None
        return answer

    async def _register(self, registration_id: str | None, address: str | None) -> CreatedPartyRegistration:
        request = CreatePartyRegistration(
            request_id=self._new_id(),
            registration_id=registration_id,
            ven_id=self.ven_id if registration_id is not None else self._provider.client_id or None,
            profile=_PROFILE,
            transport=Transport.HTTP,
            transport_address=address,
            report_only=False,
            xml_signature=self._signed,
            ven_name=self._provider.ven_name,
            pull=address is None,
        )
        return await self._client.ask(CreatedPartyRegistration, request)

    async def cancel(self) -> None:
        """Ends the registration; raises VtnFailure where the VTN does not agree."""
        if self.registration_id is None:
            return
        request = CancelPartyRegistration(
            request_id=self._new_id(), registration_id=self.registration_id, ven_id=self.ven_id
        )
        await self._client.ask(CanceledPartyRegistration, request)
        await self.forget()

    async def forget(self) -> None:
        """We are not registered any longer."""
        self.registration_id = None
        await self._keep()

    async def _keep(self) -> None:
        known = {"ven_id": self.ven_id, "vtn_id": self.vtn_id, "registration_id": self.registration_id}
        row = Row(REGISTRATION, row_key(self._provider.id), {key: value for key, value in known.items() if value})
        await commit(self._store, [row], self._provider.id)
