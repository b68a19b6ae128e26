"""The gRPC face of inference: translate, call, translate."""

import time
from functools import partial
from typing import Any

import grpc

from fleet.rpc import written
from neuraltrader.inference.v1 import inference_service_pb2 as pb
from neuraltrader.inference.v1 import inference_service_pb2_grpc as stubs
from services.inference.domain.watches import Watches
from services.inference.ports import Tables
from services.inference.translate import latency, models, rows
from services.inference.translate.drift import drift_message
from services.inference.usecases.predict import Asked, Predict
from services.inference.usecases.serve_models import ServeModels
from services.inference.usecases.statistics import Statistics

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["InferenceService"].full_name
_MS_PER_NS = 1e-6
Context = grpc.aio.ServicerContext[Any, Any]


class InferenceRpc(stubs.InferenceServiceServicer):
    """Answers the calls of `InferenceService`."""

    def __init__(
        self, predict: Predict, models: ServeModels, statistics: Statistics, watches: Watches, tables: Tables
    ) -> None:
        self._predict = predict
        self._models = models
        self._statistics = statistics
        self._watches = watches
        self._tables = tables

    def register(self, server: grpc.aio.Server) -> None:
        """Add the servicer to a server."""
        stubs.add_InferenceServiceServicer_to_server(self, server)

    async def Predict(self, request: pb.PredictRequest, context: Context) -> pb.PredictResponse:
        started_ns = time.perf_counter_ns()
        read = partial(rows.rows_of, request, self._tables)
        scores = await self._predict(Asked(request.model, request.version, rows.size_of(request), read))
        card = scores.model.card
        rest = pb.PredictResponse(
            calibrated=card.calibration is not None,
            model=card.name,
            version=card.version,
            device=scores.model.running.device,
            latency_ms=(time.perf_counter_ns() - started_ns) * _MS_PER_NS,
        )
        wire = rows.scores_wire(scores.predictions, scores.confidence, scores.warm, rest)
        return written(pb.PredictResponse, wire)

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        return pb.ListModelsResponse(models=[models.status_message(each) for each in await self._models.all()])

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.GetModelResponse:
        return pb.GetModelResponse(model=models.status_message(await self._models.status(request.name)))

    async def GetStats(self, request: pb.GetStatsRequest, context: Context) -> pb.GetStatsResponse:
        counted = self._statistics
        return pb.GetStatsResponse(
            ticks=counted.ticks,
            predictions=counted.predictions,
            signals=counted.signals,
            missed_ticks=counted.missed_ticks,
            tick_to_signal=latency.latency_message(counted.tick_to_signal),
            tick_to_prediction=latency.latency_message(counted.tick_to_prediction),
        )

    async def GetDrift(self, request: pb.GetDriftRequest, context: Context) -> pb.GetDriftResponse:
        card = (await self._models.status(request.model)).card
        return pb.GetDriftResponse(drift=drift_message(self._watches.drift(card.name, card.version)))
