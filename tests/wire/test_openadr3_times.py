"""Times of OpenADR 3.1.0: tables for the forms, laws for the round trip."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem.wire.openadr3 import Duration, Start, format_datetime, parse_datetime
from support.openadr3_messages import instants


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2023-02-10T00:00:00.000Z", datetime(2023, 2, 10, tzinfo=UTC)),
        ("2023-02-10T01:30:00+01:30", datetime(2023, 2, 10, tzinfo=UTC)),
        ("2023-02-09t19:00:00-05:00", datetime(2023, 2, 10, tzinfo=UTC)),
        ("2023-02-10 00:00:00z", datetime(2023, 2, 10, tzinfo=UTC)),
        ("2023-02-10T00:00:00.1234567Z", datetime(2023, 2, 10, 0, 0, 0, 123456, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
    ],
)
def test_every_rfc_3339_form_is_read(text: str, expected: datetime) -> None:
    assert parse_datetime(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2023-02-10",
        "2023-02-10T00:00:00",
        "2023-02-30T00:00:00Z",
        "14:13:26",
        "2023-02-10T24:00:00Z",
        "9999-12-31T23:59:60Z",
        "0001-01-01T00:00:00+23:00",
        "\uff12023-02-10T00:00:00Z",
        "2023-02-10T00:00:00Z" + " " * 100,
    ],
)
def test_a_start_that_is_not_a_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="time"):
        Start.parse(text)


@pytest.mark.parametrize(
    "text", ["0001-01-01", "0001-01-01T00:00:00", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z", "0000-00-00"]
)
def test_the_beginning_of_time_means_now(text: str) -> None:
    assert Start.parse(text).is_now
    assert str(Start.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("PT0S", datetime(2024, 1, 31, tzinfo=UTC)),
        ("PT15M", datetime(2024, 1, 31, 0, 15, tzinfo=UTC)),
        ("P1D", datetime(2024, 2, 1, tzinfo=UTC)),
        ("P2W", datetime(2024, 2, 14, tzinfo=UTC)),
        ("P1M", datetime(2024, 2, 29, tzinfo=UTC)),
        ("P1Y1M", datetime(2025, 2, 28, tzinfo=UTC)),
        ("PT1.5S", datetime(2024, 1, 31, 0, 0, 1, 500000, tzinfo=UTC)),
        ("-PT1H", datetime(2024, 1, 30, 23, tzinfo=UTC)),
        ("-P1M", datetime(2023, 12, 31, tzinfo=UTC)),
        ("P9999Y", None),
        ("P9000Y", None),
        ("-P2025Y", None),
    ],
)
def test_a_duration_after_a_start_is_calendar_arithmetic(text: str, end: datetime | None) -> None:
    assert Duration.parse(text).after(datetime(2024, 1, 31, tzinfo=UTC)) == end


@pytest.mark.parametrize("text", ["", "P", "PT", "1H", "PT1", "P1H", "PT1.5H", "P1D2W", "PT\uff11H", "P99999999999D"])
def test_what_is_not_a_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        Duration.parse(text)


def test_the_length_without_a_start_counts_30_day_months_and_infinity_has_none() -> None:
    assert Duration.parse("P1Y2M3D").length() == timedelta(days=365 + 60 + 3)
    assert Duration.parse("-P1M").length() == timedelta(days=-30)
    assert Duration.infinite().is_infinite
    assert Duration.infinite().length() is None


@given(st.timedeltas(min_value=timedelta(days=-10000), max_value=timedelta(days=10000)))
def test_a_span_survives_the_wire(span: timedelta) -> None:
    assert Duration.parse(Duration.of(span).text).span == span


@given(instants)
def test_an_instant_survives_the_wire(at: datetime) -> None:
    assert parse_datetime(format_datetime(at)) == at
    assert Start.at(at).instant == at
