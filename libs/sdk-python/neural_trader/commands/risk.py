"""`ntrader risk | simulate | stress`."""

import argparse
from typing import Any

from neural_trader.commands.command import DONE, add, say
from neural_trader.commands.values import lower_word, named_number
from neural_trader.rest import Rest
from neural_trader.tables import facts, table

_NO_FIGURES = frozenset({"input_sha256", "symbols", "percentiles"})
_ROUND_TO = 6


def add_risk(commands: Any) -> None:
    """Add the three commands."""
    risk = add(
        commands,
        "risk",
        _risk,
        "measure the risk of an account's positions, or of given ones",
        "risk AAPL=0.6 TSLA=0.4 --benchmark SPY",
    )
    risk.add_argument("--benchmark", metavar="SYMBOL", help="symbol that stands for the market (default SPY)")
    risk.add_argument("--risk-free-rate", type=float, metavar="RATE", help="annual (default 0.02)")
    simulate = add(
        commands,
        "simulate",
        _simulate,
        "simulate the losses of positions from their own history",
        "simulate --method student-t --horizon 10 --seed 7",
    )
    simulate.add_argument("--method", type=lower_word, choices=("historical_bootstrap", "gaussian", "student_t"))
    simulate.add_argument("--horizon", type=int, metavar="DAYS", help="days ahead (default 1)")
    simulate.add_argument("--paths", type=int, metavar="N", help="paths (default 10000)")
    simulate.add_argument("--seed", type=int, metavar="N", help="the same seed has the same answer (default 0)")
    stress = add(commands, "stress", _stress, "tell what shocks would do to positions", "stress AAPL=100 --market -0.2")
    stress.add_argument(
        "--shock", action="append", type=named_number, metavar="SYMBOL=CHANGE", help="such as AAPL=-0.2"
    )
    stress.add_argument(
        "--sector", action="append", type=named_number, metavar="SECTOR=CHANGE", help="of a whole sector"
    )
    stress.add_argument("--market", type=float, metavar="CHANGE", help="of the benchmark; others follow by beta")
    stress.add_argument("--history", type=_stretch, metavar="FROM..TO", help="days that happen again, YYYY-MM-DD")
    for command in (risk, simulate, stress):
        command.add_argument(
            "positions",
            nargs="*",
            type=named_number,
            metavar="SYMBOL=VALUE",
            help="positions in money (default: held ones)",
        )
        command.add_argument("--account", help="account (default main)")
        command.add_argument("--window", type=int, metavar="DAYS", help="daily returns to read (default 252)")


def _stretch(text: str) -> tuple[str, str]:
    first, dots, last = text.partition("..")
    if not dots or not first or not last:
        raise argparse.ArgumentTypeError(f"{text!r} is no FROM..TO")
    return first, last


def _risk(arguments: argparse.Namespace, rest: Rest) -> int:
    subject = _subject(arguments, "positions")
    given = {"position_kind": "notional", "window_days": 252} if arguments.positions else {"account": "main"}
    asked = {"benchmark": arguments.benchmark, "risk_free_rate": arguments.risk_free_rate}
    report = rest.call("POST", "/v1/portfolio/risk", body={**given, **_said(subject), **asked})
    say(arguments, report, _figures(report))
    return DONE


def _simulate(arguments: argparse.Namespace, rest: Rest) -> int:
    asked = {
        "method": arguments.method,
        "horizon_days": arguments.horizon,
        "paths": arguments.paths,
        "seed": arguments.seed,
    }
    found = rest.call("POST", "/v1/portfolio/risk/simulate", body={**_subject(arguments, "values"), **asked})
    percentiles = table(("percent", "profit"), ((name, _short(value)) for name, value in found["percentiles"].items()))
    say(arguments, found, f"{_figures(found)}\n\n{percentiles}")
    return DONE


def _stress(arguments: argparse.Namespace, rest: Rest) -> int:
    scenarios = _scenarios(arguments)
    body = {**_subject(arguments, "values"), "scenarios": scenarios or None}
    found = rest.call("POST", "/v1/portfolio/risk/stress", body=body)
    rows = ((one["name"], _short(one["profit"]), _short(one["fraction"]), one["error"]) for one in found["outcomes"])
    say(arguments, found, table(("scenario", "profit", "of gross", "not computed"), rows))
    return DONE


def _scenarios(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """What the options describe: shocks as one scenario, a stretch of history as another."""
    shocks = {
        "symbol_shocks": dict(arguments.shock or ()) or None,
        "sector_shocks": dict(arguments.sector or ()) or None,
        "market_shock": arguments.market,
    }
    found = []
    if any(shock is not None for shock in shocks.values()):
        found.append({"name": "shocks", **_said(shocks)})
    if arguments.history:
        first, last = arguments.history
        found.append({"name": f"{first}..{last}", "history_start": first, "history_end": last})
    return found


def _subject(arguments: argparse.Namespace, values: str) -> dict[str, Any]:
    given = dict(arguments.positions)
    return {
        "account": arguments.account,
        "symbols": list(given) or None,
        values: list(given.values()) or None,
        "window_days": arguments.window,
    }


def _said(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}


def _figures(document: dict[str, Any]) -> str:
    return facts({name: _short(value) for name, value in document.items() if name not in _NO_FIGURES})


def _short(value: Any) -> Any:
    return f"{value:,.{_ROUND_TO}f}" if isinstance(value, float) else value
