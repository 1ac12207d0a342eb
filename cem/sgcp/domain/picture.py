"""The members of a domain as its VTN knows them: who they are, what they declare, when they were heard. Pure."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from cem.sgcp.domain.usage import Used, used
from cem.sgcp.domain.usage_2b import used_2b
from cem.sgcp.vtn.objects import Body, Objects
from cem.sgcp.vtn2b.events import opt_of
from cem.sgcp.vtn2b.outgoing import market_context
from cem.sgcp.vtn2b.records import Offer, Opt, Party, Told
from cem.wire.openadr2b.names import OptType
from cem.wire.openadr3 import (
    Attribute,
    ObjectType,
    OperatingState,
    Report,
    ReportPayload,
    WireError,
    parse_datetime,
    validate,
)

_LOG = logging.getLogger(__name__)
_OPTED_OUT = (OperatingState.IDLE_OPTED_OUT.value, OperatingState.RUNNING_OPTED_OUT.value)


@dataclass(frozen=True, slots=True)
class SubVen:
    """A ven of the domain. Powers are what it declares, magnitudes in W, None: nothing.

    `opted_out` are the ids of the events that it leaves out, `target` what events for it alone are addressed to;
    `granted`: whether it has that target.
    """

    id: str
    name: str
    client_id: str
    granted: bool
    import_w: float | None = None
    export_w: float | None = None
    heard_at: datetime | None = None
    opted_out: frozenset[str] = frozenset()

    @property
    def target(self) -> str:
        """Events with this target are for it alone."""
        return target_of(self.id)


@dataclass(frozen=True, slots=True)
class Look:
    """What there is in the VTN: its vens, and by their names what the reports say that came or changed since the last
    look.
    """

    vens: tuple[SubVen, ...]
    used: tuple[tuple[str, list[Used]], ...]
    stamps: Mapping[str, str]
    """When each report was last changed, for the next look."""

    def old(self, before: datetime) -> list[str]:
        """The ids of reports that were not changed since an instant."""
        return [report_id for report_id, stamp in self.stamps.items() if parse_datetime(stamp) < before]


def target_of(ven_id: str) -> str:
    """The target that stands for one ven alone."""
    return f"ven-{ven_id}"


def look(
    objects: Objects, heard: Mapping[str, datetime], usage_event_id: str, stamps: Mapping[str, str], now: datetime
) -> Look:
    """The vens, and what reports of usage say that are not of one of the stamps. `heard` is by client."""
    vens = tuple(_ven(body, objects, heard, now) for body in objects.all(ObjectType.VEN))
    names = {ven.client_id: ven.name for ven in vens}
    found: list[tuple[str, list[Used]]] = []
    seen: dict[str, str] = {}

    def read(name: str, body: Body, use: Callable[[Report], list[Used]]) -> None:
        seen[body["id"]] = body["modificationDateTime"]
        if stamps.get(body["id"]) == body["modificationDateTime"]:
            return
        try:
            found.append((name, use(validate(Report, dict(body)))))
        except WireError:
            _LOG.warning("domain below: a report of %s can't be read; what it used then is missing", name)

    for body in objects.referring(ObjectType.REPORT, "eventID", usage_event_id):
        if (name := names.get(body.get("clientID", ""))) is not None:
            read(name, body, used)
    for ven in vens:
        if Party.find(objects, ven.id) is not None:
            points = [point for offer in Offer.of(objects, ven.id) for point in offer.points]
            for body in objects.referring(ObjectType.REPORT, "clientID", ven.client_id):
                read(ven.name, body, partial(used_2b, points=points))
    return Look(vens, tuple(found), seen)


def _ven(body: Body, objects: Objects, heard: Mapping[str, datetime], now: datetime) -> SubVen:
    resources = objects.referring(ObjectType.RESOURCE, "venID", body["id"])
    return SubVen(
        id=body["id"],
        name=body["venName"],
        client_id=body["clientID"],
        granted=target_of(body["id"]) in body.get("targets", ()),
        import_w=_declared(body, resources, Attribute.MAX_POWER_CONSUMPTION),
        export_w=_declared(body, resources, Attribute.MAX_POWER_EXPORT),
        heard_at=heard.get(body["clientID"]),
        opted_out=frozenset((*_out_by_report(body, objects), *_out_by_opt(body, objects, now))),
    )


def _declared(body: Body, resources: Iterable[Body], kind: Attribute) -> float | None:
    """What a ven declares for itself, else the sum of what its resources declare; W."""
    own = list(_attribute(body, kind))
    if own:
        return own[0]
    found = [value for resource in resources for value in _attribute(resource, kind)]
    return sum(found) if found else None


def _attribute(body: Body, kind: Attribute) -> Iterator[float]:
    for attribute in body.get("attributes", ()):
        if attribute.get("type") == kind:
            yield from (float(v) * 1000 for v in attribute.get("values", ())[:1] if isinstance(v, int | float))


def _out_by_report(ven: Body, objects: Objects) -> Iterator[str]:
    """The events whose last operating state that a VEN of 3.1 reported says that it is left out."""
    newest: dict[str, tuple[str, str]] = {}
    for body in objects.referring(ObjectType.REPORT, "clientID", ven["clientID"]):
        for resource in body["resources"]:
            for interval in resource["intervals"][-1:]:
                for payload in interval["payloads"]:
                    if payload["type"] == ReportPayload.OPERATING_STATE and payload["values"]:
                        state = (body["modificationDateTime"], str(payload["values"][0]))
                        newest[body["eventID"]] = max(newest.get(body["eventID"], ("", "")), state)
    yield from (event_id for event_id, (_, state) in newest.items() if state in _OPTED_OUT)


def _out_by_opt(ven: Body, objects: Objects, now: datetime) -> Iterator[str]:
    """The events that a VEN of 2.0b answered, or declared by an opt of the event or of the present time, to leave."""
    if Party.find(objects, ven["id"]) is None:
        return
    opts = Opt.of(objects, ven["id"])
    away = [
        opt.market_context
        for opt in opts
        for start, length in opt.stretches
        if opt.opt_type == OptType.OUT and start <= now and (not length or now < start + length)
    ]
    for told in Told.of(objects, ven["id"]):
        if opt_of(told, opts) == OptType.OUT or None in away or _context_of(told, objects) in away:
            yield told.event_id


def _context_of(told: Told, objects: Objects) -> str:
    event = objects.get(ObjectType.EVENT, told.event_id) or {}
    program = objects.get(ObjectType.PROGRAM, event.get("programID", "")) or {}
    return market_context(program.get("programName", ""))
