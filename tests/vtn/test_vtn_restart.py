"""What was acknowledged is there after a SIGKILL; the store keeps order and refuses what it can't hold."""

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cem.io.object_store import ObjectStore, StoreError
from cem.io.token_key import token_key

VTN = [sys.executable, "-c", "from cem.cli.vtn import vtn; vtn()", "serve", "--client", "bl:s:bl"]


@contextlib.contextmanager
def _running(data: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with subprocess.Popen([*VTN, "--data", str(data), "--json"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())["url"]
        finally:
            process.kill()


def _exchange(method: str, url: str, token: str, body: object = None) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"} if token else {}
    request = urllib.request.Request(url, method=method, data=data, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


def _token(url: str) -> str:
    form = b"grant_type=client_credentials&client_id=bl&client_secret=s"
    return str(_exchange("POST", f"{url}/auth/token", "", form)["access_token"])


def test_every_acknowledged_object_and_every_token_survives_sigkill(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    with _running(tmp_path) as (process, url):
        old = _token(url)
        acknowledged += [
            _exchange("POST", f"{url}/programs", old, {"programName": f"p{number}"})["id"] for number in range(20)
        ]
        gone = acknowledged.pop(3)
        _exchange("DELETE", f"{url}/programs/{gone}", old)
        changed = _exchange("PUT", f"{url}/programs/{acknowledged[0]}", old, {"programName": "new"})
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    with _running(tmp_path) as (process, url):
        found = _exchange("GET", f"{url}/programs", old)
        assert [one["id"] for one in found] == acknowledged
        assert found[0] == changed
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    key = tmp_path / "token.key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.write_bytes(b"short")
    with pytest.raises(StoreError, match="5 bytes, 32 are needed; delete it"):
        token_key(tmp_path)
    key.unlink()
    with _running(tmp_path) as (process, url):
        with pytest.raises(urllib.error.HTTPError) as refused:
            _exchange("GET", f"{url}/programs", old)
        refused.value.close()
        assert refused.value.code == 401


@dataclass(frozen=True)
class Change:
    """A change for the store."""

    kind: str
    id: str
    body: dict[str, Any] | None


def test_the_store_keeps_the_order_of_creation_through_changes(tmp_path: Path) -> None:
    store = ObjectStore.open(tmp_path / "deep" / "down")
    store.commit([Change("EVENT", "1", {"n": 1}), Change("EVENT", "2", {"n": 2}), Change("VEN", "1", {"v": "ü\x00"})])
    store.commit([Change("EVENT", "1", {"n": 3}), Change("EVENT", "2", None), Change("EVENT", "9", None)])
    store.close()
    again = ObjectStore.open(tmp_path / "deep" / "down")
    assert again.load() == [("EVENT", "1", {"n": 3}), ("VEN", "1", {"v": "ü\x00"})]
    again.close()


def test_a_commit_is_all_or_nothing(tmp_path: Path) -> None:
    store = ObjectStore.open(tmp_path)
    with pytest.raises(ValueError, match="JSON"):
        store.commit([Change("EVENT", "1", {}), Change("EVENT", "2", {"x": float("nan")})])
    assert store.load() == []
    store.close()


def test_the_store_is_durable_by_its_settings(tmp_path: Path) -> None:
    store = ObjectStore.open(tmp_path)
    database = store._database
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert database.execute("PRAGMA synchronous").fetchone() == (2,)
    assert database.table("object").strict
    store.close()


def test_a_store_of_a_newer_program_or_a_broken_one_is_refused_with_what_to_do(tmp_path: Path) -> None:
    ObjectStore.open(tmp_path).close()
    path = tmp_path / "objects.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer program"):
        ObjectStore.open(tmp_path)
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreError, match="check the directory"):
        ObjectStore.open(tmp_path)


def test_a_vtn_that_is_ready_says_so_soon(tmp_path: Path) -> None:
    began = time.monotonic()
    with _running(tmp_path) as (_, url):
        assert _exchange("GET", f"{url}/auth/server", "")["tokenURL"] == f"{url}/auth/token"
    assert time.monotonic() - began < 20
