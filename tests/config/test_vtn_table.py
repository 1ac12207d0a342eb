"""The [vtn] table of a site file: what it means, and each slip in it by name."""

import stat
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from cem.config.load import load_site
from cem.config.write import write_secret
from config.test_site_faults import DRIVERS, GOOD, faults_of
from support.certificates import Authority

VTN = """
[vtn]
listen = "0.0.0.0:8443"
certificate_file = "vtn.pem"
key_file = "vtn.key"
callback_networks = ["192.168.178.0/24"]

[[vtn.client]]
id = "owner"
secret_file = "owner.secret"
role = "bl"

[[vtn.client]]
id = "flat"
secret_file = "flat.secret"

[vtn.broker]
uri = "mqtt://127.0.0.1:1883"
user = "vtn"
password_file = "owner.secret"
login = "token"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("utility", "owner", "flat"):
        write_secret(tmp_path / f"{name}.secret", f"{name}'s")
    Authority(tmp_path).issue("vtn")
    return tmp_path


def test_the_table_becomes_what_the_vtn_is_run_with(folder: Path) -> None:
    (folder / "site.toml").write_text(GOOD + VTN, encoding="utf-8")
    found = load_site(folder / "site.toml", DRIVERS).vtn
    assert found is not None
    assert (found.host, found.port) == ("0.0.0.0", 8443)
    assert [(c.id, c.secret, c.business) for c in found.clients] == [
        ("owner", "owner's", True),
        ("flat", "flat's", False),
    ]
    assert found.certificate_file == folder / "vtn.pem"
    assert found.callback_networks == (IPv4Network("192.168.178.0/24"),)
    assert found.broker is not None
    assert (found.broker.public_uris, found.broker.by_token) == (("mqtt://127.0.0.1:1883",), True)
    assert "owner's" not in repr(found)


def test_without_the_table_there_is_no_vtn(folder: Path) -> None:
    (folder / "site.toml").write_text(GOOD, encoding="utf-8")
    assert load_site(folder / "site.toml", DRIVERS).vtn is None


SLIPS = [
    (
        'listen = "0.0.0.0:8443"',
        'lisen = "0.0.0.0:8443"',
        "vtn.lisen: unknown key; allowed: listen, certificate_file, key_file, allow_plain_http, public_url, mdns_name, "
        "callback_networks, callback_ca_file, lost_after_s, client_ca_file, crl_file, sign_2b, legacy_suites, broker, "
        "client, ven_2b (did you mean 'listen'?)",
    ),
    ('role = "bl"', 'role = "vne"', "vtn.client[0].role: 'vne' seen; allowed: ven, bl (did you mean 'ven'?)"),
    (
        'login = "token"',
        'login = "tokens"',
        "vtn.broker.login: 'tokens' seen; allowed: token, anonymous (did you mean 'token'?)",
    ),
    (
        'id = "flat"',
        'id = "owner"',
        "vtn.client[1].id: 'owner' is already at vtn.client[0].id; every client needs an id of its own",
    ),
    (
        'id = "flat"',
        'id = "gateway"',
        "vtn.client[1].id: 'gateway' seen; this name is the gateway's own; choose another",
    ),
    (
        '"0.0.0.0:8443"',
        '"8443"',
        "vtn.listen: '8443' seen; address:port is needed, such as 0.0.0.0:8443 or 127.0.0.1:8081",
    ),
    (
        '"0.0.0.0:8443"',
        '"home.local:8443"',
        "vtn.listen: 'home.local:8443' seen; address:port is needed, such as 0.0.0.0:8443 or 127.0.0.1:8081",
    ),
    (
        'certificate_file = "vtn.pem"\nkey_file = "vtn.key"\n',
        "",
        "vtn.listen: 0.0.0.0 without a certificate; secrets would travel in clear; name certificate_file and key_file, "
        "listen on 127.0.0.1, or set allow_plain_http = true on a network you trust",
    ),
    (
        'key_file = "vtn.key"\n',
        "",
        "vtn.certificate_file: one of certificate and key; certificate_file and key_file are needed together",
    ),
    (
        '"192.168.178.0/24"',
        '"192.168.178.1/24"',
        "vtn.callback_networks[0]: '192.168.178.1/24' seen; 192.168.178.1/24 has host bits set; write it "
        "like 192.168.178.0/24",
    ),
    (
        "callback_networks",
        'public_url = "https://vtn.example/x"\ncallback_networks',
        "vtn.public_url: 'https://vtn.example/x' seen; https://host[:port] alone is needed",
    ),
    (
        '"mqtt://127.0.0.1:1883"',
        '"127.0.0.1"',
        "vtn.broker.uri: '127.0.0.1' seen; mqtts://host[:port] is needed, or mqtt://host[:port]",
    ),
    (
        '"mqtt://127.0.0.1:1883"',
        '"mqtt://192.0.2.1"',
        "vtn.broker.uri: plain mqtt to 192.0.2.1; tokens and notifications would travel in clear; use mqtts, or set "
        "allow_plain_http = true in [vtn]",
    ),
    (
        'user = "vtn"\n',
        "",
        "vtn.broker.login: 'token' seen; user and password_file of our own are needed to keep the clients' accounts",
    ),
    (
        'login = "token"',
        'login = "token"\nprefix = "a/#"',
        "vtn.broker.prefix: 'a/#' seen; needed: levels of letters, digits, _, . and -, with / between "
        "them, such as house/openadr3",
    ),
    ("[vtn]\n", '[vtn]\nmdns_name = ""\n', "vtn.mdns_name: '' seen; needed: one line of printable text, not empty"),
]


@pytest.mark.parametrize(("old", "new", "line"), SLIPS, ids=[slip[2].partition(";")[0] for slip in SLIPS])
def test_a_slip_is_named(folder: Path, old: str, new: str, line: str) -> None:
    assert old in VTN
    assert faults_of(GOOD + VTN.replace(old, new, 1), folder) == [line]


VENS_2B = """
[vtn]
listen = "0.0.0.0:8443"
certificate_file = "vtn.pem"
key_file = "vtn.key"
client_ca_file = "authority.pem"
sign_2b = true

[[vtn.ven_2b]]
id = "ven_flat"
name = "Flat 2"
fingerprint = "93:4C:A5:8A:0B:74:11:D2:6F:00"
"""


def test_vens_of_the_old_binding_are_admitted_by_their_certificates(folder: Path) -> None:
    (folder / "site.toml").write_text(GOOD + VENS_2B, encoding="utf-8")
    found = load_site(folder / "site.toml", DRIVERS).vtn
    assert found is not None
    assert [(v.id, v.name, v.fingerprint) for v in found.vens_2b] == [
        ("ven_flat", "Flat 2", "93:4C:A5:8A:0B:74:11:D2:6F:00")
    ]
    assert (found.client_ca_file, found.sign_2b, found.clients) == (folder / "authority.pem", True, ())


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            'client_ca_file = "authority.pem"\nsign_2b = true\n',
            "",
            "vtn.ven_2b[0].fingerprint: '93:4C:A5:8A:0B:74:11:D2:6F:00' seen; vtn.client_ca_file is needed, else no "
            "client shows a certificate",
        ),
        (
            'client_ca_file = "authority.pem"\n',
            'crl_file = "authority.pem"\n',
            "vtn.client_ca_file: missing; the authorities that signed the lists in crl_file are needed",
        ),
        (
            'fingerprint = "93:4C:A5:8A:0B:74:11:D2:6F:00"\n',
            "",
            "vtn.ven_2b[0].fingerprint: missing; the ten bytes that `cem ven list` prints are needed, or listen on "
            "127.0.0.1",
        ),
        (
            "93:4C:",
            "93:4c:",
            "vtn.ven_2b[0].fingerprint: '93:4c:A5:8A:0B:74:11:D2:6F:00' seen; needed: ten bytes such as "
            "93:4C:A5:8A:0B:74:11:D2:6F:00",
        ),
        (
            'certificate_file = "vtn.pem"\nkey_file = "vtn.key"\n',
            "allow_plain_http = true\n",
            "vtn.client_ca_file: 'authority.pem' seen; it needs certificate_file, key_file and client_ca_file",
        ),
        ('"ven_flat"', '"gateway"', "vtn.ven_2b[0].id: 'gateway' seen; this name is the gateway's own; choose another"),
    ],
)
def test_a_slip_about_the_old_binding_is_named(folder: Path, old: str, new: str, line: str) -> None:
    assert old in VENS_2B
    assert line in faults_of(GOOD + VENS_2B.replace(old, new, 1), folder)


def test_a_table_without_clients_is_named(folder: Path) -> None:
    assert faults_of(GOOD + "\n[vtn]\n", folder) == [
        "vtn.client: missing; every [vtn] needs a [[vtn.client]] or a [[vtn.ven_2b]]"
    ]


def test_secrets_that_others_may_read_or_that_are_not_there_are_named(folder: Path) -> None:
    (folder / "flat.secret").chmod(0o644)
    (folder / "owner.secret").unlink()
    assert [line.partition(":")[0] for line in faults_of(GOOD + VTN, folder)] == [
        "vtn.client[0].secret_file",
        "vtn.client[1].secret_file",
        "vtn.broker.password_file",
    ]
    assert stat.S_IMODE((folder / "flat.secret").stat().st_mode) == 0o644


def test_two_servers_of_ours_do_not_share_a_port(folder: Path) -> None:
    callback = 'ven_name = "home-1"\ncallback_url = "https://a.example/"\ncallback_listen = "0.0.0.0:8443"'
    (line,) = faults_of(GOOD.replace('ven_name = "home-1"', callback, 1) + VTN, folder)
    assert line.endswith("another port than that of provider[0].callback_listen is needed")
