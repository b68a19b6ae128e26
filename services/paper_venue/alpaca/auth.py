"""Who may come in: one key and its secret, shown as headers or in a first message."""

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Credentials:
    """The key pair of the one customer."""

    key: str
    secret: str

    def match(self, key: object, secret: object) -> bool:
        """Compare in constant time."""
        shown = f"{key}\x00{secret}".encode(errors="replace")
        return hmac.compare_digest(shown, f"{self.key}\x00{self.secret}".encode())

    def match_headers(self, headers: Mapping[str, str]) -> bool:
        """Accept Alpaca's two headers, or the same pair as HTTP Basic."""
        if "apca-api-key-id" in headers:
            return self.match(headers["apca-api-key-id"], headers.get("apca-api-secret-key"))
        scheme, _, value = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "basic" and self.match(*_basic(value))


def _basic(value: str) -> tuple[str, str]:
    try:
        key, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return key, secret
