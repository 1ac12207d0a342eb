"""The meter at the connection point that speaks by itself on a line: P1, SML, or IEC 62056-21 mode D."""

import random
from zlib import crc32
from zoneinfo import ZoneInfo

from hw_sim.devices.distort import SUNSPEC, Delayed, distorted
from hw_sim.devices.front import Front
from hw_sim.devices.grid_values import grid_values
from hw_sim.devices.p1_text import d0_telegram, p1_telegram
from hw_sim.devices.sml_frame import sml_frame
from hw_sim.devices.sunspec import Value
from hw_sim.lines import MemoryLine
from hw_sim.physics.house import House
from hw_sim.specs import DeviceSpec

USUAL_S = 1.0
_NOISE_BYTES = 40


class LineMeter(Front):
    """A meter that says on its line every second, or every `report_every_s`, what it measures. It takes no commands."""

    def __init__(self, spec: DeviceSpec, house: House) -> None:
        super().__init__(spec, house, spec.serial or f"1SIM00{crc32(spec.id.encode()) % 10**8:08d}")
        self.line = MemoryLine()
        self._late = Delayed(lambda: grid_values(house))
        self._next_s = 0.0
        self._number = 0
        self._frozen: dict[str, Value] | None = None
        self._shown: dict[str, Value] = {}
        self._zone = ZoneInfo(house.home.zone)

    def report(self) -> None:
        """Called after each step: says what is due."""
        spec, now_s = self.spec, self.house.elapsed_s
        self.line_follows()
        if spec.report_delay_s > 0.0:
            self._late.record(now_s, 0.0, spec.report_delay_s)
        if not self.reachable or now_s + 1e-9 < self._next_s:
            return
        self._next_s = now_s + max(USUAL_S, spec.report_every_s)
        self.speak()

    def line_follows(self) -> None:
        """The line is pulled out, or back, as the condition says."""
        if self.line.down is not self.condition.disconnected:
            self.line.set_down(self.condition.disconnected)

    def speak(self) -> None:
        """Says one telegram now, damaged where that is so."""
        self._number += 1
        self.line.say(self._damaged(self._telegram()))

    def _values(self) -> dict[str, Value]:
        if not self.condition.frozen:
            self._frozen = None
            live = self._late() if self.spec.report_delay_s > 0.0 else grid_values(self.house)
            shown = distorted(live, self.condition, self.spec.round_w, SUNSPEC, stuck=self._shown)
            self._shown = dict(shown)
            return self._shown
        if self._frozen is None:
            self._frozen = grid_values(self.house)
        return self._frozen

    def _telegram(self) -> bytes:
        values, phases = self._values(), self.house.home.grid.phases
        quiet, unsigned = "no_pin" in self.condition, "no_sign" in self.condition
        if self.spec.kind == "sml.meter":
            seconds = int(self.house.elapsed_s)
            return sml_frame(values, self.shown_serial, seconds, self._number, phases, no_sign=unsigned, no_power=quiet)
        if self.spec.kind == "d0.meter":
            return d0_telegram(values, self.shown_serial, phases, no_sign=unsigned, no_power=quiet)
        local = self.house.now.astimezone(self._zone)
        return p1_telegram(values, self.shown_serial, local, phases, no_sign=unsigned, no_power=quiet)

    def _damaged(self, octets: bytes) -> bytes:
        """What comes out of the other end of a bad line; the same for the same telegram."""
        wrong = self.condition
        if not wrong.faults:
            return octets
        dice = random.Random(self._number)  # noqa: S311 - damage, no secret
        if "garbage" in wrong:
            return dice.randbytes(len(octets))
        if "bad_crc" in wrong:
            at = dice.randrange(len(octets) // 2, len(octets) * 3 // 4)
            octets = octets[:at] + bytes((octets[at] ^ 0x04,)) + octets[at + 1 :]
        if "cut" in wrong:
            at = dice.randrange(len(octets) // 4, len(octets) // 2)
            octets = octets[:at] + octets[at + len(octets) // 4 :]
        if "noise" in wrong:
            octets = (
                dice.randbytes(dice.randrange(1, _NOISE_BYTES)) + octets + dice.randbytes(dice.randrange(_NOISE_BYTES))
            )
        return octets
