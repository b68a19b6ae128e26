"""The committed REST contract is valid, and what is served is exactly its built part."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from contracts.contract_shapes import Document, built, operations, shape_of
from openapi_spec_validator import OpenAPIV31SpecValidator

from services.gateway.app import served_contract
from services.gateway.auth import ROUTE_SCOPES

CONTRACT_FILE = Path(__file__).parents[2] / "services" / "gateway" / "openapi.yaml"
CONTRACT: Document = yaml.safe_load(CONTRACT_FILE.read_text())
SERVED: Document = served_contract("0.1.0")
AREAS = {"inference", "portfolio", "replay", "gateway"}


def test_the_committed_contract_is_valid_openapi_31() -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(CONTRACT).iter_errors()] == []


def test_the_served_contract_is_valid_openapi_31() -> None:
    assert SERVED["openapi"].startswith("3.1")
    assert [error.message for error in OpenAPIV31SpecValidator(SERVED).iter_errors()] == []


def test_exactly_the_built_operations_are_served() -> None:
    assert set(built(SERVED)) == set(built(CONTRACT))


@pytest.mark.parametrize("key", sorted(built(CONTRACT)), ids=lambda key: " ".join(key))
def test_a_built_operation_is_served_as_the_contract_says(key: tuple[str, str]) -> None:
    """Parameters, bodies, answers, scopes: whatever a client can tell apart."""
    promised = shape_of(built(CONTRACT)[key], CONTRACT)
    served = shape_of(built(SERVED)[key], SERVED)
    assert served == promised


def test_every_scope_of_the_table_is_the_contracts() -> None:
    table = {(method.lower(), path): scope.value for (method, path), scope in ROUTE_SCOPES.items()}
    promised = {key: found["x-scope"] for key, found in built(CONTRACT).items()}
    assert {key: scope for key, scope in table.items() if key[0] != "websocket"} == promised


def test_whatever_is_not_built_names_its_area() -> None:
    later = [found["x-since"] for _, _, found in operations(CONTRACT) if "x-since" in found]
    assert set(later) <= AREAS
    assert _marks(CONTRACT["components"]) <= AREAS


def _marks(node: Any) -> set[str]:
    if isinstance(node, list):
        return set().union(*map(_marks, node)) if node else set()
    if not isinstance(node, dict):
        return set()
    own = {node["x-since"]} if "x-since" in node else set()
    return own | set(node.get("x-since-values", ())) | set().union(*map(_marks, node.values())) if node else own


def test_every_operation_has_an_id_of_its_own() -> None:
    ids = [found["operationId"] for _, _, found in operations(CONTRACT)]
    assert len(ids) == len(set(ids))


def test_every_error_is_a_problem_document() -> None:
    wrong = [
        (path, status)
        for _, path, found in operations(CONTRACT)
        for status, answer in found["responses"].items()
        if int(status) >= 400 and "$ref" not in answer
    ]
    assert wrong == []


def _without_a_scope(operation: Any) -> None:
    operation["x-scope"] = "open"


def _without_an_answer(operation: Any) -> None:
    del operation["responses"]["404"]


def _with_a_looser_field(operation: Any) -> None:
    del operation["parameters"][0]["schema"]["anyOf"]


def _with_another_body(operation: Any) -> None:
    operation["requestBody"]["content"]["application/json"]["schema"] = {"type": "object"}


@pytest.mark.parametrize(
    "spoil",
    [_without_a_scope, _without_an_answer, _with_a_looser_field, _with_another_body],
    ids=lambda one: one.__name__,
)
def test_the_comparison_sees_a_difference(spoil: Any) -> None:
    """A comparison that finds nothing must be able to find something."""
    key = ("post", "/v1/orders")
    promised = shape_of(built(SERVED)[key], SERVED)
    spoilt = deepcopy(dict(built(SERVED)[key]))
    spoil(spoilt)
    assert shape_of(spoilt, SERVED) != promised
