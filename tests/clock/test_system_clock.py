"""When the system's wall clock is trusted."""

from pathlib import Path

from cem.io.clock import SystemClock


def test_without_timesyncd_the_clock_is_trusted_at_once(tmp_path: Path) -> None:
    assert SystemClock(tmp_path / "nothing").now().trusted


def test_a_clock_that_waits_for_its_first_synchronisation_is_not_trusted(tmp_path: Path) -> None:
    clock = SystemClock(tmp_path)
    assert not clock.now().trusted
    (tmp_path / "synchronized").touch()
    assert SystemClock(tmp_path).now().trusted


def test_the_monotonic_clock_never_goes_back() -> None:
    clock = SystemClock()
    seen = [clock.now().mono_s for _ in range(1000)]
    assert seen == sorted(seen)
