"""The owner's acts as they arrive over the local API: validated, and made into the model's requests."""

import secrets
from collections.abc import Iterator
from datetime import timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from cem.model.envelope import SITE
from cem.model.request import SUITS, RequestKind, UserRequest
from cem.model.resource import Role
from cem.model.status import ResourceStatus, Status

LONGEST = timedelta(days=7)
"""Every act ends by itself; what should hold longer belongs in the site file."""

OF_SITE = frozenset(kind for kind, roles in SUITS.items() if not roles)
TAKES = {
    RequestKind.CHARGE_BY: frozenset({"ready_at", "energy_wh", "target_soc_pct"}),
    RequestKind.RESERVE: frozenset({"target_soc_pct"}),
    RequestKind.OPT_OUT: frozenset({"since", "event_id"}),
}
"""What an act takes beside its resource and its end."""


class RequestBody(BaseModel):
    """The body of POST /v1/requests."""

    model_config = ConfigDict(extra="forbid")

    resource_id: str = Field(min_length=1, max_length=64, description="a resource of the status, or 'site'")
    kind: RequestKind = Field(description="what is asked of it")
    until: AwareDatetime = Field(description="when the act ends by itself; at most seven days ahead")
    since: AwareDatetime | None = Field(default=None, description="opt_out: when it begins; none: now")
    ready_at: AwareDatetime | None = Field(default=None, description="charge_by: when it shall be in the car")
    energy_wh: float | None = Field(default=None, gt=0, le=1_000_000, description="charge_by: so much more")
    target_soc_pct: float | None = Field(default=None, ge=0, le=100, description="charge_by and reserve: the level")
    event_id: str | None = Field(default=None, min_length=1, max_length=256, description="opt_out: that event only")


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
    faults = [*_resource_faults(wish, status), *_time_faults(wish, status), *_detail_faults(wish, status)]
    if faults:
        raise RequestInvalid(faults)
    return UserRequest(id=secrets.token_hex(6), made_at=status.at, by=by, **wish.model_dump())


def _resource(wish: RequestBody, status: Status) -> ResourceStatus | None:
    found = (resource for device in status.devices for resource in device.resources)
    return next((resource for resource in found if resource.id == wish.resource_id), None)


def _resource_faults(wish: RequestBody, status: Status) -> Iterator[Fault]:
    if wish.kind in OF_SITE:
        if wish.resource_id != SITE:
            yield Fault(path="resource_id", detail=f"{wish.kind.value} is an act of the whole site: write '{SITE}'")
        return
    roles: dict[str, Role] = {resource.id: resource.role for device in status.devices for resource in device.resources}
    role = roles.get(wish.resource_id)
    if role is None:
        known = ", ".join(sorted(roles)) or "none"
        yield Fault(path="resource_id", detail=f"there is no {wish.resource_id!r} in this house; known: {known}")
    elif role not in SUITS[wish.kind]:
        fitting = ", ".join(sorted(kind.value for kind, suited in SUITS.items() if role in suited)) or "nothing"
        yield Fault(path="kind", detail=f"{wish.kind.value} does not suit a {role.value}; what does: {fitting}")


def _time_faults(wish: RequestBody, status: Status) -> Iterator[Fault]:
    if wish.until <= status.at:
        yield Fault(path="until", detail=f"is over already; it is {status.at.isoformat(timespec='seconds')} now")
    if wish.until > status.at + LONGEST:
        yield Fault(path="until", detail=f"lies more than {LONGEST.days} days ahead")
    if wish.since is not None and wish.since >= wish.until:
        yield Fault(path="since", detail="is not before `until`")
    if wish.ready_at is not None and not status.at < wish.ready_at <= wish.until:
        yield Fault(path="ready_at", detail="must be ahead, and not after `until`")


def _detail_faults(wish: RequestBody, status: Status) -> Iterator[Fault]:
    given = {name for name in wish.model_fields_set if getattr(wish, name) is not None}
    takes = TAKES.get(wish.kind, frozenset())
    for name in sorted(given - takes - {"resource_id", "kind", "until"}):
        yield Fault(path=name, detail=f"{wish.kind.value} takes no such detail")
    if wish.kind is RequestKind.RESERVE and wish.target_soc_pct is None:
        yield Fault(path="target_soc_pct", detail="the level to keep is missing")
    if wish.kind is not RequestKind.CHARGE_BY:
        return
    if wish.ready_at is None:
        yield Fault(path="ready_at", detail="the time by which it shall be in the car is missing")
    if (wish.energy_wh is None) == (wish.target_soc_pct is None):
        yield Fault(path="energy_wh", detail="exactly one of energy_wh and target_soc_pct is needed")
    resource = _resource(wish, status)
    if wish.target_soc_pct is not None and resource is not None and resource.soc_pct is None:
        detail = f"{resource.name} does not tell its state of charge; ask for an energy instead"
        yield Fault(path="target_soc_pct", detail=detail)
