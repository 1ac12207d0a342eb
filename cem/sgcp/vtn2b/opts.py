"""The opts that VENs declare by themselves: of one event, or of stretches of time."""

import logging
from datetime import datetime

from cem.sgcp.vtn.objects import Body, Change, Objects
from cem.sgcp.vtn2b.records import Opt, Told
from cem.sgcp.vtn2b.refusal import Refused, fine, short
from cem.wire.openadr2b.messages import CanceledOpt, CancelOpt, CreatedOpt, CreateOpt, Message
from cem.wire.openadr2b.names import Code

_LOG = logging.getLogger(__name__)
_MOST = 200  # of one VEN
_MOST_STRETCHES = 1000


def created(message: CreateOpt, ven: Body, objects: Objects, now: datetime) -> tuple[Message, tuple[Change, ...]]:
    """Takes an opt in; a known identifier replaces what it stood for. Raises Refused.

    Interpretation: an opt of no event and no stretch of time holds from now on until it is taken back.
    """
    event_id = None if message.event is None else message.event.event_id
    stretches = () if message.availability is None else message.availability.stretches
    short(message.opt_id, message.opt_type, message.reason, message.market_context or "", *message.target.resource_ids)
    if event_id is not None and Told.find(objects, ven["id"], event_id) is None:
        raise Refused(Code.INVALID_ID, f"no event {event_id[:60]!r}")
    opts = Opt.of(objects, ven["id"])
    over = [opt for opt in opts if _is_over(opt, objects, now)]
    if len(opts) - len(over) >= _MOST or len(stretches) > _MOST_STRETCHES:
        raise Refused(Code.NOT_ALLOWED, f"{_MOST} opts of {_MOST_STRETCHES} stretches are allowed; cancel some first")
    opt = Opt(
        ven_id=ven["id"],
        opt_id=message.opt_id,
        opt_type=message.opt_type,
        reason=message.reason,
        made_at=now,
        event_id=event_id,
        market_context=message.market_context,
        stretches=tuple((one.start, one.duration) for one in stretches),
        resource_ids=message.target.resource_ids,
    )
    _LOG.info("%s: %s (%s), opt %s", ven["venName"], opt.opt_type, opt.reason, opt.opt_id)
    dropped = tuple(one.dropped() for one in over if one.opt_id != opt.opt_id)
    return CreatedOpt(response=fine(message.request_id), opt_id=message.opt_id), (*dropped, opt.stored())


def _is_over(opt: Opt, objects: Objects, now: datetime) -> bool:
    """Interpretation: a stretch without a length has no end."""
    if opt.event_id is not None:
        return Told.find(objects, opt.ven_id, opt.event_id) is None
    return bool(opt.stretches) and all(length and start + length <= now for start, length in opt.stretches)


def cancelled(message: CancelOpt, ven: Body, objects: Objects) -> tuple[Message, tuple[Change, ...]]:
    """Takes an opt back: for its event the VEN's answer counts again. Raises Refused."""
    opt = Opt.find(objects, ven["id"], message.opt_id)
    if opt is None:
        raise Refused(Code.INVALID_ID, f"no opt {message.opt_id[:60]!r}")
    _LOG.info("%s: opt %s is taken back", ven["venName"], opt.opt_id)
    return CanceledOpt(response=fine(message.request_id), opt_id=message.opt_id), (opt.dropped(),)
