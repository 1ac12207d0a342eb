"""The frozen inputs of one tick."""

from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType

from cem.model.directive import Directive
from cem.model.plan import Plan
from cem.model.reading import Snapshot
from cem.model.request import UserRequest
from cem.model.setpoint import DeviceState, Outcome
from cem.model.time import Instant
from cem.model.values import value


@value(frozen=True, slots=True)
class Inputs:
    """Everything that a tick may know."""

    now: Instant
    snapshot: Snapshot
    directive: Directive = Directive()
    plan: Plan | None = None
    devices: Mapping[str, DeviceState] = field(default_factory=lambda: MappingProxyType({}))
    outcomes: tuple[Outcome, ...] = ()
    requests: tuple[UserRequest, ...] = ()
