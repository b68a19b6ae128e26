"""`ntrader statement | compare | audit`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from neural_trader.commands.command import DONE, REFUSED, add, say
from neural_trader.rest import Problem, Rest
from neural_trader.tables import facts, moment, table, text

_STATEMENT = "/v1/execution/statement"
_TOLD_ELSEWHERE = frozenset({"account", "updated_time_ns"})
_COMPARISON = "/v1/execution/venue-comparison"


def add_reports(commands: Any) -> None:
    """Add the three commands."""
    statement = add(
        commands,
        "statement",
        _statement,
        "tell what an account traded on a UTC day, and what it held",
        "statement --day 2026-01-30 --out day.csv",
    )
    statement.add_argument("--day", metavar="YYYY-MM-DD", help="UTC day (default: today)")
    compare = add(
        commands,
        "compare",
        _compare,
        "compare orders, positions and cash with the venue; 1 when they differ",
        "compare --out venue.csv",
    )
    for report in (statement, compare):
        report.add_argument("--account", default="main", help="account (default main)")
        report.add_argument("--out", type=Path, metavar="FILE.csv", help="write the report as CSV")
    audit = add(
        commands,
        "audit",
        _audit,
        "tell who changed limits and switches, newest first",
        "audit --subject risk_limits --limit 10",
    )
    audit.add_argument("--account", help="account (default: all)")
    audit.add_argument("--subject", choices=("trading_state", "risk_limits", "signal_trading"), help="default: all")
    audit.add_argument("--limit", type=int, default=50, metavar="N", help="most entries to tell (default 50)")
    audit.add_argument("--cursor", help="go on behind the page before")


def _statement(arguments: argparse.Namespace, rest: Rest) -> int:
    query = {"account": arguments.account, "day": arguments.day}
    if arguments.out:
        return _write(arguments.out, rest.file(_STATEMENT, query=query))
    statement = rest.call("GET", _STATEMENT, query=query)
    say(arguments, statement, _statement_text(statement))
    return DONE


def _statement_text(statement: dict[str, Any]) -> str:
    names = ("account", "venue", "day", "opening_cash", "closing_cash", "realized_pnl", "fees", "currency")
    trades = (
        (moment(trade["event_time_ns"]), *(trade[name] for name in ("symbol", "side", "quantity", "price", "fee")))
        for trade in statement["trades"]
    )
    charges = (
        (moment(each["event_time_ns"]), *(each[name] for name in ("kind", "symbol", "quantity", "amount")))
        for each in statement["charges"]
    )
    positions = (tuple(held.values()) for held in statement["positions"])
    return "\n\n".join(
        (
            facts({name.replace("_", " "): statement[name] for name in names}),
            table(("time", "symbol", "side", "quantity", "price", "fee"), trades),
            table(("time", "kind", "symbol", "quantity", "amount"), charges),
            table(("symbol", "held", "average"), positions),
        )
    )


def _compare(arguments: argparse.Namespace, rest: Rest) -> int:
    query = {"account": arguments.account}
    if arguments.out:
        _write(arguments.out, rest.file(_COMPARISON, query=query))
    comparison = rest.call("GET", _COMPARISON, query=query)
    rows = (
        (each["subject"], each["name"], each["ours"], each["venue"], each["agrees"])
        for each in comparison["comparisons"]
    )
    say(arguments, comparison, table(("subject", "name", "ours", "venue", "agrees"), rows))
    return DONE if comparison["agrees"] else REFUSED


def _write(path: Path, content: bytes) -> int:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise Problem(f"{path} cannot be written: {error.strerror}") from error
    print(f"ntrader: wrote {path}", file=sys.stderr)
    return DONE


def _audit(arguments: argparse.Namespace, rest: Rest) -> int:
    names = ("account", "subject", "limit", "cursor")
    page = rest.call("GET", "/v1/execution/audit", query={name: getattr(arguments, name) for name in names})
    columns = ("id", "time", "account", "subject", "actor", "value", "reason")
    say(arguments, page, table(columns, map(_audit_row, page["entries"])))
    if page["next_cursor"] and not arguments.as_json:
        print(f"ntrader: there are more; go on with --cursor {page['next_cursor']}", file=sys.stderr)
    return DONE


def _audit_row(entry: dict[str, Any]) -> tuple[object, ...]:
    told = {name: value for name, value in entry["value"].items() if value is not None and name not in _TOLD_ELSEWHERE}
    value = ", ".join(f"{name} {text(part)}" for name, part in told.items())
    about = (entry[name] for name in ("account", "subject", "actor"))
    return entry["id"], moment(entry["timestamp_ns"]), *about, value, entry["reason"]
