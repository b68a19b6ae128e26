"""What the options of a command become, and how documents are told to a reader."""

import json
from typing import Any

import httpx
import pytest
from neural_trader.cli import _parser
from neural_trader.commands.orders import order_body
from neural_trader.place import Place
from neural_trader.rest import Problem, Rest
from neural_trader.tables import facts, micros, moment, table


def parsed(*arguments: str) -> Any:
    """The options of a command."""
    return _parser()[0].parse_args(arguments)


def body(*options: str) -> dict[str, Any]:
    """What is submitted for ten AAPL with these options, without what is not said."""
    found = order_body(parsed("order", "buy", "AAPL", "10", *options))
    assert found.pop("client_order_id")
    assert (found.pop("symbol"), found.pop("side"), found.pop("quantity")) == ("AAPL", "BUY", "10")
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ([], {"order_type": "MARKET"}),
        (["--price", "1.5"], {"order_type": "LIMIT", "price": "1.5"}),
        (["--stop", "2"], {"order_type": "STOP", "stop_price": "2"}),
        (["--stop", "2", "--price", "1"], {"order_type": "STOP_LIMIT", "stop_price": "2", "price": "1"}),
        (["--trail", "0.50"], {"order_type": "TRAILING_STOP", "trail_price": "0.50"}),
        (["--trail", "1.5%"], {"order_type": "TRAILING_STOP", "trail_percent": "1.5"}),
        (["--type", "stop-limit"], {"order_type": "STOP_LIMIT"}),
        (["--tif", "ioc"], {"order_type": "MARKET", "time_in_force": "IOC"}),
        (
            ["--price", "1", "--expires", "1970-01-02T00:00:00.5"],
            {"order_type": "LIMIT", "price": "1", "time_in_force": "GTD", "expire_time_ns": "86400500000000"},
        ),
        (
            ["--expires", "1970-01-02T02:00+02:00", "--tif", "GTD"],
            {"order_type": "MARKET", "time_in_force": "GTD", "expire_time_ns": "86400000000000"},
        ),
        (
            ["--take-profit", "3", "--stop-loss", "1", "--account", "other"],
            {"order_type": "MARKET", "take_profit": "3", "stop_loss": "1", "account": "other"},
        ),
        (
            ["--price", "1", "--reduce-only", "--post-only"],
            {"order_type": "LIMIT", "price": "1", "reduce_only": True, "post_only": True},
        ),
    ],
)
def test_the_options_say_which_order_it_is(options: list[str], asked: dict[str, Any]) -> None:
    assert body(*options) == asked


def test_every_order_without_an_id_gets_a_fresh_one() -> None:
    first, second = (order_body(parsed("order", "sell", "X", "1"))["client_order_id"] for _ in range(2))
    assert first != second
    assert order_body(parsed("order", "sell", "X", "1", "--client-order-id", "mine"))["client_order_id"] == "mine"


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("max_position=none", "max_position", None),
        ("max_position=2.123456789", "max_position", "2.123456789"),
        ("max_open_orders=5", "max_open_orders", 5),
        ("price_collar=0.05", "price_collar", 0.05),
        ("refuse_self_trades=yes", "refuse_self_trades", True),
        ("refuse_self_trades=false", "refuse_self_trades", False),
        ("duplicate_window_ns=500ms", "duplicate_window_ns", "500000000"),
        ("max_quote_age_ns=2s", "max_quote_age_ns", "2000000000"),
        ("max_quote_age_ns=7", "max_quote_age_ns", 7),
    ],
)
def test_a_limit_is_read_as_the_contract_has_it(text: str, name: str, value: Any) -> None:
    assert parsed("limits", "set", text).changes == [(name, value)]


def test_columns_line_up_and_nothing_is_a_dash() -> None:
    assert table(("a", "name"), [(1, None), ("long", True)]) == "A     NAME\n1     -\nlong  yes"
    assert facts({"a": "", "name": {"x": 1}}) == 'a     -\nname  {"x": 1}'


def test_times_and_durations_are_for_readers() -> None:
    assert moment("1760000000123456789") == "2025-10-09 08:53:20.123"
    assert moment(None) == "-"
    assert micros("1234567") == "1,235 µs"


def answering(answer: httpx.Response) -> Rest:
    """A connection to a server that always answers the same."""
    return Rest(Place("https://trader.example", "k"), transport=httpx.MockTransport(lambda request: answer))


def test_a_problem_document_is_named_by_its_detail_and_code() -> None:
    document = {"detail": "No instrument is called 'X'.", "code": "UNKNOWN_SYMBOL", "symbol": "X"}
    with answering(httpx.Response(404, json=document)) as rest, pytest.raises(Problem) as problem:
        rest.call("GET", "/v1/orders")
    assert str(problem.value) == "No instrument is called 'X'. (UNKNOWN_SYMBOL)"
    assert (problem.value.status, problem.value.facts["symbol"]) == (404, "X")


@pytest.mark.parametrize("answer", [httpx.Response(502, text="<html>"), httpx.Response(502, json=5)])
def test_a_foreign_refusal_is_named_by_its_status(answer: httpx.Response) -> None:
    with answering(answer) as rest, pytest.raises(Problem, match="answered 502"):
        rest.call("GET", "/v1/orders")


def test_what_is_none_is_not_sent() -> None:
    seen: list[httpx.Request] = []

    def hear(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={})

    with Rest(Place("https://trader.example", "k"), transport=httpx.MockTransport(hear)) as rest:
        rest.call("POST", "/v1/orders", query={"wait": None, "wait_ms": 5}, body={"price": None, "symbol": "X"})
    (request,) = seen
    assert (str(request.url), json.loads(request.content)) == (
        "https://trader.example/v1/orders?wait_ms=5",
        {"symbol": "X"},
    )
    assert request.headers["authorization"] == "Bearer k"
