"""`ntrader halt | resume | limits | signals`."""

import argparse
import re
from typing import Any

from neural_trader.commands.command import DONE, add, say
from neural_trader.rest import Rest
from neural_trader.tables import facts

NO_LIMIT = "none"
ALL_MODELS = "all"
_SIGNALS = "/v1/execution/signal-trading"
_WORDS = {"true": True, "yes": True, "false": False, "no": False}
_UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_DURATION = re.compile(r"([0-9]+)(ns|us|ms|s)")
_WHOLE = re.compile(r"[0-9]{1,18}")
_FRACTION = re.compile(r"[0-9]*\.[0-9]+")
_NOT_SET = frozenset({"account", "updated_time_ns"})


def add_control(commands: Any) -> None:
    """Add the four commands."""
    halt = add(
        commands,
        "halt",
        _halt,
        "turn the kill switch on; cancels always pass",
        "halt --cancel-open --reason 'bad feed'",
    )
    halt.add_argument("--reducing", action="store_true", help="still take orders that shrink a position")
    halt.add_argument("--cancel-open", action="store_true", help="cancel every working order too")
    halt.add_argument("--flatten", action="store_true", help="close every position too, by MARKET orders")
    resume = add(commands, "resume", _resume, "turn the kill switch off", "resume --reducing")
    resume.add_argument("--reducing", action="store_true", help="take only orders that shrink a position")
    for switch in (halt, resume):
        switch.add_argument("--reason", help="why, for the audit trail")
        switch.add_argument("--account", help="account (default: all)")
    limits = add(
        commands,
        "limits",
        _limits,
        "show or set the limits of an account",
        "limits set max_position=500 duplicate_window_ns=500ms price_collar=none",
    )
    limits.add_argument("action", nargs="?", choices=("show", "set"), default="show")
    limits.add_argument(
        "changes", nargs="*", type=_change, metavar="KEY=VALUE", help=f"{NO_LIMIT!r} lifts a limit; 500ms, 2s are times"
    )
    limits.add_argument("--account", default="main", help="account (default main)")
    _add_signals(commands)


def _add_signals(commands: Any) -> None:
    signals = add(
        commands,
        "signals",
        _signals,
        "show or switch the trading of signals; what is left out stays",
        "signals on --models momentum-v1 --notional 5000 --min-confidence 0.6",
    )
    signals.add_argument("action", nargs="?", choices=("show", "on", "off"), default="show")
    signals.add_argument("--models", metavar="A,B", help="with on, off: models whose signals are traded; 'all' for all")
    signals.add_argument("--notional", metavar="MONEY", help="with on, off: value of a full-strength position")
    signals.add_argument("--min-confidence", type=float, metavar="P", help="with on, off: ignore signals below it")
    signals.add_argument("--account", help="with on, off: account that trades them")


def _change(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is no KEY=VALUE")
    return name, _value(name, value)


def _value(name: str, text: str) -> Any:
    """A limit as JSON has it: amounts stay exact as text."""
    if text == NO_LIMIT:
        return None
    if text in _WORDS:
        return _WORDS[text]
    duration = _DURATION.fullmatch(text) if name.endswith("_ns") else None
    if duration:
        return str(int(duration[1]) * _UNITS[duration[2]])
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if name == "price_collar" and _FRACTION.fullmatch(text) else text


def _halt(arguments: argparse.Namespace, rest: Rest) -> int:
    wish = {
        "mode": "REDUCING" if arguments.reducing else "HALTED",
        "cancel_open": arguments.cancel_open,
        "flatten": arguments.flatten,
    }
    return _switch(arguments, rest, "halt", wish)


def _resume(arguments: argparse.Namespace, rest: Rest) -> int:
    return _switch(arguments, rest, "resume", {"mode": "REDUCING" if arguments.reducing else "ACTIVE"})


def _switch(arguments: argparse.Namespace, rest: Rest, way: str, wish: dict[str, Any]) -> int:
    body = {**wish, "reason": arguments.reason, "account": arguments.account}
    answer = rest.call("POST", f"/v1/execution/{way}", body=body)
    say(arguments, answer, facts({name.replace("_", " "): value for name, value in answer.items()}))
    return DONE


def _limits(arguments: argparse.Namespace, rest: Rest) -> int:
    limits = rest.call("GET", "/v1/risk-limits", query={"account": arguments.account})
    if arguments.action == "set":
        limits = rest.call("PUT", "/v1/risk-limits", body={**limits, **dict(arguments.changes)})
    shown = {name: value for name, value in limits.items() if name not in _NOT_SET}
    say(arguments, limits, facts({name: NO_LIMIT if value is None else value for name, value in shown.items()}))
    return DONE


def _signals(arguments: argparse.Namespace, rest: Rest) -> int:
    if arguments.action == "show":
        switch = rest.call("GET", _SIGNALS)
    else:
        switch = rest.call("PUT", _SIGNALS, body={"enabled": arguments.action == "on", **_wishes(arguments)})
    models = ", ".join(switch["models"]) or ALL_MODELS
    shown = {name.replace("_", " "): value for name, value in {**switch, "models": models}.items()}
    say(arguments, switch, facts(shown))
    return DONE


def _wishes(arguments: argparse.Namespace) -> dict[str, Any]:
    models = arguments.models
    said = {
        "models": None if models is None else [name for name in models.split(",") if name and name != ALL_MODELS],
        "notional": arguments.notional,
        "min_confidence": arguments.min_confidence,
        "account": arguments.account,
    }
    return {name: value for name, value in said.items() if value is not None}
