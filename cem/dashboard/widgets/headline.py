"""The one sentence that matters most: what the house does now and why, or that nobody answers."""

from textual.content import Content

from cem.dashboard import notices
from cem.dashboard.notices import MODE_TONE
from cem.dashboard.view import View
from cem.dashboard.widgets.panel import TONE_STYLE, Panel
from cem.model.setpoint import Mode


class Headline(Panel):
    """As many lines as the sentence needs."""

    fixed = False

    def draw(self, view: View) -> Content:
        """The gateway's own headline."""
        if view.gone or view.status is None:
            line = notices.gone(view.status, view.gone or "")[0]
            return Content.styled(line.text, TONE_STYLE[line.tone])
        status = view.status
        style = "bold" if status.mode is Mode.NORMAL else f"bold {TONE_STYLE[MODE_TONE[status.mode]]}"
        return Content.styled(status.headline, style)
