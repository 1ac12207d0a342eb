"""`cem ven`: what it makes is used for TLS and signatures."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cem.cli.ven import ven
from cem.io.tls import client_context, server_context
from cem.wire.openadr2b.signature import Signer


def run(*words: str, status: int = 0) -> Any:
    answer = CliRunner().invoke(ven, [*words, "--json"])
    assert answer.exit_code == status, answer.output
    return json.loads(answer.stdout) if status == 0 else answer.output


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_an_installer_enrols_a_gateway_in_a_domain_of_its_own(tmp_path: Path, kind: str) -> None:
    folder = str(tmp_path)
    authority = run("authority", str(tmp_path / "authority"))["authority"]
    made = run("enrol", "house-1", "--folder", folder, "--key", kind, "--host", "127.0.0.1", "--host", "vtn.test")
    assert Path(made["key"]).stat().st_mode & 0o077 == 0
    signed = run("sign", made["request"], "--authority", str(tmp_path / "authority"))
    key, certificate = Path(made["key"]), Path(signed["certificate"])
    assert Signer(key.read_bytes(), certificate.read_text()).fingerprint == signed["fingerprint"]
    client_context(certificate, key, Path(authority))
    server_context(certificate, key, Path(authority))


def test_no_key_is_ever_overwritten(tmp_path: Path) -> None:
    made = run("enrol", "house-1", "--folder", str(tmp_path))
    before = Path(made["key"]).read_bytes()
    assert "nothing is overwritten" in run("enrol", "house-1", "--folder", str(tmp_path), status=1)
    run("authority", str(tmp_path / "a"))
    assert "nothing is overwritten" in run("authority", str(tmp_path / "a"), status=1)
    assert Path(made["key"]).read_bytes() == before


def test_what_is_no_request_is_refused(tmp_path: Path) -> None:
    run("authority", str(tmp_path / "a"))
    (tmp_path / "x.csr").write_text("nothing")
    answer = CliRunner().invoke(ven, ["sign", str(tmp_path / "x.csr"), "--authority", str(tmp_path / "a")])
    assert answer.exit_code != 0
    assert "can't be read" in str(answer.exception)
