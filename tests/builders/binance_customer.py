"""A customer of the Binance protocol: signs, calls, converses."""

import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import urlencode

import httpx
from servers import REPOSITORY
from websockets.sync.client import ClientConnection

PATIENCE_S = 60
SAMPLES = REPOSITORY.parent / "shared" / "payloads" / "binance" / "rest"


def signed(addresses: dict[str, str], **values: object) -> str:
    """A query with its time and its HMAC."""
    query = urlencode({"timestamp": round(time.time() * 1000)} | values)
    return f"{query}&signature={hmac.new(addresses['secret'].encode(), query.encode(), hashlib.sha256).hexdigest()}"


def call(addresses: dict[str, str], verb: str, path: str, query: str = "", **headers: str) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=60) as client:
        shown = {"X-MBX-APIKEY": addresses["key"]} | headers
        return client.request(verb, f"{addresses['rest']}/api/v3/{path}?{query}", headers=shown)


def say(socket: ClientConnection, **message: object) -> Any:
    """Send a request and wait for its answer, past everything that streams, which carries no `id`."""
    socket.send(json.dumps(message))
    while True:
        heard = json.loads(socket.recv(timeout=PATIENCE_S))
        if "id" in heard and "stream" not in heard and "event" not in heard:
            return heard


def flood(socket: ClientConnection) -> None:
    """More messages than a second allows, then listen."""
    for _ in range(20):
        socket.send("{}")
    while True:
        socket.recv(timeout=PATIENCE_S)
