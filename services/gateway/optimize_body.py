"""Optimisation problems from JSON or Arrow to the fleet's message; pure, so that any process can do it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from pydantic import ValidationError

from neuraltrader.portfolio.v1 import portfolio_service_pb2 as rpc
from services.gateway import arrow_matrix
from services.gateway.schemas.portfolio import MOST_SYMBOLS, FrontierRequest, Given, OptimizeRequest
from trading.errors import InvalidArgument

_AS_COLUMNS = ("symbols", "covariance", "returns")
"""Fields of the JSON body that an Arrow stream carries as its columns."""


class Malformed(Exception):
    """A body that cannot be parsed; the message says why."""


class Invalid(Exception):
    """A body that breaks its schema."""

    def __init__(self, details: Sequence[Any]) -> None:
        super().__init__(details)
        self.details = details
        """What is wrong and where, as pydantic lists it, each location after "body"."""


class Asked(NamedTuple):
    """What a body asks for: a problem in its wire form, which crosses processes as it is, and a frontier's points."""

    wire: bytes
    points: int = 0

    def message(self) -> rpc.OptimizeRequest:
        """The problem as the fleet's message."""
        return rpc.OptimizeRequest.FromString(self.wire)


def shapes() -> dict[str, Any]:
    """The JSON schemas of the bodies, by name."""
    found: dict[str, Any] = {}
    for kind in (OptimizeRequest, FrontierRequest):
        schema = kind.model_json_schema(ref_template="#/components/schemas/{model}")
        found |= schema.pop("$defs", {}) | {kind.__name__: schema}
    return found


def read_json(kind: type[OptimizeRequest], body: bytes) -> Asked:
    """Read a JSON body; raises Malformed, Invalid, InvalidArgument."""
    if not body:
        raise Malformed("Expected a JSON body, was an empty one.")
    return _asked(_validated(kind, _parsed(body)))


def read_arrow(kind: type[OptimizeRequest], body: bytes) -> Asked:
    """Read an Arrow stream of one matrix; raises Malformed, Invalid, InvalidArgument."""
    try:
        table = arrow_matrix.read(body, MOST_SYMBOLS)
    except arrow_matrix.NoArrow as error:
        raise Malformed(str(error)) from error
    request = _validated(kind, _beside(table.request) | {"symbols": list(table.symbols)})
    return _asked(request, Given(table.name, table.rows, table.f64le))


def _beside(text: bytes) -> dict[str, Any]:
    """What a stream says beside its matrix."""
    try:
        fields = _parsed(text)
    except Malformed as error:
        raise InvalidArgument(f"The schema's metadata `request`: {error}", field=arrow_matrix.REQUEST) from error
    if not isinstance(fields, dict):
        raise InvalidArgument("Expected the schema's metadata `request` to be an object.", field=arrow_matrix.REQUEST)
    for name in _AS_COLUMNS:
        if name in fields:
            raise InvalidArgument(f"Expected {name} as columns only, was in `request` too.", field=name)
    return fields


def _parsed(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except RecursionError as error:
        raise Malformed("The body is nested too deeply.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"The body is no JSON: {error}") from error


def _validated(kind: type[OptimizeRequest], document: Any) -> OptimizeRequest:
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        raise Invalid([detail | {"loc": ("body", *detail["loc"])} for detail in details]) from error


def _asked(request: OptimizeRequest, beside: Given | None = None) -> Asked:
    points = request.points if isinstance(request, FrontierRequest) else 0
    return Asked(request.message(beside).SerializeToString(deterministic=True), points)
