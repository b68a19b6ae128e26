"""`ntrader jobs`: training jobs, listed, shown, watched until they end, and canceled."""

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from neural_trader.commands.command import DONE, REFUSED, add, say
from neural_trader.rest import Problem, Rest
from neural_trader.tables import facts, moment, table

ACTIONS = ("list", "show", "watch", "cancel")
STATES = ("queued", "running", "succeeded", "failed", "canceled")
_ENDED = frozenset({"succeeded", "failed", "canceled"})
_PATH = "/v1/training-jobs"
_LOOK_S = 0.5
_COLUMNS = ("id", "created", "model", "state", "epochs", "loss", "accuracy", "version", "error")


def add_jobs(commands: Any) -> None:
    """Add the command."""
    jobs = add(
        commands,
        "jobs",
        _jobs,
        "list training jobs, watch one until it ends, or cancel it",
        "jobs list --model momentum-v1 --state running",
    )
    jobs.add_argument("action", nargs="?", choices=ACTIONS, default="list", help="default: list")
    jobs.add_argument("id", nargs="?", metavar="ID", help="of a job, for all but list")
    jobs.add_argument("--model", help="list: jobs of this model alone")
    jobs.add_argument("--state", action="append", choices=STATES, help="list: jobs in this state; may be repeated")
    jobs.add_argument("--limit", type=int, metavar="N", help="list: most of them (default 100)")
    jobs.add_argument("--cursor", metavar="CURSOR", help="list: go on where a page ended")


def _jobs(arguments: argparse.Namespace, rest: Rest) -> int:
    if arguments.action != "list" and not arguments.id:
        raise Problem(f"Say which job: ntrader jobs {arguments.action} ID.")
    return _ACTIONS[arguments.action](arguments, rest)


def _list(arguments: argparse.Namespace, rest: Rest) -> int:
    names = ("model", "state", "limit", "cursor")
    page = rest.call("GET", _PATH, query={name: getattr(arguments, name) for name in names})
    text = table(_COLUMNS, map(_row, page["training_jobs"]))
    more = page["next_cursor"]
    say(arguments, page, f"{text}\n\nmore: --cursor {more}" if more else text)
    return DONE


def _row(job: dict[str, Any]) -> tuple[object, ...]:
    return (
        job["id"],
        moment(job["created_time_ns"]),
        job["model"],
        job["state"],
        f"{job['epoch']}/{job['epochs']}",
        _figure(job["loss"][-1] if job["loss"] else None),
        _figure(job["accuracy"]),
        job["version"],
        job["error"],
    )


def _figure(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"


def _show(arguments: argparse.Namespace, rest: Rest) -> int:
    job = rest.call("GET", _at(arguments.id))
    say(arguments, job, _job_text(job))
    return DONE


def _watch(arguments: argparse.Namespace, rest: Rest) -> int:
    """Progress goes to stderr, one line for each epoch that was seen; the job as it ended to stdout."""
    told: tuple[str, int] | None = None
    while True:
        job = rest.call("GET", _at(arguments.id))
        now = job["state"], job["epoch"]
        if now != told:
            loss = _figure(job["loss"][-1] if job["loss"] else None)
            print(f"{job['state']}: epoch {job['epoch']} of {job['epochs']}, loss {loss or '-'}", file=sys.stderr)
        told = now
        if job["state"] in _ENDED:
            break
        time.sleep(_LOOK_S)
    say(arguments, job, _job_text(job))
    return DONE if job["state"] == "succeeded" else REFUSED


def _cancel(arguments: argparse.Namespace, rest: Rest) -> int:
    job = rest.call("DELETE", _at(arguments.id))
    say(arguments, job, _job_text(job))
    return DONE


def _job_text(job: dict[str, Any]) -> str:
    times = {f"{name}_time_ns": moment(job[f"{name}_time_ns"]) for name in ("created", "started", "ended")}
    shown = job | times | {"loss": _figure(job["loss"][-1] if job["loss"] else None)}
    metrics = shown.pop("metrics")
    text = facts({name.removesuffix("_time_ns").replace("_", " "): value for name, value in shown.items()})
    return f"{text}\n\n{facts({name: f'{value:.4g}' for name, value in metrics.items()})}" if metrics else text


def _at(job_id: str) -> str:
    return f"{_PATH}/{quote(job_id, safe='')}"


_ACTIONS: dict[str, Callable[[argparse.Namespace, Rest], int]] = {
    "list": _list,
    "show": _show,
    "watch": _watch,
    "cancel": _cancel,
}
