"""Object privacy (Definition, "Object Privacy"): who sees which object, and which of its targets."""

from dataclasses import dataclass

from cem.sgcp.vtn.objects import Body, Objects
from cem.sgcp.vtn.tokens import Grant, Role
from cem.wire.openadr3 import ObjectType

TARGETED = frozenset({ObjectType.PROGRAM, ObjectType.EVENT})


@dataclass(frozen=True, slots=True)
class Sight:
    """What one caller may see. `granted` are a VEN's targets; business logic sees all without them."""

    client_id: str
    sees_all: bool
    granted: frozenset[str] = frozenset()

    @classmethod
    def of(cls, grant: Grant, objects: Objects) -> "Sight":
        """The sight of a token's owner; a VEN's targets are those of its own vens and resources together."""
        if grant.role is Role.BL:
            return cls(grant.client_id, sees_all=True)
        granted = {
            target
            for kind in (ObjectType.VEN, ObjectType.RESOURCE)
            for body in objects.all(kind)
            if body.get("clientID") == grant.client_id
            for target in body.get("targets", ())
        }
        return cls(grant.client_id, sees_all=False, granted=frozenset(granted))

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
