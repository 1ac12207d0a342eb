"""The EV charger: the MQTT dialect of the go-eCharger API v2.

Source: goecharger/go-eCharger-API-v2, mqtt-en.md (topics, last will, set and result) and apikeys-en.md (keys, codes).
"""

import json
from collections.abc import Callable
from functools import lru_cache

from hw_sim.devices.front import Held
from hw_sim.devices.topic_front import Json, TopicFront, packed
from hw_sim.physics.ev import MIN_CURRENT_A, ChargingPoint
from hw_sim.physics.house import House
from hw_sim.physics.phases import Phases
from hw_sim.specs import DeviceSpec
from hw_sim.topics import TopicLink
from hw_sim.truth import Hold

_IDLE, _CHARGING, _WAIT_CAR, _COMPLETE = 1, 2, 3, 4
_FORCED_ON, _FORCED_OFF, _DEFAULT, _PHASE_SWITCH = 3, 4, 15, 23
_FORCE_OFF, _FORCE_ON = 1, 2
_ONE_PHASE = 1
_HEARTBEAT_S = 5.0
_PHASE_SWITCH_S = 10.0


def serial_of(spec: DeviceSpec) -> str:
    """The charger's serial number: six digits unless the home file gives one."""
    return spec.serial or "000001"


def prefix_of(spec: DeviceSpec) -> str:
    """Everything of a charger's topics but the key."""
    head = "go-eCharger/" if spec.topic_prefix is None else spec.topic_prefix
    return f"{head}{serial_of(spec)}/"


def will_of(spec: DeviceSpec) -> tuple[str, bytes]:
    """The last will (topic, payload), published retained: `mcc` false (mqtt-en.md, Last Will)."""
    return f"{prefix_of(spec)}mcc", b"false"


class Charger(TopicFront):
    """Keys and commands in front of one charging point.

    Interpretation: `car` is 4 (complete) once charging has ended in this session, 3 (waiting for the car) before;
    a phase switch while charging pauses 10 s. Nobody's command lasts for ever on its own: `frc` and `amp` simply stay.
    """

    flash = frozenset({"amp", "ama", "psm", "lmo", "fna"})

    def __init__(self, spec: DeviceSpec, house: House, link: TopicLink) -> None:
        super().__init__(spec, house, serial_of(spec), link)
        self._point: ChargingPoint = house.charging_points[house.home.of(spec)[0]]
        self._prefix = prefix_of(spec)
        limit = self._point.spec.max_a
        self.settings: dict[str, int | str] = {"amp": limit, "ama": limit, "frc": 0, "psm": 0, "lmo": 3, "fna": "go-e"}
        self._in_force = dict(self.settings)
        self._session = self._point.plug_ins
        self._charged = False
        self._switch_ends_s = 0.0
        self._phases_now = self._phases_wanted()
        self._sent: dict[str, Json] = {}
        self._next_heartbeat_s = 0.0
        self._bring()

    # --- the charging point ---

    def _phases_wanted(self) -> int:
        return 1 if self._in_force["psm"] == _ONE_PHASE else self._point.spec.phases

    def _allowed(self) -> bool:
        return self._in_force["frc"] != _FORCE_OFF and self.house.elapsed_s >= self._switch_ends_s

    def _offered_a(self) -> float:
        amp = float(min(int(self._in_force["amp"]), int(self._in_force["ama"])))
        return amp if self._allowed() and amp >= MIN_CURRENT_A else 0.0

    def _bring(self) -> None:
        """Brings what is in force to the pilot."""
        wanted = self._phases_wanted()
        if wanted != self._phases_now and not self._point.contactor:
            self._phases_now = wanted
        self._point.offered_phases = self._phases_now
        self._point.offered_a = self._offered_a() if wanted == self._phases_now else 0.0

    def apply(self) -> None:
        """The settings come into force."""
        self._in_force = dict(self.settings)
        self._bring()

    def timers(self) -> None:
        """Phase switch and session."""
        if self._phases_wanted() != self._phases_now:
            self._switch_ends_s = self.house.elapsed_s + _PHASE_SWITCH_S
        if self._point.plug_ins != self._session:
            self._session = self._point.plug_ins
            self._charged = False
        self._charged = self._charged or self._point.contactor
        self._bring()

    def holds(self) -> dict[str, Hold]:
        """It has no timer: what was set stays."""
        settings, limit = self.settings, self._point.spec.max_a
        amp = min(int(settings["amp"]), int(settings["ama"]))
        remote = settings["frc"] != 0 or amp < limit or settings["psm"] == _ONE_PHASE
        offered = 0.0 if settings["frc"] == _FORCE_OFF else float(amp)
        return {self._point.spec.id: Hold(remote=remote, offered_a=offered)}

    def commands(self) -> Held:
        """The keys that may be set."""
        return dict(self.settings)

    def contest(self, value: float | None) -> None:
        """Somebody sets a current of `value` A, or the largest."""
        self.set("amp", packed(self._point.spec.max_a if value is None else round(value)))

    # --- what it says ---

    def values(self) -> dict[str, Json]:
        """All keys with their values now."""
        point, settings = self._point, self.settings
        offered = self._offered_a()
        return {
            "sse": self.shown_serial,
            "oem": "go-e",
            "typ": "go-eCharger_V4",
            "var": 22 if point.spec.max_a > 16 else 11,
            "fwv": "60.4",
            "rbc": 1 + self.reboots,
            "fna": settings["fna"],
            "lmo": settings["lmo"],
            "car": self._car(),
            "err": 0,
            "amp": settings["amp"],
            "ama": settings["ama"],
            "mca": 6,
            "frc": settings["frc"],
            "psm": settings["psm"],
            "fsp": settings["psm"] == _ONE_PHASE,
            "alw": self._allowed(),
            "acu": int(offered) if offered else None,
            "modelStatus": self._status(),
            "wh": round(point.session_wh, 2),
            "eto": int(point.energy_wh),
            "mcc": True,
        }

    def _car(self) -> int:
        state = self._point.state
        if state == "A":
            return _IDLE
        if state == "C":
            return _CHARGING
        done = self._charged and (self._point.full or not self._offered_a())
        return _COMPLETE if done else _WAIT_CAR

    def _status(self) -> int:
        if self._in_force["frc"] == _FORCE_OFF:
            return _FORCED_OFF
        if self._phases_wanted() != self._phases_now or self.house.elapsed_s < self._switch_ends_s:
            return _PHASE_SWITCH
        return _FORCED_ON if self._in_force["frc"] == _FORCE_ON else _DEFAULT

    def _nrg(self) -> list[float | None]:
        """U (L1, L2, L3, N), I (L1, L2, L3), P (L1, L2, L3, N, total), pf (L1, L2, L3, N); V, A, W, %."""
        point = self._point
        volts = _rounded(self.house.voltages_v)
        powers = point.phases_w
        wrong = self.condition.faults
        if "nan" in wrong:
            return [None] * 16
        last = self._sent.get("nrg")
        if "stuck" in wrong and isinstance(last, list):
            return last
        total = self.shown_w(point.power_w, None)
        current = round(point.current_a, 2)
        amps = [current if w else 0.0 for w in powers]
        factors = [100.0 if a else 0.0 for a in amps]
        return [*volts, 0.0, *amps, *_rounded(powers), 0.0, None if total is None else round(total, 1), *factors, 0.0]

    def _clock(self) -> dict[str, Json]:
        utc = self.house.now.isoformat(timespec="milliseconds").removesuffix("+00:00")
        return {"utc": utc, "rbt": int(self.house.elapsed_s * 1000)}

    def publish(self, now_s: float) -> None:
        """What changed; `nrg` and the clock at least every 5 s."""
        due = now_s + 1e-9 >= self._next_heartbeat_s
        if due:
            self._next_heartbeat_s = now_s + _HEARTBEAT_S
            for key, value in self._clock().items():
                self._tell(key, value)
        sent = self._sent
        for key, value in self.values().items():
            if key not in sent or sent[key] != value:
                self._tell(key, value)
        self._tell("nrg", self._nrg(), only_changes=not due, measured=True)

    def beat(self) -> None:
        """The physics stand still meanwhile; its heartbeat does not."""
        self._next_heartbeat_s = 0.0
        self.report_now()

    def _tell(self, key: str, value: Json, only_changes: bool = False, measured: bool = False) -> None:
        if only_changes and key in self._sent and self._sent[key] == value:
            return
        if self.say(self._prefix + key, value, retain=True, measured=measured):
            self._sent[key] = value

    def goodbye(self) -> None:
        """As the real one does."""
        self._tell("mcc", False)

    def flood_topic(self) -> tuple[str, bytes]:
        """It repeats its powers."""
        return f"{self._prefix}nrg", packed(self._nrg())

    # --- what it hears ---

    def filters(self) -> tuple[str, ...]:
        """The commands."""
        return (f"{self._prefix}+/set",)

    def joined(self) -> None:
        """Everything is said anew."""
        self._sent.clear()
        self._next_heartbeat_s = 0.0

    def hear(self, topic: str, payload: bytes) -> None:
        """A command."""
        if not topic.startswith(self._prefix) or not topic.endswith("/set"):
            return
        key = topic[len(self._prefix) : -len("/set")]
        result = self.set(key, payload)
        self._link.publish(f"{self._prefix}{key}/result", result.encode())
        self.report_now()

    def set(self, key: str, payload: bytes) -> str:
        """Takes one command in and gives the text of its result: "success", or what is wrong with it."""
        text = payload.decode("utf-8", "replace")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            self.refuse()
            return f"invalid json InvalidInput: {text}"
        fault = self._fault(key, value)
        if not fault and self.condition.refuses_writes:
            fault = "api write access is disabled (mcr)"
        if fault:
            self.refuse()
            return f"{fault} {text}"
        self.settings[key] = value
        self.count(key)
        self.changed()
        return "success"

    def _fault(self, key: str, value: object) -> str:
        rule = _RULES.get(key)
        if rule is None:
            known = key in self.values() or key in {"nrg", "utc", "rbt"}
            return "key is read only" if known else "unknown key"
        return rule(value, self._point.spec.max_a)


@lru_cache(maxsize=256)
def _rounded(phases: Phases) -> tuple[float, ...]:
    """To tenths; of voltages, and of the powers of a car, the same come again and again."""
    return tuple([round(one, 1) for one in phases])


def _integer(low: int, high: int | None) -> Callable[[object, int], str]:
    def rule(value: object, max_a: int) -> str:
        top = max_a if high is None else high
        if isinstance(value, bool) or not isinstance(value, int):
            return "value must be integer"
        return "" if low <= value <= top else f"value must be between {low} and {top}"

    return rule


def _text(value: object, _max_a: int) -> str:
    return "" if isinstance(value, str) else "value must be string"


_RULES: dict[str, Callable[[object, int], str]] = {
    "amp": _integer(6, None),
    "ama": _integer(6, None),
    "frc": _integer(0, 2),
    "psm": _integer(0, 2),
    "lmo": _integer(3, 5),
    "fna": _text,
}
