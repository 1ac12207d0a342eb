"""Values: dataclasses that nobody may change once they are made.

`value` is `dataclass` to the type checker, which forbids every assignment to a field of a frozen one (mypy strict runs
over all of our code). At run time it leaves the check out: a tick makes hundreds of values, and a frozen dataclass
takes more than three times as long to make as a plain one.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as value
else:
    from dataclasses import dataclass

    def value(*, frozen: bool, slots: bool) -> Callable[[type[Any]], type[Any]]:
        """The decorator `dataclass(frozen=True, slots=True)`, with equality and hash by the fields."""
        assert frozen
        return dataclass(slots=slots, unsafe_hash=True)


__all__ = ["value"]
