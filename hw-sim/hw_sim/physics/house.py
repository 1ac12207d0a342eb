"""The house: everything behind one connection point, moved on in steps."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from hw_sim.home import Home
from hw_sim.physics.battery import Battery
from hw_sim.physics.calendar import Calendar
from hw_sim.physics.ev import ChargingPoint
from hw_sim.physics.household import Household
from hw_sim.physics.pv import Roof


@dataclass(frozen=True, slots=True)
class Truth:
    """What is really the case. Powers at terminals in W, into the terminal positive; energies in Wh, only growing.

    What a house doesn't have is zero (state "A" for no car).
    """

    now: datetime
    elapsed_s: float
    grid_w: float
    grid_phases_w: tuple[float, float, float]
    load_w: float
    battery_w: float
    ev_w: float
    pv_w: float
    pv_available_w: float  # a magnitude, before limits
    pv_limit_w: float | None
    import_wh: float
    export_wh: float
    load_wh: float
    pv_wh: float
    pv_curtailed_wh: float
    charged_wh: float
    discharged_wh: float
    battery_soc_wh: float
    battery_soc_pct: float
    ev_wh: float
    ev_session_wh: float
    ev_soc_pct: float
    ev_state: str
    ev_current_a: float
    ev_offered_a: float
    ev_phases: int
    ev_contactor_closures: int
    voltage_v: float
    frequency_hz: float

    def to_json(self) -> dict[str, object]:
        """As JSON types, `now` as an ISO 8601 text."""
        return {**asdict(self), "now": self.now.isoformat()}


@dataclass(frozen=True, slots=True)
class Saved:
    """What survives when the house is built anew: energies and counters."""

    now: datetime
    import_wh: float
    export_wh: float
    load_wh: float
    pv_wh: float
    pv_curtailed_wh: float
    charged_wh: float
    discharged_wh: float
    battery_soc_wh: float
    ev_soc_wh: float
    ev_wh: float
    ev_session_wh: float
    ev_plugged: bool
    ev_contactor_closures: int
    ev_plug_ins: int


class House:
    """All powers and energies of a home. `start` is aware; `seed` (default: the home's) fixes the weather and the load.

    The knobs are those of the parts: `roof.limit_w`, `roof.connected`, `battery.band`, `battery.reserve_pct`,
    `charging.offered_a`, `charging.offered_phases`, `household.extra_w`, and here `voltage_v` and `frequency_hz`.
    """

    def __init__(self, home: Home, start: datetime, seed: int | None = None) -> None:
        if start.tzinfo is None:
            raise ValueError(f"start: {start} has no offset; allowed: an aware datetime")
        self.home = home
        self.start = start.astimezone(UTC)
        seed = home.seed if seed is None else seed
        self.calendar = Calendar(home.zone)
        self.household = Household(home.load, self.calendar, seed)
        self.roof = Roof(home.pv, home.latitude, home.longitude, seed) if home.pv else None
        self.battery = Battery(home.battery) if home.battery else None
        self.charging = ChargingPoint(home.ev, self.calendar) if home.ev else None
        self.voltage_v = home.grid.voltage_v
        self.frequency_hz = home.grid.frequency_hz
        self.elapsed_s = 0.0
        self.steps = 0
        self.grid_w = 0.0
        self.import_wh = home.grid.import_wh
        self.export_wh = home.grid.export_wh
        self.load_wh = 0.0
        self.pv_wh = 0.0
        self.pv_curtailed_wh = 0.0
        self._start_unix_s = self.start.timestamp()
        self.household.step(self._start_unix_s)
        if self.roof is not None:
            self.roof.step(1e-6, self._start_unix_s)
        self._sum()

    @property
    def now(self) -> datetime:
        """The simulated time, UTC."""
        return self.start + timedelta(seconds=self.elapsed_s)

    @property
    def unix_s(self) -> float:
        """The simulated time in Unix seconds."""
        return self._start_unix_s + self.elapsed_s

    def step(self, dt_s: float) -> None:
        """Moves on by `dt_s` > 0; each power holds for the whole step that ends now."""
        if not dt_s > 0.0:
            raise ValueError(f"dt_s: {dt_s}; allowed: above 0")
        self.elapsed_s += dt_s
        self.steps += 1
        unix_s = self.unix_s
        self.household.step(unix_s)
        others = self.household.power_w
        hours = dt_s / 3600.0
        if self.charging is not None:
            self.charging.step(dt_s, unix_s, self.voltage_v)
            others += self.charging.power_w
        if self.roof is not None:
            self.roof.step(dt_s, unix_s)
            others += self.roof.power_w
            self.pv_wh -= self.roof.power_w * hours
            self.pv_curtailed_wh += (self.roof.available_w + self.roof.power_w) * hours
        if self.battery is not None:
            self.battery.step(dt_s, others)
        self._sum()
        self.load_wh += self.household.power_w * hours
        if self.grid_w > 0.0:
            self.import_wh += self.grid_w * hours
        else:
            self.export_wh -= self.grid_w * hours

    def _sum(self) -> None:
        battery = self.battery.power_w if self.battery is not None else 0.0
        ev = self.charging.power_w if self.charging is not None else 0.0
        pv = self.roof.power_w if self.roof is not None else 0.0
        self.grid_w = self.household.power_w + battery + ev + pv

    def grid_phases_w(self) -> tuple[float, float, float]:
        """The connection point's power by phase; what is not single-phase is split evenly."""
        one, two, three = self.household.phases_w
        for power, phases in self._by_phases():
            if phases == 1:
                one += power
            else:
                one, two, three = one + power / 3.0, two + power / 3.0, three + power / 3.0
        return one, two, three

    def _by_phases(self) -> list[tuple[float, int]]:
        parts: list[tuple[float, int]] = []
        if self.battery is not None:
            parts.append((self.battery.power_w, 3))
        if self.charging is not None:
            parts.append((self.charging.power_w, self.charging.phases))
        if self.roof is not None:
            parts.append((self.roof.power_w, self.roof.spec.phases))
        return parts

    def truth(self) -> Truth:
        """Everything that is the case now."""
        battery, charging, roof = self.battery, self.charging, self.roof
        return Truth(
            now=self.now,
            elapsed_s=self.elapsed_s,
            grid_w=self.grid_w,
            grid_phases_w=self.grid_phases_w(),
            load_w=self.household.power_w,
            battery_w=battery.power_w if battery else 0.0,
            ev_w=charging.power_w if charging else 0.0,
            pv_w=roof.power_w if roof else 0.0,
            pv_available_w=roof.available_w if roof else 0.0,
            pv_limit_w=roof.limit_w if roof else None,
            import_wh=self.import_wh,
            export_wh=self.export_wh,
            load_wh=self.load_wh,
            pv_wh=self.pv_wh,
            pv_curtailed_wh=self.pv_curtailed_wh,
            charged_wh=battery.charged_wh if battery else 0.0,
            discharged_wh=battery.discharged_wh if battery else 0.0,
            battery_soc_wh=battery.soc_wh if battery else 0.0,
            battery_soc_pct=battery.soc_pct if battery else 0.0,
            ev_wh=charging.energy_wh if charging else 0.0,
            ev_session_wh=charging.session_wh if charging else 0.0,
            ev_soc_pct=charging.soc_pct if charging else 0.0,
            ev_state=charging.state if charging else "A",
            ev_current_a=charging.current_a if charging else 0.0,
            ev_offered_a=charging.offered_a if charging else 0.0,
            ev_phases=charging.phases if charging else 0,
            ev_contactor_closures=charging.contactor_closures if charging else 0,
            voltage_v=self.voltage_v,
            frequency_hz=self.frequency_hz,
        )

    def save(self) -> Saved:
        """What a later `restore` needs."""
        battery, charging = self.battery, self.charging
        return Saved(
            now=self.now,
            import_wh=self.import_wh,
            export_wh=self.export_wh,
            load_wh=self.load_wh,
            pv_wh=self.pv_wh,
            pv_curtailed_wh=self.pv_curtailed_wh,
            charged_wh=battery.charged_wh if battery else 0.0,
            discharged_wh=battery.discharged_wh if battery else 0.0,
            battery_soc_wh=battery.soc_wh if battery else 0.0,
            ev_soc_wh=charging.soc_wh if charging else 0.0,
            ev_wh=charging.energy_wh if charging else 0.0,
            ev_session_wh=charging.session_wh if charging else 0.0,
            ev_plugged=charging.plugged if charging else False,
            ev_contactor_closures=charging.contactor_closures if charging else 0,
            ev_plug_ins=charging.plug_ins if charging else 0,
        )

    def restore(self, saved: Saved) -> None:
        """Takes over energies and counters; powers start anew and controls are gone, as after a power cut."""
        self.import_wh, self.export_wh = saved.import_wh, saved.export_wh
        self.load_wh, self.pv_wh, self.pv_curtailed_wh = saved.load_wh, saved.pv_wh, saved.pv_curtailed_wh
        if self.battery is not None:
            self.battery.soc_wh = min(saved.battery_soc_wh, self.battery.spec.capacity_wh)
            self.battery.charged_wh, self.battery.discharged_wh = saved.charged_wh, saved.discharged_wh
        if self.charging is not None:
            charging = self.charging
            charging.soc_wh = min(saved.ev_soc_wh, charging.spec.capacity_wh)
            charging.energy_wh, charging.session_wh = saved.ev_wh, saved.ev_session_wh
            charging.contactor_closures, charging.plug_ins = saved.ev_contactor_closures, saved.ev_plug_ins
            charging.state = "B" if saved.ev_plugged else "A"
