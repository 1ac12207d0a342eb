"""`cem ven`: what it makes is used for TLS and signatures."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cem.cli.ven import ven
from cem.io.certificates import read_certificate
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


@pytest.mark.parametrize("name", ["../x", "a/b", ".x", " "])
def test_a_name_stays_in_its_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    run("enrol", name, "--folder", str(tmp_path / "in"), status=2)
    assert [path.name for path in tmp_path.rglob("*")] == ["in"]


def test_a_fault_names_the_file_in_plain_words(tmp_path: Path) -> None:
    made = run("enrol", "house-1", "--folder", str(tmp_path))
    said = run("sign", made["request"], "--authority", str(tmp_path / "none"), status=1)
    assert f"{tmp_path}/none/authority.pem: No such file or directory; nothing is overwritten" in said


def test_what_is_no_request_is_refused(tmp_path: Path) -> None:
    run("authority", str(tmp_path / "a"))
    (tmp_path / "x.csr").write_text("nothing")
    answer = CliRunner().invoke(ven, ["sign", str(tmp_path / "x.csr"), "--authority", str(tmp_path / "a")])
    assert answer.exit_code != 0
    assert "can't be read" in str(answer.exception)


def enrolled(folder: Path, kind: str = "ec", days: str = "730") -> dict[str, Any]:
    """A key with a certificate of a domain of its own, house-1 in a folder."""
    run("authority", str(folder / "authority"))
    made = run("enrol", "house-1", "--folder", str(folder), "--key", kind, "--host", "127.0.0.1", "--host", "vtn.test")
    signed: dict[str, Any] = run("sign", made["request"], "--authority", str(folder / "authority"), "--days", days)
    return signed


def test_certificates_are_listed_with_their_end_and_what_ends_soon_is_told(tmp_path: Path) -> None:
    signed = enrolled(tmp_path)
    (row,) = run("list", "--folder", str(tmp_path))
    assert (row["name"], row["key"], row["state"], row["days_left"]) == ("house-1", "ec", "valid", 729)
    assert row["fingerprint"] == signed["fingerprint"]

    other = tmp_path / "soon"
    enrolled(other, days="20")
    answer = CliRunner().invoke(ven, ["list", "--folder", str(other)])
    assert (answer.exit_code, "renew soon" in answer.output) == (1, True)


def test_the_certificates_of_a_site_file_are_listed(tmp_path: Path) -> None:
    enrolled(tmp_path)
    site = tmp_path / "site.toml"
    site.write_text(
        '[[provider]]\nclient_certificate_file = "house-1.pem"\nca_file = "authority/authority.pem"\n[[provider]]\n'
    )
    rows = run("list", "--config", str(site))
    assert [row["name"] for row in rows] == ["house-1", "cem domain"]
    site.write_text('[vtn]\ncertificate_file = "house-1.pem"\nclient_ca_file = "authority/authority.pem"\n')
    assert run("list", "--config", str(site)) == rows
    gone = CliRunner().invoke(ven, ["list", "--config", str(tmp_path / "none.toml")])
    assert gone.exit_code == 2


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_a_key_is_renewed_in_two_steps_and_the_old_one_is_kept(tmp_path: Path, kind: str) -> None:
    before = enrolled(tmp_path, kind)
    key, certificate = tmp_path / "house-1.key", tmp_path / "house-1.pem"
    old = key.read_bytes(), certificate.read_bytes()
    asked = run("rotate", "house-1", "--folder", str(tmp_path))
    assert (key.read_bytes(), certificate.read_bytes()) == old
    again = run("rotate", "house-1", "--folder", str(tmp_path))
    assert again == asked  # the same key waits for the same answer
    run("sign", asked["request"], "--authority", str(tmp_path / "authority"))
    done = run("rotate", "house-1", "--folder", str(tmp_path))
    assert done["fingerprint"] != before["fingerprint"]
    assert (Path(done["old_key"]).read_bytes(), Path(done["old_certificate"]).read_bytes()) == old
    assert key.stat().st_mode & 0o077 == 0
    assert Signer(key.read_bytes(), certificate.read_text()).fingerprint == done["fingerprint"]
    (row,) = [row for row in run("list", "--folder", str(tmp_path)) if row["file"] == str(certificate)]
    assert (row["key"], row["name"]) == (kind, "house-1")
    assert read_certificate(certificate).hosts == ("127.0.0.1", "vtn.test")
    assert not list(tmp_path.glob("*.next.*"))


def test_a_domain_of_its_own_renews_at_once(tmp_path: Path) -> None:
    before = enrolled(tmp_path)
    done = run("rotate", "house-1", "--folder", str(tmp_path), "--authority", str(tmp_path / "authority"))
    assert done["fingerprint"] != before["fingerprint"]


def test_what_does_not_fit_is_not_put_in_place(tmp_path: Path) -> None:
    enrolled(tmp_path)
    old = (tmp_path / "house-1.pem").read_bytes()
    run("rotate", "house-1", "--folder", str(tmp_path))
    (tmp_path / "house-1.next.pem").write_bytes(old)
    assert "is not the certificate of" in run("rotate", "house-1", "--folder", str(tmp_path), status=1)
    assert (tmp_path / "house-1.pem").read_bytes() == old
    assert "No such file" in run("rotate", "nobody", "--folder", str(tmp_path), status=1)
