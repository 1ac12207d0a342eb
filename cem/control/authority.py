"""The authority matrix at both ends of the decision: what comes in from the grid, and what goes out to a device."""

import math
from collections.abc import Mapping, Sequence

from cem.model.authority import Authority, Domain, Granted, Variable, authorise, span
from cem.model.envelope import SITE, Envelope
from cem.model.resource import Control, Resource
from cem.model.site import Site
from cem.model.values import replace

VARIABLE = {control: Variable(control.value) for control in Control}
POWERS = frozenset({Control.BATTERY_SETPOINT_W, Control.PV_LIMIT_W})
"""What need not be a whole number."""
LEAST = {control: 6.0 if control is Control.EV_LIMIT_A else 0.0 for control in Control}
"""Of what is no power: nothing, or at least so much (IEC 61851-1)."""
MOST = 1e300


def admitted(site: Site, envelopes: Sequence[Envelope]) -> tuple[Envelope, ...]:
    """The grid's envelopes within its authority: finite, and clamped to what a limit may be; the rest is dropped."""
    if not envelopes:
        return ()
    context = Authority(fuse_w=site.connection.fuse_w)
    result = []
    for envelope in envelopes:
        held = envelope
        if envelope.subject == SITE:
            if envelope.max_w is not None and envelope.max_w >= 0.0:
                held = replace(held, max_w=_granted(Variable.IMPORT_LIMIT_W, envelope.max_w, context))
            if envelope.min_w is not None and envelope.min_w <= 0.0:
                least = _granted(Variable.EXPORT_LIMIT_W, -envelope.min_w, context)
                held = replace(held, min_w=None if least is None else -least)
        if any(edge is not None and not math.isfinite(edge) for edge in (held.min_w, held.max_w)):
            continue
        if held.min_w is not None or held.max_w is not None:
            result.append(held if held != envelope else envelope)
    return tuple(result)


def _granted(variable: Variable, value: float, context: Authority) -> float | None:
    answer = authorise(Domain.GRID, variable, value, context)
    return answer.value if isinstance(answer, Granted) else None


def rated(site: Site) -> Mapping[tuple[str, Control], tuple[float, float, Authority]]:
    """(lowest, highest, rated envelope) of every control of every resource; the bounds are finite."""
    found = {}
    for resource in site.resources:
        for control in Control:
            context = bounds_of(resource, control)
            low, high = span(VARIABLE[control], context)
            found[resource.id, control] = (max(low, -MOST), min(high, MOST), context)
    return found


def guarded(
    site: Site, resource: Resource, control: Control, value: float | None, reason: str
) -> tuple[float | None, str]:
    """A set point within the ratings of its device: (value, reason). A value that nobody may set hands it back."""
    if value is None:
        return None, reason
    low, high, context = site.once(rated)[resource.id, control]
    if low <= value <= high and (control in POWERS or (value == int(value) and not 0.0 < value < LEAST[control])):
        return value, reason  # what `authorise` grants as it is
    answer = authorise(Domain.OPTIMISER, VARIABLE[control], value, context)
    if isinstance(answer, Granted):
        return answer.value, f"{reason}; {answer.words}" if answer.clamped else reason
    return None, f"handed back: {answer.words}"


def bounds_of(resource: Resource, control: Control) -> Authority:
    """The rated envelope of a control."""
    ratings = resource.ratings
    if control is Control.BATTERY_SETPOINT_W:
        least = None if ratings.max_discharge_w is None else -ratings.max_discharge_w
        return Authority(resource.id, least, ratings.max_charge_w)
    most = {Control.PV_LIMIT_W: ratings.max_generation_w, Control.EV_LIMIT_A: ratings.max_current_a}.get(control)
    return Authority(resource.id, None, most)
