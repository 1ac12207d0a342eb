"""`cem curves` against a device on real bytes: read, shown before and after, asked, adopted, read back."""

import asyncio
import json
import socket
from pathlib import Path

import pytest
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


class Stage:
    """The device, the folder of the site file, and the command."""

    def __init__(self, folder: Path, verdict: int = 1) -> None:
        self.folder = folder
        self.registers = Registers()
        models = [common_model("SN-1"), inverter_103(-500), nameplate_120(8000), curve_words(705)]
        sunspec_map(self.registers, models)
        self.address = 40002 + sum(len(model) for model in models[:-1])
        self.device = Adopting(self.registers, 705, self.address, verdict)

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
