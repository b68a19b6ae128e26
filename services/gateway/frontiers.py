"""Efficient frontiers from portfolio: a stream of points, gathered."""

from collections.abc import Callable, Sequence

import grpc

from fleet import deadline, rpc_errors
from neuraltrader.portfolio.v1 import portfolio_service_pb2 as rpc
from neuraltrader.portfolio.v1.portfolio_service_pb2_grpc import PortfolioServiceStub

Metadata = Callable[[], tuple[tuple[str, str], ...]]
TIMEOUT_S = 30.0


class Frontiers:
    """Asks portfolio for all points of a frontier."""

    def __init__(self, stub: PortfolioServiceStub, metadata: Metadata) -> None:
        self._stub, self._metadata = stub, metadata

    async def __call__(self, problem: rpc.OptimizeRequest, points: int) -> Sequence[rpc.OptimizeResponse]:
        """The points by rising risk; raises what the problem earns, by its name."""
        request = rpc.ComputeFrontierRequest(problem=problem, points=points)
        call = self._stub.ComputeFrontier(request, metadata=self._metadata(), timeout=deadline.remaining(TIMEOUT_S))
        try:
            return [answer.point async for answer in call]
        except grpc.aio.AioRpcError as error:
            raise rpc_errors.from_rpc_error(error) from error
        finally:
            call.cancel()
