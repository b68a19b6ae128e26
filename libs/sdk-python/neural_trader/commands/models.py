"""`ntrader models`: what the registry holds, and what is done with it."""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from neural_trader.commands.command import DONE, add, say
from neural_trader.rest import Problem, Rest
from neural_trader.tables import facts, table

ACTIONS = ("list", "show", "upload", "load", "unload", "promote", "rollback", "canary", "shadow", "delete", "export")
_NAMELESS = frozenset({"list"})
_PIECE_BYTES = 1 << 20
_COLUMNS = (
    "name",
    "version",
    "state",
    "architecture",
    "precision",
    "device",
    "versions",
    "previous",
    "canary",
    "shadow",
)


def add_models(commands: Any) -> None:
    """Add the command."""
    models = add(
        commands,
        "models",
        _models,
        "show the registry of models, and change what answers",
        "models promote momentum-v1 2",
    )
    models.add_argument("action", nargs="?", choices=ACTIONS, default="list", help="default: list")
    models.add_argument("name", nargs="?", help="name of a model")
    models.add_argument("version", nargs="?", help="version; the file, for upload and export")
    models.add_argument("--weight", type=float, default=0.1, help="share of the predictions for a canary (default 0.1)")
    models.add_argument("--precision", choices=("fp32", "fp16", "int8"), help="numbers to compute with, for load")
    models.add_argument("--gpu", action=argparse.BooleanOptionalAction, help="run on a GPU or not, for load")
    models.add_argument("--batch-size", type=int, metavar="N", help="most rows of one run, for load")


def _models(arguments: argparse.Namespace, rest: Rest) -> int:
    if arguments.action not in _NAMELESS and not arguments.name:
        raise Problem(f"Say which model: ntrader models {arguments.action} NAME.")
    if arguments.action in ("promote", "upload", "export") and not arguments.version:
        what = "VERSION" if arguments.action == "promote" else "FILE"
        raise Problem(f"Say which one: ntrader models {arguments.action} NAME {what}.")
    answer = _ACTIONS[arguments.action](arguments, rest)
    say(arguments, answer, _text(answer))
    return DONE


def _list(arguments: argparse.Namespace, rest: Rest) -> Any:
    return rest.call("GET", "/v1/models")


def _show(arguments: argparse.Namespace, rest: Rest) -> Any:
    if arguments.version is None:
        return rest.call("GET", f"{_path(arguments)}/versions")
    versions = rest.call("GET", f"{_path(arguments)}/versions")["models"]
    found = [each for each in versions if each["version"] == arguments.version]
    if not found:
        raise Problem(f"There is no version {arguments.version!r} of {arguments.name!r}.", code="UNKNOWN_MODEL")
    return found[0]


def _upload(arguments: argparse.Namespace, rest: Rest) -> Any:
    path = Path(arguments.version)
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise Problem(f"{path} cannot be read: {error.strerror}") from error
    return rest.send_file("/v1/models", _pieces(path), query={"name": arguments.name})


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _load(arguments: argparse.Namespace, rest: Rest) -> Any:
    wish = {
        "version": arguments.version,
        "precision": arguments.precision,
        "use_gpu": arguments.gpu,
        "batch_size": arguments.batch_size,
    }
    return rest.call("POST", f"{_path(arguments)}/load", body=wish)


def _unload(arguments: argparse.Namespace, rest: Rest) -> Any:
    return rest.call("POST", f"{_path(arguments)}/unload")


def _promote(arguments: argparse.Namespace, rest: Rest) -> Any:
    return rest.call("POST", f"{_path(arguments)}/promote", body={"version": arguments.version})


def _rollback(arguments: argparse.Namespace, rest: Rest) -> Any:
    return rest.call("POST", f"{_path(arguments)}/rollback")


def _canary(arguments: argparse.Namespace, rest: Rest) -> Any:
    weight = arguments.weight if arguments.version else 0.0
    return rest.call("PUT", f"{_path(arguments)}/canary", body={"version": arguments.version, "weight": weight})


def _shadow(arguments: argparse.Namespace, rest: Rest) -> Any:
    return rest.call("PUT", f"{_path(arguments)}/shadow", body={"version": arguments.version})


def _delete(arguments: argparse.Namespace, rest: Rest) -> Any:
    rest.delete(_path(arguments), query={"version": arguments.version})
    return {"name": arguments.name, "version": arguments.version, "deleted": True}


def _export(arguments: argparse.Namespace, rest: Rest) -> Any:
    path = Path(arguments.version)
    content = rest.file(f"{_path(arguments)}/export", accept="application/x-tar")
    try:
        path.write_bytes(content)
    except OSError as error:
        raise Problem(f"{path} cannot be written: {error.strerror}") from error
    return {"name": arguments.name, "file": str(path), "bytes": len(content)}


_ACTIONS: dict[str, Callable[[argparse.Namespace, Rest], Any]] = {
    "list": _list,
    "show": _show,
    "upload": _upload,
    "load": _load,
    "unload": _unload,
    "promote": _promote,
    "rollback": _rollback,
    "canary": _canary,
    "shadow": _shadow,
    "delete": _delete,
    "export": _export,
}


def _path(arguments: argparse.Namespace) -> str:
    return f"/v1/models/{quote(arguments.name, safe='')}"


def _text(answer: Any) -> str:
    if "models" in answer:
        return table(_COLUMNS, map(_row, answer["models"]))
    return facts({name.replace("_", " "): value for name, value in answer.items()})


def _row(model: dict[str, Any]) -> tuple[object, ...]:
    canary, shadow = model["canary"], model["shadow"]
    active = "*" if model["version"] == model["active_version"] else ""
    return (
        model["name"],
        f"{model['version']}{active}",
        model["state"] if model["refusal"] is None else model["refusal"],
        model["architecture"],
        model["precision"],
        model["device"],
        " ".join(model["versions"]),
        model["previous_version"],
        f"{canary['version']} {canary['weight']:.0%}" if canary else None,
        shadow["version"] if shadow else None,
    )
