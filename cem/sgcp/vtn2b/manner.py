"""What an event says to VENs of OpenADR 2.0b beyond what 3.1 has words for, as private payload types of 3.1.

| payload type | in 2.0b |
| --- | --- |
| `X-TEST-` before any other type | testEvent true, and the type without it |
| `X-2B-RESPONSE-REQUIRED`, `never` | oadrResponseRequired never |
| `X-2B-RAMP-UP`, a duration | x-eiRampUp: how long after the start (negative: before it) load changes |
| `X-2B-RECOVERY`, a duration | x-eiRecovery: the same at the end |

Interpretation: 3.1 has no test events. A client of 3.1 that does not know a type does not act on it, so a test under a
type of its own moves nothing there either.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from cem.wire.openadr2b.names import ResponseRequired
from cem.wire.openadr3 import Duration, Event, ValuesMap

_LOG = logging.getLogger(__name__)
TEST = "X-TEST-"
RESPONSE_REQUIRED = "X-2B-RESPONSE-REQUIRED"
RAMP_UP = "X-2B-RAMP-UP"
RECOVERY = "X-2B-RECOVERY"
ASIDE = frozenset({RESPONSE_REQUIRED, RAMP_UP, RECOVERY})
"""Payload types that go with an event's values and are none of them."""
_LONGEST = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Manner:
    """How an event is told to VENs of 2.0b."""

    test: bool = False
    response_required: str = ResponseRequired.ALWAYS
    ramp_up: timedelta | None = None
    recovery: timedelta | None = None

    def payloads(self) -> tuple[ValuesMap, ...]:
        """The payloads of an event's first interval that say so; a test is said by the types of all others."""
        never = self.response_required == ResponseRequired.NEVER
        spans = ((RAMP_UP, self.ramp_up), (RECOVERY, self.recovery))
        return (
            *((ValuesMap(type=RESPONSE_REQUIRED, values=(str(ResponseRequired.NEVER),)),) if never else ()),
            *(ValuesMap(type=kind, values=(str(Duration.of(span)),)) for kind, span in spans if span is not None),
        )

    def type_of(self, payload_type: str) -> str:
        """The type under which a payload of the event is stored."""
        return f"{TEST}{payload_type}" if self.test else payload_type


def told_apart(event: Event) -> tuple[Event, Manner]:
    """An event without what only 2.0b knows, and that."""
    said: dict[str, str] = {}
    test = False
    intervals = []
    for interval in event.intervals:
        plain = []
        for payload in interval.payloads:
            if payload.type in ASIDE:
                said.setdefault(payload.type, " ".join(str(value) for value in payload.values))
            else:
                test = test or payload.type.startswith(TEST)
                plain.append(payload.model_copy(update={"type": payload.type.removeprefix(TEST)}))
        intervals.append(interval.model_copy(update={"payloads": tuple(plain)}))
    descriptors = tuple(
        one.model_copy(update={"payload_type": one.payload_type.removeprefix(TEST)})
        for one in event.payload_descriptors
    )
    never = said.get(RESPONSE_REQUIRED, "").lower() == ResponseRequired.NEVER
    spans = dict(_spans(event.id, said))
    manner = Manner(
        test=test,
        response_required=ResponseRequired.NEVER if never else ResponseRequired.ALWAYS,
        ramp_up=spans.get(RAMP_UP),
        recovery=spans.get(RECOVERY),
    )
    return event.model_copy(update={"intervals": tuple(intervals), "payload_descriptors": descriptors}), manner


def _spans(event_id: str, said: dict[str, str]) -> Iterator[tuple[str, timedelta]]:
    for kind in (RAMP_UP, RECOVERY):
        if kind not in said:
            continue
        try:
            span = Duration.parse(said[kind]).length()
        except ValueError:
            span = None
        if span is None or abs(span) > _LONGEST:
            _LOG.warning("event %s: %s %r is no duration of a day at most; left out", event_id, kind, said[kind][:40])
        else:
            yield kind, span
