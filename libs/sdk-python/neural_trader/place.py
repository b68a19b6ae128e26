"""Where the gateway is and which key opens it: told by the environment, or found beside a fleet of this machine."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

URL = "NEURAL_TRADER_URL"
KEY = "NEURAL_TRADER_API_KEY"  # the name of a variable
DATA_DIR = "NT_DATA_DIR"
DEFAULT_DATA_DIR = ".data"
_NOTE = "fleet.json"
_ADMIN_KEY = "admin.key"


class PlaceUnknown(Exception):
    """Nobody said where the gateway is, or which key it takes."""


@dataclass(frozen=True, slots=True)
class Place:
    """A gateway's URL, and the key for it."""

    url: str
    key: str = field(repr=False)


def find(data_dir: Path, environment: Mapping[str, str] = os.environ) -> Place:
    """The gateway that the environment names, else the one of the fleet in `data_dir`; raises PlaceUnknown.

    The admin key of a local fleet is for that fleet alone: it is never shown to an address from elsewhere.
    """
    url, key = environment.get(URL, ""), environment.get(KEY, "")
    if url and not key:
        raise PlaceUnknown(f"{URL} is set and {KEY} is not: set both, or neither for the fleet in {data_dir}.")
    return Place(url or _url(data_dir), key or _key(data_dir))


def default_data_dir(environment: Mapping[str, str] = os.environ) -> Path:
    """Where `ntrader up` keeps everything unless told otherwise."""
    return Path(environment.get(DATA_DIR, DEFAULT_DATA_DIR))


def _url(data_dir: Path) -> str:
    try:
        note = json.loads((data_dir / _NOTE).read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise PlaceUnknown(f"No fleet runs in {data_dir}: start one with `ntrader up`, or set {URL}.") from error
    return str(note["gateway"])


def _key(data_dir: Path) -> str:
    try:
        return (data_dir / _ADMIN_KEY).read_text().strip()
    except OSError as error:
        raise PlaceUnknown(f"{data_dir / _ADMIN_KEY} cannot be read: set {KEY}.") from error
