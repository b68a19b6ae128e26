"""Who calls, and may they: API keys compared as HMACs in constant time, and one table of scopes per route."""

import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from trading.errors import PermissionDenied, Unauthenticated

_LONGEST_KEY = 256
_KEY = re.compile(r"nt_([A-Za-z0-9-]{1,32})_[A-Za-z0-9_-]{16,}")
ADMIN_ID = "admin"


class Scope(StrEnum):
    """What a key may be good for; OPEN needs none."""

    OPEN = "open"
    READ = "read"
    TRADE = "trade"
    ADMIN = "admin"


ALL_SCOPES = frozenset({Scope.READ, Scope.TRADE, Scope.ADMIN})

ROUTE_SCOPES: Mapping[tuple[str, str], Scope] = {
    ("GET", "/healthz"): Scope.OPEN,
    ("GET", "/readyz"): Scope.OPEN,
    ("GET", "/openapi.json"): Scope.OPEN,
    ("GET", "/docs"): Scope.OPEN,
    ("GET", "/v1/version"): Scope.OPEN,
    ("POST", "/v1/config/validate"): Scope.READ,
    ("GET", "/v1/instruments"): Scope.READ,
    ("GET", "/v1/market-data/quotes/{symbol}"): Scope.READ,
    ("GET", "/v1/market-data/windows/{symbol}"): Scope.READ,
    ("GET", "/v1/market-data/bars"): Scope.READ,
    ("POST", "/v1/market-data/query"): Scope.READ,
    ("GET", "/v1/models"): Scope.READ,
    ("POST", "/v1/models"): Scope.ADMIN,
    ("GET", "/v1/models/{name}"): Scope.READ,
    ("DELETE", "/v1/models/{name}"): Scope.ADMIN,
    ("GET", "/v1/models/{name}/versions"): Scope.READ,
    ("POST", "/v1/models/{name}/promote"): Scope.ADMIN,
    ("POST", "/v1/models/{name}/rollback"): Scope.ADMIN,
    ("POST", "/v1/models/{name}/load"): Scope.ADMIN,
    ("POST", "/v1/models/{name}/unload"): Scope.ADMIN,
    ("PUT", "/v1/models/{name}/canary"): Scope.ADMIN,
    ("PUT", "/v1/models/{name}/shadow"): Scope.ADMIN,
    ("GET", "/v1/models/{name}/export"): Scope.ADMIN,
    ("POST", "/v1/models/{name}/predict"): Scope.READ,
    ("GET", "/v1/models/{name}/drift"): Scope.READ,
    ("POST", "/v1/models/{name}/train"): Scope.TRADE,
    ("GET", "/v1/training-jobs"): Scope.READ,
    ("GET", "/v1/training-jobs/{id}"): Scope.READ,
    ("DELETE", "/v1/training-jobs/{id}"): Scope.TRADE,
    ("POST", "/v1/orders"): Scope.TRADE,
    ("GET", "/v1/orders"): Scope.READ,
    ("DELETE", "/v1/orders"): Scope.TRADE,
    ("GET", "/v1/orders/{order_id}"): Scope.READ,
    ("PATCH", "/v1/orders/{order_id}"): Scope.TRADE,
    ("DELETE", "/v1/orders/{order_id}"): Scope.TRADE,
    ("GET", "/v1/orders/{order_id}/events"): Scope.READ,
    ("GET", "/v1/execution/stats"): Scope.READ,
    ("POST", "/v1/execution/halt"): Scope.TRADE,
    ("POST", "/v1/execution/resume"): Scope.ADMIN,
    ("GET", "/v1/risk-limits"): Scope.READ,
    ("PUT", "/v1/risk-limits"): Scope.ADMIN,
    ("GET", "/v1/execution/signal-trading"): Scope.READ,
    ("PUT", "/v1/execution/signal-trading"): Scope.ADMIN,
    ("GET", "/v1/execution/audit"): Scope.READ,
    ("GET", "/v1/execution/statement"): Scope.READ,
    ("GET", "/v1/execution/venue-comparison"): Scope.READ,
    ("GET", "/v1/accounts"): Scope.READ,
    ("GET", "/v1/account"): Scope.READ,
    ("GET", "/v1/positions"): Scope.READ,
    ("POST", "/v1/accounts/{account}/transfers"): Scope.ADMIN,
    ("POST", "/v1/accounts/{account}/positions"): Scope.ADMIN,
    ("GET", "/v1/portfolio/performance"): Scope.READ,
    ("POST", "/v1/portfolio/optimize"): Scope.READ,
    ("POST", "/v1/portfolio/frontier"): Scope.READ,
    ("POST", "/v1/portfolio/risk"): Scope.READ,
    ("POST", "/v1/portfolio/risk/simulate"): Scope.READ,
    ("POST", "/v1/portfolio/risk/stress"): Scope.READ,
    ("GET", "/v2"): Scope.READ,
    ("GET", "/v2/health/live"): Scope.READ,
    ("GET", "/v2/health/ready"): Scope.READ,
    ("GET", "/v2/models/stats"): Scope.READ,
    ("GET", "/v2/models/{name}"): Scope.READ,
    ("GET", "/v2/models/{name}/ready"): Scope.READ,
    ("GET", "/v2/models/{name}/config"): Scope.READ,
    ("GET", "/v2/models/{name}/stats"): Scope.READ,
    ("GET", "/v2/models/{name}/versions/{version}"): Scope.READ,
    ("GET", "/v2/models/{name}/versions/{version}/ready"): Scope.READ,
    ("GET", "/v2/models/{name}/versions/{version}/config"): Scope.READ,
    ("GET", "/v2/models/{name}/versions/{version}/stats"): Scope.READ,
    ("POST", "/v2/models/{name}/infer"): Scope.READ,
    ("POST", "/v2/models/{name}/versions/{version}/infer"): Scope.READ,
    ("POST", "/v2/repository/index"): Scope.READ,
    ("POST", "/v2/repository/models/{name}/load"): Scope.ADMIN,
    ("POST", "/v2/repository/models/{name}/unload"): Scope.ADMIN,
    ("POST", "/v1/portfolio/rebalances"): Scope.TRADE,
    ("GET", "/v1/portfolio/rebalances"): Scope.READ,
    ("GET", "/v1/portfolio/rebalances/{id}"): Scope.READ,
    ("POST", "/v1/portfolio/rebalances/{id}/execute"): Scope.TRADE,
    ("DELETE", "/v1/portfolio/rebalances/{id}"): Scope.TRADE,
    ("GET", "/v1/portfolio/schedules"): Scope.READ,
    ("PUT", "/v1/portfolio/schedules/{account}"): Scope.TRADE,
    ("DELETE", "/v1/portfolio/schedules/{account}"): Scope.TRADE,
    ("WEBSOCKET", "/v1/stream"): Scope.READ,
}
"""What each route needs. A route that is not here is served to nobody."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls; `accounts` None means all of them."""

    id: str
    scopes: frozenset[Scope]
    accounts: frozenset[str] | None = None

    def require(self, scope: Scope) -> None:
        """Raise PermissionDenied unless the key is good for `scope`."""
        if scope is not Scope.OPEN and scope not in self.scopes:
            raise PermissionDenied(
                f"The key lacks the scope {scope.value!r}.", reason="SCOPE_MISSING", scope=scope.value
            )


ANONYMOUS = Principal("", frozenset())


@dataclass(frozen=True, slots=True)
class _Record:
    digest: bytes
    principal: Principal


@dataclass(slots=True)
class Keys:
    """The keys that are good, each kept only as its HMAC-SHA256 under a pepper."""

    pepper: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _records: dict[str, _Record] = field(default_factory=dict, repr=False)

    def add(self, key: str, scopes: frozenset[Scope], accounts: frozenset[str] | None = None) -> None:
        """Accept `key` from now on."""
        key_id = _id_of(key)
        self._records[key_id] = _Record(self._digest(key), Principal(key_id, scopes, accounts))

    def identify(self, key: str) -> Principal:
        """Who shows this key; raises Unauthenticated. Takes the same time for a wrong secret as for a right one."""
        record = self._records.get(_id_of(key)) if 0 < len(key) <= _LONGEST_KEY else None
        expected = record.digest if record else bytes(32)
        matches = hmac.compare_digest(self._digest(key[:_LONGEST_KEY]), expected)
        if record is None or not matches:
            raise Unauthenticated("The API key is wrong.", reason="WRONG_KEY")
        return record.principal

    def of_header(self, authorization: str | None) -> Principal:
        """Who sends this Authorization header; raises Unauthenticated."""
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise Unauthenticated("Expected the header `Authorization: Bearer <key>`.", reason="KEY_MISSING")
        return self.identify(key.strip())

    def _digest(self, key: str) -> bytes:
        return hmac.digest(self.pepper, key.encode("utf-8", "surrogatepass"), "sha256")


def _id_of(key: str) -> str:
    match = _KEY.fullmatch(key)
    return match[1] if match else ADMIN_ID


def scope_of(method: str, path: str) -> Scope | None:
    """What a route needs, or None when nobody may call it."""
    return ROUTE_SCOPES.get((method, path))
