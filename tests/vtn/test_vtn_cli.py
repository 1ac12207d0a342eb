"""`cem vtn`: the business logic's commands against a running VTN, exit codes, help."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner, Result

from cem.cli.vtn import vtn
from support.vtn_site import Site, report_body, running_site

ADD = ["event", "add", "--program", "limits", "--type", "IMPORT_CAPACITY_LIMIT", "--unit", "KW"]


def _with_site(work: Callable[[Site, Callable[..., Result]], Any]) -> None:
    """Runs `work` in a thread beside a running VTN; it gets the site and a way to run commands."""

    async def main() -> None:
        async with running_site() as site:
            env = {"CEM_VTN_URL": site.url, "CEM_VTN_CLIENT_ID": "bl", "CEM_VTN_CLIENT_SECRET": "bl:secret"}

            def cem(*arguments: str, **changed: str) -> Result:
                return CliRunner().invoke(vtn, list(arguments), env={**env, **changed})

            await asyncio.to_thread(work, site, cem)

    asyncio.run(main())


def test_an_event_is_made_listed_and_cancelled() -> None:
    def work(_site: Site, cem: Callable[..., Result]) -> None:
        assert cem("program", "add", "limits").exit_code == 0
        made = cem(*ADD, "--value", "5", "--start", "2026-01-15T12:00:00Z", "--duration", "PT10M", "--json")
        assert made.exit_code == 0
        event = json.loads(made.stdout)
        assert event["intervalPeriod"] == {"start": "2026-01-15T12:00:00Z", "duration": "PT10M"}
        assert event["intervals"] == [{"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [5]}]}]
        listed = cem("event", "list", "--active")
        assert event["id"] in listed.stdout
        assert "IMPORT_CAPACITY_LIMIT 5 KW" in listed.stdout
        assert [one["id"] for one in json.loads(cem("event", "list", "--json").stdout)] == [event["id"]]
        assert cem("event", "cancel", event["id"]).stdout.startswith(f"cancelled {event['id']}")
        empty = cem("event", "list")
        assert (empty.exit_code, empty.stdout) == (0, "")

    _with_site(work)


def test_intervals_follow_one_another_and_start_now() -> None:
    def work(_site: Site, cem: Callable[..., Result]) -> None:
        cem("program", "add", "prices")
        options = ["--interval", "PT1H=0.31", "--interval", "PT2H=0.1", "--currency", "EUR", "--report", "USAGE"]
        made = cem("event", "add", "--program", "prices", "--type", "PRICE", *options, "--priority", "1", "--json")
        event = json.loads(made.stdout)
        assert [one["payloads"][0]["values"] for one in event["intervals"]] == [[0.31], [0.1]]
        assert event["intervals"][1]["intervalPeriod"] == {"duration": "PT2H"}
        assert event["intervalPeriod"]["start"].endswith("Z")
        assert event["reportDescriptors"][0]["payloadType"] == "USAGE"
        assert "and 1 more" in cem("event", "list").stdout

    _with_site(work)


def test_reports_and_vens_are_listed() -> None:
    async def main() -> None:
        async with running_site() as site:
            program = await site.made("bl", "/programs", {"programName": "limits"})
            event = await site.made("bl", "/events", {"programID": program["id"]})
            await site.made("home", "/reports", report_body(event["id"], [0, 1], reportName="evil\x1b[2J"))
            await site.made("home", "/vens", {"objectType": "VEN_VEN_REQUEST", "venName": "house"})
            env = {"CEM_VTN_URL": site.url, "CEM_VTN_CLIENT_SECRET": "bl:secret"}

            def cem(*arguments: str) -> Result:
                return CliRunner().invoke(vtn, list(arguments), env=env)

            report = await asyncio.to_thread(cem, "report", "list", "--event", event["id"])
            assert "evil?[2J  on event" in report.stdout
            assert "2 intervals of site" in report.stdout
            vens = await asyncio.to_thread(cem, "ven", "list", "--json")
            assert json.loads(vens.stdout)[0]["venName"] == "house"

    asyncio.run(main())


def test_an_event_is_changed_in_part_or_put_from_a_file(tmp_path: Path) -> None:
    def work(_site: Site, cem: Callable[..., Result]) -> None:
        cem("program", "add", "limits")
        made = cem(*ADD, "--value", "5", "--start", "2026-01-15T12:00:00Z", "--duration", "PT10M", "--json")
        old = json.loads(made.stdout)
        options = ["--value", "3.5", "--duration", "PT20M", "--priority", "1", "--target", "street-1"]
        new = json.loads(cem("event", "change", old["id"], *options, "--json").stdout)
        assert new["intervals"][0]["payloads"][0]["values"] == [3.5]
        assert new["intervalPeriod"] == {"start": "2026-01-15T12:00:00Z", "duration": "PT20M"}
        assert (new["priority"], new["targets"]) == (1, ["street-1"])
        assert new["payloadDescriptors"] == old["payloadDescriptors"]
        shown = cem("event", "show", old["id"])
        assert json.loads(shown.stdout) == new
        file = tmp_path / "event.json"
        two = [{"id": n, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [n]}]} for n in (0, 1)]
        file.write_text(json.dumps({**new, "intervals": two, "ours": {"kept": 1}}), encoding="utf-8")
        put = json.loads(cem("event", "put", str(file), "--id", old["id"], "--json").stdout)
        assert (put["id"], put["ours"], len(put["intervals"])) == (old["id"], {"kept": 1}, 2)
        refused = cem("event", "change", old["id"], "--value", "1")
        assert (refused.exit_code, "event put" in refused.stderr) == (1, True)
        assert cem("event", "put", str(file)).exit_code == 0
        assert len(json.loads(cem("event", "list", "--json").stdout)) == 2
        file.write_text("{}", encoding="utf-8")
        assert cem("event", "put", str(file)).exit_code == 2

    _with_site(work)


def test_an_event_that_nobody_may_see_is_made_and_told_of() -> None:
    def work(_site: Site, cem: Callable[..., Result]) -> None:
        cem("program", "add", "limits")
        cem("ven", "add", "house-7", "--client", "ven")
        order = [*ADD, "--value", "5", "--duration", "PT10M"]
        assert cem(*order).stderr == ""
        private = cem(*order, "--target", "street-1", "--target", "heat-pumps", "--json")
        assert private.exit_code == 0
        assert "no VEN of OpenADR 3.1 was granted street-1 or heat-pumps" in private.stderr
        assert "cem vtn ven grant NAME --target street-1" in private.stderr
        cem("ven", "grant", "house-7", "--target", "heat-pumps")
        assert cem(*order, "--target", "street-1", "--target", "heat-pumps").stderr == ""
        event_id = json.loads(private.stdout)["id"]
        assert "granted garage," in cem("event", "change", event_id, "--target", "garage").stderr

    _with_site(work)


def test_an_event_stands_at_a_vtn_that_shows_nobody_its_vens() -> None:
    made = {"id": "e1", "programID": "p1", "targets": ["street-1"], "intervals": []}
    stamp = {"createdDateTime": "2026-01-15T12:00:00Z", "modificationDateTime": "2026-01-15T12:00:00Z"}
    answers = {
        ("GET", "/auth/server"): {"tokenURL": ""},
        ("POST", "/token"): {"access_token": "t", "token_type": "Bearer", "expires_in": 60},
        ("GET", "/programs"): [{"id": "p1", "programName": "limits", "objectType": "PROGRAM", **stamp}],
        ("POST", "/events"): {**made, "objectType": "EVENT", **stamp},
    }

    async def answer(request: web.Request) -> web.Response:
        found = answers.get((request.method, request.path))
        if found is None:
            return web.json_response({"status": 403, "title": "Forbidden"}, status=403)
        return web.json_response(found, status=201 if request.path == "/events" else 200)

    async def main() -> Result:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        async with TestServer(app) as server:
            url = str(server.make_url("")).rstrip("/")
            answers["GET", "/auth/server"] = {"tokenURL": f"{url}/token"}
            words = [*ADD, "--value", "5", "--duration", "PT10M", "--target", "street-1"]
            access = ["--url", url, "--client-secret", "s"]
            return await asyncio.to_thread(CliRunner().invoke, vtn, [*words, *access])

    done = asyncio.run(main())
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("e1")
    assert "the event is made; who may see it could not be found out" in done.stderr
    assert "403" in done.stderr


def test_programs_and_vens_are_shown_granted_and_removed() -> None:
    def work(_site: Site, cem: Callable[..., Result]) -> None:
        cem("program", "add", "limits", "--target", "street-1")
        assert json.loads(cem("program", "show", "limits").stdout)["targets"] == ["street-1"]
        assert "targets street-1" in cem("ven", "add", "house-7", "--client", "home", "--target", "street-1").stdout
        assert "targets a, b" in cem("ven", "grant", "house-7", "--target", "a", "--target", "b").stdout
        assert [one["targets"] for one in json.loads(cem("ven", "show", "house-7", "--json").stdout)] == [["a", "b"]]
        assert "targets" not in cem("ven", "grant", "house-7").stdout
        assert cem("ven", "remove", "house-7").exit_code == 0
        assert cem("ven", "show", "house-7").exit_code == 1
        assert cem("program", "remove", "limits").stdout.startswith("removed ")
        missing = cem("program", "show", "limits")
        assert (missing.exit_code, "cem vtn program list" in missing.stderr) == (1, True)

    _with_site(work)


def test_subscriptions_are_listed_and_removed() -> None:
    async def main() -> None:
        async with running_site() as site:
            made = await site.made("home", "/subscriptions", {"clientName": "c", "objectOperations": [site.hook()]})
            env = {"CEM_VTN_URL": site.url, "CEM_VTN_CLIENT_SECRET": "bl:secret"}

            def cem(*arguments: str) -> Result:
                return CliRunner().invoke(vtn, list(arguments), env=env)

            listed = await asyncio.to_thread(cem, "subscription", "list")
            assert f"EVENT: CREATE, UPDATE  to {site.hooks.url}" in listed.stdout
            gone = await asyncio.to_thread(cem, "subscription", "remove", made["id"])
            assert gone.stdout.startswith(f"removed {made['id']}")
            assert (await site.ask("home", "GET", "/subscriptions")).json == []

    asyncio.run(main())


def test_a_refusal_exits_1_with_the_vtns_words() -> None:
    def work(_site: Site, cem: Callable[..., Result]) -> None:
        cem("program", "add", "limits")
        again = cem("program", "add", "limits")
        assert (again.exit_code, "409 Conflict" in again.stderr, again.stdout) == (1, True, "")
        assert cem("event", "cancel", "nope").exit_code == 1
        assert cem(*ADD[:3], "nope", *ADD[4:], "--value", "1", "--duration", "PT1H").exit_code == 1
        wrong = cem("event", "list", CEM_VTN_CLIENT_SECRET="x")
        assert (wrong.exit_code, "unknown client or wrong secret" in wrong.stderr) == (1, True)
        dead = cem("event", "list", CEM_VTN_URL="http://127.0.0.1:9/openadr3/3.1.0")
        assert (dead.exit_code, "no answer" in dead.stderr) == (1, True)

    _with_site(work)


WRONG = [
    ADD,
    [*ADD, "--value", "5"],
    [*ADD, "--value", "5", "--interval", "PT1H=1"],
    [*ADD, "--value", "5", "--duration", "soon"],
    [*ADD, "--value", "5", "--duration", "-PT1H"],
    [*ADD, "--value", "inf", "--duration", "PT1H"],
    [*ADD, "--value", "5,5", "--duration", "PT1H"],
    [*ADD[:4], "--type", "SIMPLE", "--value", "4", "--duration", "PT1H"],
    [*ADD, "--interval", "PT1H"],
    [*ADD, "--value", "5", "--duration", "PT1H", "--start", "tomorrow"],
    [*ADD, "--value", "5", "--duration", "PT1H", "--priority", "-1"],
    ["event", "list", "--nope"],
    ["event", "change", "x"],
    ["event", "put", "no-such-file.json"],
    ["ven", "add", "house"],
    ["serve", "--webhook-network", "192.168.178.1/24"],
    ["serve", "--mqtt", "http://broker"],
    ["serve", "--client", "a:b:king"],
    ["serve", "--client", "a:b:bl", "--client", "a:c:ven"],
    ["serve", "--tls-key", __file__],
]


@pytest.mark.parametrize("arguments", WRONG)
def test_wrong_use_exits_2(arguments: list[str]) -> None:
    env = {"CEM_VTN_URL": "http://127.0.0.1:9", "CEM_VTN_CLIENT_SECRET": "x"}
    result = CliRunner().invoke(vtn, arguments, env=env)
    assert (result.exit_code, result.stdout) == (2, "")


def test_clients_come_from_a_file_too(tmp_path: Path) -> None:
    path = tmp_path / "clients.txt"
    path.write_text("# ours\nbl:s3:cret:bl\n\nhome:x:nobody\n", encoding="utf-8")
    result = CliRunner().invoke(vtn, ["serve", "--client-file", str(path)])
    assert (result.exit_code, "clients.txt" in result.stderr) == (2, True)


@pytest.mark.parametrize("option", ["--webhook-ca", "--tls-cert"])
def test_a_file_that_is_no_certificate_is_named(tmp_path: Path, option: str) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("this is no certificate", encoding="ascii")
    result = CliRunner().invoke(vtn, ["serve", option, str(path)])
    assert (result.exit_code, "ca.pem" in result.stderr) == (1, True)


def test_tokens_at_the_broker_need_a_user_of_our_own() -> None:
    result = CliRunner().invoke(vtn, ["serve", "--mqtt", "mqtt://127.0.0.1:9", "--mqtt-login", "token"])
    assert (result.exit_code, "a user of our own" in result.stderr) == (1, True)


def _commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from _commands(child, (*path, name))


@pytest.mark.parametrize("path", [path for path, _ in _commands(vtn)], ids=" ".join)
def test_every_command_has_help_with_an_example(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(vtn, [*path, "--help"])
    assert result.exit_code == 0
    assert f"Example: cem vtn {' '.join(path)}".strip() in " ".join(result.stdout.split())
