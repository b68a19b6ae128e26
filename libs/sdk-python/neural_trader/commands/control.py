"""`ntrader halt | resume | limits`."""

import argparse
import re
from typing import Any

from neural_trader.commands.command import DONE, add, say
from neural_trader.rest import Rest
from neural_trader.tables import facts

NO_LIMIT = "none"
_WORDS = {"true": True, "yes": True, "false": False, "no": False}
_UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_DURATION = re.compile(r"([0-9]+)(ns|us|ms|s)")
_WHOLE = re.compile(r"[0-9]{1,18}")
_FRACTION = re.compile(r"[0-9]*\.[0-9]+")
_NOT_SET = frozenset({"account", "updated_time_ns"})


def add_control(commands: Any) -> None:
    """Add the three commands."""
    halt = add(commands, "halt", _halt, "turn the kill switch on; cancels always pass")
    halt.add_argument("--reducing", action="store_true", help="still take orders that shrink a position")
    halt.add_argument("--cancel-open", action="store_true", help="cancel every working order too")
    halt.add_argument("--flatten", action="store_true", help="close every position too, by MARKET orders")
    resume = add(commands, "resume", _resume, "turn the kill switch off")
    resume.add_argument("--reducing", action="store_true", help="take only orders that shrink a position")
    for switch in (halt, resume):
        switch.add_argument("--reason", help="why, for the audit trail")
        switch.add_argument("--account", help="account (default: all)")
    limits = add(commands, "limits", _limits, "show or set the limits of an account")
    limits.add_argument("action", nargs="?", choices=("show", "set"), default="show")
    limits.add_argument(
        "changes", nargs="*", type=_change, metavar="KEY=VALUE", help=f"{NO_LIMIT!r} lifts a limit; 500ms, 2s are times"
    )
    limits.add_argument("--account", default="main", help="account (default main)")


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
