"""The owner's opting out as OpenADR 2.0b opts: of one event, or of all of a time.

Interpretation:
- an opt's identifier is made of what it says, so that a repeated or doubtful message changes nothing;
- an opt of a time without a market context is about all programmes: where one is an obligation, the others are named
  one by one.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from cem.model.event import GridEvent
from cem.sgcp.opt.cut import OptOut
from cem.wire.openadr2b.messages import CreateOpt
from cem.wire.openadr2b.names import OptReason, OptType
from cem.wire.openadr2b.parts import Availability, Available, QualifiedEventId, Target


def opts(
    outs: Iterable[OptOut],
    events: Mapping[str, GridEvent],
    versions: Mapping[str, int],
    ven_id: str,
    request_id: str,
    now: datetime,
    contexts: Sequence[str | None] = (None,),
) -> dict[str, CreateOpt]:
    """What the provider is to be told at present, by optID; an obligation is not opted out of.

    `contexts` are the market contexts that a time is opted out of; None: all.
    """
    found: dict[str, CreateOpt] = {}
    for out in outs:
        if out.until <= now:
            continue
        event = None
        if out.event_id is not None:
            known = events.get(out.event_id)
            if known is None or not out.concerns(known):
                continue
            event = QualifiedEventId(event_id=known.id, modification_number=versions.get(known.id, 0))
        stretch = Available(start=out.since, duration=out.until - out.since)
        for context in contexts if event is None else (None,):
            words = "\n".join(
                (
                    str(out.event_id),
                    out.since.isoformat(),
                    out.until.isoformat(),
                    *(() if context is None else (context,)),
                )
            )
            opt_id = hashlib.sha256(words.encode()).hexdigest()[:20]
            found[opt_id] = CreateOpt(
                opt_id=opt_id,
                opt_type=OptType.OUT,
                reason=OptReason.NOT_PARTICIPATING,
                market_context=context,
                ven_id=ven_id,
                availability=None if event is not None else Availability(stretches=(stretch,)),
                created_at=now,
                request_id=request_id,
                event=event,
                target=Target(ven_ids=(ven_id,)),
            )
    return found
