"""What is let pass is counted: why, for how long, by how much; and an excuse for a moment does not set a clock back."""

import importlib
import pkgutil

import cem.simulation.oracle
from cem.simulation.oracle.excuses import Breaches, Excuse, Excused

LOAD = Excuse("I1", "the load alone is above", "I1, unless", "A")
LAG = Excuse("I1", "three ticks", "bars", "A")
JUMP = Excuse("I2", "the load has jumped", "bars")


def _breached(excuses: list[Excuse | None], most_s: float = 10.0, grace_s: float = 5.0) -> tuple[list[bool], Excused]:
    """What `Breaches` says of a breach that lasts, second by second, with such an excuse each."""
    breaches, excused = Breaches(), Excused()
    said = [
        breaches.broken("x", float(at), most_s, excused, excuse=one, grace=LAG, grace_s=grace_s, amount=at)
        for at, one in enumerate(excuses)
    ]
    return said, excused


def test_a_breach_is_one_after_its_bound_and_its_grace() -> None:
    said, excused = _breached([None] * 20)
    assert [at for at, broken in enumerate(said) if broken] == [16, 17, 18, 19]
    assert {excuse: (use.times, use.seconds, use.most) for excuse, use in excused} == {LAG: (1, 5.0, 15.0)}


def test_a_breach_that_is_over_begins_anew() -> None:
    breaches, excused = Breaches(), Excused()
    for at in range(40):
        if at % 14 == 0:
            breaches.end("x")
        else:
            assert not breaches.broken("x", float(at), 10.0, excused, grace=LAG, grace_s=5.0)


def test_an_excuse_for_a_moment_stops_the_clock_and_does_not_set_it_back() -> None:
    said, _ = _breached([LOAD if at == 8 else None for at in range(22)])
    assert [at for at, broken in enumerate(said) if broken] == [18, 19, 20, 21]


def test_an_excuse_that_lasts_sets_the_clock_back() -> None:
    said, excused = _breached([*[None] * 8, *[LOAD] * 70, *[None] * 10])
    assert not any(said)
    uses = dict(excused)
    assert (uses[LOAD].times, uses[LOAD].seconds > 60.0, uses[LOAD].most) == (1, True, 87.0)


def test_uses_are_counted_by_reason_and_told_by_promise() -> None:
    excused = Excused(step_s=5.0)
    for at_s, watts in ((0.0, 100.0), (5.0, 300.0), (5.0, 200.0), (60.0, 50.0)):
        excused.take(JUMP, at_s, watts)
    excused.take(LAG, 0.0, 1.0)
    told = [(excuse, use.times, use.seconds, use.most) for excuse, use in excused]
    assert told == [(LAG, 1, 5.0, 1.0), (JUMP, 2, 15.0, 300.0)]


def test_every_excuse_is_of_its_own_promise_and_says_who_allows_it() -> None:
    found: list[Excuse] = []
    for module in pkgutil.iter_modules(cem.simulation.oracle.__path__, "cem.simulation.oracle."):
        for judge in vars(importlib.import_module(module.name)).values():
            if isinstance(judge, type) and judge.__module__ == module.name:
                own = [value for value in vars(judge).values() if isinstance(value, Excuse)]
                assert {excuse.invariant for excuse in own} <= {getattr(judge, "name", "")}
                found += own
    assert len(found) > 20
    assert all(excuse.words and excuse.source and excuse.unit for excuse in found)
    assert len({(excuse.invariant, excuse.words) for excuse in found}) == len(found)
