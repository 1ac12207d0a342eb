"""What is made of files is made anew when they change, and goes on as it was when the change can't be used."""

import logging
from pathlib import Path

import pytest

from cem.io.fresh import Fresh


def test_a_change_counts_and_one_that_cannot_be_used_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    file, made = tmp_path / "number", []

    def number() -> int:
        made.append(1)
        return int(file.read_text())

    with pytest.raises(FileNotFoundError):
        Fresh(number, (file,))
    file.write_text("1")
    fresh = Fresh(number, (file,))
    made.clear()
    assert [fresh(), fresh()] == [1, 1]
    assert made == []
    file.write_text("22")
    assert [fresh(), fresh()] == [22, 22]
    assert len(made) == 1
    file.write_text("none")
    assert [fresh(), fresh()] == [22, 22]
    file.unlink()
    assert [fresh(), fresh()] == [22, 22]
    assert len(made) == 3
    assert caplog.text.count("can't be used") == 2
    file.write_text("4")
    assert fresh() == 4
