"""The limit of one connector as a charging profile with an end: set, renewed, read back, taken away."""

import logging
import math

from cem.driver import Control, Refused, Resource
from cem_drivers.ocpp.central import Session
from cem_drivers.ocpp.profile import Profile
from cem_drivers.ocpp.station import Abilities, Composite, Connector, Lease

PROFILE_ID = 8800
"""Ours, one for each connector above it: no profile of somebody else is written over or taken away."""
RELEASE_S = 0.9
"""Patience for each question while a control is handed back, which may take 2 s in all."""
HIGHEST_STACK = 8
"""Where the charger does not say how high it goes."""
FULL_A = 32.0
TAKEN = frozenset({"Accepted"})

_LOG = logging.getLogger(__name__)


class Limiter:
    """Ours for one connection of one charger."""

    def __init__(
        self,
        resource: Resource,
        profile: Profile,
        abilities: Abilities,
        session: Session,
        number: int,
        timeout_s: float,
    ) -> None:
        self._id = resource.device_id
        self._profile = profile
        self._abilities = abilities
        self._session = session
        self._number = number
        self._timeout_s = timeout_s
        self._voltage_v = resource.ratings.nominal_voltage_v
        self._rated_phases = resource.ratings.phases
        self._most_a = resource.ratings.max_current_a or FULL_A
        self._limit_a: float | None = None  # of ours, as taken by the charger
        self._phases: int | None = None
        self._ends_at_s = float("-inf")
        self._configured = False
        self._cleared = False  # since the last limit, or since this connection began
        self._told: dict[str, tuple[float, float]] = {}

    # --- what is known -------------------------------------------------------------------------------------

    @property
    def tells_current(self) -> bool:
        """Whether the car's current is measured, or will be once we have asked for it."""
        asked = "Current.Import" in self._profile.configure.get("MeterValuesSampledData", "")
        return self._abilities.tells_current or asked or "current_a" in self._connector.values

    @property
    def told(self) -> dict[str, tuple[float, float]]:
        """Readings of what holds at the charger, as it said last: limit and phases."""
        return self._told

    @property
    def phases_held(self) -> float | None:
        """The phases that a profile of ours names now."""
        return float(self._phases) if self._phases is not None and self._in_force else None

    @property
    def _connector(self) -> Connector:
        return self._session.station.connector(self._number)

    @property
    def _now_s(self) -> float:
        return self._session.station.monotonic()

    @property
    def _in_force(self) -> bool:
        return self._now_s < self._ends_at_s

    @property
    def _unit(self) -> str:
        unit = self._profile.quirks.unit
        return unit if unit != "auto" else "W" if self._abilities.in_watts else "A"

    @property
    def _phases_now(self) -> int:
        return self._phases or self._rated_phases

    # --- writing -------------------------------------------------------------------------------------------

    async def set_limit(self, limit_a: float) -> None:
        """Sets the limit for a lease."""
        await self._set(limit_a, self._phases)

    async def set_phases(self, phases: float) -> None:
        """Names the phases; while no limit of ours is in force, in a profile that limits no further."""
        if phases not in (1.0, 3.0):
            raise Refused(f"{self._id}: {phases:g} phases do not exist; 1 and 3 do")
        limit_a = self._limit_a if self._in_force and self._limit_a is not None else self._most_a
        await self._set(limit_a, int(phases))

    async def release(self, control: Control) -> None:
        """Hands one control back; the last one takes the profile away, if one of ours may be there."""
        if control is Control.EV_PHASES and self._in_force and self._limit_a is not None and self._phases is not None:
            await self._set(self._limit_a, None)
            return
        if not self._in_force:
            left = await self._composite(RELEASE_S)
            blind = not self._profile.quirks.composite and not self._cleared
            if not blind and (left is None or not self._is_lease(left)):
                return
        await self._clear()

    async def held_a(self) -> float | None:
        """The limit of ours that the charger holds, in A, as its composite schedule says; None for none."""
        composite = await self._composite(min(self._timeout_s, 1.5))
        if composite is None or not (self._in_force or self._is_lease(composite)):
            return None
        held_a = self._amperes(composite)
        self._told["limit_a"] = (held_a, self._now_s)
        return held_a

    async def _set(self, limit_a: float, phases: int | None) -> None:
        quirks, row = self._profile.quirks, self._profile.limit
        if self._abilities.smart_charging is False:
            raise Refused(f"{self._id}: the charger says that it has no Smart Charging; check its settings and licence")
        transaction = self._connector.transaction
        if quirks.purpose == "TxProfile" and transaction is None:
            raise Refused(f"{self._id}: this charger takes limits only while a charge is under way, and none is")
        await self._configure()
        status = await self._session.dialect.set_limit(self._lease(limit_a, phases), self._timeout_s)
        if status not in TAKEN:
            raise Refused(
                f"{self._id}: SetChargingProfile of {limit_a:g} A was answered with {status or 'nothing'}. "
                "Check whether Smart Charging is switched on in the charger, and another profile of the catalogue"
            )
        self._limit_a, self._phases = limit_a, phases
        self._told["limit_a"] = (limit_a, self._now_s)
        self._cleared = False
        self._ends_at_s = self._now_s + row.lease_s
        if phases is not None:
            self._told["phases"] = (float(phases), self._now_s)

    def _lease(self, limit_a: float, phases: int | None) -> Lease:
        quirks, row, station = self._profile.quirks, self._profile.limit, self._session.station
        charger_s = station.clock.now(self._now_s)
        begins_s = (station.wall().timestamp() if charger_s is None else charger_s) - quirks.start_before_s
        named = phases or self._rated_phases
        limit = math.floor(limit_a / quirks.limit_step_a + 1e-6) * quirks.limit_step_a
        if self._unit == "W":
            limit = math.floor(limit_a * self._voltage_v * named)
        level = quirks.stack_level
        if level is None:
            highest = self._abilities.max_stack_level
            level = HIGHEST_STACK if highest is None else max(0, highest)
        own = quirks.purpose == "TxProfile"
        return Lease(
            connector=self._number,
            profile_id=PROFILE_ID + self._number,
            stack_level=level,
            purpose=quirks.purpose,
            unit=self._unit,
            limit=round(limit, 1),
            phases=named if quirks.number_phases else None,
            starts_unix_s=begins_s,
            duration_s=quirks.start_before_s + row.lease_s,
            ends_unix_s=begins_s + quirks.start_before_s + row.lease_s if quirks.valid_to else None,
            transaction=self._connector.transaction if own else None,
        )

    async def _clear(self) -> None:
        status = await self._session.dialect.clear(PROFILE_ID + self._number, RELEASE_S)
        if status not in {"Accepted", "Unknown"}:
            raise Refused(
                f"{self._id}: ClearChargingProfile was answered with {status or 'nothing'}; it ends by itself"
            )
        self._limit_a = self._phases = None
        self._cleared = True
        self._ends_at_s = float("-inf")
        self._told.clear()

    async def _configure(self) -> None:
        """Once before the first limit: what the profile wants to be set and is not so; a refusal is told and borne."""
        if self._configured:
            return
        self._configured = True
        wanted = {
            key: value
            for key, value in self._profile.configure.items()
            if self._abilities.told.get(key, "") != value and not self._suits(key, value)
        }
        if not wanted:
            return
        done = await self._session.dialect.configure(wanted, self._timeout_s)
        for key, status in done.items():
            if status not in {"Accepted", "RebootRequired"}:
                _LOG.info("%s: %s can't be set to %s (%s); values may come seldom", self._id, key, wanted[key], status)

    def _suits(self, key: str, value: str) -> bool:
        """Whether what the charger has does as well: it measures everything wanted, or more often than wanted."""
        present = self._abilities.told.get(key)
        if present is None:
            return bool(self._abilities.told)  # it has told what it has, and has not this
        if key == "MeterValueSampleInterval":
            seconds = self._abilities.sample_interval_s
            return seconds is not None and 0 < seconds <= float(value)
        have = {part.strip() for part in present.split(",")}
        return all(part in have for part in value.split(","))

    # --- reading back --------------------------------------------------------------------------------------

    async def _composite(self, timeout_s: float) -> Composite | None:
        if not self._profile.quirks.composite:
            return None
        asked_s = 2 * self._profile.limit.lease_s
        try:
            return await self._session.dialect.composite(self._number, asked_s, self._unit, timeout_s)
        except Refused:
            return None  # an error is an answer: it does not tell

    def _is_lease(self, composite: Composite) -> bool:
        """Whether a limit looks like one that a former run of ours left: it ends soon by itself."""
        return composite.ends_s is not None and composite.ends_s <= self._profile.limit.lease_s + 1.0

    def _amperes(self, composite: Composite) -> float:
        if composite.unit != "W":
            return composite.limit
        phases = composite.phases or self._phases_now
        return round(composite.limit / (self._voltage_v * phases), 2)
