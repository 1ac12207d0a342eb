"""Every term that narrowed a resource, as values: what `cem why` prints beside the reason."""

from datetime import datetime

from cem.control.limits import ASKED, ASKED_OF_LOADS, SURPLUS, Limits, use_of
from cem.control.scene import Scene
from cem.model.envelope import SITE, Envelope
from cem.model.resource import Resource, Role
from cem.model.setpoint import Narrowing


def narrowings(
    scene: Scene, resource: Resource, source: str, reason: str, limits: Limits | None
) -> tuple[Narrowing, ...]:
    """The terms of a resource, the binding one first: its own, its circuits, its phases, the connection point.

    A term binds when it is the one that the reason names.
    """
    terms = [
        term for e in scene.envelopes_of(resource.id) for term in _terms(e, resource.id, source, reason, scene.now)
    ]
    if resource.role is not Role.PV and limits is not None:
        for pool in use_of(scene, resource, 1.0, 1.0, resource.ratings.phases):
            by = limits.behind.get(pool)
            if by is None or pool in {SITE, SURPLUS, ASKED, ASKED_OF_LOADS}:
                continue
            unit, value = (
                ("W", by.max_w or 0.0) if not pool.rpartition("L")[2].isdigit() else ("A", _fuse_a(scene, pool))
            )
            binding = by.source == source and by.reason in reason
            terms.append(Narrowing(pool, "max", value, unit, by.rank, by.source, by.reason, binding))
    for envelope in scene.envelopes_of(SITE):
        terms += _terms(envelope, SITE, source, reason, scene.now)
    for dispatch in scene.inputs.directive.dispatches:
        if dispatch.subject == SITE or (dispatch.subject == resource.id and resource.role is Role.BATTERY):
            binding = dispatch.source == source and dispatch.reason in reason
            of = (dispatch.rank, dispatch.source, dispatch.reason, binding)
            terms.append(Narrowing(dispatch.subject, "asked", dispatch.power_w, "W", *of))
    return tuple(sorted(terms, key=lambda term: not term.binding))


def _terms(envelope: Envelope, subject: str, source: str, reason: str, now: datetime) -> list[Narrowing]:
    if envelope.until is not None and now >= envelope.until:
        return []
    binding = envelope.source == source and envelope.reason in reason
    return [
        Narrowing(subject, side, value, "W", envelope.rank, envelope.source, envelope.reason, binding)
        for side, value in (("max", envelope.max_w), ("min", envelope.min_w))
        if value is not None
    ]


def _fuse_a(scene: Scene, pool: str) -> float:
    for circuit in scene.site.circuits:
        if pool.startswith(f"circuit {circuit.id} "):
            return circuit.fuse_a
    return scene.site.connection.fuse_a
