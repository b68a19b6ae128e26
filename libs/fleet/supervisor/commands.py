"""The command line of the supervisor: up, down, status, demo."""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import psutil

from fleet.service import run_loop, stop_signal
from fleet.supervisor import keys, ports, state
from fleet.supervisor.demo import Demo, demo
from fleet.supervisor.output import prefixed
from fleet.supervisor.plan import Market, Plan
from fleet.supervisor.supervisor import end_leftovers, running
from trading.errors import TradingError

DETACH_TIMEOUT_S = 180.0
DOWN_TIMEOUT_S = 60.0
POLL_S = 0.05
LOG = "fleet.log"
MARKET_DATA_COMMANDS = {
    "record": "record every quote and trade of some symbols from a venue to a Parquet file; no fleet need run",
    "history": "list, query, export, import, judge and compact the stored market data; no fleet need run",
}
"""Commands of `python -m services.market_data`: a process of their own, as libraries never import services."""
INFERENCE_COMMANDS = {
    "train": "make a new version of a model of your own history, judged by walking forward; no fleet need run",
    "evaluate": "tell whether a history has something to learn, by walking forward; no fleet need run",
}
"""Commands of `python -m services.inference.training`."""
GATEWAY_COMMANDS = {
    "order": "submit an order; exit code 1 when it is denied or rejected",
    "orders": "list orders, newest first",
    "cancel": "ask the venue to cancel an order, or all of them",
    "modify": "change quantity or prices of a working order",
    "events": "tell the life of an order, oldest event first",
    "account": "tell what an account is worth, in all its currencies",
    "positions": "tell what an account holds",
    "performance": "tell how an account has done, without what was paid in",
    "transfer": "book cash that was paid in, or out when negative, once",
    "import-positions": "book positions that were acquired elsewhere, once",
    "halt": "turn the kill switch on; cancels always pass",
    "resume": "turn the kill switch off",
    "limits": "show or set the limits of an account",
    "signals": "show or switch the trading of signals; what is left out stays",
    "statement": "tell what an account traded on a UTC day, and what it held",
    "compare": "compare orders, positions and cash with the venue; 1 when they differ",
    "audit": "tell who changed limits and switches, newest first",
    "risk": "measure the risk of an account's positions, or of given ones",
    "simulate": "simulate the losses of positions from their own history",
    "optimize": "choose weights for symbols, or for a file of returns",
    "stress": "tell what shocks would do to positions",
    "models": "show the registry of models, and change what answers",
    "jobs": "list training jobs, watch one until it ends, or cancel it",
    "predict": "ask a model about the newest quotes, or about the rows of a file",
    "drift": "tell how a model that follows the market does on what it sees now",
    "rebalance": "propose, execute, watch and schedule orders that move a book to its target weights",
}
"""Commands of `python -m neural_trader`: they ask a running gateway, this machine's or another's."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command. Exit codes: 0 done, 1 failed, 2 wrong usage."""
    given = sys.argv[1:] if argv is None else list(argv)
    if given[:1] and given[0] in MARKET_DATA_COMMANDS:
        _become("services.market_data", given)
    if given[:1] and given[0] in INFERENCE_COMMANDS:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # batches are small: two threads take longer than one
        _become("services.inference.training", given)
    if given[:1] and given[0] in GATEWAY_COMMANDS:
        _become("neural_trader", given)
    arguments = _parser().parse_args(given)
    try:
        sys.exit(arguments.run(arguments))
    except TradingError as error:
        print(f"ntrader: {error}", file=sys.stderr)
        sys.exit(1)


def _become(module: str, arguments: Sequence[str]) -> NoReturn:
    command = [sys.executable, "-m", module, *arguments]
    if sys.platform == "win32":  # there, a process cannot become another
        sys.exit(subprocess.call(command))
    os.execv(sys.executable, command)  # noqa: S606  our own module, no shell


def _up(arguments: argparse.Namespace) -> int:
    if arguments.detach:
        return _detach(arguments)
    return run_loop(_run_until_told(_plan(arguments), arguments.json))


async def _run_until_told(plan: Plan, as_json: bool) -> int:
    stop = stop_signal()
    say = prefixed()
    async with running(plan, say) as fleet:
        if as_json:
            print(json.dumps(fleet.description), flush=True)
        else:
            say("fleet", f"Gateway  {plan.gateway_url}   (API at {plan.gateway_url}/docs)")
            say("fleet", _key_line(fleet.api_key, plan.data_dir))
            say("fleet", "Ctrl-C drains and stops.")
        watch = asyncio.create_task(fleet.watch())
        await stop.wait()
        watch.cancel()
        say("fleet", "draining")
    return 0


def _key_line(api_key: str, data_dir: Path) -> str:
    """The admin key for the person at the terminal; a log gets only the name of its file."""
    kept = data_dir / keys.ADMIN_KEY
    return f"Key      {api_key}   (kept in {kept})" if sys.stderr.isatty() else f"Key      kept in {kept}"


def _detach(arguments: argparse.Namespace) -> int:
    data_dir = arguments.data_dir
    data_dir.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "fleet", "up", *_passed_on(arguments)]
    log = data_dir / LOG
    with log.open("ab") as output:
        started_at = output.tell()
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    ends_at = time.monotonic() + DETACH_TIMEOUT_S
    while time.monotonic() < ends_at and child.poll() is None:
        note = state.read(data_dir)
        if note and note.ready and note.supervisor.pid == child.pid:
            _print_detached(arguments, note)
            return 0
        time.sleep(POLL_S)
    child.terminate()
    sys.stderr.write(log.read_bytes()[started_at:].decode(errors="replace"))
    print(f"ntrader: the fleet did not come up; its log is {log}", file=sys.stderr)
    return 1


def _print_detached(arguments: argparse.Namespace, note: state.State) -> None:
    description = _description(arguments.data_dir, note)
    if arguments.json:
        print(json.dumps(description), flush=True)
    else:
        print(f"Gateway  {note.gateway}\nKey      {description['api_key']}\nLog      {arguments.data_dir / LOG}")


def _description(data_dir: Path, note: state.State) -> dict[str, Any]:
    kept = keys.venue(data_dir)
    return {
        "gateway": note.gateway,
        "api_key": keys.admin_key(data_dir),
        "grpc": note.grpc,
        "nats": note.nats,
        "venue": json.loads(kept) if kept and "alpaca" in note.venue else note.venue,
        "pid": note.supervisor.pid,
    }


def _passed_on(arguments: argparse.Namespace) -> list[str]:
    flags = ["--data-dir", str(arguments.data_dir)]
    for file in arguments.market:
        flags += ["--market", str(file)]
    for name in ("symbols", "speed", "seed", "venue"):
        value = getattr(arguments, name)
        flags += [f"--{name}", str(value)] if value is not None else []
    return [*flags, "--loop"] if arguments.loop else flags


def _down(arguments: argparse.Namespace) -> int:
    note = state.read(arguments.data_dir)
    if note is None:
        print(f"No fleet runs in {arguments.data_dir}.", file=sys.stderr)
        return 0
    supervisor = note.supervisor.find()
    if supervisor:
        supervisor.terminate()
        psutil.wait_procs([supervisor], timeout=DOWN_TIMEOUT_S)
    end_leftovers(note, prefixed())
    state.forget(arguments.data_dir)
    print(f"The fleet in {arguments.data_dir} is down.", file=sys.stderr)
    return 0


def _status(arguments: argparse.Namespace) -> int:
    note = state.read(arguments.data_dir)
    supervisor = note.supervisor.find() if note else None
    if note is None or supervisor is None:
        print(json.dumps({"running": False}) if arguments.json else f"No fleet runs in {arguments.data_dir}.")
        return 1
    services = [_service_status(child) for child in note.children]
    report = {
        "running": True,
        "ready": _is_ready(note.gateway),
        "pid": supervisor.pid,
        "gateway": note.gateway,
        "grpc": note.grpc,
        "nats": note.nats,
        "venue": note.venue,
        "services": services,
    }
    print(json.dumps(report) if arguments.json else _table(report))
    return 0


def _service_status(child: state.Process) -> dict[str, Any]:
    process = child.find()
    return {
        "name": child.name,
        "pid": child.pid,
        "state": "running" if process else "stopped",
        "restarts": child.restarts,
        "ready_s": child.ready_s,
        "rss_mb": round(process.memory_info().rss / 1e6, 1) if process else 0.0,
        "uptime_s": round(time.time() - child.born, 1) if process else 0.0,
    }


def _is_ready(gateway: str) -> bool:
    try:
        with urllib.request.urlopen(f"{gateway}/readyz", timeout=2) as answer:  # noqa: S310  # our own http URL
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _table(report: dict[str, Any]) -> str:
    lines = [f"{report['gateway']}   {'ready' if report['ready'] else 'not ready'}   pid {report['pid']}"]
    lines.append(f"{'service':<14}{'state':<10}{'pid':>8}{'memory MB':>11}{'up s':>10}{'restarts':>10}")
    columns = "{name:<14}{state:<10}{pid:>8}{rss_mb:>11}{uptime_s:>10}{restarts:>10}"
    lines += [columns.format(**row) for row in report["services"]]
    return "\n".join(lines)


def _demo(arguments: argparse.Namespace) -> int:
    market = _market(arguments)
    wanted = Demo(market, arguments.seconds, arguments.report, arguments.data_dir, arguments.confidence)
    return run_loop(demo(wanted))


def _market(arguments: argparse.Namespace) -> Market:
    return Market(
        venue=arguments.venue or os.environ.get("NT_VENUE") or "paper",
        files=arguments.market,
        symbols=tuple(arguments.symbols.split(",")) if arguments.symbols else (),
        speed=arguments.speed or "",
        seed=arguments.seed,
        loop=arguments.loop,
    )


def _plan(arguments: argparse.Namespace) -> Plan:
    return Plan(arguments.data_dir.resolve(), ports.choose(), _market(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ntrader", description="Runs the whole fleet as processes of this machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = _command(commands, "up", "start the fleet and keep it running", "up --detach --json --symbols AAPL,BTC-USDT")
    _add_market(up)
    _add_data_dir(up)
    up.add_argument("--detach", action="store_true", help="return when it is ready; `ntrader down` ends it")
    up.add_argument("--json", action="store_true", help="print one JSON line with addresses and the admin key")
    up.set_defaults(run=_up)
    down = _command(commands, "down", "drain and stop the fleet", "down --data-dir .data")
    _add_data_dir(down)
    down.set_defaults(run=_down)
    text = "say what runs, how much memory it takes and whether it is ready"
    status = _command(commands, "status", text, "status --json")
    _add_data_dir(status)
    status.add_argument("--json", action="store_true", help="print one JSON line")
    status.set_defaults(run=_status)
    text = "trade a market for a while, then report and check the books"
    trial = _command(commands, "demo", text, "demo --seconds 30 --json report.json")
    _add_market(trial)
    trial.add_argument("--data-dir", type=Path, metavar="DIR", help="keep the data (default: a temporary directory)")
    trial.add_argument("--seconds", type=float, default=30.0, help="how long to trade (default 30; a file: to its end)")
    trial.add_argument("--json", type=Path, dest="report", metavar="PATH", help="write the report as JSON")
    trial.add_argument(
        "--confidence", type=float, default=0.52, help="trade signals from this confidence on (default 0.52)"
    )
    trial.set_defaults(run=_demo)
    for name, text in {**MARKET_DATA_COMMANDS, **INFERENCE_COMMANDS, **GATEWAY_COMMANDS}.items():
        commands.add_parser(name, help=text, add_help=False)  # listed here; its own parser reads what follows
    return parser


def _command(commands: Any, name: str, text: str, example: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=f"{text.capitalize()}.",
        epilog=f"example: ntrader {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,  # an example that is wrapped cannot be copied
    )
    return parser


def _add_data_dir(parser: argparse.ArgumentParser) -> None:
    default = Path(os.environ.get("NT_DATA_DIR", ".data"))
    parser.add_argument(
        "--data-dir", type=Path, default=default, metavar="DIR", help=f"where everything is kept (default {default})"
    )


def _add_market(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--market", type=_existing_file, action="append", default=[], metavar="FILE", help="replay a recorded file"
    )
    parser.add_argument("--speed", metavar="max|FACTOR", help="speed of the replay or simulation (default 1)")
    parser.add_argument("--symbols", metavar="A,B", help="symbols to trade")
    parser.add_argument("--seed", type=int, help="seed of the simulated market")
    parser.add_argument("--loop", action="store_true", help="begin the file again at its end")
    parser.add_argument("--venue", help="paper (default), or alpaca or binance with its keys in the environment")


def _existing_file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{text} is no file")
    return path.resolve()
