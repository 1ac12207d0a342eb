"""The export in the words of IEC 61968-9: the standard's codes, the record's energies, the schemas' order."""

import asyncio
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from lxml import etree

from cem.cli.history import history
from cem.io.history import HistoryJournal
from cem.io.record_cim import EXPORT_15, IMPORT_15, reading_type_of, write_cim
from cem.io.record_reader import RecordReader
from cem.io.state_store import SqliteStateStore
from cem.io.virtual import VirtualClock, run_virtual
from cem.model.grid_log import GridEntry, Happening, entry_row
from cem.model.resource import POINTS, Role
from cem.ports import Json, Put, StateKind
from support.records import SITE, HandClock, SyntheticDay, decision, inputs_at

FIRST = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)
END = FIRST + timedelta(hours=3)
M = "{http://iec.ch/TC57/2011/MeterReadings#}"
E = "{http://iec.ch/TC57/2011/EndDeviceEvents#}"
C = "{http://iec.ch/TC57/2011/EndDeviceControls#}"

# From the published 2011 schemas: the children in their order.
ORDER = {
    f"{M}MeterReading": ["IntervalBlocks", "Meter", "Readings", "UsagePoint"],
    f"{M}IntervalBlocks": ["IntervalReadings", "ReadingType"],
    f"{M}IntervalReadings": ["timeStamp", "value"],
    f"{M}Readings": ["timeStamp", "value", "ReadingType"],
    f"{E}EndDeviceEvent": ["mRID", "createdDateTime", "issuerID", "issuerTrackingID", "reason", "EndDeviceEventType"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three hours with a gap of five minutes in the second, an event and four happenings."""
    folder = tmp_path_factory.mktemp("record")

    async def main(clock: VirtualClock) -> None:
        journal = HistoryJournal(folder / "history.db", SITE)
        await journal.open(clock.now())
        day = SyntheticDay()
        for second in range(0, 3 * 3600, 20):
            if not 4000 <= second < 4300:
                journal.record(inputs_at(clock.now(), day.values(second, 20.0)), decision())
            await asyncio.sleep(20)
        await journal.close()

    async def state() -> None:
        store = SqliteStateStore(folder / "state.db", HandClock())
        interval: Json = [(FIRST + timedelta(hours=1)).isoformat(), END.isoformat(), {"import_limit_w": 4200.0}]
        event: Json = {"provider": "dso", "id": "e1", "name": "Dim", "mandatory": True, "intervals": [interval]}
        happened = [
            GridEntry(FIRST, Happening.LINK_LOST, "dso", words="nothing new"),
            GridEntry(FIRST, Happening.LIMIT_SET, "dso", "import", 4200.0, "event <Dim>"),
            GridEntry(FIRST, Happening.LIMIT_ENDED, "dso", "import"),
            GridEntry(END, Happening.RESTORED, ""),
        ]
        rows = [Put(StateKind.GRID_LOG, f"{e.at.isoformat()}#{n}", {**entry_row(e)}) for n, e in enumerate(happened)]
        await store.commit([Put(StateKind.EVENT, "dso/e1", event), *rows])
        await store.close()

    run_virtual(main, FIRST)
    asyncio.run(state())
    return folder


def exported(folder: Path, until: datetime = END) -> tuple[Any, int]:
    stream = io.BytesIO()
    left_out = write_cim(folder, stream, FIRST, until, END)
    return etree.fromstring(stream.getvalue()), left_out


def block(root: Any, type_: str) -> list[tuple[str, float]]:
    (found,) = root.xpath(".//*[local-name()='IntervalBlocks'][*[local-name()='ReadingType']/@ref=$t]", t=type_)
    return [(i.findtext(f"{M}timeStamp"), float(i.findtext(f"{M}value"))) for i in found.iter(f"{M}IntervalReadings")]


def test_whole_quarters_carry_the_energy_of_the_record_and_gaps_are_left_out(folder: Path) -> None:
    root, left_out = exported(folder)
    bought = block(root, IMPORT_15)
    assert left_out == 1
    assert len(bought) == 11
    assert bought[0][0] == "2026-06-01T10:15:00Z", "an interval is dated by its end"
    reader = RecordReader(folder)
    rows = reader.energy(FIRST, FIRST + timedelta(hours=1), reader.settings()[0], by_day=False)
    assert sum(value for _, value in bought[:4]) == pytest.approx(sum(row.import_wh for row in rows), abs=0.01)
    sold = block(root, EXPORT_15)
    assert sum(value for _, value in sold[:4]) == pytest.approx(sum(row.export_wh for row in rows), abs=0.01)


def test_the_children_stand_in_the_order_of_the_schemas(folder: Path) -> None:
    root, _ = exported(folder)
    seen = set()
    for element in root.iter():
        order = ORDER.get(element.tag)
        if order:
            places = [order.index(etree.QName(child).localname) for child in element]
            assert places == sorted(places), etree.tostring(element)[:200]
            seen.add(element.tag)
    assert seen >= {f"{M}MeterReading", f"{M}IntervalBlocks", f"{M}IntervalReadings", f"{E}EndDeviceEvent"}


def test_a_namespace_is_declared_once_where_it_begins(folder: Path) -> None:
    stream = io.BytesIO()
    write_cim(folder, stream, FIRST, END, END)
    assert b"ns0" not in stream.getvalue()
    assert stream.getvalue().count(b"xmlns") == 4


def test_events_are_controls_and_happenings_with_a_code_are_events(folder: Path) -> None:
    root, _ = exported(folder, END + timedelta(minutes=1))
    (control,) = root.iter(f"{C}EndDeviceControl")
    assert control.find(f"{C}EndDeviceControlType").get("ref") == "16.15.139.13"
    assert control.findtext(f"{C}scheduledInterval/{C}start") == "2026-06-01T11:00:00Z"
    assert control.findtext(f"{C}drProgramMandatory") == "true"
    events = [
        (e.find(f"{E}EndDeviceEventType").get("ref"), e.findtext(f"{E}reason")) for e in root.iter(f"{E}EndDeviceEvent")
    ]
    assert events == [
        ("5.1.0.47", "nothing new"),
        ("16.15.139.13", "import at most 4200 W: event <Dim>"),
        ("5.26.0.49", "grid back"),
    ]


# The figures of the catalogue: quantity, code.
CODES = {
    (Role.GRID, "import_wh"): "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.0.72.0",
    (Role.GRID, "export_wh"): "0.0.0.1.19.1.12.0.0.0.0.0.0.0.0.0.72.0",
    (Role.GRID, "power_w"): "0.2.3.6.4.1.37.0.0.0.0.0.0.0.0.0.38.0",
    (Role.GRID, "power_l1_w"): "0.2.3.6.4.1.37.0.0.0.0.0.0.0.128.0.38.0",
    (Role.GRID, "voltage_l2_v"): "0.2.3.6.0.1.54.0.0.0.0.0.0.0.64.0.29.0",
    (Role.GRID, "current_l3_a"): "0.2.3.6.0.1.4.0.0.0.0.0.0.0.32.0.5.0",
    (Role.GRID, "frequency_hz"): "0.2.3.6.0.1.15.0.0.0.0.0.0.0.0.0.33.0",
    (Role.BATTERY, "soc_pct"): "unmapped:soc_pct",
    (Role.BATTERY, "setpoint_w"): "unmapped:setpoint_w",
    (Role.BATTERY, "temperature_c"): "unmapped:temperature_c",
    (Role.EV, "session_wh"): "unmapped:session_wh",
}


@pytest.mark.parametrize(("what", "code"), CODES.items(), ids=lambda v: v if isinstance(v, str) else v[1])
def test_a_point_has_the_code_of_the_standard_or_keeps_its_own_name(what: tuple[Role, str], code: str) -> None:
    assert reading_type_of(*what)[0] == code


def test_quarter_hours_have_their_codes() -> None:
    assert IMPORT_15 == "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.0.72.0"
    assert EXPORT_15 == "0.0.2.4.19.1.12.0.0.0.0.0.0.0.0.0.72.0"


def test_every_code_has_eighteen_fields() -> None:
    for role, points in POINTS.items():
        for point in points:
            code = reading_type_of(role, point)[0]
            assert code.startswith("unmapped:") or code.count(".") == 17, (role, point, code)


def test_the_command_writes_it_to_the_output_and_says_what_was_left_out(folder: Path) -> None:
    arguments = ["--record", str(folder), "--from", FIRST.isoformat(), "--to", END.isoformat()]
    result = CliRunner().invoke(history, [*arguments, "--format", "cim"])
    assert result.exit_code == 0, result.output
    assert etree.fromstring(result.stdout_bytes).tag == "{http://iec.ch/TC57/2011/schema/message}EventMessage"
    assert "whose energies are left out: 1" in result.stderr
    shown = CliRunner().invoke(history, [*arguments, "--show", "grid"])
    assert "limit set" in shown.stdout
    assert "link lost" in shown.stdout
