"""The gRPC face of training: translate, call, translate."""

from collections.abc import AsyncIterator
from typing import Any

import grpc

from neuraltrader.inference.v1 import training_service_pb2 as pb
from neuraltrader.inference.v1 import training_service_pb2_grpc as stubs
from services.inference.translate.training import job_message, page_message, pieces_of, question_of, wish_of
from services.inference.usecases.list_training import ListTraining
from services.inference.usecases.receive_training import ReceiveTraining
from services.inference.usecases.train import Train
from services.inference.usecases.training_board import TrainingBoard

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["TrainingService"].full_name
Context = grpc.aio.ServicerContext[Any, Any]


class TrainingRpc(stubs.TrainingServiceServicer):
    """Answers the calls of `TrainingService`."""

    def __init__(self, train: Train, receive: ReceiveTraining, jobs: ListTraining, board: TrainingBoard) -> None:
        self._train = train
        self._receive = receive
        self._jobs = jobs
        self._board = board

    def register(self, server: grpc.aio.Server) -> None:
        """Add the servicer to a server."""
        stubs.add_TrainingServiceServicer_to_server(self, server)

    async def TrainModel(self, request: pb.TrainModelRequest, context: Context) -> pb.TrainModelResponse:
        return pb.TrainModelResponse(job_id=(await self._train(wish_of(request))).id)

    async def UploadTrainingSet(
        self, request_iterator: AsyncIterator[pb.UploadTrainingSetRequest], context: Context
    ) -> pb.UploadTrainingSetResponse:
        return pb.UploadTrainingSetResponse(job_id=(await self._receive(pieces_of(request_iterator))).id)

    async def GetTrainingJob(self, request: pb.GetTrainingJobRequest, context: Context) -> pb.GetTrainingJobResponse:
        return pb.GetTrainingJobResponse(job=job_message(self._board.get(request.job_id)))

    async def ListTrainingJobs(
        self, request: pb.ListTrainingJobsRequest, context: Context
    ) -> pb.ListTrainingJobsResponse:
        return page_message(await self._jobs(question_of(request)))

    async def CancelTrainingJob(
        self, request: pb.CancelTrainingJobRequest, context: Context
    ) -> pb.CancelTrainingJobResponse:
        return pb.CancelTrainingJobResponse(job=job_message(await self._train.cancel(request.job_id)))

    async def WatchTrainingJob(
        self, request: pb.WatchTrainingJobRequest, context: Context
    ) -> AsyncIterator[pb.WatchTrainingJobResponse]:
        async for job in self._board.watch(request.job_id):
            yield pb.WatchTrainingJobResponse(job=job_message(job))
