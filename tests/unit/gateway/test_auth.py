"""Who calls, and may they."""

import pytest

from services.gateway.app import served_contract
from services.gateway.auth import ALL_SCOPES, ROUTE_SCOPES, Keys, Scope, scope_of
from services.gateway.routes import (
    book,
    execution,
    market_data,
    models,
    open_inference,
    orders,
    portfolio,
    rebalances,
    registry,
    reports,
    risk,
    service,
    stream,
    training,
)
from trading.errors import PermissionDenied, Unauthenticated

KEY = "nt_reader_0123456789abcdef"
ROUTERS = (
    service,
    market_data,
    models,
    registry,
    orders,
    execution,
    reports,
    portfolio,
    book,
    risk,
    rebalances,
    stream,
    training,
    open_inference,
)


def keys() -> Keys:
    """A reader and an admin."""
    found = Keys(b"pepper")
    found.add(KEY, frozenset({Scope.READ}), frozenset({"main"}))
    found.add("an admin key of any form", ALL_SCOPES)
    return found


def test_a_key_is_its_principal() -> None:
    reader = keys().identify(KEY)
    assert (reader.id, reader.scopes, reader.accounts) == ("reader", {Scope.READ}, {"main"})
    assert keys().of_header(f"bearer  {KEY} ").id == "reader"


def test_a_key_of_any_form_is_the_admins() -> None:
    assert keys().identify("an admin key of any form").id == "admin"


@pytest.mark.parametrize("key", ["", KEY[:-1], KEY + "0", "nt_other_0123456789abcdef", "x" * 10_000, "é", "\udcff"])
def test_anything_else_is_nobody(key: str) -> None:
    with pytest.raises(Unauthenticated):
        keys().identify(key)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", f"Token {KEY}", KEY])
def test_a_header_that_shows_no_key_is_refused(header: str | None) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        keys().of_header(header)
    assert refusal.value.reason == "KEY_MISSING"


def test_keys_are_kept_only_as_digests() -> None:
    held = keys()
    assert KEY not in repr(held)
    assert all(KEY.encode() not in record.digest for record in held._records.values())


def test_a_scope_that_is_missing_is_refused_by_name() -> None:
    reader = keys().identify(KEY)
    reader.require(Scope.OPEN)
    reader.require(Scope.READ)
    with pytest.raises(PermissionDenied) as refusal:
        reader.require(Scope.TRADE)
    assert refusal.value.metadata == {"scope": "trade"}


def test_every_route_is_in_the_table_and_the_table_names_no_other() -> None:
    """A route that nobody has given a scope is served to nobody."""
    routes = {
        (method, route.path_format)
        for module in ROUTERS
        for route in module.routes.routes
        for method in getattr(route, "methods", {"WEBSOCKET"})
    }
    assert routes == set(ROUTE_SCOPES)


def test_whatever_changes_something_wants_more_than_read() -> None:
    computing = {
        "/v1/config/validate",
        "/v1/market-data/query",
        "/v1/models/{name}/predict",
        "/v1/portfolio/optimize",
        "/v1/portfolio/frontier",
        "/v1/portfolio/risk",
        "/v1/portfolio/risk/simulate",
        "/v1/portfolio/risk/stress",
        "/v2/models/{name}/infer",
        "/v2/models/{name}/versions/{version}/infer",
        "/v2/repository/index",
    }
    changing = {key for key in ROUTE_SCOPES if key[0] in {"POST", "PUT", "PATCH", "DELETE"} and key[1] not in computing}
    assert {ROUTE_SCOPES[key] for key in changing} == {Scope.TRADE, Scope.ADMIN}


def test_an_unknown_route_has_no_scope() -> None:
    assert scope_of("DELETE", "/v1/everything") is None


def test_the_contract_shows_which_scope_an_operation_wants() -> None:
    paths = served_contract("1")["paths"]
    assert paths["/v1/orders"]["post"]["x-scope"] == "trade"
    assert paths["/v1/version"]["get"]["security"] == []
    assert "security" not in paths["/v1/orders"]["post"]
