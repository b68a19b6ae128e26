"""The optimiser, as a caller meets it: the use case over real solver processes, and the gRPC call of a real service."""

import os
from collections.abc import Callable, Iterable, Mapping

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the service has it; only before NumPy is imported

from tests.bench import portfolio_ledger, portfolio_optimiser, portfolio_service
from tests.bench.result import Result

PARTS: Mapping[str, Callable[[], Iterable[Result]]] = {
    "portfolio.max_sharpe_1000": portfolio_optimiser.max_sharpe_1000,
    "portfolio.max_sharpe_3000": portfolio_optimiser.max_sharpe_3000,
    "portfolio.warm_1000": portfolio_optimiser.warm_1000,
    "portfolio.from_returns_1000": portfolio_optimiser.from_returns_1000,
    "portfolio.min_cvar_252x1000": portfolio_optimiser.min_cvar,
    "portfolio.frontier_50x500": portfolio_optimiser.frontier,
    "portfolio.refusals_1000": portfolio_optimiser.refusals,
    "portfolio.max_sharpe_1000_grpc": portfolio_service.max_sharpe_1000_grpc,
    "portfolio.ledger": portfolio_ledger.run,
}
