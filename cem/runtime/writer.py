"""The writing side of one device: leases, budgets, refresh, read-back and effect (house laws 1, 2 and 11).

Only `cem.runtime.device` holds a `Writer`; nothing else in the house can reach `Device.write`.
"""

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cem.model.errors import CemError, Refused
from cem.model.reading import NUMBERS, Reading
from cem.model.resource import Control
from cem.model.setpoint import Outcome, Setpoint, WriteState
from cem.model.time import Instant
from cem.ports import Clock, ControlSpec, Device, Json, Put, StateKind, StateStore
from cem.runtime.board import Board
from cem.runtime.effect import NEVER_S, Effect, Shown
from cem.runtime.write_rules import WEARS_OUT, keeps_clear, refreshes_today, told, tolerance

log = logging.getLogger(__name__)

RETRY_REFUSED_S = 30.0
RETRY_INEFFECTIVE_S = 300.0
CONTESTS_BEFORE_YIELDING = 2
UNHEEDED = frozenset({WriteState.REFUSED, WriteState.NOT_EFFECTIVE, WriteState.CONTESTED, WriteState.BLOCKED})
"""What is told of a wish only as long as there is one."""
HELD_UP = frozenset({WriteState.REFUSED, WriteState.BLOCKED})
"""What is told of a value that the device did not get, and may not need any more."""
FLASH_MIN_INTERVAL_S = 900.0
FLASH_DAILY_BUDGET = 20
SMALLEST_EV_CURRENT_A = 6.0  # IEC 61851-1
OFFERS = "limit_a"
"""The point that tells what a charger lets its car draw now, whoever set it."""

Key = tuple[str, Control]


@dataclass(slots=True)
class _Held:
    """What is known of one control at the device since it was opened."""

    spec: ControlSpec
    setpoint: Setpoint | None = None
    expires_s: float = 0.0
    written: float | None = None  # what it took of what we wrote last, None: nothing since the device was opened
    asked: float | None = None  # what we asked for then: more, where it could not take the whole
    less: str = ""  # in words that it took less
    written_at_s: float = float("-inf")
    known: bool = False  # whether the device's state has been looked at since it was opened
    words: tuple[tuple[float, float], ...] = ()  # (monotonic s, value) of the last ones that it took
    looked_at_s: float = float("-inf")  # when the last value was measured that was looked at for an effect
    effect: Effect = field(default_factory=Effect)
    quiet_until_s: float = float("-inf")
    contests: int = 0
    state: WriteState = WriteState.RELEASED
    writes_today: int = 0
    budget_day: str = ""
    first: bool = True  # it has taken nothing since it was opened: the first command makes no bump
    shown: Shown = field(default_factory=Shown)
    offers_a: float | None = None  # of a charger: what it lets its car draw, as it was measured last
    repeated_s: float = NEVER_S  # when it was last told the same once more, as it did not follow
    abandoned: bool = False  # written without effect: to be handed back
    told: str = field(default="", repr=False)


class Writer:
    """Turns the newest set points into writes, and the device's answers into outcomes."""

    def __init__(self, device: Device, board: Board, store: StateStore, clock: Clock, *, read_only: bool) -> None:
        self._device = device
        self._board = board
        self._store = store
        self._clock = clock
        self._read_only = read_only
        self._held: dict[Key, _Held] = {}
        self._watched: frozenset[str] = frozenset()  # the points on which an effect must show
        self._mail: dict[Key, tuple[Setpoint, float]] = {}
        self._opened_s = float("-inf")
        self._lease_s = 0.0  # of the newest set points

    def post(self, setpoints: Iterable[Setpoint], now_s: float, least_lease_s: float = 0.0) -> bool:
        """The mailbox: the latest set point of each control wins. True if a value differs from what it held."""
        changed = False
        for setpoint in setpoints:
            key = (setpoint.resource_id, setpoint.control)
            before = self._mail.get(key)
            changed = changed or before is None or before[0].value != setpoint.value
            self._lease_s = max(setpoint.lease_s, least_lease_s)
            self._mail[key] = (setpoint, now_s + self._lease_s)
        return changed

    async def opened(self, controls: Sequence[ControlSpec]) -> None:
        """Forgets what was written before: nothing assumes that the last write survived.

        A lease that ran out while the device was away hands nothing back for as long again: nothing could be decided
        for the device meanwhile, and a charger that is handed back for a moment starts its car.
        """
        self._opened_s = self._clock.now().mono_s
        budgets = await self._budgets()
        before, self._held = self._held, {(spec.resource_id, spec.control): _Held(spec) for spec in controls}
        watched = {spec.effect_point for spec in controls if spec.effect_point is not None}
        self._watched = frozenset(watched | {OFFERS for spec in controls if spec.control is Control.EV_LIMIT_A})
        for key, held in self._held.items():
            if key in before and before[key].state in UNHEEDED:
                held.state = before[key].state  # so it stands on the board, until something else is said
            row = budgets.get(_name(key))
            if isinstance(row, dict):
                held.budget_day, held.writes_today = str(row.get("day", "")), int(str(row.get("writes", 0)))

    async def _budgets(self) -> dict[str, Json]:
        """The writes counted today; where the disk does not answer, those of this run."""
        try:
            return await self._store.load(StateKind.BUDGET)
        except CemError as error:
            log.warning("write budgets: %s; counting from what this run knows", error)
            return {_name(k): {"day": h.budget_day, "writes": h.writes_today} for k, h in self._held.items()}

    def idle(self, now_s: float) -> bool:
        """Whether `write_due` would certainly do nothing now: every control holds what it shall hold."""
        for key, held in self._held.items():
            mail = self._mail.get(key)
            if mail is None:
                continue
            setpoint, expires_s = mail
            value = told(held.spec, setpoint)
            if self._ran_out_away(expires_s, now_s):
                continue
            if value is None or held.abandoned or now_s >= expires_s:
                if not held.known or held.written is not None or held.state in UNHEEDED:
                    return False
            elif held.written is None or value != held.asked or _stale(held, now_s) or _held_up(held, now_s):
                return False
        return True

    async def write_due(self) -> None:
        """Sends what changed or must be refreshed; hands back what nobody asks for any more."""
        for key, held in self._held.items():
            now = self._clock.now()
            mail = self._mail.get(key)
            if mail is None:
                continue
            held.setpoint, held.expires_s = mail
            if self._ran_out_away(held.expires_s, now.mono_s):
                continue
            value = told(held.spec, held.setpoint) if now.mono_s < held.expires_s else None
            try:
                if value is None or held.abandoned:
                    await self._hand_back(held, now)
                else:
                    await self._send(held, value, now)
            except Refused as error:
                held.quiet_until_s = now.mono_s + RETRY_REFUSED_S
                self._tell(held, WriteState.REFUSED, value, now, f"{error}; tried again in {RETRY_REFUSED_S:.0f} s")

    def _ran_out_away(self, expires_s: float, now_s: float) -> bool:
        """Whether a lease ended before the device was opened, and what is decided for it now is still to come."""
        return expires_s <= self._opened_s and now_s < self._opened_s + self._lease_s

    def _locked(self) -> bool:
        """Whether nothing may be written: by the site file, by the device's own table, or as the owner asks now."""
        return self._read_only or self._board.watch_only()

    async def _send(self, held: _Held, value: float, now: Instant) -> None:
        spec = held.spec
        if self._locked():
            self._tell(held, WriteState.BLOCKED, value, now, "read-only: nothing is written to this device")
            return
        if now.mono_s < held.quiet_until_s:
            return
        demand = held.setpoint.demanded if held.setpoint is not None else None
        broken = demand is not None and demand.broken_by(held.written, value)
        changed = held.written is None or held.asked is None or abs(value - held.asked) > spec.dead_band
        if keeps_clear(spec, demand):
            too_much = held.asked is not None and held.asked > value
            value = max(0.0, value - spec.dead_band)
            changed = too_much or held.written is None or value - (held.asked or 0.0) > spec.dead_band
        refresh = _stale(held, now.mono_s)
        if not (changed or refresh or (_held_up(held, now.mono_s) and await self._holds_another(held, now))):
            return
        interval = spec.min_interval_s
        if spec.storage in WEARS_OUT:
            interval = max(interval, FLASH_MIN_INTERVAL_S)
        demanded = demand is not None and (refresh or broken)
        if now.mono_s - held.written_at_s < interval and not demanded:
            return
        budget = _budget(spec)
        keeps = refreshes_today(spec, now) if changed and budget is not None else 0
        if budget is not None and not await self._spend(held, budget, now, may_exceed=demanded, keeps=keeps):
            spent = "what is left of today's write budget of its flash is needed to keep a value in force"
            used_up = "today's write budget of its flash is used up"
            self._tell(held, WriteState.BLOCKED, value, now, spent if keeps else used_up)
            return
        if refresh and not changed and not held.effect.again and await self._contested(held, now):
            return
        await self._write(held, value, now)

    async def _write(self, held: _Held, value: float, now: Instant) -> None:
        spec = held.spec
        if self._locked():  # asked for while the budget was counted
            return
        if held.first:
            value = await self._without_bump(held, value)
        took = await self._device.write(spec.resource_id, spec.control, value)
        took = value if took is None else took
        back = await self._device.read_back(spec.resource_id, spec.control)
        held.written, held.asked, held.written_at_s, held.known = took, value, now.mono_s, True
        held.effect.told(took, now.mono_s)
        held.effect.again = False
        held.less = ""
        if back is not None and abs(back - took) > tolerance(spec, took):
            # what was refused was no command: the first one is still to come, and nobody else has changed anything
            held.written = held.asked = back
            held.effect.told(back, now.mono_s)
            held.quiet_until_s = now.mono_s + RETRY_REFUSED_S
            self._tell(held, WriteState.REFUSED, value, now, f"wrote {took:g}, the device holds {back:g}")
            return
        if abs(took - value) > tolerance(spec, value):
            held.less = f"held at {took:g}: of {value:g} the device can't take more now"
        held.first = False
        state = WriteState.EFFECTIVE if held.state is WriteState.EFFECTIVE else WriteState.ACCEPTED
        self._tell(held, state, took, now, held.less)

    async def _without_bump(self, held: _Held, value: float) -> float:
        """The first command after a start asks for no more than flows, or may flow, already; the next tick may.

        Not for what is kept in flash, which may not be written again so soon, nor where nothing is measured.
        """
        spec, present = held.spec, held.shown.value
        if present is None or spec.storage in WEARS_OUT:
            return value
        if spec.control is Control.BATTERY_SETPOINT_W:
            return min(max(value, -abs(present)), abs(present))
        in_amperes = spec.effect_point is not None and spec.effect_point.endswith("_a")
        if spec.control is Control.EV_LIMIT_A and in_amperes and value > present:
            holds = await self._device.read_back(spec.resource_id, spec.control)
            by_itself_a = held.offers_a if holds is None else holds  # its own offer, where nothing of ours is in force
            most = math.floor(max(present, by_itself_a or 0.0))
            return min(value, most) if most >= SMALLEST_EV_CURRENT_A else 0.0
        return value

    async def _holds_another(self, held: _Held, now: Instant) -> bool:
        """Whether the device holds something else than what is asked for again, after a value that it did not get."""
        back = await self._device.read_back(held.spec.resource_id, held.spec.control)
        if held.written is None or (back is not None and abs(back - held.written) > tolerance(held.spec, held.written)):
            return True
        self._tell(held, WriteState.ACCEPTED, held.written, now, held.less)
        return False

    async def _contested(self, held: _Held, now: Instant) -> bool:
        """Whether somebody else changed what we hold; after the second time we yield and say so."""
        if held.written is None:
            return False
        back = await self._device.read_back(held.spec.resource_id, held.spec.control)
        if back is None or abs(back - held.written) <= tolerance(held.spec, held.written):
            held.contests = 0
            return False
        held.contests += 1
        if held.contests < CONTESTS_BEFORE_YIELDING:
            return False
        held.quiet_until_s = now.mono_s + RETRY_INEFFECTIVE_S
        detail = f"somebody else set {back:g} where we hold {held.written:g}; we yield for 5 min"
        self._tell(held, WriteState.CONTESTED, held.written, now, detail)
        held.written, held.effect = None, Effect()  # what follows meanwhile is the other's word
        return True

    async def _spend(self, held: _Held, budget: int, now: Instant, *, may_exceed: bool, keeps: int = 0) -> bool:
        """Counts a write against the budget on disk, before it is made; False where none is left beside `keeps`."""
        today = now.wall.date().isoformat()
        if held.budget_day != today:
            held.budget_day, held.writes_today = today, 0
        if held.writes_today + keeps >= budget and not may_exceed:
            return False
        held.writes_today += 1
        row = Put(
            StateKind.BUDGET,
            _name((held.spec.resource_id, held.spec.control)),
            {"day": today, "writes": held.writes_today},
        )
        try:
            await self._store.commit([row])
        except CemError as error:  # the store holds the row and tries again; a full disk must not stop the control
            log.warning("%s: %s", row.key, error)
        return True

    async def _hand_back(self, held: _Held, now: Instant) -> None:
        spec = held.spec
        if spec.control is Control.EV_LIMIT_A and held.setpoint is not None and held.setpoint.value is None:
            held.first = False  # no car is there: one that comes is met as it comes, and none of a start
        if self._locked() or (now.mono_s < held.quiet_until_s and not held.abandoned):
            return
        if held.known and held.written is None:
            if held.state in UNHEEDED and not held.abandoned:
                self._tell(held, WriteState.RELEASED, None, now, "nothing is asked for any more")
            return
        if not held.known and await self._device.read_back(spec.resource_id, spec.control) is None:
            held.known = True
            return
        budget = _budget(spec)
        if budget is not None:  # it wears like any other; holding on would be worse
            await self._spend(held, budget, now, may_exceed=True)
        await self._device.release(spec.resource_id, spec.control)
        expired = held.setpoint is not None and told(spec, held.setpoint) is not None
        held.known, held.written, held.effect, held.repeated_s = True, None, Effect(), NEVER_S
        if held.abandoned:
            held.abandoned = False  # it stays told as not followed
            return
        state = WriteState.EXPIRED if expired else WriteState.RELEASED
        seldom = held.setpoint.seldom if held.setpoint is not None and spec.storage in WEARS_OUT else None
        why = f": {seldom.reason}" if seldom is not None and not expired else ""
        self._tell(held, state, None, now, f"handed back to the device's own control{why}")

    def observe(self, readings: Iterable[Reading]) -> None:
        """Looks for the effect of what was written on the measured points."""
        watched = self._watched
        if not watched:
            return
        now = self._clock.now()
        measured = {
            (r.resource_id, r.point): (float(r.value), r.taken_at_s)
            for r in readings
            if r.point in watched and isinstance(r.value, NUMBERS) and r.taken_at_s > 0
        }
        for held in self._held.values():
            spec = held.spec
            if spec.control is Control.EV_LIMIT_A:
                held.offers_a, _ = measured.get((spec.resource_id, OFFERS), (None, 0.0))
            if spec.effect_point is None:
                continue
            value, taken_at_s = measured.get((spec.resource_id, spec.effect_point), (None, 0.0))
            stood_s, effect = held.shown.take(value, held.written, now.mono_s), held.effect
            if held.state is WriteState.NOT_EFFECTIVE and stood_s >= spec.effect_within_s:
                held.quiet_until_s = now.mono_s  # it has come to life, and is tried again
            # a device that did not get its last word is not blamed for what it does meanwhile
            looked_at = (held.setpoint is None or held.setpoint.watched) and held.state not in HELD_UP
            if value is None or held.written is None or now.mono_s < held.quiet_until_s or not looked_at:
                effect.unseen(now.mono_s, forget=not looked_at)
            elif effect.shows(spec, value, taken_at_s, now.mono_s):
                still_s = held.shown.still_for_s(held.written, now.mono_s) if _moves(spec) else 0.0
                if still_s > spec.effect_within_s:
                    self._ineffective(held, value, now)
                elif held.state is not WriteState.EFFECTIVE:
                    self._tell(held, WriteState.EFFECTIVE, held.written, now, held.less)
            elif effect.short_for_s(now.mono_s) > spec.effect_within_s:
                self._ineffective(held, value, now)
            elif effect.short_for_s(now.mono_s) > spec.effect_within_s / 2 and _may_repeat(held, now.mono_s):
                effect.again, held.repeated_s = True, now.mono_s

    def _ineffective(self, held: _Held, value: float, now: Instant) -> None:
        detail = (
            f"asked for {held.written:g}, measured {value:g} for {held.spec.effect_within_s:.0f} s: "
            "it does not follow; tried again in 5 min"
        )
        self._tell(held, WriteState.NOT_EFFECTIVE, held.written, now, detail)
        held.quiet_until_s = now.mono_s + RETRY_INEFFECTIVE_S
        held.effect.unseen(now.mono_s, forget=True)
        held.abandoned = True

    async def release_all(self) -> None:
        """Hands every control back that was ever asked for; for the stop of the service."""
        for key, held in self._held.items():
            if key in self._mail and not self._locked():
                await self._device.release(held.spec.resource_id, held.spec.control)
                back = await self._device.read_back(held.spec.resource_id, held.spec.control)
                detail = "handed back" if back is None else f"handed back; the device still shows {back:g}"
                self._tell(held, WriteState.RELEASED, None, self._clock.now(), detail)
                held.written = None

    def _tell(self, held: _Held, state: WriteState, value: float | None, now: Instant, detail: str) -> None:
        held.state = state
        spec = held.spec
        self._board.set_outcome(Outcome(spec.resource_id, spec.control, state, value, now.mono_s, detail))
        news = f"{state}:{detail}" if detail else state.value
        if news != held.told and (detail or state in {WriteState.REFUSED, WriteState.NOT_EFFECTIVE}):
            log.info("%s %s: %s %s", spec.resource_id, spec.control, state, detail)
        held.told = news


def _name(key: Key) -> str:
    return f"{key[0]}/{key[1]}"


def _budget(spec: ControlSpec) -> int | None:
    """The writes a day that its memory bears; None: any number."""
    if spec.storage not in WEARS_OUT:
        return spec.daily_budget
    return FLASH_DAILY_BUDGET if spec.daily_budget is None else min(spec.daily_budget, FLASH_DAILY_BUDGET)


def _moves(spec: ControlSpec) -> bool:
    """Whether what it moves shows other values all the time, so that the very same one tells something."""
    return spec.control is Control.BATTERY_SETPOINT_W


def _held_up(held: _Held, now_s: float) -> bool:
    """Whether it did not get its last value, and may be looked at again."""
    return held.state in HELD_UP and now_s >= held.quiet_until_s


def _may_repeat(held: _Held, now_s: float) -> bool:
    """Whether a word may be told once more: no memory wears out by that, and it was not lately."""
    return held.spec.storage not in WEARS_OUT and now_s - held.repeated_s >= RETRY_INEFFECTIVE_S


def _stale(held: _Held, now_s: float) -> bool:
    """Whether it must be written again: by its own rule, because it may take more by now, or has lost its word."""
    if held.effect.again:
        return True
    due_s = held.spec.refresh_s
    if held.less:
        due_s = RETRY_REFUSED_S if due_s is None else min(due_s, RETRY_REFUSED_S)
    return due_s is not None and now_s - held.written_at_s >= due_s
