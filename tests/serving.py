"""What tests say of gRPC servers that run behind the fleet's boundary."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import grpc
from waiting import until

from fleet.metrics import Metrics
from fleet.rpc import GrpcServer

Plain = Callable[[str], grpc.aio.Channel]
"""Opens a channel as a foreign client would: without our interceptors."""


class Served(NamedTuple):
    """A server that runs, and what it counts."""

    address: str
    metrics: Metrics
    server: GrpcServer

    async def counted(self, method: str, *codes: str) -> None:
        """Wait until one call of a method was counted, by one of the codes; an answer may leave before the count."""
        await until(lambda: bool(self._counts(method)), f"the count of {method}")
        counts = self._counts(method)
        assert list(counts.values()) == [1.0]
        assert set(counts) <= set(codes)

    def _counts(self, method: str) -> dict[str, float]:
        return {
            sample.labels["code"]: sample.value
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name == "nt_rpc_seconds_count" and sample.labels["method"] == method
        }


class Serve(Protocol):
    """Starts a server with the given servicers, which ends with the test."""

    async def __call__(
        self, *register: Callable[[grpc.aio.Server], None], names: Sequence[str] = (), tokens: Sequence[str] = ()
    ) -> Served: ...


class ListAccounts(Protocol):
    """Calls ListAccounts through a channel of the fleet."""

    async def __call__(self, address: str, token: str | None = None, timeout_s: float | None = None) -> Any: ...
