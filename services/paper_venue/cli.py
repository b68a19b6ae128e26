"""The command line: every setting as a flag, and the `export` command that writes simulated market files."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from fleet.settings import variable_name
from services.paper_venue.settings import Settings

_PROGRAM = "python -m services.paper_venue"


class UsageError(Exception):
    """Words on the command line, or settings, that cannot be used; the message is one line."""


def parse(argv: Sequence[str]) -> tuple[Settings, argparse.Namespace]:
    """The settings, and what else was said (`command`, `json`, `seconds`, `out`); raises UsageError."""
    said = _parser().parse_args(argv)
    flags = {name: value for name, value in vars(said).items() if name in Settings.model_fields}
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None}), said
    except ValidationError as error:
        raise UsageError("; ".join(_complaint(detail) for detail in error.errors())) from error


def _complaint(detail: Any) -> str:
    name = str(detail["loc"][0]) if detail["loc"] else "settings"
    secret = name == "secret_key"
    return f"--{name.replace('_', '-')}: {detail['msg']}" + ("" if secret else f", was {detail['input']!r}")


class _Parser(argparse.ArgumentParser):
    """Raises instead of printing its usage: a wrong call gets one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=_PROGRAM,
        description=Settings.__doc__,
        epilog="Also: export --seconds S --out FILE writes simulated quotes to FILE and trades to FILE's -trades twin.",
    )
    parser.add_argument("command", nargs="?", choices=("serve", "export"), default="serve", help="default: serve")
    parser.add_argument("--json", action="store_true", help="print the addresses as one line of JSON on stdout")
    parser.add_argument("--seconds", type=float, metavar="S", help="export: length of the simulated market")
    parser.add_argument("--out", type=Path, metavar="FILE", help="export: .parquet or .csv file of the quotes")
    parser.add_argument(
        "--start-ns", type=int, default=1_704_205_800_000_000_000, metavar="NS", help="export: time of the first tick"
    )
    for name, field in Settings.model_fields.items():
        _add(parser, name, field)
    return parser


def _add(parser: argparse.ArgumentParser, name: str, field: FieldInfo) -> None:
    flag = f"--{name.replace('_', '-')}"
    variable = _variable(name, field)
    shown = "" if name == "secret_key" else f", default {field.default!r}"
    text = f"{field.description} ({variable}{shown})".replace("%", "%%")
    if field.annotation is bool:
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
    elif name == "market":
        parser.add_argument(flag, action="append", metavar="FILE", help=text)
    else:
        parser.add_argument(flag, metavar="VALUE", help=text)


def _variable(name: str, field: FieldInfo) -> str:
    return f"NT_PAPER_{name.upper()}" if field.validation_alias is None else variable_name(name, field)
