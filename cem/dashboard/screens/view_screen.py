"""A screen that draws Views."""

from textual.screen import Screen

from cem.dashboard.view import View
from cem.dashboard.widgets.panel import Panel


class ViewScreen(Screen[None]):
    """Hands every View to its panels; dims them while the gateway is gone."""

    def __init__(self, view: View, name: str | None = None) -> None:
        super().__init__(name)
        self._view = view

    def on_mount(self) -> None:
        """Draws what is known already."""
        self.show(self._view)

    def show(self, view: View) -> None:
        """Draws a view; each panel repaints only if it looks different."""
        self._view = view
        self.set_class(view.gone is not None, "gone")
        for panel in self.query(Panel):
            panel.show(view)
