"""A small grid of styled characters, for drawings out of text."""

from textual.content import Content

_GLYPHS = {
    "0": ("┏━┓", "┃ ┃", "┗━┛"),
    "1": ("╺┓ ", " ┃ ", "╺┻╸"),
    "2": ("╺━┓", "┏━┛", "┗━╸"),
    "3": ("╺━┓", " ━┫", "╺━┛"),
    "4": ("╻ ╻", "┗━┫", "  ╹"),
    "5": ("┏━╸", "┗━┓", "╺━┛"),
    "6": ("┏━╸", "┣━┓", "┗━┛"),
    "7": ("╺━┓", "  ┃", "  ╹"),
    "8": ("┏━┓", "┣━┫", "┗━┛"),
    "9": ("┏━┓", "┗━┫", "╺━┛"),
    ".": (" ", " ", "."),
}


class Canvas:
    """`width` x `height` cells; what falls outside is cut off."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._cells = [[(" ", "")] * width for _ in range(height)]

    def put(self, x: int, y: int, text: str, style: str = "") -> None:
        """Writes from (x, y) to the right."""
        if not 0 <= y < self.height:
            return
        for offset, character in enumerate(text):
            if 0 <= x + offset < self.width:
                self._cells[y][x + offset] = (character, style)

    def centre(self, x: int, y: int, text: str, style: str = "") -> None:
        """Writes with its middle at x, kept inside the canvas."""
        start = x - len(text) // 2
        self.put(max(0, min(start, self.width - len(text))), y, text, style)

    def big(self, x: int, y: int, number: str, style: str = "") -> int:
        """Writes digits three rows high with their left edge at x; gives the width used."""
        at = x
        for character in number:
            glyph = _GLYPHS.get(character, ("   ", f" {character} ", "   "))
            for row, part in enumerate(glyph):
                self.put(at, y + row, part, style)
            at += len(glyph[0])
        return at - x

    def box(self, x: int, y: int, width: int, height: int, title: str, foot: str, style: str) -> None:
        """A rounded frame with a title in its upper edge and words in its lower one."""
        self.put(x, y, "╭" + "─" * (width - 2) + "╮", style)
        for row in range(1, height - 1):
            self.put(x, y + row, "│", style)
            self.put(x + width - 1, y + row, "│", style)
        self.put(x, y + height - 1, "╰" + "─" * (width - 2) + "╯", style)
        for text, row in ((title, y), (foot, y + height - 1)):
            if text:
                label = f" {text[: width - 4]} "
                self.put(x + (width - len(label)) // 2, row, label, f"{style} bold" if row == y else style)

    def content(self) -> Content:
        """The drawing, rows parted by line feeds."""
        rows = []
        for row in self._cells:
            parts: list[tuple[str, str]] = []
            for character, style in row:
                if parts and parts[-1][1] == style:
                    parts[-1] = (parts[-1][0] + character, style)
                else:
                    parts.append((character, style))
            rows.append(Content.assemble(*parts))
        return Content("\n").join(rows)


def digits_width(number: str) -> int:
    """The columns that `Canvas.big` needs."""
    return sum(len(_GLYPHS.get(character, ("   ",))[0]) for character in number)
