"""Which line of a TOML file a table or a key stands on, for messages. Looked at only when there is a fault."""

import re

Loc = tuple[str | int, ...]

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]")
_KEY = re.compile(r"""^\s*("[^"]*"|'[^']*'|[A-Za-z0-9_.-]+)\s*=""")
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"|\'[^\']*\'')


def line_numbers(source: str) -> dict[Loc, int]:
    """Line numbers, from 1, by location; items of an array that begin lines of their own have theirs."""
    lines: dict[Loc, int] = {(): 1}
    counts: dict[Loc, int] = {}
    table: Loc = ()
    key: Loc = ()
    depth = item = 0
    for number, text in enumerate(source.splitlines(), 1):
        bare = _QUOTED.sub('""', text).split("#", 1)[0]
        if depth > 0:
            if depth == 1 and bare.strip()[:1] not in {"", "]", ","}:
                lines[(*key, item)] = number
                item += 1
        elif header := _HEADER.match(bare):
            table = _table(header[1] == "[[", tuple(_names(_HEADER.match(text), header[2])), counts)
            lines.setdefault(table, number)
        elif found := _KEY.match(text):
            key, item = (*table, *found[1].strip("\"'").split(".")), 0
            lines[key] = number
        depth += bare.count("[") + bare.count("{") - bare.count("]") - bare.count("}") if not _HEADER.match(bare) else 0
    return lines


def line_of(loc: Loc, lines: dict[Loc, int]) -> int:
    """The line of a location, or of the nearest thing around it that has one."""
    while loc not in lines:
        loc = loc[:-1]
    return lines[loc]


def _names(header: re.Match[str] | None, bare: str) -> list[str]:
    written = header[2] if header is not None else bare
    return [part.strip().strip("\"'") for part in written.split(".")]


def _table(array: bool, names: tuple[str, ...], counts: dict[Loc, int]) -> Loc:
    """The location of a header: arrays of tables on the way stand for their last element."""
    loc: Loc = ()
    for index, name in enumerate(names):
        loc = (*loc, name)
        if array and index == len(names) - 1:
            counts[loc] = counts.get(loc, -1) + 1
        if loc in counts:
            loc = (*loc, counts[loc])
    return loc
