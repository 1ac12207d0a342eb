"""Cross-checks: what no single key can tell. Each function looks for one kind of fault and yields it as a line."""

from collections.abc import Callable, Iterable, Iterator
from zoneinfo import ZoneInfo, available_timezones

from cem.config.contact_checks import CONTACT_CHECKS
from cem.config.device_checks import DEVICE_CHECKS
from cem.config.draft import Draft
from cem.config.provider_checks import PROVIDER_CHECKS
from cem.config.push_checks import PUSH_CHECKS
from cem.config.schema import HABIT
from cem.config.tariff_checks import TARIFF_CHECKS
from cem.config.vtn_checks import VTN_CHECKS
from cem.config.words import did_you_mean, duplicates, fault, one_of, shown
from cem.model.envelope import SITE
from cem.model.resource import Role
from cem.model.site import LoadRun

Check = Callable[[Draft], Iterator[str]]

LONGEST_SOCKET_PATH = 107  # bytes, sockaddr_un of Linux


def unknown_timezone(draft: Draft) -> Iterator[str]:
    """The time zone must be in the tz database of this machine."""
    if draft.zone is None:
        return
    try:
        ZoneInfo(draft.zone)
    except (KeyError, ValueError, OSError):
        yield fault(
            "timezone",
            shown(draft.zone),
            "a name of the tz database such as Europe/Berlin is needed",
            did_you_mean(draft.zone, available_timezones()),
        )


def limit_above_fuse(draft: Draft) -> Iterator[str]:
    """A contract limit above the fuse is a slip of the pen: the fuse would never let it through."""
    if (connection := draft.connection) is None or not draft.sure("connection.nominal_voltage_v"):
        return
    fuse_w = connection.fuse_a * connection.phases * connection.nominal_voltage_v
    for key in ("import_limit_w", "export_limit_w"):
        limit_w = getattr(connection, key)
        if limit_w is not None and limit_w > fuse_w:
            yield fault(
                f"connection.{key}",
                shown(limit_w),
                f"at most the fuse's {fuse_w:g} W ({connection.fuse_a:g} A, {connection.phases} phases, "
                f"{connection.nominal_voltage_v:g} V)",
            )


def tick_slower_than_meter(draft: Draft) -> Iterator[str]:
    """The control loop must run at least twice before a meter reading is too old."""
    if not draft.sure("connection.meter_stale_s"):
        return
    if draft.connection is None or draft.tick_s is None or draft.tick_s * 2 <= draft.connection.meter_stale_s:
        return
    yield fault(
        "control.tick_s",
        shown(draft.tick_s),
        f"at most half of connection.meter_stale_s ({draft.connection.meter_stale_s:g} s)",
    )


def socket_path_too_long(draft: Draft) -> Iterator[str]:
    """A unix socket's path is bounded by the kernel."""
    path = str(draft.folder.absolute() / draft.socket)
    if (length := len(path.encode())) > LONGEST_SOCKET_PATH:
        yield fault("api.socket", f"{length} bytes as {path}", f"at most {LONGEST_SOCKET_PATH} bytes with its folder")


def goal_without_car(draft: Draft) -> Iterator[str]:
    """A goal names a charging point of this site."""
    yield from _unfit(draft, Role.EV, ((f"goal[{i}].resource", goal.resource) for i, goal in draft.goals.items()))


def goal_without_amount(draft: Draft) -> Iterator[str]:
    """A goal says how much: either in energy or as a state of charge; one that is learnt says nothing."""
    for index, goal in draft.goals.items():
        sure = draft.sure(f"goal[{index}].energy_wh", f"goal[{index}].soc_pct", f"goal[{index}].ready_by")
        if sure and goal.ready_by is None:
            if goal.energy_wh is not None or goal.soc_pct is not None:
                seen = "an amount beside a time that is learnt"
                yield fault(f"goal[{index}]", seen, f'with ready_by = "{HABIT}" the amount is learnt too: leave it out')
        elif sure and (goal.energy_wh is None) == (goal.soc_pct is None):
            seen = "neither energy_wh nor soc_pct" if goal.energy_wh is None else "both energy_wh and soc_pct"
            yield fault(f"goal[{index}]", seen, "exactly one of the two")


def goal_twice(draft: Draft) -> Iterator[str]:
    """One goal per car and time of day."""
    timed = [
        (f"goal[{i}]", f"{g.resource} by {g.ready_by:%H:%M}") for i, g in draft.goals.items() if g.ready_by is not None
    ]
    yield from duplicates(timed, "one goal per car and time")
    for index, goal in draft.goals.items():
        others = [i for i, other in draft.goals.items() if i != index and other.resource == goal.resource]
        if draft.sure(f"goal[{index}].ready_by") and goal.ready_by is None and others:
            seen = f"goal[{others[0]}] is of {goal.resource} too"
            yield fault(f"goal[{index}].ready_by", seen, f'a car with ready_by = "{HABIT}" has no other goal')


def battery_policy_without_battery(draft: Draft) -> Iterator[str]:
    """A policy names a battery of this site."""
    batteries = ((f"battery[{i}].resource", policy.resource) for i, policy in draft.batteries.items())
    yield from _unfit(draft, Role.BATTERY, batteries)


def battery_policy_twice(draft: Draft) -> Iterator[str]:
    """One policy per battery."""
    policies = ((f"battery[{i}].resource", policy.resource) for i, policy in draft.batteries.items())
    yield from duplicates(policies, "one [[battery]] per battery")


def load_policy_without_load(draft: Draft) -> Iterator[str]:
    """A policy names a switched load or a heat pump of this site, once."""
    uses = [(f"load[{i}].resource", policy.resource) for i, policy in draft.loads.items()]
    heat_pumps = {item.id for _, _, item in draft.resources() if item.role is Role.HEAT_PUMP}
    yield from _unfit(draft, Role.LOAD, (use for use in uses if use[1] not in heat_pumps))
    yield from duplicates(uses, "one [[load]] per load")


def comfort_reversed(draft: Draft) -> Iterator[str]:
    """A comfort band has room in it, and is a heat pump's: nothing else tells a temperature."""
    roles = {item.id: item.role for _, _, item in draft.resources()}
    for index, policy in draft.loads.items():
        low_c, high_c = policy.comfort_min_c, policy.comfort_max_c
        path = f"load[{index}].comfort_min_c"
        if low_c is not None and high_c is not None and low_c >= high_c:
            yield fault(path, shown(low_c), f"below comfort_max_c ({high_c:g})")
        if (low_c, high_c) != (None, None) and roles.get(policy.resource, Role.HEAT_PUMP) is not Role.HEAT_PUMP:
            yield fault(path, f"{policy.resource!r} tells no temperature", "a comfort band is of a heat_pump")


def run_without_sense(draft: Draft) -> Iterator[str]:
    """What has to run every day is said once, of a load that the plan may switch on."""
    for index, policy in draft.loads.items():
        if policy.daily_wh is not None and policy.profile_w:
            yield fault(f"load[{index}].daily_wh", "there is a profile_w, too", "one of the two")
        planned = "daily_wh" if policy.daily_wh is not None else "profile_w" if policy.profile_w else None
        if planned is not None and policy.runs is not LoadRun.ON_SURPLUS:
            yield fault(f"load[{index}].{planned}", f"it runs {policy.runs.value!r}", 'runs = "on_surplus"')


def store_without_band(draft: Draft) -> Iterator[str]:
    """Heat can be planned between two temperatures."""
    for index, policy in draft.loads.items():
        if policy.store_litres is not None and None in {policy.comfort_min_c, policy.comfort_max_c}:
            path = f"load[{index}].store_litres"
            yield fault(path, "no comfort band", "comfort_min_c and comfort_max_c beside it")


def circuit_twice(draft: Draft) -> Iterator[str]:
    """Circuit ids are unique."""
    ids = ((f"circuit[{i}].id", circuit.id) for i, circuit in draft.circuits.items())
    yield from duplicates(ids, "every circuit needs an id of its own")


def circuit_of_strangers(draft: Draft) -> Iterator[str]:
    """The members of a circuit are resources of this site, and not its meter."""
    roles = {resource.id: resource.role for _, _, resource in draft.resources()}
    fitting = [name for name, role in roles.items() if role is not Role.GRID]
    for i, circuit in draft.circuits.items():
        for position, name in enumerate(circuit.members):
            path = f"circuit[{i}].members[{position}]"
            if roles.get(name) is Role.GRID:
                yield fault(path, f"{name!r} is the grid meter", one_of(fitting))
            elif name not in roles and draft.devices_whole:
                yield fault(path, f"no resource {name!r} in this site", one_of(fitting), did_you_mean(name, fitting))


def group_unfit(draft: Draft) -> Iterator[str]:
    """A group has a name that no resource has, and members of this site that do something."""
    roles = {resource.id: resource.role for _, _, resource in draft.resources()}
    fitting = [name for name, role in roles.items() if role not in (Role.GRID, Role.CONTACTS)]
    ids = [(f"group[{i}].id", group.id) for i, group in draft.groups.items()]
    yield from duplicates(ids, "every group needs an id of its own")
    for i, group in draft.groups.items():
        if group.id in roles or group.id == SITE:
            yield fault(f"group[{i}].id", shown(group.id), "a resource has this id; choose another")
        yield from duplicates(
            [(f"group[{i}].members[{position}]", name) for position, name in enumerate(group.members)],
            "each member is named once",
        )
        for position, name in enumerate(group.members):
            if name not in fitting and (name in roles or draft.devices_whole):
                path = f"group[{i}].members[{position}]"
                yield fault(path, shown(name), one_of(fitting), did_you_mean(name, fitting))


def _unfit(draft: Draft, role: Role, uses: Iterable[tuple[str, str]]) -> Iterator[str]:
    roles = {resource.id: resource.role for _, _, resource in draft.resources()}
    fitting = [name for name, its_role in roles.items() if its_role is role]
    for path, name in uses:
        if name in roles and roles[name] is not role:
            yield fault(path, f"{name!r} has the role {roles[name]}", f"needed: role {role}; {one_of(fitting)}")
        elif name not in roles and draft.devices_whole:
            yield fault(path, f"no resource {name!r} in this site", one_of(fitting), did_you_mean(name, fitting))


SITE_CHECKS: tuple[Check, ...] = (
    unknown_timezone,
    limit_above_fuse,
    tick_slower_than_meter,
    socket_path_too_long,
    *TARIFF_CHECKS,
)
WISH_CHECKS: tuple[Check, ...] = (
    goal_without_car,
    goal_without_amount,
    goal_twice,
    battery_policy_without_battery,
    battery_policy_twice,
    load_policy_without_load,
    run_without_sense,
    store_without_band,
    comfort_reversed,
    circuit_twice,
    circuit_of_strangers,
    group_unfit,
)
CHECKS: tuple[Check, ...] = (
    *SITE_CHECKS,
    *DEVICE_CHECKS,
    *CONTACT_CHECKS,
    *WISH_CHECKS,
    *PROVIDER_CHECKS,
    *VTN_CHECKS,
    *PUSH_CHECKS,
)
"""All of them, in the order in which their faults are told."""


def cross_faults(draft: Draft) -> list[str]:
    """Every fault that the checks find."""
    return [line for check in CHECKS for line in check(draft)]
