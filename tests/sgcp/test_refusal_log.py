"""Who is refused by the thousand does not fill the disk with it."""

import logging
from pathlib import Path

import pytest

from cem.sgcp.refusal_log import MOST, WINDOW_S, RefusalLog
from cem.wire.openadr2b.messages import Poll
from support.vtn2b_desk import Desk


def test_each_reason_is_logged_once_in_a_window_and_not_too_many(caplog: pytest.LogCaptureFixture) -> None:
    log = RefusalLog(logging.getLogger("cem.test"))
    for number in range(1000):
        log.tell(f"reason {number // 2}", "what came", 10.0)
    assert caplog.messages == [f"what came: reason {number}" for number in range(MOST)]
    caplog.clear()
    for now_s in (10.0 + WINDOW_S / 2, 10.0 + WINDOW_S, 5.0):  # the same window, a new one, a clock that was set back
        log.tell("reason 1", "what came", now_s)
    assert len(caplog.messages) == 2


def test_a_thousand_strangers_at_the_vtn_are_a_few_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(tmp_path)
    for number in range(100):
        assert desk.say(Poll(ven_id=f"nobody-{number}")).response.code == "463"
    desk.close()
    told = [words for words in caplog.messages if "oadrPoll refused" in words]
    assert len(told) == MOST
    assert "'nobody-0' does not go with the fingerprint AA (463)" in told[0]
