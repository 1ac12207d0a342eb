"""Messages around the objects: problems, authorisation (RFC 6749, snake case), notifiers, notifications."""

from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field

from cem.wire.openadr3.message import Many, Message, Targets
from cem.wire.openadr3.objects import Event, Program, Report, Resource, Subscription, Url, Ven

AnyObject = Program | Event | Report | Subscription | Ven | Resource


class Problem(Message):
    """The body of an error answer (schema problem)."""

    type: str | None = None
    title: str | None = None
    status: Annotated[int, Field(ge=100, lt=600)] | None = None
    detail: str | None = None
    instance: str | None = None


def _seconds(value: object) -> object:
    """Interpretation: servers write the lifetime as text, or with a fraction; what can't be read is not given."""
    try:
        return int(float(value)) if isinstance(value, str | float) else value
    except (ValueError, OverflowError):
        return None


class _OAuthMessage(Message):
    model_config = ConfigDict(alias_generator=None)


class ClientCredentialResponse(_OAuthMessage):
    """The answer of the token endpoint; `expires_in` in seconds."""

    access_token: Annotated[str, Field(min_length=1, max_length=4096, repr=False)]
    token_type: str = "Bearer"  # noqa: S105 - not a secret
    expires_in: Annotated[int | None, BeforeValidator(_seconds)] = None
    refresh_token: Annotated[str | None, Field(repr=False)] = None
    scope: str | None = None


class AuthError(_OAuthMessage):
    """The refusal of the token endpoint (RFC 6749 clause 5.2)."""

    error: str
    error_description: str | None = None
    error_uri: str | None = None


class AuthServerInfo(Message):
    """Where the token endpoint is."""

    token_url: Annotated[Url, Field(validation_alias="tokenURL", serialization_alias="tokenURL")]


class MqttAuthentication(Message):
    """How to log in at the broker: ANONYMOUS, OAUTH2_BEARER_TOKEN or CERTIFICATE."""

    method: str
    username: str | None = None
    ca_cert: str | None = None
    client_cert: str | None = None
    client_key: Annotated[str | None, Field(repr=False)] = None


class MqttNotifier(Message):
    """A VTN's MQTT binding."""

    uris: Annotated[Many[str], Field(validation_alias="URIS", serialization_alias="URIS")] = ()
    serialization: str = "JSON"
    authentication: MqttAuthentication


class Notifiers(Message):
    """The bindings for notifications that a VTN has."""

    webhook: Annotated[bool, Field(validation_alias="WEBHOOK", serialization_alias="WEBHOOK")]
    mqtt: Annotated[MqttNotifier | None, Field(validation_alias="MQTT", serialization_alias="MQTT")] = None


class OperationTopics(Message):
    """MQTT topics of the operations on a kind of object."""

    create: Annotated[str | None, Field(validation_alias="CREATE", serialization_alias="CREATE")] = None
    update: Annotated[str, Field(validation_alias="UPDATE", serialization_alias="UPDATE")]
    delete: Annotated[str, Field(validation_alias="DELETE", serialization_alias="DELETE")]
    all: Annotated[str | None, Field(validation_alias="ALL", serialization_alias="ALL")] = None


class NotifierTopics(Message):
    """The answer of /notifiers/mqtt/topics/..."""

    topics: OperationTopics


class Notification(Message):
    """A VTN's word that an object changed; a hint to fetch, not the truth. `object` is decoded by `object_of`."""

    object_type: str
    operation: str
    object: dict[str, Any]
    targets: Targets = ()
