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
    band = start
    for envelope in counts:
        band = _narrow(band, envelope)
    return band


def _strength(envelope: Envelope) -> tuple[int, float, float, str, str]:
    """Strongest rank first; within a rank an order that depends on nothing but the envelopes themselves."""
    low = -math.inf if envelope.min_w is None else envelope.min_w
    high = math.inf if envelope.max_w is None else envelope.max_w
    return (envelope.rank, high, -low, envelope.source, envelope.reason)


def _narrow(band: Band, envelope: Envelope) -> Band:
    min_w, max_w, min_by, max_by = band.min_w, band.max_w, band.min_by, band.max_by
    if envelope.min_w is not None and envelope.min_w > min_w:
        if envelope.min_w > max_w:  # disjoint: the stronger edge holds, and it is the one that binds
            return Band(max_w, max_w, max_by, max_by)
        min_w, min_by = envelope.min_w, envelope
    if envelope.max_w is not None and envelope.max_w < max_w:
        if envelope.max_w < min_w:
            return Band(min_w, min_w, min_by, min_by)
        max_w, max_by = envelope.max_w, envelope
    return Band(min_w, max_w, min_by, max_by)
