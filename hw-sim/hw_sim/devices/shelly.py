"""Relays with power metering over MQTT: the RPC dialect of Shelly Gen2 and later.

Source: shelly-api-docs.shelly.cloud/gen2: General/RPCProtocol, General/Notifications, HOWTO/MQTTSetup,
ComponentsAndServices Mqtt, Switch, EM, EMData, Temperature, Shelly (topics, frames, error codes, status fields).
"""

import hashlib
import json
from typing import Any

from hw_sim.devices.deadline import RevertTimer
from hw_sim.devices.front import Held
from hw_sim.devices.topic_front import Json, TopicFront, packed
from hw_sim.physics.house import House
from hw_sim.specs import DeviceSpec
from hw_sim.topics import TopicLink

INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION, NO_HANDLER = -103, -105, -109, 404
_AT_LEAST_S = 60.0
_MODELS = {"shelly.relay": ("shellyplus1pm", "Plus1PM"), "shelly.heat_pump": ("shellypro3em", "Pro3EM")}


def serial_of(spec: DeviceSpec) -> str:
    """The device id under which it speaks: the model and its MAC address, made from the id in the home file."""
    mac = hashlib.sha256(spec.id.encode()).hexdigest()[:12]
    return spec.serial or f"{_MODELS[spec.kind][0]}-{mac}"


def prefix_of(spec: DeviceSpec) -> str:
    """The topic prefix: the device id unless the home file gives another."""
    return serial_of(spec) if spec.topic_prefix is None else spec.topic_prefix


def will_of(spec: DeviceSpec) -> tuple[str, bytes]:
    """The last will (topic, payload), published retained (Mqtt component: online)."""
    return f"{prefix_of(spec)}/online", b"false"


class RpcFault(Exception):  # noqa: N818 - the answer of a healthy device
    """A request that is answered with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Switch:
    """One relay: its position, and the timer that flips it back (Switch.Set, toggle_after)."""

    def __init__(self, number: int, on: bool = False) -> None:
        self.number = number
        self.name = f"switch:{number}"  # as in topics and statuses
        self.initial = on
        self.on = on
        self.source = "init"
        self.timer = RevertTimer()
        self.timer_s = 0.0

    def set(self, on: bool, source: str, now_s: float, toggle_after_s: float = 0.0) -> None:
        """Switches; a timer that ran is over, another one starts where asked for."""
        self.on, self.source, self.timer_s = on, source, toggle_after_s
        self.timer.arm(now_s, toggle_after_s)

    def flipped_back(self, now_s: float) -> bool:
        """True once, when its timer has run out."""
        if not self.timer.ran_out(now_s):
            return False
        self.on, self.source = not self.on, "timer"
        return True


class Shelly(TopicFront):
    """Switches and meters under one topic prefix.

    `<prefix>/rpc` takes requests, the answer comes on `<src>/rpc` of the request's `src`; `<prefix>/events/rpc` has
    the notifications, `<prefix>/status/<component>` each component's whole status on change and once a minute,
    `<prefix>/command` takes `status_update`, `<prefix>/command/switch:<n>` takes on, off, toggle (with `,seconds`);
    `<prefix>/online` is retained and the last will. Status topics are not retained.
    """

    def __init__(self, spec: DeviceSpec, house: House, link: TopicLink, switches: list[Switch]) -> None:
        super().__init__(spec, house, serial_of(spec), link)
        self.prefix = prefix_of(spec)
        self.switches = switches
        self._sent: dict[str, dict[str, Any]] = {}
        self._look: tuple[object, ...] = ()
        self._next_full_s = 0.0
        self._measured: tuple[int, dict[str, Any]] | None = None  # at a step of the house

    # --- each kind has its own ---

    def components(self) -> dict[str, dict[str, Any]]:
        """The status of all components."""
        return {}

    def measure(self) -> dict[str, Any]:
        """What is measured now, as the status tells it."""
        return {}

    def measured(self) -> dict[str, Any]:
        """The same between two steps, in which nothing moves; nobody changes what is given here."""
        if self.condition.faults:
            return self.measure()
        if self._measured is None or self._measured[0] != self.house.steps:
            self._measured = (self.house.steps, self.measure())
        return self._measured[1]

    def looks(self) -> tuple[object, ...]:
        """Everything of the status that is worth a message when it changes, coarsely."""
        return tuple([(switch.on, switch.timer.ends_s) for switch in self.switches])

    # --- switches ---

    def timers(self) -> None:
        """The switches' own."""
        now_s = self.house.elapsed_s
        flipped = [switch for switch in self.switches if switch.flipped_back(now_s)]
        if flipped:
            self.changed_by_itself()
            self._next_publish_s = 0.0

    def to_defaults(self) -> None:
        """Interpretation: `initial_state` is as at the start; timers are gone."""
        for switch in self.switches:
            switch.set(switch.initial, "init", self.house.elapsed_s)

    def commands(self) -> Held:
        """The positions, and when they flip."""
        held: dict[str, float | int | str] = {}
        for switch in self.switches:
            held[switch.name] = int(switch.on)
            if switch.timer.ends_s is not None:
                held[f"{switch.name}.ends_s"] = switch.timer.ends_s
        return held

    def switch_status(self, switch: Switch) -> dict[str, Any]:
        """Of the relay alone."""
        status: dict[str, Any] = {"id": switch.number, "source": switch.source, "output": switch.on}
        if switch.timer.ends_s is not None:
            since_s = switch.timer.ends_s - switch.timer_s
            status["timer_started_at"] = round(self.house.unix_s - self.house.elapsed_s + since_s, 2)
            status["timer_duration"] = switch.timer_s
        return status

    def _switch(self, params: dict[str, Any]) -> Switch:
        number = params.get("id")
        for switch in self.switches:
            if switch.number == number and not isinstance(number, bool):
                return switch
        raise RpcFault(NOT_FOUND if "id" in params else INVALID_ARGUMENT, f"no switch with id {number}")

    def _set(self, switch: Switch, on: object, toggle_after: object, source: str) -> dict[str, Any]:
        if not isinstance(on, bool):
            raise RpcFault(INVALID_ARGUMENT, "Argument 'on', value not valid! Value type should be bool!")
        if isinstance(toggle_after, bool) or not isinstance(toggle_after, int | float) or toggle_after < 0:
            raise RpcFault(INVALID_ARGUMENT, "Argument 'toggle_after', value not valid!")
        if self.condition.refuses_writes:
            raise RpcFault(FAILED_PRECONDITION, "switch is locked")
        was = switch.on
        switch.set(on, source, self.house.elapsed_s, float(toggle_after))
        self.count(switch.name)
        self.changed()
        return {"was_on": was}

    # --- what it says ---

    def publish(self, now_s: float) -> None:
        """Whole statuses on change, and the changes as a notification; all of it once a minute.

        Interpretation: what counts as a change of a measured value is the maker's secret; here it is `looks`.
        """
        full = now_s + 1e-9 >= self._next_full_s
        look = self.looks()
        if not full and look == self._look:
            return
        self._look = look
        if full:
            self._next_full_s = now_s + _AT_LEAST_S
        news: dict[str, Any] = {}
        for name, status in self.components().items():
            before = self._sent.get(name)
            if before == status and not full:
                continue
            if self.say(f"{self.prefix}/status/{name}", status, measured=not name.startswith("switch")):
                self._sent[name] = status
            changed = {key: v for key, v in status.items() if before is None or before.get(key) != v}
            if changed:
                news[name] = {"id": status["id"], **changed}
        if news:
            params = {"ts": round(self.house.unix_s, 2), **news}
            frame = {"src": self.serial, "dst": f"{self.prefix}/events", "method": "NotifyStatus", "params": params}
            self.say(f"{self.prefix}/events/rpc", frame, measured=True)

    def goodbye(self) -> None:
        """Interpretation: it says that it leaves."""
        self.say(f"{self.prefix}/online", False, retain=True)

    def flood_topic(self) -> tuple[str, bytes]:
        """It repeats its first component."""
        name, status = next(iter(self.components().items()))
        return f"{self.prefix}/status/{name}", packed(status)

    # --- what it hears ---

    def filters(self) -> tuple[str, ...]:
        """Requests and commands."""
        return f"{self.prefix}/rpc", f"{self.prefix}/command", f"{self.prefix}/command/+"

    def joined(self) -> None:
        """Everything is said anew."""
        self._sent.clear()
        self._look = ()
        self._next_full_s = 0.0
        self.say(f"{self.prefix}/online", True, retain=True)

    def hear(self, topic: str, payload: bytes) -> None:
        """A request or a command."""
        if topic == f"{self.prefix}/rpc":
            self._request(payload)
        elif topic == f"{self.prefix}/command":
            if payload == b"status_update":
                self._next_full_s = 0.0
        elif topic.startswith(f"{self.prefix}/command/switch:"):
            self._command(topic.rpartition(":")[2], payload)
        self.report_now()

    def _command(self, number: str, payload: bytes) -> None:
        word, _, seconds = payload.decode("utf-8", "replace").partition(",")
        switch = next((one for one in self.switches if str(one.number) == number), None)
        if switch is None or word not in {"on", "off", "toggle"}:
            return
        try:
            on = not switch.on if word == "toggle" else word == "on"
            self._set(switch, on, float(seconds) if seconds else 0.0, "MQTT")
        except (RpcFault, ValueError):
            self.refuse()

    def _request(self, payload: bytes) -> None:
        try:
            frame = json.loads(payload)
        except (json.JSONDecodeError, UnicodeDecodeError):
            return
        if not isinstance(frame, dict) or not isinstance(frame.get("src"), str) or "method" not in frame:
            return
        answer: dict[str, Any] = {"id": frame.get("id"), "src": self.shown_serial, "dst": frame["src"]}
        params = frame.get("params", {})
        try:
            answer["result"] = self._call(str(frame["method"]), params if isinstance(params, dict) else {})
        except RpcFault as fault:
            self.refuse()
            answer["error"] = {"code": fault.code, "message": str(fault)}
        self.say(f"{frame['src']}/rpc", answer)

    def _call(self, method: str, params: dict[str, Any]) -> Json:
        match method.lower():
            case "switch.set":
                return self._set(self._switch(params), params.get("on"), params.get("toggle_after", 0), "MQTT")
            case "switch.toggle":
                switch = self._switch(params)
                return self._set(switch, not switch.on, 0, "MQTT")
            case "switch.getstatus":
                return self.components()[self._switch(params).name]
            case "switch.getconfig":
                return {"id": self._switch(params).number, "initial_state": "off", "auto_on": False, "auto_off": False}
            case "shelly.getstatus":
                return {**self.components(), "mqtt": {"connected": self.connected}}
            case "shelly.getdeviceinfo":
                return self._info()
        raise RpcFault(NO_HANDLER, f"No handler for {method}")

    def _info(self) -> dict[str, Any]:
        return {
            "name": None,
            "id": self.shown_serial,
            "mac": self.serial.rpartition("-")[2].upper(),
            "model": _MODELS[self.spec.kind][0],
            "gen": 2,
            "fw_id": "20260101-000000/1.4.4",
            "ver": "1.4.4",
            "app": _MODELS[self.spec.kind][1],
            "auth_en": False,
            "auth_domain": None,
        }
