"""Execution over gRPC."""

from neuraltrader.execution.v1 import execution_service_pb2 as pb
from neuraltrader.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from services.portfolio.domain.account import AccountTerms
from services.portfolio.ports import ChargePage, FillPage
from services.portfolio.translate.executed import charge_of, fill_of, terms_of


class GrpcExecution:
    """Reads execution's log of fills, its record of charges and its accounts."""

    def __init__(self, stub: ExecutionServiceStub) -> None:
        self._stub = stub

    async def fills_after(self, log_sequence: int, limit: int, timeout_s: float) -> FillPage:
        """Fills later in the log than `log_sequence`, in its order."""
        request = pb.ListFillsRequest(after_log_sequence=log_sequence, page_size=limit)
        answer = await self._stub.ListFills(request, timeout=timeout_s)
        return FillPage(tuple(fill_of(fill) for fill in answer.fills), answer.has_more)

    async def charges_after(self, sequence: int, limit: int, timeout_s: float) -> ChargePage:
        """Charges later in the record than `sequence`, in its order."""
        request = pb.ListChargesRequest(after_sequence=sequence, page_size=limit)
        answer = await self._stub.ListCharges(request, timeout=timeout_s)
        return ChargePage(tuple(charge_of(charge) for charge in answer.charges), answer.has_more)

    async def accounts(self, timeout_s: float) -> tuple[AccountTerms, ...]:
        """Its accounts, by id."""
        answer = await self._stub.ListAccounts(pb.ListAccountsRequest(), timeout=timeout_s)
        return tuple(sorted(terms_of(account) for account in answer.accounts))
