"""The calls of the book beside its positions: translate, call, translate."""

import grpc

from fleet.rpc import Context
from neuraltrader.portfolio.v1 import book_service_pb2 as pb
from neuraltrader.portfolio.v1 import book_service_pb2_grpc as pb_grpc
from services.portfolio.translate import booked
from services.portfolio.usecases.import_positions import ImportPositions
from services.portfolio.usecases.read_performance import ReadPerformance
from services.portfolio.usecases.record_transfer import RecordTransfer

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["BookService"].full_name


class BookRpc(pb_grpc.BookServiceServicer):
    """BookService over the use cases."""

    def __init__(
        self, performance: ReadPerformance, record_transfer: RecordTransfer, import_positions: ImportPositions
    ) -> None:
        self._performance = performance
        self._record_transfer = record_transfer
        self._import_positions = import_positions

    def register(self, server: grpc.aio.Server) -> None:
        """Add this servicer to a server."""
        pb_grpc.add_BookServiceServicer_to_server(self, server)

    async def GetPerformance(
        self,
        request: pb.GetPerformanceRequest,
        context: Context,
    ) -> pb.GetPerformanceResponse:
        return booked.performance_response(await self._performance(booked.question_of(request)))

    async def RecordTransfer(
        self,
        request: pb.RecordTransferRequest,
        context: Context,
    ) -> pb.RecordTransferResponse:
        return booked.transfer_response(await self._record_transfer(booked.transfer_request(request)))

    async def ImportPositions(
        self,
        request: pb.ImportPositionsRequest,
        context: Context,
    ) -> pb.ImportPositionsResponse:
        imported = await self._import_positions(booked.import_request(request))
        return booked.import_response(imported.repeated, imported.holdings.positions)
