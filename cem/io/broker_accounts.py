"""Accounts of VENs at the broker: their bearer token is their password, and each may read its own topics alone.

Spoken to Mosquitto's dynamic security plugin through the broker itself (mosquitto.org, "Dynamic Security Plugin",
topic $CONTROL/dynamic-security/v1). OpenADR leaves the means open (Definition, "MQTT": "by any means necessary").
"""

import asyncio
import json
import logging
import secrets
from collections.abc import Iterable, Sequence
from typing import Any

from cem.io.mqtt_publisher import MqttPublisher

_log = logging.getLogger(__name__)
_CONTROL = "$CONTROL/dynamic-security/v1"
_AT_ONCE = 50  # clients in one message
_WAIT_S = 2.0
_MAY_FAIL = {"deleteClient", "deleteRole"}  # of what is not there

Command = dict[str, Any]


class BrokerAccounts:
    """Satisfies cem.runtime.vtn.Accounts. Our own user at the broker has the role admin and may publish below `prefix`;
    it can't give itself that: whose rights change is disconnected."""

    def __init__(self, publisher: MqttPublisher, prefix: str) -> None:
        self._publisher = publisher
        self._prefix = prefix
        self._tokens: dict[str, str] = {}
        self._begun: asyncio.Task[None] | None = None
        self._patient_until_s = 0.0  # of the loop's clock: a broker that is away is waited for at the start alone
        publisher.listen(f"{_CONTROL}/response", _complain)

    def start(self, clients: Iterable[tuple[str, bool]]) -> None:
        """Makes all accounts anew, each a client's id and whether it is business logic; nobody can enter yet.

        Call it once the publisher was started; while the broker is away it waits.
        """
        known = [one for one in clients if not set(one[0]) & set("/+#")]
        self._begun = asyncio.create_task(self._begin(known))
        self._patient_until_s = asyncio.get_running_loop().time() + _WAIT_S

    async def stop(self) -> None:
        """No more accounts are made."""
        if self._begun is not None:
            self._begun.cancel()
            await asyncio.gather(self._begun, return_exceptions=True)

    async def _begin(self, known: Sequence[tuple[str, bool]]) -> None:
        """A password that came before its account would be lost: what waits while one connects keeps no order."""
        await self._publisher.connected()
        for first in range(0, len(known), _AT_ONCE):
            batch = known[first : first + _AT_ONCE]
            message = _message([step for one in batch for step in self._made(*one)])
            await self._publisher.publish_and_wait([message], _WAIT_S)
        self._publisher.publish([_message([_password(*one)]) for one in self._tokens.items()])

    async def admit(self, client_id: str, token: str, lifetime_s: float) -> None:
        """Makes a token the client's password until it expires; the broker has it when this returns, or it is said."""
        self._tokens[client_id] = token
        asyncio.get_running_loop().call_later(lifetime_s, self._expire, client_id, token)
        if not await self._has_begun() or not await self._publisher.publish_and_wait(
            [_message([_password(client_id, token)])], _WAIT_S
        ):
            _log.warning("broker: the token of client %s is not known there yet; the broker does not answer", client_id)

    async def _has_begun(self) -> bool:
        if self._begun is None:
            return False
        left_s = self._patient_until_s - asyncio.get_running_loop().time()
        await asyncio.wait([self._begun], timeout=max(0.0, left_s))
        return self._begun.done()

    def _expire(self, client_id: str, token: str) -> None:
        if self._tokens.get(client_id) == token:
            del self._tokens[client_id]
            self._publisher.publish([_message([_password(client_id, secrets.token_urlsafe(32))])])

    def _made(self, client_id: str, is_business: bool) -> list[Command]:
        role = f"openadr3-client-{client_id}"
        topics = ["#"] if is_business else ["all/#", f"ven/{client_id}/#"]
        acls = [
            {"acltype": "subscribePattern", "topic": f"{self._prefix}/{topic}", "priority": 0, "allow": True}
            for topic in topics
        ]
        password = secrets.token_urlsafe(32)
        return [
            {"command": "deleteClient", "username": client_id},
            {"command": "deleteRole", "rolename": role},
            {"command": "createRole", "rolename": role, "acls": acls},
            {
                "command": "createClient",
                "username": client_id,
                "password": password,
                "roles": [{"rolename": role, "priority": 0}],
            },
        ]


def _password(client_id: str, password: str) -> Command:
    return {"command": "setClientPassword", "username": client_id, "password": password}


def _message(commands: Sequence[Command]) -> tuple[str, bytes]:
    return _CONTROL, json.dumps({"commands": commands}).encode("utf-8")


def _complain(payload: bytes) -> None:
    """Says what the plugin refused, in paho's thread."""
    try:
        responses = json.loads(payload)["responses"]
        refused = [one for one in responses if "error" in one and one.get("command") not in _MAY_FAIL]
    except (ValueError, KeyError, TypeError):
        _log.warning("broker: an answer about accounts that is not understood")
        return
    for one in refused[:3]:
        _log.warning("broker: %s refused: %s; our user needs the role admin", one.get("command"), one["error"])
