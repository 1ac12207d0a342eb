"""The table of the profile's rules names files that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_file_that_the_table_of_rules_names_is_there() -> None:
    text = (ROOT / "cem/README.md").read_text(encoding="utf-8")
    table = text.partition("| rule of the profile |")[2].partition("\n\n")[0]
    rows = [row.split(" | ") for row in table.splitlines()[2:]]
    assert len(rows) > 30
    for rule, kept, shown in rows:
        for folder, names in (("cem", kept), ("tests", shown)):
            there = {path.as_posix() for path in (ROOT / folder).rglob("*.py")}
            for name in re.findall(r"`([a-z0-9_/]+\.py)`", names):
                assert any(path.endswith(f"/{name}") for path in there), f"{rule}: {name}"
