"""What holds for every command: it can be found, read and tried."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cem.cli.main import COMMANDS, Lazy, main

README = Path(__file__).parents[2] / "README.md"


def _leaves(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command below one, groups left out."""
    if isinstance(command, click.Group):
        with click.Context(command, info_name=path) as context:
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                assert below is not None
                yield from _leaves(below, f"{path} {name}")
    else:
        yield path, command


LEAVES = dict(_leaves(main, "cem"))
TOP = main.list_commands(click.Context(main))


@pytest.mark.parametrize("path", LEAVES)
def test_every_command_explains_itself_with_an_example(path: str) -> None:
    answer = CliRunner().invoke(main, [*path.split()[1:], "--help"])
    assert answer.exit_code == 0, answer.output
    example = re.search(r"^\s*Examples?:(.*)", answer.output, re.MULTILINE | re.DOTALL)
    assert example, f"{path} --help has no example"
    assert f"{path} " in example[1] + " " or f"{path}\n" in example[1], f"{path}: the example does not show it"
    assert LEAVES[path].help, f"{path} has no help text"


@pytest.mark.parametrize("path", LEAVES)
def test_every_option_and_argument_is_explained(path: str) -> None:
    silent = [
        parameter.name
        for parameter in LEAVES[path].params
        if isinstance(parameter, click.Option) and not parameter.hidden and not parameter.help
    ]
    assert silent == []


@pytest.mark.parametrize("name", TOP)
def test_every_top_level_command_is_in_the_readme(name: str) -> None:
    assert f"cem {name}" in README.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", TOP)
def test_the_list_tells_what_each_command_does(name: str) -> None:
    lines = CliRunner().invoke(main, ["--help"], terminal_width=100).output.split("\n")
    assert any(line.startswith(f"  {name} ") and COMMANDS[name].purpose in line for line in lines)


def test_the_list_loads_no_command() -> None:
    code = (
        "import sys; from cem.cli.main import main; main(['--help'], standalone_mode=False); "
        "print([m for m in ('textual', 'aiohttp', 'pymodbus', 'numpy', 'pydantic') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.strip().endswith("[]"), answer.stdout


def test_a_broken_command_hurts_only_its_own_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "broken", Lazy("cem.cli.main:nothing_there", "Broken."))
    broken = CliRunner().invoke(main, ["broken"])
    assert broken.exit_code == 1
    assert "install it again" in broken.output
    assert CliRunner().invoke(main, ["about"]).exit_code == 0
    assert "Broken." in CliRunner().invoke(main, ["--help"]).output


def test_a_command_that_is_not_installed_is_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "future", Lazy("cem.cli.not_there:future", "Future."))
    assert "Future." not in CliRunner().invoke(main, ["--help"]).output


@pytest.mark.parametrize("arguments", [["nonsense"], ["status", "--nonsense"], ["dashboard", "--size", "big"]])
def test_wrong_use_ends_with_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, arguments).exit_code == 2


def test_about_names_version_and_licence() -> None:
    assert "Apache-2.0" in CliRunner().invoke(main, ["about"]).output
    assert '"version"' in CliRunner().invoke(main, ["about", "--json"]).output
