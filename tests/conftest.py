"""Options of the whole test run."""

import pytest
from hypothesis import HealthCheck, settings

# a loaded machine is slow, not wrong: no example fails for the time that it took
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# the ordinary command says the same twice of one state of the code; `--slow` goes on looking for what nobody has seen
settings.register_profile("house", settings.get_profile("search"), derandomize=True)
settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--slow` runs what does not fit into the ordinary test command."""
    parser.addoption("--slow", action="store_true", default=False, help="run the slow tests too")


def pytest_configure(config: pytest.Config) -> None:
    """Laws are tried with new examples where there is time for it."""
    if config.getoption("--slow"):
        settings.load_profile("search")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves the slow tests out unless they were asked for, and begins with what takes longest by the clock."""
    items.sort(key=lambda item: item.get_closest_marker("first") is None)
    if config.getoption("--slow"):
        return
    kept = [item for item in items if item.get_closest_marker("slow") is None]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept
