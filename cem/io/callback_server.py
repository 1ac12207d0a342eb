"""The socket on which a VTN calls back or sends to, with TLS where a certificate is given."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from cem.io.http_server import HttpServer, ServerBounds
from cem.io.tls import server_context
from cem.wire.http import HttpRequest, HttpResponse

BOUNDS = ServerBounds(body_timeout_s=5.0, headers_timeout_s=5.0, max_connections=64)


class CallbackServer:
    """Satisfies cem.runtime.ven_notices.Callback.

    Without a certificate it is plain http: for a proxy in front of it that has one. With `authorities` whoever connects
    must show a certificate of theirs, and `refusal` says why one (DER) does not count all the same; empty: it does.
    """

    def __init__(
        self,
        host: str,
        port: int,
        certificate: Path | None = None,
        key: Path | None = None,
        *,
        authorities: Path | None = None,
        refusal: Callable[[bytes], str] | None = None,
        legacy_suites: bool = False,
    ) -> None:
        self._host = host
        self._port = port
        self._certificate = certificate
        self._key = key
        self._authorities = authorities
        self._refusal = refusal
        self._legacy_suites = legacy_suites
        self._server: HttpServer | None = None

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._port

    async def start(self, answer: Callable[[HttpRequest], Awaitable[HttpResponse]]) -> None:
        """Listens; raises OSError (ssl.SSLError is one) where it can't."""
        tls = None
        if self._certificate is not None:
            tls = server_context(
                self._certificate, self._key, self._authorities, legacy_suites=self._legacy_suites, required=True
            )
        server = HttpServer(answer, BOUNDS, tls, self._refusal)
        self._port = await server.start(self._host, self._port)
        self._server = server

    async def stop(self) -> None:
        """Closes the socket."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop()
