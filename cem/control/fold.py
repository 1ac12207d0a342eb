"""Folding envelopes: the grid and the user only ever narrow the allowed band (house law 1)."""

import math
from collections.abc import Iterable
from datetime import datetime

from cem.model.envelope import Band, Envelope, Rank

OPEN = Band(-math.inf, math.inf)


def fold(
    subject: str, envelopes: Iterable[Envelope], now: datetime, *, weakest: Rank = Rank.PLAN, start: Band = OPEN
) -> Band:
    """The band that is left of `subject` after every envelope in force, strongest rank first.

    Where an envelope is disjoint from what stronger ones left, the edge nearest to it holds. Envelopes of ranks
    weaker than `weakest` are left out. The result never reaches outside `start`, and an envelope that is added
    never widens it.
    """
    if envelopes == ():  # as nearly always for one device
        return start
    counts = [
        one
        for one in envelopes
        if one.subject == subject and one.rank <= weakest and (one.until is None or now < one.until)
    ]
    if len(counts) > 1:
        counts.sort(key=_strength)
    min_w, max_w, min_by, max_by = start.min_w, start.max_w, start.min_by, start.max_by
    # where one is disjoint from the band, the stronger edge holds, and it is the one that binds
    for envelope in counts:
        low_w, high_w = envelope.min_w, envelope.max_w
        if low_w is not None and low_w > min_w:
            if low_w > max_w:
                min_w, min_by = max_w, max_by
                continue
            min_w, min_by = low_w, envelope
        if high_w is not None and high_w < max_w:
            if high_w < min_w:
                max_w, max_by = min_w, min_by
                continue
            max_w, max_by = high_w, envelope
    return Band(min_w, max_w, min_by, max_by) if counts else start


def _strength(envelope: Envelope) -> tuple[int, float, float, str, str]:
    """Strongest rank first; within a rank an order that depends on nothing but the envelopes themselves."""
    low = -math.inf if envelope.min_w is None else envelope.min_w
    high = math.inf if envelope.max_w is None else envelope.max_w
    return (envelope.rank, high, -low, envelope.source, envelope.reason)
