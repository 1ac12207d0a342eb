"""What every part of the screen has in common: it draws a View and repaints only what changed."""

from textual import events
from textual.content import Content
from textual.widgets import Static

from cem.dashboard import palette
from cem.dashboard.notices import Tone
from cem.dashboard.view import View

TONE_STYLE = {
    Tone.CALM: palette.MUTED,
    Tone.NOTE: palette.NOTE,
    Tone.WARNING: f"{palette.WARNING} bold",
    Tone.ALARM: f"{palette.ALARM} bold",
}


class Panel(Static):
    """A part of the screen. `fixed` parts have a size of their own, so that new content moves nothing else."""

    fixed = True

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - textual's word
        super().__init__("", id=id, classes=classes)
        self._view = View()
        self._drawn: tuple[str, object] | None = None

    def show(self, view: View) -> None:
        """Draws the view; nothing is repainted when it looks as before."""
        self._view = view
        content = self.draw(view)
        drawn = (content.plain, content.spans)
        if drawn != self._drawn:
            self._drawn = drawn
            self.update(content, layout=not self.fixed)

    def draw(self, view: View) -> Content:
        """The content for the present size; each part its own."""
        raise NotImplementedError

    def on_resize(self, _event: events.Resize) -> None:
        """The same view for the new size."""
        self.show(self._view)
