"""The serial ports of this machine, by names that stay the same over restarts and sockets."""

from pathlib import Path

BY_ID = Path("/dev/serial/by-id")
BUILT_IN = (Path("/dev/serial0"), Path("/dev/ttyAMA0"))
"""Of a Raspberry Pi: what its configuration calls the port on the pins, and the port itself."""


def serial_ports(folder: Path = BY_ID, built_in: tuple[Path, ...] = ()) -> list[str]:
    """The adapters present, and of the built-in ports the first that exists."""
    try:
        adapters = sorted(str(entry) for entry in folder.iterdir())
    except OSError:
        adapters = []  # no adapter: the folder itself is missing then
    return adapters + [str(port) for port in built_in if port.exists()][:1]
