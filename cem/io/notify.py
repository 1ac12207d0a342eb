"""The service manager's notification socket (sd_notify(3)): ready, and the watchdog's food."""

import logging
import os
import socket
from collections.abc import Mapping

log = logging.getLogger(__name__)


class ServiceManager:
    """Implements `cem.ports.Watchdog`; without NOTIFY_SOCKET in the environment it has nobody to tell."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._told_failure = False

    def ready(self) -> None:
        """The gateway runs: its first tick is done."""
        self._send(b"READY=1")

    def kick(self) -> None:
        """A whole good tick is done."""
        self._send(b"WATCHDOG=1")

    def _send(self, message: bytes) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as link:
                link.sendto(message, self._address)
        except OSError as error:
            if not self._told_failure:
                log.warning("service manager: %s; it may restart us although all is well", error)
            self._told_failure = True
