"""The reserve that a battery keeps by itself: SoCRsvMin of model 802, else MinRsvPct of model 124."""

from dataclasses import dataclass

from cem.driver import Control, ControlSpec, Json, Keep, Refused, Storage
from cem_drivers.sunspec.registers import Registers
from cem_drivers.sunspec.roles import RESERVES

MIN_INTERVAL_S = 900.0
DAILY = 20
LOOK_AGAIN_S = 6 * 3600.0  # whether somebody else has changed it; a reserve that still stands is not written again
UPPER = "SocRsvMax"


@dataclass(frozen=True, slots=True)
class Ours:
    """What was found before our first write, and what we wrote last, as the device counts it."""

    found: int
    wrote: int


class Kept:
    """Where `Ours` outlives a restart; without a place to keep it, it is known to this run alone."""

    def __init__(self, keep: Keep | None, device_id: str) -> None:
        self._keep = keep
        self._key = f"{device_id}/reserve"

    async def load(self) -> Ours | None:
        """What is kept; None where nothing of ours is in force."""
        row = await self._keep.load(self._key) if self._keep is not None else None
        found, wrote = (row.get("found"), row.get("wrote")) if isinstance(row, dict) else (None, None)
        return Ours(found, wrote) if isinstance(found, int) and isinstance(wrote, int) else None

    async def save(self, ours: Ours | None) -> None:
        """Keeps it, or that there is nothing."""
        row: Json = None if ours is None else {"found": ours.found, "wrote": ours.wrote}
        if self._keep is not None:
            await self._keep.save(self._key, row)


class BatteryReserve:
    """`battery.reserve_pct`, in force without us and over restarts of the device as far as the device keeps it.

    The models do not say where it is kept, so it counts as memory that wears out. There is no timer: what was found
    before our first write is kept, and the release puts it back, unless somebody has changed it meanwhile.
    """

    def __init__(self, registers: Registers, resource_id: str, kept: Kept) -> None:
        self._registers = registers
        self._point = RESERVES[registers.model.id]
        self._resource_id = resource_id
        self._kept = kept
        self._ours: Ours | None = None
        self._step_pct = 1.0

    async def learn(self) -> None:
        """Reads the scale factor, and what a run before this one has left. Raises Refused where it can't be used."""
        await self._read()
        self._step_pct = 10.0 ** self._registers.scale(self._point)
        self._ours = await self._kept.load()

    def spec(self) -> ControlSpec:
        """How it wants to be written."""
        return ControlSpec(
            resource_id=self._resource_id,
            control=Control.BATTERY_RESERVE_PCT,
            falls_back_to="keeps the last reserve until somebody changes it",
            storage=Storage.UNKNOWN,
            dead_band=self._step_pct / 2,
            min_interval_s=MIN_INTERVAL_S,
            daily_budget=DAILY,
            refresh_s=LOOK_AGAIN_S,
        )

    async def write(self, value: float) -> float:
        """Has the battery keep `value` %; raises Refused beyond 0 to 100, and above the device's own upper bound."""
        name = self._registers.bus.name
        if not 0.0 <= value <= 100.0:
            raise Refused(f"{name}: a reserve is 0 to 100 %, not {value:g}")
        await self._read()
        upper = UPPER if self._registers.has(UPPER) and self._registers.given(UPPER) else None
        if upper is not None and value > self._registers.scaled(upper):
            raise Refused(
                f"{name}: a reserve of {value:g} % is above its {upper}, {self._registers.scaled(upper):g} %; "
                "raise that at the battery, or lower the reserve"
            )
        raw, held = self._registers.encoded(self._point, value), self._registers.raw(self._point)
        found = held if self._ours is None else self._ours.found
        if self._ours != Ours(found, raw):
            self._ours = Ours(found, raw)
            await self._kept.save(self._ours)  # before the write: a crash in between must not lose the owner's value
        if held != raw:
            await self._registers.write({self._point: raw})
        return value

    async def read_back(self) -> float | None:
        """The reserve that the battery keeps, %; None while it is not ours."""
        await self._read()
        return None if self._ours is None else self._registers.scaled(self._point)

    async def release(self) -> None:
        """Puts back what was found, unless somebody has changed it since; writes nothing where nothing is ours."""
        if self._ours is None:
            return
        await self._read()
        if self._registers.raw(self._point) == self._ours.wrote != self._ours.found:
            await self._registers.write({self._point: self._ours.found})
            await self._read()
            held = self._registers.raw(self._point)
            if held != self._ours.found:
                raise Refused(
                    f"{self._registers.bus.name}: {self._point} does not go back to what it was: {held} held, "
                    f"{self._ours.found} found; set it at the battery"
                )
        self._ours = None
        await self._kept.save(None)

    async def _read(self) -> None:
        await self._registers.read()
        if not self._registers.given(self._point):
            raise Refused(
                f"{self._registers.bus.name}: model {self._registers.model.id} is there without {self._point}"
            )
