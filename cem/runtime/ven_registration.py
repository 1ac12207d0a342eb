"""A VEN's objects at the VTN: its ven and its resources, found again under their old identifiers or made anew."""

import logging
from collections.abc import Sequence

from cem.model.provider import Provider
from cem.model.resource import Resource
from cem.ports import StateKind, StateStore
from cem.runtime.ven_client import VtnClient, VtnFailure, object_path
from cem.runtime.ven_rows import commit
from cem.sgcp.durable import REGISTRATION, Row, row_key
from cem.wire import openadr3 as wire

_LOG = logging.getLogger(__name__)
_NOT_OFFERED = (403, 404, 405, 501)
_MOST_TARGETS = 8


class Registration:
    """The ven object of one provider and the resources below it."""

    def __init__(self, provider: Provider, client: VtnClient, store: StateStore, resources: Sequence[Resource]) -> None:
        self._provider = provider
        self._client = client
        self._store = store
        self._resources = resources
        self._ven_id: str | None = None
        self._refused = False
        self.targets: tuple[str, ...] = ()
        """What the provider granted us: events may be hidden from a request that does not name them."""

    async def restore(self) -> None:
        """Loads the identifier that the VTN gave us before."""
        row = (await self._store.load(StateKind.REGISTRATION)).get(row_key(self._provider.id))
        ven_id = row.get("ven_id") if isinstance(row, dict) else None
        self._ven_id = ven_id if isinstance(ven_id, str) else None

    @property
    def ven_id(self) -> str | None:
        """The identifier of our ven; None without a registration."""
        return None if self._refused else self._ven_id

    async def probe(self) -> None:
        """The smallest authenticated request; raises VtnFailure while the VTN cannot be used."""
        await self._client.every(wire.Program, "/programs")

    async def ensure(self) -> None:
        """Makes sure that the ven and its resources exist; goes on without where the VTN does not offer it.

        Interpretation: a provider may create the objects itself or serve without any (Definition, "VEN enrollment").
        """
        try:
            ven = await self._ven()
            granted = [*ven.targets, *(target for r in await self._own_resources(ven) for target in r.targets)]
        except VtnFailure as fault:
            if fault.status not in _NOT_OFFERED:
                raise
            if not self._refused:
                _LOG.warning(
                    "%s; going on without a registration. Ask the provider to create ven %r for client %r.",
                    fault.detail,
                    self._provider.ven_name,
                    self._provider.client_id,
                )
            self._refused = True
            return
        self._refused = False
        self.targets = tuple(dict.fromkeys(granted))[:_MOST_TARGETS]
        if ven.id != self._ven_id:
            self._ven_id = ven.id
            row = Row(REGISTRATION, row_key(self._provider.id), {"ven_id": ven.id})
            await commit(self._store, [row], self._provider.id)

    async def _ven(self) -> wire.Ven:
        name = self._provider.ven_name
        if self._ven_id is not None:
            held = await self._client.one(wire.Ven, object_path("vens", self._ven_id))
            if held is not None and held.ven_name == name:
                return held
        listed = await self._client.every(wire.Ven, "/vens", {"venName": name})
        found = next((ven for ven in listed.items if ven.ven_name == name), None)
        if found is not None:
            return found
        try:
            return await self._client.post(wire.Ven, "/vens", wire.VenRequest(ven_name=name))
        except VtnFailure as fault:
            if fault.status == 409:
                fault.advice = f"The name {name!r} belongs to another client. Choose another ven_name in the site file."
            raise

    async def _own_resources(self, ven: wire.Ven) -> list[wire.Resource]:
        if not self._resources:
            return []
        listed = await self._client.every(wire.Resource, "/resources", {"venID": ven.id})
        found = {resource.resource_name: resource for resource in listed.items if resource.ven_id == ven.id}
        for resource in self._resources:
            if resource.id not in found:
                request = wire.ResourceRequest(
                    resource_name=resource.id, ven_id=ven.id, attributes=_attributes(resource)
                )
                found[resource.id] = await self._client.post(wire.Resource, "/resources", request)
        return list(found.values())


def _attributes(resource: Resource) -> tuple[wire.ValuesMap, ...]:
    """What the resource can take and give, kW (Definition, table 8)."""
    ratings = resource.ratings
    known = (
        (wire.Attribute.MAX_POWER_CONSUMPTION, ratings.max_charge_w),
        (wire.Attribute.MAX_POWER_EXPORT, ratings.max_generation_w or ratings.max_discharge_w),
    )
    return tuple(wire.ValuesMap(type=kind, values=(watts / 1000,)) for kind, watts in known if watts is not None)
