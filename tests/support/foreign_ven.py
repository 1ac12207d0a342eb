"""A VEN that messages are posted to, with nothing of ours in it: an HTTP server of a few lines and XML by hand.

openleadr's reader checks what arrives; its VEN has no push of its own.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from lxml import etree
from openleadr.messaging import create_message, parse_message, validate_xml_signature

from support.certificates import Identity
from support.oadr2b import assert_valid

Post = tuple[str, str, dict[str, Any]]
Reply = Callable[[str, dict[str, Any]], tuple[int, bytes]]


def nothing(kind: str, payload: dict[str, Any]) -> tuple[int, bytes]:
    """Answers with an empty body, as many VENs do."""
    return 200, b""


class ForeignVen:
    """Takes posts; each is (path, message, content as openleadr reads it). `reply` makes the answers."""

    def __init__(self, identity: Identity | None = None, sender: Identity | None = None) -> None:
        self.posts: list[Post] = []
        self.connections = 0
        self.reply: Reply = nothing
        self._identity = identity
        self._sender = sender
        self._server: asyncio.Server | None = None
        self.address = ""

    async def start(self, authority: Any = None, port: int = 0) -> None:
        """Listens; with an authority over TLS, asking for a certificate."""
        context = None
        if authority is not None and self._identity is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._identity.certificate, self._identity.key)
            context.load_verify_locations(authority.certificate)
            context.verify_mode = ssl.CERT_REQUIRED
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=context)
        found = self._server.sockets[0].getsockname()[1]
        self.address = f"{'https' if context else 'http'}://127.0.0.1:{found}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    def signed(self, kind: str, **payload: Any) -> bytes:
        """A message of openleadr's, signed where the VEN has an identity."""
        if self._identity is None:
            return bytes(create_message(kind, **payload).encode())
        certificate, key = self._identity.certificate.read_bytes(), self._identity.key.read_bytes()
        return bytes(create_message(kind, cert=certificate, key=key, **payload).encode())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(int(x.split(":")[1]) for x in head.splitlines() if x.lower().startswith("content-length"))
            body = await reader.readexactly(length)
            status, answer = self._taken(head.split()[1], body)
            writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(answer)))
            writer.write(answer)
            await writer.drain()
        except asyncio.IncompleteReadError:
            return  # the VTN looked at the certificate and went away
        finally:
            writer.close()

    def _taken(self, path: str, body: bytes) -> tuple[int, bytes]:
        assert_valid(body)
        if self._sender is not None:
            validate_xml_signature(etree.fromstring(body), cert_fingerprint=self._sender.fingerprint)
        kind, payload = parse_message(body)
        self.posts.append((path, kind, payload))
        return self.reply(kind, payload)
