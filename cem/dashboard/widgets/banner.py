"""The limit and link banner: what binds, who says so, since when, until when."""

from textual.content import Content

from cem.dashboard import notices, palette
from cem.dashboard.view import View
from cem.dashboard.widgets.panel import TONE_STYLE, Panel


class Banner(Panel):
    """A line per notice, cut at the edge; the limits screen has them in full."""

    fixed = False

    def draw(self, view: View) -> Content:
        """The notices; while the gateway is gone, why and what happens next, in full."""
        width = max(10, self.size.width)
        if view.gone or view.status is None:
            why = notices.gone(view.status, view.gone or "")[1]
            return Content.styled(why.text, palette.PLAIN)
        lines = []
        for notice in notices.banner(view.status):
            text = Content.styled(f"{notices.MARK[notice.tone]} {notice.text}", TONE_STYLE[notice.tone])
            lines.append(text.truncate(width, ellipsis=True))
        return Content("\n").join(lines)
