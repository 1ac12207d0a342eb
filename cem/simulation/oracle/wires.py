"""What went over the wires, read without any of the product's own code: SunSpec, Modbus writes, topics, OCPP calls."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

SUNSPEC_BASE = 40000
MARKER = (0x5375, 0x6E53)  # "SunS"
END = 0xFFFF
WMAX_LIM_PCT, WMAX_LIM_WIN, WMAX_LIM_TIMER, WMAX_LIM_RAMP, WMAX_LIM_ON = 5, 6, 7, 8, 9
"""Offsets in model 123, its id and length included (SunSpec Information Model Reference)."""
STORAGE_MODE, OUT_RATE, IN_RATE, RATE_WIN, RATE_TIMER, RATE_RAMP, FROM_GRID, RATE_SCALE = 5, 12, 13, 14, 15, 16, 17, 25
"""Offsets in model 124."""
MAY_WRITE: Mapping[int, frozenset[int]] = {
    123: frozenset({WMAX_LIM_PCT, WMAX_LIM_WIN, WMAX_LIM_TIMER, WMAX_LIM_RAMP, WMAX_LIM_ON}),
    124: frozenset({STORAGE_MODE, OUT_RATE, IN_RATE, RATE_WIN, RATE_TIMER, RATE_RAMP, FROM_GRID}),
}
TOPICS = frozenset({"amp/set", "frc/set", "psm/set"})
"""What may be published below a charger's prefix and serial number."""

SWITCH_SET, SWITCH_PARAMS = "Switch.Set", frozenset({"id", "on", "toggle_after"})
"""The one request that may switch a contact, and its parameters (JSON-RPC on the topic `rpc`)."""
CONTACTS = 2
"""A device has at most so many contacts, counted from 0."""
SETTINGS = frozenset({"MeterValueSampleInterval", "MeterValuesSampledData", "TxUpdatedInterval", "TxUpdatedMeasurands"})
"""What may be set for good at a charger that calls in."""
LONGEST_LEASE_S = 1200
"""A charging profile may hold so long, the time before now in which it begins included."""
VOLTS = 230.0
PINS_OUT = frozenset({"relay", "contact_1", "contact_2"})
"""The wires at a board's pins that may be driven; all others are inputs."""
PIN = "pin/"


class Words(Protocol):
    """A register image."""

    def word(self, address: int) -> int:
        """One word."""


@dataclass(frozen=True, slots=True)
class Block:
    """One model in a device: where it begins, its registers, id and length included."""

    model: int
    address: int
    length: int
    rate_scale: int = 0  # of model 124: the exponent of its rates


def signed(word: int) -> int:
    """A register as a signed number."""
    return word - 0x10000 if word & 0x8000 else word


def storage_share(block: Block, words: Mapping[int, int]) -> float | None:
    """The power that a write to model 124 asks for as a share of the rating, charging positive; None: none."""
    given = [words.get(block.address + offset) for offset in (IN_RATE, OUT_RATE)]
    if given[0] is None or given[1] is None:
        return None
    taken, gives = (signed(word) * 10.0**block.rate_scale / 100.0 for word in given if word is not None)
    return taken if taken >= 0.0 else -gives


def blocks(image: Words) -> tuple[Block, ...]:
    """The models of a SunSpec device; none where the marker is missing."""
    try:
        if (image.word(SUNSPEC_BASE), image.word(SUNSPEC_BASE + 1)) != MARKER:
            return ()
        found = []
        at = SUNSPEC_BASE + 2
        while image.word(at) != END:
            model = image.word(at)
            scale = signed(image.word(at + RATE_SCALE)) if model == 124 else 0
            found.append(Block(model, at, image.word(at + 1) + 2, scale))
            at += found[-1].length
    except IndexError:
        return ()
    return tuple(found)


def written(pdu: bytes) -> dict[int, int]:
    """Address to word of a writing Modbus request (functions 6 and 16); empty for any other."""
    if pdu[0] == 6:
        return {int.from_bytes(pdu[1:3]): int.from_bytes(pdu[3:5])}
    if pdu[0] == 16:
        first, count = int.from_bytes(pdu[1:3]), int.from_bytes(pdu[3:5])
        return {first + i: int.from_bytes(pdu[6 + 2 * i : 8 + 2 * i]) for i in range(count)}
    return {}


def amps_told(message: bytes) -> float | None:
    """The current that a charger's command asks for, 0 where it switches off; None: another command."""
    if (call := called(message)) is not None:
        return _profile_amps(call[1]) if call[0] == "SetChargingProfile" else None
    topic, _, payload = message.partition(b" ")
    if topic.endswith(b"/amp/set"):
        return float(payload)
    return 0.0 if topic.endswith(b"/frc/set") and payload == b"1" else None


def forces_on(message: bytes) -> bool:
    """Whether a charger's command makes it offer the current that was set before, whatever it waited for."""
    return message.endswith(b"/frc/set 2")


def called(message: bytes) -> tuple[str, dict[str, Any]] | None:
    """Action and payload of what a central system asks (OCPP-J); None for any other message."""
    if not message.startswith(b"[2,"):
        return None
    frame = json.loads(message)
    return str(frame[2]), frame[3]


def _schedule(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The schedule of a charging profile in 1.6 or 2.0.1; {} where there is none."""
    profile = payload.get("csChargingProfiles", payload.get("chargingProfile", {}))
    schedule = profile.get("chargingSchedule", {})
    return dict(schedule[0] if isinstance(schedule, list) else schedule)


def _profile_amps(payload: Mapping[str, Any]) -> float | None:
    schedule = _schedule(payload)
    first = schedule.get("chargingSchedulePeriod", [{}])[0]
    if "limit" not in first:
        return None
    watts_per_amp = VOLTS * first.get("numberPhases", 3) if schedule.get("chargingRateUnit") == "W" else 1.0
    return float(first["limit"]) / watts_per_amp


def _stray_call(action: str, payload: Mapping[str, Any]) -> str | None:
    """What of a call is not meant to be: a profile without an end, another one's taken away, another setting."""
    match action:
        case "SetChargingProfile":
            lasts_s = _schedule(payload).get("duration")
            return None if isinstance(lasts_s, int) and lasts_s <= LONGEST_LEASE_S else f"{action} without an end"
        case "ClearChargingProfile":
            fits = {"id", "chargingProfileId"} & payload.keys()
            return None if fits else f"{action} of everything"
        case "ChangeConfiguration":
            names = {payload.get("key")}
        case "SetVariables":
            names = {one["variable"]["name"] for one in payload["setVariableData"]}
        case _:
            return action
    return None if names <= SETTINGS else f"{action} of {', '.join(map(str, names - SETTINGS))}"


def releases_call(message: bytes) -> bool:
    """Whether a call takes a charging profile away."""
    call = called(message)
    return call is not None and call[0] == "ClearChargingProfile"


def wears(message: bytes) -> bool:
    """Whether a message is kept in a device's memory: a value that is set, a charging profile or a setting."""
    return b"/set " in message or called(message) is not None


def switched(message: bytes) -> dict[str, Any] | None:
    """The parameters of a request that switches a contact; None for any other message."""
    topic, _, payload = message.partition(b" ")
    if topic.startswith(PIN.encode()):
        return {"id": topic.decode().removeprefix(PIN), "on": payload.decode()}
    if called(message) is not None or not topic.endswith(b"/rpc"):
        return None
    frame = json.loads(payload)
    params = frame.get("params")
    return params if frame.get("method") == SWITCH_SET and isinstance(params, dict) else None


def stray(message: bytes) -> str | None:
    """What of a message is on no list, in words; None where all of it is meant to be written."""
    if (call := called(message)) is not None:
        return _stray_call(*call)
    topic = message.partition(b" ")[0].decode()
    if any(topic.endswith(f"/{allowed}") for allowed in TOPICS):
        return None
    if topic.startswith(PIN):
        return None if topic.removeprefix(PIN) in PINS_OUT else topic
    params = switched(message)
    if params is None:
        return topic
    contact = params.get("id")
    fits = params.keys() <= SWITCH_PARAMS and isinstance(contact, int) and 0 <= contact < CONTACTS
    return None if fits else f"{topic} {params}"
