"""The demo's acts: each says what it will show, plays, measures from outside, and judges."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from demo_stand import DemoError, Stand

from cem.model.directive import LinkState
from cem.model.resource import Role
from cem.model.setpoint import Health, Mode
from cem.model.status import Status

LIMIT_W = 6000.0
FALLBACK_W = 4500.0
RETURN_LIMIT_W = 3000.0
TOLERANCE_W = 120.0  # 2 per cent of the limit: what a second's mean may be over it
FOLLOW_S = 8.0  # three ticks and the car's own delay
SIGNAL_S = FOLLOW_S + 3.0  # and one poll of the VTN
STEADY_S = 10.0
LOST_SECONDS = 1  # of an act in which the gateway or the house may have been too late to be looked at


@dataclass(slots=True)
class Result:
    """What an act expected and what was measured."""

    act: str
    expected: str
    measured: dict[str, Any] = field(default_factory=dict)
    ok: bool = False


@dataclass(frozen=True, slots=True)
class Second:
    """One look: what the gateway says, and what the simulated house itself drew on average since the look before."""

    at_s: float
    status: Status | None
    import_w: float | None


class Stage:
    """Looks each second at the gateway's status and, past it, at the house's own energy counters."""

    def __init__(self, stand: Stand, say: Callable[[str], None], share: float) -> None:
        self.stand = stand
        self.say = say
        self.share = share
        self.seen: list[Second] = []
        self._counters: tuple[float, float] | None = None

    def watch(self, for_s: float, enough: Callable[[Second], bool] = lambda second: False) -> list[Second]:
        """Watches for a share of the whole time, one line a second, and gives what was seen; no longer than until a
        look is `enough`.
        """
        seen: list[Second] = []
        end = time.monotonic() + for_s * self.share
        while (left := end - time.monotonic()) > 0 and not (seen and enough(seen[-1])):
            second = Second(time.monotonic(), self.stand.status(), self._import_w())
            self.say("the gateway does not answer" if second.status is None else line(second.status))
            seen.append(second)
            if self.stand.leave.wait(min(1.0, max(0.0, left))):
                raise KeyboardInterrupt
        self.seen += seen
        return seen

    def last(self) -> Status:
        """The newest status; an act can't be played without one."""
        found = next((second.status for second in reversed(self.seen) if second.status is not None), None)
        if found is None:
            raise DemoError("the gateway has not answered once")
        return found

    def _import_w(self) -> float | None:
        before, self._counters = self._counters, self.stand.house_counters()
        if before is None or self._counters is None or self._counters[0] - before[0] <= 0:
            return None
        return (self._counters[1] - before[1]) / (self._counters[0] - before[0]) * 3600.0


def line(status: Status) -> str:
    """One status line; words, no signs."""
    flow = status.flow
    soc = next((r.soc_pct for d in status.devices for r in d.resources if r.role is Role.BATTERY), None)
    parts = [
        _word(flow.grid_w, "importing", "exporting"),
        f"sun {_kw(flow.pv_w)}",
        f"battery {_word(flow.battery_w, 'charging', 'giving')}" + ("" if soc is None else f" ({soc:.0f} %)"),
        f"car {_kw(flow.ev_w)}",
        f"house {_kw(flow.load_w)}",
    ]
    links = " ".join(f"{link.provider_id}:{link.state}" for link in status.links)
    return f"{status.at:%H:%M:%S} {', '.join(parts)} | {links} | {status.headline}"


def _kw(power_w: float | None) -> str:
    return "?" if power_w is None else f"{abs(power_w) / 1000:.1f} kW"


def _word(power_w: float | None, into: str, out: str) -> str:
    if power_w is None:
        return "?"
    return f"{into if power_w >= 0 else out} {_kw(power_w)}"


def normal(stage: Stage) -> Result:
    """Everything runs by itself."""
    result = Result("normal", "4 devices online, every value fresh, a plan of 24 h made by the solver, no alarm")
    stage.say("ACT 1: the home runs by itself; battery and car follow the plan, the grid only sees what is left.")
    seconds = stage.watch(10)  # what a person wants to see of it
    if not _agrees(seconds[-1]):  # the car may still be starting: both look at another moment of it
        seconds += stage.watch(STEADY_S, _agrees)
    last = stage.last()
    resources = [r for d in last.devices for r in d.resources]
    plan_h = 0.0 if last.plan is None else (last.plan.slots[-1].end - last.plan.slots[0].start).total_seconds() / 3600
    online = sum(d.health is Health.ONLINE for d in last.devices)
    meter_w, house_w = last.flow.grid_w, seconds[-1].import_w
    result.measured = {
        "online": online,
        "stale": [r.id for r in resources if r.stale],
        "plan": None if last.plan is None else last.plan.status,
        "plan_h": round(plan_h, 1),
        "alarms": [alarm.cause for alarm in last.alarms],
        "gateway_sees_w": _round(meter_w),
        "house_draws_w": _round(house_w),
    }
    planned = last.plan is not None and last.plan.status in {"optimal", "feasible"} and plan_h >= 23.5
    result.ok = (
        online == 4 and planned and _agrees(seconds[-1]) and not any(r.stale for r in resources) and not last.alarms
    )
    return result


def _agrees(second: Second) -> bool:
    """Whether the gateway sees what the house draws."""
    meter_w = None if second.status is None else second.status.flow.grid_w
    return meter_w is not None and second.import_w is not None and abs(meter_w - second.import_w) < 1000


def price(stage: Stage) -> Result:
    """A price signal moves the battery."""
    result = Result("price", "after a price of 0.02 EUR/kWh the battery charges at least 1 kW more than before")
    before = stage.last().flow.battery_w or 0.0
    stage.say("ACT 2: the operator sends a very low price for half an hour; the plan changes and the battery charges.")
    words = ("--program", "prices", "--type", "PRICE", "--value", "0.02", "--unit", "KWH", "--currency", "EUR")
    stage.stand.vtn("event", "add", *words, "--duration", "PT30M", "--name", "cheap half-hour")

    def charges(second: Second) -> bool:
        now = second.status
        return now is not None and (now.flow.battery_w or 0.0) - before >= 1000 and now.import_price_per_kwh == 0.02

    seconds = stage.watch(16)
    last = stage.last()
    first = next((second.at_s for second in seconds if charges(second)), None)
    result.measured = {
        "before_w": round(before),
        "after_w": round(last.flow.battery_w or 0.0),
        "after_s": None if first is None else round(first - seconds[0].at_s, 1),
        "price_seen": last.import_price_per_kwh,
        "planned_at": None if last.plan is None else f"{last.plan.made_at:%H:%M:%S}",
        "alarms": [alarm.cause for alarm in last.alarms],
        "reason": _reason(last, Role.BATTERY),
    }
    result.ok = charges(seconds[-1])
    return result


def limit(stage: Stage) -> Result:
    """An import limit holds the house below it."""
    expected = f"the house itself draws more than {LIMIT_W:.0f} W before, and at most that {SIGNAL_S:.0f} s after"
    result = Result("limit", expected)
    before = stage.seen[-1].import_w or 0.0
    stage.say("ACT 3: the operator limits the import to 6 kW; car and battery give way, the kettle does not.")
    # ends a while after the link is cut in the next act: the stored event must run out its time
    sent_s = _add_limit(stage, LIMIT_W, round(32 * stage.share), "evening peak")
    seconds = stage.watch(16)
    kept = _kept(seconds, LIMIT_W, sent_s + SIGNAL_S)
    result.measured = {"before_w": round(before)} | kept | {"car": _reason(stage.last(), Role.EV)}
    named = _in_force(seconds[-1], LIMIT_W)
    result.ok = before > LIMIT_W and kept["held"] and named and stage.last().mode is Mode.LIMITED
    return result


def lost(stage: Stage) -> Result:
    """The link is cut: the stored event runs out its time, then the fallback holds."""
    expected = f"online, stale, hold, fallback; {LIMIT_W:.0f} W until the event's end, then at most {FALLBACK_W:.0f} W"
    result = Result("lost", expected)
    stage.say("ACT 4: the link to the operator is cut. The event runs out its time, then the agreed fallback holds.")
    stage.stand.link("cut")
    seconds = stage.watch(14)
    # the operator's next limit is made while nobody hears it
    _add_limit(stage, RETURN_LIMIT_W, 600, "night limit")
    seconds += stage.watch(14)
    event = [second for second in seconds if _in_force(second, LIMIT_W)]
    fallback = [second for second in seconds if _in_force(second, FALLBACK_W)]
    stored = _kept(event, LIMIT_W, 0.0)
    default = _kept(fallback, FALLBACK_W, fallback[0].at_s + FOLLOW_S if fallback else 0.0)
    states = _states(seconds)
    unlimited = len(seconds) - len(event) - len(fallback)
    result.measured = {"states": states, "seconds_without_a_limit": unlimited, "event": stored, "fallback": default}
    result.ok = states == [LinkState.ONLINE, LinkState.STALE, LinkState.HOLD, LinkState.FALLBACK]
    result.ok = result.ok and unlimited <= LOST_SECONDS and bool(stored["held"] and default["held"])
    return result


def healed(stage: Stage) -> Result:
    """The link is back: events resynchronised, reports back-filled."""
    expected = f"online again, the limit of {RETURN_LIMIT_W:.0f} W made meanwhile kept, reports whole up to the end"
    result = Result("healed", expected)
    stage.say("ACT 5: the link is healed. Events are fetched anew before the fallback is left; missing reports follow.")
    cut_until = datetime.now(UTC)
    stage.stand.link("heal")
    seconds = stage.watch(18)
    renewed = [second for second in seconds if _in_force(second, RETURN_LIMIT_W)]
    kept = _kept(renewed, RETURN_LIMIT_W, renewed[0].at_s + FOLLOW_S if renewed else 0.0)
    states = _states(seconds)
    reports = _intervals(stage.stand.vtn("report", "list"), cut_until)
    result.measured = {"states": states, "reports": reports} | kept
    result.ok = bool(states) and states[-1] is LinkState.ONLINE and bool(kept["held"])
    whole = reports["gaps"] == 0 and reports["doubles"] == 0 and reports["after_the_cut"] >= 1
    result.ok = result.ok and whole and reports["intervals"] >= 10
    return result


ACTS: tuple[Callable[[Stage], Result], ...] = (normal, price, limit, lost, healed)
WHOLE_S = 10 + 16 + 16 + 28 + 18


def _add_limit(stage: Stage, limit_w: float, duration_s: int, name: str) -> float:
    """Gives the operator's VTN a limit; the moment (monotonic) at which the VTN had it."""
    words = ("--program", "limits", "--type", "IMPORT_CAPACITY_LIMIT", "--value", f"{limit_w / 1000:g}", "--unit", "KW")
    stage.stand.vtn("event", "add", *words, "--duration", f"PT{duration_s}S", "--name", name)
    return time.monotonic()


def _in_force(second: Second, limit_w: float) -> bool:
    limits = () if second.status is None else second.status.limits
    return any(x.binding and x.side == "import" and x.limit_w == limit_w for x in limits)


def _kept(seconds: list[Second], limit_w: float, from_s: float) -> dict[str, Any]:
    """How the house's own import stood to a limit from a moment on; a second that nobody saw counts as lost."""
    judged = [second for second in seconds if second.at_s >= from_s]
    draws = [second.import_w for second in judged if second.import_w is not None]
    unseen = len(judged) - len(draws)
    worst = round(max(draws)) if draws else None
    held = worst is not None and worst <= limit_w + TOLERANCE_W and unseen <= LOST_SECONDS and len(draws) >= 3
    return {"held": held, "worst_w": worst, "seconds_judged": len(draws), "seconds_unseen": unseen}


def _states(seconds: list[Second]) -> list[LinkState]:
    states = [second.status.links[0].state for second in seconds if second.status is not None]
    return [state for index, state in enumerate(states) if index == 0 or states[index - 1] is not state]


def _round(power_w: float | None) -> int | None:
    return None if power_w is None else round(power_w)


def _reason(status: Status, role: Role) -> str | None:
    return next((r.reason for d in status.devices for r in d.resources if r.role is role), None)


def _intervals(reports: list[dict[str, Any]], cut_until: datetime) -> dict[str, float]:
    """The site's reported intervals as the operator has them: how many, and whether one is missing or double."""
    starts: list[datetime] = []
    for report in reports:
        for resource in report.get("resources", []):
            if resource.get("resourceName") in {"AGGREGATED_REPORT", "site"}:
                starts += [datetime.fromisoformat(i["intervalPeriod"]["start"]) for i in resource.get("intervals", [])]
    starts.sort()
    steps = [(b - a).total_seconds() for a, b in itertools.pairwise(starts)]
    usual = min((step for step in steps if step > 0), default=0.0)
    return {
        "intervals": len(starts),
        "interval_s": usual,
        "gaps": sum(step > usual * 1.5 for step in steps),
        "doubles": sum(step == 0 for step in steps),
        "after_the_cut": sum(start > cut_until for start in starts),
    }
