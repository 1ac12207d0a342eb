"""The key that a VTN's tokens are signed with: made once, beside its objects."""

import os
import secrets
from pathlib import Path

from cem.io.object_store import StoreError

_BYTES = 32


def token_key(directory: Path | None) -> bytes:
    """The key in `token.key` (mode 0600) of a directory, made where there is none; a new one without a directory.

    Raises StoreError.
    """
    if directory is None:
        return secrets.token_bytes(_BYTES)
    path = directory / "token.key"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _make(path)
        key = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}; check the directory and the disk") from error
    if len(key) != _BYTES:
        raise StoreError(f"{path}: {len(key)} bytes, {_BYTES} are needed; delete it, and clients fetch new tokens")
    return key


def _make(path: Path) -> None:
    """Whole or not at all, also when the power fails meanwhile."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_bytes(_BYTES))
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
