"""Requests and answers as bytes, and the planning of reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem.driver import BadAnswer, Refused
from cem_drivers.modbus import Function, Span, plan_reads, split_span
from cem_drivers.modbus.pdu import answer_to, read_request, write_many_request, write_one_request


def test_requests_are_those_of_the_specification() -> None:
    # Modbus Application Protocol V1.1b3, the examples of clauses 6.3, 6.6 and 6.12
    assert read_request(Function.READ_HOLDING, 107, 3).hex() == "03006b0003"
    assert write_one_request(1, 3).hex() == "0600010003"
    assert write_many_request(1, [10, 258]).hex() == "100001000204000a0102"


def test_answers_give_back_what_was_asked() -> None:
    assert answer_to(bytes.fromhex("03006b0003"), bytes.fromhex("0306022b00000064")).hex() == "022b00000064"
    assert answer_to(bytes.fromhex("0600010003"), bytes.fromhex("0600010003")) == b""
    assert answer_to(bytes.fromhex("100001000204000a0102"), bytes.fromhex("1000010002")) == b""


@pytest.mark.parametrize(
    "answer",
    ["", "03", "0304022b0000", "0306022b0000", "0306022b000000640000", "0406022b00000064", "83", "8302ff", "ff", "00"],
)
def test_an_answer_to_another_question_is_a_bad_answer_with_its_bytes(answer: str) -> None:
    with pytest.raises(BadAnswer) as caught:
        answer_to(bytes.fromhex("03006b0003"), bytes.fromhex(answer))
    assert caught.value.raw == bytes.fromhex(answer)


def test_an_exception_answer_is_a_refusal_with_its_code() -> None:
    with pytest.raises(Refused, match="illegal data address") as caught:
        answer_to(bytes.fromhex("03006b0003"), bytes.fromhex("8302"))
    assert caught.value.code == 2


@pytest.mark.parametrize("echo", ["0600010004", "0600020003", "06000100"])
def test_a_write_that_is_echoed_differently_is_a_bad_answer(echo: str) -> None:
    with pytest.raises(BadAnswer, match="echoed"):
        answer_to(bytes.fromhex("0600010003"), bytes.fromhex(echo))


@given(st.binary(max_size=260))
def test_any_bytes_are_an_answer_a_refusal_or_a_bad_answer(answer: bytes) -> None:
    request = read_request(Function.READ_HOLDING, 40000, 2)
    try:
        assert answer_to(request, answer) == answer[2:]
        assert len(answer) == 6
    except (Refused, BadAnswer):
        assert answer[:2] != b"\x03\x04" or len(answer) != 6


@pytest.mark.parametrize(("address", "count"), [(0, 0), (0, 126), (65535, 2), (-1, 1)])
def test_reads_outside_the_protocol_are_not_sent(address: int, count: int) -> None:
    with pytest.raises(ValueError, match="can't read"):
        read_request(Function.READ_HOLDING, address, count)


@pytest.mark.parametrize(("address", "count"), [(0, 0), (0, 124), (65535, 2)])
def test_writes_outside_the_protocol_are_not_sent(address: int, count: int) -> None:
    with pytest.raises(ValueError, match="can't write"):
        write_many_request(address, [0] * count)


def test_neighbours_share_a_read_and_strangers_do_not() -> None:
    reads = plan_reads([Span(40070, 52), Span(40122, 28), Span(40160, 10), Span(50000, 2)], max_gap=10)
    assert [read.span for read in reads] == [Span(40070, 100), Span(50000, 2)]
    assert reads[0].covers == (Span(40070, 52), Span(40122, 28), Span(40160, 10))


def test_a_gap_below_zero_keeps_even_neighbours_apart() -> None:
    assert [read.span for read in plan_reads([Span(0, 2), Span(2, 2)], max_gap=-1)] == [Span(0, 2), Span(2, 2)]


_SPANS = st.lists(st.builds(Span, st.integers(0, 65000), st.integers(1, 60)), max_size=30)


@given(_SPANS, st.integers(60, 125), st.integers(0, 20))
def test_every_wanted_span_lies_whole_in_exactly_one_read(spans: list[Span], max_read: int, max_gap: int) -> None:
    reads = plan_reads(spans, max_read, max_gap)
    assert sorted(span for read in reads for span in read.covers) == sorted(set(spans))
    for read in reads:
        assert read.span.count <= max_read
        assert all(read.span.address <= span.address and span.end <= read.span.end for span in read.covers)


@given(st.integers(0, 60000), st.integers(1, 400), st.integers(1, 125))
def test_a_long_span_is_cut_without_loss(address: int, count: int, max_read: int) -> None:
    pieces = split_span(Span(address, count), max_read)
    assert all(piece.count <= max_read for piece in pieces)
    assert [at for piece in pieces for at in range(piece.address, piece.end)] == list(range(address, address + count))


def test_a_span_that_no_read_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        plan_reads([Span(0, 126)])
