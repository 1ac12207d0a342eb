"""One charger of the site file: each of its resources is a connector."""

import asyncio
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cem.driver import (
    Control,
    ControlSpec,
    DeviceConfig,
    DriverContext,
    Identity,
    NoAnswer,
    Reading,
    Refused,
    Storage,
    WrongDevice,
)
from cem_drivers.ocpp.central import CENTRALS, Central, Session
from cem_drivers.ocpp.limiter import Limiter
from cem_drivers.ocpp.link import Admission, admission_of, place_of
from cem_drivers.ocpp.profile import Profile
from cem_drivers.ocpp.station import Abilities, Boot
from cem_drivers.table import flag, number, text

ASK_S = 2.0
"""Patience for one answer while the device runs."""
CALL_IN_S = 4.5
"""Opening waits so long for a charger that is not here."""
OPEN_LONGEST_S = 7.0
"""Whoever opens gives up a second later; what was not asked until then is asked by the first polls."""
WHO_S = 2.0
ASK_AGAIN_S = 60.0
"""What does not send values when it is asked is asked this seldom."""
MOST_VAIN = 3
START_AGAIN_S = 60.0
"""A charge is started at most so often."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Open:
    """The connection of which the identity is known."""

    central: Central
    session: Session
    abilities: Abilities
    limiters: dict[str, Limiter]  # by resource


@dataclass(slots=True)
class _Asking:
    """How often values were asked for, and in vain."""

    asked_at_s: float = -math.inf
    vain: int = 0
    samples_seen: int = 0


class OcppDevice:
    """A charger that calls in at the central system. The first resource is the link's connector, each more the next."""

    def __init__(self, config: DeviceConfig, profile: Profile, context: DriverContext) -> None:
        self._config = config
        self._profile = profile
        self._context = context
        first = int(number(config.link, "connector", 1))
        self._numbers = {resource.id: first + index for index, resource in enumerate(config.resources)}
        self._timeout_s = number(config.link, "timeout_s", ASK_S)
        self._central: Central | None = None
        self._admission = Admission("")
        self._open: _Open | None = None
        self._asking = {number: _Asking() for number in self._numbers.values()}
        self._started_at_s: dict[int, float] = {}

    @property
    def id(self) -> str:
        """The device's id in the site file."""
        return self._config.id

    async def open(self) -> Identity:
        """Waits for the charger to call in and to say who it is; takes 7 s at most.

        Raises NoAnswer, WrongDevice.
        """
        await self.close()
        last_s = asyncio.get_running_loop().time() + OPEN_LONGEST_S
        try:
            admission = self._admission = admission_of(self._config.link, self._config.serial)
            central = self._central = await CENTRALS.take(self._config.link, self._context, admission)
        except OSError as error:
            raise NoAnswer(
                f"{self.id}: can't listen at {place_of(self._config.link)}: {error}. "
                "Check listen, port and the files of the link, and that nothing else listens there"
            ) from error
        try:
            session = await central.called(admission.identity, CALL_IN_S)
            if session is None:
                raise NoAnswer(
                    f"{self.id}: no charger calls in as {admission.identity!r} at {central.name}; waiting. Check the "
                    "address of the central system in the charger, and its name and password there"
                )
            if self._profile.quirks.zero_is_connector:
                session.station.zero_is = min(self._numbers.values())
            boot = await self._who(central, session)
            identity = Identity(boot.maker, boot.model, self._serial_of(boot, session), boot.version)
            if self._config.serial is not None and identity.serial != self._config.serial:
                raise WrongDevice(
                    f"{self.id}: {identity.serial!r} calls in as {admission.identity!r}, the site file says "
                    f"{self._config.serial!r}; nothing is written. "
                    "Check its name in the charger, or put the new serial number into the site file"
                )
            abilities = Abilities()
            if self._profile.quirks.asks_abilities:
                abilities = await session.dialect.abilities(self._timeout_s)
            limiters = {
                resource.id: Limiter(
                    resource, self._profile, abilities, session, self._numbers[resource.id], self._timeout_s
                )
                for resource in self._config.resources
            }
            self._open = _Open(central, session, abilities, limiters)
            await self._look_at_all(session, last_s)
        finally:
            if self._open is None:
                await self.close()
        return identity

    def controls(self) -> Sequence[ControlSpec]:
        """What may be written; () for a charger that is read only, is a draft or has no serial number here."""
        if self._open is None or self._why_not_written() is not None:
            return ()
        return [
            self._spec(resource.id, control, self._open)
            for resource in self._config.resources
            for control in sorted(resource.controls)
            if control is Control.EV_LIMIT_A or (control is Control.EV_PHASES and self._open.abilities.switches_phases)
        ]

    async def poll(self) -> Sequence[Reading]:
        """The newest value of each point, each from when it was taken; raises NoAnswer when the charger is gone."""
        opened = self._living()
        await self._keep_awake(opened)
        return [
            Reading(resource.id, point, value, taken_at_s)
            for resource in self._config.resources
            for point, (value, taken_at_s) in self._values(opened, resource.id).items()
        ]

    def _values(self, opened: _Open, resource_id: str) -> dict[str, tuple[float | str, float]]:
        """What is known of one connector: points with values, and when those were taken."""
        station, now_s, limiter = opened.session.station, self._context.monotonic(), opened.limiters[resource_id]
        connector = station.connector(self._numbers[resource_id])
        values: dict[str, tuple[float | str, float]] = {}
        if connector.state is not None:
            values["state"] = (connector.state, station.heard_at_s)
        values |= connector.values
        age_s = now_s - values.get("power_w", (0.0, -math.inf))[1]
        if connector.state in {"A", "B"} and age_s > self._profile.life.every_s:
            # many measure within a transaction alone; where nothing charges, nothing flows
            values["power_w"] = (0.0, station.heard_at_s)
            if limiter.tells_current:
                values["current_a"] = (0.0, station.heard_at_s)
        return values | limiter.told

    async def write(self, resource_id: str, control: Control, value: float) -> None:
        """Sends a charging profile with an end. Raises Refused where the charger does not take it, NoAnswer."""
        opened = self._writable(resource_id, control)
        if not math.isfinite(value) or value < 0:
            most_a = self._most_a(resource_id)
            raise Refused(f"{self.id}: {value} is no value for {control}; allowed are 0 and 6 to {most_a:g}")
        limiter = opened.limiters[resource_id]
        if control is Control.EV_PHASES:
            await limiter.set_phases(value)
            return
        await limiter.set_limit(0.0 if value < 6.0 else min(value, self._most_a(resource_id)))
        if value >= 6.0:
            await self._start_charge(opened, self._numbers[resource_id])

    async def read_back(self, resource_id: str, control: Control) -> float | None:
        """What the charger says will hold; None when nothing of ours is in force, or it does not say."""
        limiter = self._living().limiters[resource_id]
        return limiter.phases_held if control is Control.EV_PHASES else await limiter.held_a()

    async def release(self, resource_id: str, control: Control) -> None:
        """Takes the charging profile away; sends nothing where there is none. Raises Refused, NoAnswer."""
        if self._why_not_written() is not None:
            return
        await self._writable(resource_id, control).limiters[resource_id].release(control)

    async def close(self) -> None:
        """Lets go of the connection, which stays for a while: a charger that is cut off takes long to come back."""
        self._open = None
        central, self._central = self._central, None
        if central is not None:
            CENTRALS.drop(central, self._admission)

    # --- identity and life ---------------------------------------------------------------------------------

    async def _who(self, central: Central, session: Session) -> Boot:
        """What it says of itself in this connection, asked for; else what it said in the one before."""
        station = session.station
        if station.boot is None:
            asked = self._profile.quirks.trigger and await session.dialect.trigger(
                "BootNotification", None, self._timeout_s
            )
            if asked or not self._profile.quirks.trigger:
                await session.until(lambda: station.boot is not None, WHO_S)
        boot = station.boot or central.boot_before(station.identity)
        if boot is not None:
            return boot
        if self._profile.identify.serial_from == "path":
            return Boot("", "", "", "")
        raise NoAnswer(
            f"{self.id}: {station.identity!r} calls in and does not say who it is, also when asked. "
            "Check whether it does after a restart of the charger"
        )

    def _serial_of(self, boot: Boot, session: Session) -> str:
        """Its serial number; the name under which it calls where it has none."""
        if self._profile.identify.serial_from == "path" or not boot.serial:
            return session.station.identity
        return boot.serial

    async def _look_at_all(self, session: Session, last_s: float) -> None:
        try:
            async with asyncio.timeout_at(last_s):
                for connector in self._numbers.values():
                    await self._look(session, connector)
        except TimeoutError:
            _LOG.debug("%s: it answers slowly; how it stands is asked for by the first polls", self.id)

    async def _look(self, session: Session, number: int) -> None:
        """Asks how a connector stands: what it said in an earlier connection may be old."""
        self._asking[number] = _Asking()
        if not self._profile.quirks.trigger:
            return
        if await session.dialect.trigger("StatusNotification", number, self._timeout_s):
            connector = session.station.connector(number)
            await session.until(lambda: connector.state is not None, 1.0)
        await self._ask_values(session, number)

    async def _keep_awake(self, opened: _Open) -> None:
        """Asks for values where the newest are too old, and for anything where nothing came at all."""
        station, now_s, every_s = opened.session.station, self._context.monotonic(), self._profile.life.every_s
        for connector in self._numbers.values():
            asking = self._asking[connector]
            newest_s = max((at_s for _, at_s in station.connector(connector).values.values()), default=-math.inf)
            pause_s = every_s if asking.vain < MOST_VAIN else ASK_AGAIN_S
            due = now_s - newest_s >= every_s and now_s - asking.asked_at_s >= pause_s
            if self._profile.quirks.trigger and due:
                await self._ask_values(opened.session, connector)
        if self._context.monotonic() - station.heard_at_s >= every_s:
            await opened.session.dialect.knock(self._timeout_s)

    async def _ask_values(self, session: Session, number: int) -> None:
        connector, asking = session.station.connector(number), self._asking[number]
        asking.vain = 0 if connector.samples != asking.samples_seen else asking.vain + 1
        asking.samples_seen = connector.samples
        asking.asked_at_s = self._context.monotonic()
        await session.dialect.trigger("MeterValues", number, self._timeout_s)

    def _living(self) -> _Open:
        """The open connection; NoAnswer if it ended, was replaced, or nothing came for too long."""
        opened = self._open
        if opened is None:
            raise NoAnswer(f"{self.id}: not open")
        session = opened.session
        if session.over.is_set():
            raise NoAnswer(f"{self.id}: the charger's connection is lost; it calls again by itself. Check its network")
        silent_s = self._context.monotonic() - session.station.heard_at_s
        if silent_s > self._profile.life.expire_s:
            raise NoAnswer(
                f"{self.id}: no message for {silent_s:.0f} s, allowed are {self._profile.life.expire_s:g} s; "
                "check its power and its network"
            )
        return opened

    # --- writing -------------------------------------------------------------------------------------------

    def _why_not_written(self) -> str | None:
        if self._config.read_only:
            return "it is read only"
        if self._config.serial is None:
            return "the site file has no serial number to insist on"
        if self._profile.status == "draft":
            return f"the profile {self._profile.id} is a draft"
        return None

    def _writable(self, resource_id: str, control: Control) -> _Open:
        why = self._why_not_written()
        owned = any(one.id == resource_id and control in one.controls for one in self._config.resources)
        if why is not None or not owned:
            raise Refused(f"{self.id}: {control} is not written: {why or 'it has no such control'}")
        return self._living()

    def _most_a(self, resource_id: str) -> float:
        rated = [one.ratings.max_current_a for one in self._config.resources if one.id == resource_id]
        return min([self._profile.limit.max_a, *(amps for amps in rated if amps is not None)])

    async def _start_charge(self, opened: _Open, number: int) -> None:
        """Starts a transaction for a car that waits for one, where the site file allows that."""
        connector = opened.session.station.connector(number)
        now_s = self._context.monotonic()
        if not (flag(self._config.link, "remote_start") and connector.waits_for_tag):
            return
        if now_s - self._started_at_s.get(number, -math.inf) < START_AGAIN_S:
            return
        self._started_at_s[number] = now_s
        status = await opened.session.dialect.start(number, text(self._config.link, "tag", ""), self._timeout_s)
        if status != "Accepted":
            _LOG.warning("%s: the charger does not start a charge: %s. Check the tag in the site file", self.id, status)

    def _spec(self, resource_id: str, control: Control, opened: _Open) -> ControlSpec:
        row = self._profile.limit
        spec = ControlSpec(
            resource_id=resource_id,
            control=control,
            falls_back_to=row.falls_back_to,
            storage=Storage(row.storage),
            dead_band=row.dead_band,
            min_interval_s=row.budget.min_interval_s,
            daily_budget=row.budget.daily,
            refresh_s=row.refresh_s,
            device_timeout_s=row.device_timeout_s,
            timeout_proven=row.timeout_proven,
        )
        if control is Control.EV_PHASES:
            return replace(spec, dead_band=0.0, refresh_s=None, device_timeout_s=row.device_timeout_s)
        if row.verify is None or not opened.limiters[resource_id].tells_current:
            return spec  # nothing is measured on which an effect could be seen
        verify = row.verify
        return replace(spec, effect_point=verify.effect, effect_tolerance=verify.tol, effect_within_s=verify.within_s)
