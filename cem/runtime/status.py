"""The status, built from the last tick: what people and programs outside may know."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from cem import __version__
from cem.control.bounds import STANDING
from cem.control.words import duration
from cem.model.directive import Directive, GridPresence, LinkState
from cem.model.envelope import SITE, Band, Envelope, Rank
from cem.model.request import RequestKind, UserRequest
from cem.model.resource import Control, Resource, Role, SgReady
from cem.model.setpoint import Decision, Health, Mode, Outcome, Setpoint, WriteState
from cem.model.site import Site
from cem.model.status import (
    Alarm,
    DeviceStatus,
    DomainStatus,
    EnergyToday,
    Flow,
    LimitStatus,
    ResourceStatus,
    Status,
    TariffStatus,
    TickStatus,
)
from cem.model.tick import Inputs
from cem.ports import ControlSpec
from cem.runtime.device import DeviceTask
from cem.runtime.loop import ControlLoop
from cem.runtime.write_rules import as_told
from cem.sgcp.reports.virtual_resource import flexibilities

SG_READY_WORDS: Mapping[int, str] = {
    SgReady.LOCKED: "locked",
    SgReady.NORMAL: "heats as it needs",
    SgReady.RECOMMENDED: "asked to store heat",
    SgReady.FORCED: "told to store heat",
}
LATE_METER_S = 4.0
"""From so many seconds on the owner is told that the meter is late."""
UNHAPPY = frozenset({WriteState.REFUSED, WriteState.NOT_EFFECTIVE, WriteState.CONTESTED, WriteState.BLOCKED})
EXPLAINED = UNHAPPY | {WriteState.ACCEPTED, WriteState.EFFECTIVE}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something outside the tick that a person should know: the planner, the disk."""

    id: str
    cause: str
    effect: str
    advice: str
    severity: str = "warning"


class StatusSource:
    """Builds the status on demand; the same tick gives the same object."""

    def __init__(
        self,
        site: Site,
        loop: ControlLoop,
        tasks: Sequence[DeviceTask],
        *,
        today: Callable[[datetime], EnergyToday],
        troubles: Callable[[], Sequence[Trouble]],
        read_only: bool,
        tariff: Callable[[datetime], TariffStatus | None] = lambda now: None,
        domain: Callable[[], DomainStatus | None] = lambda: None,
    ) -> None:
        self._site = site
        self._loop = loop
        self._tasks = tasks
        self._today = today
        self._troubles = troubles
        self._read_only = read_only
        self._tariff = tariff
        self._domain = domain
        self._since: dict[str, datetime] = {}
        self._limited_since: dict[tuple[str, str, float], datetime] = {}
        self._built: tuple[int, Status] | None = None

    def status(self) -> Status:
        """The status as of the last tick; RuntimeError before the first one."""
        ticked = self._loop.last
        if ticked is None:
            raise RuntimeError("no tick yet")
        count = self._loop.health.count
        if self._built is None or self._built[0] != count:
            self._built = (count, self._build(ticked.inputs, ticked.decision))
        return self._built[1]

    def _build(self, inputs: Inputs, decision: Decision) -> Status:
        now = inputs.now.wall
        devices = tuple(self._device(task, inputs, decision) for task in self._tasks)
        import_price, export_price = inputs.directive.prices_at(now, self._site.tariff)
        health = self._loop.health
        return Status(
            at=now,
            site=self._site.name,
            version=__version__,
            mode=decision.mode,
            headline=self._headline(inputs, decision),
            time_trusted=inputs.now.trusted,
            grid=decision.grid,
            flow=self._flow(inputs, decision),
            import_price_per_kwh=import_price,
            export_price_per_kwh=export_price,
            currency=self._site.tariff.currency,
            devices=devices,
            limits=self._limits(inputs, decision, now),
            links=inputs.directive.links,
            events=inputs.directive.events,
            plan=inputs.plan,
            today=self._today(now),
            alarms=self._alarms(inputs, decision, devices),
            tick=TickStatus(health.count, health.last_ms, health.worst_ms, health.started_at or now),
            read_only=self._read_only or _watching(inputs) is not None,
            zone=self._site.zone,
            requests=inputs.requests,
            tariff=self._tariff(now),
            domain=self._domain(),
            flexibility=flexibilities(self._site, inputs.snapshot, decision.band, inputs.plan, now),
        )

    def _headline(self, inputs: Inputs, decision: Decision) -> str:
        """What the house does; while the owner wants nothing written, that comes first."""
        asked = _watching(inputs)
        if asked is None:
            return decision.headline
        end = asked.until.astimezone(ZoneInfo(self._site.zone))
        return f"Only watching until {end:%d %b %H:%M}, as {asked.by} asked: nothing is written to any device."

    def _limits(self, inputs: Inputs, decision: Decision, now: datetime) -> tuple[LimitStatus, ...]:
        """The limits in force, each that came with the moment since when it was seen."""
        found = limits_in_force(inputs.directive, decision.band, now)
        keys = [(limit.side, limit.source, limit.limit_w) for limit in found]
        self._limited_since = {key: self._limited_since.get(key, now) for key in keys if key[1] not in STANDING}
        return tuple(replace(limit, since=self._limited_since.get(key)) for limit, key in zip(found, keys, strict=True))

    def _flow(self, inputs: Inputs, decision: Decision) -> Flow:
        connection = self._site.connection

        def total(role: Role, stale_s: float) -> float | None:
            values = [inputs.snapshot.number(r.id, "power_w", stale_s) for r in self._site.of(role)]
            known = [value for value in values if value is not None]
            return sum(known) if known and len(known) == len(values) else None

        return Flow(
            total(Role.GRID, connection.meter_stale_s),
            total(Role.PV, connection.device_stale_s),
            total(Role.BATTERY, connection.device_stale_s),
            total(Role.EV, connection.device_stale_s),
            decision.load_w,
        )

    def _device(self, task: DeviceTask, inputs: Inputs, decision: Decision) -> DeviceStatus:
        state = inputs.devices.get(task.config.id)
        since_s = inputs.now.mono_s - state.since_s if state is not None else 0.0
        fates = [spec.falls_back_to for spec in task.controls]
        return DeviceStatus(
            id=task.config.id,
            name=task.config.name,
            health=state.health if state is not None else Health.STARTING,
            since=inputs.now.wall - timedelta(seconds=since_s),
            detail="; ".join(part for part in (state.detail if state is not None else "", task.support.words) if part),
            advice=state.advice if state is not None else "",
            if_i_die="; ".join(dict.fromkeys(fates)) or "it is only read",
            resources=tuple(self._resource(r, task.controls, inputs, decision) for r in task.config.resources),
            line=task.line,
        )

    def _resource(
        self, resource: Resource, specs: Sequence[ControlSpec], inputs: Inputs, decision: Decision
    ) -> ResourceStatus:
        connection = self._site.connection
        stale_s = connection.meter_stale_s if resource.role is Role.GRID else connection.device_stale_s
        telling = [contact.value for contact in resource.contacts] or ["power_w"]
        ages = [inputs.snapshot.age_s(resource.id, point) for point in telling]
        age = None if None in ages else max(age for age in ages if age is not None)
        power = inputs.snapshot.number(resource.id, "power_w", float("inf"))
        setpoint = next((as_told(specs, s) for s in decision.setpoints if s.resource_id == resource.id), None)
        outcome = next((o for o in inputs.outcomes if o.resource_id == resource.id), None)
        dropped = self._loop.memory.dropped.get(resource.id)
        return ResourceStatus(
            id=resource.id,
            role=resource.role,
            name=resource.name,
            power_w=power,
            age_s=None if age is None else round(age, 1),
            stale=age is None or age > stale_s,
            soc_pct=inputs.snapshot.number(resource.id, "soc_pct", stale_s),
            state=inputs.snapshot.text(resource.id, "state", stale_s) or signals_in_words(resource, inputs),
            setpoint=None if setpoint is None else in_words(setpoint),
            outcome=None if outcome is None else outcome_in_words(outcome),
            reason=None if setpoint is None else setpoint.reason,
            dropped=0 if dropped is None else dropped.count,
            dropped_at=None
            if dropped is None
            else inputs.now.wall - timedelta(seconds=inputs.now.mono_s - dropped.at_s),
            dropped_why="" if dropped is None else dropped.why,
        )

    def _alarms(self, inputs: Inputs, decision: Decision, devices: Sequence[DeviceStatus]) -> tuple[Alarm, ...]:
        troubles: list[Trouble] = [*self._troubles()]
        for device in devices:
            if device.health not in {Health.ONLINE, Health.STARTING}:
                effect = _effect_of_loss(device)
                troubles.append(
                    Trouble(f"device.{device.id}", f"{device.name}: {device.detail}", effect, device.advice, "alarm")
                )
        troubles += self._lines(inputs)
        troubles += self._doubts(inputs, decision)
        if decision.grid is GridPresence.ISLANDED:
            troubles.append(
                Trouble(
                    "grid.lost",
                    "the grid's voltage was lost at the connection point",
                    f"{decision.headline} Cars and surplus loads are off, and the grid's prices do not count, "
                    f"until it has stayed for {duration(self._site.policy.island.stable_s)}",
                    "Switch off what is not needed. Look at the main switch if the neighbours have power.",
                    "alarm",
                )
            )
        for outcome in inputs.outcomes:
            if outcome.state in UNHAPPY and outcome.detail:
                resource = self._site.resource(outcome.resource_id)
                troubles.append(
                    Trouble(
                        f"write.{outcome.resource_id}",
                        f"{resource.name}: {outcome.detail}",
                        "it is planned without until it follows again",
                        "Check the device's own display and settings; is another system steering it?",
                    )
                )
        for link in inputs.directive.links:
            if link.state is not LinkState.ONLINE:
                severity = "warning" if link.state in {LinkState.STALE, LinkState.RESYNC} else "alarm"
                effect = _effect_of_link(link.state)
                troubles.append(
                    Trouble(
                        f"link.{link.provider_id}", f"{link.provider_id}: {link.detail}", effect, link.advice, severity
                    )
                )
        if not inputs.now.trusted:
            troubles.append(
                Trouble("clock", "the clock is not set", "no schedule runs", "Connect the gateway to the network once.")
            )
        return self._dated(troubles, inputs.now.wall)

    def _lines(self, inputs: Inputs) -> list[Trouble]:
        """Devices that answer, but too often not rightly, or not all that is needed."""
        online = {d.device_id for d in inputs.devices.values() if d.health is Health.ONLINE}
        complaints = [
            Trouble(
                f"complaint.{task.config.id}",
                f"{task.config.name}: {complaint.says}",
                "it is used as far as it goes",
                f"{complaint.do}.",
            )
            for task in self._tasks
            if task.config.id in online and (complaint := task.complaint) is not None
        ]
        complaints += [
            Trouble(
                f"support.{task.config.id}.{function}",
                f"{task.config.name}: {function} is not set as the site file asks: {why}",
                "it supports the grid by what it holds itself",
                f"Look at it with cem curves {task.config.id} while the gateway is stopped.",
            )
            for task in self._tasks
            for function, why in task.support.refused.items()
        ]
        return complaints + [
            Trouble(
                f"line.{task.config.id}",
                f"{task.config.name}: {words}",
                "its values come late, and it may be lost now and then",
                "Check cable, shield, termination and earth; only one master may ask on a serial line.",
            )
            for task in self._tasks
            if task.config.id in online and (words := task.quality.trouble())
        ]

    def _doubts(self, inputs: Inputs, decision: Decision) -> list[Trouble]:
        """What the control says about readings that it does not believe, and about a meter that is not there."""
        if self._site.read_only:
            return []
        advice = "Check the device's own display, its wiring and the profile."
        doubts = [
            Trouble(
                f"reading.{resource_id}",
                f"{self._site.resource(resource_id).name}: {note}",
                "what cannot be true is not used; what lasts counts as silent",
                advice,
                "alarm",
            )
            for resource_id, note in decision.notes.items()
        ]
        names = {d.device_id for d in inputs.devices.values() if d.health is not Health.ONLINE}
        meters = self._site.of(Role.GRID)
        told = any(meter.device_id in names or meter.id in decision.notes for meter in meters)
        if decision.meter_late_s >= LATE_METER_S and meters:
            cause = f"{meters[0].name}: what it tells is {decision.meter_late_s:.0f} s old"
            effect = "batteries answer the house so much later"
            better = "A meter that is read directly, every second, would make them follow at once."
            doubts.append(Trouble("reading.late", cause, effect, better, "info"))
        if decision.mode is Mode.SAFE and meters and not told:
            cause = f"{meters[0].name}: no fresh value"
            effect = "the battery idles and the car is reduced, then paused, until the meter answers"
            doubts.append(Trouble("reading.meter", cause, effect, advice, "alarm"))
        return doubts

    def _dated(self, troubles: Sequence[Trouble], now: datetime) -> tuple[Alarm, ...]:
        self._since = {t.id: self._since.get(t.id, now) for t in troubles}
        order = {"alarm": 0, "warning": 1, "info": 2}
        return tuple(
            Alarm(t.id, t.severity, self._since[t.id], t.cause, t.effect, t.advice)
            for t in sorted(troubles, key=lambda t: (order[t.severity], t.id))
        )


def _watching(inputs: Inputs) -> UserRequest | None:
    """The owner's act by which nothing is written now."""
    acts = (r for r in inputs.requests if r.kind is RequestKind.READ_ONLY and r.in_force(inputs.now.wall))
    return next(acts, None)


def limits_in_force(directive: Directive, band: Band, now: datetime) -> tuple[LimitStatus, ...]:
    """Every limit of the connection point that is in force, the strictest of each side marked as binding."""
    limits = []
    for envelope in directive.envelopes:
        if envelope.subject == SITE and (envelope.until is None or now < envelope.until):
            limits += _sides(envelope, band)
    for by in (band.min_by, band.max_by):
        if by is not None and by.rank is not Rank.SAFETY and by not in directive.envelopes:
            limits += [side for side in _sides(by, band) if side.binding]
    return tuple(limits)


def _sides(envelope: Envelope, band: Band) -> list[LimitStatus]:
    sides = []
    if envelope.max_w is not None:
        sides.append(
            LimitStatus(
                "import", envelope.max_w, envelope.source, envelope.reason, envelope.until, band.max_by == envelope
            )
        )
    if envelope.min_w is not None:
        sides.append(
            LimitStatus(
                "export", -envelope.min_w, envelope.source, envelope.reason, envelope.until, band.min_by == envelope
            )
        )
    return sides


def in_words(setpoint: Setpoint) -> str:
    """A set point for people: 'charge 2.4 kW', 'at most 10 A', 'its own control'."""
    value = setpoint.value
    if value is None:
        return "its own control"
    if setpoint.control is Control.EV_LIMIT_A:
        return "paused" if value == 0 else f"at most {value:.0f} A"
    if setpoint.control is Control.PV_LIMIT_W:
        return f"at most {value / 1000:.1f} kW"
    if setpoint.control is Control.BATTERY_RESERVE_PCT:
        return f"keeps {value:g} %"
    if setpoint.control is Control.EV_PHASES:
        return f"{value:.0f} phase{'s' if value > 1 else ''}"
    if setpoint.control is Control.HEAT_PUMP_SG_READY:
        return SG_READY_WORDS.get(int(value), f"SG Ready {value:.0f}")
    if setpoint.control is Control.LOAD_ON:
        return "on" if value else "off"
    if value == 0:
        return "idle"
    return f"{'charge' if value > 0 else 'discharge'} {abs(value) / 1000:.1f} kW"


def signals_in_words(resource: Resource, inputs: Inputs) -> str | None:
    """What the grid operator's contacts show: 'signals W3', 'no signal'; None for another resource."""
    if not resource.contacts:
        return None
    readings = {contact: inputs.snapshot.reading(resource.id, contact.value) for contact in sorted(resource.contacts)}
    unread = [c.value.upper() for c, reading in readings.items() if reading is None or reading.value is None]
    active = [c.value.upper() for c, reading in readings.items() if reading is not None and reading.value]
    told = f"signals {', '.join(active)}" if active else "no signal"
    return f"{told}; {', '.join(unread)} can't be read" if unread else told


def outcome_in_words(outcome: Outcome) -> str:
    """What became of a set point, for people."""
    word = {
        WriteState.PENDING: "being sent",
        WriteState.ACCEPTED: "accepted",
        WriteState.EFFECTIVE: "followed",
        WriteState.REFUSED: "refused",
        WriteState.NOT_EFFECTIVE: "not followed",
        WriteState.CONTESTED: "somebody else steers it",
        WriteState.EXPIRED: "expired, handed back",
        WriteState.RELEASED: "runs by itself",
        WriteState.BLOCKED: "not sent",
    }[outcome.state]
    return f"{word}: {outcome.detail}" if outcome.detail and outcome.state in EXPLAINED else word


def _effect_of_loss(device: DeviceStatus) -> str:
    alone: dict[Role, str] = {
        Role.BATTERY: "the battery is not steered",
        Role.EV: "the car is not steered",
        Role.PV: "the sun's power is unknown",
    }
    effects: dict[Role, str] = alone | {
        Role.GRID: "the battery idles and the car is reduced, then paused, until the meter answers",
        Role.CONTACTS: "what can't be read counts as signalled: its limits hold",
    }
    roles = [resource.role for resource in device.resources]
    told = list(dict.fromkeys(effects[role] for role in roles if role in effects))
    if any(role in alone for role in roles):
        told.append(f"the device by itself: {device.if_i_die}")
    return "; ".join(told) or "its values are unknown"


def _effect_of_link(state: LinkState) -> str:
    return {
        LinkState.STALE: "nothing changes yet",
        LinkState.HOLD: "the events that were received run on as agreed",
        LinkState.FALLBACK: "the agreed fallback limits hold; the house runs by itself",
        LinkState.RESYNC: "the fallback limits hold until everything is fetched anew",
    }.get(state, "")
