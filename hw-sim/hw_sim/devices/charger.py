"""The EV charger: the MQTT dialect of the go-eCharger API v2.

Source: goecharger/go-eCharger-API-v2, mqtt-en.md (topics, last will, set and result) and apikeys-en.md (keys, codes).
"""

import json
from collections.abc import Callable
from typing import Any

from hw_sim.faults import HEALTHY, Condition
from hw_sim.home import DeviceSpec
from hw_sim.physics.ev import MIN_CURRENT_A, ChargingPoint
from hw_sim.physics.house import House
from hw_sim.topics import TopicLink

Json = None | bool | int | float | str | list[Any]

_IDLE, _CHARGING, _WAIT_CAR, _COMPLETE = 1, 2, 3, 4
_FORCED_ON, _FORCED_OFF, _DEFAULT, _PHASE_SWITCH = 3, 4, 15, 23
_FORCE_OFF, _FORCE_ON = 1, 2
_ONE_PHASE = 1
_PUBLISH_S = 1.0
_HEARTBEAT_S = 5.0
_PHASE_SWITCH_S = 10.0


def serial_of(spec: DeviceSpec) -> str:
    """The charger's serial number: six digits unless the home file gives one."""
    return spec.serial or "000001"


def will_of(spec: DeviceSpec) -> tuple[str, bytes]:
    """The last will (topic, payload), published retained: `mcc` false (mqtt-en.md, Last Will)."""
    return f"{spec.topic_prefix}{serial_of(spec)}/mcc", b"false"


class Charger:
    """Keys and commands in front of the charging point.

    Interpretation: `car` is 4 (complete) once charging has ended in this session, 3 (waiting for the car) before;
    a phase switch while charging pauses 10 s. Nobody's command lasts for ever on its own: `frc` and `amp` simply stay.
    """

    def __init__(self, spec: DeviceSpec, house: House, link: TopicLink) -> None:
        if house.charging is None:
            raise ValueError(f"{spec.id}: the home has no [ev]")
        self.spec = spec
        self.serial = serial_of(spec)
        self.condition = HEALTHY
        self.reboots = 1
        self._house = house
        self._point: ChargingPoint = house.charging
        self._link = link
        self._prefix = f"{spec.topic_prefix}{self.serial}/"
        limit = self._point.spec.max_a
        self.settings: dict[str, int | str] = {"amp": limit, "ama": limit, "frc": 0, "psm": 0, "lmo": 3, "fna": "go-e"}
        self._session = self._point.plug_ins
        self._charged = False
        self._switch_ends_s = 0.0
        self._phases_now = self._phases_wanted()
        self.online = False  # whether it wants to be on its broker
        self._connected = False
        self._sent: dict[str, Json] = {}
        self._next_publish_s = 0.0
        self._next_heartbeat_s = 0.0
        self._apply()

    async def start(self) -> None:
        """Starts connecting to the broker."""
        self.online = True
        await self._link.start(self._on_message, self._on_connection)

    async def stop(self) -> None:
        """Says goodbye as the real one does, then disconnects."""
        self.online = False
        self._publish("mcc", False)
        await self._link.stop()
        self._connected = False

    # --- the charging point ---

    def _phases_wanted(self) -> int:
        return 1 if self.settings["psm"] == _ONE_PHASE else self._point.spec.phases

    def _allowed(self) -> bool:
        return self.settings["frc"] != _FORCE_OFF and self._house.elapsed_s >= self._switch_ends_s

    def _offered_a(self) -> float:
        amp = float(min(int(self.settings["amp"]), int(self.settings["ama"])))
        return amp if self._allowed() and amp >= MIN_CURRENT_A else 0.0

    def _apply(self) -> None:
        """Brings the settings to the pilot."""
        wanted = self._phases_wanted()
        if wanted != self._phases_now and not self._point.contactor:
            self._phases_now = wanted
        self._point.offered_phases = self._phases_now
        self._point.offered_a = self._offered_a() if wanted == self._phases_now else 0.0

    def tick(self) -> None:
        """Called once before each step of the house."""
        if self.condition.frozen:
            return
        if self._phases_wanted() != self._phases_now:
            self._switch_ends_s = self._house.elapsed_s + _PHASE_SWITCH_S
        if self._point.plug_ins != self._session:
            self._session = self._point.plug_ins
            self._charged = False
        self._charged = self._charged or self._point.contactor
        self._apply()

    # --- what it says ---

    def values(self) -> dict[str, Json]:
        """All keys with their values now."""
        point, settings = self._point, self.settings
        offered = self._offered_a()
        return {
            "sse": self.serial,
            "oem": "go-e",
            "typ": "go-eCharger_V4",
            "var": 22 if point.spec.max_a > 16 else 11,
            "fwv": "60.4",
            "rbc": self.reboots,
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
        if self.settings["frc"] == _FORCE_OFF:
            return _FORCED_OFF
        if self._phases_wanted() != self._phases_now or self._house.elapsed_s < self._switch_ends_s:
            return _PHASE_SWITCH
        return _FORCED_ON if self.settings["frc"] == _FORCE_ON else _DEFAULT

    def _nrg(self) -> list[float]:
        """U (L1, L2, L3, N), I (L1, L2, L3), P (L1, L2, L3, N, total), pf (L1, L2, L3, N); V, A, W, %."""
        point, volts = self._point, round(self._house.voltage_v, 1)
        live = [i < point.phases for i in range(3)]
        amps = [round(point.current_a, 2) if on else 0.0 for on in live]
        watts = [round(point.power_w / point.phases, 1) if on else 0.0 for on in live]
        factors = [100.0 if a else 0.0 for a in amps]
        return [volts, volts, volts, 0.0, *amps, *watts, 0.0, round(point.power_w, 1), *factors, 0.0]

    def _clock(self) -> dict[str, Json]:
        now = self._house.now
        utc = now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}"
        return {"utc": utc, "rbt": int(self._house.elapsed_s * 1000)}

    def report(self) -> None:
        """Called after each step: publishes what changed, at most once a second; `nrg` at least every 5 s."""
        now_s = self._house.elapsed_s
        if not self._connected or now_s + 1e-9 < self._next_publish_s:
            return
        self._next_publish_s = now_s + _PUBLISH_S
        if self.condition.silent or self.condition.frozen:
            return
        due = now_s + 1e-9 >= self._next_heartbeat_s
        if due:
            self._next_heartbeat_s = now_s + _HEARTBEAT_S
            for key, value in self._clock().items():
                self._publish(key, value)
        for key, value in self.values().items():
            self._publish(key, value, only_changes=True)
        self._publish("nrg", self._nrg(), only_changes=not due)

    def _publish(self, key: str, value: Json, only_changes: bool = False) -> None:
        if only_changes and key in self._sent and self._sent[key] == value:
            return
        payload = json.dumps(value, separators=(",", ":")).encode()
        if self._link.publish(self._prefix + key, payload, retain=True):
            self._sent[key] = value

    # --- what it hears ---

    def _on_connection(self, connected: bool) -> None:
        self._connected = connected
        if connected:
            self._sent.clear()
            self._next_publish_s = self._next_heartbeat_s = 0.0
            self._link.subscribe(f"{self._prefix}+/set")
            self.report()

    def _on_message(self, topic: str, payload: bytes, retained: bool) -> None:
        """A command. Interpretation: a retained one is taken too, as by a device that subscribes with no memory."""
        if not topic.startswith(self._prefix) or not topic.endswith("/set") or self.condition.silent:
            return
        key = topic[len(self._prefix) : -len("/set")]
        result = self.set(key, payload)
        self._link.publish(f"{self._prefix}{key}/result", result.encode())
        self._next_publish_s = 0.0
        self.report()

    def set(self, key: str, payload: bytes) -> str:
        """Takes one command in and gives the text of its result: "success", or what is wrong with it."""
        text = payload.decode("utf-8", "replace")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            return f"invalid json InvalidInput: {text}"
        fault = self._fault(key, value)
        if fault:
            return f"{fault} {text}"
        if self.condition.refuses_writes:
            return f"api write access is disabled (mcr) {text}"
        self.settings[key] = value
        if not self.condition.frozen:
            self._apply()
        return "success"

    def _fault(self, key: str, value: object) -> str:
        rule = _RULES.get(key)
        if rule is None:
            known = key in self.values() or key in {"nrg", "utc", "rbt"}
            return "key is read only" if known else "unknown key"
        return rule(value, self._point.spec.max_a)

    def take(self, condition: Condition) -> None:
        """From now on the charger is in this condition."""
        self.condition = condition


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
