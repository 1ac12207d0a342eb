"""What drivers keep over a restart, in the state store."""

import logging
from sqlite3 import Error as DiskError

from cem.model.errors import CemError
from cem.ports import Json, Put, StateKind, StateStore

log = logging.getLogger(__name__)


class DriverKeep:
    """Implements ports.Keep."""

    def __init__(self, store: StateStore) -> None:
        self._store = store

    async def load(self, key: str) -> Json:
        """What was saved; None if nothing was, or where it can't be read."""
        try:
            return (await self._store.load(StateKind.DRIVER)).get(key)
        except (CemError, DiskError, OSError) as error:
            log.warning("%s: what was kept can't be read: %s", key, error)
            return None

    async def save(self, key: str, value: Json) -> None:
        """Writes it; the store holds and tells what the disk refuses."""
        try:
            await self._store.commit([Put(StateKind.DRIVER, key, value)])
        except (CemError, DiskError, OSError) as error:
            log.warning("%s: not kept on disk yet: %s", key, error)
