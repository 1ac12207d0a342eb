"""What can be seen of a simulated house: `[[expect]]` tables with `see` and its keys.

`of` is a role (battery, ev, ...), or the id of one resource, plant or device.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from cem.model.setpoint import Health, Mode, WriteState
from cem.model.status import DeviceStatus
from cem.simulation.expectations import BaseExpectation, BenchView, Bounded, Look, State, View
from cem.simulation.harness import Bench
from cem.simulation.plant import Truth
from cem.simulation.sights_grid import GridIs, LinkIs, Logged, Reported, Requests, SettledAs

SUMS: Mapping[str, Callable[[Truth], float]] = {
    "grid": lambda truth: truth.grid_w,
    "load": lambda truth: truth.load_w,
    "pv": lambda truth: truth.pv_w,
    "battery": lambda truth: truth.battery_w,
    "car": lambda truth: truth.ev_w,
    "heat_pump": lambda truth: truth.heat_pump_w,
    "relay": lambda truth: truth.relay_w,
}
"""Whose power is one sum over the house."""


class Power(Bounded):
    """What really flows, W, into the terminal positive: of the whole house's, or of one plant."""

    see: Literal["power"]
    of: str

    def troubles(self, bench: Bench) -> Sequence[str]:
        """The plant."""
        known = dict.fromkeys([*SUMS, *_plants(bench.truth())])
        return () if self.of in known else [f"of: '{self.of}'; known: {', '.join(known)}"]

    def look(self, view: View, first: Look | None) -> Look:
        """The plant's truth."""
        truth = view.truth
        watts = SUMS[self.of](truth) if self.of in SUMS else float(_plants(truth)[self.of].power_w)
        return self.within(watts, " W")


class Charge(Bounded):
    """The true state of charge in per cent, of the fullest battery or car, or of one plant."""

    see: Literal["soc"]
    of: str = "battery"

    def troubles(self, bench: Bench) -> Sequence[str]:
        """The plant."""
        known = self._known(bench.truth())
        return () if known.get(self.of) else [f"of: '{self.of}'; known: {', '.join(known) or 'none'}"]

    def look(self, view: View, first: Look | None) -> Look:
        """The plant's truth."""
        return self.within(max(self._known(view.truth)[self.of]), " %")

    @staticmethod
    def _known(truth: Truth) -> dict[str, list[float]]:
        batteries = {name: one.soc_pct for name, one in truth.battery.items()}
        cars = {name: one.soc_pct for name, one in truth.ev.items()}
        kinds = {"battery": [*batteries.values()], "car": [*cars.values()]}
        single = {name: [soc_pct] for name, soc_pct in {**batteries, **cars}.items()}
        return {kind: known for kind, known in kinds.items() if known} | single


class Amps(Bounded):
    """What the pilot offers a car, A: the most of all, or of one charging point."""

    see: Literal["amps"]
    of: str | None = None

    def troubles(self, bench: Bench) -> Sequence[str]:
        """The charging point."""
        known = bench.truth().ev
        if known and (self.of is None or self.of in known):
            return ()
        return [f"of: '{self.of or 'a car'}'; known: {', '.join(known) or 'none'}"]

    def look(self, view: View, first: Look | None) -> Look:
        """The plant's truth."""
        return self.within(max(one.offered_a for name, one in view.truth.ev.items() if self.of in {None, name}), " A")


class Writes(BaseExpectation):
    """What left the gateway for one device since the first look: at most so many messages."""

    see: Literal["writes"]
    of: str
    max: int = Field(ge=0)

    def troubles(self, bench: Bench) -> Sequence[str]:
        """The simulated device."""
        known = [spec.id for spec in bench.home.device]
        return () if self.of in known else [f"of: no device '{self.of}'; known: {', '.join(known)}"]

    def look(self, view: View, first: Look | None) -> Look:
        """Counted on the way."""
        count = view.writes(self.of)
        since = count - (count if first is None else first.count)
        return Look(since <= self.max, f"{since} writes", count)


class Setpoint(Bounded):
    """What was decided last for the first resource of a role or id."""

    see: Literal["setpoint"]
    of: str

    def troubles(self, bench: Bench) -> Sequence[str]:
        """The resource."""
        return _unknown_resource(bench, self.of)

    def look(self, view: View, first: Look | None) -> Look:
        """Of the last tick."""
        return self.within(view.set_point(self.of), "") if view.ticked else Look(False, "no gateway")


class Dropped(Bounded):
    """How many implausible readings the control has dropped so far."""

    see: Literal["dropped"]

    def look(self, view: View, first: Look | None) -> Look:
        """In the control's memory."""
        return self.within(float(view.dropped()), "") if view.ticked else Look(False, "no gateway")


class ModeIs(State):
    """How the gateway as a whole runs."""

    see: Literal["mode"]
    is_: Mode = Field(alias="is")

    def found(self, view: View) -> Iterable[str]:
        """One."""
        return [view.status.mode.value]

    def wanted(self) -> str:
        """As given."""
        return self.is_.value


class HealthIs(State):
    """How any device of a role, or one device, stands with the gateway."""

    see: Literal["health"]
    of: str
    is_: Health = Field(alias="is")

    def troubles(self, bench: Bench) -> Sequence[str]:
        """The device, or one of its resources."""
        devices = {device.id for device in bench.site_file.devices}
        return () if self.of in devices else _unknown_resource(bench, self.of)

    def found(self, view: View) -> Iterable[str]:
        """Of each device that is meant."""
        mine = view.ids(self.of)
        return [d.health.value for d in view.status.devices if self._means(d, mine)]

    def _means(self, device: DeviceStatus, mine: set[str]) -> bool:
        return device.id == self.of or any(resource.id in mine for resource in device.resources)

    def wanted(self) -> str:
        """As given."""
        return self.is_.value


class OutcomeIs(State):
    """What became of the set points of a role, or of one resource."""

    see: Literal["outcome"]
    of: str
    is_: WriteState = Field(alias="is")

    def troubles(self, bench: Bench) -> Sequence[str]:
        """The resource."""
        return _unknown_resource(bench, self.of)

    def found(self, view: View) -> Iterable[str]:
        """Of each set point."""
        return view.outcomes(self.of)

    def wanted(self) -> str:
        """As given."""
        return self.is_.value


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"'{text}' is no regular expression: {error}") from error
    return text


class Said(BaseExpectation):
    """Words for the owner: a regular expression that one of them fits, or, with `never`, none."""

    see: Literal["alarm", "headline", "reason"]
    of: str | None = None  # of a reason: whose
    says: Annotated[str, AfterValidator(_pattern)]
    never: bool = False

    @model_validator(mode="after")
    def _whose(self) -> "Said":
        if (self.see == "reason") != (self.of is not None):
            raise ValueError("of: a reason needs it, nothing else takes it")
        return self

    def troubles(self, bench: Bench) -> Sequence[str]:
        """The resource of a reason."""
        return () if self.of is None else _unknown_resource(bench, self.of)

    def look(self, view: View, first: Look | None) -> Look:
        """What the gateway shows."""
        if not view.ticked:
            return Look(False, "no gateway")
        found = self._texts(view)
        fits = any(re.search(self.says, text) for text in found)
        return Look(fits != self.never, "; ".join(found) or "nothing")

    def _texts(self, view: View) -> list[str]:
        status = view.status
        if self.see == "alarm":
            return [f"{a.id}: {a.cause} | {a.effect} | {a.advice}" for a in status.alarms]
        if self.see == "headline":
            return [status.headline]
        mine = view.ids(self.of or "")
        return [r.reason or "" for d in status.devices for r in d.resources if r.id in mine]


Expectation = Annotated[
    Power
    | Charge
    | Amps
    | Writes
    | Setpoint
    | Dropped
    | ModeIs
    | HealthIs
    | OutcomeIs
    | Said
    | GridIs
    | LinkIs
    | Logged
    | Reported
    | SettledAs
    | Requests,
    Field(discriminator="see"),
]


def _plants(truth: Truth) -> dict[str, Any]:
    return {**truth.pv, **truth.battery, **truth.ev, **truth.heat_pump, **truth.relay_load}


def _unknown_resource(bench: Bench, of: str) -> Sequence[str]:
    if BenchView(bench).ids(of):
        return ()
    known = dict.fromkeys(name for r in bench.site_file.site.resources for name in (r.role.value, r.id))
    return [f"of: '{of}' is no role or resource of this home; known: {', '.join(known)}"]
