"""Two OpenAPI documents reduced to what a client can tell apart: no titles, no prose, references followed."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

Document = Mapping[str, Any]
METHODS = ("get", "put", "post", "patch", "delete")
_PROSE = frozenset({"title", "description", "summary", "examples", "example", "discriminator"})


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Every operation with the parameters of its path."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                shared = item.get("parameters", [])
                yield method, path, {**item[method], "parameters": [*shared, *item[method].get("parameters", [])]}


def built(document: Document) -> dict[tuple[str, str], Document]:
    """Operations that are served now."""
    return {(method, path): found for method, path, found in operations(document) if "x-since" not in found}


def shape_of(operation: Document, document: Document) -> dict[str, Any]:
    """What a client can tell of an operation."""
    return {
        "operation_id": operation["operationId"],
        "tags": operation["tags"],
        "scope": operation["x-scope"],
        "open": operation.get("security") == [],
        "parameters": _parameters(operation, document),
        "body": _body(operation, document),
        "responses": {str(status): _contents(answer, document) for status, answer in operation["responses"].items()},
    }


def _parameters(operation: Document, document: Document) -> dict[str, Any]:
    found = [_resolved(parameter, document) for parameter in operation["parameters"]]
    return {
        f"{parameter['in']}:{parameter['name'].lower()}": (
            parameter.get("required", False),
            schema(parameter["schema"], document),
        )
        for parameter in found
    }


def _body(operation: Document, document: Document) -> Any:
    body = operation.get("requestBody")
    return None if body is None else (body.get("required", False), _contents(body, document))


def _contents(part: Document, document: Document) -> dict[str, Any]:
    content = _resolved(part, document).get("content", {})
    return {media: schema(found["schema"], document) for media, found in content.items() if "x-since" not in found}


def schema(node: Any, document: Document) -> Any:
    """A schema in one spelling: nullable types as alternatives, alternatives flat and in order."""
    node = dict(_resolved(node, document))
    kinds = node.get("type")
    if isinstance(kinds, list):
        rest = {key: value for key, value in node.items() if key not in {"type", "default", "enum", *_PROSE}}
        enum = [value for value in node.get("enum", []) if value is not None]
        options = [
            {"type": kind, **({} if kind == "null" else rest | ({"enum": enum} if enum else {}))} for kind in kinds
        ]
        node = {"anyOf": options, **({"default": node["default"]} if "default" in node else {})}
    for name in ("anyOf", "oneOf"):
        if name in node:
            return _alternatives(node, node[name], document)
    return _plain(node, document)


def _alternatives(node: Document, options: list[Any], document: Document) -> dict[str, Any]:
    flat: list[Any] = []
    for option in options:
        found = schema(option, document)
        flat += found.get("alternatives", [found])
    result: dict[str, Any] = {"alternatives": sorted(flat, key=lambda option: json.dumps(option, sort_keys=True))}
    if node.get("default") is not None:
        result["default"] = node["default"]
    return result


def _plain(node: Document, document: Document) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in node.items():
        if key in _PROSE or key.startswith("x-") or (key == "default" and value is None):
            continue
        result[key] = _keyword(key, value, document)
    if "const" in result:
        result["enum"] = [result.pop("const")]
    if result.get("additionalProperties") is True and "properties" not in result:
        del result["additionalProperties"]
    return result


def _keyword(key: str, value: Any, document: Document) -> Any:
    match key:
        case "properties":
            return {name: schema(part, document) for name, part in value.items() if "x-since" not in part}
        case "items":
            return schema(value, document)
        case "additionalProperties" if isinstance(value, dict):
            return schema(value, document)
        case "required" | "enum":
            return sorted(value)
        case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "default" if _is_number(value):
            return float(value)
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _resolved(node: Document, document: Document) -> Document:
    while "$ref" in node:
        target: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node
