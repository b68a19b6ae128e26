"""Who may come in: an API key, and requests signed with its secret (HMAC-SHA256) or its Ed25519 key."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from services.paper_venue.binance.ed25519 import SigningKey
from services.paper_venue.binance.errors import (
    BAD_KEY_FORMAT,
    INVALID_SIGNATURE,
    INVALID_TIMESTAMP,
    REJECTED_KEY,
    ApiError,
)
from services.paper_venue.binance.params import Params

_AHEAD_MS = 1_000
_USUAL_WINDOW_MS, _WIDEST_WINDOW_MS = 5_000, 60_000
_MICROSECONDS_FROM = 10**15  # a time of today in ms is far below, in µs above
_HEX_SIGNATURE = 64


@dataclass(frozen=True, slots=True)
class Keys:
    """What the one customer may sign with; the key names both the secret and the Ed25519 key."""

    key: str
    secret: str
    ed25519: SigningKey

    @classmethod
    def of(cls, key: str, secret: str) -> "Keys":
        """The customer's keys; the Ed25519 key follows from the secret, so that who fixes one fixes both."""
        return cls(key, secret, SigningKey(hashlib.sha256(b"binance ed25519 " + secret.encode()).digest()))

    def check_key(self, shown: str | None) -> None:
        """Refuse a missing or foreign API key."""
        if not shown:
            raise ApiError(BAD_KEY_FORMAT, "API-key format invalid.", 401)
        if not hmac.compare_digest(shown.encode(errors="replace"), self.key.encode()):
            raise ApiError(REJECTED_KEY, "Invalid API-key, IP, or permissions for action.", 401)

    def check_signature(self, signature: str, payload: str) -> None:
        """Refuse a signature that is neither the HMAC (hex, any case) nor the Ed25519 (base64) of the payload."""
        if len(signature) == _HEX_SIGNATURE:
            expected = hmac.new(self.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
            good = hmac.compare_digest(signature.lower().encode(errors="replace"), expected.encode())
        else:
            good = self.ed25519.accepts(signature, payload.encode())
        if not good:
            raise ApiError(INVALID_SIGNATURE, "Signature for this request is not valid.")

    def check_ed25519(self, signature: str, payload: str) -> None:
        """Refuse all but an Ed25519 signature: what a session is opened with."""
        if not self.ed25519.accepts(signature, payload.encode()):
            raise ApiError(INVALID_SIGNATURE, "Signature for this request is not valid.")


def check_time(params: Params, now_ns: int) -> None:
    """Refuse a request from the future, or one older than its own `recvWindow` (ms) allows."""
    stated = params.whole("timestamp", least=0)
    stated_us = stated if stated >= _MICROSECONDS_FROM else stated * 1_000
    window_ms = params.amount_of_ms("recvWindow", _USUAL_WINDOW_MS, _WIDEST_WINDOW_MS)
    now_us = now_ns // 1_000
    if stated_us >= now_us + _AHEAD_MS * 1_000:
        raise ApiError(INVALID_TIMESTAMP, f"Timestamp for this request was {_AHEAD_MS}ms ahead of the server's time.")
    if now_us - stated_us > window_ms * 1_000:
        raise ApiError(INVALID_TIMESTAMP, "Timestamp for this request is outside of the recvWindow.")


def signed_text(query: str, body: str) -> tuple[str, str | None]:
    """What a REST request signs, and its signature: query and body as they were sent, without the signature."""
    signature: str | None = None
    kept = []
    for part in (query, body):
        pairs = part.split("&") if part else []
        for pair in pairs:
            if pair.startswith("signature="):
                signature = signature or unquote(pair.removeprefix("signature="))
        kept.append("&".join(pair for pair in pairs if not pair.startswith("signature=")))
    return "".join(kept), signature


def sorted_text(values: Mapping[str, str]) -> str:
    """What a WebSocket API request signs: all parameters by name, without the signature."""
    return "&".join(f"{name}={values[name]}" for name in sorted(values) if name != "signature")


def new_client_id() -> str:
    """A name for an order or a cancellation that the customer did not name."""
    return secrets.token_hex(11)
