"""Where the running gateway is found: --socket, CEM_SOCKET, the site file's [api] socket, or the usual place."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_SITE = Path("/etc/cem/site.toml")
DEFAULT_SOCKET = Path("/run/cem/cem.sock")


def socket_options(command: Callable[P, R]) -> Callable[P, R]:
    """Adds --socket and --config to a command that talks to the running gateway."""
    config = click.option(
        "--config",
        envvar="CEM_CONFIG",
        type=click.Path(dir_okay=False, path_type=Path),
        help=f"Site file whose gateway is meant; also CEM_CONFIG. [default: {DEFAULT_SITE}]",
    )
    socket = click.option(
        "--socket",
        "socket_path",
        envvar="CEM_SOCKET",
        type=click.Path(path_type=Path),
        help=f"The gateway's socket; also CEM_SOCKET. [default: the site file's, else {DEFAULT_SOCKET}]",
    )
    return socket(config(command))


def find_socket(socket_path: Path | None, config: Path | None) -> Path:
    """The socket to ask. Only [api] is looked at: a site file with other faults still leads to its gateway.

    Raises UsageError when a site file was named and is not there or is not TOML.
    """
    if socket_path is not None:
        return socket_path
    site = config or DEFAULT_SITE
    try:
        written = tomllib.loads(site.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        if config is None:
            return DEFAULT_SOCKET
        raise click.UsageError(f"can't read the site file {config}: {error}") from error
    api = written.get("api")
    named = api.get("socket") if isinstance(api, dict) else None
    return site.parent / named if isinstance(named, str) else DEFAULT_SOCKET
