"""`cem release`: hands every device back to its own control, when no gateway runs."""

import asyncio
import json
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from cem.cli.gateway_socket import DEFAULT_SITE
from cem.config.drivers import load_drivers
from cem.config.load import load_site
from cem.config.sitefile import SiteFile
from cem.io.clock import SystemClock
from cem.io.local_client import GatewayUnreachable, LocalClient
from cem.io.state_store import SqliteStateStore
from cem.model.errors import SiteFileError
from cem.ports import DeviceConfig, Driver, DriverContext
from cem.runtime.hand_back import HandedBack, hand_back_all
from cem.runtime.kept import DriverKeep

NOBODY = (FileNotFoundError, ConnectionRefusedError)
ASK_GATEWAY_S = 1.0


@click.command()
@click.option(
    "--config",
    envvar="CEM_CONFIG",
    type=click.Path(dir_okay=False, path_type=Path),
    default=DEFAULT_SITE,
    show_default=True,
    help="The site file; also CEM_CONFIG.",
)
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
def release(config: Path, as_json: bool) -> None:
    """Hands every device of a site file back to its own control and reads back that it is so; within 8 seconds.

    The service manager runs it after the gateway ended, however it ended. While a gateway runs it is refused: the
    gateway hands back by itself when it is stopped. Exit code 1 when a control could not be handed back, 2 when
    the site file is not usable or a gateway runs.

    \b
    Example:
      cem release --config /etc/cem/site.toml
    """
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(message)s", stream=sys.stderr)
    drivers = load_drivers()
    try:
        site_file = load_site(config, drivers)
    except SiteFileError as error:
        for fault in error.faults:
            click.echo(fault, err=True)
        click.echo(f"{config}: {len(error.faults)} fault(s); nothing was handed back", err=True)
        sys.exit(2)
    if _gateway_lives(site_file.socket_path):
        raise click.UsageError(
            f"a gateway answers at {site_file.socket_path}: it steers the devices. "
            "Stop it (systemctl stop cem); it hands every device back by itself"
        )
    configs = () if site_file.read_only else site_file.devices
    kept_in = site_file.store_folder / "state.db"
    store = SqliteStateStore(kept_in, SystemClock()) if kept_in.exists() else None
    results = asyncio.run(_hand_back(store, configs, drivers))
    if as_json:
        click.echo(json.dumps([asdict(result) for result in results], indent=2))
    else:
        _tell(site_file, results)
    sys.exit(int(not all(result.ok for result in results)))


async def _hand_back(
    store: SqliteStateStore | None, configs: Sequence[DeviceConfig], drivers: Mapping[str, Driver]
) -> list[HandedBack]:
    """With what the drivers have kept, such as a value that was found."""
    if store is None:
        return await hand_back_all(configs, drivers, DriverContext(time.monotonic))
    try:
        return await hand_back_all(configs, drivers, DriverContext(time.monotonic, keep=DriverKeep(store)))
    finally:
        await store.close()


def _gateway_lives(socket_path: Path) -> bool:
    """Whether somebody listens there; one that listens and does not answer is alive, too."""
    try:
        LocalClient(socket_path, ASK_GATEWAY_S).status_json()
    except GatewayUnreachable as error:
        return not isinstance(error.__cause__, NOBODY)
    return True


def _tell(site_file: SiteFile, results: list[HandedBack]) -> None:
    names = {device.id: device.name for device in site_file.devices}
    for result in results:
        mark = "ok  " if result.ok else "FAIL"
        click.echo(f"{mark} {names[result.device_id]}: {result.resource_id} {result.control.value}: {result.detail}")
    if not results:
        click.echo("nothing to hand back: no device of this site is steered")
