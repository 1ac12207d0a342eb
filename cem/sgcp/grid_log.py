"""The log of the grid side: the difference between what held before and what holds now. Pure.

Limits that only hold because a link is lost are entries of their own, as limits of any other kind.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from cem.model.directive import Directive, GridPresence, LinkState
from cem.model.envelope import SITE, Rank
from cem.model.event import EventStatus
from cem.model.grid_log import GridEntry, Happening
from cem.model.request import RequestKind, UserRequest

Subject = tuple[str, str]
"""(source, what)."""

_LOST = (LinkState.HOLD, LinkState.FALLBACK)
_OURS = (Rank.OBLIGATION, Rank.PROGRAMME)
_NOTHING: Mapping[Subject, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class GridView:
    """What of the grid side is worth an entry when it changes."""

    limits: Mapping[Subject, float] = field(default_factory=lambda: MappingProxyType({}))  # W, magnitudes
    limit_words: Mapping[Subject, str] = field(default_factory=lambda: _NOTHING)
    running: Mapping[Subject, str] = field(default_factory=lambda: _NOTHING)  # (provider, event) to its name
    cancelled: Mapping[Subject, str] = field(default_factory=lambda: _NOTHING)
    outs: Mapping[Subject, str] = field(default_factory=lambda: _NOTHING)
    lost: frozenset[str] = frozenset()  # providers without a link
    islanded: bool = False


def view(
    directive: Directive, grid: GridPresence, requests: Iterable[UserRequest], before: GridView, now: datetime
) -> GridView:
    """What holds now. A link that is being resynchronised, merely stale, or not up yet is what it was `before`."""
    limits: dict[Subject, float] = {}
    words: dict[Subject, str] = {}
    for envelope in directive.envelopes:
        if envelope.subject != SITE or envelope.rank not in _OURS:
            continue
        for side, edge_w in (
            ("import", envelope.max_w),
            ("export", None if envelope.min_w is None else -envelope.min_w),
        ):
            key = (envelope.source, side)
            if edge_w is not None and edge_w <= limits.get(key, edge_w):
                limits[key], words[key] = edge_w, envelope.reason
    lost = {
        link.provider_id
        for link in directive.links
        if (link.state in _LOST and not link.awaited)
        or (link.state is not LinkState.ONLINE and link.provider_id in before.lost)
    }
    return GridView(
        limits,
        words,
        {(e.provider_id, e.id): e.name for e in directive.events if e.status is EventStatus.ACTIVE},
        {(e.provider_id, e.id): e.name for e in directive.events if e.status is EventStatus.CANCELLED},
        {
            ("owner", r.event_id or r.id): "event " + r.event_id if r.event_id else "every voluntary event"
            for r in requests
            if r.kind is RequestKind.OPT_OUT and r.in_force(now)
        },
        frozenset(lost),
        grid is GridPresence.ISLANDED or (grid is GridPresence.UNKNOWN and before.islanded),
    )


def between(before: GridView, after: GridView, at: datetime) -> list[GridEntry]:
    """The entries for what changed, in an order that can be read: grid, links, events, opt-outs, limits."""
    return [
        *_presence(before, after, at),
        *(
            GridEntry(at, Happening.LINK_LOST, p, words="no connection: what was received before holds")
            for p in sorted(after.lost - before.lost)
        ),
        *(GridEntry(at, Happening.LINK_BACK, p) for p in sorted(before.lost - after.lost)),
        *_events(before, after, at),
        *_outs(before, after, at),
        *_limits(before, after, at),
    ]


def _presence(before: GridView, after: GridView, at: datetime) -> Iterator[GridEntry]:
    if before.islanded != after.islanded:
        yield GridEntry(at, Happening.ISLANDED if after.islanded else Happening.RESTORED, "")


def _events(before: GridView, after: GridView, at: datetime) -> Iterator[GridEntry]:
    for (source, event), name in after.cancelled.items():
        if (source, event) not in before.cancelled:
            yield GridEntry(at, Happening.EVENT_CANCELLED, source, event, words=name)
    for (source, event), name in before.running.items():
        if (source, event) not in after.running and (source, event) not in after.cancelled:
            yield GridEntry(at, Happening.EVENT_STOPPED, source, event, words=name)
    for (source, event), name in after.running.items():
        if (source, event) not in before.running:
            yield GridEntry(at, Happening.EVENT_STARTED, source, event, words=name)


def _outs(before: GridView, after: GridView, at: datetime) -> Iterator[GridEntry]:
    for (source, what), words in after.outs.items():
        if (source, what) not in before.outs:
            yield GridEntry(at, Happening.OPTED_OUT, source, what, words=words)
    for (source, what), words in before.outs.items():
        if (source, what) not in after.outs:
            yield GridEntry(at, Happening.OPTED_IN, source, what, words=words)


def _limits(before: GridView, after: GridView, at: datetime) -> Iterator[GridEntry]:
    for (source, side), limit_w in after.limits.items():
        former_w = before.limits.get((source, side))
        if former_w != limit_w:
            kind = Happening.LIMIT_SET if former_w is None else Happening.LIMIT_CHANGED
            yield GridEntry(at, kind, source, side, limit_w, after.limit_words.get((source, side), ""))
    for source, side in before.limits:
        if (source, side) not in after.limits:
            yield GridEntry(at, Happening.LIMIT_ENDED, source, side)


def resumed(entries: Sequence[GridEntry]) -> GridView:
    """What held after the last of the stored entries, oldest first: a restart is no happening."""
    limits: dict[Subject, float] = {}
    running: dict[Subject, str] = {}
    cancelled: dict[Subject, str] = {}
    outs: dict[Subject, str] = {}
    lost: set[str] = set()
    islanded = False
    for entry in entries:
        key = (entry.source, entry.subject)
        match entry.kind:
            case Happening.LIMIT_SET | Happening.LIMIT_CHANGED:
                limits[key] = 0.0 if entry.value_w is None else entry.value_w
            case Happening.LIMIT_ENDED:
                limits.pop(key, None)
            case Happening.EVENT_STARTED:
                running[key] = entry.words
            case Happening.EVENT_STOPPED:
                running.pop(key, None)
            case Happening.EVENT_CANCELLED:
                running.pop(key, None)
                cancelled[key] = entry.words
            case Happening.OPTED_OUT:
                outs[key] = entry.words
            case Happening.OPTED_IN:
                outs.pop(key, None)
            case Happening.LINK_LOST:
                lost.add(entry.source)
            case Happening.LINK_BACK:
                lost.discard(entry.source)
            case Happening.ISLANDED | Happening.RESTORED:
                islanded = entry.kind is Happening.ISLANDED
    return GridView(limits, running=running, cancelled=cancelled, outs=outs, lost=frozenset(lost), islanded=islanded)
