"""What is logged of messages that are refused: each reason, and not more than a disk can bear."""

import logging

WINDOW_S = 60.0
MOST = 20
"""Different refusals that are logged in such a window, each once: who tries by the thousand does not fill the disk."""


class RefusalLog:
    """Logs refusals to a logger. Times are in seconds of any clock; one that jumps begins a new window."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._window_s = float("-inf")
        self._told: set[str] = set()

    def tell(self, words: str, of: str, now_s: float) -> None:
        """Logs "OF: WORDS" as a warning, where these words were not logged in this window."""
        if abs(now_s - self._window_s) >= WINDOW_S:
            self._window_s = now_s
            self._told.clear()
        if words not in self._told and len(self._told) < MOST:
            self._told.add(words)
            self._log.warning("%s: %s", of, words)
