"""Judges frames of the stream by the committed AsyncAPI document."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

GATEWAY = Path(__file__).parents[2] / "services" / "gateway"


def document(name: str) -> dict[str, Any]:
    """A committed contract of the gateway."""
    loaded: dict[str, Any] = yaml.safe_load((GATEWAY / name).read_text())
    return loaded


@cache
def _validator(schema: str) -> Draft202012Validator:
    names = ("asyncapi.yaml", "openapi.yaml")
    resources = [(name, Resource(document(name), DRAFT202012)) for name in names]
    registry: Registry[Any] = Registry().with_resources(resources)
    return Draft202012Validator({"$ref": f"asyncapi.yaml#/components/schemas/{schema}"}, registry=registry)


def complaints(frame: dict[str, Any]) -> list[str]:
    """What the contract finds wrong with a frame of the server."""
    schema = frame["op"].capitalize() if "op" in frame else "Frame"
    return [error.message for error in _validator(schema).iter_errors(frame)]


def command_complaints(command: dict[str, Any]) -> list[str]:
    """What the contract finds wrong with a command of a client."""
    return [error.message for error in _validator(command["op"].capitalize()).iter_errors(command)]
