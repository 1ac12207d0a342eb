"""A line on which more than one reading in twenty fails is told; an outage is not."""

from cem.runtime.quality import LineQuality


def heard(pattern: str, every_s: float = 1.0) -> LineQuality:
    """A second per letter: `+` came, `-` failed."""
    quality = LineQuality()
    for second, letter in enumerate(pattern):
        if letter == "+":
            quality.came(second * every_s)
        else:
            quality.failed()
    return quality


def test_scattered_failures_above_one_in_twenty_are_told() -> None:
    assert heard("++++++++-" * 10).trouble() == "10 of the last 90 readings failed"


def test_one_in_twenty_and_fewer_are_not() -> None:
    assert heard("+++++++++++++++++++-" * 5).trouble() == ""
    assert heard("+" * 100).trouble() == ""


def test_a_handful_of_readings_says_nothing() -> None:
    assert heard("+-+-+-+").trouble() == ""


def test_a_line_that_is_mended_is_forgotten_with_time() -> None:
    quality = heard("++++++++-" * 10 + "+" * 95)
    assert quality.trouble() == ""


def test_an_outage_is_not_the_lines_quality() -> None:
    assert heard("+" * 50 + "-" * 40 + "+" * 30).trouble() == ""
