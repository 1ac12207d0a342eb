"""The ways between the gateway and one provider, out of what its site file says: requests, callback, signatures."""

from datetime import datetime
from pathlib import Path

from cem.config.sitefile import ProviderLink
from cem.io.callback_server import CallbackServer
from cem.io.fresh import Fresh
from cem.io.http_client import AiohttpClient
from cem.io.mdns_locator import MdnsLocator
from cem.io.mqtt_notices import MqttNotices
from cem.io.revocation import RevocationLists
from cem.io.tls import fresh_client_context
from cem.model.provider import Provider
from cem.ports import Clock, Http
from cem.runtime.ven2b_client import Envelope, Plain, Signed
from cem.runtime.ven_notices import Ears
from cem.wire.openadr2b.messages import Message
from cem.wire.openadr2b.signature import Signer


class FreshSigner:
    """Signs with a key and its certificate as the files hold them at present."""

    def __init__(self, key: Path, certificate: Path) -> None:
        """Raises OSError and ValueError for files that can't be used."""
        self._fresh = Fresh(lambda: Signer(key.read_bytes(), certificate.read_text()), (key, certificate))

    def seal(self, message: Message, now: datetime, nonce: str) -> bytes:
        """The signed body of a message; raises XmlError."""
        return self._fresh().seal(message, now, nonce)


def http_to(provider: Provider, link: ProviderLink, locator: MdnsLocator | None) -> Http:
    """Our requests; raises OSError for certificates that can't be read."""
    tls = None
    if link.ca_file is not None or link.certificate_file is not None or link.crl_file is not None:
        tls = fresh_client_context(
            link.certificate_file,
            link.key_file,
            link.ca_file,
            legacy_suites=link.legacy_suites,
            revoked=link.crl_file,
        )
    return AiohttpClient(provider.request_timeout_s, ssl_context=tls, resolver=locator)


def envelope_for(link: ProviderLink, clock: Clock) -> Envelope:
    """How messages of OpenADR 2.0b are sent; raises OSError and ValueError for a key that can't be used."""
    if link.vtn_fingerprint is None or link.certificate_file is None:
        return Plain()
    signer = FreshSigner(link.key_file or link.certificate_file, link.certificate_file)
    return Signed(signer, link.vtn_fingerprint, clock)


def ears_for(provider: Provider, link: ProviderLink, clock: Clock) -> Ears:
    """What is listened with; raises OSError and ValueError for files that can't be used."""
    if link.callback is None:
        return Ears(MqttNotices())
    host, port = link.callback
    if provider.binding != "openadr2b":
        callback = CallbackServer(host, port, link.callback_certificate_file, link.callback_key_file)
        return Ears(MqttNotices(), callback)
    certificate, key = link.callback_certificate_file, link.callback_key_file
    if certificate is None:  # of the profile an end has one certificate, for both directions
        certificate, key = link.certificate_file, link.key_file
    if certificate is None:
        return Ears(callback=CallbackServer(host, port))
    refusal = None
    if link.crl_file is not None and link.ca_file is not None:
        refusal = RevocationLists(link.crl_file, link.ca_file, lambda: clock.now().wall).refusal
    callback = CallbackServer(
        host,
        port,
        certificate,
        key,
        authorities=link.ca_file,
        refusal=refusal,
        legacy_suites=link.legacy_suites,
    )
    return Ears(callback=callback, shown=link.callback_fingerprint)
