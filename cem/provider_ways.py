"""The ways between the gateway and one provider, out of what its site file says: requests, callback, signatures."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from cem.config.sitefile import ProviderLink
from cem.io.callback_server import CallbackServer
from cem.io.certificates import Certificate, read_certificate
from cem.io.fresh import Fresh
from cem.io.http_client import AiohttpClient
from cem.io.mdns_locator import MdnsLocator
from cem.io.mqtt_notices import MqttNotices
from cem.io.revocation import RevocationLists, read_lists
from cem.io.tls import fresh_client_context
from cem.model.provider import Provider
from cem.ports import Clock, Http
from cem.runtime.status import Trouble
from cem.runtime.ven2b_client import Envelope, Plain, Signed
from cem.runtime.ven_notices import Ears
from cem.wire.openadr2b.messages import Message
from cem.wire.openadr2b.signature import Signer

LIST_SOON = timedelta(days=2)
"""So long before its end a list of revoked certificates is to be there anew; authorities make them often."""


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
    return Signed(signer, link.vtn_fingerprint, clock, link.vtn_next_fingerprint)


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
    known = (link.callback_fingerprint, link.vtn_next_fingerprint)
    return Ears(callback=callback, shown=tuple(one for one in known if one is not None))


class CertificateWatch:
    """What a person should know of the certificates that providers are met with, well before it is too late."""

    def __init__(self, links: Mapping[str, ProviderLink]) -> None:
        self._shown = {
            (provider_id, file): Fresh(partial(_read_or_none, file), (file,))
            for provider_id, link in links.items()
            for file in (link.certificate_file, link.callback_certificate_file)
            if file is not None
        }
        self._lists = {
            (provider_id, link.crl_file): Fresh(partial(_out_of_date, link.crl_file), (link.crl_file,))
            for provider_id, link in links.items()
            if link.crl_file is not None
        }

    def troubles(self, now: datetime) -> list[Trouble]:
        """What ends soon or has ended; cheap."""
        found = []
        for (provider_id, file), fresh in self._shown.items():
            one = fresh()
            if one is None or one.state(now) == "valid":
                continue
            over = now >= one.valid_until
            cause = f"{provider_id}: our certificate {file} {'ended' if over else 'ends'} on {one.valid_until:%Y-%m-%d}"
            effect = "the provider lets us in no longer" if over else "from then on the provider lets us in no longer"
            advice = "Renew it with cem ven rotate, and tell the provider the new fingerprint."
            severity = "alarm" if over else "warning"
            found.append(Trouble(f"certificate.{provider_id}.{file.name}", cause, effect, advice, severity))
        for (provider_id, file), lists in self._lists.items():
            until = lists()
            if until is None or now + LIST_SOON < until:
                continue
            over = now >= until
            when = f"{'ended' if over else 'ends'} on {until:%Y-%m-%d %H:%M} UTC"
            cause = f"{provider_id}: the list of revoked certificates {file} {when}"
            effect = "nobody of the provider is let in" if over else "from then on nobody of the provider is let in"
            advice = "Fetch a newer list from the provider and put it in the file's place."
            severity = "alarm" if over else "warning"
            found.append(Trouble(f"certificate.{provider_id}.{file.name}", cause, effect, advice, severity))
        return found


def _read_or_none(file: Path) -> Certificate | None:
    """What is not there or no certificate is told by who needs it."""
    try:
        return read_certificate(file)
    except (OSError, ValueError):
        return None


def _out_of_date(file: Path) -> datetime | None:
    """When the first of its lists is out of date."""
    try:
        ends = [one.next_update_utc for one in read_lists(file)]
    except (OSError, ValueError):
        return None
    return min((end for end in ends if end is not None), default=None)
