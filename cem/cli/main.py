"""The command `cem`: each sub-command lives in a module of its own, loaded only when it is called."""

import importlib
from importlib.util import find_spec
from typing import Any, Final, NamedTuple

import click

from cem import __version__
from cem.model.errors import CemError


class Lazy(NamedTuple):
    """Where a command is, and what it does in one line."""

    target: str  # "module:attribute"
    purpose: str


COMMANDS: Final = {
    "status": Lazy("cem.cli.status:status", "What the house does now, at a glance."),
    "dashboard": Lazy("cem.cli.dashboard:dashboard", "The same on a screen that keeps up."),
    "history": Lazy("cem.cli.history:history", "Energy, cost, events: what was asked and what was delivered."),
    "why": Lazy("cem.cli.why:why", "Why it does, or did, what it does."),
    "override": Lazy("cem.cli.override:override", "Charge now, hold the battery, only watch; each with an end."),
    "opt": Lazy("cem.cli.opt:opt", "Take no part in voluntary events of the grid."),
    "scan": Lazy("cem.cli.scan:scan", "What is out there: Modbus, SunSpec, MQTT."),
    "provision": Lazy("cem.cli.provision:provision", "From an empty box to a running, tested gateway."),
    "run": Lazy("cem.cli.run:run", "Run the gateway."),
    "release": Lazy("cem.cli.release:release", "Hand every device back to its own control."),
    "curves": Lazy("cem.cli.curves:curves", "The curves by which an inverter supports the grid."),
    "ven": Lazy("cem.cli.ven:ven", "Keys and certificates for a provider of OpenADR 2.0b."),
    "vtn": Lazy("cem.cli.vtn:vtn", "Run a VTN, for a domain below or for trying things."),
    "simulate": Lazy("cem.cli.simulate:simulate", "The gateway and a simulated home, days in seconds."),
    "plan": Lazy("cem.cli.plan:plan", "One planning problem from a file, solved with a proof."),
    "replay": Lazy("cem.cli.replay:replay", "Recorded ticks through today's decisions: what differs."),
    "about": Lazy("cem.cli.about:about", "Version, licence, support."),
}
"""Every command, in the order in which people meet them."""


class LazyGroup(click.Group):
    """Lists commands without loading them; a broken one hurts nobody but its own caller."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands whose modules are installed."""
        return [name for name, lazy in COMMANDS.items() if find_spec(lazy.target.partition(":")[0]) is not None]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Loads a command; raises ClickException, exit code 1, when its module is broken."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].target.partition(":")
        try:
            command = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise click.ClickException(
                f"{cmd_name}: this installation is incomplete ({error}); install it again"
            ) from error
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of the help page, from the table above."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].purpose) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        """Errors that we raise on purpose are one sentence for the caller, not a trace."""
        try:
            return super().invoke(ctx)
        except CemError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="%(version)s")
def main() -> None:
    """Customer Energy Manager: the home's side of the Smart Grid Connection Point.

    Results go to stdout, notes to stderr. Exit codes: 0 fine, 1 a problem was found, 2 wrong use.

    \b
    Example:
      cem status
      cem dashboard
    """
