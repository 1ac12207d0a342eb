"""Turns the spans of registers that are wanted into as few reads as the device allows. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from cem_drivers.modbus.pdu import MAX_READ

MAX_GAP = 8  # registers read for nothing cost less than another request


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """`count` registers from wire address `address` on."""

    address: int
    count: int

    @property
    def end(self) -> int:
        """The first address behind the span."""
        return self.address + self.count


@dataclass(frozen=True, slots=True)
class Read:
    """One request and the wanted spans that it covers."""

    span: Span
    covers: tuple[Span, ...]


def plan_reads(wanted: Iterable[Span], max_read: int = MAX_READ, max_gap: int = MAX_GAP) -> list[Read]:
    """Every wanted span lies whole in exactly one read; no read is longer than `max_read` registers.

    Gaps of up to `max_gap` registers are read along. ValueError for a span that no read can hold.
    """
    reads: list[Read] = []
    for span in sorted(set(wanted)):
        if not 1 <= span.count <= max_read:
            raise ValueError(f"{span} does not fit into one read of {max_read} registers")
        last = reads[-1] if reads else None
        if last is not None and span.address <= last.span.end + max_gap:
            end = max(last.span.end, span.end)
            if end - last.span.address <= max_read:
                merged = Span(last.span.address, end - last.span.address)
                reads[-1] = Read(merged, (*last.covers, span))
                continue
        reads.append(Read(span, (span,)))
    return reads


def split_span(span: Span, max_read: int = MAX_READ) -> list[Span]:
    """A span too long for one read, cut into pieces that are not."""
    return [Span(address, min(max_read, span.end - address)) for address in range(span.address, span.end, max_read)]
