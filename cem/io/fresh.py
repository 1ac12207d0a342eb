"""What is made of files, made anew once one of them changed: renewed certificates, newer lists of revoked ones."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")
_LOG = logging.getLogger(__name__)


class Fresh(Generic[T]):
    """Call it for what the files make at present. `make` raises OSError or ValueError for files that can't be used.

    At the beginning that is raised; later what was made last goes on, and the change is told once.
    """

    def __init__(self, make: Callable[[], T], files: Sequence[Path]) -> None:
        self._make = make
        self._files = tuple(files)
        self._seen = self._stamps()
        self._made = make()

    def __call__(self) -> T:
        """What the files make now."""
        stamps = self._stamps()
        if stamps != self._seen:
            self._seen = stamps
            names = ", ".join(str(file) for file in self._files)
            try:
                self._made = self._make()
                _LOG.info("%s changed and count from now on", names)
            except (OSError, ValueError) as error:
                _LOG.warning("%s changed and can't be used: %s; what was read before counts", names, error)
        return self._made

    def _stamps(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stamp(file) for file in self._files)


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
