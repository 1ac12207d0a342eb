"""The VTN's objects in memory, and the changes of them that a request makes."""

import json
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

Body = Mapping[str, Any]
T = TypeVar("T")
_MAX_DERIVED = 32
_REFERENCES = ("clientID", "programID", "eventID", "venID")


@dataclass(frozen=True, slots=True)
class Change:
    """One object as it shall be from now on; `body` None removes it."""

    kind: str
    id: str
    body: Body | None


class Objects:
    """All objects by type and id, in order of creation. Only `apply` changes it.

    Beside the types of OpenADR 3.1 there may be others, of the VTN's own: they are stored alike and served to nobody.
    """

    def __init__(self, stored: Iterable[tuple[str, str, Body]] = ()) -> None:
        self._bodies: dict[str, dict[str, Body]] = {}
        self._referring: dict[tuple[str, str, str], dict[str, Body]] = {}
        self._derived: dict[tuple[str, str], dict[Hashable, Any]] = {}
        self.apply([Change(kind, object_id, body) for kind, object_id, body in stored])

    def get(self, kind: str, object_id: str) -> Body | None:
        """The object of that id, or None."""
        return self._bodies.get(kind, {}).get(object_id)

    def all(self, kind: str) -> Collection[Body]:
        """All objects of a type, oldest first."""
        return self._bodies.get(kind, {}).values()

    def referring(self, kind: str, reference: str, to: str) -> Collection[Body]:
        """The objects of a type whose clientID, programID, eventID or venID is `to`; found without a search."""
        return self._referring.get((kind, reference, to), {}).values()

    def count(self, kind: str, client_id: str) -> int:
        """How many objects of a type belong to a client."""
        return len(self.referring(kind, "clientID", client_id))

    def derived(self, kind: str, body: Body, key: Hashable, derive: Callable[[], T]) -> T:
        """What is made of a stored object, kept by `key` until the object changes; a few things for each object."""
        known = self._derived.setdefault((kind, body["id"]), {})
        if key not in known:
            if len(known) >= _MAX_DERIVED:
                known.clear()
            known[key] = derive()
        found: T = known[key]
        return found

    def apply(self, changes: Sequence[Change]) -> None:
        """Takes changes in, after they were made durable."""
        for change in changes:
            bodies = self._bodies.setdefault(change.kind, {})
            self._forget(change.kind, change.id, change.body)
            if change.body is None:
                bodies.pop(change.id, None)
                continue
            bodies[change.id] = change.body
            for reference in _REFERENCES:
                if reference in change.body:
                    key = (change.kind, reference, change.body[reference])
                    self._referring.setdefault(key, {})[change.id] = change.body

    def _forget(self, kind: str, object_id: str, successor: Body | None) -> None:
        """Drops what is known of the object but its place among those that refer to the same."""
        old = self._bodies[kind].get(object_id)
        if old is None:
            return
        self._derived.pop((kind, object_id), None)
        for reference in _REFERENCES:
            if reference in old and (successor is None or successor.get(reference) != old[reference]):
                key = (kind, reference, old[reference])
                siblings = self._referring[key]
                del siblings[object_id]
                if not siblings:
                    del self._referring[key]


def text_of(body: Body) -> bytes:
    """An object as JSON."""
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")
