"""The unix socket of the local API: made so that only owner and group reach it, and one gateway at a time."""

import errno
import socket
import stat
from pathlib import Path

from cem.model.errors import CemError

LONGEST_PATH = 107  # bytes; sun_path of Linux holds 108 with its closing zero


class SocketUnusable(CemError):  # noqa: N818 - the field's word
    """The local API can't be offered at that path; the message says why and what to do."""


def bind_socket(path: Path, mode: int = 0o660) -> socket.socket:
    """A bound, non-blocking socket that does not listen yet: nobody can connect before its mode is set.

    A file left by a gateway that died is removed; raises SocketUnusable when another one answers there,
    when something else lies at the path, or when the folder can't be used.
    """
    if len(str(path).encode()) > LONGEST_PATH:
        raise SocketUnusable(f"local API: the path {path} is longer than {LONGEST_PATH} bytes; choose a shorter one")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(path)
        sock.bind(str(path))
        path.chmod(mode)
    except OSError as error:
        sock.close()
        raise SocketUnusable(
            f"local API: can't make the socket {path}: {error.strerror or error}; "
            "check the folder and its owner, or set another path as [api] socket in the site file"
        ) from error
    except SocketUnusable:
        sock.close()
        raise
    return sock


def _remove_stale(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise SocketUnusable(f"local API: {path} is there and is no socket; move it away or choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        answer = probe.connect_ex(str(path))
    if answer == errno.ECONNREFUSED:
        path.unlink()
    elif answer != errno.ENOENT:
        raise SocketUnusable(
            f"local API: another gateway answers on {path}; stop it first, or give this one its own socket"
        )
