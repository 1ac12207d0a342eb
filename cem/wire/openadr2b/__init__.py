"""OpenADR 2.0b (IEC 62746-10-1) on the wire: typed messages, a strict writer, a tolerant reader."""

from cem.wire.openadr2b.codec import Bounds, Payload, decode, encode, message_of, parse, to_bytes, tree_of
from cem.wire.openadr2b.shape import XmlError

__all__ = ["Bounds", "Payload", "XmlError", "decode", "encode", "message_of", "parse", "to_bytes", "tree_of"]
