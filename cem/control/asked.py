"""What the grid asks of one resource or of the connection point, made definite: changes, bounds, charge targets."""

from types import MappingProxyType

from cem.control.memory import Memory
from cem.control.picture import BatteryPicture, Picture
from cem.model.directive import ChargeTarget, Dispatch
from cem.model.envelope import SITE, Envelope
from cem.model.tick import Inputs
from cem.model.values import replace


def definite(inputs: Inputs, memory: Memory, picture: Picture) -> tuple[Inputs, Memory]:
    """The inputs with every asked change as a power, and the memory of what each began from.

    Interpretation: a change counts against what the subject took when we first acted on it. Where that is not known
    (no meter) the change is left out until it is.
    """
    dispatches = inputs.directive.dispatches
    if not memory.begun_w and not (dispatches and any(dispatch.change for dispatch in dispatches)):
        return inputs, memory
    begun: dict[str, float] = {}
    found: list[Dispatch] = []
    for dispatch in dispatches:
        if not dispatch.change:
            found.append(dispatch)
            continue
        key = _key(dispatch)
        power_w = memory.begun_w.get(key, _power_w(picture, dispatch.subject))
        if power_w is not None:
            begun[key] = power_w
            found.append(replace(dispatch, power_w=power_w + dispatch.power_w, change=False))
    if begun != memory.begun_w:
        memory = replace(memory, begun_w=MappingProxyType(begun))
    return replace(inputs, directive=replace(inputs.directive, dispatches=tuple(found))), memory


def _key(dispatch: Dispatch) -> str:
    since = "" if dispatch.since is None else dispatch.since.isoformat()
    return f"{dispatch.source} {dispatch.subject} {since}"


def _power_w(picture: Picture, subject: str) -> float | None:
    if subject == SITE:
        return picture.grid_w
    powers_w: dict[str, float | None] = {b.resource.id: b.power_w for b in picture.batteries}
    powers_w |= {c.resource.id: c.power_w for c in picture.chargers}
    powers_w |= {pv.resource.id: pv.power_w for pv in picture.pvs}
    return powers_w.get(subject)


def dispatch_envelopes(inputs: Inputs, picture: Picture) -> list[Envelope]:
    """A power asked of a car or of panels is a bound: they take and give no more, and less where they can't."""
    found: list[Envelope] = []
    if not inputs.directive.dispatches:
        return found
    dispatches = {d.subject: d for d in inputs.directive.dispatches if d.subject != SITE}
    for charger in picture.chargers:
        if (asked := dispatches.get(charger.resource.id)) is not None:
            of = (asked.rank, asked.source, asked.reason, asked.until)
            found.append(Envelope(asked.subject, None, max(asked.power_w, 0.0), *of))
    for pv in picture.pvs:
        if (asked := dispatches.get(pv.resource.id)) is not None:
            of = (asked.rank, asked.source, asked.reason, asked.until)
            found.append(Envelope(asked.subject, min(asked.power_w, 0.0), None, *of))
    return found


def site_dispatch(inputs: Inputs) -> Dispatch | None:
    """The power that is asked of the connection point as a whole."""
    for dispatch in inputs.directive.dispatches:
        if dispatch.subject == SITE:
            return dispatch
    return None


def site_bound(dispatch: Dispatch) -> Envelope:
    """What a power asked of the connection point leaves: no more than that, and nothing the other way."""
    least_w, most_w = min(0.0, dispatch.power_w), max(0.0, dispatch.power_w)
    return Envelope(SITE, least_w, most_w, dispatch.rank, dispatch.source, dispatch.reason, dispatch.until)


def charge_target(inputs: Inputs, battery: BatteryPicture) -> tuple[ChargeTarget, float] | None:
    """The target for a battery, its own before the one of the whole site, and the state of charge that it means, %."""
    targets = inputs.directive.charges
    for subject in (battery.resource.id, SITE) if targets else ():
        for target in targets:
            if target.subject != subject:
                continue
            if target.soc_pct is not None:
                return target, target.soc_pct
            capacity_wh = battery.resource.ratings.capacity_wh
            if target.energy_wh is not None and capacity_wh:
                return target, min(100.0 * target.energy_wh / capacity_wh, 100.0)
    return None
