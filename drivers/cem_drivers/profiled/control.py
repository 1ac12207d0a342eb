"""One control of a device as its profile describes it: limits, arming, writing, read-back, release, heartbeat."""

import asyncio
import logging
import math
import struct
from collections.abc import Callable, Sequence

from cem.driver import Control, ControlSpec, NoAnswer, Refused, Storage
from cem_drivers.modbus import Bus, Function
from cem_drivers.profiled.codec import decode, encode, whole
from cem_drivers.profiled.reader import Reader
from cem_drivers.profiled.schema import Amount, ControlRow, LinkDefaults, Phases, Place, WordOrder, WriteRow

PAUSE_WITHIN_S = 4.0
LOOK_EVERY_S = 0.5
PAUSED_BELOW_A = 1.0
FOLLOWS_IN_S = 12.0
"""A battery has followed a word after so long, and is measured again."""

_LOG = logging.getLogger(__name__)


class Surface:
    """One control of one resource. The device makes sure of the identity before each call that writes."""

    def __init__(
        self,
        bus: Bus,
        row: ControlRow,
        link: LinkDefaults,
        resource_id: str,
        phases: int,
        reader: Reader,
        monotonic: Callable[[], float],
        told: Callable[[str], float | None] = lambda _: None,
        steered: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """`told`: what the same device has been told of a point, where it does what it is told; `steered`: whether it
        has been told anything of it."""
        self._bus = bus
        self._row = row
        self._link = link
        self._resource_id = resource_id
        self._phases = phases
        self._reader = reader
        self._monotonic = monotonic
        self._told, self._steered = told, steered
        self._heeds = True  # it was seen to do what it was told before, when it was told the last
        self._written_s = -math.inf
        self._armed: bool | None = None  # None: not tried yet; False: the device did not keep what was written
        self._held: float | None = None  # what we wrote last since the device was opened
        self._besides_w = 0.0  # what else counted under the limit then, as it was written
        self._touched = False  # something of ours may be in registers that can't be read
        self._one_wiring = False  # the charger has no register for its phases
        self._beat_at_s = -math.inf
        self._switched_at_s = -math.inf

    # --- what it is ----------------------------------------------------------------------------------------

    def spec(self) -> ControlSpec:
        """How it wants to be written; without its time-out once the device was seen not to keep it."""
        row = self._row
        timeout = row.device_timeout if self._armed is not False else None
        falls_back_to = row.falls_back_to
        if row.device_timeout is not None:
            falls_back_to = row.device_timeout.falls_back_to
            if timeout is None:
                falls_back_to = f"keeps the last value: its time-out could not be armed ({falls_back_to})"
        assert falls_back_to is not None
        verify = row.verify
        return ControlSpec(
            resource_id=self._resource_id,
            control=Control(row.id),
            falls_back_to=falls_back_to,
            storage=Storage(row.storage),
            dead_band=row.dead_band,
            min_interval_s=row.budget.min_interval_s,
            daily_budget=row.budget.daily,
            refresh_s=row.refresh_s,
            device_timeout_s=timeout.s if timeout is not None else None,
            timeout_proven=timeout is not None and timeout.proven,
            effect_point=verify.effect.split(".", 1)[1] if verify is not None else None,
            effect_tolerance=verify.tol if verify is not None else 0.0,
            effect_within_s=verify.within_s if verify is not None else 30.0,
        )

    # --- writing -------------------------------------------------------------------------------------------

    async def write(self, value: float) -> float:
        """Arms the device's time-out, then writes what differs from what it holds. Raises Refused, NoAnswer.

        Gives what it wrote: within what the device can do now, in its steps.
        """
        self._made_ready()
        chosen = self._allowed(value)
        besides_w, before_w = self._besides(), self._besides_w
        await self._arm()
        self._written_s, self._heeds = self._monotonic(), self._shows()
        self._besides_w = besides_w
        try:
            await self._put_value(chosen)
        except (Refused, NoAnswer):
            self._besides_w = before_w  # so that it differs, and is told again
            raise
        self._held = chosen
        await self.beat()
        return chosen

    async def _put_value(self, chosen: float) -> None:
        rows = self._rows_for(chosen)
        self._touched = True
        if self._row.phases is not None and chosen > 0 and not self._one_wiring:
            await self._use_phases(self._row.phases)
        for row in rows:
            raw = self._raw(row, chosen)
            if row.always or row.moves or await self._read(row) != raw:
                await self._send(row, raw)

    @property
    def unsettled(self) -> bool:
        """Whether its limit holds for something else besides that is steered, and that is something else by now.

        Not where its writes are counted by the day: there it waits for its next value.
        """
        if self._held is None or not self._row.includes or self._row.budget.daily is not None:
            return False
        if self._monotonic() - self._written_s < self._row.budget.min_interval_s:
            return False
        known = all(name in self._reader.known for name in self._row.includes)
        steered = any(map(self._steered, self._row.includes))
        return known and steered and abs(self._besides() - self._besides_w) > self._row.dead_band

    async def settle(self) -> None:
        """Writes such a limit anew. Raises Refused, NoAnswer."""
        if self._held is not None:
            await self.write(self._held)

    def steers(self, name: str) -> bool:
        """Whether something of ours is in force that shows at this point."""
        return self._held is not None and self._row.verify is not None and self._row.verify.effect == name

    def heeds(self, name: str) -> float | None:
        """What it has been told of the point that shows its effect; None for another, and while it does not follow: it
        does where that shows, or where it did before a word that it may just be following."""
        verify = self._row.verify
        if verify is None or verify.effect != name:
            return None
        follows = self._heeds and self._monotonic() - self._written_s <= FOLLOWS_IN_S
        return self._held if follows or self._shows() else None

    def _shows(self) -> bool:
        """Whether what is measured is what it was told last, as far as both are known."""
        verify = self._row.verify
        known = self._reader.known.get(verify.effect) if verify is not None else None
        if verify is None or self._held is None or known is None or not isinstance(known.value, float | int):
            return True
        return abs(known.value - self._held) <= verify.tol

    def _besides(self) -> float:
        """What else counts under the same limit: as it was told, where it does what it is told, else as measured."""
        amounts = [(self._told(name), name) for name in self._row.includes]
        return sum(self._amount(f"${name}") if told is None else told for told, name in amounts)

    async def release(self) -> None:
        """Hands it back; writes only what is not so already, and what can't be read only if anything of ours may be."""
        wanted = [(row, self._raw(row, 0.0)) for row in self._row.release]
        differs = [row for row, raw in wanted if self._place(row) is not None and await self._read(row) != raw]
        for row, raw in wanted:
            if row in differs or (self._place(row) is None and (differs or self._touched)):
                await self._send(row, raw)
        self._held, self._touched = None, False
        self._armed = self._armed and None  # the release may have disarmed it

    async def read_back(self) -> float | None:
        """The value as the device holds it; None when none of ours is in force.

        What we wrote is told as we were asked for it, though a register in per cent holds it more coarsely.
        """
        if self._held is not None and await self._matches(self._rows_for(self._held), self._held):
            return self._held
        if await self._matches(self._row.release):
            return None
        zero = self._row.write_zero
        if zero and (await self._matches(zero) or (self._held == 0 and not self._readable(zero))):
            return 0.0
        if self._row.states:
            return await self._state()
        for rows in (self._row.write, self._row.write_negative):
            fixed = [row for row in rows if not row.moves]
            moving = next((row for row in rows if row.moves and self._place(row) is not None), None)
            if moving is not None and (not self._readable(fixed) or await self._matches(fixed)):
                return await self._decoded(moving)
        unreadable = all(self._place(row) is None for row in self._row.write if row.moves)
        return self._held if unreadable else None

    async def _state(self) -> float | None:
        """The state whose codes the device holds: ours before others, as two states may have the same codes."""
        held = () if self._held is None else (int(self._held),)
        for state in (*held, *sorted(self._row.states)):
            if await self._matches(self._row.write, state):
                return float(state)
        return None

    @property
    def beats(self) -> bool:
        """Whether a heartbeat is due: only while a value of ours is in force."""
        heartbeat = self._row.heartbeat
        if heartbeat is None or self._held is None:
            return False
        return self._monotonic() - self._beat_at_s >= heartbeat.every_s - 0.05

    async def beat(self) -> None:
        """Keeps the device's watchdog quiet."""
        if self._row.heartbeat is not None:
            for row in self._row.heartbeat.write:
                await self._send(row, self._raw(row, 0.0))
            self._beat_at_s = self._monotonic()

    async def _arm(self) -> None:
        """Writes and reads back what makes the device let go by itself, once after each opening and each release."""
        timeout = self._row.device_timeout
        if timeout is None or self._armed is not None:
            return
        for row in timeout.arm:
            raw = self._raw(row, 0.0)
            if await self._read(row) != raw:
                await self._send(row, raw)
                if self._place(row) is not None and await self._read(row) != raw:
                    self._armed = False
                    _LOG.warning(
                        "%s: register %d does not keep %s; without us the last value stays",
                        self._bus.name, row.at, row.value,
                    )  # fmt: skip
                    return
        self._armed = True

    async def _use_phases(self, phases: Phases) -> None:
        """The number of phases that the site file gives the resource, switched only while no current flows."""
        wanted = phases.one if self._phases == 1 else phases.three
        try:
            seen = await self._decode(phases.at, 1.0)
        except Refused as error:
            _LOG.warning("%s: %s; its phases stay as they are wired", self._bus.name, error)
            self._one_wiring = True
            return
        if seen == wanted or (self._phases != 1 and phases.auto is not None and seen == phases.auto):
            return
        left_s = self._switched_at_s + phases.min_interval_s - self._monotonic()
        if left_s > 0:
            raise Refused(f"{self._bus.name}: phases were switched a moment ago; next in {left_s:.0f} s")
        for row in self._row.write_zero:
            await self._send(row, self._raw(row, 0.0))
        self._held = 0.0 if self._row.write_zero else self._held
        if not await self._paused():
            raise Refused(
                f"{self._bus.name}: still charging {PAUSE_WITHIN_S:g} s after the pause; phases stay as they are"
            )
        registers = encode(phases.at.type, wanted, phases.at.word_order or self._link.word_order)
        await self._put(phases.at.at, registers)
        self._switched_at_s = self._monotonic()
        if await self._decode(phases.at, 1.0) != wanted:
            raise Refused(f"{self._bus.name}: register {phases.at.at} does not keep {wanted:g} phases")

    async def _paused(self) -> bool:
        """Whether no current flows any more, as measured after the pause was sent."""
        for _ in range(round(PAUSE_WITHIN_S / LOOK_EVERY_S)):
            await self._reader.read_all()
            known = self._reader.known.get("ev.current_a")
            if known is None or not isinstance(known.value, float | int):
                return False  # a switch needs a confirmed state
            if known.value < PAUSED_BELOW_A:
                return True
            await asyncio.sleep(LOOK_EVERY_S)
        return False

    # --- values --------------------------------------------------------------------------------------------

    def _made_ready(self) -> None:
        """Raises Refused, with what to do, where somebody has to set something on the device first."""
        for need in self._row.requires:
            known = self._reader.known.get(need.of)
            if known is None or known.value not in need.accepted:
                seen = "is not known" if known is None or known.value is None else f"is {known.value}"
                raise Refused(f"{self._bus.name}: {need.of} {seen}, so nothing is written: {need.says}")

    def _allowed(self, value: float) -> float:
        """The value within the limits, in whole steps cut towards zero. Raises Refused for what can't be meant."""
        limits, control = self._row.limits, Control(self._row.id)
        if not math.isfinite(value) or (value < 0 and control is not Control.BATTERY_SETPOINT_W):
            raise Refused(f"{self._bus.name}: {value} is no value for {control}")
        if self._row.states:
            if value not in self._row.states:
                raise Refused(f"{self._bus.name}: {value:g} is no state of {control}")
            return value
        low, high = self._amount(limits.min), self._amount(limits.max)
        if control is Control.BATTERY_SETPOINT_W:
            return limits.step * whole(max(low, min(value, high)) / limits.step)
        stepped = limits.step * whole(min(value, high) / limits.step)
        if stepped >= low:
            return stepped
        if limits.zero and control is Control.EV_LIMIT_A:
            return 0.0
        if control is Control.PV_LIMIT_W:
            return low
        raise Refused(f"{self._bus.name}: {value:g} is below {low:g}, the lowest value for {control}")

    def _rows_for(self, value: float) -> Sequence[WriteRow]:
        if value == 0 and self._row.write_zero:
            return self._row.write_zero
        return self._row.write_negative if value < 0 and self._row.write_negative else self._row.write

    def _amount(self, amount: Amount) -> float:
        """A number, or what the device tells under that name. Raises Refused where it does not tell."""
        if not isinstance(amount, str):
            return amount
        name = amount.lstrip("-")[1:]
        known = self._reader.known.get(name)
        if known is None or not isinstance(known.value, float | int):
            raise Refused(f"{self._bus.name}: {name} is not known, so nothing is written")
        return -known.value if amount.startswith("-") else known.value

    def _with_others(self, value: float) -> float:
        """A limit of what the inverter gives, from that of the roof: what charges behind it never comes out."""
        if not self._row.includes:
            return value
        low, high = self._amount(self._row.limits.min), self._amount(self._row.limits.max)
        return max(low, min(value - self._besides_w, high))

    def _raw(self, row: WriteRow, value: float) -> list[int]:
        """The registers of one write. Raises Refused when the value does not fit."""
        amount: float
        if row.codes is not None:
            amount = row.codes[str(int(value))]
        elif isinstance(row.value, str):
            meant = self._with_others(value) if "$setpoint" in row.value else value
            ours = {"$setpoint": meant, "$max": self._row.limits.max, "$min": self._row.limits.min}
            name = row.value.lstrip("-")
            amount = self._amount(ours.get(name, name))
            amount = -amount if row.value.startswith("-") else amount
            amount /= (self._amount(f"${row.per}") or math.nan) if row.per is not None else 1.0
            amount = (amount - row.offset) / row.scale
            amount = amount if row.type.startswith("float") else whole(amount)
        else:
            amount = row.value
        try:
            return encode(row.type, amount, row.word_order or self._link.word_order)
        except ValueError as error:
            raise Refused(f"{self._bus.name}: register {row.at}: {error}") from error

    # --- registers -----------------------------------------------------------------------------------------

    def _place(self, row: WriteRow) -> Place | None:
        """Where a write is read back; None where it can't be."""
        if row.back == "none":
            return None
        if row.back is not None:
            return row.back
        return Place(at=row.at, type=row.type, word_order=row.word_order)

    async def _read(self, row: WriteRow) -> list[int] | None:
        """What the device holds, in the registers that would be written; None where it can't be read."""
        place = self._place(row)
        if place is None:
            return None
        raw = await self._bus.read(place.at, place.words, Function(place.fc))
        if place.type == row.type and self._order(place) == (row.word_order or self._link.word_order):
            return list(struct.unpack(f">{place.words}H", raw))
        value = decode(place.type, raw, self._order(place))
        fits = isinstance(value, float | int)
        return encode(row.type, value, row.word_order or self._link.word_order) if fits else None  # type: ignore[arg-type]

    async def _matches(self, rows: Sequence[WriteRow], value: float = 0.0) -> bool:
        """Whether the device holds all of these; False where nothing of them can be read."""
        readable = self._readable(rows)
        for row in readable:
            if await self._read(row) != self._raw(row, value):
                return False
        return bool(readable)

    def _readable(self, rows: Sequence[WriteRow]) -> list[WriteRow]:
        return [row for row in rows if self._place(row) is not None]

    async def _decoded(self, row: WriteRow) -> float | None:
        """The set point that a write would have to carry for the device to hold what it holds."""
        place = self._place(row)
        assert place is not None
        value = await self._decode(place, row.scale)
        if value is None:
            return None
        value += row.offset
        value *= self._amount(f"${row.per}") if row.per is not None else 1.0
        value += self._besides_w
        return -value if isinstance(row.value, str) and row.value.startswith("-") else value

    async def _decode(self, place: Place, scale: float) -> float | None:
        raw = await self._bus.read(place.at, place.words, Function(place.fc))
        value = decode(place.type, raw, self._order(place))
        return round(value * scale, 9) if isinstance(value, float | int) else None

    def _order(self, place: Place) -> WordOrder:
        return place.word_order or self._link.word_order

    async def _send(self, row: WriteRow, registers: Sequence[int]) -> None:
        await self._put(row.at, registers, row.function)

    async def _put(self, address: int, registers: Sequence[int], function: int | None = None) -> None:
        if (function or self._link.write_function) == 16:
            await self._bus.write(address, registers)
            return
        for offset, register in enumerate(registers):
            await self._bus.link.write_one(self._bus.unit, address + offset, register, self._bus.timeout_s)
