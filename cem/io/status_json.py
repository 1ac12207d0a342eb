"""The status as JSON: one writing of it for the server, one reading of it for the clients."""

import dataclasses
from typing import Final

from pydantic import TypeAdapter

from cem.model.plan import Plan
from cem.model.request import UserRequest
from cem.model.status import Status
from cem.model.why import Explanation

STATUS: Final = TypeAdapter(Status)
PLAN: Final[TypeAdapter[Plan | None]] = TypeAdapter(Plan | None)
REQUEST: Final = TypeAdapter(UserRequest)
EXPLANATION: Final = TypeAdapter(Explanation)


def _plain(plan: Plan | None) -> Plan | None:
    """The same plan with ordinary dicts: the serialiser knows no read-only mappings."""
    if plan is None:
        return None
    slots = tuple(
        dataclasses.replace(slot, intents=dict(slot.intents), power_w=dict(slot.power_w), soc_pct=dict(slot.soc_pct))
        for slot in plan.slots
    )
    return dataclasses.replace(plan, slots=slots)


class StatusJson:
    """Writes statuses as JSON, each object once and each plan once: a plan outlives hundreds of statuses."""

    def __init__(self) -> None:
        self._status: Status | None = None
        self._brief = b""
        self._plan: Plan | None = None
        self._plan_json = b"null"

    def plan(self, plan: Plan | None) -> bytes:
        """A plan, or null."""
        if plan is not self._plan:
            self._plan_json = PLAN.dump_json(_plain(plan))
            self._plan = plan
        return self._plan_json

    def brief(self, status: Status) -> bytes:
        """A status without its plan (the field is null)."""
        return self._without_plan(status) + b',"plan":null}'

    def whole(self, status: Status) -> bytes:
        """A status with its plan, field for field."""
        return self._without_plan(status) + b',"plan":' + self.plan(status.plan) + b"}"

    def _without_plan(self, status: Status) -> bytes:
        if status is not self._status:
            self._brief = STATUS.dump_json(status, exclude={"plan"})[:-1]
            self._status = status
        return self._brief


def read_status(body: bytes) -> Status:
    """The status in `body`; ValueError (of pydantic) when it isn't one. Unknown fields are ignored."""
    return STATUS.validate_json(body)


def read_plan(body: bytes) -> Plan | None:
    """The plan in `body`, None for null; ValueError when it isn't one."""
    return PLAN.validate_json(body)
