"""`ntrader account | positions | performance | transfer | import-positions`."""

import argparse
import csv
import hashlib
import io
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from neural_trader.commands.command import DONE, add, say
from neural_trader.rest import Problem, Rest
from neural_trader.tables import facts, moment, table

_COLUMNS, _OPTIONAL = ("symbol", "quantity", "avg_price"), "currency"
_PERCENT = ("total_return", "max_drawdown", "volatility")


def add_book(commands: Any) -> None:
    """Add the five commands."""
    account = add(
        commands, "account", _account, "tell what an account is worth, in all its currencies", "account --account main"
    )
    positions = add(commands, "positions", _positions, "tell what an account holds", "positions --all")
    positions.add_argument("--all", action="store_true", help="flat positions too, with what they realised")
    performance = add(
        commands,
        "performance",
        _performance,
        "tell how an account has done, without what was paid in",
        "performance --start 2026-01-01 --out curve.csv",
    )
    performance.add_argument("--start", metavar="TIME", help="ISO 8601 or nanoseconds (default: the beginning)")
    performance.add_argument("--end", metavar="TIME", help="ISO 8601 or nanoseconds (default: now)")
    performance.add_argument("--points", type=int, default=20, metavar="N", help="points of the curve (default 20)")
    performance.add_argument("--out", type=Path, metavar="FILE.csv", help="write the curve as CSV")
    transfer = add(
        commands,
        "transfer",
        _transfer,
        "book cash that was paid in, or out when negative, once",
        "transfer 25000 --currency USD --id deposit-7",
    )
    transfer.add_argument("amount", metavar="AMOUNT", help="exact decimal")
    transfer.add_argument("--currency", default="USD", help="currency (default USD)")
    transfer.add_argument("--id", metavar="ID", help="the same id is booked once (default: a fresh one, which is told)")
    transfer.add_argument("--note", default="", help="why")
    bring = add(
        commands,
        "import-positions",
        _import,
        "book positions that were acquired elsewhere, once",
        "import-positions held.csv --id from-the-old-broker",
    )
    bring.add_argument("file", type=Path, metavar="FILE.csv", help="columns symbol,quantity,avg_price[,currency]")
    bring.add_argument("--id", metavar="ID", help="the same id is booked once (default: made of the file's content)")
    bring.add_argument("--charge-cash", action="store_true", help="take what they cost from the account's cash")
    for command in (account, positions, performance, transfer, bring):
        command.add_argument("--account", default="main", help="account (default main)")


def _account(arguments: argparse.Namespace, rest: Rest) -> int:
    account = rest.call("GET", "/v1/account", query={"account": arguments.account})
    told = {name.replace("_", " "): value for name, value in account.items() if name != "balances"}
    told["unpriced currencies"] = ", ".join(account["unpriced_currencies"])
    balances = table(("currency", "cash"), account["balances"].items())
    say(arguments, account, f"{facts(told)}\n\n{balances}")
    return DONE


def _positions(arguments: argparse.Namespace, rest: Rest) -> int:
    query = {"account": arguments.account, "include_flat": "true" if arguments.all else None}
    answer = rest.call("GET", "/v1/positions", query=query)
    say(arguments, answer, _positions_text(answer["positions"]))
    return DONE


def _positions_text(positions: list[dict[str, Any]]) -> str:
    names = ("symbol", "quantity", "avg_price", "market_value", "unrealized_pnl", "realized_pnl", "currency")
    columns = ("symbol", "held", "average", "value", "unrealised", "realised", "currency")
    return table(columns, ([position[name] for name in names] for position in positions))


def _performance(arguments: argparse.Namespace, rest: Rest) -> int:
    query = {name: getattr(arguments, name) for name in ("account", "start", "end", "points")}
    if arguments.out:
        query["points"] = 10_000
    found = rest.call("GET", "/v1/portfolio/performance", query=query)
    if arguments.out:
        _write(arguments.out, found["curve"])
    say(arguments, found, _performance_text(found))
    return DONE


def _performance_text(found: dict[str, Any]) -> str:
    told = {
        name.replace("_", " "): f"{value:.4%}" if name in _PERCENT and value is not None else value
        for name, value in found.items()
        if name not in {"curve", "days"}
    }
    days = ((moment(day["timestamp_ns"])[:10], day["pnl"], f"{day['daily_return']:.4%}") for day in found["days"][-10:])
    curve = ((moment(point["timestamp_ns"]), point["equity"], point["paid_in"]) for point in found["curve"])
    return "\n\n".join(
        (facts(told), table(("day", "earned", "return"), days), table(("time", "equity", "paid in"), curve))
    )


def _write(path: Path, curve: list[dict[str, Any]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ("timestamp_ns", "equity", "paid_in"))
    writer.writeheader()
    writer.writerows(curve)
    try:
        path.write_text(text.getvalue())
    except OSError as error:
        raise Problem(f"{path} cannot be written: {error.strerror}") from error
    print(f"ntrader: wrote {path}", file=sys.stderr)


def _transfer(arguments: argparse.Namespace, rest: Rest) -> int:
    transfer_id = arguments.id or f"cli-{uuid.uuid4().hex}"
    body = {
        "transfer_id": transfer_id,
        "amount": arguments.amount,
        "currency": arguments.currency,
        "note": arguments.note,
    }
    try:
        booked = rest.call("POST", _path(arguments, "transfers"), body=body)
    except Problem as problem:
        if problem.status in {0, 503, 504}:
            print(f"ntrader: it may have been booked; to try again safely add --id {transfer_id}", file=sys.stderr)
        raise
    say(arguments, booked, facts({name.replace("_", " "): value for name, value in booked.items()}))
    return DONE


def _import(arguments: argparse.Namespace, rest: Rest) -> int:
    try:
        content = arguments.file.read_bytes()
        rows = list(_rows(content.decode("utf-8-sig")))
    except OSError as error:
        raise Problem(f"{arguments.file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Problem(f"{arguments.file} is no text in UTF-8.") from error
    import_id = arguments.id or f"csv-{hashlib.sha256(content).hexdigest()[:32]}"
    body = {"import_id": import_id, "positions": rows, "charge_cash": arguments.charge_cash}
    booked = rest.call("POST", _path(arguments, "positions"), body=body)
    word = "had been booked before" if booked["repeated"] else f"booked {len(rows)} positions"
    say(arguments, booked, f"{import_id}: {word}\n\n{_positions_text(booked['positions'])}")
    return DONE


def _rows(text: str) -> Iterator[dict[str, str | None]]:
    """The positions of a CSV file with a heading."""
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    found = tuple(name.strip().lower() for name in reader.fieldnames or ())
    missing = [name for name in _COLUMNS if name not in found]
    unknown = [name for name in found if name not in {*_COLUMNS, _OPTIONAL}]
    if missing or unknown:
        raise Problem(f"Expected the columns symbol,quantity,avg_price[,currency], was {','.join(found) or 'nothing'}.")
    reader.fieldnames = found
    for row in reader:
        values = {name: (row.get(name) or "").strip() for name in found}
        if None in row or not all(values[name] for name in _COLUMNS):
            raise Problem(f"Expected symbol, quantity and average price in line {reader.line_num}.")
        yield {name: value or None for name, value in values.items()}


def _path(arguments: argparse.Namespace, what: str) -> str:
    return f"/v1/accounts/{quote(arguments.account, safe='')}/{what}"
