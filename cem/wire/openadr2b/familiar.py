"""Signed bodies that differ from one that was read before in their time, nonce and signature alone.

A VEN's polls are the same bytes again and again but for four texts. Once one was read and found right, the next needs
no XML: if all other bytes are the same and the four have no character that means anything in XML, its tree is the same
but for these texts, and so are the canonical forms that were signed. The signature itself is checked each time, over
the known message and the new time and nonce.
"""

import binascii
import hmac
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

from cryptography.hazmat.primitives.hashes import HashAlgorithm

from cem.wire.openadr2b.codec import message_of, parse
from cem.wire.openadr2b.messages import Message, Poll
from cem.wire.openadr2b.signature import MOST_NONCE, Opened, ReplayMemory, SignatureError, admit, opened
from cem.wire.openadr2b.xmldsig import Hash, PublicKey, Unsound, check

_MOST_BYTES = 8 * 1024
_MOST_KNOWN = 1024
_FORMS = {
    "value": rb"[A-Za-z0-9+/]{1,1400}={0,2}",
    "digest": rb"[A-Za-z0-9+/]{43,88}={0,2}",
    "timestamp": rb"[0-9TZ:.+-]{1,40}",
    "nonce": rb"[A-Za-z0-9+/=_.-]{1,%d}" % MOST_NONCE,
}


@dataclass(frozen=True, slots=True)
class _Known:
    """A body that was read: how it looks but for the four texts, and the two canonical forms with gaps for them."""

    pattern: re.Pattern[bytes]
    names: tuple[bytes, ...]  # of the texts, in the order of the pattern's groups
    info: bytes
    protection: bytes
    hashed: Hash
    algorithm: HashAlgorithm
    key: PublicKey
    message: Message


class SignedReader:
    """Reads the signed messages of many senders. Any thread may ask."""

    def __init__(self) -> None:
        self._memory = ReplayMemory()
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._lock = Lock()

    def read(self, body: bytes, by: str, now: datetime) -> Message:
        """The message in a body that the owner of a fingerprint signed; raises XmlError."""
        with self._lock:
            known = self._known.get(by)
        match = None if known is None or len(body) > _MOST_BYTES else known.pattern.fullmatch(body)
        if known is None or match is None:
            return self._read(body, by, now)
        texts = dict(zip(known.names, match.groups(), strict=True))
        _check(known, texts)
        admit(texts[b"timestamp"].decode(), texts[b"nonce"].decode(), by, self._memory, now)
        return known.message

    def _read(self, body: bytes, by: str, now: datetime) -> Message:
        found = opened(parse(body), by)
        admit(found.timestamp, found.nonce, by, self._memory, now)
        message = message_of(found.signed_object)
        known = _learnt(body, found, message) if isinstance(message, Poll) else None
        if known is not None:
            with self._lock:
                self._known[by] = known
                self._known.move_to_end(by)
                if len(self._known) > _MOST_KNOWN:
                    self._known.popitem(last=False)
        return message


def _check(known: _Known, texts: dict[bytes, bytes]) -> None:
    """Raises SignatureError where the signature does not hold over the body that these texts make."""
    protected = known.hashed(known.protection % texts).digest()
    if not hmac.compare_digest(binascii.b2a_base64(protected, newline=False), texts[b"digest"]):
        raise SignatureError("does not hold: its time or nonce was changed")
    try:
        check(known.key, known.algorithm, texts[b"value"].decode(), known.info % texts)
    except Unsound as error:
        raise SignatureError(f"does not hold: {error}") from error


def _template(parts: tuple[bytes | str, ...]) -> bytes:
    return b"".join(
        b"%%(%s)s" % part.encode() if isinstance(part, str) else part.replace(b"%", b"%%") for part in parts
    )


def _learnt(body: bytes, found: Opened, message: Message) -> _Known | None:
    """What is to be known of a body; None where one of the four texts is not plain, or is there more than once."""
    texts = {
        "value": found.sound.value,
        "digest": found.protection.digest,
        "timestamp": found.timestamp,
        "nonce": found.nonce,
    }
    if len(body) > _MOST_BYTES or any(
        re.fullmatch(_FORMS[name], text.encode()) is None for name, text in texts.items()
    ):
        return None
    whole = _parted(body, texts)
    info = _parted(found.sound.info, {"digest": texts["digest"]})
    protection = _parted(found.protection.written, {name: texts[name] for name in ("timestamp", "nonce")})
    if whole is None or info is None or protection is None:
        return None
    pattern = b"".join(b"(%s)" % _FORMS[part] if isinstance(part, str) else re.escape(part) for part in whole)
    return _Known(
        pattern=re.compile(pattern),
        names=tuple(part.encode() for part in whole if isinstance(part, str)),
        info=_template(info),
        protection=_template(protection),
        hashed=found.protection.hashed,
        algorithm=found.sound.algorithm,
        key=found.key,
        message=message,
    )


def _parted(whole: bytes, texts: Mapping[str, str]) -> tuple[bytes | str, ...] | None:
    """Bytes with the names of some texts in their place; None where one is not there exactly once."""
    places = []
    for name, text in texts.items():
        written = text.encode()
        if whole.count(written) != 1:
            return None
        places.append((whole.index(written), len(written), name))
    parts: list[bytes | str] = []
    done = 0
    for start, length, name in sorted(places):
        if start < done:
            return None
        parts += [whole[done:start], name]
        done = start + length
    return (*parts, whole[done:])
