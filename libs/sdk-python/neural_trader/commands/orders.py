"""`ntrader order | orders | cancel | modify | events`."""

import argparse
import sys
import uuid
from datetime import UTC, datetime
from typing import Any

from neural_trader.commands.command import DONE, REFUSED, add, order_path, say
from neural_trader.rest import Problem, Rest
from neural_trader.tables import facts, micros, moment, table

TYPES = ("MARKET", "LIMIT", "STOP", "STOP_LIMIT", "TRAILING_STOP")
TIMES_IN_FORCE = ("DAY", "GTC", "IOC", "FOK", "GTD")
_REFUSED = frozenset({"DENIED", "REJECTED"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def add_orders(commands: Any) -> None:
    """Add the five commands."""
    _add_order(commands)
    listing = add(
        commands,
        "orders",
        _list,
        "list orders, newest first",
        "orders --status ACCEPTED,PARTIALLY_FILLED --symbol AAPL",
    )
    listing.add_argument("--status", metavar="A,B", help="states, such as ACCEPTED,PARTIALLY_FILLED (default: all)")
    listing.add_argument("--symbol", help="any spelling (default: all)")
    listing.add_argument("--account", help="account (default: all)")
    listing.add_argument("--limit", type=int, default=50, metavar="N", help="most orders to list (default 50)")
    listing.add_argument("--cursor", help="go on behind the page before")
    cancel = add(
        commands,
        "cancel",
        _cancel,
        "ask the venue to cancel an order, or all of them",
        "cancel --all --symbol BTC-USDT",
    )
    which = cancel.add_mutually_exclusive_group(required=True)
    which.add_argument("order_id", nargs="?", metavar="ORDER_ID", help="our order id")
    which.add_argument("--all", action="store_true", help="every working order")
    cancel.add_argument("--symbol", help="with --all: only this symbol")
    cancel.add_argument("--account", help="with --all: only this account")
    modify = add(
        commands, "modify", _modify, "change quantity or prices of a working order", "modify ORDER_ID --price 189.60"
    )
    modify.add_argument("order_id", metavar="ORDER_ID", help="our order id")
    modify.add_argument("--quantity", help="the whole quantity, fills included")
    modify.add_argument("--price", help="limit price")
    modify.add_argument("--stop", dest="stop_price", help="trigger")
    events = add(commands, "events", _events, "tell the life of an order, oldest event first", "events ORDER_ID --json")
    events.add_argument("order_id", metavar="ORDER_ID", help="our order id")


def _add_order(commands: Any) -> None:
    order = add(
        commands,
        "order",
        _submit,
        "submit an order; exit code 1 when it is denied or rejected",
        "order buy AAPL 10 --price 189.50 --tif gtc --client-order-id mine-1",
    )
    order.add_argument("side", choices=("buy", "sell"))
    order.add_argument("symbol", metavar="SYMBOL", help="any spelling")
    order.add_argument("quantity", metavar="QTY", help="exact decimal")
    order.add_argument("--type", type=_word, choices=TYPES, help="default: what the prices given make of it")
    order.add_argument("--price", help="limit price")
    order.add_argument("--stop", dest="stop_price", help="trigger of a STOP or STOP_LIMIT")
    order.add_argument("--trail", metavar="PRICE|PERCENT%", help="distance of a TRAILING_STOP, such as 0.50 or 1.5%%")
    order.add_argument("--tif", type=_word, choices=TIMES_IN_FORCE, help="time in force (default DAY)")
    order.add_argument(
        "--expires", type=_moment_ns, metavar="TIME", help="end of a GTD order, ISO 8601; UTC by default"
    )
    order.add_argument("--take-profit", metavar="PRICE", help="close the position with a profit at this limit price")
    order.add_argument("--stop-loss", metavar="PRICE", help="close the position with a loss at this stop price")
    order.add_argument("--reduce-only", action="store_true", help="only ever shrink a position")
    order.add_argument("--post-only", action="store_true", help="only ever rest in the book (LIMIT)")
    order.add_argument("--account", help="account (default main)")
    order.add_argument("--client-order-id", metavar="ID", help="idempotency key (default: a fresh one)")
    order.add_argument("--wait", choices=("none", "accepted", "terminal"), help="what to wait for")
    order.add_argument("--wait-ms", type=int, metavar="MS", help="longest wait (default 2000)")


def _word(text: str) -> str:
    return text.upper().replace("-", "_")


def _moment_ns(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no ISO 8601 time") from error
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    return str(((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000)


def _submit(arguments: argparse.Namespace, rest: Rest) -> int:
    body = order_body(arguments)
    query = {"wait": arguments.wait, "wait_ms": arguments.wait_ms}
    try:
        result = rest.call("POST", "/v1/orders", query=query, body=body)
    except Problem as problem:
        if problem.status in {0, 503, 504}:
            print(f"ntrader: the order may exist; its client order id is {body['client_order_id']}", file=sys.stderr)
        raise
    say(arguments, result, _result_text(result))
    return REFUSED if result["status"] in _REFUSED else DONE


def order_body(arguments: argparse.Namespace) -> dict[str, Any]:
    """The order that the options describe; the type follows from the prices when none is named."""
    trail = arguments.trail or ""
    by_percent = trail.endswith("%")
    return {
        "symbol": arguments.symbol,
        "side": arguments.side.upper(),
        "quantity": arguments.quantity,
        "order_type": arguments.type or _type_of(arguments),
        "price": arguments.price,
        "stop_price": arguments.stop_price,
        "trail_percent": trail.removesuffix("%") if by_percent else None,
        "trail_price": trail if trail and not by_percent else None,
        "time_in_force": arguments.tif or ("GTD" if arguments.expires else None),
        "expire_time_ns": arguments.expires,
        "take_profit": arguments.take_profit,
        "stop_loss": arguments.stop_loss,
        "reduce_only": arguments.reduce_only or None,
        "post_only": arguments.post_only or None,
        "account": arguments.account,
        "client_order_id": arguments.client_order_id or f"cli-{uuid.uuid4().hex}",
    }


def _type_of(arguments: argparse.Namespace) -> str:
    if arguments.trail:
        return "TRAILING_STOP"
    if arguments.stop_price:
        return "STOP_LIMIT" if arguments.price else "STOP"
    return "LIMIT" if arguments.price else "MARKET"


def _result_text(result: dict[str, Any]) -> str:
    told = {
        "order": result["order_id"],
        "status": result["status"],
        "filled": result["filled_quantity"],
        "average price": result["avg_price"],
        "latency": micros(result["total_latency_ns"]),
        "client order id": result["client_order_id"],
    }
    denial = result["denial"]
    if denial:
        numbers = ", ".join(f"{name} {value}" for name, value in denial["limits"].items())
        told |= {"denial": f"{denial['code']}: {denial['message']}", "numbers": numbers}
    return facts(told)


def _list(arguments: argparse.Namespace, rest: Rest) -> int:
    names = ("status", "symbol", "account", "limit", "cursor")
    page = rest.call("GET", "/v1/orders", query={name: getattr(arguments, name) for name in names})
    columns = ("order", "created", "symbol", "side", "type", "quantity", "price", "tif", "status", "filled", "average")
    say(arguments, page, table(columns, map(_row, page["orders"])))
    if page["next_cursor"] and not arguments.as_json:
        print(f"ntrader: there are more; go on with --cursor {page['next_cursor']}", file=sys.stderr)
    return DONE


def _row(order: dict[str, Any]) -> tuple[object, ...]:
    return (
        order["order_id"],
        moment(order["created_time_ns"]),
        order["symbol"],
        order["side"],
        order["order_type"],
        order["quantity"],
        order["price"] or order["stop_price"] or order["trail_price"] or _percent(order["trail_percent"]),
        order["time_in_force"],
        order["status"],
        order["filled_quantity"],
        order["avg_price"],
    )


def _percent(value: str | None) -> str | None:
    return f"{value}%" if value else None


def _cancel(arguments: argparse.Namespace, rest: Rest) -> int:
    if arguments.all:
        query = {"symbol": arguments.symbol, "account": arguments.account}
        answer = rest.call("DELETE", "/v1/orders", query=query)
        say(arguments, answer, f"{answer['cancels_requested']} cancels asked for")
        return DONE
    return _tell_order(arguments, rest.call("DELETE", order_path(arguments.order_id)))


def _modify(arguments: argparse.Namespace, rest: Rest) -> int:
    change = {name: getattr(arguments, name) for name in ("quantity", "price", "stop_price")}
    return _tell_order(arguments, rest.call("PATCH", order_path(arguments.order_id), body=change))


def _tell_order(arguments: argparse.Namespace, order: dict[str, Any]) -> int:
    names = ("order_id", "symbol", "side", "order_type", "quantity", "price", "stop_price", "status", "filled_quantity")
    say(arguments, order, facts({name.replace("_", " "): order[name] for name in names}))
    return DONE


def _events(arguments: argparse.Namespace, rest: Rest) -> int:
    life = rest.call("GET", f"{order_path(arguments.order_id)}/events")
    columns = ("version", "time", "event", "status", "filled", "trade", "reason")
    say(arguments, life, table(columns, map(_event_row, life["events"])))
    return DONE


def _event_row(event: dict[str, Any]) -> tuple[object, ...]:
    fill, order = event["fill"], event["order"]
    return (
        event["version"],
        moment(event["event_time_ns"]),
        event["kind"],
        order["status"],
        order["filled_quantity"],
        f"{fill['quantity']} at {fill['price']}" if fill else None,
        event["reason"],
    )
