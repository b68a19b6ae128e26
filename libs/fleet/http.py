"""The one HTTP client of the fleet."""

from collections.abc import Mapping

import httpx

_POOL = httpx.Limits(max_connections=32, max_keepalive_connections=16, keepalive_expiry=60.0)


def http_client(base_url: str, *, headers: Mapping[str, str], timeout_s: float) -> httpx.AsyncClient:
    """A pooled client for one venue; ignores proxies and certificates of the environment's own making."""
    return httpx.AsyncClient(base_url=base_url, headers=dict(headers), timeout=timeout_s, limits=_POOL, trust_env=False)
