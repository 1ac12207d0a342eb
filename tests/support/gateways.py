"""A gateway's local API without the gateway: real bytes over a unix socket, the status set by the test."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path

from textual.app import App
from textual.pilot import Pilot

from cem.io.local_api import LocalApi
from cem.model.errors import CemError
from cem.model.request import UserRequest
from cem.model.status import Status


class Gateway:
    """What stands behind the API: shows `status`, keeps acts in `asked` unless `refuses` says why not."""

    def __init__(self, path: Path, status: Status) -> None:
        self.path = path
        self.status = status
        self.asked: dict[str, UserRequest] = {}
        self.refuses: str | None = None
        self.api = self._api()

    def _api(self) -> LocalApi:
        return LocalApi(self.path, lambda: self.status, self._take, self._drop)

    async def _take(self, request: UserRequest) -> None:
        if self.refuses:
            raise CemError(self.refuses)
        self.asked[request.id] = request

    async def _drop(self, request_id: str) -> bool:
        return self.asked.pop(request_id, None) is not None

    async def again(self) -> None:
        """Comes back after a stop."""
        self.api = self._api()
        await self.api.start()


@asynccontextmanager
async def gateway(path: Path, status: Status) -> AsyncIterator[Gateway]:
    """A running one."""
    found = Gateway(path, status)
    await found.api.start()
    try:
        yield found
    finally:
        await found.api.stop()


async def until(condition: Callable[[], bool], pilot: Pilot[None] | None = None, within_s: float = 10.0) -> None:
    """Waits for a condition; TimeoutError when it does not come true in time."""
    async with asyncio.timeout(within_s):
        while not condition():
            await (pilot.pause(0.02) if pilot else asyncio.sleep(0.02))


_TEXT = re.compile(
    r'<text class="[^"]*" x="([\d.]+)" y="[^"]*"[^>]*clip-path="url\(#[^)]*-line-(\d+)\)">([^<]*)</text>'
)
_CELL_W = 12.2  # of textual's own picture, px


def rendered(app: App[None]) -> str:
    """The screen as a person reads it, one line per row, out of the picture that textual exports."""
    rows: dict[int, dict[int, str]] = {}
    for x, row, text in _TEXT.findall(app.export_screenshot()):
        rows.setdefault(int(row), {})[round(float(x) / _CELL_W)] = unescape(text).replace("\xa0", " ")
    lines = []
    for row in range(max(rows) + 1):
        line = ""
        for column, text in sorted(rows.get(row, {}).items()):
            line = line.ljust(column) + text
        lines.append(line.rstrip())
    return "\n".join(lines)
