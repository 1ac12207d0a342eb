"""The VTN's objects in memory, and the changes of them that a request makes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cem.wire.openadr3 import ObjectType

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One object as it shall be from now on; `body` None removes it."""

    kind: str
    id: str
    body: Body | None


class Objects:
    """All objects by type and id, in order of creation. Only `apply` changes it."""

    def __init__(self, stored: Iterable[tuple[str, str, Body]] = ()) -> None:
        self._bodies: dict[str, dict[str, Body]] = {kind.value: {} for kind in ObjectType}
        for kind, object_id, body in stored:
            self._bodies[kind][object_id] = body

    def get(self, kind: ObjectType, object_id: str) -> Body | None:
        """The object of that id, or None."""
        return self._bodies[kind].get(object_id)

    def all(self, kind: ObjectType) -> Iterable[Body]:
        """All objects of a type, oldest first."""
        return self._bodies[kind].values()

    def count(self, kind: ObjectType, client_id: str) -> int:
        """How many objects of a type belong to a client."""
        return sum(1 for body in self.all(kind) if body.get("clientID") == client_id)

    def apply(self, changes: Sequence[Change]) -> None:
        """Takes changes in, after they were made durable."""
        for change in changes:
            if change.body is None:
                self._bodies[change.kind].pop(change.id, None)
            else:
                self._bodies[change.kind][change.id] = change.body
