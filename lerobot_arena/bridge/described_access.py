# SPDX-License-Identifier: Apache-2.0
"""What /openapi.json says about access and refusals, taken from the access table and the error shapes."""

from typing import Any

from lerobot_arena.bridge.access import Need, Row, table
from lerobot_arena.bridge.errors import Shape, detailed_shape, sentence_shape, shape_of

SECURITY_SCHEMES = {
    "BearerAuth": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "ApiKeyAuth": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
_ACCOUNT: list[dict[str, list[str]]] = [{"BearerAuth": []}, {"ApiKeyAuth": []}]
_TEXT = {"type": "string"}
_DETAIL = {"type": "object", "properties": {"detail": _TEXT, "code": _TEXT}, "required": ["detail", "code"]}
_SENTENCE = {"type": "object", "properties": {"error": _TEXT}, "required": ["error"]}
_DETAILED = {
    "type": "object",
    "properties": {"error": _TEXT, "message": _TEXT, "details": _TEXT},
    "required": ["error", "message", "details"],
}
_REFUSALS = {
    "401": "Nobody we know: log in, or send an API token",
    "403": "Not allowed, or called from another site's page",
    "413": "The body is too large",
    "429": "Too often; Retry-After says when to try again",
}


def _schema_of(shape: Shape) -> tuple[str, dict[str, Any]]:
    if shape is sentence_shape:
        return "SentenceError", _SENTENCE
    return ("DetailedError", _DETAILED) if shape is detailed_shape else ("ErrorWithCode", _DETAIL)


def _response(path: str, text: str) -> dict[str, Any]:
    name, _ = _schema_of(shape_of(path))
    return {
        "description": text,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}},
    }


def add_access(schema: dict[str, Any]) -> None:
    """Give every operation its security and the refusals of the border."""
    rows = table()
    components = schema.setdefault("components", {})
    components["securitySchemes"] = SECURITY_SCHEMES
    for path, item in schema["paths"].items():
        name, error = _schema_of(shape_of(path))
        components.setdefault("schemas", {})[name] = error
        for method, operation in item.items():
            row = rows.get((method.upper(), path))
            if method in _METHODS and row is not None:
                _describe(path, operation, row)


def _describe(path: str, operation: dict[str, Any], row: Row) -> None:
    responses = operation.setdefault("responses", {})
    if "422" in responses and shape_of(path) is sentence_shape:
        responses["400"] = _response(path, "Not understood")
        del responses["422"]
    elif "422" in responses and shape_of(path) is detailed_shape:
        responses["422"] = _response(path, "Not understood")
    for status in _statuses(row):
        responses.setdefault(status, _response(path, _REFUSALS[status]))
    if row.need is Need.PUBLIC:
        return
    # An empty requirement: on loopback nothing has to be shown.
    is_open = row.need in {Need.OPEN_ON_LOOPBACK, Need.ESTOP}
    operation["security"] = [{}, *_ACCOUNT] if is_open else _ACCOUNT
    if row.scope:
        operation["x-scope"] = row.scope


def _statuses(row: Row) -> list[str]:
    found = ["403"] if row.need is Need.PUBLIC else ["401", "403"]
    if row.method not in {"GET", "HEAD"}:
        found.append("413")
    return found if row.need is Need.ESTOP else [*found, "429"]
