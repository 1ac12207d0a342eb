"""The description of the local API, made from the very types that it serves (OpenAPI 3.1)."""

from functools import cache
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from cem import __version__
from cem.io.local_requests import Fault, RequestBody
from cem.model.plan import Plan
from cem.model.request import UserRequest
from cem.model.status import Status
from cem.model.why import Explanation

REF = "#/components/schemas/{model}"


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[Fault] = []


def _schemas() -> dict[str, Any]:
    inputs: list[tuple[Any, JsonSchemaMode, TypeAdapter[Any]]] = [
        (model, "serialization", TypeAdapter(model)) for model in (Status, Plan, UserRequest, Explanation)
    ]
    _, kept = TypeAdapter.json_schemas(inputs, ref_template=REF)
    _, bodies = models_json_schema([(RequestBody, "validation"), (Problem, "serialization")], ref_template=REF)
    return {**kept["$defs"], **bodies["$defs"]}


def _json(schema: str, description: str, media: str = "application/json") -> dict[str, Any]:
    return {"description": description, "content": {media: {"schema": {"$ref": REF.format(model=schema)}}}}


def _problem(description: str) -> dict[str, Any]:
    return _json("Problem", description, "application/problem+json")


def _reading() -> dict[str, Any]:
    plan = {"oneOf": [{"$ref": REF.format(model="Plan")}, {"type": "null"}]}
    events = "event: plan carries a Plan or null whenever it changed; event: status a Status whose plan is left out"
    return {
        "/v1/status": {"get": {"summary": "The whole picture, now", "responses": {"200": _json("Status", "now")}}},
        "/v1/plan": {
            "get": {
                "summary": "The plan; null when there is none",
                "responses": {"200": {"description": "now", "content": {"application/json": {"schema": plan}}}},
            }
        },
        "/v1/why": {
            "get": {
                "summary": "Why it does what it does: the last tick explained",
                "responses": {"200": _json("Explanation", "now"), "409": _problem("nothing is explained here")},
            }
        },
        "/v1/stream": {
            "get": {
                "summary": "The status whenever it changes, at most once a second, as server-sent events",
                "responses": {
                    "200": {"description": events, "content": {"text/event-stream": {"schema": {"type": "string"}}}},
                    "503": _problem("too many streams are open"),
                },
            }
        },
        "/v1/openapi.json": {
            "get": {
                "summary": "This description",
                "responses": {"200": {"description": "OpenAPI 3.1", "content": {"application/json": {"schema": {}}}}},
            }
        },
    }


def _acting() -> dict[str, Any]:
    body = {"required": True, "content": {"application/json": {"schema": {"$ref": REF.format(model="RequestBody")}}}}
    by_id = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "/v1/requests": {
            "post": {
                "summary": "The owner asks something of a battery or a car, with an end",
                "requestBody": body,
                "responses": {
                    "201": _json("UserRequest", "accepted; it takes part in the next decision"),
                    "409": _problem("the gateway does not take it now"),
                    "413": _problem("the body is larger than 64 KiB"),
                    "422": _problem("the body is wrong; errors name each path"),
                },
            }
        },
        "/v1/requests/{id}": {
            "delete": {
                "summary": "The owner takes an act back",
                "parameters": [by_id],
                "responses": {
                    "204": {"description": "gone"},
                    "404": _problem("no such act"),
                    "409": _problem("the gateway does not take acts now"),
                },
            }
        },
    }


@cache
def openapi() -> dict[str, Any]:
    """The document; the same object each time, not to be changed."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Customer Energy Manager, local API",
            "version": __version__,
            "description": "On a unix socket only. Powers in W, into a terminal positive; energies in Wh.",
        },
        "paths": {**_reading(), **_acting()},
        "components": {"schemas": _schemas()},
    }
