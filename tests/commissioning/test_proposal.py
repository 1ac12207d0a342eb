"""From what was found to device tables."""

from cem.commissioning.proposal import Proposal, propose
from cem.commissioning.targets import Link
from cem.model.resource import Control, Ratings, Role
from cem.ports import Found, Identity

Part = tuple[Role, Ratings, frozenset[Control]]
METER: Part = (Role.GRID, Ratings(), frozenset())
PV: Part = (Role.PV, Ratings(max_generation_w=8000), frozenset({Control.PV_LIMIT_W}))
BATTERY: Part = (Role.BATTERY, Ratings(max_charge_w=5000), frozenset({Control.BATTERY_SETPOINT_W}))
EV: Part = (Role.EV, Ratings(), frozenset({Control.EV_LIMIT_A}))
RELAY: Part = (Role.LOAD, Ratings(phases=1), frozenset({Control.LOAD_ON}))


def found(serial: str, *parts: Part, port: int = 502) -> Found:
    link: Link = {"kind": "tcp", "host": "h", "port": port, "unit": 1}
    return Found("toy", None, Identity("Toys", "Brick", serial), link, parts, 1.0)


def proposed(*items: Found, grid_serial: str | None = None, read_only: tuple[str, ...] = ()) -> Proposal:
    return propose(items, phases=3, fuse_a=35, grid_serial=grid_serial, read_only=read_only)


def ids(proposal: Proposal) -> list[tuple[str, list[str]]]:
    return [(device.id, [item.id for item in device.resource]) for device in proposal.devices]


def test_ids_say_what_a_thing_is_and_are_unique() -> None:
    proposal = proposed(found("M", METER), found("1", PV), found("2", PV), found("3", PV, BATTERY), found("4", EV))
    assert ids(proposal) == [
        ("meter", ["grid"]),
        ("inverter", ["pv"]),
        ("inverter2", ["pv2"]),
        ("hybrid", ["pv3", "battery"]),
        ("charger", ["car"]),
    ]


def test_a_meter_of_its_own_is_taken_before_one_inside_an_inverter() -> None:
    proposal = proposed(found("I", PV, METER), found("M", METER))
    assert ids(proposal) == [("inverter", ["pv"]), ("meter", ["grid"])]
    assert "--grid SERIAL chooses another" in proposal.notes[0]


def test_the_meter_that_was_named_is_taken() -> None:
    proposal = proposed(found("A", METER), found("B", METER), grid_serial="B")
    assert [device.serial for device in proposal.devices] == ["B"]


def test_a_device_seen_twice_is_one_device() -> None:
    proposal = proposed(found("M", METER), found("M", METER, port=1502))
    assert [device.link["port"] for device in proposal.devices] == [502]
    assert "answers at h:502 unit 1 and at h:1502 unit 1" in proposal.notes[0]


def test_a_device_without_serial_number_is_never_written() -> None:
    proposal = proposed(found("", PV))
    assert proposal.devices[0].read_only
    assert "only read, never written" in proposal.notes[0]


def test_a_device_may_be_kept_from_writing_by_serial_or_id() -> None:
    assert [d.read_only for d in proposed(found("1", PV), found("2", BATTERY), read_only=("1", "storage")).devices] == [
        True,
        True,
    ]


def test_an_unknown_charger_current_is_taken_cautiously_and_said() -> None:
    proposal = proposed(found("4", EV))
    assert proposal.devices[0].resource[0].max_current_a == 16
    assert "16 A is taken" in proposal.notes[0]


def test_ratings_that_the_device_tells_are_kept() -> None:
    pv = proposed(found("1", PV)).devices[0].resource[0]
    assert (pv.max_generation_w, pv.controls) == (8000, (Control.PV_LIMIT_W,))


def test_a_charger_that_tells_its_largest_current_is_believed() -> None:
    told: Part = (Role.EV, Ratings(max_current_a=32), frozenset({Control.EV_LIMIT_A}))
    proposal = proposed(found("4", told))
    assert proposal.devices[0].resource[0].max_current_a == 32
    assert proposal.notes == ()


def test_a_relay_is_switched_only_where_somebody_says_what_hangs_on_it() -> None:
    unknown = proposed(found("5", RELAY))
    assert unknown.devices[0].resource[0].controls == ()
    assert "measured and not switched; --max-power 5=WATTS" in unknown.notes[0]
    for name in ("5", "appliance"):
        known = propose([found("5", RELAY)], phases=3, fuse_a=35, max_power_w={name: 2000.0})
        load = known.devices[0].resource[0]
        assert (load.max_power_w, load.phases, load.controls) == (2000.0, 1, (Control.LOAD_ON,))
        assert known.notes == ()
