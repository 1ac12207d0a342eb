"""What came from the broker and waits for the event loop: bounded, and the newest of each topic wins."""

import threading
from collections import OrderedDict, deque

MOST = 5000
"""So many messages wait at most."""
MOST_BYTES = 16 * 1024 * 1024
LARGEST = 1024 * 1024
"""A larger payload is dropped at once: no device says so much."""

Message = tuple[str, bytes, bool]


class Inbound:
    """A queue that one thread fills and another empties. Messages of one topic keep their order; beyond the bounds the
    oldest of the topic that overflows go, so that one topic's flood costs no other topic its values."""

    def __init__(self) -> None:
        self.dropped = 0
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, deque[tuple[bytes, bool]]] = OrderedDict()
        self._count = 0
        self._bytes = 0

    def __len__(self) -> int:
        return self._count

    def put(self, topic: str, payload: bytes, retained: bool) -> bool:
        """Takes a message in; True where the queue was empty before: somebody has to be woken."""
        if len(payload) > LARGEST:
            self.dropped += 1
            return False
        with self._lock:
            empty = self._count == 0
            self._waiting.setdefault(topic, deque()).append((payload, retained))
            self._count += 1
            self._bytes += len(payload)
            while self._count > MOST or self._bytes > MOST_BYTES:
                self._let_go(topic)
            return empty

    def take(self, most: int) -> list[Message]:
        """At most so many messages: topics in the order in which they began to wait, each with all of its own."""
        taken: list[Message] = []
        with self._lock:
            while self._waiting and len(taken) < most:
                topic, queue = next(iter(self._waiting.items()))
                while queue and len(taken) < most:
                    payload, retained = queue.popleft()
                    self._count -= 1
                    self._bytes -= len(payload)
                    taken.append((topic, payload, retained))
                if not queue:
                    del self._waiting[topic]
                else:
                    self._waiting.move_to_end(topic)
        return taken

    def clear(self) -> None:
        """Nothing waits any more."""
        with self._lock:
            self._waiting.clear()
            self._count = self._bytes = 0

    def _let_go(self, topic: str) -> None:
        """Makes room: the oldest of the topic that just came if it has more than one, else the oldest of all."""
        queue = self._waiting[topic]
        if len(queue) < 2:
            topic, queue = next(iter(self._waiting.items()))
        payload, _ = queue.popleft()
        self._count -= 1
        self._bytes -= len(payload)
        self.dropped += 1
        if not queue:
            del self._waiting[topic]
