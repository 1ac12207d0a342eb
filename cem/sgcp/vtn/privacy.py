"""Object privacy (Definition, "Object Privacy"): who sees which object, and which of its targets."""

from collections.abc import Iterable
from dataclasses import dataclass

from cem.sgcp.vtn.objects import Body, Objects, text_of
from cem.sgcp.vtn.tokens import Role
from cem.wire.openadr3 import ObjectType

TARGETED = frozenset({ObjectType.PROGRAM, ObjectType.EVENT})


@dataclass(frozen=True, slots=True)
class Sight:
    """What one caller may see. `granted` are a VEN's targets; business logic sees all without them."""

    client_id: str
    sees_all: bool
    granted: frozenset[str] = frozenset()

    @classmethod
    def of(cls, client_id: str, role: Role, objects: Objects) -> "Sight":
        """The sight of a client; a VEN's targets are those of its own vens and resources together."""
        if role is Role.BL:
            return cls(client_id, sees_all=True)
        own = (objects.referring(kind, "clientID", client_id) for kind in (ObjectType.VEN, ObjectType.RESOURCE))
        return cls(client_id, sees_all=False, granted=_targets(body for bodies in own for body in bodies))

    @classmethod
    def of_ven(cls, ven: Body, objects: Objects) -> "Sight":
        """The sight of one ven of a client: its own targets and those of its resources."""
        resources = objects.referring(ObjectType.RESOURCE, "venID", ven["id"])
        return cls(ven["clientID"], sees_all=False, granted=_targets([ven, *resources]))

    @classmethod
    def of_anybody(cls) -> "Sight":
        """What every VEN may see: programs and events without targets."""
        return cls("", sees_all=False)

    def sees(self, kind: ObjectType, body: Body, objects: Objects) -> bool:
        """Whether the caller may know of the object.

        Interpretation: an event without targets in a program with targets is as private as the program.
        """
        if self.sees_all:
            return True
        if kind not in TARGETED:
            return bool(body.get("clientID") == self.client_id)
        targets = body.get("targets", ())
        if kind is ObjectType.EVENT and not targets:
            targets = (objects.get(ObjectType.PROGRAM, body["programID"]) or {}).get("targets", ())
        return not targets or not self.granted.isdisjoint(targets)

    def matches(self, kind: ObjectType, body: Body, asked: frozenset[str]) -> bool:
        """Whether the object has all targets asked for; a VEN's are first cut down to those that it was granted."""
        if not asked:
            return True
        wanted = asked if self.sees_all or kind not in TARGETED else asked & self.granted
        return bool(wanted) and wanted <= frozenset(body.get("targets", ()))

    def shown(self, kind: ObjectType, body: Body, asked: frozenset[str] = frozenset()) -> Body:
        """The object as the caller may see it: of programs and events a VEN learns only its own targets."""
        if self.sees_all or kind not in TARGETED or "targets" not in body:
            return body
        known = self.granted & asked if asked else self.granted
        return {**body, "targets": [target for target in body["targets"] if target in known]}

    def text(self, kind: ObjectType, body: Body, objects: Objects, asked: frozenset[str] = frozenset()) -> bytes:
        """A stored object as JSON, as the caller may see it."""
        shown = self.shown(kind, body, asked)
        return objects.derived(kind, body, tuple(shown.get("targets", ())), lambda: text_of(shown))


def _targets(bodies: Iterable[Body]) -> frozenset[str]:
    return frozenset(target for body in bodies for target in body.get("targets", ()))
