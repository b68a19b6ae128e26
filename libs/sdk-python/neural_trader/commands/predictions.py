"""`ntrader predict | drift`."""

import argparse
from pathlib import Path
from typing import Any
from urllib.parse import quote

from neural_trader.commands.command import DONE, add, say
from neural_trader.rest import Rest
from neural_trader.tables import facts, table

DEFAULT_MODEL = "momentum-v1"
LARGE_SHIFT = 0.25
_ARROW = "application/vnd.apache.arrow.stream"
_JSON = "application/json"
_ARROW_SUFFIXES = frozenset({".arrow", ".arrows", ".ipc"})


def add_predictions(commands: Any) -> None:
    """Add the two commands."""
    predict = add(
        commands,
        "predict",
        _predict,
        "ask a model about the newest quotes, or about the rows of a file",
        "predict AAPL --model momentum-v1",
    )
    predict.add_argument("symbols", nargs="*", metavar="SYMBOL", help="any spelling")
    predict.add_argument(
        "--file", type=Path, metavar="FILE", help="rows or columns as JSON, or an Arrow IPC stream (.arrow, .ipc)"
    )
    predict.add_argument("--version", help="version of the model (default: the one in use)")
    drift = add(
        commands,
        "drift",
        _drift,
        "tell how a model that follows the market does on what it sees now",
        "drift --model momentum-v1",
    )
    for command in (predict, drift):
        command.add_argument("--model", default=DEFAULT_MODEL, help=f"model (default {DEFAULT_MODEL})")


def _predict(arguments: argparse.Namespace, rest: Rest) -> int:
    if bool(arguments.symbols) == bool(arguments.file):
        raise SystemExit("ntrader predict: name symbols, or a file of rows.")
    path, query = f"/v1/models/{quote(arguments.model, safe='')}/predict", {"version": arguments.version}
    if arguments.file:
        media_type = _ARROW if arguments.file.suffix in _ARROW_SUFFIXES else _JSON
        answer = rest.send_file(path, [arguments.file.read_bytes()], query=query, media_type=media_type)
        names = [str(row) for row in range(len(answer["predictions"]))]
    else:
        rows = [_row(rest, symbol) for symbol in arguments.symbols]
        answer = rest.call("POST", path, query=query, body={"market_data": rows})
        names = [row["symbol"] for row in rows]
    say(arguments, answer, _predictions_text(names, answer))
    return DONE


def _row(rest: Rest, symbol: str) -> dict[str, Any]:
    """The newest quote of a symbol as a row: the price is the mid, and nothing has traded."""
    newest = rest.call("GET", f"/v1/market-data/quotes/{quote(symbol)}")
    bid, ask = newest["bid"], newest["ask"]
    if bid is None or ask is None:
        raise SystemExit(f"ntrader predict: {newest['symbol']} has no two-sided quote now.")
    return {
        "symbol": newest["symbol"],
        "price": (bid + ask) / 2,
        "volume": 0,
        "timestamp_ns": newest["timestamp_ns"],
        "bid": bid,
        "ask": ask,
    }


def _predictions_text(names: list[str], answer: dict[str, Any]) -> str:
    rows = zip(names, answer["predictions"], answer["confidence"], answer["warm"], strict=True)
    shown = ((name, f"{said:+.4f}", f"{confidence:.4f}", warm) for name, said, confidence, warm in rows)
    who = {name: answer[name] for name in ("model", "version", "calibrated", "device", "latency_ms")}
    return "\n\n".join((table(("row", "prediction", "confidence", "warm"), shown), facts(who)))


def _drift(arguments: argparse.Namespace, rest: Rest) -> int:
    drift = rest.call("GET", f"/v1/models/{quote(arguments.model, safe='')}/drift")
    say(arguments, drift, _drift_text(drift))
    return DONE


def _drift_text(drift: dict[str, Any]) -> str:
    """What moved most comes first; without a training distribution there is nothing to compare with."""
    summary = facts({name.replace("_", " "): value for name, value in drift.items() if name != "features"})
    features = sorted(drift["features"], key=lambda each: -each["psi"])
    if not features:
        return f"{summary}\n\nThe model does not say where its training data lay."
    rows = (
        (
            each["feature"],
            f"{each['psi']:.3f}",
            "large" if each["psi"] > LARGE_SHIFT else "",
            f"{each['mean']:.4g}",
            f"{each['trained_mean']:.4g}",
        )
        for each in features
    )
    return f"{summary}\n\n{table(('feature', 'psi', 'shift', 'mean', 'trained mean'), rows)}"
