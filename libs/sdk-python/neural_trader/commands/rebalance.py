"""`ntrader rebalance`: proposals, their execution, and the schedules that do it by themselves."""

import argparse
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from neural_trader.commands.command import DONE, REFUSED, add, say
from neural_trader.commands.values import named_number
from neural_trader.rest import Problem, Rest
from neural_trader.tables import facts, moment, table

_PATH, _SCHEDULES = "/v1/portfolio/rebalances", "/v1/portfolio/schedules"
_WAIT_S, _LOOK_S = 120.0, 0.2
_ORDER = ("symbol", "side", "quantity", "filled_quantity", "status", "weight_before", "weight_target", "problem")


def add_rebalance(commands: Any) -> None:
    """Add the command."""
    summary = "propose, execute, watch and schedule orders that move a book to its target weights"
    parser = add(commands, "rebalance", _run, summary, "rebalance propose AAPL=0.6 MSFT=0.4 --drift-band 0.02")
    parser.add_argument("action", choices=tuple(_ACTIONS), help="propose and schedule take SYMBOL=WEIGHT, others an ID")
    parser.add_argument("words", nargs="*", metavar="SYMBOL=WEIGHT|ID", help="targets of a proposal, or its id")
    parser.add_argument("--account", help="account (default main; of list: all)")
    parser.add_argument("--drift-band", type=float, metavar="W", help="drift up to which a position is left alone")
    parser.add_argument("--min-trade-value", metavar="MONEY", help="value below which no order is made")
    parser.add_argument("--turnover-limit", type=float, metavar="W", help="largest sum of the changes of weights")
    parser.add_argument("--keep-others", action="store_true", help="leave what is held and has no target alone")
    parser.add_argument("--optimize", metavar="A,B,C", help="find the targets among these symbols")
    parser.add_argument("--objective", default="max_sharpe", help="of --optimize (default max_sharpe)")
    parser.add_argument("--window", type=int, default=252, metavar="DAYS", help="of --optimize (default 252)")
    parser.add_argument("--execute", action="store_true", help="propose and schedule: execute at once")
    parser.add_argument("--every", type=int, metavar="SECONDS", help="schedule: time between two runs")
    parser.add_argument("--wait", action="store_true", help="wait for the end; exit code 1 when it failed")
    parser.add_argument("--limit", type=int, metavar="N", help="list: most of them (default 50)")


def _run(arguments: argparse.Namespace, rest: Rest) -> int:
    return _ACTIONS[arguments.action](arguments, rest)


def _propose(arguments: argparse.Namespace, rest: Rest) -> int:
    made = rest.call("POST", _PATH, body={**_wish(arguments), "account": arguments.account})
    if not arguments.execute:
        return _tell(arguments, made)
    return _started(arguments, rest, made["id"])


def _execute(arguments: argparse.Namespace, rest: Rest) -> int:
    return _started(arguments, rest, _id_of(arguments))


def _started(arguments: argparse.Namespace, rest: Rest, rebalance_id: str) -> int:
    found = rest.call("POST", f"{_at(rebalance_id)}/execute")
    return _tell(arguments, _ended(rest, found) if arguments.wait else found)


def _ended(rest: Rest, found: dict[str, Any]) -> dict[str, Any]:
    ends_at = time.monotonic() + _WAIT_S
    while found["state"] == "executing" and time.monotonic() < ends_at:
        time.sleep(_LOOK_S)
        found = rest.call("GET", _at(found["id"]))
    return found


def _show(arguments: argparse.Namespace, rest: Rest) -> int:
    found = rest.call("GET", _at(_id_of(arguments)))
    return _tell(arguments, _ended(rest, found) if arguments.wait else found)


def _cancel(arguments: argparse.Namespace, rest: Rest) -> int:
    return _tell(arguments, rest.call("DELETE", _at(_id_of(arguments))))


def _list(arguments: argparse.Namespace, rest: Rest) -> int:
    page = rest.call("GET", _PATH, query={"account": arguments.account, "limit": arguments.limit})
    rows = (
        (one["id"], moment(one["created_time_ns"]), one["account"], one["state"], len(one["orders"]), one["error"])
        for one in page["rebalances"]
    )
    say(arguments, page, table(("id", "proposed", "account", "state", "orders", "error"), rows))
    return DONE


def _schedules(arguments: argparse.Namespace, rest: Rest) -> int:
    found = rest.call("GET", _SCHEDULES)
    columns = ("account", "every_seconds", "enabled", "execute", "last_rebalance_id", "last_error")
    rows = ((moment(one["last_run_ns"]), *(one[name] for name in columns)) for one in found["schedules"])
    say(arguments, found, table(("last run", *columns), rows))
    return DONE


def _schedule(arguments: argparse.Namespace, rest: Rest) -> int:
    if arguments.every is None:
        raise Problem("Expected --every SECONDS.")
    body = {**_wish(arguments), "every_seconds": arguments.every, "execute": arguments.execute, "enabled": True}
    kept = rest.call("PUT", _schedule_of(arguments), body=body)
    say(arguments, kept, facts({name: kept[name] for name in ("account", "every_seconds", "execute", "enabled")}))
    return DONE


def _unschedule(arguments: argparse.Namespace, rest: Rest) -> int:
    rest.delete(_schedule_of(arguments))
    say(arguments, {}, "removed")
    return DONE


def _wish(arguments: argparse.Namespace) -> dict[str, Any]:
    problem = None
    if arguments.optimize:
        symbols = [symbol for symbol in arguments.optimize.split(",") if symbol]
        problem = {"symbols": symbols, "objective": arguments.objective, "window_days": arguments.window}
    return {
        "targets": dict(map(_target, arguments.words)) or None,
        "optimize": problem,
        "drift_band": arguments.drift_band,
        "min_trade_value": arguments.min_trade_value,
        "turnover_limit": arguments.turnover_limit,
        "keep_others": arguments.keep_others,
    }


def _target(text: str) -> tuple[str, float]:
    try:
        return named_number(text)
    except argparse.ArgumentTypeError as error:
        raise Problem(f"{text!r} is no SYMBOL=WEIGHT.") from error


def _id_of(arguments: argparse.Namespace) -> str:
    if len(arguments.words) != 1:
        raise Problem(f"Expected the id of one rebalance to {arguments.action}.")
    rebalance_id: str = arguments.words[0]
    return rebalance_id


def _at(rebalance_id: str) -> str:
    return f"{_PATH}/{quote(rebalance_id, safe='')}"


def _schedule_of(arguments: argparse.Namespace) -> str:
    return f"{_SCHEDULES}/{quote(arguments.account or 'main', safe='')}"


def _tell(arguments: argparse.Namespace, rebalance: dict[str, Any]) -> int:
    about = facts({name: rebalance[name] for name in ("id", "account", "state", "equity", "turnover", "error")})
    orders = table(_ORDER, ([order[name] for name in _ORDER] for order in rebalance["orders"]))
    alone = table(("left alone", "reason"), rebalance["left_alone"].items()) if rebalance["left_alone"] else ""
    say(arguments, rebalance, "\n\n".join(part for part in (about, orders, alone) if part))
    return REFUSED if rebalance["state"] == "failed" else DONE


_ACTIONS: dict[str, Callable[[argparse.Namespace, Rest], int]] = {
    "propose": _propose,
    "execute": _execute,
    "show": _show,
    "cancel": _cancel,
    "list": _list,
    "schedule": _schedule,
    "unschedule": _unschedule,
    "schedules": _schedules,
}
