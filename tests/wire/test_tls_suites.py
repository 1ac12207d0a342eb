"""Which cipher suites the grid's sessions agree on."""

import ssl
from pathlib import Path

import pytest

from cem.io.tls import client_context, server_context
from support.certificates import Authority


def agreed(client: ssl.SSLContext, server: ssl.SSLContext) -> str:
    """The suite that both ends take; raises ssl.SSLError where there is none."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(6):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    cipher = ends[0].cipher()
    assert cipher is not None
    return cipher[0]


@pytest.mark.parametrize(
    ("kind", "suite"), [("ec", "ECDHE-ECDSA-AES128-SHA256"), ("rsa", "AES128-SHA256")], ids=["ec", "rsa"]
)
def test_an_old_peer_is_spoken_to_where_that_is_permitted_alone(tmp_path: Path, kind: str, suite: str) -> None:
    authority = Authority(tmp_path)
    us, peer = authority.issue("us", kind), authority.issue("peer", kind)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.set_ciphers(f"{suite}:@SECLEVEL=0")
    old.load_cert_chain(peer.certificate, peer.key)

    def ours(*, legacy_suites: bool) -> ssl.SSLContext:
        return client_context(us.certificate, us.key, authority.certificate, legacy_suites=legacy_suites)

    assert agreed(ours(legacy_suites=True), old) == suite
    with pytest.raises(ssl.SSLError):
        agreed(ours(legacy_suites=False), old)


@pytest.mark.parametrize(
    ("kind", "suite"), [("ec", "ECDHE-ECDSA-AES128-SHA256"), ("rsa", "AES128-SHA256")], ids=["ec", "rsa"]
)
def test_an_old_peer_may_send_where_that_is_permitted_alone(tmp_path: Path, kind: str, suite: str) -> None:
    authority = Authority(tmp_path)
    us, peer = authority.issue("us", kind), authority.issue("peer", kind)
    old = ssl.create_default_context(cafile=authority.certificate)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.set_ciphers(f"{suite}:@SECLEVEL=0")
    old.load_cert_chain(peer.certificate, peer.key)

    def ours(*, legacy_suites: bool) -> ssl.SSLContext:
        return server_context(us.certificate, us.key, authority.certificate, legacy_suites=legacy_suites, required=True)

    assert agreed(old, ours(legacy_suites=True)) == suite
    with pytest.raises(ssl.SSLError):
        agreed(old, ours(legacy_suites=False))


def test_two_ends_of_ours_take_a_modern_suite_whatever_is_permitted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    us, vtn = authority.issue("us"), authority.issue("vtn")
    client = client_context(us.certificate, us.key, authority.certificate, legacy_suites=True)
    server = server_context(vtn.certificate, vtn.key, authority.certificate, legacy_suites=True)
    assert agreed(client, server).startswith("TLS_AES")
