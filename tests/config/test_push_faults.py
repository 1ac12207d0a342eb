"""What a [[provider]] of OpenADR 2.0b needs before it may be sent to, and lists of revoked certificates."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from cem.config.load import check_table
from cem.model.errors import SiteFileError
from support.certificates import Authority
from support.toy_driver import ToyDriver

SITE = """
site = 1
name = "Home"
timezone = "Europe/Berlin"
connection = { phases = 3, fuse_a = 35 }
tariff = { base_price_per_kwh = 0.34 }
[[device]]
id = "meter"
driver = "toy"
serial = "MT-1"
link = { kind = "tcp", host = "127.0.0.1", port = 5020, unit = 1 }
[[device.resource]]
id = "grid"
role = "grid"
"""
PRINT = "93:4C:A4:95:99:1B:78:52:B8:55"
PUSH: dict[str, Any] = {
    "id": "utility",
    "binding": "openadr2b",
    "url": "https://vtn.test/OpenADR2/Simple/2.0b",
    "ven_name": "house-1",
    "ca_file": "authority.pem",
    "crl_file": "revoked.pem",
    "client_certificate_file": "ven.pem",
    "client_key_file": "ven.key",
    "callback_url": "https://house-1.test:8443",
    "callback_listen": "0.0.0.0:8443",
    "callback_fingerprint": PRINT,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("site")
    authority = Authority(found)
    authority.issue("ven")
    authority.revoke()
    return found


def faults(folder: Path, *providers: dict[str, Any]) -> list[str]:
    try:
        check_table({**tomllib.loads(SITE), "provider": list(providers)}, folder, {"toy": ToyDriver()})
    except SiteFileError as error:
        return error.faults
    return []


def without(*keys: str, **changes: Any) -> dict[str, Any]:
    return {**{key: value for key, value in PUSH.items() if key not in keys}, **changes}


CERTIFICATE = ("client_certificate_file", "client_key_file")


@pytest.mark.parametrize(
    "provider",
    [
        PUSH,
        without("callback_fingerprint", vtn_fingerprint=PRINT),
        without(*CERTIFICATE, "callback_fingerprint", callback_listen="127.0.0.1:8443"),
    ],
)
def test_what_is_complete_passes(folder: Path, provider: dict[str, Any]) -> None:
    assert faults(folder, provider) == []


@pytest.mark.parametrize(
    ("provider", "key", "words"),
    [
        (without("callback_fingerprint"), "callback_fingerprint", "shows when it sends is needed"),
        (without("ca_file", "crl_file"), "ca_file", "checked against when it sends"),
        (without("ca_file"), "ca_file", "the authorities that signed the lists"),
        (without(*CERTIFICATE), "callback_listen", "behind a proxy"),
        (without(url="http://vtn.test"), "url", "messages would travel in clear"),
        (without(notify="mqtt"), "notify", "OpenADR 2.0b knows no broker"),
        (without(crl_file="none.pem"), "crl_file", "No such file"),
        (without(crl_file="ven.pem"), "crl_file", "no list of revoked certificates"),
        (without(callback_fingerprint="93:4c"), "callback_fingerprint", ""),
    ],
)
def test_what_is_missing_is_named(folder: Path, provider: dict[str, Any], key: str, words: str) -> None:
    found = [line for line in faults(folder, provider) if line.startswith(f"provider[0].{key}: ")]
    assert [line for line in found if words in line]


def test_two_providers_do_not_share_a_socket(folder: Path) -> None:
    (line,) = faults(folder, PUSH, without(id="other", url="https://other.test"))
    assert line.startswith("provider[1].callback_listen: ")
    assert "a port of its own" in line
