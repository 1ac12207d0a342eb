"""The top line: whose house, how it runs, the price, the time."""

from textual.content import Content

from cem.dashboard import palette, words
from cem.dashboard.notices import MODE_TONE, Tone
from cem.dashboard.view import View
from cem.dashboard.widgets.panel import Panel

_BADGE = {
    Tone.CALM: palette.GOOD,
    Tone.NOTE: palette.NOTE,
    Tone.WARNING: palette.WARNING,
    Tone.ALARM: palette.ALARM,
}


class TitleBar(Panel):
    """One line."""

    def draw(self, view: View) -> Content:
        """Site and mode on the left, price and time on the right."""
        status = view.status
        if status is None:
            return Content.assemble((" Customer Energy Manager ", "bold"))
        state = "NO ANSWER" if view.gone else words.MODE[status.mode].upper()
        tone = Tone.ALARM if view.gone else MODE_TONE[status.mode]
        left = Content.assemble(
            (f" {status.site[:24]} ", "bold"), (f" {state} ", f"bold {palette.GROUND} on {_BADGE[tone]}")
        )
        price = words.price(status.import_price_per_kwh, status.currency)
        right = f"power costs {price} " if status.import_price_per_kwh is not None else ""
        clock = f"{words.clock_s(status)} "
        room = self.size.width - left.cell_length - len(clock)
        right_style = palette.MUTED
        if view.silent_s is not None:
            right, right_style = f"last word {words.age(view.silent_s)} ago ", f"{palette.WARNING} bold"
        right = right if len(right) + 2 <= room else ""
        gap = " " * max(1, room - len(right))
        return Content.assemble(left, gap, (right, right_style), (clock, "bold"))
