"""One meter that speaks by itself: listened to, never written to."""

import asyncio
from collections.abc import Sequence

from cem.driver import (
    Complaint,
    Control,
    ControlSpec,
    DeviceConfig,
    DriverContext,
    Identity,
    NoAnswer,
    Reading,
    Refused,
    StreamPort,
    WrongDevice,
)
from cem_drivers.serial.lines import LINES, name_of
from cem_drivers.serial.points import tells_power
from cem_drivers.serial.profile import Profile
from cem_drivers.serial.telegram import Reader, Telegram
from cem_drivers.table import number

OPEN_LONGEST_S = 12.0
"""A meter of the older standards speaks every 10 s; whoever opens gives up a second later."""
SHORTEST_EXPIRY_S = 5.0
MISSED_TELEGRAMS = 2.5
"""So many of its own intervals a meter may be silent."""
TOLD_AFTER = 3
"""Telegrams in a row without a settled power after which the owner is told."""
TELEGRAMS_JUDGED = 40
BAD_SHARE = 0.05
"""As of every other line: more than one in twenty is told."""
STRANGERS = 2
"""Telegrams in a row with another number, before that is no damage but another meter."""


class SerialMeter:
    """A meter of the site file at the end of a line."""

    def __init__(self, config: DeviceConfig, profile: Profile, context: DriverContext) -> None:
        self._config = config
        self._profile = profile
        self._context = context
        self._sign = int(number(config.link, "meter_sign", 1))
        self._stream: StreamPort | None = None
        self._reader: Reader = profile.reader()
        self._identity: Identity | None = None
        self._lost: Exception | None = None
        self._news = asyncio.Event()
        self._readings: dict[tuple[str, str], Reading] = {}
        self._came_at_s: float | None = None
        self._every_s: float | None = None
        self._unsettled = 0
        self._strangers: list[str] = []
        self._lacks: Complaint | None = None  # of what it should tell
        self._seen = (0, 0)  # telegrams, good and dropped, when damage was last judged
        self._damaged: Complaint | None = None

    @property
    def id(self) -> str:
        """The device's id in the site file."""
        return self._config.id

    @property
    def opens_within_s(self) -> float:
        """Longer than usual: it cannot be asked."""
        return OPEN_LONGEST_S

    @property
    def complaint(self) -> Complaint | None:
        """What its owner should know though it speaks: damaged telegrams, no power, no sign."""
        return self._damaged or self._lacks

    async def open(self) -> Identity:
        """Listens until the meter has said who it is: 12 s at most. Raises NoAnswer, WrongDevice."""
        await self.close()
        self._reader = self._profile.reader()
        try:
            self._stream = await LINES.listen(
                self.id, self._config.link, self._profile.link.baud, self._context, self._on_bytes, self._on_lost
            )
        except NoAnswer as error:
            raise NoAnswer(f"{self.id}: {error}") from error
        try:
            async with asyncio.timeout(OPEN_LONGEST_S):
                while self._identity is None and self._lost is None:
                    self._news.clear()
                    await self._news.wait()
            if self._identity is None:
                raise NoAnswer(self._gone())
            self._insist(self._identity.serial)
        except TimeoutError as error:
            raise NoAnswer(f"{self.id}: {self._silence(OPEN_LONGEST_S)}") from error
        finally:
            opened = self._identity
            if opened is None or not self._is_meant(opened.serial):
                await self.close()
        assert opened is not None
        return opened

    def controls(self) -> Sequence[ControlSpec]:
        """None: such a meter takes no commands."""
        return ()

    async def poll(self) -> Sequence[Reading]:
        """What the last telegram told, dated when it arrived. Raises NoAnswer, WrongDevice."""
        if self._identity is None or self._came_at_s is None:
            raise NoAnswer(f"{self.id}: not open")
        if self._lost is not None:
            raise NoAnswer(self._gone())
        if len(self._strangers) >= STRANGERS:
            self._insist(self._strangers[-1])
            raise NoAnswer(f"{self.id}: another meter, {self._strangers[-1]}, speaks on {self._line}; identified anew")
        silent_s = self._context.monotonic() - self._came_at_s
        if silent_s > self._expiry_s():
            raise NoAnswer(f"{self.id}: {self._silence(silent_s)}")
        return list(self._readings.values())

    async def write(self, resource_id: str, control: Control, value: float) -> None:
        """Always Refused."""
        raise Refused(f"{self.id}: {control} cannot be written: a meter that speaks by itself takes no commands")

    async def read_back(self, resource_id: str, control: Control) -> float | None:
        """None: nothing can be in force."""
        return None

    async def release(self, resource_id: str, control: Control) -> None:
        """Nothing to hand back."""

    async def close(self) -> None:
        """Lets go of the line."""
        stream, self._stream = self._stream, None
        self._identity, self._lost, self._came_at_s, self._every_s = None, None, None, None
        self._readings = {}
        self._strangers = []
        self._unsettled = 0
        self._seen = (0, 0)
        self._lacks = self._damaged = None
        if stream is not None:
            LINES.leave(stream)

    # --- what comes in -------------------------------------------------------------------------------------

    def _on_bytes(self, data: bytes) -> None:
        for telegram in self._reader.feed(data):
            self._take(telegram)
        self._watch_damage()

    def _watch_damage(self) -> None:
        """More than one telegram in twenty that comes damaged is told, until it is over."""
        count = self._reader.count
        good, dropped = count.good - self._seen[0], count.dropped - self._seen[1]
        if good + dropped < TELEGRAMS_JUDGED:
            return
        self._seen = (count.good, count.dropped)
        self._damaged = None
        if dropped > BAD_SHARE * (good + dropped):
            self._damaged = Complaint(
                f"{dropped} of the last {good + dropped} telegrams from {self._line} came damaged and were dropped",
                "Check how the head sits on the meter, and the length of the cable",
            )

    def _on_lost(self, error: Exception) -> None:
        self._lost = error
        self._news.set()

    def _take(self, telegram: Telegram) -> None:
        if self._identity is not None and telegram.serial != self._identity.serial:
            if self._strangers and self._strangers[-1] != telegram.serial:
                self._strangers = []
            self._strangers.append(telegram.serial)
            return
        self._strangers = []
        now_s = self._context.monotonic()
        if self._came_at_s is not None:
            self._every_s = max(now_s - self._came_at_s, 0.7 * (self._every_s or 0.0))
        self._came_at_s = now_s
        self._readings = self._read(telegram, now_s)
        if self._identity is None:
            self._identity = Identity(telegram.maker, telegram.model, telegram.serial, telegram.version)
            self._news.set()

    def _read(self, telegram: Telegram, now_s: float) -> dict[tuple[str, str], Reading]:
        """The readings of every resource. A power whose sign is not settled this time stands as it was, and ages."""
        has_power, settled = tells_power(telegram), True
        readings: dict[tuple[str, str], Reading] = {}
        for resource in self._config.resources:
            for point, value in self._profile.points(telegram, resource.role, self._sign).items():
                key = (resource.id, point)
                if value is None and has_power:
                    settled = False
                    if key in self._readings:
                        readings[key] = self._readings[key]
                else:
                    readings[key] = Reading(resource.id, point, value, now_s)
        self._unsettled = 0 if settled else self._unsettled + 1
        if not has_power:
            self._lacks = self._profile.advice.no_power.complaint
        elif self._unsettled >= TOLD_AFTER:
            self._lacks = self._profile.advice.no_sign.complaint
        elif settled:
            self._lacks = None
        return readings

    # --- in words ------------------------------------------------------------------------------------------

    @property
    def _line(self) -> str:
        return name_of(self._config.link)

    def _is_meant(self, serial: str) -> bool:
        return self._config.serial is None or serial == self._config.serial

    def _insist(self, serial: str) -> None:
        if self._is_meant(serial):
            return
        if not serial:
            raise WrongDevice(
                f"{self.id}: the meter on {self._line} tells no number, and {self._config.serial} is insisted on. "
                "Leave 'serial' out of the site file"
            )
        raise WrongDevice(
            f"{self.id}: the meter on {self._line} is {serial}, not {self._config.serial}. "
            "Check which adapter is on which meter"
        )

    def _expiry_s(self) -> float:
        most_s = self._profile.life.expire_s
        if self._every_s is None:
            return most_s
        return min(most_s, max(SHORTEST_EXPIRY_S, MISSED_TELEGRAMS * self._every_s))

    def _gone(self) -> str:
        return f"{self.id}: {self._line} is gone ({self._lost}). Check the adapter and its cable"

    def _silence(self, silent_s: float) -> str:
        """What was heard instead of a telegram, and what can be done."""
        count = self._reader.count
        if count.octets == 0:
            return (
                f"nothing came from {self._line} in {silent_s:.0f} s. Check that the head sits on the meter's eye or "
                "the cable in its P1 port, and that the port is switched on"
            )
        damaged = f", {count.dropped} damaged" if count.dropped else ""
        return (
            f"no whole telegram from {self._line} in {silent_s:.0f} s ({count.octets} bytes{damaged} since it was "
            f"opened). Check baud rate and profile, and how the head sits"
        )
