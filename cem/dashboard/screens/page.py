"""Pages that explain one subject in full: devices, plan, limits and links, alarms, help."""

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Footer

from cem.dashboard.screens.view_screen import ViewScreen
from cem.dashboard.view import View
from cem.dashboard.widgets.banner import Banner
from cem.dashboard.widgets.headline import Headline
from cem.dashboard.widgets.panel import Panel
from cem.dashboard.widgets.title_bar import TitleBar
from cem.model.status import Status


class Text(Panel):
    """A text of any length about the status."""

    fixed = False

    def __init__(self, write: Callable[[Status, int], Content]) -> None:
        super().__init__(id="text")
        self._write = write

    def draw(self, view: View) -> Content:
        """The text, empty before the first status."""
        return Content("") if view.status is None else self._write(view.status, max(20, self.size.width))


class Page(ViewScreen):
    """A scrolling text under the same title, headline and banner as the first screen."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "app.pop_screen", "Back", priority=True)]

    def __init__(self, view: View, name: str, title: str, write: Callable[[Status, int], Content]) -> None:
        super().__init__(view, name)
        self._title = title
        self._write = write

    def compose(self) -> ComposeResult:
        """The frame around the text."""
        yield TitleBar(id="title")
        yield Headline(id="headline")
        yield Banner(id="banner")
        with VerticalScroll(id="page", classes="panel") as page:
            page.border_title = self._title
            yield Text(self._write)
        yield Footer()
