"""Query parameters of the listings: paging and filters, each checked (openadr3.yaml, parameters)."""

import re
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus

from cem.sgcp.vtn.answers import RefusedRequest
from cem.sgcp.vtn.lifespan import ends_at
from cem.sgcp.vtn.objects import Body, Objects
from cem.wire.http import HttpRequest
from cem.wire.openadr3 import Event, ObjectType, parse_datetime, validate

MAX_PAGE = 50
_MAX_INT32 = 2**31 - 1
_OBJECT_ID = re.compile(r"[A-Za-z0-9_-]+")
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
        _check(self._equal, self._program_of_report, self._subscribed)

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
        if self._active_at is None:
            return True
        end = self._objects.derived(ObjectType.EVENT, body, _end, lambda: _end(body))
        return end is None or end > self._active_at


def _end(body: Body) -> datetime | None:
    return ends_at(validate(Event, dict(body)), parse_datetime(body["modificationDateTime"]))


def _check(equal: Mapping[str, str], program_id: str | None, subscribed: frozenset[str]) -> None:
    """Refuses values that the parameter's schema does not allow."""
    given = {**equal, **({"programID": program_id} if program_id is not None else {})}
    for name, value in given.items():
        if not 1 <= len(value) <= 128:
            raise RefusedRequest(HTTPStatus.BAD_REQUEST, f"query {name}: 1 to 128 characters are allowed")
        if name.endswith("ID") and _OBJECT_ID.fullmatch(value) is None:
            raise RefusedRequest(
                HTTPStatus.BAD_REQUEST, f"query {name}: {value[:40]!r}; letters, digits, - and _ are allowed"
            )
    strange = sorted(subscribed - set(ObjectType))
    if strange:
        raise RefusedRequest(
            HTTPStatus.BAD_REQUEST, f"query objects: {strange[0][:40]!r}; allowed: {', '.join(ObjectType)}"
        )
