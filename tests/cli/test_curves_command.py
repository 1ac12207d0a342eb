"""`cem curves` against a device on real bytes: read, shown before and after, asked, adopted, read back."""

import asyncio
import json
import socket
import struct
from pathlib import Path
from typing import Any

import pytest
import sunspec2.device
from click.testing import CliRunner, Result

from cem.cli.main import main
from support.modbus_wire import Registers, common_model, inverter_103, nameplate_120, sunspec_map, wire_server
from support.sunspec_curves import Adopting, curve_words

SITE = """
site = 1
name = "House"
timezone = "Europe/Berlin"
{more}
[api]
socket = "cem.sock"
[connection]
phases = 3
fuse_a = 35
[tariff]
base_price_per_kwh = 0.3
[[device]]
id = "inverter"
driver = "sunspec"
{serial}
link = {{ host = "127.0.0.1", port = {port}, timeout_s = 1.0 }}
[[device.resource]]
id = "roof"
role = "pv"
[[device]]
id = "meter"
driver = "modbus"
profile = "eastron.sdm630"
link = {{ kind = "rtu-tcp", host = "127.0.0.1", port = 9 }}
[[device.resource]]
id = "grid"
role = "grid"
"""
VOLT_VAR = """
[[curve]]
function = "volt-var"
points = [[92, 44], [98, 0], [102, 0.0], [108, -44]]
settings = { RspTms = 5 }
"""
TRIP = """
[[curve]]
function = "low-voltage-trip"
must_trip = [[45, 2], [86, 21]]
"""
HELD = {"MustTrip": ((50, 2), (88, 21)), "MayTrip": ((50, 1), (88, 20)), "MomCess": ()}
WARNED = "low-voltage-trip: protection settings of the grid code"


class Stage:
    """The device, the folder of the site file, and the command."""

    def __init__(self, folder: Path, verdict: int = 1, words: list[int] | None = None) -> None:
        self.folder = folder
        self.registers = Registers()
        words = curve_words(705) if words is None else words
        models = [common_model("SN-1"), inverter_103(-500), nameplate_120(8000), words]
        sunspec_map(self.registers, models)
        self.address = 40002 + sum(len(model) for model in models[:-1])
        self.device = Adopting(self.registers, words[0], self.address, verdict)

    def run(self, *arguments: str, more: str = "", serial: str = 'serial = "SN-1"', answer: str = "") -> Result:
        async def play() -> Result:
            async with wire_server(self.device.respond) as server:
                site = self.folder / "site.toml"
                site.write_text(SITE.format(port=server.port, more=more, serial=serial))
                words = ["curves", *arguments, "--config", str(site)]
                return await asyncio.to_thread(CliRunner().invoke, main, words, input=answer)

        return asyncio.run(play())

    def file(self, text: str = VOLT_VAR) -> str:
        path = self.folder / "curves.toml"
        path.write_text(text)
        return str(path)


@pytest.fixture(name="stage")
def make_stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_it_shows_what_the_device_holds_and_writes_nothing(stage: Stage) -> None:
    shown = stage.run("inverter")
    assert shown.exit_code == 0, shown.output
    assert "volt-var: off; 3 curves, up to 4 points" in shown.output
    held = json.loads(stage.run("inverter", "--json").output)
    assert [(one["function"], one["enabled"], len(one["curves"])) for one in held["curves"]] == [("volt-var", False, 3)]
    assert stage.registers.writes == []


def test_it_shows_before_and_after_asks_sets_and_reads_back(stage: Stage) -> None:
    done = stage.run("inverter", "--set", stage.file(), answer="y\n")
    assert done.exit_code == 0, done.output
    assert "now:   off; " in done.output
    assert "then:  92 -> 44, 98 -> 0, 102 -> 0, 108 -> -44; RspTms 5 (by way of place 2)" in done.output
    assert "ok   volt-var: in force, read back" in done.output
    (held,) = json.loads(stage.run("inverter", "--json").output)["curves"]
    assert (held["enabled"], held["curves"][0]["points"][3]) == (True, [108.0, -44.0])
    written = len(stage.registers.writes)
    assert stage.run("inverter", "--set", stage.file(), "--yes").exit_code == 0
    assert len(stage.registers.writes) == written  # it holds that already
    off = stage.run("inverter", "--set", stage.file('[[curve]]\nfunction = "volt-var"\noff = true'), "--yes", "--json")
    (row,) = json.loads(off.stdout)["changed"]
    assert (row["before"]["enabled"], row["after"]["enabled"], row["error"]) == (True, False, None)


@pytest.mark.parametrize(("arguments", "answer"), [((), "n\n"), ((), ""), (("--dry-run",), "")])
def test_without_a_yes_nothing_is_written(stage: Stage, arguments: tuple[str, ...], answer: str) -> None:
    shown = stage.run("inverter", "--set", stage.file(), *arguments, answer=answer)
    assert "then:  92 -> 44" in shown.output
    assert shown.exit_code == (0 if arguments else 1)
    assert stage.registers.writes == []


def test_what_the_device_does_not_adopt_is_told_and_ends_with_1(tmp_path: Path) -> None:
    stage = Stage(tmp_path, verdict=2)
    done = stage.run("inverter", "--set", stage.file(), "--yes")
    assert done.exit_code == 1
    assert "FAIL volt-var: " in done.output
    assert "says that it failed" in done.output


@pytest.mark.parametrize(
    ("more", "serial", "words"),
    [
        ("read_only = true", 'serial = "SN-1"', "the site is read-only"),
        ("", 'serial = "SN-1"\nread_only = true', "inverter is read-only"),
        ("", "", "no serial number"),
    ],
)
def test_what_must_not_be_written_is_refused_and_can_be_read(stage: Stage, more: str, serial: str, words: str) -> None:
    refused = stage.run("inverter", "--set", stage.file(), "--yes", more=more, serial=serial)
    assert (refused.exit_code, words in refused.output) == (2, True), refused.output
    assert stage.run("inverter", more=more, serial=serial).exit_code == 0
    assert stage.registers.writes == []


def test_while_a_gateway_runs_nothing_is_touched(stage: Stage) -> None:
    with socket.socket(socket.AF_UNIX) as gateway:
        gateway.bind(str(stage.folder / "cem.sock"))
        gateway.listen()
        refused = stage.run("inverter")
    assert (refused.exit_code, "a gateway runs" in refused.output) == (2, True)
    assert stage.registers.log == []


@pytest.fixture(name="protected")
def make_protected(tmp_path: Path) -> Stage:
    """A device with the trip curves of model 707 in force."""
    model: Any = sunspec2.device.Model(707, data=struct.pack(f">{len(curve_words(707))}H", *curve_words(707)))
    model.Ena.value = 1
    for name, points in HELD.items():
        part = getattr(model.Crv[0], name)
        part.ActPt.value = len(points)
        for point, (volts, time_s) in zip(part.Pt, points, strict=False):
            point.V.cvalue, point.Tms.cvalue = volts, time_s
    raw = model.get_mb()
    return Stage(tmp_path, words=list(struct.unpack(f">{len(raw) // 2}H", raw)))


def test_trip_curves_are_shown_with_their_regions(protected: Stage) -> None:
    shown = protected.run("inverter").output
    assert "low-voltage-trip: in force; 3 curves, up to 4 points, % V -> s" in shown
    assert (
        "1 (the one in force): must-trip 50 -> 2, 88 -> 21; may-trip 50 -> 1, 88 -> 20; momentary cessation none"
        in shown
    )
    (held,) = json.loads(protected.run("inverter", "--json").output)["curves"]
    assert held["curves"][0]["may_trip"] == [[50.0, 1.0], [88.0, 20.0]]
    assert protected.registers.writes == []


@pytest.mark.parametrize(
    ("arguments", "answer", "done"),
    [
        ((), "y\ny\n", True),
        (("--yes", "--protection"), "", True),
        ((), "y\nn\n", False),
        ((), "n\n", False),
        (("--protection",), "y\nn\n", False),
        (("--yes",), "", False),
        (("--dry-run", "--yes", "--protection"), "", False),
    ],
)
def test_protection_is_written_only_by_two_answers(
    protected: Stage, arguments: tuple[str, ...], answer: str, done: bool
) -> None:
    told = protected.run("inverter", "--set", protected.file(TRIP), *arguments, answer=answer)
    assert (WARNED in told.output) is ("--dry-run" not in arguments)
    assert "then:  must-trip 45 -> 2, 86 -> 21; may-trip 50 -> 1, 88 -> 20; momentary cessation none" in told.output
    assert bool(protected.registers.writes) is done
    (held,) = json.loads(protected.run("inverter", "--json").output)["curves"]
    must = [[45.0, 2.0], [86.0, 21.0]] if done else [[50.0, 2.0], [88.0, 21.0]]
    assert (held["curves"][0]["must_trip"], held["curves"][0]["may_trip"]) == (must, [[50.0, 1.0], [88.0, 20.0]])
    assert told.exit_code == (0 if done or "--dry-run" in arguments else 2 if "--yes" in arguments else 1)


def test_a_curve_that_contradicts_the_regions_in_force_is_refused_before_anybody_is_asked(protected: Stage) -> None:
    text = TRIP.replace("[45, 2]", "[50, 0.5]")
    told = protected.run("inverter", "--set", protected.file(text), "--yes", "--protection")
    assert (told.exit_code, protected.registers.writes) == (2, [])
    assert (
        "would have to trip below 50 % after 0.5 s, where its may-trip curve does not let it, with what" in told.output
    )
    widened = text + "may_trip = [[50, 0.5], [88, 20]]\n"
    assert protected.run("inverter", "--set", protected.file(widened), "--yes", "--protection").exit_code == 0


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "curve: missing; at least one [[curve]] is needed"),
        ("[[curv]]", "curv: unknown key; allowed: curve (did you mean 'curve'?)"),
        ('[[curve]]\nfunction = "volt-vra"', "curve[0].function: 'volt-vra' seen; allowed: volt-var"),
        ('[[curve]]\nfunction = "volt-var"', "points, settings, or off = true"),
        ('[[curve]]\nfunction = "volt-var"\npoints = [[1]]', "curve[0].points[0]"),
        ('[[curve]]\nfunction = "volt-var"\npoints = [[2, 1], [1, 1]]', "in the order of their first value"),
        (
            '[[curve]]\nfunction = "volt-var"\nplace = 1\npoints = [[1, 1]]',
            "curve[0].place: 1 seen; must be at",
        ),
        (VOLT_VAR + VOLT_VAR, "'volt-var' is already at curve[0].function"),
        ('[[curve]]\nfunction = "low-voltage-trip"', "must_trip, may_trip or off = true"),
        ('[[curve]]\nfunction = "low-voltage-trip"\npoints = [[50, 2]]', "and nothing else"),
        ('[[curve]]\nfunction = "volt-var"\nmust_trip = [[50, 2]]', "belong to trip curves"),
        (TRIP + "may_trip = [[88, 30]]", "below 45 % after 2 s, where its may-trip curve does not let it"),
        ('[[curve]]\nfunction = "frequency-watt"\npoints = [[1, 1]]', "frequency-watt has settings"),
    ],
)
def test_a_fault_of_the_file_is_told_with_its_place(stage: Stage, text: str, fault: str) -> None:
    refused = stage.run("inverter", "--set", stage.file(text))
    assert refused.exit_code == 2
    assert fault in refused.output
    assert stage.registers.log == []


def test_a_device_without_curves_and_one_that_is_not_there_are_told_in_words(stage: Stage) -> None:
    assert "no curves that could be set" in stage.run("meter").output
    assert "there are inverter, meter" in stage.run("invertor").output
