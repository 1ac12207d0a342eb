"""The first screen: everything at a glance."""

import textwrap

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Footer

from cem.dashboard.screens.view_screen import ViewScreen
from cem.dashboard.view import View
from cem.dashboard.widgets.alarm_list import AlarmList
from cem.dashboard.widgets.banner import Banner, banner_lines
from cem.dashboard.widgets.device_list import DeviceList
from cem.dashboard.widgets.flow_diagram import FlowDiagram
from cem.dashboard.widgets.headline import Headline
from cem.dashboard.widgets.plan_strip import PlanStrip
from cem.dashboard.widgets.title_bar import TitleBar

LARGE_FROM_ROWS = 34
ROWS_ON_TOP = 4
"""Of headline and banner, that a screen of 24 rows has room for beside everything else."""


class MainScreen(ViewScreen):
    """Headline, banner, flow and devices, plan, alarms."""

    def compose(self) -> ComposeResult:
        """From the top down, by how much it matters."""
        yield TitleBar(id="title")
        yield Headline(id="headline")
        yield Banner(id="banner")
        with Horizontal(id="now"):
            yield FlowDiagram(id="flow", classes="panel")
            yield DeviceList(id="devices", classes="panel")
        yield PlanStrip(id="plan", classes="panel")
        yield AlarmList(id="alarms", classes="panel")
        yield Footer()

    def show(self, view: View) -> None:
        """Draws a view; while the gateway is gone the panels say that they show the past."""
        self.query_one("#flow").border_title = "Last known" if view.gone else "Now"
        self.query_one("#devices").border_title = "On their own" if view.gone else "Devices"
        super().show(view)
        self._make_room()

    def _make_room(self) -> None:
        """Where the words on top are long, the plan gives up rows, so that the alarms stay in sight."""
        status, width = self._view.status, max(20, self.size.width - 2)
        rows = 0 if status is None else len(banner_lines(status, width)) + len(textwrap.wrap(status.headline, width))
        self.set_class(rows > ROWS_ON_TOP and self.size.height < LARGE_FROM_ROWS, "crowded")

    def on_resize(self) -> None:
        """A tall screen has room for the large drawing and a taller plan."""
        self.set_class(self.size.height >= LARGE_FROM_ROWS and self.size.width >= 110, "large")
        self._make_room()
