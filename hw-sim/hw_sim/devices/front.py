"""What every simulated device has, whatever it speaks."""

from collections.abc import Mapping

from hw_sim.faults import HEALTHY, Condition
from hw_sim.physics.house import House
from hw_sim.specs import DeviceSpec
from hw_sim.truth import DeviceTruth, Hold, Supply

Held = Mapping[str, float | int | str]


class Front:
    """A device in front of its plants. Its settings become effective with `apply`, `dead_time_s` after they changed.

    `writes` counts what was taken over the wire, per control. `flash` names the controls whose writes wear memory.
    """

    flash: frozenset[str] = frozenset()

    def __init__(self, spec: DeviceSpec, house: House, serial: str) -> None:
        self.spec = spec
        self.house = house
        self.serial = serial
        self.plants = house.home.of(spec)
        self.condition: Condition = HEALTHY
        self.reboots = 0
        self.writes: dict[str, int] = {}
        self.refused = 0
        self.foreign_writes = 0
        self._apply_at_s: float | None = None
        self._seen: DeviceTruth | None = None

    # --- each kind has its own ---

    def apply(self) -> None:
        """Brings the settings as held to the plants."""

    def holds(self) -> dict[str, Hold]:
        """What it understands its commands to be, by plant."""
        return {}

    def commands(self) -> Held:
        """The controls as held, under the maker's names."""
        return {}

    def to_defaults(self) -> None:
        """Forgets what does not survive a restart."""

    def contest(self, value: float | None) -> None:
        """Somebody else writes: `value`, or what such a system would typically want."""

    def timers(self) -> None:
        """Called before each step, unless the device is frozen."""

    # --- all alike ---

    @property
    def shown_serial(self) -> str:
        """Under which it identifies itself now: another device may have taken its address."""
        return f"{self.serial[:28]}-X" if "stranger" in self.condition.faults else self.serial

    def changed(self) -> None:
        """A setting was stored: it takes effect now, after the dead time, or not at all."""
        self._seen = None
        if self.condition.ineffective or self.condition.frozen:
            return
        if self.spec.dead_time_s <= 0.0:
            self.apply()
        elif self._apply_at_s is None:
            self._apply_at_s = self.house.elapsed_s + self.spec.dead_time_s

    def changed_by_itself(self) -> None:
        """The device has changed a setting: no dead time."""
        self._seen = None
        self.apply()

    def count(self, control: str) -> None:
        """One write of a control was taken."""
        self.writes[control] = self.writes.get(control, 0) + 1
        self._seen = None

    def refuse(self) -> None:
        """One write was refused."""
        self.refused += 1
        self._seen = None

    def take(self, condition: Condition) -> None:
        """From now on the device is in this condition."""
        self.condition = condition
        self._seen = None

    def reboot(self) -> None:
        """It starts anew."""
        self.reboots += 1
        self._apply_at_s = None
        self.to_defaults()
        self.changed_by_itself()

    def second_master(self, value: float | None) -> None:
        """Somebody else writes once; that counts apart."""
        before, refused = dict(self.writes), self.refused
        self.contest(value)
        self.foreign_writes += sum(self.writes.values()) - sum(before.values())
        self.writes, self.refused = before, refused
        self._seen = None

    def tick(self) -> None:
        """Called once before each step of the house."""
        if self._apply_at_s is not None and self.house.elapsed_s + 1e-9 >= self._apply_at_s:
            self._apply_at_s = None
            self.changed_by_itself()
        if not self.condition.frozen:
            self.timers()

    @property
    def powered(self) -> bool:
        """Whether it has voltage."""
        return self.house.island.supply is not Supply.DARK

    @property
    def reachable(self) -> bool:
        """Whether somebody could talk to it."""
        wrong = self.condition
        return self.powered and not (wrong.silent or wrong.disconnected or wrong.left_alone)

    def truth(self) -> DeviceTruth:
        """What is the case now; the same object until something has changed."""
        seen = self._seen
        if seen is None or seen.powered is not self.powered:
            holds = self.holds()
            seen = self._seen = DeviceTruth(
                kind=self.spec.kind,
                serial=self.serial,
                powered=self.powered,
                online=self.reachable,
                remote=any(hold.remote for hold in holds.values()),
                holds=holds,
                commands=dict(self.commands()),
                writes=dict(self.writes),
                flash_writes={name: n for name, n in self.writes.items() if name in self.flash},
                refused=self.refused,
                foreign_writes=self.foreign_writes,
                reboots=self.reboots,
                faults=frozenset(self.condition.faults),
            )
        return seen
