"""Explains a tick: for every resource what it was told, whose word that was, what bound it and what was seen."""

from collections.abc import Iterator

from cem.model.resource import POINTS, Resource, Role
from cem.model.setpoint import Decision
from cem.model.site import Site
from cem.model.tick import Inputs
from cem.model.why import Explanation, Seen, Why
from cem.runtime.status import in_words, outcome_in_words, signals_in_words

TELLING = ("power_w", "soc_pct", "state", "current_a", "max_charge_w", "max_discharge_w", "limit_a", "temperature_c")
"""The points by which a person can follow a decision."""


def explain(site: Site, inputs: Inputs, decision: Decision, origin: str = "now") -> Explanation:
    """One `Why` for each set point, and one for each resource without any."""
    whys = [why for resource in site.resources for why in _whys(site, resource, inputs, decision)]
    return Explanation(inputs.now.wall, decision.mode, decision.headline, tuple(whys), origin, site.zone)


def _whys(site: Site, resource: Resource, inputs: Inputs, decision: Decision) -> Iterator[Why]:
    own = [setpoint for setpoint in decision.setpoints if setpoint.resource_id == resource.id]
    seen = tuple(_seen(site, resource, inputs))
    for setpoint in own:
        outcome = next(
            (o for o in inputs.outcomes if o.resource_id == resource.id and o.control is setpoint.control), None
        )
        yield Why(
            resource.id,
            resource.name,
            resource.device_id,
            setpoint.control.value,
            setpoint.value,
            in_words(setpoint),
            setpoint.rank.name.lower(),
            setpoint.source,
            setpoint.reason,
            setpoint.bound_by,
            outcome_in_words(outcome) if outcome is not None else None,
            seen,
        )
    if not own:
        reason = decision.notes.get(resource.id) or _unsteered(resource, inputs)
        if resource.role is Role.GRID and decision.meter_late_s:
            reason = f"{reason}; what it tells is {decision.meter_late_s:.0f} s old"
        yield Why(
            resource.id, resource.name, resource.device_id, None, None, "not set", None, None, reason, inputs=seen
        )


def _unsteered(resource: Resource, inputs: Inputs) -> str:
    if (signals := signals_in_words(resource, inputs)) is not None:
        return f"what the grid operator says by wire: {signals}"
    if not resource.controls:
        return "it is only measured"
    state = inputs.devices.get(resource.device_id)
    if state is not None and state.detail:
        return f"it can't be steered now: {state.detail}"
    return "nothing is asked of it now: its values are missing or too old"


def _seen(site: Site, resource: Resource, inputs: Inputs) -> Iterator[Seen]:
    meters = [meter for meter in site.of(Role.GRID)[:1] if meter is not resource]
    telling = (*TELLING, *sorted(resource.contacts))
    for subject, points in ((resource, telling), *((meter, ("power_w",)) for meter in meters)):
        for point in points:
            reading = inputs.snapshot.reading(subject.id, point)
            if reading is not None:
                age_s = round(inputs.snapshot.mono_s - reading.taken_at_s, 1)
                unit = POINTS[subject.role].get(point, "")
                yield Seen(subject.id, point, reading.value, unit, age_s)
