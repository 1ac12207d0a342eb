"""The sum of what the members of a domain used: measured or missing, and corrected when the rest comes."""

from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from cem.sgcp.domain.usage import WAIT_S, Ledger, Used, used
from cem.wire.openadr3 import Report, validate
from support.ven_world import T0

MINUTE = timedelta(minutes=1)


def of(minute: int, import_wh: float, export_wh: float = 0.0) -> Used:
    return Used(T0 + minute * MINUTE, T0 + (minute + 1) * MINUTE, import_wh, export_wh)


def at(minutes: float) -> datetime:
    return T0 + minutes * MINUTE


def test_a_sum_is_told_when_all_is_there_and_once() -> None:
    ledger = Ledger()
    ledger.members(["a", "b"], T0)
    ledger.take("a", [of(0, 10.0)], at(1.1))
    assert ledger.sums(60.0, at(1.1)) == []
    ledger.take("b", [of(0, 0.0, 4.0)], at(1.5))
    (one,) = ledger.sums(60.0, at(1.5))
    assert (one.start, one.import_wh, one.export_wh) == (T0, 10.0, 4.0)
    assert ledger.sums(60.0, at(1.6)) == []


def test_what_does_not_come_is_missing_after_the_wait_and_is_corrected_later() -> None:
    ledger = Ledger()
    ledger.members(["a", "b"], T0)
    ledger.take("a", [of(0, 10.0)], at(1.1))
    late = at(1) + timedelta(seconds=WAIT_S)
    assert ledger.sums(60.0, late - timedelta(seconds=1)) == []
    assert [one.missing for one in ledger.sums(60.0, late) if one.start == T0] == [True]
    assert [one for one in ledger.sums(60.0, late) if one.start == T0] == []
    ledger.take("b", [of(0, 5.0)], at(30))
    assert [one.import_wh for one in ledger.sums(60.0, at(30)) if one.start == T0] == [15.0]


@settings(max_examples=30)
@given(st.lists(st.lists(st.none() | st.integers(0, 100).map(float), min_size=15, max_size=15), min_size=1, max_size=3))
def test_a_quarter_hour_is_the_sum_of_its_minutes_or_missing(members: list[list[float | None]]) -> None:
    ledger = Ledger()
    ledger.members([str(number) for number in range(len(members))], T0)
    for number, minutes in enumerate(members):
        ledger.take(str(number), [of(n, wh) for n, wh in enumerate(minutes) if wh is not None], at(15))
    (one,) = [one for one in ledger.sums(900.0, at(15) + timedelta(seconds=WAIT_S)) if one.start == T0]
    if any(wh is None for minutes in members for wh in minutes):
        assert one.missing
    else:
        assert one.import_wh == sum(wh for minutes in members for wh in minutes if wh is not None)


def test_who_joins_later_is_not_missed_before() -> None:
    ledger = Ledger()
    ledger.members(["a"], T0)
    ledger.take("a", [of(0, 10.0), of(1, 10.0)], at(2))
    ledger.members(["a", "b"], at(2))
    assert [one.import_wh for one in ledger.sums(60.0, at(2))] == [10.0, 10.0]


def report(*resources: tuple[str, list[tuple[str, float | str]]]) -> Report:
    period = {"start": "2026-01-15T12:00:00Z", "duration": "PT1M"}
    return validate(
        Report,
        {
            "id": "r1",
            "eventID": "e1",
            "clientName": "flat",
            "resources": [
                {
                    "resourceName": name,
                    "intervals": [
                        {"id": 0, "intervalPeriod": period, "payloads": [{"type": t, "values": [v]} for t, v in values]}
                    ],
                }
                for name, values in resources
            ],
        },
    )


def test_a_report_is_read_by_its_aggregate_else_by_all_of_its_resources() -> None:
    whole = report(("AGGREGATED_REPORT", [("USAGE", 0.3), ("EXPORT_USAGE", 0.1)]), ("car", [("USAGE", 0.2)]))
    assert used(whole) == [of(0, 300.0, 100.0)]
    assert used(report(("car", [("USAGE", 0.2)]), ("pump", [("USAGE", 0.1)]))) == [of(0, 300.0)]
    assert used(report(("car", [("USAGE", 0.2)]), ("pump", [("DATA_QUALITY", "MISSING")]))) == []
    assert used(report(("roof", [("USAGE", -0.2)]))) == [of(0, 0.0, 200.0)]
