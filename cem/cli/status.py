"""`cem status`: the house at a glance, once."""

import json
import sys
from pathlib import Path

import click

from cem.cli.gateway_socket import find_socket, socket_options
from cem.io.local_client import GatewayUnreachable, LocalClient


@click.command()
@socket_options
@click.option("--json", "as_json", is_flag=True, help="The whole status as JSON, as GET /v1/status gives it.")
@click.option("--lines", is_flag=True, help="What each Modbus line has carried since the start, and what went wrong.")
def status(socket_path: Path | None, config: Path | None, as_json: bool, lines: bool) -> None:
    """What the house does now: energy flow, devices, limits, links, events, alarms and what to do about them.

    Exit code 1 when there is an alarm, or when no gateway answers.

    \b
    Example:
      cem status
      cem status --lines
      cem status --json | jq .flow
    """
    client = LocalClient(find_socket(socket_path, config))
    try:
        if as_json:
            body = client.status_json()
            click.echo(body)
            alarms = json.loads(body).get("alarms", [])
            sys.exit(int(any(alarm.get("severity") == "alarm" for alarm in alarms)))
        from rich.console import Console

        from cem.cli.status_text import write_status

        found = client.status()
        write_status(found, Console(highlight=False), lines=lines)
        sys.exit(int(any(alarm.severity == "alarm" for alarm in found.alarms)))
    except GatewayUnreachable as error:
        if as_json:
            click.echo(json.dumps({"error": str(error)}))
        raise
