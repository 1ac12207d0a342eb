"""Tells one OpenADR 2.0b provider of the owner's opting out, and of its end; what was told is known over restarts."""

import logging
from collections.abc import Callable

from cem.model.provider import Provider
from cem.ports import Clock, StateKind, StateStore
from cem.runtime.ven2b_client import Vtn2bClient, is_refusal
from cem.runtime.ven_client import VtnFailure
from cem.runtime.ven_rows import commit
from cem.sgcp.bindings.openadr2b import version_of
from cem.sgcp.durable import REGISTRATION, Json, Row, row_key
from cem.sgcp.opt.openadr2b import opts
from cem.sgcp.point import ConnectionPoint
from cem.wire.openadr2b.messages import CanceledOpt, CancelOpt, CreatedOpt, CreateOpt

_LOG = logging.getLogger(__name__)
_NOT_OFFERED = (404, 405, 501)


class Opts2b:
    """The opts of one provider. One that offers no EiOpt hears of it in the answers to events alone."""

    def __init__(
        self,
        provider: Provider,
        client: Vtn2bClient,
        point: ConnectionPoint,
        store: StateStore,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._provider = provider
        self._client = client
        self._point = point
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._told: set[str] = set()
        self._offered = True

    async def restore(self) -> None:
        """Loads what was told."""
        row = (await self._store.load(StateKind.REGISTRATION)).get(row_key(self._provider.id, "opts"))
        self._told = {one for one in row if isinstance(one, str)} if isinstance(row, list) else set()

    async def tell(self, ven_id: str) -> None:
        """Creates what is new and cancels what is over; raises VtnFailure."""
        contexts = _contexts(self._provider)
        if not (self._offered and contexts):
            return
        now = self._clock.now()
        events = self._point.events(self._provider.id, now)
        versions = {event.id: version_of(event) for event in events.values()}
        wanted = opts(self._point.outs, events, versions, ven_id, self._new_id(), now.wall, contexts)
        before = set(self._told)
        try:
            for opt_id in wanted.keys() - self._told:
                await self._create(wanted[opt_id])
                self._told.add(opt_id)
            for opt_id in self._told - wanted.keys():
                await self._cancel(opt_id, ven_id)
        except VtnFailure as fault:
            if fault.status not in _NOT_OFFERED:
                raise
            self._offered = False
            _LOG.warning("%s; the provider hears of opting out in the answers to events alone", fault.detail)
        finally:
            if self._told != before:
                told: Json = [*sorted(self._told)]
                row = Row(REGISTRATION, row_key(self._provider.id, "opts"), told)
                await commit(self._store, [row], self._provider.id)

    async def _create(self, opt: CreateOpt) -> None:
        """Tells of one; it is not told again to a VTN that refuses this one."""
        try:
            await self._client.ask(CreatedOpt, opt)
        except VtnFailure as fault:
            if fault.status in _NOT_OFFERED or not is_refusal(fault):
                raise
            _LOG.warning("%s; the opt-out holds in the house all the same", fault.detail)

    async def _cancel(self, opt_id: str, ven_id: str) -> None:
        """Takes one back. Interpretation: one that the VTN does not know any longer is over as well."""
        try:
            await self._client.ask(CanceledOpt, CancelOpt(request_id=self._new_id(), opt_id=opt_id, ven_id=ven_id))
        except VtnFailure as fault:
            if fault.status in _NOT_OFFERED or not is_refusal(fault):
                raise
        self._told.discard(opt_id)


def _contexts(provider: Provider) -> tuple[str | None, ...]:
    """The market contexts that may be opted out of; None stands for all of them."""
    if not provider.mandatory:
        return (None,)
    return tuple(programme.name for programme in provider.programmes if not programme.mandatory)
