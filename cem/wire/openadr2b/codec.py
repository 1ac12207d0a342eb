"""Bodies of OpenADR 2.0b: bytes to a checked tree and a message, and back.

A received body is bounded before it is parsed, has no document type, resolves nothing, and reaches nowhere.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from lxml import etree

from cem.wire.openadr2b.messages import ALL, Message
from cem.wire.openadr2b.names import SCHEMA_VERSION, qualified
from cem.wire.openadr2b.shape import Element, XmlError, new_element, read, write

SIGNED_OBJECT = "oadrSignedObject"
_PAYLOAD = qualified("oadr:oadrPayload")
_SIGNED = qualified("oadr:oadrSignedObject")
_SIGNATURE = qualified("ds:Signature")
_ID = qualified("oadr:Id")
_MESSAGES = {qualified(f"oadr:{message.TAG}"): message for message in ALL}
_DECLARED = re.compile(rb"""^<\?xml[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_PREFIX = re.compile(r"xmlns:([^\s=]{1,200})")
_PARSER = etree.XMLParser(  # one for all threads: lxml lets them in one by one
    encoding="utf-8",
    resolve_entities=False,
    no_network=True,
    load_dtd=False,
    dtd_validation=False,
    huge_tree=False,
    remove_comments=True,
    remove_pis=True,
)
_ENCODINGS = {"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a body may be: its bytes, its elements, how deep they stand in each other, and its prefixes.

    The canonical form of an element takes a time that grows with the square of the prefixes that it knows.
    """

    max_bytes: int = 1024 * 1024
    max_elements: int = 50_000
    max_depth: int = 40
    max_prefixes: int = 64


@dataclass(frozen=True, slots=True)
class Payload:
    """A body that was parsed: its only oadrSignedObject, and the signature if there is one."""

    root: Element
    signed_object: Element
    signature: Element | None


def parse(body: bytes, bounds: Bounds = Bounds()) -> Payload:
    """The checked tree of a body; raises XmlError for everything that is not an oadrPayload with one message."""
    if len(body) > bounds.max_bytes:
        raise XmlError("", f"has {len(body)} bytes, more than {bounds.max_bytes}")
    text = _decoded(body)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise XmlError("", "has a document type; none is accepted")
    if text.count("<") > 2 * bounds.max_elements:
        raise XmlError("", f"has more than {bounds.max_elements} elements")
    declared = set(_PREFIX.findall(text)) if text.count("xmlns:") > bounds.max_prefixes else set()
    if len(declared) > bounds.max_prefixes:
        raise XmlError("", f"declares {len(declared)} prefixes, more than {bounds.max_prefixes}")
    try:
        root = etree.fromstring(text.encode(), _PARSER)
    except etree.XMLSyntaxError as error:
        raise XmlError("", f"is not XML: {error.msg}") from error
    _check_depth(root, bounds.max_depth)
    if root.tag != _PAYLOAD:
        raise XmlError("", f"is {_shown(root.tag)}, not an oadrPayload")
    signed = list(root.iter(_SIGNED))
    if len(signed) != 1 or signed[0].getparent() is not root:
        raise XmlError("oadrPayload", f"has {len(signed)} oadrSignedObject, exactly one below it is accepted")
    signatures = list(root.iter(_SIGNATURE))
    if len(signatures) > 1 or (signatures and signatures[0].getparent() is not root):
        raise XmlError("oadrPayload", f"has {len(signatures)} signatures, at most one below it is accepted")
    return Payload(root, signed[0], signatures[0] if signatures else None)


def message_of(signed_object: Element) -> Message:
    """The message in an oadrSignedObject; raises XmlError."""
    known = [child for child in signed_object.iterchildren(etree.Element) if child.tag in _MESSAGES]
    if len(known) != 1:
        seen = ", ".join(_shown(child.tag) for child in signed_object.iterchildren(etree.Element)) or "nothing"
        raise XmlError(SIGNED_OBJECT, f"has {seen[:200]}; exactly one message of the profile is understood")
    cls = _MESSAGES[known[0].tag]
    try:
        return read(cls, known[0])
    except XmlError as error:
        raise XmlError(f"{cls.TAG}/{error.path}", error.reason) from error


def decode(body: bytes, bounds: Bounds = Bounds()) -> Message:
    """The message in a body, whether it is signed or not; raises XmlError."""
    return message_of(parse(body, bounds).signed_object)


def signed_object_of(message: Message) -> Element:
    """The oadrSignedObject of a message, by itself; raises XmlError for what the schema does not allow."""
    signed = new_element("oadr:oadrSignedObject")
    signed.set(_ID, SIGNED_OBJECT)
    element = etree.SubElement(signed, qualified(f"oadr:{message.TAG}"))
    element.set(qualified("ei:schemaVersion"), SCHEMA_VERSION)
    try:
        write(element, message)
    except XmlError as error:
        raise XmlError(f"{message.TAG}/{error.path}", error.reason) from error
    return signed


def tree_of(message: Message) -> Element:
    """The oadrPayload of a message, unsigned; raises XmlError for what the schema does not allow."""
    root = new_element("oadr:oadrPayload")
    root.append(signed_object_of(message))
    return root


def to_bytes(root: Element) -> bytes:
    """A tree as a body."""
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8"))


def encode(message: Message) -> bytes:
    """A message as an unsigned body; raises XmlError."""
    return to_bytes(tree_of(message))


def _decoded(body: bytes) -> str:
    declared = _DECLARED.match(body.removeprefix(b"\xef\xbb\xbf").lstrip())
    encoding = "utf-8" if declared is None else declared[1].decode().lower()
    if encoding not in _ENCODINGS:
        raise XmlError("", f"is encoded as {encoding!r}; UTF-8 is understood")
    try:
        return body.decode("utf-8-sig" if encoding in ("utf-8", "utf8") else encoding).lstrip()
    except UnicodeDecodeError as error:
        raise XmlError("", f"is not {encoding}: {error.reason}") from error


def _check_depth(root: Element, max_depth: int) -> None:
    if _deeper_than(max_depth)(root):
        raise XmlError("", f"is more than {max_depth} elements deep")


@cache
def _deeper_than(depth: int) -> Callable[[Element], object]:
    """Tells whether a tree has elements below a depth."""
    found: Callable[[Element], object] = etree.XPath(f"boolean({'/*' * (depth + 1)})")
    return found


def _shown(tag: object) -> str:
    return etree.QName(tag).localname[:60] if isinstance(tag, str) else "no element"
