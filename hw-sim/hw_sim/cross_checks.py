"""What a home file must satisfy beyond each table's own rules."""

from collections import Counter
from pathlib import Path

from pydantic import ValidationError

from hw_sim.happenings import BROKER, EVENTS, FAULTS, PROFILE_NEEDS, STEERED, EventSpec, FaultSpec, extra_keys
from hw_sim.homefile import NEEDS, Home
from hw_sim.physics.recording import Recording, RecordingError
from hw_sim.profiled.find import ROLES, ProfileError, did_you_mean, read_profile
from hw_sim.profiled.identity import Identity, NoIdentity
from hw_sim.profiled.steering import Fallback
from hw_sim.specs import ON_PINS, PROFILE, QUIRKS, DeviceSpec, Table

_HIGHEST_ON_LINE = 247  # Modbus over Serial Line V1.02, 2.2


def home_faults(home: Home) -> list[str]:
    """Every fault with its path; an empty list where the home is fine."""
    faults = _plant_faults(home) + _load_faults(home) + _recorded_faults(home)
    tables = {spec.id: table for table, _, spec in home.plants()}
    faults += _device_faults(home, tables)
    for i, event in enumerate(home.event):
        faults += [f"event.{i}.{fault}" for fault in _event_faults(home, event)]
    for i, fault in enumerate(home.fault):
        faults += [f"fault.{i}.{one}" for one in faults_of_fault(home, fault)]
    return faults


def _plant_faults(home: Home) -> list[str]:
    faults: list[str] = []
    seen: set[str] = set()
    for table, i, spec in home.plants():
        if spec.id in seen:
            faults.append(f"{table}.{i}.id: '{spec.id}' is there twice; each plant needs an id of its own")
        seen.add(spec.id)
        if home.grid.phases == 1 and (spec.phases != 1 or spec.phase != 1):
            faults.append(f"{table}.{i}.phases: the house has one phase; allowed: phases = 1, phase = 1")
    for i, battery in enumerate(home.battery):
        if battery.min_soc_pct >= battery.max_soc_pct:
            faults.append(f"battery.{i}.min_soc_pct: {battery.min_soc_pct} is not below max_soc_pct")
        if battery.forms_grid and battery.min_soc_pct < 1.0:
            faults.append(f"battery.{i}.min_soc_pct: {battery.min_soc_pct}; one that forms a grid keeps at least 1")
    for i, pump in enumerate(home.heat_pump):
        steps = (pump.comfort_min_c, pump.comfort_max_c, pump.recommended_c, pump.forced_c)
        if list(steps) != sorted(steps):
            faults.append(f"heat_pump.{i}.comfort_min_c: comfort_min, comfort_max, recommended and forced have to rise")
        if pump.min_w > pump.max_w:
            faults.append(f"heat_pump.{i}.min_w: {pump.min_w} is above max_w")
    return faults


def _recorded_faults(home: Home) -> list[str]:
    """Recordings that can't be used."""
    faults: list[str] = []
    recordings = [("load", home.load.recorded), *((f"pv.{i}", roof.recorded) for i, roof in enumerate(home.pv))]
    for path, spec in recordings:
        try:
            if spec is not None:
                Recording(spec)
        except RecordingError as error:
            faults.append(f"{path}.recorded: {error}")
    return faults


def _load_faults(home: Home) -> list[str]:
    faults: list[str] = []
    shares = home.load.phase_pct
    if shares is not None and abs(sum(shares) - 100.0) > 0.01:
        faults.append(f"load.phase_pct: {sum(shares)} in all; allowed: 100")
    for i, appliance in enumerate(home.load.appliance):
        if home.grid.phases == 1 and appliance.phase not in {None, 1}:
            faults.append(f"load.appliance.{i}.phase: the house has one phase")
    return faults


def _device_faults(home: Home, tables: dict[str, str]) -> list[str]:
    faults: list[str] = []
    seen: set[str] = set()
    fronted: set[str] = set()
    ports: set[int] = {home.mqtt.port} if home.mqtt.embedded else set()
    serials: set[tuple[str, str]] = set()
    pins: set[int] = set()
    for i, device in enumerate(home.device):
        if device.id in seen or device.id == BROKER:
            why = "is the broker's name" if device.id == BROKER else "is there twice"
            faults.append(f"device.{i}.id: '{device.id}' {why}")
        seen.add(device.id)
        faults += [f"device.{i}.{fault}" for fault in _faults_of(home, device, tables, fronted)]
        if device.over_mqtt:
            if (device.kind, device.serial) in serials:
                faults.append(f"device.{i}.serial: '{device.serial}' is there twice; each needs one of its own")
            serials.add((device.kind, device.serial))
        elif device.calls_in:
            if (device.kind, device.called) in serials:
                faults.append(f"device.{i}.identity: '{device.called}' is there twice; each needs one of its own")
            serials.add((device.kind, device.called))
        elif device.on_pins:
            faults += [f"device.{i}.pins.{fault}" for fault in _pin_faults(device, pins)]
        else:
            if device.on_line and device.tty is not None and device.line != "pty":
                faults.append(f"device.{i}.tty: for line = 'pty' only")
            if device.port and device.port in ports:
                faults.append(f"device.{i}.port: {device.port} is taken already")
            ports.add(device.port)
    if not home.mqtt.embedded and home.mqtt.port == 0 and any(device.over_mqtt for device in home.device):
        faults.append("mqtt.port: 0; an existing broker needs its port, or say embedded = true")
    return faults


def _pin_faults(device: DeviceSpec, taken: set[int]) -> list[str]:
    """What is wrong with the pins of a device, each with the pin's name."""
    needed, more = ON_PINS[device.kind]
    known = ", ".join(sorted(needed | more))
    faults = [f"{name}: missing on a '{device.kind}'" for name in sorted(needed - device.pins.keys())]
    faults += [f"{name}: not of a '{device.kind}'; known: {known}" for name in device.pins if name not in needed | more]
    if not device.pins and not needed:
        faults.append(f": none; at least one of {known} is needed")
    for name, number in device.pins.items():
        if number in taken:
            faults.append(f"{name}: pin {number} is taken already")
        taken.add(number)
    return faults


def _faults_of(home: Home, device: DeviceSpec, tables: dict[str, str], fronted: set[str]) -> list[str]:
    """What is wrong with what a device stands in front of."""
    if device.kind == PROFILE:
        return _profile_faults(home, device, tables, fronted)
    faults = [
        f"{key}: only a '{PROFILE}' has one" for key in ("profile", "falls_back") if getattr(device, key) is not None
    ]
    if device.link and (device.over_mqtt or device.calls_in or device.on_pins or device.on_line):
        faults.append("link: only a Modbus device has one")
    if device.tty and (device.over_mqtt or device.calls_in or device.on_pins):
        faults.append("tty: only a device on a serial line has one")
    if faults:
        return faults
    needed = NEEDS[device.kind]
    given = home.of(device)
    unknown = [plant for plant in given if plant not in tables]
    if unknown:
        return [f"of: no plant '{plant}'; known: {', '.join(tables) or 'none'}" for plant in unknown]
    found = Counter(tables[plant] for plant in given)
    if device.of is None and (missing := [table for table in needed if not found[table]]):
        return [f"kind: '{device.kind}' needs a [[{table}]] table" for table in missing]
    if device.of is None and any(found[table] > 1 for table in needed):
        return [f"of: '{device.kind}' has several plants to choose from; name its own: {', '.join(given)}"]
    if found != Counter(needed):
        return [f"of: '{device.kind}' stands in front of exactly one of each: {', '.join(needed) or 'nothing'}"]
    twice = [plant for plant in given if plant in fronted]
    fronted.update(given)
    return [f"of: '{plant}' has a device already" for plant in twice]


def _profile_faults(home: Home, device: DeviceSpec, tables: dict[str, str], fronted: set[str]) -> list[str]:
    """What is wrong with a device that has a profile, and with the profile itself."""
    if device.profile is None:
        return ["profile: missing; an id of the catalogue, or the path of a .toml file"]
    if device.of is None:
        return []  # `tied` has said why
    unknown = [plant for plant in device.of if plant not in tables]
    if unknown:
        return [f"of: no plant '{plant}'; {did_you_mean(plant, [*tables])}" for plant in unknown]
    faults: list[str] = []
    try:
        profile = read_profile(Path(device.profile))
        Identity(profile, device.id, device.serial)
        Identity(profile, device.id, device.serial, stranger=True)
    except (ProfileError, NoIdentity) as fault:
        return [f"serial: {fault}"]
    found = Counter(tables[plant] for plant in device.of)
    allowed = [table for role in profile.roles if (table := ROLES[role]) is not None]
    strange = [plant for plant in device.of if tables[plant] not in allowed]
    faults += [
        f"of: '{plant}' is nothing for '{profile.id}'; its tables: {', '.join(allowed) or 'none'}" for plant in strange
    ]
    faults += [f"of: {n} of [[{table}]]; one at most" for table, n in found.items() if n > 1]
    if not device.of and "grid" not in profile.roles:
        faults.append(f"profile: '{profile.id}' needs a {' or '.join(f'[[{table}]]' for table in allowed)} table")
    if device.link == "rtu" and device.unit > _HIGHEST_ON_LINE:
        faults.append(f"unit: {device.unit}; on a serial line at most {_HIGHEST_ON_LINE}")
    if device.falls_back is not None and device.falls_back not in [*Fallback] and not _is_number(device.falls_back):
        faults.append(f"falls_back: '{device.falls_back}'; allowed: {', '.join(Fallback)}, or a number")
    twice = [plant for plant in device.of if plant in fronted]
    fronted.update(device.of)
    return faults + [f"of: '{plant}' has a device already" for plant in twice]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _key_faults(spec: EventSpec | FaultSpec, taken: frozenset[str]) -> list[str]:
    wrong = sorted(extra_keys(spec) - taken)
    allowed = ", ".join(sorted(taken)) or "none"
    return [f"{key}: not for '{spec.kind}'; its keys: {allowed}" for key in wrong]


def _event_faults(home: Home, event: EventSpec) -> list[str]:
    rule = EVENTS[event.kind]
    faults = _key_faults(event, rule.needed | rule.optional)
    if rule.needed and not rule.needed & extra_keys(event):
        faults.append(f"kind: '{event.kind}' needs {' or '.join(sorted(rule.needed))}")
    if not rule.targets:
        return faults + ([f"target: '{event.kind}' has none"] if event.target is not None else [])
    known = _specs_of(home, event.target)
    if rule.targets.isdisjoint(known):
        these = [spec.id for table, _, spec in home.plants() if table in rule.targets]
        these += [device.id for device in home.device] if "device" in rule.targets else []
        return [*faults, f"target: '{event.target}' is none for '{event.kind}'; known: {', '.join(these) or 'none'}"]
    device = known.get("device")
    if event.kind == "contact" and isinstance(device, DeviceSpec) and event.contact not in device.pins:
        wired = ", ".join(sorted(device.pins)) or "none"
        faults.append(f"contact: '{event.contact}' is not wired at '{event.target}'; there: {wired}")
    return faults if event.set is None else faults + _quirk_faults(known, event.set)


def _specs_of(home: Home, name: str | None) -> dict[str, Table]:
    """What has this id, by table: a plant, a device, or one of each."""
    found: dict[str, Table] = {table: spec for table, _, spec in home.plants() if spec.id == name}
    device = next((one for one in home.device if one.id == name), None)
    return found if device is None else found | {"device": device}


def _quirk_faults(specs: dict[str, Table], values: dict[str, object]) -> list[str]:
    allowed = sorted(set().union(*(QUIRKS[table] for table in specs)))
    wrong = sorted(set(values) - set(allowed))
    if wrong:
        return [f"set.{key}: not to be set; allowed: {', '.join(allowed)}" for key in wrong]
    faults: list[str] = []
    for table, spec in specs.items():
        own = {key: value for key, value in values.items() if key in QUIRKS[table]}
        try:
            type(spec).model_validate({**spec.model_dump(), **own})
        except ValidationError as exc:
            faults += [f"set.{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in exc.errors()]
    return faults


def faults_of_fault(home: Home, fault: FaultSpec) -> list[str]:
    """What is wrong with a fault for this home, each with its key."""
    kinds = {device.id: str(device.kind) for device in home.device} | {BROKER: BROKER}
    rule = FAULTS[fault.kind]
    faults = _key_faults(fault, rule.keys)
    kind = kinds.get(fault.target)
    if kind is None:
        return [*faults, f"target: no device '{fault.target}'; known: {', '.join(kinds)}"]
    if kind == PROFILE and kind in rule.devices:
        return faults + _profile_fault_faults(home, fault)
    if kind not in rule.devices:
        faults.append(f"target: '{fault.kind}' is nothing for a '{kind}'; allowed: {', '.join(sorted(rule.devices))}")
    return faults


def _profile_fault_faults(home: Home, fault: FaultSpec) -> list[str]:
    """Whether a fault can befall the device of a profile."""
    device = home.find(fault.target)
    if device.profile is None or device.of is None:
        return []
    profile = read_profile(Path(device.profile))
    role = PROFILE_NEEDS.get(fault.kind)
    table = ROLES.get(role) if role is not None else None
    there = table is None or any(one == table and spec.id in device.of for one, _, spec in home.plants())
    if role is not None and (role not in profile.roles or not there):
        return [f"target: '{fault.kind}' is nothing for '{profile.id}': it has no {role}"]
    if fault.kind in STEERED and not profile.control:
        return [f"target: '{fault.kind}' is nothing for '{profile.id}': it has no control"]
    return []
