"""The dashboard: follows a gateway over its local API and draws what it says. It decides nothing."""

import asyncio
import dataclasses
import re
from pathlib import Path
from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType

from cem.dashboard import pages
from cem.dashboard.screens.ask import Ask, AskScreen
from cem.dashboard.screens.main import MainScreen
from cem.dashboard.screens.page import Page
from cem.dashboard.screens.view_screen import ViewScreen
from cem.dashboard.view import View
from cem.io.local_client import GatewayRefused, GatewayUnreachable
from cem.io.local_stream import LocalStream

RETRY_S = 1.0
STILL_S = 15.0
"""A gateway that answers but whose picture does not change for so long is not deciding any more."""
QUIET_S = 3.0
"""Statuses come every second or tick; after so long without, and twice the usual time, the age of the last is told."""
_PAGES = {
    "devices": ("Devices", pages.devices),
    "plan": ("Plan", pages.plan),
    "limits": ("Limits, links, events", pages.limits),
    "alarms": ("Alarms", pages.alarms),
    "help": ("Help", pages.help_text),
}


class Dashboard(App[None]):
    """One gateway's screen. With `screenshot`, a picture is written after the first status and the app ends."""

    CSS_PATH = "app.tcss"
    TITLE = "Customer Energy Manager"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit"),
        Binding("d", "page('devices')", "Devices"),
        Binding("p", "page('plan')", "Plan"),
        Binding("l", "page('limits')", "Limits"),
        Binding("a", "page('alarms')", "Alarms"),
        Binding("o", "ask", "Ask"),
        Binding("question_mark", "page('help')", "Help", key_display="?"),
    ]

    def __init__(self, socket_path: Path, screenshot: Path | None = None) -> None:
        super().__init__()
        self.view = View()
        self._stream = LocalStream(socket_path)
        self._picture_to = screenshot
        self._heard_s = 0.0
        self._usual_s = 1.0

    def on_mount(self) -> None:
        """Shows the first screen and starts to follow the gateway."""
        self.push_screen(MainScreen(self.view))
        self.run_worker(self._follow(), name="follow", exclusive=True)
        self.set_interval(1.0, self._look_for_standstill)

    async def _follow(self) -> None:
        """Until the app ends: draws every status, says why when there is none, and tries again."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                async for status in self._stream.statuses():
                    if self.view.gone is None and self.view.silent_s is None:
                        self._usual_s = loop.time() - self._heard_s
                    self._heard_s = loop.time()
                    self._take(View(status, None, self.view.beat + 1))
            except (GatewayUnreachable, GatewayRefused) as error:
                self._take(dataclasses.replace(self.view, gone=str(error)))
            await asyncio.sleep(RETRY_S)

    def _look_for_standstill(self) -> None:
        silent_s = asyncio.get_running_loop().time() - self._heard_s
        if self.view.status is None:
            return
        gone = self.view.gone
        if gone is None and silent_s > STILL_S:
            gone = f"its picture has not changed for {silent_s:.0f} s"
        if gone is not None or silent_s > max(QUIET_S, 2 * self._usual_s):
            self._take(dataclasses.replace(self.view, gone=gone, silent_s=silent_s))

    def _take(self, view: View) -> None:
        self.view = view
        for screen in self.screen_stack:
            if isinstance(screen, ViewScreen):
                screen.show(view)
        if self._picture_to is not None and view.status is not None:
            self.call_after_refresh(self._write_picture, self._picture_to)
            self._picture_to = None

    def _write_picture(self, path: Path) -> None:
        # The picture names fonts of a foreign server; whoever opens it should not have to call there.
        picture = re.sub(r"@font-face \{.*?\}", "", self.export_screenshot(title="cem dashboard"), flags=re.DOTALL)
        path.write_text(picture, encoding="utf-8")
        self.exit()

    def action_page(self, name: str) -> None:
        """Opens a page in full; the same key again closes it."""
        title, write = _PAGES[name]
        shown = self.screen
        if isinstance(shown, Page):
            self.pop_screen()
            if shown.name == name:
                return
        self.push_screen(Page(self.view, name, title, write))

    def action_ask(self) -> None:
        """Lets the owner ask for something, where the gateway answers and may steer."""
        status = self.view.status
        if status is None or self.view.gone:
            self.notify("No gateway answers; nobody could do it now.", severity="warning")
        elif status.read_only:
            self.notify("This gateway only watches: there is nothing to ask of it.", severity="warning")
        else:
            self.push_screen(AskScreen(status), self._send)

    def _send(self, ask: Ask | None) -> None:
        if ask is not None:
            self.run_worker(self._sent(ask), name="ask")

    async def _sent(self, ask: Ask) -> None:
        try:
            if ask.withdraws:
                await self._stream.withdraw(ask.withdraws)
            elif ask.until is not None:
                await self._stream.request(ask.resource_id, ask.kind, ask.until)
            self.notify(f"{ask.text}: taken")
        except (GatewayUnreachable, GatewayRefused) as error:
            self.notify(str(error), title="Not taken", severity="error", timeout=15)
