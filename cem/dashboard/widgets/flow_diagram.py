"""The energy flow at a glance."""

from textual.content import Content

from cem.dashboard import flow_art
from cem.dashboard.view import View
from cem.dashboard.widgets.panel import Panel


class FlowDiagram(Panel):
    """Arrows move by one cell per status: a picture that stands still is an old one."""

    def draw(self, view: View) -> Content:
        """The drawing, empty before the first status."""
        if view.status is None:
            return Content("")
        return flow_art.draw(view.status, self.size.width, self.size.height, view.beat).content()
