"""Who may come in: one API key, shown as a Bearer token, as a query parameter or in a first message."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The key of the one customer."""

    text: str

    def match(self, shown: object) -> bool:
        """Compare in constant time."""
        return isinstance(shown, str) and hmac.compare_digest(shown.encode(errors="replace"), self.text.encode())


def shown_key(headers: Mapping[str, str], query: Mapping[str, str]) -> str | None:
    """The key that a request carries: the header goes before the parameter."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else query.get("apiKey")
