"""The API's description: what FastAPI cannot read off, for bodies are read by serve.body and not by it."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from pipeline_lib.delivery.serve.limits import MAX_PHOTOGRAPH_BYTES

STATUSES = {
    400: "no JSON, or a broken form",
    401: "a token is needed",
    403: "a page of another site asked",
    408: "the body came too slowly",
    413: f"the body, or a photograph of more than {MAX_PHOTOGRAPH_BYTES >> 20} MiB, is too large",
    415: "another content type",
    421: "another name in the Host header",
    422: "no answer: no face, no picture, another field, or a value that is not possible; `error` says which",
    503: "busy; Retry-After says when to come again",
}


def described(asked: type[BaseModel], photographs: Sequence[str]) -> dict[str, Any]:
    """Arguments of a FastAPI route: its body as JSON and as a form, and its statuses."""
    fields = asked.model_json_schema()["properties"]
    as_text = {"type": "string", "description": "The photograph's bytes as base64, or a data: URL."}
    as_file = {"type": "string", "format": "binary", "description": "The photograph; or its bytes as base64."}
    content = {}
    for kind, image in (("application/json", as_text), ("multipart/form-data", as_file)):
        schema = {"type": "object", "additionalProperties": False, "required": list(photographs)}
        content[kind] = {"schema": {**schema, "properties": {**dict.fromkeys(photographs, image), **fields}}}
    responses: dict[int, Any] = {status: {"description": text} for status, text in STATUSES.items()}
    responses[200] = {
        "description": "The answer: the fields of the command's --json; a page for who accepts text/html.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
    return {"responses": responses, "openapi_extra": {"requestBody": {"required": True, "content": content}}}


def operations(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a page lists of an OpenAPI document: method, path, summary, fields (name, type, needed, text) and statuses."""
    found = []
    for path, methods in document["paths"].items():
        for method, about in methods.items():
            content = about.get("requestBody", {}).get("content", {})
            schema = content.get("multipart/form-data", {}).get("schema", {"properties": {}, "required": []})
            fields = [
                (name, _kind(one), name in schema["required"], one.get("description", ""))
                for name, one in schema["properties"].items()
            ]
            statuses = [(status, one["description"]) for status, one in sorted(about["responses"].items())]
            found.append(
                {
                    "method": method.upper(),
                    "path": path,
                    "summary": about["summary"],
                    "fields": fields,
                    "statuses": statuses,
                }
            )
    return found


def _kind(schema: Mapping[str, Any]) -> str:
    if schema.get("format") == "binary":
        return "file"
    kinds = [one["type"] for one in schema.get("anyOf", [schema])]
    return ", ".join(kind for kind in kinds if kind != "null")
