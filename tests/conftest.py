"""Options of the whole test run."""

import pytest
from hypothesis import HealthCheck, settings

# a loaded machine is slow, not wrong: no example fails for the time that it took
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--slow` runs what does not fit into the ordinary test command."""
    parser.addoption("--slow", action="store_true", default=False, help="run the slow tests too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves the slow tests out unless they were asked for."""
    if config.getoption("--slow"):
        return
    kept = [item for item in items if item.get_closest_marker("slow") is None]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept
