"""The options that say how to enter an MQTT broker."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_OPTIONS = (
    click.option("--mqtt-user", metavar="NAME", help="User of the MQTT broker."),
    click.option("--mqtt-password-file", type=_FILE, help="File whose first line is that user's password."),
    click.option("--mqtt-ca-file", type=_FILE, help="The broker speaks TLS, with a certificate of this authority."),
    click.option("--mqtt-cert-file", type=_FILE, help="Our certificate, where the broker wants one."),
    click.option("--mqtt-key-file", type=_FILE, help="The key of that certificate."),
)


def broker_options(command: F) -> F:
    """Adds them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def given_login(options: Mapping[str, Any]) -> dict[str, str]:
    """What was given, by the keys of a link table; files with their whole path."""
    named = {"username": options["mqtt_user"]}
    for name in ("password_file", "ca_file", "cert_file", "key_file"):
        file = options[f"mqtt_{name}"]
        named[name] = str(file.absolute()) if file is not None else None
    return {key: value for key, value in named.items() if value is not None}
