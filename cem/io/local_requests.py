"""The owner's acts as they arrive over the local API: validated, and made into the model's requests."""

import secrets
from datetime import timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from cem.model.request import SUITS, RequestKind, UserRequest
from cem.model.resource import Role
from cem.model.status import Status

LONGEST = timedelta(days=7)
"""Every act ends by itself; what should hold longer belongs in the site file."""


class RequestBody(BaseModel):
    """The body of POST /v1/requests."""

    model_config = ConfigDict(extra="forbid")

    resource_id: str = Field(min_length=1, max_length=64, description="a resource of the status")
    kind: RequestKind = Field(description="what is asked of it")
    until: AwareDatetime = Field(description="when the act ends by itself; at most seven days ahead")


class Fault(BaseModel):
    """One thing wrong with a body: where, and what."""

    path: str
    detail: str


class RequestInvalid(ValueError):  # noqa: N818 - the field's word
    """A body that can't be made into a request; `faults` names each reason with its path."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(f"{fault.path}: {fault.detail}" for fault in faults))
        self.faults = faults


def read_request(body: bytes, status: Status, by: str) -> UserRequest:
    """The request in `body`, made at the status's own time; raises RequestInvalid with every fault."""
    try:
        wish = RequestBody.model_validate_json(body)
    except ValidationError as error:
        raise RequestInvalid(
            [
                Fault(path=".".join(map(str, one["loc"])) or "body", detail=one["msg"])
                for one in error.errors(include_url=False, include_input=False, include_context=False)
            ]
        ) from error
    faults = [*_resource_faults(wish, status), *_time_faults(wish, status)]
    if faults:
        raise RequestInvalid(faults)
    return UserRequest(
        id=secrets.token_hex(6),
        resource_id=wish.resource_id,
        kind=wish.kind,
        until=wish.until,
        made_at=status.at,
        by=by,
    )


def _resource_faults(wish: RequestBody, status: Status) -> list[Fault]:
    roles: dict[str, Role] = {resource.id: resource.role for device in status.devices for resource in device.resources}
    role = roles.get(wish.resource_id)
    if role is None:
        known = ", ".join(sorted(roles)) or "none"
        return [Fault(path="resource_id", detail=f"there is no {wish.resource_id!r} in this house; known: {known}")]
    if role not in SUITS[wish.kind]:
        fitting = ", ".join(sorted(kind.value for kind, suited in SUITS.items() if role in suited)) or "nothing"
        return [Fault(path="kind", detail=f"{wish.kind.value} does not suit a {role.value}; what does: {fitting}")]
    return []


def _time_faults(wish: RequestBody, status: Status) -> list[Fault]:
    if wish.until <= status.at:
        return [Fault(path="until", detail=f"is over already; it is {status.at.isoformat(timespec='seconds')} now")]
    if wish.until > status.at + LONGEST:
        return [Fault(path="until", detail=f"lies more than {LONGEST.days} days ahead")]
    return []
