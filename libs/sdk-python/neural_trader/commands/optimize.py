"""`ntrader optimize`."""

import argparse
import csv
import json
from pathlib import Path
from typing import Any

from neural_trader.commands.command import DONE, add, say
from neural_trader.commands.values import lower_word, named_number
from neural_trader.rest import Rest
from neural_trader.tables import facts, table

_OBJECTIVES = (
    "max_sharpe",
    "min_variance",
    "max_utility",
    "target_return",
    "target_risk",
    "min_cvar",
    "risk_parity",
    "hrp",
)
_FACTS = ("expected_return", "risk", "sharpe_ratio", "cvar", "cash", "turnover", "psd")
_SMALLEST_SHOWN = 5e-7


class UnreadableReturns(ValueError):
    """A file that holds no table of returns."""


def add_optimize(commands: Any) -> None:
    """Add the command."""
    command = add(
        commands,
        "optimize",
        _optimize,
        "choose weights for symbols, or for a file of returns",
        "optimize AAPL TSLA NVDA --max 0.5 --objective min-cvar",
    )
    command.add_argument("symbols", nargs="*", metavar="SYMBOL", help="symbols whose history the fleet reads")
    command.add_argument(
        "--returns", type=_table, metavar="FILE", help="CSV with a column of returns for each symbol; - for stdin"
    )
    command.add_argument("--window", type=int, default=252, metavar="DAYS", help="daily returns to read (default 252)")
    command.add_argument("--objective", type=lower_word, choices=_OBJECTIVES, default="max_sharpe")
    command.add_argument("--target", type=float, metavar="X", help="of target_return or target_risk, a year's fraction")
    command.add_argument("--risk-free-rate", type=float, metavar="RATE", help="annual (default 0.02)")
    command.add_argument("--risk-aversion", type=float, metavar="X", help="of max_utility (default 5)")
    command.add_argument("--beta", type=float, metavar="X", help="of min_cvar (default 0.95)")
    command.add_argument(
        "--estimator", type=lower_word, choices=("sample", "ledoit_wolf", "ewma"), help="of the covariance"
    )
    command.add_argument("--max", type=float, dest="most", metavar="WEIGHT", help="largest weight of one symbol")
    command.add_argument("--min", type=float, dest="least", metavar="WEIGHT", help="smallest weight, or nothing of it")
    command.add_argument(
        "--cap", action="append", type=named_number, metavar="SECTOR=WEIGHT", help="largest weight of a sector"
    )
    command.add_argument("--turnover", type=float, metavar="X", help="largest sum of changes; see --held")
    command.add_argument("--cost", type=float, metavar="X", help="what trading a weight of 1 costs")
    command.add_argument("--held", action="append", type=named_number, metavar="SYMBOL=WEIGHT", help="weights held now")
    command.add_argument(
        "--budget", action="append", type=named_number, metavar="SYMBOL=PART", help="part of the risk, of risk_parity"
    )
    command.add_argument("--floor", action="append", type=named_number, metavar="SYMBOL=WEIGHT", help="least weight")
    command.add_argument("--ceiling", action="append", type=named_number, metavar="SYMBOL=WEIGHT", help="largest one")
    command.add_argument("--cash", action="store_true", help="weights may sum to less than 1")
    command.add_argument("--frontier", type=int, metavar="POINTS", help="the efficient frontier instead of one answer")


def _table(text: str) -> dict[str, Any]:
    """Symbols and T×N returns of a CSV file, or of a JSON file with `symbols` and `returns`."""
    try:
        content = (Path("/dev/stdin") if text == "-" else Path(text)).read_text()
        return _of_json(content) if content.lstrip().startswith("{") else _of_csv(content)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from error


def _of_json(content: str) -> dict[str, Any]:
    document = json.loads(content)
    if not {"symbols", "returns"} <= document.keys():
        raise UnreadableReturns("expected `symbols` and `returns`")
    return {"symbols": document["symbols"], "returns": document["returns"]}


def _of_csv(content: str) -> dict[str, Any]:
    """The first column may name the days; every other one is a symbol."""
    rows = [row for row in csv.reader(content.splitlines()) if row]
    if len(rows) < 3:
        raise UnreadableReturns("expected a line of symbols and at least two of returns")
    first = 0 if _is_number(rows[1][0]) else 1
    returns = []
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(rows[0]) or not all(map(_is_number, row[first:])):
            raise UnreadableReturns(f"line {number} has not one number for each of {len(rows[0]) - first} symbols")
        returns.append([float(cell) for cell in row[first:]])
    return {"symbols": [name.strip() for name in rows[0][first:]], "returns": returns}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _optimize(arguments: argparse.Namespace, rest: Rest) -> int:
    body = _body(arguments)
    if arguments.frontier:
        found = rest.call("POST", "/v1/portfolio/frontier", body={**body, "points": arguments.frontier})
        say(arguments, found, _curve(found["points"]))
        return DONE
    answer = rest.call("POST", "/v1/portfolio/optimize", body=body)
    say(arguments, answer, _weights(answer))
    return DONE


def _body(arguments: argparse.Namespace) -> dict[str, Any]:
    source = arguments.returns or {"symbols": arguments.symbols, "window_days": arguments.window}
    constraints = {
        "max_position_size": arguments.most,
        "min_position_size": arguments.least,
        "sector_caps": dict(arguments.cap or ()) or None,
        "turnover_limit": arguments.turnover,
        "allow_cash": arguments.cash or None,
        "lower_bounds": dict(arguments.floor or ()) or None,
        "upper_bounds": dict(arguments.ceiling or ()) or None,
    }
    goal = {arguments.objective: arguments.target} if arguments.objective.startswith("target_") else {}
    return {
        **source,
        **goal,
        "objective": arguments.objective,
        "risk_free_rate": arguments.risk_free_rate,
        "risk_aversion": arguments.risk_aversion,
        "beta": arguments.beta,
        "covariance_estimator": arguments.estimator,
        "turnover_cost": arguments.cost,
        "current_positions": dict(arguments.held or ()) or None,
        **({"risk_budgets": dict(arguments.budget)} if arguments.budget else {}),
        "constraints": {name: value for name, value in constraints.items() if value is not None},
    }


def _weights(answer: dict[str, Any]) -> str:
    held = sorted(answer["allocations"].items(), key=lambda pair: -pair[1])
    rows = ((symbol, f"{weight:.6f}") for symbol, weight in held if abs(weight) > _SMALLEST_SHOWN)
    shown = {name.replace("_", " "): _short(answer[name]) for name in _FACTS if answer[name] is not None}
    shown |= {"binding": ", ".join(answer["binding_constraints"]) or "nothing", "solved by": answer["solver"]["route"]}
    return f"{table(('symbol', 'weight'), rows)}\n\n{facts(shown)}"


def _curve(points: list[dict[str, Any]]) -> str:
    rows = (tuple(_short(point[name]) for name in ("risk", "expected_return", "sharpe_ratio")) for point in points)
    return table(("risk", "expected return", "sharpe ratio"), rows)


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
