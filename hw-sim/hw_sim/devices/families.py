"""Small MQTT devices of many makers, each a table: what it says, what it answers, how it is switched or set.

They stand in front of no plant of the house: a relay's load draws `rated_w` while it is on, a charger what it offers on
three phases. Sources: those that the makers publish, named at each table.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hw_sim.topics import TopicLink, matches

VOLTS, PHASES = 230.0, 3


@dataclass(slots=True)
class State:
    """What there is to know of one device."""

    serial: str
    name: str  # what stands for it in topics
    on: bool = False
    rated_w: float = 1800.0
    energy_wh: float = 1000.0
    limit_a: float = 32.0  # offered to the car; 0 is a pause
    claimed: bool = False
    charging: bool = True
    now_s: float = 0.0

    @property
    def power_w(self) -> float:
        """What flows."""
        return self.rated_w if self.on else 0.0

    @property
    def current_a(self) -> float:
        """Of the car."""
        return self.limit_a if self.charging else 0.0


Say = Callable[[State], Mapping[str, Any]]
"""Topic to payload: text as it stands, anything else as JSON."""
Hear = Callable[[State, str, str], Mapping[str, Any] | None]
"""A message to the device (state, topic, payload): what it answers at once; None where it is no command."""


@dataclass(frozen=True, slots=True)
class Family:
    """One maker's way of speaking. {name} and {serial} stand for the device's in every topic."""

    filters: tuple[str, ...]  # what it listens to
    retained: Say  # at each connect, kept by the broker
    spoken: Say  # each second, if it speaks by itself
    answer: Hear  # to a question: never changes anything
    obey: Hear  # to a command: changes the state
    will: tuple[str, str] | None = None
    retains_spoken: bool = False


def nothing(_state: State) -> Mapping[str, Any]:
    """It says nothing by itself."""
    return {}


def deaf(_state: State, _topic: str, _payload: str) -> None:
    """It answers nothing."""


@dataclass
class FamilyDevice:
    """A device of a family on a broker. `silent`: it does not speak; `refuses`: it obeys nothing."""

    family: Family
    state: State
    link: TopicLink
    silent: bool = False
    refuses: bool = False
    heard: list[tuple[str, str]] = field(default_factory=list)
    connected: bool = False

    async def start(self) -> None:
        """Joins its broker."""
        await self.link.start(self._on_message, self._on_connection)

    def pass_s(self, seconds: float) -> None:
        """Time passes; it says what it says each second."""
        self.state.now_s += seconds
        self.state.energy_wh += self.state.power_w * seconds / 3600
        if not self.silent:
            self.say(self.family.spoken(self.state), self.family.retains_spoken)

    def say(self, told: Mapping[str, Any], retain: bool) -> None:
        """Publishes."""
        for topic, payload in told.items():
            text = payload if isinstance(payload, str) else json.dumps(payload)
            self.link.publish(self._whole(topic), text.encode(), retain=retain)

    def _whole(self, topic: str) -> str:
        return topic.replace("{name}", self.state.name).replace("{serial}", self.state.serial)

    def _on_connection(self, connected: bool) -> None:
        self.connected = connected
        if connected:
            for topic_filter in self.family.filters:
                self.link.subscribe(self._whole(topic_filter))
            self.say(self.family.retained(self.state), True)

    def _on_message(self, topic: str, payload: bytes, retained: bool) -> None:
        if self.silent or not any(matches(self._whole(one), topic) for one in self.family.filters):
            return
        text = payload.decode("utf-8", "replace")
        told = self.family.answer(self.state, topic, text)
        if told is None:
            self.heard.append((topic, text))
            told = None if self.refuses else self.family.obey(self.state, topic, text)
        if told is not None:
            self.say(told, self.family.retains_spoken)


# --- Tasmota: tasmota/docs, MQTT.md, JSON-Status-Responses.md; discovery by its xdrv_12 ---


def _tasmota_answer(state: State, topic: str, payload: str) -> Mapping[str, Any] | None:
    command = topic.rpartition("/")[2].upper()
    if command == "STATUS":
        at = f"2026-06-15T12:{int(state.now_s) // 60 % 60:02d}:{int(state.now_s) % 60:02d}"
        energy = {"Total": round(state.energy_wh / 1000, 4), "Power": state.power_w, "Voltage": 230}
        told: dict[str, dict[str, Any]] = {
            "5": {"stat/{name}/STATUS5": {"StatusNET": {"Hostname": state.name, "Mac": state.serial}}},
            "2": {"stat/{name}/STATUS2": {"StatusFWR": {"Version": "14.3.0(tasmota)"}}},
            "10": {"stat/{name}/STATUS10": {"StatusSNS": {"Time": at, "ENERGY": energy}}},
        }
        return told.get(payload, {})
    if command == "POWER" and not payload:
        return {"stat/{name}/POWER": "ON" if state.on else "OFF"}
    return None


def _tasmota_obey(state: State, topic: str, payload: str) -> Mapping[str, Any] | None:
    if not topic.upper().endswith("/POWER") or payload.upper() not in {"ON", "OFF"}:
        return None
    state.on = payload.upper() == "ON"
    return {"stat/{name}/RESULT": {"POWER": payload.upper()}, "stat/{name}/POWER": payload.upper()}


TASMOTA = Family(
    filters=("cmnd/{name}/#",),
    retained=lambda state: {
        "tele/{name}/LWT": "Online",
        "tasmota/discovery/{serial}/config": {
            "t": state.name,
            "ft": "%prefix%/%topic%/",
            "mac": state.serial.replace(":", ""),
            "md": "Nous A1T",
            "rl": [1, 0],
        },
    },
    spoken=nothing,
    answer=_tasmota_answer,
    obey=_tasmota_obey,
    will=("tele/{name}/LWT", "Offline"),
)

# --- Zigbee2MQTT: Koenkk/zigbee2mqtt.io, mqtt_topics_and_messages.md, device-availability.md ---


def _z2m_state(state: State) -> Mapping[str, Any]:
    told = {"state": "ON" if state.on else "OFF", "power": state.power_w, "energy": round(state.energy_wh / 1000, 3)}
    return {"zigbee2mqtt/{name}": told}


def _z2m_obey(state: State, topic: str, payload: str) -> Mapping[str, Any] | None:
    wanted = json.loads(payload).get("state") if topic.endswith("/set") else None
    if wanted not in {"ON", "OFF"}:
        return None
    state.on = wanted == "ON"
    return _z2m_state(state)


def _z2m_listed(state: State) -> Mapping[str, Any]:
    switch = {"type": "switch", "features": [{"property": "state"}]}
    definition = {"model": "TS011F_plug_1", "vendor": "TuYa", "exposes": [switch, {"property": "power"}]}
    plug = {"ieee_address": state.serial, "friendly_name": state.name, "definition": definition}
    coordinator = {"ieee_address": "0x00124b00120144ae", "friendly_name": "Coordinator", "definition": None}
    return {"zigbee2mqtt/bridge/devices": [coordinator, plug], "zigbee2mqtt/bridge/state": {"state": "online"}}


ZIGBEE2MQTT = Family(
    filters=("zigbee2mqtt/{name}/set", "zigbee2mqtt/{name}/get"),
    retained=_z2m_listed,
    spoken=nothing,
    answer=lambda state, topic, _payload: _z2m_state(state) if topic.endswith("/get") else None,
    obey=_z2m_obey,
    will=("zigbee2mqtt/bridge/state", '{"state":"offline"}'),
)

# --- ESPHome: esphome-docs, components/mqtt.rst; discovery by mqtt_component.cpp ---


def _esphome_obey(state: State, topic: str, payload: str) -> Mapping[str, Any] | None:
    if payload not in {"ON", "OFF"}:
        return None
    state.on = payload == "ON"
    return {"{name}/switch/relay/state": payload}


ESPHOME = Family(
    filters=("{name}/switch/relay/command",),
    retained=lambda state: {
        "{name}/status": "online",
        "{name}/switch/relay/state": "ON" if state.on else "OFF",
        "homeassistant/switch/{name}/relay/config": {
            "stat_t": f"{state.name}/switch/relay/state",
            "cmd_t": f"{state.name}/switch/relay/command",
            "dev": {"ids": state.serial, "mdl": "esp01_1m", "sw": "2025.4.0"},
        },
    },
    spoken=lambda state: {"{name}/sensor/power/state": f"{state.power_w:.1f}"},
    answer=deaf,
    obey=_esphome_obey,
    will=("{name}/status", "offline"),
    retains_spoken=True,
)

# --- OpenEVSE: openevse_esp32_firmware, docs/Developers_Guide_MQTT.md, src/mqtt.cpp ---


def _openevse_says(state: State) -> Mapping[str, Any]:
    told = {"amp": str(round(state.current_a * 1000)), "power": str(round(state.current_a * VOLTS * PHASES))}
    told |= {"pilot": str(round(state.limit_a or 6)), "state": "3" if state.current_a else "254", "vehicle": "1"}
    return {f"{{name}}/{key}": value for key, value in told.items()} | {"{name}/session_energy": "1200"}


def _openevse_claim(state: State) -> Mapping[str, Any]:
    if not state.claimed:
        return {"{name}/claim": {"state": "null"}}
    if not state.limit_a:
        return {"{name}/claim": {"state": "disabled", "auto_release": True}}
    return {"{name}/claim": {"state": "active", "charge_current": round(state.limit_a), "auto_release": True}}


def _openevse_obey(state: State, topic: str, payload: str) -> Mapping[str, Any] | None:
    if not topic.endswith("/claim/set"):
        return None
    if payload == "release":
        state.claimed, state.limit_a = False, 32.0
    else:
        wanted = json.loads(payload)
        state.claimed = True
        state.limit_a = float(wanted.get("charge_current", 0)) if wanted["state"] == "active" else 0.0
    return {**_openevse_claim(state), **_openevse_says(state)}


OPENEVSE = Family(
    filters=("{name}/claim/set", "{name}/rapi/in/#"),
    retained=lambda state: {
        "openevse/announce/55ad": {"state": "connected", "id": state.serial, "name": state.name, "mqtt": state.name},
        **_openevse_claim(state),
    },
    spoken=_openevse_says,
    answer=lambda _state, topic, _payload: {"{name}/rapi/out": "$OK 03 00^22"} if "/rapi/in/$G" in topic else None,
    obey=_openevse_obey,
    will=("openevse/announce/55ad", '{"state":"disconnected","id":"{serial}","name":"{name}"}'),
    retains_spoken=True,
)

# --- Tinkerforge WARP: warp-charger, mqtt_http/api_reference: evse, meters, info ---


def _warp_says(state: State) -> Mapping[str, Any]:
    allowed = round(min(32.0, state.limit_a) * 1000)
    amps, watts = state.current_a, round(state.current_a * VOLTS * PHASES, 3)
    volts = VOLTS + (state.now_s % 7) / 10  # they always move a little
    return {
        "warp2/{name}/evse/state": {"iec61851_state": 2 if amps else 1, "allowed_charging_current": allowed},
        "warp2/{name}/meters/0/values": [volts, amps, amps, amps, watts],
        "warp2/{name}/evse/external_current": {"current": allowed},
    }


def _warp_obey(state: State, topic: str, payload: str) -> Mapping[str, Any] | None:
    if not topic.endswith("/evse/external_current_update"):
        return None
    milliamperes = json.loads(payload)["current"]
    if milliamperes and not 6000 <= milliamperes <= 32000:
        return None
    state.limit_a = milliamperes / 1000
    return _warp_says(state)


WARP = Family(
    filters=("warp2/{name}/evse/external_current_update",),
    retained=lambda state: {
        "warp2/{name}/info/name": {"name": f"warp2-{state.serial}", "type": "warp2", "uid": state.serial}
        | {"display_type": "WARP2 Charger Pro 22kW"},
        "warp2/{name}/info/version": {"firmware": "2.6.6-65fb1d59"},
        "warp2/{name}/meters/0/value_ids": [1, 13, 17, 21, 74],
        "warp2/{name}/evse/external_enabled": {"enabled": True},
    },
    spoken=_warp_says,
    answer=deaf,
    obey=_warp_obey,
    retains_spoken=True,
)

# --- Victron GX: dbus-flashmq, README.md: nothing is said without a keep-alive, nothing is retained ---


def _victron_says(_state: State) -> Mapping[str, Any]:
    told: dict[str, float | str | None] = {
        **{f"Ac/Grid/L{phase}/Power": power for phase, power in enumerate((-936.0, 120.5, 0.0), 1)},
        **{"Ac/Grid/NumberOfPhases": 3, "Dc/Battery/Power": -1500.0, "Dc/Battery/Soc": 85.0, "Dc/Battery/State": 2},
        **{f"Ac/PvOnGrid/L{phase}/Power": power for phase, power in enumerate((936.0, None, None), 1)},
        "Dc/Pv/Power": 300.0,
    }
    return {f"N/{{serial}}/system/0/{path}": {"value": value} for path, value in told.items()}


def _victron_answer(state: State, topic: str, payload: str) -> Mapping[str, Any] | None:
    if not topic.endswith("/keepalive"):
        return None
    told = {} if "suppress-republish" in payload else _victron_says(state)
    return {
        "N/{serial}/system/0/Serial": {"value": state.serial},
        **told,
        "N/{serial}/full_publish_completed": {"value": 1},
    }


VICTRON = Family(
    filters=("R/{serial}/keepalive",),
    retained=nothing,
    spoken=lambda state: {"N/{serial}/system/0/Dc/Battery/Voltage": {"value": 52 + state.now_s % 7 / 10}},
    answer=_victron_answer,
    obey=deaf,
)

FAMILIES: Mapping[str, Family] = {
    "tasmota": TASMOTA,
    "zigbee2mqtt": ZIGBEE2MQTT,
    "esphome": ESPHOME,
    "openevse": OPENEVSE,
    "warp": WARP,
    "victron": VICTRON,
}
"""Every family, by name."""
