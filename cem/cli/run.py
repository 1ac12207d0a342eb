"""`cem run`: the gateway itself, until SIGTERM or SIGINT."""

import asyncio
import logging
import signal
import sys
from pathlib import Path

import click

from cem.cli.gateway_socket import DEFAULT_SITE


@click.command()
@click.option(
    "--config",
    envvar="CEM_CONFIG",
    type=click.Path(dir_okay=False, path_type=Path),
    default=DEFAULT_SITE,
    show_default=True,
    help="The site file; also CEM_CONFIG.",
)
@click.option(
    "--journal/--no-journal",
    default=True,
    show_default=True,
    help="Keep the replay journal of the last day, for cem why --at and cem replay.",
)
@click.option("--verbose", is_flag=True, help="Tell more in the log.")
def run(config: Path, journal: bool, verbose: bool) -> None:
    """Runs the gateway of a site file until it is stopped; every device is handed back then.

    Exit status 2 when the site file is not usable: every fault is named, and nothing is started.

    \b
    Example:
      cem run --config /etc/cem/site.toml
    """
    from cem.app import real_gateway
    from cem.config.drivers import load_drivers
    from cem.config.load import load_site
    from cem.model.errors import CemError, SiteFileError

    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("cem").setLevel(logging.DEBUG if verbose else logging.INFO)
    drivers = load_drivers()
    try:
        site_file = load_site(config, drivers)
    except SiteFileError as error:
        for fault in error.faults:
            click.echo(fault, err=True)
        click.echo(f"{config}: {len(error.faults)} fault(s); nothing was started", err=True)
        sys.exit(2)

    async def main() -> None:
        gateway = await real_gateway(site_file, drivers, replay=journal)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, gateway.stop)
        await gateway.run()

    try:
        asyncio.run(main())
    except CemError as error:
        click.echo(f"cem run: {error}", err=True)
        sys.exit(1)
