"""The one exception that becomes an answer, and how answers say how it went."""

from cem.wire.openadr2b.names import Code
from cem.wire.openadr2b.parts import Response

_MOST_CHARACTERS = 256
_MOST_TEXTS = 2000


class Refused(Exception):  # noqa: N818 - an answer, not an error
    """A request that is answered with a code and has no effect."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def fine(request_id: str = "") -> Response:
    """All well."""
    return Response(code=str(int(Code.OK)), description="OK", request_id=request_id)


def refused(code: Code, words: str, request_id: str = "") -> Response:
    """How it went where it did not."""
    return Response(code=str(int(code)), description=words, request_id=request_id)


def short(*texts: str) -> None:
    """Refuses identifiers that nobody needs and that would be kept."""
    if len(texts) > _MOST_TEXTS or any(len(text) > _MOST_CHARACTERS for text in texts):
        raise Refused(Code.INVALID_DATA, f"identifiers of {_MOST_CHARACTERS} characters at most are taken")
