"""Finds the drivers that are installed, through the entry point group `cem.drivers`."""

import logging
from importlib.metadata import entry_points

from cem.ports import Driver

_LOG = logging.getLogger(__name__)

GROUP = "cem.drivers"


def load_drivers() -> dict[str, Driver]:
    """Driver by name. One that cannot be imported is left out with a warning: it must not stop the others."""
    found: dict[str, Driver] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            found[entry.name] = entry.load()
        except (ImportError, AttributeError) as error:
            owner = entry.dist.name if entry.dist else "an unknown distribution"
            _LOG.warning(
                "driver %r cannot be loaded from %s: %s; going on without it. Install %s again",
                entry.name,
                entry.value,
                error,
                owner,
            )
    return found
