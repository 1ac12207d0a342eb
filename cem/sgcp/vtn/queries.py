"""Query parameters of the listings: paging and filters, each checked (openadr3.yaml, parameters)."""

from datetime import datetime
from http import HTTPStatus

from cem.sgcp.vtn.answers import RefusedRequest
from cem.sgcp.vtn.lifespan import ends_at
from cem.sgcp.vtn.objects import Body, Objects
from cem.wire.http import HttpRequest
from cem.wire.openadr3 import Event, ObjectType, parse_datetime, validate

MAX_PAGE = 50
_MAX_INT32 = 2**31 - 1
_EQUAL = {
    ObjectType.PROGRAM: ("programName",),  # not in the yaml; Definition, "Object names"
    ObjectType.EVENT: ("programID",),
    ObjectType.REPORT: ("eventID", "clientName"),
    ObjectType.SUBSCRIPTION: ("programID", "clientName"),
    ObjectType.VEN: ("venName",),
    ObjectType.RESOURCE: ("resourceName", "venID"),
}


class Query:
    """The parameters of one request; unknown ones are ignored, wrong values refused with 400."""

    def __init__(self, request: HttpRequest) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in request.query:
            self._values.setdefault(name, []).append(value)

    def one(self, name: str) -> str | None:
        """The value of a parameter that may be given once."""
        values = self._values.get(name, [])
        if len(values) > 1:
            raise RefusedRequest(HTTPStatus.BAD_REQUEST, f"query {name}: given {len(values)} times; once is allowed")
        return values[0] if values else None

    def every(self, name: str) -> frozenset[str]:
        """The values of a parameter that may be repeated."""
        return frozenset(self._values.get(name, ()))

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number from 0 to `most`."""
        text = self.one(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= most):
            raise RefusedRequest(
                HTTPStatus.BAD_REQUEST, f"query {name}: {text[:40]!r}; a number 0 to {most} is allowed"
            )
        return int(text)

    def flag(self, name: str) -> bool:
        """A boolean, false when absent."""
        text = self.one(name)
        if text not in (None, "true", "false"):
            raise RefusedRequest(HTTPStatus.BAD_REQUEST, f"query {name}: {str(text)[:40]!r}; true or false is allowed")
        return text == "true"

    def page(self) -> tuple[int, int]:
        """(skip, limit); 50 objects at the most, also when no limit is given."""
        return self.number("skip", 0, _MAX_INT32), self.number("limit", MAX_PAGE, MAX_PAGE)

    def targets(self) -> frozenset[str]:
        """The targets asked for."""
        targets = self.every("targets")
        if any(not 1 <= len(target) <= 128 for target in targets):
            raise RefusedRequest(HTTPStatus.BAD_REQUEST, "query targets: each has 1 to 128 characters")
        return targets


class Filter:
    """The filters of a listing besides targets; an object must pass every one (Definition, "Response Filtering")."""

    def __init__(self, kind: ObjectType, query: Query, objects: Objects, now: datetime) -> None:
        self._equal = {name: value for name in _EQUAL[kind] if (value := query.one(name)) is not None}
        self._program_of_report = query.one("programID") if kind is ObjectType.REPORT else None
        self._subscribed = query.every("objects") if kind is ObjectType.SUBSCRIPTION else frozenset()
        self._active_at = now if kind is ObjectType.EVENT and query.flag("active") else None
        self._objects = objects

    def passes(self, body: Body) -> bool:
        """Whether the object is to be listed."""
        if any(body.get(name) != value for name, value in self._equal.items()):
            return False
        if self._program_of_report is not None:
            event = self._objects.get(ObjectType.EVENT, body["eventID"]) or {}
            if event.get("programID") != self._program_of_report:
                return False
        if self._subscribed:
            named = {name for entry in body["objectOperations"] for name in entry["objects"]}
            if not self._subscribed <= named:
                return False
        return self._active_at is None or _is_active(body, self._active_at)


def _is_active(body: Body, at: datetime) -> bool:
    event = validate(Event, dict(body))
    end = ends_at(event, parse_datetime(body["modificationDateTime"]))
    return end is None or end > at
