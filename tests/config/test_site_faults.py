"""Broken site files, one slip each: the documented example changed in one place, and the lines that come out."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem.config.load import check_table
from cem.config.schema import SiteTable
from cem.config.write import write_secret
from cem.model.errors import SiteFileError
from cem.ports import Driver
from support.certificates import Authority
from support.toy_driver import ToyDriver

DRIVERS: dict[str, Driver] = {"toy": ToyDriver()}

GOOD = """
site = 1
name = "Home"
timezone = "Europe/Berlin"

[connection]
phases = 3
fuse_a = 35

[tariff]
base_price_per_kwh = 0.34

[[tariff.period]]
from = "22:00"
to = "06:00"
import_price_per_kwh = 0.22

[[device]]
id = "meter"
driver = "toy"
serial = "MT-1"
link = { kind = "tcp", host = "127.0.0.1", port = 5020, unit = 1 }
[[device.resource]]
id = "grid"
role = "grid"

[[device]]
id = "inverter"
driver = "toy"
serial = "PV-1"
link = { kind = "tcp", host = "127.0.0.1", port = 5021, unit = 1 }
[[device.resource]]
id = "pv"
role = "pv"
controls = ["pv.limit_w"]

[[device]]
id = "storage"
driver = "toy"
serial = "BAT-1"
link = { kind = "tcp", host = "127.0.0.1", port = 5022, unit = 1 }
[[device.resource]]
id = "battery"
role = "battery"
controls = ["battery.setpoint_w"]

[[device]]
id = "charger"
driver = "toy"
serial = "WB-1"
link = { kind = "tcp", host = "127.0.0.1", port = 5023, unit = 1 }
[[device.resource]]
id = "car"
role = "ev"
max_current_a = 16
controls = ["ev.limit_a"]

[[goal]]
resource = "car"
ready_by = "07:00"
energy_wh = 12000

[[battery]]
resource = "battery"
reserve_pct = 10

[[provider]]
id = "utility"
url = "https://vtn.example/openadr3/3.1.0"
ven_name = "home-1"
client_id = "home-1"
client_secret_file = "utility.secret"
"""


def faults_of(text: str, folder: Path) -> list[str]:
    """The faults of a site file's text; [] for a good one."""
    try:
        check_table(tomllib.loads(text), folder, DRIVERS)
    except SiteFileError as error:
        return error.faults
    return []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_secret(tmp_path / "utility.secret", "s3cret")
    return tmp_path


def test_the_good_file_has_no_fault(folder: Path) -> None:
    assert faults_of(GOOD, folder) == []


SLIPS = tomllib.loads(Path(__file__).with_name("site_slips.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("slip", SLIPS["key"], ids=lambda slip: slip["line"].partition(":")[0])
def test_a_slip_in_a_key_is_named(folder: Path, slip: dict[str, str]) -> None:
    assert slip["old"] in GOOD
    assert faults_of(GOOD.replace(slip["old"], slip["new"], 1), folder) == [slip["line"]]


@pytest.mark.parametrize("slip", SLIPS["contradiction"], ids=lambda slip: slip["line"].partition(":")[0])
def test_a_contradiction_is_named(folder: Path, slip: dict[str, str]) -> None:
    assert slip["old"] in GOOD
    assert slip["line"] in faults_of(GOOD.replace(slip["old"], slip["new"], 1), folder)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("fuse_a = 35", "fuse_a = 35\nmeter_stale_s = 3"),
        ("[[goal]]", '[[tariff.period]]\nfrom = "06:00"\nto = "22:00"\nimport_price_per_kwh = 1\n[[goal]]'),
        ('serial = "PV-1"', "read_only = true"),
        ("phases = 3", "phases = 1"),
        ('url = "https://vtn.example/openadr3/3.1.0"', 'url = "http://vtn.example"\nallow_plain_http = true'),
        ("https://vtn.example/openadr3/3.1.0", "http://127.0.0.1:80/"),
        ("https://vtn.example/openadr3/3.1.0", "http://[::1]:80/"),
    ],
)
def test_what_is_near_a_fault_but_none_passes(folder: Path, old: str, new: str) -> None:
    assert faults_of(GOOD.replace(old, new, 1), folder) == []


def test_a_control_of_another_role_is_named(folder: Path) -> None:
    faults = faults_of(GOOD.replace('"pv.limit_w"', '"ev.limit_a"', 1), folder)
    assert "device[1].resource[0].controls[0]: 'ev.limit_a' seen; role pv: allowed: pv.limit_w" in faults


def test_certificates_that_are_none_and_keys_of_others_are_named(folder: Path) -> None:
    authority = Authority(folder)
    for name in ("grid", "stranger"):
        authority.issue(name)

    def faults(**files: str) -> list[str]:
        more = "".join(f'{key} = "{file}"\n' for key, file in files.items())
        return faults_of(GOOD.replace('ven_name = "home-1"\n', f'ven_name = "home-1"\n{more}', 1), folder)

    assert faults(ca_file="authority.pem", client_certificate_file="grid.pem", client_key_file="grid.key") == []
    (found,) = faults(ca_file="utility.secret")
    assert found.startswith("provider[0].ca_file: ")
    assert found.endswith("certificates of authorities in PEM form are needed")
    (found,) = faults(client_certificate_file="grid.pem", client_key_file="stranger.key")
    assert found.endswith("a certificate and its own key are needed")
    (folder / "grid.key").chmod(0o644)
    (found,) = faults(callback_certificate_file="grid.pem", callback_key_file="grid.key")
    assert found.endswith(f"0600: chmod 600 {folder / 'grid.key'}")
    (found,) = faults(ca_file="none.pem")
    assert found.endswith("none.pem: No such file or directory; a file in PEM form is needed")


def test_every_fault_is_told_at_once(folder: Path) -> None:
    text = GOOD.replace("Europe/Berlin", "Moon/Base").replace('role = "pv"', 'role = "pw"')
    text = text.replace("port = 5022", "port = 0")
    text = text.replace("fuse_a = 35", "fuse_a = 35\nimport_limit_w = 99999\nfoo = 1")
    paths = [line.split(":")[0] for line in faults_of(text, folder)]
    assert paths == [
        "connection.foo",
        "device[1].resource[0].role",
        "timezone",
        "connection.import_limit_w",
        "device[2].link.port",
    ]


def test_a_device_left_out_for_its_own_fault_is_not_missed_elsewhere(folder: Path) -> None:
    (fault,) = faults_of(GOOD.replace('role = "grid"', 'role = "gird"'), folder)
    assert fault.startswith("device[0].resource[0].role: 'gird' seen")


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ('ven_name = "home-1"', 'ven_name = "home-1"\nstale_s = 4\npoll_s = "x"', "provider[0].poll_s"),
        ("https://vtn.example", "http://vtn.example", "provider[0].allow_plain_http"),
        ("energy_wh = 12000", 'energy_wh = "x"', "goal[0].energy_wh"),
        ('serial = "PV-1"', 'read_only = "x"', "device[1].read_only"),
        (
            "fuse_a = 35",
            'fuse_a = 35\nimport_limit_w = 30000\nnominal_voltage_v = "400"',
            "connection.nominal_voltage_v",
        ),
        ('serial = "MT-1"', 'serial = "MT-1"\npoll_s = 20', "connection.meter_stale_s"),
        ("[[goal]]", "[[goal]]", "tariff.period[1].days"),
    ],
)
def test_one_faulty_value_makes_one_fault(folder: Path, old: str, new: str, path: str) -> None:
    text = GOOD.replace(old, new, 1)
    if path.endswith("allow_plain_http"):
        text += 'allow_plain_http = "yes"\n'
    if path.endswith("meter_stale_s"):
        text = text.replace("fuse_a = 35", 'fuse_a = 35\nmeter_stale_s = "60"')
    if path.endswith("days"):
        period = '[[tariff.period]]\nfrom = "22:00"\nto = "06:00"\nimport_price_per_kwh = 1\ndays = "sun"\n'
        text = text.replace("[[goal]]", period + "[[goal]]", 1)
    assert [line.partition(":")[0] for line in faults_of(text, folder)] == [path]


def test_a_missing_secret_file_is_named(tmp_path: Path) -> None:
    assert faults_of(GOOD, tmp_path) == [
        f"provider[0].client_secret_file: {tmp_path}/utility.secret: No such file or directory; "
        "a file with the secret in it, readable by this user alone, is needed"
    ]


def test_a_secret_file_that_others_may_read_is_refused(folder: Path) -> None:
    (folder / "utility.secret").chmod(0o640)
    assert faults_of(GOOD, folder) == [
        f"provider[0].client_secret_file: {folder}/utility.secret is open to others (mode 0640); "
        f"0600 is needed: chmod 600 {folder}/utility.secret"
    ]


@pytest.mark.parametrize(("content", "words"), [(b"", "has 0 bytes"), (b"\xff\xfe", "is not UTF-8 text")])
def test_a_secret_file_without_a_secret_is_refused(folder: Path, content: bytes, words: str) -> None:
    (folder / "utility.secret").write_bytes(content)
    (fault,) = faults_of(GOOD, folder)
    assert words in fault


def test_a_socket_path_longer_than_the_kernel_takes_is_refused(folder: Path) -> None:
    text = GOOD.replace("[connection]", f'[api]\nsocket = "{"x" * 108}"\n[connection]')
    (fault,) = faults_of(text, folder)
    assert fault.startswith("api.socket: ")
    assert fault.endswith("at most 107 bytes with its folder")


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS.filter(lambda value: value is not None),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(sorted(SiteTable.model_fields.keys() - {"site"}))


@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_tables_give_faults_and_never_another_error(changes: dict[str, object]) -> None:
    raw = tomllib.loads(GOOD) | changes | {"nonsense": 1}
    with pytest.raises(SiteFileError) as caught:
        check_table(raw, Path("/nowhere"), DRIVERS)
    assert all(": " in line and "\n" not in line for line in caught.value.faults)


OLD = """
[[provider]]
id = "old"
binding = "openadr2b"
url = "https://vtn.example/OpenADR2/Simple/2.0b"
ven_name = "home-1"
"""
FINGERPRINT = 'vtn_fingerprint = "93:4C:A4:95:99:1B:78:52:B8:55"\n'


@pytest.mark.parametrize(
    ("more", "path"),
    [
        (OLD, None),
        (OLD + "legacy_suites = true\n", None),
        (OLD + FINGERPRINT, "provider[1].vtn_fingerprint"),
        (OLD + 'vtn_fingerprint = "93:4C"\n', "provider[1].vtn_fingerprint"),
        (FINGERPRINT, "provider[0].vtn_fingerprint"),
        (OLD.replace("openadr2b", "openadr2a"), "provider[1].binding"),
        (OLD.replace("openadr2b", "openadr3"), "provider[1].client_id"),
    ],
)
def test_a_provider_of_openadr_2_0b_needs_no_secret_and_a_key_to_sign(
    folder: Path, more: str, path: str | None
) -> None:
    found = [line.partition(":")[0] for line in faults_of(GOOD + more, folder)]
    assert found[:1] == ([] if path is None else [path])
