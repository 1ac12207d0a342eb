"""Values: dataclasses that nobody may change once they are made.

`value` is `dataclass` to the type checker, which forbids every assignment to a field of a frozen one (mypy strict runs
over all of our code). At run time it leaves the check out: a tick makes hundreds of values, and a frozen dataclass
takes more than three times as long to make as a plain one, and its class four times as long to define as one without
equality, which is what a process that starts for a plan waits for.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as value
    from dataclasses import replace
    from functools import cached_property as lazy
else:
    from dataclasses import dataclass, fields
    from operator import attrgetter

    def value(*, frozen: bool, slots: bool, eq: bool = True) -> Callable[[type[Any]], type[Any]]:
        """The decorator `dataclass(frozen=True, slots=True)`, with equality and hash by the fields unless not `eq`."""
        assert frozen
        return dataclass(slots=slots, eq=eq, unsafe_hash=eq)

    class lazy:  # noqa: N801 - a decorator
        """`functools.cached_property` without its lock: everything that is decided runs in one thread."""

        def __init__(self, work: Callable[[Any], Any]) -> None:
            self.work = work
            self.__doc__ = work.__doc__

        def __set_name__(self, owner: type[Any], name: str) -> None:
            self.name = name

        def __get__(self, one: Any, owner: type[Any] | None = None) -> Any:
            if one is None:
                return self
            found = one.__dict__[self.name] = self.work(one)
            return found

    _FIELDS: dict[type[Any], tuple[Callable[[Any], tuple[Any, ...]], dict[str, int]]] = {}
    """Of a class: what gets the values of all its fields, and the place of each by its name."""

    def replace(one: Any, /, **changes: Any) -> Any:
        """`dataclasses.replace`, with what it finds out about a class found out once: some five times as fast.

        Where every given field holds that very object already, the value itself.
        """
        kind = one.__class__
        held, place = _FIELDS.get(kind) or _FIELDS.setdefault(kind, _fields(kind))
        given = list(held(one))
        same = True
        for name, changed in changes.items():
            at = place[name]
            if given[at] is not changed:
                given[at] = changed
                same = False
        if same:
            return one
        del given[-1]
        return kind(*given)

    def _fields(kind: type[Any]) -> tuple[Callable[[Any], tuple[Any, ...]], dict[str, int]]:
        names = [field.name for field in fields(kind)]
        assert all(field.init and not field.kw_only for field in fields(kind))
        # one name more, as of a single one attrgetter gives no tuple
        return attrgetter(*names, names[0]), {name: index for index, name in enumerate(names)}


__all__ = ["lazy", "replace", "value"]
