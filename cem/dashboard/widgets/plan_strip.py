"""The plan's next 24 hours."""

from textual.content import Content

from cem.dashboard import strip_art
from cem.dashboard.view import View
from cem.dashboard.widgets.panel import Panel


class PlanStrip(Panel):
    """Price bars, the battery's charge, the intents, the hours."""

    def draw(self, view: View) -> Content:
        """The strip; its marks are explained in the panel's edge."""
        if view.status is None:
            return Content("")
        legend = strip_art.legend(view.status)
        self.border_title = f"Next 24 hours   {legend}" if legend else "Next 24 hours"
        return strip_art.draw(view.status, self.size.width, self.size.height)
