"""What must hold between the tables of a profile, every fault with its place."""

import re
from collections.abc import Iterator, Sequence

from cem.driver import Value
from cem_drivers.profiled.schema import ControlRow, Profile, WriteRow
from cem_drivers.profiled.values import read_image
from cem_drivers.profiles.faults import Fault, did_you_mean
from cem_drivers.profiles.tables import controls_of, vocabulary

OURS = {"$setpoint", "$max", "$min"}
GOLDEN_TOLERANCE = 0.002
SG_READY = "heat_pump.sg_ready"
SG_STATES = frozenset({1, 2, 3, 4})  # locked, normal, recommended, forced


def check(profile: Profile) -> Iterator[Fault]:
    """Everything wrong with a profile whose tables are right each for itself."""
    yield from _identity(profile)
    yield from _groups(profile)
    yield from _ids(profile)
    yield from _exponents(profile)
    yield from _derived(profile)
    yield from _controls(profile)
    yield from _goldens(profile)


def _identity(profile: Profile) -> Iterator[Fault]:
    for table, rows in (("points", profile.identify.points), ("finds", profile.identify.finds)):
        for index, row in enumerate(rows):
            try:
                re.compile(row.regex or "")
            except re.error as error:
                yield Fault(("identify", table, index, "regex"), f"no regular expression: {error}")


def _groups(profile: Profile) -> Iterator[Fault]:
    for name, group in profile.group.items():
        if group.stale_s < group.period_s:
            yield Fault(("group", name), f"stale after {group.stale_s:g} s, but read every {group.period_s:g} s only")
    for table, rows in (("value", profile.value), ("point", profile.point)):
        for index, row in enumerate(rows):
            if row.group not in profile.group:
                known = did_you_mean(row.group, [*profile.group])
                yield Fault((table, index, "group"), f"no group {row.group!r}{known}")
            if row.words > profile.link.max_read:
                yield Fault((table, index, "type"), f"{row.words} registers do not fit into link.max_read")


def _ids(profile: Profile) -> Iterator[Fault]:
    known = vocabulary(profile.roles)
    for index, row in enumerate(profile.point):
        if row.id not in known:
            yield Fault(("point", index, "id"), f"{row.id!r} is not in the vocabulary{did_you_mean(row.id, [*known])}")
    for index, value in enumerate(profile.value):
        if value.id in known:
            yield Fault(("value", index, "id"), f"{value.id!r} is a point of the vocabulary; make it a [[point]]")
    seen: set[str] = set()
    tables = {
        "value": [row.id for row in profile.value],
        "point": [row.id for row in profile.point],
        "derive": [row.id for row in profile.derive],
    }
    for table, names in tables.items():
        for index, name in enumerate(names):
            if name in seen:
                yield Fault((table, index, "id"), f"{name!r} is there already")
            seen.add(name)


def _exponents(profile: Profile) -> Iterator[Fault]:
    by_id = {row.id: row for row in profile.value}
    for table, rows in (("value", profile.value), ("point", profile.point)):
        for index, row in enumerate(rows):
            if row.exponent is None:
                continue
            factor = by_id.get(row.exponent)
            if factor is None:
                known = did_you_mean(row.exponent, [*by_id])
                yield Fault((table, index, "exponent"), f"no [[value]] {row.exponent!r}{known}")
            elif factor.group != row.group:
                yield Fault((table, index, "exponent"), f"{row.exponent!r} is read in another group")


def _derived(profile: Profile) -> Iterator[Fault]:
    known = [row.id for row in profile.rows]
    for index, row in enumerate(profile.derive):
        for source in row.sources:
            if source not in known:
                yield Fault(
                    ("derive", index), f"{source!r} is read or derived nowhere above{did_you_mean(source, known)}"
                )
        known.append(row.id)


def _controls(profile: Profile) -> Iterator[Fault]:
    offered = controls_of(profile.roles)
    known = [row.id for row in profile.rows] + [row.id for row in profile.derive]
    published = [name for name in known if name in vocabulary(profile.roles)]
    for index, control in enumerate(profile.control):
        at = ("control", index)
        if control.id not in offered:
            yield Fault((*at, "id"), f"{control.id!r} is no control{did_you_mean(control.id, offered)}")
        effect = control.verify.effect if control.verify is not None else None
        if effect is not None and (effect not in published or effect.split(".")[0] != control.id.split(".")[0]):
            yield Fault((*at, "verify", "effect"), f"no point {effect!r}{did_you_mean(effect, published)}")
        for key, amount in (("min", control.limits.min), ("max", control.limits.max)):
            if isinstance(amount, str) and amount.lstrip("-")[1:] not in known:
                yield Fault(
                    (*at, "limits", key), f"{amount!r} is read nowhere{did_you_mean(amount.lstrip('-$'), known)}"
                )
        yield from _states(control, at)
        if control.includes and control.id != "pv.limit_w":
            yield Fault((*at, "includes"), "it is for pv.limit_w: what else the inverter gives under the same limit")
        for place, name in enumerate(control.includes):
            if name not in known:
                yield Fault((*at, "includes", place), f"{name!r} is read nowhere{did_you_mean(name, known)}")
        for place, need in enumerate(control.requires):
            if need.of not in known:
                yield Fault(
                    (*at, "requires", place, "of"), f"{need.of!r} is read nowhere{did_you_mean(need.of, known)}"
                )
        yield from _writes(control, at, known)
        yield from _traps(control, at)


def _traps(control: ControlRow, at: tuple[str | int, ...]) -> Iterator[Fault]:
    """What reads well and does harm: a release that releases nothing, a set point that its register can't hold."""
    undone = {row.at for row in control.release}
    for path, rows in (("write", control.write), ("write_negative", control.write_negative)):
        if rows and not undone & {row.at for row in rows}:
            yield Fault((*at, "release"), f"it touches no register that {path!r} sets, so the device would not let go")
    lowest, highest = control.limits.min, control.limits.max
    below_zero = isinstance(lowest, str) or lowest < 0
    for path, rows in (("write", control.write), ("write_negative", control.write_negative)):
        for index, row in enumerate(rows):
            if not row.moves or row.per is not None:
                continue
            unsigned = row.type.startswith(("uint", "bitfield")) and not row.offset
            negated = row.value == "-$setpoint"
            one_sided = path == "write_negative" or bool(control.write_negative) or not below_zero
            if unsigned and (not one_sided or negated is not (path == "write_negative")):
                yield Fault((*at, path, index, "type"), f"a set point below 0 does not fit into {row.type}")
            largest = abs(lowest) if path == "write_negative" and not isinstance(lowest, str) else highest
            if not isinstance(largest, str) and not _fits(row, (largest + abs(row.offset)) / abs(row.scale)):
                yield Fault((*at, path, index, "type"), f"{largest:g} divided by {row.scale:g} is more than it holds")


def _fits(row: WriteRow, raw: float) -> bool:
    """Whether a register of this type can hold a magnitude."""
    if row.type.startswith("float"):
        return True
    bits = int(row.type[-2:]) - row.type.startswith("int")
    return raw < float(2**bits)


def _states(control: ControlRow, at: tuple[str | int, ...]) -> Iterator[Fault]:
    """A control of states tells what is written for each; SG Ready has exactly four."""
    if control.id == SG_READY and control.states != SG_STATES:
        seen = ", ".join(str(state) for state in sorted(control.states)) or "none"
        yield Fault((*at, "write"), f"SG Ready needs 'codes' for the states 1, 2, 3 and 4; seen: {seen}")
    if control.states:
        bounds = {"min": (control.limits.min, min(control.states)), "max": (control.limits.max, max(control.states))}
        for key, (amount, bound) in bounds.items():
            if amount != bound:
                yield Fault((*at, "limits", key), f"{amount}, but 'codes' go to {bound}")


def _writes(control: ControlRow, at: tuple[str | int, ...], known: Sequence[str]) -> Iterator[Fault]:
    lists: list[tuple[tuple[str, ...], list[WriteRow]]] = [
        (("write",), control.write),
        (("write_zero",), control.write_zero),
        (("write_negative",), control.write_negative),
        (("release",), control.release),
        (("device_timeout", "arm"), control.device_timeout.arm if control.device_timeout else []),
        (("heartbeat", "write"), control.heartbeat.write if control.heartbeat else []),
    ]
    for path, rows in lists:
        for index, row in enumerate(rows):
            place = (*at, *path, index)
            name = row.value.lstrip("-") if isinstance(row.value, str) else None
            if name is not None and name not in OURS and name[1:] not in known:
                yield Fault((*place, "value"), f"{row.value!r} is read nowhere{did_you_mean(name[1:], known)}")
            if row.moves and path not in {("write",), ("write_negative",)}:
                yield Fault((*place, "value"), "only 'write' and 'write_negative' carry the set point")
            if row.per is not None and row.per not in known:
                yield Fault((*place, "per"), f"{row.per!r} is read nowhere{did_you_mean(row.per, known)}")


def _goldens(profile: Profile) -> Iterator[Fault]:
    known = [row.id for row in profile.rows] + [row.id for row in profile.derive]
    for index, golden in enumerate(profile.golden):
        image: dict[tuple[int, int], int] = {}
        for place, words in golden.regs.items():
            function, first = place.split(":")
            image |= {(int(function), int(first) + offset): word for offset, word in enumerate(words)}
        read = read_image(profile, image)
        for name, wanted in golden.expect.items():
            at = ("golden", index, "expect")
            if name not in known:
                yield Fault(at, f"no value {name!r}{did_you_mean(name, known)}")
            elif name not in read:
                yield Fault(at, f"{name}: the case has not all of its registers")
            elif not _meant(read[name].value, wanted):
                yield Fault(at, f"{name}: read as {read[name].value}, the case says {wanted}")


def _meant(value: Value, wanted: float | str) -> bool:
    """Whether a value is what a golden case says: numbers within what a document rounds away."""
    if isinstance(value, float | int) and isinstance(wanted, float | int):
        return abs(value - wanted) <= max(abs(wanted) * GOLDEN_TOLERANCE, 1e-6)
    return value == wanted or (value is None and wanted == "none")
