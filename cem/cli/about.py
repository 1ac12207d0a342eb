"""`cem about`: version, licence, support."""

import json
import platform
from importlib.metadata import PackageNotFoundError, requires, version

import click

from cem import __version__

LICENCE = "Apache-2.0"


def _packages() -> dict[str, str]:
    """The packages that we run on, with the versions installed here."""
    found: dict[str, str] = {}
    try:
        named = requires("cem-gateway") or []
    except PackageNotFoundError:
        named = []
    for line in named:
        if "extra ==" in line:
            continue
        name = line.split(";")[0]
        for mark in "<>=!~ [":
            name = name.split(mark)[0]
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
def about(as_json: bool) -> None:
    """Version, licence and where help is; name these when you report a fault.

    \b
    Example:
      cem about
      cem about --json
    """
    facts = {
        "product": "Customer Energy Manager",
        "version": __version__,
        "licence": LICENCE,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "packages": _packages(),
    }
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    click.echo(f"{facts['product']} {facts['version']}, licence {facts['licence']}")
    click.echo(f"Python {facts['python']} on {facts['system']}")
    click.echo("with " + ", ".join(f"{name} {found}" for name, found in _packages().items()))
    click.echo("Security faults: see SECURITY.md. Keys and commands: cem --help, README.md.")
