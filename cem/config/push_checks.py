"""Cross-checks of [[provider]] tables: who may send to us over OpenADR 2.0b, and lists of revoked certificates."""

from collections.abc import Callable, Iterator

from cem.config.draft import Draft
from cem.config.provider_checks import listens_here, unreadable_lists
from cem.config.words import duplicates, fault, shown
from cem.model.provider import Notify


def push_unusable(draft: Draft) -> Iterator[str]:
    """With OpenADR 2.0b whoever sends to us shows the certificate of the provider's VTN."""
    for index, provider in draft.providers.items():
        path = f"provider[{index}]"
        if provider.binding != "openadr2b":
            if provider.callback_fingerprint:
                yield fault(f"{path}.callback_fingerprint", "set", "it belongs to OpenADR 2.0b alone")
            continue
        if provider.notify is Notify.MQTT:
            yield fault(f"{path}.notify", shown("mqtt"), "auto, webhook or poll: OpenADR 2.0b knows no broker")
        if provider.callback_listen is None:
            continue
        certificate = provider.callback_certificate_file or provider.client_certificate_file
        if certificate is None:
            if not listens_here(provider.callback_listen):
                allowed = "callback_certificate_file and its key are needed, or a listener on 127.0.0.1 behind a proxy"
                yield fault(f"{path}.callback_listen", "no certificate", allowed)
            continue
        if not provider.ca_file:
            allowed = "the authorities are needed that the VTN's certificate is checked against when it sends"
            yield fault(f"{path}.ca_file", "missing", allowed)
        if not (provider.callback_fingerprint or provider.vtn_fingerprint):
            allowed = "the fingerprint of the certificate that the VTN shows when it sends is needed"
            yield fault(f"{path}.callback_fingerprint", "missing", allowed)


def listened_twice(draft: Draft) -> Iterator[str]:
    """Two providers don't share a socket."""
    taken = (
        (f"provider[{index}].callback_listen", provider.callback_listen)
        for index, provider in draft.providers.items()
        if provider.callback_listen is not None
    )
    yield from duplicates(taken, "every provider needs a port of its own")


def revoked_unusable(draft: Draft) -> Iterator[str]:
    """Lists of revoked certificates can be read, and the authorities that signed them are named."""
    for index, provider in draft.providers.items():
        if provider.crl_file is None:
            continue
        path = f"provider[{index}]"
        if not provider.ca_file:
            yield fault(f"{path}.ca_file", "missing", "the authorities that signed the lists in crl_file are needed")
        yield from unreadable_lists(draft, f"{path}.crl_file", provider.crl_file)


PUSH_CHECKS: tuple[Callable[[Draft], Iterator[str]], ...] = (push_unusable, listened_twice, revoked_unusable)
