"""What a device makes of the registers by which it is steered: set points, release, its own time-out."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from hw_sim.devices.deadline import RevertTimer
from hw_sim.profiled.codec import from_words, is_float, to_words
from hw_sim.profiled.tables import ControlTable, Phases, Place, Profile, Write
from hw_sim.sparse import SparseBank

_KEEPS = re.compile(r"\b(keeps|stays|last value|last current|until somebody)\b")
_PAUSES = re.compile(r"\b(paus|stops?\b|stands? still|standby|idle)")
_AMPERES = re.compile(r"\b(\d+(?:\.\d+)?) A\b")


class Fallback(StrEnum):
    """What a device does once its own time-out has run out."""

    OWN = "own"  # its own control: a battery's self-consumption, no limit, the full current
    PAUSE = "pause"  # no current, no power
    KEEP = "keep"  # nothing changes


@dataclass(frozen=True, slots=True)
class Command:
    """A set point in the house's unit and sign; `value` None: its own control."""

    value: float | None = None


OWN = Command()


def fallback_of(words: str) -> Fallback | float:
    """What a profile's sentence on the time-out says in its first clause: a current, a pause, nothing, or own control.

    Interpretation: of "may be the full current" a simulated device takes the full current, the worst of it.
    """
    first = re.split(r"[;:]", words, maxsplit=1)[0]
    if "full" in words or "nothing at all" in words:
        return Fallback.OWN
    if (given := _AMPERES.search(first)) is not None:
        return float(given[1])
    if _PAUSES.search(first):
        return Fallback.PAUSE
    return Fallback.KEEP if _KEEPS.search(first) else Fallback.OWN


class Steering:
    """One control: its registers in a bank, and the command that they amount to.

    `amount(name)` gives what the device tells under a name, in the house's unit. `highest` is the largest set point.
    """

    def __init__(
        self,
        profile: Profile,
        table: ControlTable,
        bank: SparseBank,
        amount: Callable[[str], float],
        highest: float,
        fallback: Fallback | float | None,
    ) -> None:
        self.id = table.id
        self.table = table
        self.timer = RevertTimer()
        self._profile = profile
        self._bank = bank
        self._amount = amount
        self._highest = highest
        timeout = table.device_timeout
        self._fallback = fallback if fallback is not None or timeout is None else fallback_of(timeout.falls_back_to)
        self._fallen: Fallback | float | None = None
        self._understood = OWN
        self._steering = frozenset(at for row in table.steering for at in row.addresses)
        beats = table.heartbeat.write if table.heartbeat is not None else ()
        self._beats = frozenset(at for row in beats for at in row.addresses)
        self._armed_by = timeout.arm if timeout is not None else ()
        moving = {row.at: row for row in table.writes if row.moves}
        self._backs = [(moving.get(row.at, row), row.back) for row in table.writes if isinstance(row.back, Place)]
        self.to_defaults(all_of_it=True)

    # --- registers ---

    @property
    def owned(self) -> frozenset[int]:
        """Every holding register that may be written."""
        own = frozenset(at for row in self.table.writes for at in row.addresses)
        return own if self.table.phases is None else own | frozenset(self.table.phases.at.addresses)

    @property
    def telling(self) -> frozenset[int]:
        """Of `owned`, the registers that tell a set point or end one; the others arm a time-out, or keep it quiet."""
        arming = {at for row in self._armed_by for at in row.addresses}
        own = (
            self._steering if self.table.phases is None else self._steering | frozenset(self.table.phases.at.addresses)
        )
        return own - arming

    @property
    def mirrors(self) -> frozenset[tuple[int, int]]:
        """(function, address) where a write shows besides."""
        return frozenset((back.fc, at) for _, back in self._backs for at in back.addresses)

    @property
    def unreadable(self) -> frozenset[int]:
        """Registers that nobody can read."""
        secret = {at for row in self.table.writes if row.back == "none" for at in row.addresses}
        return frozenset(secret) - {at for row in self.table.writes if row.back != "none" for at in row.addresses}

    @property
    def lasts(self) -> bool:
        """Whether what is written outlives a restart of the device."""
        return self.table.storage in {"flash", "levelled"}

    def to_defaults(self, all_of_it: bool = False) -> None:
        """As after a restart: what lies in flash stays, unless `all_of_it`."""
        if self.lasts and not all_of_it:
            self._understood = self._read()
            return
        for row in self.table.writes:
            moving = row.moves and self.id != "battery.setpoint_w"
            self._bank.put(
                row.at, self._encoded(row, self._highest if moving else 0.0) if row.moves else self._zeros(row)
            )
        phases = self.table.phases
        if phases is not None:
            self._bank.show(phases.at.fc, phases.at.at, to_words(phases.at.type, phases.three, self._order(phases.at)))
        self._let_go(self.table.release)

    def _let_go(self, rows: Sequence[Write]) -> None:
        """As if these rows of the release had been written."""
        for row in rows:
            self._bank.put(row.at, self._encoded(row, 0.0))
        self.mirror()
        self._understood = OWN
        self.timer.cancel()

    def _zeros(self, row: Write) -> tuple[int, ...]:
        return (0,) * len(row.addresses)

    def _order(self, row: Place | Write) -> str:
        return self._profile.order(row)

    def _raw(self, row: Write, setpoint: float) -> float:
        """The number that a write puts down."""
        if not isinstance(row.value, str):
            return row.value
        name = row.value.lstrip("-")
        limits = self.table.limits
        given = {"$setpoint": setpoint, "$max": limits.max, "$min": limits.min}.get(name, name)
        if row.codes is not None:
            return float(row.codes.get(str(round(setpoint)), 0))
        number = self._number(given)
        number = -number if row.value.startswith("-") else number
        per = self._amount(row.per) if row.per is not None else 1.0
        number = (number / (per or 1.0) - row.offset) / row.scale
        return number if is_float(row.type) else float(int(number + (1e-6 if number >= 0 else -1e-6)))

    def _number(self, given: float | str) -> float:
        if not isinstance(given, str):
            return given
        known = self._amount(given.lstrip("-")[1:])
        return -known if given.startswith("-") else known

    def _encoded(self, row: Write, setpoint: float) -> tuple[int, ...]:
        return to_words(row.type, self._raw(row, setpoint), self._order(row))

    def _held(self, row: Write) -> float:
        return from_words(row.type, self._bank.words(row.addresses), self._order(row))

    def mirror(self) -> None:
        """Shows what is held where a profile reads it back."""
        for row, back in self._backs:
            self._bank.show(back.fc, back.at, to_words(back.type, self._in_force(row), self._order(back)))

    def _in_force(self, row: Write) -> float:
        """What a place that only shows tells of a write: what is held, or what it fell back to.

        Interpretation: the limit that a device shows beside the register for it is the one that it keeps to.
        """
        fallen = 0.0 if self._fallen is Fallback.PAUSE else self._fallen
        return self._raw(row, fallen) if isinstance(fallen, float) and row.moves else self._held(row)

    # --- what it amounts to ---

    def _holds(self, rows: Sequence[Write], setpoint: float = 0.0) -> bool:
        """Whether the registers hold all of these; where the step of a register is coarse, the nearest one counts."""
        return all(
            abs(self._held(row) - (raw := self._raw(row, setpoint)))
            <= max(1e-6 * abs(raw), 1e-6 if is_float(row.type) else 0.5)
            for row in rows
        )

    def _read(self) -> Command:
        """The command that the registers amount to; one that is half written leaves the one before."""
        table = self.table
        if self._holds(table.release):
            told = self._told() if self._lets_go_by_timeout else None
            return OWN if told is None else told
        if table.write_zero and self._holds(table.write_zero):
            return Command(0.0)
        told = self._told()
        return self._understood if told is None else told

    @property
    def timeout_s(self) -> float | None:
        """Its own time-out, as the profile has it; None where it has none."""
        return self.table.device_timeout.s if self.table.device_timeout is not None else None

    @property
    def lets_go_s(self) -> float | None:
        """Where its release is but one more set point: after so long its own time-out hands back. None: at once."""
        timeout = self.table.device_timeout
        if timeout is None or not self._lets_go_by_timeout:
            return None
        released = {at for row in self.table.release for at in row.addresses}
        told = {at for row in self.table.write for at in row.addresses}
        return timeout.s if released == told else None

    @property
    def _lets_go_by_timeout(self) -> bool:
        """Whether its release is a set point like others, which a time-out ends that counts from the set point."""
        timeout = self.table.device_timeout
        return timeout is not None and timeout.fed_by == "write" and not timeout.arm

    def _told(self) -> Command | None:
        """The set point in the registers; None: none, or half of one."""
        table = self.table
        for rows, sign in ((table.write_negative, -1.0), (table.write, 1.0)):
            moving = next((row for row in rows if row.moves), None)
            if moving is not None and moving.codes is not None:
                return self._state(rows, moving.codes)
            if moving is None or not self._holds([row for row in rows if not row.moves]):
                continue
            value = self._setpoint(moving)
            if value * sign >= 0.0 or (sign > 0.0 and not table.write_negative):
                return Command(value)
        return None

    def _state(self, rows: Sequence[Write], codes: Mapping[str, int]) -> Command | None:
        """The state whose codes are all there; of two with the same ones the one that was there before."""
        states = sorted(codes, key=lambda state: self._understood.value != float(state))
        return next((Command(float(one)) for one in states if self._holds(rows, float(one))), None)

    def _setpoint(self, row: Write) -> float:
        value = self._held(row) * row.scale + row.offset
        value *= self._amount(row.per) if row.per is not None else 1.0
        return -value if isinstance(row.value, str) and row.value.startswith("-") else value

    @property
    def command(self) -> Command | Fallback | float:
        """What it does now: what it is told, or what it fell back to."""
        return self._understood if self._fallen is None else self._fallen

    @property
    def held(self) -> Command:
        """What it is told, by its registers."""
        return self._understood

    def one_phase(self, phases: Phases) -> bool:
        """Whether a charger is told to use one phase."""
        words = [self._bank.words(phases.at.addresses)]
        return from_words(phases.at.type, words[0], self._order(phases.at)) == phases.one

    def stored(self, addresses: Sequence[int], now_s: float) -> bool:
        """Registers were written; whether they have to do with this control."""
        if self.owned.isdisjoint(addresses):
            return False
        if not self.telling.isdisjoint(addresses):
            self._fallen = None  # arming alone does not end what it fell back to
        self.mirror()
        if not self._steering.isdisjoint(addresses):
            self._understood = self._read()
            if self._fed_by != "heartbeat" or self.timer.ends_s is None:
                self._feed(now_s)
        elif not self._beats.isdisjoint(addresses) and self._fed_by == "heartbeat":
            self._feed(now_s)
        elif self._armed_by and not self._holds(self._armed_by):
            self.timer.cancel()
        return True

    def heard(self, now_s: float) -> None:
        """Somebody asked for something."""
        if self._fed_by == "polling" and self.timer.ends_s is not None:
            self._feed(now_s)

    # --- time-out ---

    @property
    def _fed_by(self) -> str:
        timeout = self.table.device_timeout
        return timeout.fed_by if timeout is not None else ""

    def _feed(self, now_s: float) -> None:
        timeout = self.table.device_timeout
        if timeout is None:
            return
        counts = self._holds(self._armed_by) if self._armed_by else self._understood != OWN
        if counts:
            self.timer.arm(now_s, timeout.s)
        else:
            self.timer.cancel()

    def ran_out(self, now_s: float) -> bool:
        """True when the time-out has just run out: it lets go, and does what it does without a master."""
        if not self.timer.ran_out(now_s) or self._fallback is Fallback.KEEP:
            return False
        armed = {row.at for row in self._armed_by}
        self._let_go([row for row in self.table.release if row.at not in armed])
        self._fallen = self._fallback if self._fallback is not Fallback.OWN else None
        self.mirror()
        return True

    # --- somebody else ---

    def rows_for(self, value: float) -> Mapping[int, tuple[int, ...]]:
        """What a master writes for a set point, by address."""
        table = self.table
        rows = table.write_zero if value == 0.0 and table.write_zero else table.write
        if value < 0.0 and table.write_negative:
            rows = table.write_negative
        return {row.at: self._encoded(row, value) for row in rows}
