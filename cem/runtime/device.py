"""One task per device: opens, polls, writes, and contains its failures (house law 9)."""

import asyncio
import logging
import math
import random
import re
from collections.abc import Iterable

from cem.driver.patience import Patience
from cem.model.errors import DeviceError, WrongDevice
from cem.model.line import LineCounts
from cem.model.setpoint import DeviceState, Health, Setpoint
from cem.ports import (
    Clock,
    Complains,
    Complaint,
    ControlSpec,
    CountsLine,
    Device,
    DeviceConfig,
    Identity,
    SpeaksSeldom,
    StateStore,
)
from cem.runtime.board import Board
from cem.runtime.grid_support import GridSupport
from cem.runtime.quality import LineQuality
from cem.runtime.waiting import Beat, Signal
from cem.runtime.writer import Writer

log = logging.getLogger(__name__)

CALL_TIMEOUT_S = 8.0
RELEASE_TIMEOUT_S = 2.0
RECONNECT_S = 0.2
FIRST_RETRY_S = 1.0
LAST_RETRY_S = 20.0  # with the spread and the time that opening takes, a device that returns is back within 30 s
DARK_RETRY_S = 2.0  # in a house without voltage: what returns is told what to do before it does as it likes
WRONG_DEVICE_FIRST_RETRY_S = 3.0  # a device that was looked at while it started may have seemed another one
WRONG_DEVICE_RETRY_S = 30.0
CLOSE_TIMEOUT_S = 5.0
ADVICE = "Check its power, cable and address."

_LAST_ADVICE = re.compile(r"[.;,] ?(?P<advice>[Cc]heck [^.]*)\.?$")


class DeviceTask:
    """Supervises one device. Other devices never notice what happens here."""

    def __init__(
        self,
        config: DeviceConfig,
        device: Device,
        board: Board,
        store: StateStore,
        clock: Clock,
        *,
        read_only: bool,
        beat: Beat | None = None,
    ) -> None:
        self.config = config
        self.controls: tuple[ControlSpec, ...] = ()
        self.identity: Identity | None = None
        self.alive_at_s = 0.0
        self.quality = LineQuality()
        self._device = device
        self._complains = device if isinstance(device, Complains) else None
        self._counts = device if isinstance(device, CountsLine) else None
        self._board = board
        self._clock = clock
        # without a serial number nobody can say that it is the right device: it is read, never written
        self._writer = Writer(
            device, board, store, clock, read_only=read_only or config.read_only or config.serial is None
        )
        self.support = GridSupport(config, read_only=lambda: read_only or config.read_only or board.watch_only())
        self._misses = 0
        self._patience = Patience(CALL_TIMEOUT_S)
        self._open_s = device.opens_within_s + 1.0 if isinstance(device, SpeaksSeldom) else CALL_TIMEOUT_S
        self._beat = Beat() if beat is None else beat
        self._mail = Signal()
        self._stopping = Signal()
        self._jitter = random.Random(config.id)  # noqa: S311 - spreads retries, no secret

    def post(self, setpoints: Iterable[Setpoint], now_s: float, least_lease_s: float = 0.0) -> None:
        """Puts set points into the mailbox; never waits."""
        if self._writer.post(setpoints, now_s, least_lease_s):
            self._mail.set()

    def stop(self) -> None:
        """Asks the task to hand everything back and end."""
        self._stopping.set()
        self._mail.set()

    @property
    def complaint(self) -> Complaint | None:
        """What the device itself says stands in its way, though it answers."""
        return None if self._complains is None else self._complains.complaint

    @property
    def line(self) -> LineCounts | None:
        """What was seen on its line, where the driver counts it."""
        return None if self._counts is None else self._counts.line

    async def look(self) -> None:
        """Opens, reads once and closes, before anything is decided on; `run` opens anew. No device makes it raise."""
        try:
            async with asyncio.timeout(self._open_s):
                await self._device.open()
                self._board.post(await self._device.poll())
        except (DeviceError, TimeoutError) as error:
            self._fail(Health.SILENT, *self._in_two(error, ADVICE))
        except Exception as error:
            log.exception("%s: the driver failed", self.config.id)
            self._fail(Health.FAULT, f"the driver failed: {error!r}", "Report this with the log; see cem doctor.")
        finally:
            await self._close()

    async def run(self) -> None:
        """Until `stop`: opens, serves, and after any failure closes and tries again with back-off."""
        while not self._stopping.is_set():
            self.alive_at_s = self._clock.now().mono_s
            wait_s = 0.0
            try:
                await self._open()
                await self.support.establish(self._device, self._alive)
                await self._serve()
            except WrongDevice as error:
                again = self._board.health(self.config.id).health is Health.WRONG_DEVICE
                self._fail(Health.WRONG_DEVICE, *self._in_two(error, "Check the address, or provision the new device."))
                wait_s = WRONG_DEVICE_RETRY_S if again else WRONG_DEVICE_FIRST_RETRY_S
            except (DeviceError, TimeoutError) as error:
                wait_s = self._lost(error)
            except Exception as error:  # the one place where a driver's failure is contained
                log.exception("%s: the driver failed", self.config.id)
                self._fail(Health.FAULT, f"the driver failed: {error!r}", "Report this with the log; see cem doctor.")
                wait_s = LAST_RETRY_S
            finally:
                await self._close()
            await self._stopping.wait(wait_s * self._jitter.uniform(0.8, 1.2))

    async def _open(self) -> None:
        async with asyncio.timeout(self._open_s):
            self.identity = await self._device.open()
            self.controls = tuple(self._device.controls())
            await self._writer.opened(self.controls)

    def _alive(self) -> None:
        self.alive_at_s = self._clock.now().mono_s

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._device.close()
        except TimeoutError:
            log.warning("%s: its link does not close within %.0f s; going on", self.config.id, CLOSE_TIMEOUT_S)
        except Exception:  # a driver that fails at this must not end the others
            log.exception("%s: the driver failed when it closed its link; going on", self.config.id)

    def _online(self) -> None:
        self._misses = 0
        if self._board.health(self.config.id).health is Health.ONLINE:
            return
        log.info("%s: online (%s)", self.config.id, self.identity)
        self._board.set_health(DeviceState(self.config.id, Health.ONLINE, self._clock.now().mono_s))

    async def _serve(self) -> None:
        """Polls on the common beat, so that all devices are read together; writes as soon as there is mail."""
        beat = self.config.poll_s
        due_s = self._clock.now().mono_s
        while True:
            now_s = self._clock.now().mono_s
            self.alive_at_s = now_s
            if now_s >= due_s:
                readings = await self._patience.over(self._device.poll())
                self.quality.came(now_s)
                self._online()
                self._board.post(readings)
                self._writer.observe(readings)
                now_s = self._clock.now().mono_s
                due_s = (math.floor(now_s / beat + 1e-6) + 1) * beat
            if self._stopping.is_set():
                async with asyncio.timeout(RELEASE_TIMEOUT_S):
                    await self._writer.release_all()
                return
            self._mail.clear()
            if not self._writer.idle(now_s):
                await self._patience.over(self._writer.write_due())
                now_s = self._clock.now().mono_s
            await self._mail.wait_beat(self._beat, due_s, now_s)

    def _lost(self, error: BaseException) -> float:
        """Counts a miss and says how long to wait; one miss is mended by connecting anew and is no news."""
        self._misses += 1
        self.quality.failed()
        detail, advice = self._in_two(error, ADVICE)
        detail = detail or f"no answer within {CALL_TIMEOUT_S:.0f} s"
        if self._misses == 1 and self._board.health(self.config.id).health is Health.ONLINE:
            log.info("%s: %s; connecting anew", self.config.id, detail)
            return RECONNECT_S
        self._fail(Health.SILENT, detail, advice)
        last_s = DARK_RETRY_S if self._board.mostly_silent() else LAST_RETRY_S
        return float(min(FIRST_RETRY_S * 2 ** min(self._misses - 1, 10), last_s))

    def _in_two(self, error: BaseException, usual: str) -> tuple[str, str]:
        """What was seen and what can be done about it, out of a driver's sentence, which ends with the latter."""
        text = str(error).removeprefix(f"{self.config.id}: ")
        found = _LAST_ADVICE.search(text)
        if found is None:
            return text, usual
        advice = found["advice"]
        return text[: found.start()], f"{advice[0].upper()}{advice[1:]}."

    def _fail(self, health: Health, detail: str, advice: str) -> None:
        known = self._board.health(self.config.id)
        if known.health is not health:
            log.warning("%s: %s. %s", self.config.id, detail, advice)
        self._board.set_health(DeviceState(self.config.id, health, self._clock.now().mono_s, detail, advice))
