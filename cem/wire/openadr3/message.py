"""What all messages of OpenADR 3.1.0 have in common: one base class, one error, the bounds."""

from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    SerializerFunctionWrapHandler,
    model_serializer,
)
from pydantic.alias_generators import to_camel

from cem.wire.openadr3.times import Duration, Start

MAX_INTERVALS = 10_000
MAX_PAYLOADS = 256
MAX_VALUES = 10_000
MAX_LIST = 1_000


class WireError(ValueError):
    """A body that is not the message it should be: where (`path`), why (`reason`), of which object if it says so."""

    def __init__(self, path: str, reason: str, object_id: str | None = None) -> None:
        super().__init__(f"{path or 'body'}: {reason}")
        self.path = path
        self.reason = reason
        self.object_id = object_id


def _wire_name(name: str) -> str:
    camel = to_camel(name)
    return camel[:-2] + "ID" if camel.endswith("Id") else camel


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be a string, not {type(value).__name__}")
    return value


def _start(value: object) -> Start:
    return value if isinstance(value, Start) else Start.parse(_text(value))


def _duration(value: object) -> Duration:
    return value if isinstance(value, Duration) else Duration.parse(_text(value))


def _forward(value: object) -> Duration:
    duration = _duration(value)
    if duration.is_negative:
        raise ValueError(f"{duration.text} runs backwards; a duration here is zero or more")
    return duration


T = TypeVar("T")
Name = Annotated[str, Field(min_length=1, max_length=128)]
ObjectID = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[!-~]*$")]
"""An identifier as a peer gives it: visible ASCII goes back as it came; the schema has letters, digits, - and _."""
StartTime = Annotated[Start, PlainValidator(_start), PlainSerializer(str, return_type=str)]
AnyDuration = Annotated[Duration, PlainValidator(_duration), PlainSerializer(str, return_type=str)]
ForwardDuration = Annotated[Duration, PlainValidator(_forward), PlainSerializer(str, return_type=str)]
Many = Annotated[tuple[T, ...], Field(strict=False, max_length=MAX_LIST)]
Targets = Many[Name]


class Message(BaseModel):
    """A message: immutable, attributes in snake case (`program_id` is programID on the wire), unknown ones kept.

    Types are not coerced: "5" is not 5. Absent optional lists are empty tuples, other absent attributes None.
    """

    model_config = ConfigDict(
        alias_generator=_wire_name,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        extra="allow",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
    )

    @model_serializer(mode="wrap")
    def _sparse(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leaves out what is None and optional lists that are empty."""
        body: dict[str, Any] = handler(self)
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if value is None or (value == () and not field.is_required()):
                body.pop(field.serialization_alias or name, None)
        return body
