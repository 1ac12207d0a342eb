"""The limit and link banner: what binds, who says so, since when, until when."""

import textwrap

from textual.content import Content

from cem.dashboard import notices, palette, words
from cem.dashboard.view import View
from cem.dashboard.widgets.panel import TONE_STYLE, Panel
from cem.model.status import Status

_MOST_LINES = 4


class Banner(Panel):
    """A notice wraps to a second line where there is room for it; the limits screen has them in full."""

    fixed = False

    def draw(self, view: View) -> Content:
        """The notices; while the gateway is gone, why and what happens next, in full."""
        width = max(10, self.size.width)
        if view.gone or view.status is None:
            why = notices.gone(view.status, view.gone or "")[1]
            return Content.styled(why.text, palette.PLAIN)
        return Content("\n").join(banner_lines(view.status, width))


def banner_lines(status: Status, width: int) -> list[Content]:
    """The notices, each in one line or two, as many as there is room for."""
    found = notices.banner(status)
    spare = max(0, _MOST_LINES - len(found))
    lines: list[Content] = []
    for notice in found:
        rows = textwrap.wrap(notice.text, width - 2)
        if len(rows) > 1 and spare:
            spare -= 1
            rows = [rows[0], words.shorten(notice.text[len(rows[0]) :].strip(), width - 2)]
        else:
            rows = [words.shorten(notice.text, width - 2)]
        marks = (f"{notices.MARK[notice.tone]} ", "  ")
        lines += [Content.styled(mark + row, TONE_STYLE[notice.tone]) for mark, row in zip(marks, rows, strict=False)]
    return lines
