"""What was decided, and what became of it."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from types import MappingProxyType

from cem.model.directive import GridPresence
from cem.model.envelope import Band, Rank
from cem.model.resource import Control
from cem.model.values import value


@value(frozen=True, slots=True)
class Narrowing:
    """One term that narrowed what a resource may do: an edge in W or A, whose it is, and whether it binds now."""

    subject: str  # SITE, a circuit ("circuit garage"), a phase ("L2") or the resource's own id
    side: str  # "max" or "min"; "asked": the power that a provider asks for, followed as far as the others leave room
    value: float
    unit: str  # "W" or "A"
    rank: Rank
    source: str
    reason: str
    binding: bool = False


class Demand(StrEnum):
    """What safety or an obligation demands of a control: at most the value, at least the value, or the value itself."""

    AT_MOST = "at most"
    AT_LEAST = "at least"
    EXACTLY = "exactly"

    def broken_by(self, held: float | None, value: float) -> bool:
        """Whether a device that holds `held` (None: nothing of ours) does other than demanded."""
        if held is None or self is Demand.EXACTLY:
            return held != value
        return held > value if self is Demand.AT_MOST else held < value


@value(frozen=True, slots=True)
class Seldom:
    """What a device is told in place of a value that follows the house, where each write wears its memory out.

    `value` None: its own control does the same.
    """

    value: float | None
    reason: str


@value(frozen=True, slots=True)
class Setpoint:
    """A value for one control, valid for `lease_s` from the tick that made it. Value None hands the control back."""

    resource_id: str
    control: Control
    value: float | None
    lease_s: float
    rank: Rank  # of what bound the value
    source: str
    reason: str  # in words, for the owner
    demanded: Demand | None = None  # by safety or an obligation: what keeps it may exceed a write budget
    bound_by: tuple[Narrowing, ...] = ()  # every term that narrowed it, the binding one first
    watched: bool = (
        True  # its effect must show; False for a battery that makes the house's voltage: it gives what is due
    )
    seldom: Seldom | None = None  # for a device that may be written a few times a day; None: the value itself


class WriteState(StrEnum):
    """What became of a setpoint at the device."""

    PENDING = "pending"
    ACCEPTED = "accepted"  # read back as written, effect not yet seen
    EFFECTIVE = "effective"
    REFUSED = "refused"
    NOT_EFFECTIVE = "not_effective"
    CONTESTED = "contested"  # somebody else writes it too
    EXPIRED = "expired"
    RELEASED = "released"
    BLOCKED = "blocked"  # read-only, wrong device, or budget used up


@value(frozen=True, slots=True)
class Outcome:
    """The last known fate of a control."""

    resource_id: str
    control: Control
    state: WriteState
    value: float | None
    at_s: float  # monotonic
    detail: str = ""


class Health(StrEnum):
    """How a device stands with us."""

    STARTING = "starting"
    ONLINE = "online"
    SILENT = "silent"
    WRONG_DEVICE = "wrong_device"
    FAULT = "fault"


@value(frozen=True, slots=True)
class DeviceState:
    """One device's health. `detail` names cause and effect, `advice` what a person can do."""

    device_id: str
    health: Health
    since_s: float  # monotonic
    detail: str = ""
    advice: str = ""


class Mode(StrEnum):
    """How the gateway as a whole is running, the word at the top of the screen."""

    NORMAL = "normal"
    LIMITED = "limited"  # a grid limit binds
    FALLBACK = "fallback"  # a provider's link is lost and its default limit holds
    SAFE = "safe"  # the meter is stale: nothing is steered beyond its safe value
    ISLANDED = "islanded"


@value(frozen=True, slots=True)
class Decision:
    """The result of one tick."""

    setpoints: tuple[Setpoint, ...]
    band: Band  # of the connection point, after folding
    mode: Mode
    headline: str  # one sentence: what the house does now and why
    load_w: float | None = None  # what is left of the meter when the known devices are taken out
    notes: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({})
    )  # resource id -> reason without a setpoint
    grid: GridPresence = GridPresence.UNKNOWN
    meter_late_s: float = 0.0  # so old is what the grid meter tells, as far as it shows
