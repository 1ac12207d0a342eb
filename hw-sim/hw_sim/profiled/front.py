"""A simulated device with the registers of a profile, in front of the plants of its roles."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from hw_sim.devices.distort import Delayed, Names, distorted
from hw_sim.devices.front import Held
from hw_sim.devices.meter import largest_w
from hw_sim.devices.modbus_front import ModbusFront
from hw_sim.devices.sunspec import Value
from hw_sim.faults import Condition
from hw_sim.physics.house import House
from hw_sim.profiled.acting import Actor, actor_of
from hw_sim.profiled.find import CONTROLS, ROLES, read_profile
from hw_sim.profiled.identity import Identity
from hw_sim.profiled.inverse import Inverse
from hw_sim.profiled.sight import Facts, ratings_of, sight_of
from hw_sim.profiled.steering import Fallback, Steering
from hw_sim.profiled.tables import Profile, Row
from hw_sim.registers import ModbusFault
from hw_sim.sparse import SparseBank
from hw_sim.specs import DeviceSpec
from hw_sim.truth import Hold

_LARGEST = {"w": 0.0, "va": 0.0, "wh": 1e8, "v": 300.0, "a": 200.0, "hz": 60.0, "pct": 100.0, "c": 100.0}
"""The largest values by unit, for the choice of a scale factor; powers are the house's."""
_NAMES = Names.of_roles(tuple(ROLES))


class ProfiledDevice(ModbusFront):
    """One device of a profile. Live values are worked out once per step, and when somebody reads."""

    def __init__(self, spec: DeviceSpec, house: House) -> None:
        profile = read_profile(Path(spec.profile or ""))
        self.profile: Profile = profile
        self._identity = Identity(profile, spec.id, spec.serial)
        self._stranger = Identity(profile, spec.id, spec.serial, stranger=True)
        self._by_role = _plants_by_role(profile, house, spec)
        link = profile.link
        bank = SparseBank(
            max_read=link.max_read,
            write_function=link.write_function,
            heard=self._was_heard,
            refresh=self._refresh,
            stored=self._was_stored,
            refused=self.refuse,
        )
        self._naming = bank
        banks: dict[int, SparseBank] = {spec.unit: bank}
        if profile.identify.unit is not None and profile.identify.unit != spec.unit:
            self._naming = banks[profile.identify.unit] = SparseBank(
                max_read=link.max_read,
                write_function=link.write_function,
                heard=lambda: None,
                refresh=lambda: None,
                stored=lambda _addresses: None,
                refused=self.refuse,
            )
        super().__init__(spec, house, self._identity.serial)
        self.banks = dict(banks)
        self._sights = [sight_of(house, role, plant) for role, plant in self._by_role.items()]
        self._late = Delayed(self._live)
        self._constants = self._settled()
        self._inverse = Inverse(profile, self._constants)
        self._steerings: list[Steering] = []
        self._actors: list[tuple[Steering, Actor]] = []
        self._alone: list[Actor] = []  # what nobody can steer goes on by itself
        self._bank = bank
        self._version = -1
        self._shown: dict[str, tuple[Value, float]] = {}
        self._stuck: Facts = {}
        self._tell_identity(self._identity)
        self._add_controls()
        self.live_rows = self._live_rows()
        self._fill_gaps()
        self._refresh()

    # --- how it is put together ---

    def _settled(self) -> dict[str, float]:
        """Values that never change: what limits and shares of a control are told by, and scale factors."""
        found: dict[str, float] = {}
        rows = {row.id for row in self.profile.rows}
        for table in self.profile.control:
            for need in table.requires:
                found[need.of] = need.equals[0] if isinstance(need.equals, tuple) else need.equals
            role = table.id.split(".")[0]
            most = ratings_of(self.house, role, self._by_role.get(role))
            named = [(table.limits.max, "max"), (table.limits.min, "min")]
            named += [(f"${row.per}", "max") for row in table.writes if row.per is not None]
            for given, which in named:
                name = given.lstrip("-")[1:] if isinstance(given, str) else ""
                if name in rows and name.split(".")[0] not in self.profile.roles and which in most:
                    found.setdefault(name, most[which])
        exponents = {row.exponent for row in self.profile.rows if row.exponent is not None}
        for name in exponents:
            found[name] = float(max(self._exponent_for(row) for row in self.profile.rows if row.exponent == name))
        return found

    def _exponent_for(self, row: Row) -> int:
        """The finest power of ten with which a row holds what may come."""
        unit = row.id.rsplit("_", 1)[-1]
        largest = _LARGEST.get(unit, 1000.0) or 1.5 * largest_w(self.house.home)
        finest = -3
        while largest / abs(row.scale) / 10.0**finest > _most(row):
            finest += 1
        return finest

    def _add_controls(self) -> None:
        for table in self.profile.control:
            role = table.id.split(".")[0]
            plant = self._by_role.get(role)
            if plant is None or CONTROLS.get(table.id) is None:
                continue
            highest = ratings_of(self.house, role, plant).get("max", 0.0)
            fallback = None if self.spec.falls_back is None else _given(self.spec.falls_back)
            steering = Steering(self.profile, table, self._bank, self._amount, highest, fallback)
            self._steerings.append(steering)
            battery = self._by_role.get("battery") if "battery.power_w" in table.includes else None
            self._actors.append((steering, actor_of(self.house, role, plant, battery)))
        steered = {actor.plant for _, actor in self._actors}
        for role, plant in self._by_role.items():
            if plant is not None and plant not in steered:
                self._alone.append(actor_of(self.house, role, plant))
        self._bank.writable = frozenset().union(*(one.owned for one in self._steerings))
        self._bank.write_only = frozenset().union(*(one.unreadable for one in self._steerings))
        for one in self._steerings:
            for row in one.table.writes:
                if row.function is not None:
                    self._bank.other_functions |= dict.fromkeys(row.addresses, row.function)
        worn = {"flash", "levelled", "unknown"}
        self.flash = frozenset(
            f"{one.id} {at}" for one in self._steerings if one.table.storage in worn for at in one.owned
        )

    def _live_rows(self) -> list[Row]:
        """The rows that show the physics: those that no control holds."""
        held = {(3, at) for one in self._steerings for at in one.owned}
        held |= {place for one in self._steerings for place in one.mirrors}
        told = {
            (row.fc, at)
            for row, _ in (self._identity.words if self._naming is self._bank else ())
            for at in row.addresses
        }
        return [row for row in self.profile.rows if not any((row.fc, at) in held | told for at in row.addresses)]

    def _fill_gaps(self) -> None:
        """What may be read for nothing between two values is there, and 0."""
        width = self.profile.link.max_gap
        for function, there in dict(self._bank.addresses).items():
            known = sorted({*there, *(at for row in self.profile.rows if row.fc == function for at in row.addresses)})
            for before, after in itertools.pairwise(known):
                if 1 < after - before <= width + 1:
                    self._bank.show(function, before + 1, [0] * (after - before - 1))

    def _tell_identity(self, identity: Identity) -> None:
        for row, words in identity.words:
            self._naming.show(row.fc, row.at, words)

    def _amount(self, name: str) -> float:
        """What it tells under a name, in the house's unit, as a reader would see it."""
        value: Value = self._constants.get(name)
        if value is None:
            value = self._inverse.forward(self._inverse.values(self._live())).get(name)
        return float(value) if isinstance(value, float | int) else 0.0

    @property
    def owned(self) -> frozenset[int]:
        """Every register that may be written."""
        return self._bank.writable

    @property
    def telling(self) -> dict[str, frozenset[int]]:
        """Of `owned`, the registers that tell a plant's control a set point, or end one."""
        return {actor.plant: one.telling for one, actor in self._actors}

    @property
    def timeouts_s(self) -> dict[str, float]:
        """The plants whose control has a time-out of its own, and its seconds."""
        found = ((actor.plant, one.timeout_s) for one, actor in self._actors)
        return {plant: seconds for plant, seconds in found if seconds is not None}

    @property
    def lets_go_s(self) -> dict[str, float]:
        """The plants that only its own time-out hands back, and after how many seconds."""
        found = ((actor.plant, one.lets_go_s) for one, actor in self._actors)
        return {plant: seconds for plant, seconds in found if seconds is not None}

    # --- what it shows ---

    def _live(self) -> Facts:
        facts: Facts = {}
        for sight in self._sights:
            facts |= sight()
        return facts

    def seen(self) -> Facts:
        """The live values as it shows them now."""
        spec = self.spec
        late = spec.report_every_s > 0.0 or spec.report_delay_s > 0.0
        values = self._late() if late else self._live()
        if not self.condition.faults and spec.round_w <= 0.0:
            return dict(values)
        return dict(distorted(values, self.condition, spec.round_w, _NAMES, self.drifted_w, self._stuck))

    def _refresh(self) -> None:
        if self._version == self.house.steps:
            return
        self._version = self.house.steps
        facts = self.seen()
        values = self._inverse.values(facts)
        blank = "nan" in self.condition
        scale = self.condition.faults.get("scale")
        off = 0.0 if scale is None else 1.0 if scale.value is None else float(round(scale.value))
        scaled_itself = any(row.exponent is not None for row in self.live_rows)
        for row in self.live_rows:
            value = None if blank and self._inverse.has_unknown(row) else values[row.id]
            mine = 0.0
            if (
                off
                and scaled_itself
                and row.id in self._constants
                and any(one.exponent == row.id for one in self.live_rows)
            ):
                value = float(self._constants[row.id]) + off
            elif off and not scaled_itself and row.id.endswith("_w"):
                mine = off
            if self._shown.get(row.id) != (value, mine):
                self._shown[row.id] = (value, mine)
                self._bank.show(row.fc, row.at, self._inverse.words(row, value, mine))

    def record(self) -> None:
        """Called after each step: keeps what will be shown later."""
        spec = self.spec
        if spec.report_every_s > 0.0 or spec.report_delay_s > 0.0:
            self._late.record(self.house.elapsed_s, spec.report_every_s, spec.report_delay_s)

    # --- what it is told ---

    def _was_heard(self) -> None:
        for steering in self._steerings:
            steering.heard(self.house.elapsed_s)

    def _was_stored(self, addresses: Sequence[int]) -> None:
        touched = False
        for steering in self._steerings:
            if steering.stored(addresses, self.house.elapsed_s):
                touched = True
                for at in sorted(steering.owned.intersection(addresses)):
                    self.count(f"{steering.id} {at}")
        if touched:
            self.changed()

    def apply(self) -> None:
        """What is understood is done."""
        for steering, actor in self._actors:
            phases = steering.table.phases
            actor.take(steering.command, one_phase=phases is not None and steering.one_phase(phases))
        self._version = -1

    def timers(self) -> None:
        """Its own time-out, and what goes on by itself."""
        for steering, actor in self._actors:
            if not self.condition.timers_lie and steering.ran_out(self.house.elapsed_s):
                self.changed_by_itself()
            actor.tick()
        for actor in self._alone:
            actor.tick()

    def to_defaults(self) -> None:
        """What is not kept in flash is gone."""
        for steering in self._steerings:
            steering.to_defaults()

    def kept(self) -> dict[int, int]:
        """What its controls hold in flash, by address."""
        return {at: self._bank.word(at) for one in self._steerings if one.lasts for at in sorted(one.owned)}

    def keep(self, words: Mapping[int, int]) -> None:
        """After a restart: what flash held is there, and obeyed."""
        for steering in self._steerings:
            if steering.lasts:
                for at in steering.owned & words.keys():
                    self._bank.put(at, (words[at],))
                steering.to_defaults()
                steering.mirror()
        self.apply()

    def holds(self) -> dict[str, Hold]:
        """By plant."""
        return {actor.plant: actor.hold(one.held, one.timer.ends_s) for one, actor in self._actors}

    def commands(self) -> Held:
        """The registers of its controls as held, by control and address."""
        return {f"{one.id} {at}": self._bank.word(at) for one in self._steerings for at in sorted(one.owned)}

    def contest(self, value: float | None) -> None:
        """Somebody else writes: to the battery of a hybrid, else to the last of its controls."""
        if self._actors:
            ids = [steering.id for steering, _ in self._actors]
            self.meddle("battery.setpoint_w" if "battery.setpoint_w" in ids else ids[-1], value)

    def meddle(self, control: str, value: float | None) -> None:
        """Somebody else writes to a control, as its profile says; a refusal is the device's own business."""
        steering, actor = next(pair for pair in self._actors if pair[0].id == control)
        wanted = actor.typical if value is None else value
        with suppress(ModbusFault):
            for at, words in steering.rows_for(wanted).items():
                self._bank.write(at, words, self._bank.write_function(at))

    def take(self, condition: Condition) -> None:
        """From now on the device is in this condition."""
        if "stuck" in condition and "stuck" not in self.condition:
            self._stuck = self.seen()
        super().take(condition)
        self._tell_identity(self._stranger if "stranger" in condition else self._identity)
        self._version = -1


def _most(row: Row) -> float:
    bits = 31 if "32" in row.type else 63 if "64" in row.type else 15
    return 0.98 * 2.0**bits if not row.type.startswith("float") else math.inf


def _given(text: str) -> Fallback | float:
    return Fallback(text) if text in [*Fallback] else float(text)


def _plants_by_role(profile: Profile, house: House, spec: DeviceSpec) -> dict[str, str | None]:
    """The plant of each role, of those that the device stands in front of."""
    tables: Mapping[str, Callable[[str], bool]] = {
        "pv": house.roofs.__contains__,
        "battery": house.batteries.__contains__,
        "ev": house.charging_points.__contains__,
        "heat_pump": house.heat_pumps.__contains__,
        "load": house.relay_loads.__contains__,
    }
    found: dict[str, str | None] = {}
    for role in profile.roles:
        mine = tables.get(role)
        found[role] = None if mine is None else next((name for name in spec.of or () if mine(name)), None)
    return found
