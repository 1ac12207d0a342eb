"""The words of a fault: 'path: what was seen; what is allowed (did you mean ...?)'."""

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches

Loc = Sequence[str | int]


def path_of(loc: Loc) -> str:
    """('device', 2, 'link', 'port') as 'device[2].link.port'; an empty location is the file itself."""
    path = ""
    for part in loc:
        shown_part = part if isinstance(part, int) or part.isprintable() else repr(part)
        path += f"[{part}]" if isinstance(part, int) else f".{shown_part}" if path else str(shown_part)
    return path or "site file"


def fault(path: str, seen: str, allowed: str, hint: str = "") -> str:
    """One fault as one line."""
    return f"{path}: {seen}; {allowed}{hint}"


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """' (did you mean 'serial'?)' when a known word is near, else ''."""
    near = nearest(word, known)
    return f" (did you mean '{near}'?)" if near else ""


def nearest(word: object, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, if any is near."""
    return next(iter(get_close_matches(str(word), list(known), n=1, cutoff=0.5)), None)


def one_of(known: Iterable[str]) -> str:
    """'allowed: a, b, c', or that there is nothing."""
    words = ", ".join(known)
    return f"allowed: {words}" if words else "none is known"


def shown(value: object) -> str:
    """A value of the file as it may be repeated in a message: short, printable, with its kind where that matters."""
    if isinstance(value, str):
        text = repr(str(value) if len(value) <= 60 else value[:57] + "...")
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, dict):
        text = "a table"
    elif isinstance(value, list | tuple):
        text = "an array"
    elif isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        text = str(int(value))
    else:
        text = str(value)[:60]
    return f"{text} seen"


def duplicates(items: Iterable[tuple[str, str]], allowed: str) -> Iterator[str]:
    """A fault for every (path, value) whose value was there before."""
    first: dict[str, str] = {}
    for path, value in items:
        if value in first:
            yield fault(path, f"{value!r} is already at {first[value]}", allowed)
        else:
            first[value] = path
