"""The demo's acts: each says what it will show, plays, measures from outside, and judges."""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from demo_stand import Stand

from cem.model.directive import LinkState
from cem.model.resource import Role
from cem.model.setpoint import Health, Mode
from cem.model.status import Status

LIMIT_W = 6000.0
FALLBACK_W = 4500.0
RETURN_LIMIT_W = 8000.0
TOLERANCE_W = 120.0  # 2 per cent of the limit: the margin of the meter's one-second noise
FOLLOW_S = 8.0  # three ticks and the car's own delay


@dataclass(slots=True)
class Result:
    """What an act expected and what was measured."""

    act: str
    expected: str
    measured: dict[str, Any] = field(default_factory=dict)
    ok: bool = False


class Stage:
    """Watches the gateway from outside, a line a second."""

    def __init__(self, stand: Stand, say: Callable[[str], None], share: float) -> None:
        self.stand = stand
        self.say = say
        self._share = share
        self.seen: list[tuple[float, Status]] = []

    def watch(self, for_s: float) -> list[Status]:
        """Watches for a share of the whole time, one line a second, and gives what was seen."""
        return list(self._statuses(for_s * self._share))

    def _statuses(self, for_s: float) -> Iterator[Status]:
        end = time.monotonic() + for_s
        while (left := end - time.monotonic()) > 0:
            status = self.stand.status()
            self.say("the gateway does not answer" if status is None else line(status))
            if status is not None:
                self.seen.append((time.monotonic(), status))
                yield status
            if self.stand.leave.wait(min(1.0, max(0.0, left))):
                raise KeyboardInterrupt


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
    last = stage.watch(10)[-1]
    resources = [r for d in last.devices for r in d.resources]
    plan_h = 0.0 if last.plan is None else (last.plan.slots[-1].end - last.plan.slots[0].start).total_seconds() / 3600
    online = sum(d.health is Health.ONLINE for d in last.devices)
    result.measured = {
        "online": online,
        "stale": [r.id for r in resources if r.stale],
        "plan": None if last.plan is None else last.plan.status,
        "plan_h": round(plan_h, 1),
        "alarms": [alarm.cause for alarm in last.alarms],
    }
    planned = last.plan is not None and last.plan.status == "optimal" and plan_h >= 23.5
    result.ok = online == 4 and planned and not any(r.stale for r in resources) and not last.alarms
    return result


def price(stage: Stage) -> Result:
    """A price signal moves the battery."""
    result = Result("price", "after a price of 0.02 EUR/kWh the battery charges at least 1 kW more than before")
    before = stage.seen[-1][1].flow.battery_w or 0.0
    stage.say("ACT 2: the operator sends a very low price for half an hour; the plan changes and the battery charges.")
    words = ("--program", "prices", "--type", "PRICE", "--value", "0.02", "--unit", "KWH", "--currency", "EUR")
    stage.stand.vtn("event", "add", *words, "--duration", "PT30M", "--name", "cheap half-hour")
    seen = stage.watch(16)
    after = seen[-1].flow.battery_w or 0.0
    result.measured = {
        "before_w": round(before),
        "after_w": round(after),
        "price_seen": seen[-1].import_price_per_kwh,
        "reason": _reason(seen[-1], Role.BATTERY),
    }
    result.ok = after - before >= 1000 and seen[-1].import_price_per_kwh == 0.02
    return result


def limit(stage: Stage) -> Result:
    """An import limit holds the house below it."""
    result = Result("limit", f"import at most {LIMIT_W:.0f} W from {FOLLOW_S:.0f} s after the signal was accepted on")
    before = stage.seen[-1][1].flow.grid_w or 0.0
    stage.say("ACT 3: the operator limits the import to 6 kW; car and battery give way, the kettle does not.")
    # ends a while after the link is cut in the next act: the stored event must run out its time
    duration_s = round(32 * stage._share)
    _add_limit(stage, LIMIT_W, duration_s, "evening peak")
    stage.watch(16)
    kept = _kept(stage, LIMIT_W, Mode.LIMITED)
    result.measured = {"before_w": round(before)} | kept
    result.ok = bool(before > LIMIT_W and kept["accepted"] and kept["worst_w"] <= LIMIT_W + TOLERANCE_W)
    return result


def lost(stage: Stage) -> Result:
    """The link is cut: the stored event runs out its time, then the fallback holds."""
    expected = f"stale, hold, fallback in this order; 6 kW until the event's end, then at most {FALLBACK_W:.0f} W"
    result = Result("lost", expected)
    stage.say("ACT 4: the link to the operator is cut. The event runs out its time, then the agreed fallback holds.")
    stage.stand.link("cut")
    began = len(stage.seen)
    stage.watch(14)
    # the operator's next limit is made while nobody hears it
    _add_limit(stage, RETURN_LIMIT_W, 600, "night limit")
    stage.watch(14)
    statuses = [status for _, status in stage.seen[began:]]
    states = _in_order([status.links[0].state for status in statuses])
    unlimited = [s for s in statuses if not any(x.side == "import" and x.source == "utility" for x in s.limits)]
    kept = _kept(stage, FALLBACK_W, Mode.FALLBACK)
    result.measured = {"states": states, "seconds_without_a_limit": len(unlimited)} | kept
    wanted = [LinkState.ONLINE, LinkState.STALE, LinkState.HOLD, LinkState.FALLBACK]
    result.ok = states == [s for s in wanted if s in states] and states[-1] is LinkState.FALLBACK
    result.ok = result.ok and not unlimited and kept["accepted"] and kept["worst_w"] <= FALLBACK_W + TOLERANCE_W
    return result


def healed(stage: Stage) -> Result:
    """The link is back: events resynchronised, reports back-filled."""
    expected = (
        f"online again, the limit of {RETURN_LIMIT_W:.0f} W made meanwhile in force, reports without gap or double"
    )
    result = Result("healed", expected)
    stage.say("ACT 5: the link is healed. Events are fetched anew before the fallback is left; missing reports follow.")
    began = len(stage.seen)
    cut_from = stage.seen[began - 1][1].at
    stage.stand.link("heal")
    stage.watch(18)
    statuses = [status for _, status in stage.seen[began:]]
    states = _in_order([status.links[0].state for status in statuses])
    kept = _kept(stage, RETURN_LIMIT_W, Mode.LIMITED)
    reports = _intervals(stage.stand.vtn("report", "list"))
    result.measured |= {"states": states, "cut_until": cut_from.isoformat(), "reports": reports} | kept
    result.ok = states[-1] is LinkState.ONLINE and kept["accepted"] and kept["worst_w"] <= RETURN_LIMIT_W + TOLERANCE_W
    result.ok = result.ok and reports["intervals"] >= 10 and reports["gaps"] == 0 and reports["doubles"] == 0
    return result


ACTS: tuple[Callable[[Stage], Result], ...] = (normal, price, limit, lost, healed)
WHOLE_S = 10 + 16 + 16 + 28 + 18


def _add_limit(stage: Stage, limit_w: float, duration_s: int, name: str) -> None:
    words = ("--program", "limits", "--type", "IMPORT_CAPACITY_LIMIT", "--value", f"{limit_w / 1000:g}", "--unit", "KW")
    stage.stand.vtn("event", "add", *words, "--duration", f"PT{duration_s}S", "--name", name)


def _kept(stage: Stage, limit_w: float, mode: Mode) -> dict[str, Any]:
    """How the import stood to a limit, from FOLLOW_S after it came into force until it ended."""
    held = [
        (at, status)
        for at, status in stage.seen
        if status.mode is mode and any(x.binding and x.side == "import" and x.limit_w == limit_w for x in status.limits)
    ]
    if not held:
        return {"accepted": False, "worst_w": float("inf")}
    settled = [s.flow.grid_w for at, s in held if at - held[0][0] >= FOLLOW_S and s.flow.grid_w is not None]
    return {
        "accepted": True,
        "seconds_in_force": round(held[-1][0] - held[0][0]),
        "worst_w": round(max(settled)) if settled else float("inf"),
        "car": _reason(held[-1][1], Role.EV),
    }


def _reason(status: Status, role: Role) -> str | None:
    return next((r.reason for d in status.devices for r in d.resources if r.role is role), None)


def _in_order(states: list[LinkState]) -> list[LinkState]:
    return [state for index, state in enumerate(states) if index == 0 or states[index - 1] is not state]


def _intervals(reports: list[dict[str, Any]]) -> dict[str, float]:
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
    }
