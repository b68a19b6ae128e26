"""Builds the inference service; the only room that sees adapters and settings."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from fleet import bus, channels
from fleet.service import Runtime, Service
from neuraltrader.market_data.v1.market_data_service_pb2_grpc import MarketDataServiceStub
from services.inference.adapters.arrow_tables import ArrowTables
from services.inference.adapters.delegating_loader import DelegatingLoader
from services.inference.adapters.drift_gauges import DriftGauges
from services.inference.adapters.grpc_instruments import GrpcInstruments
from services.inference.adapters.nats_opinions import NatsOpinions
from services.inference.adapters.nats_training import NatsTraining
from services.inference.adapters.oip_model import DelegationRules
from services.inference.adapters.onnx_runtime import bound_memory, check_installation
from services.inference.adapters.onnx_session import SessionRules
from services.inference.adapters.probe import TrialRules
from services.inference.adapters.registry_export import RegistryExport
from services.inference.adapters.registry_files import RegistryFiles
from services.inference.adapters.registry_loader import RegistryLoader
from services.inference.adapters.safetensors_file import FileLimits
from services.inference.adapters.thread_workshop import ThreadWorkshop
from services.inference.adapters.trained_models import TrainedModelFiles
from services.inference.adapters.training_files import TrainingFiles
from services.inference.adapters.training_process import TrainingProcess
from services.inference.adapters.training_worker import WorkerRules
from services.inference.domain.infer_counts import InferCounts
from services.inference.domain.markets import Markets
from services.inference.domain.signals import SignalRules
from services.inference.domain.watches import Watches, WatchRules
from services.inference.listeners import Listeners
from services.inference.rpc import open_inference
from services.inference.rpc.inference import SERVICE_NAME, InferenceRpc
from services.inference.rpc.registry import SERVICE_NAME as REGISTRY_SERVICE_NAME
from services.inference.rpc.registry import RegistryRpc
from services.inference.rpc.training import SERVICE_NAME as TRAINING_SERVICE_NAME
from services.inference.rpc.training import TrainingRpc
from services.inference.settings import Settings
from services.inference.usecases.compare_shadows import CompareShadows
from services.inference.usecases.follow import Follow, Follower, FollowRules, followers
from services.inference.usecases.infer import Infer
from services.inference.usecases.list_training import ListTraining
from services.inference.usecases.predict import Predict, PredictRules
from services.inference.usecases.receive_model import ReceiveModel
from services.inference.usecases.receive_training import ReceiveRules, ReceiveTraining
from services.inference.usecases.repository import Repository
from services.inference.usecases.run_training import QueueRules, RunTraining
from services.inference.usecases.serve_models import ServeModels
from services.inference.usecases.statistics import Statistics
from services.inference.usecases.train import Train, TrainRules
from services.inference.usecases.training_board import TrainingBoard
from trading.ids import new_id

_MS_NS = 1_000_000
_MB = 1024 * 1024
SHIPPED = Path(str(resources.files("services.inference") / "models"))


@asynccontextmanager
async def wire(settings: Settings, runtime: Runtime) -> AsyncIterator[Service]:
    """Enter what the service holds, and say what it does."""
    async with AsyncExitStack() as stack:
        registry = _registry(settings, runtime, stack)
        models = registry.models
        stack.callback(registry.loader.close)
        stack.callback(models.close)
        await models.start()
        nats = await stack.enter_async_context(bus.connect(settings.nats_url, runtime.name, runtime.metrics))
        channel = await stack.enter_async_context(
            channels.connect(settings.market_data_address, token=settings.token, client=runtime.name)
        )
        instruments = GrpcInstruments(
            MarketDataServiceStub(channel), settings.instruments_refresh_s, settings.instruments_retry_s, runtime.log
        )
        markets, watches = Markets(settings.windows_mb_max * _MB), Watches(_watch_rules(settings))
        following, shadows = _followers(settings), CompareShadows(models, settings.shadow_waiting_max)
        statistics = Statistics(runtime.metrics, [each.name for each in following], runtime.log)
        follow = Follow(
            models,
            following,
            markets,
            NatsOpinions(nats),
            statistics,
            watches,
            shadows,
            runtime.clock,
            new_id,
            _follow_rules(settings),
        )
        training = _training(settings, runtime, registry, NatsTraining(nats), stack)
        listeners = Listeners(nats, follow, runtime.log)
        workshop = ThreadWorkshop()
        stack.callback(workshop.close)
        rules = PredictRules(settings.predict_inline_rows, settings.predict_waiting)
        predict = Predict(models, markets, instruments, workshop, rules, shadows)
        rpc = InferenceRpc(predict, models, statistics, watches, ArrowTables())
        yield Service(
            register=[
                rpc.register,
                training.rpc.register,
                registry.rpc.register,
                _open_inference(settings, models, runtime).register,
            ],
            service_names=[SERVICE_NAME, TRAINING_SERVICE_NAME, REGISTRY_SERVICE_NAME, open_inference.SERVICE_NAME],
            loops={
                "quotes": listeners.quotes,
                "trades": listeners.trades,
                "instruments": instruments.refresh,
                "training": training.loop,
                "shadows": shadows.keep,
                "drift": DriftGauges(watches, runtime.metrics, settings.drift_report_s).keep,
            },
            checks={"nats": nats.check},
        )


class _Training(NamedTuple):
    rpc: TrainingRpc
    loop: Callable[[], Coroutine[Any, Any, None]]


def _training(
    settings: Settings, runtime: Runtime, registry: "_Registry", news: NatsTraining, stack: AsyncExitStack
) -> _Training:
    files = TrainingFiles(settings.data_dir / "training", settings.training_jobs_kept, runtime.log)
    work = WorkerRules(settings.training_memory_mb * _MB, settings.training_niceness, settings.training_checkpoint_s)
    models = TrainedModelFiles(registry.files, registry.limits)
    board = TrainingBoard(files, news, settings.training_jobs_kept)
    queue = RunTraining(
        board,
        TrainingProcess(files, work),
        registry.models,
        models,
        runtime.clock,
        QueueRules(settings.training_waiting_max, settings.training_attempts_max),
        runtime.log,
    )
    workshop = ThreadWorkshop()
    stack.callback(workshop.close)
    train = Train(
        registry.models,
        models,
        files,
        board,
        queue,
        workshop,
        runtime.clock,
        new_id,
        TrainRules(rows_max=settings.training_rows_max),
    )
    rules = ReceiveRules(settings.training_set_mb_max * _MB, settings.training_uploads_max, settings.training_upload_s)
    receive, jobs = ReceiveTraining(train, rules), ListTraining(board, registry.models)
    return _Training(TrainingRpc(train, receive, jobs, board), queue.run)


class _Registry(NamedTuple):
    rpc: RegistryRpc
    models: ServeModels
    loader: RegistryLoader
    files: RegistryFiles
    limits: FileLimits


def _registry(settings: Settings, runtime: Runtime, stack: AsyncExitStack) -> _Registry:
    check_installation()
    bound_memory(settings.model_run_memory_mb_max * _MB)
    files = RegistryFiles(SHIPPED, settings.data_dir / "models")
    session = SessionRules(
        gpu=settings.use_gpu,
        inline_us=settings.model_inline_us,
        batch_rows=settings.predict_batch_rows,
        deadline_s=settings.model_deadline_s,
        waiting_rows=settings.model_waiting_rows_max,
    )
    limits = FileLimits(
        file_bytes=settings.model_file_mb_max * _MB,
        header_bytes=settings.model_header_kb_max * 1024,
        tensor_bytes=settings.model_tensor_mb_max * _MB,
        tensors=settings.model_tensors_max,
    )
    trial = TrialRules(settings.model_trial_memory_mb * _MB, settings.model_trial_s, settings.predict_batch_rows)
    loader = RegistryLoader(files, session, limits, trial, runtime.log)
    token = settings.delegated_token.get_secret_value() if settings.delegated_token else None
    rules = DelegationRules(settings.delegated_calls_max, settings.delegated_rest_s)
    either = DelegatingLoader(loader, files, stack, token, rules, runtime.metrics, runtime.clock, runtime.log)
    models = ServeModels(
        files, either, settings.default_model, settings.models_loaded_max, runtime.log, followed=settings.follow_models
    )
    export = RegistryExport(files, limits)
    return _Registry(
        RegistryRpc(models, ReceiveModel(models, loader, limits.file_bytes), export.pieces),
        models,
        loader,
        files,
        limits,
    )


def _open_inference(settings: Settings, models: ServeModels, runtime: Runtime) -> open_inference.OpenInferenceRpc:
    counts, rows_max = InferCounts(), settings.infer_rows_max
    infer = Infer(models, counts, runtime.clock, rows_max)
    return open_inference.OpenInferenceRpc(infer, Repository(models, counts), version("neural-trader-fleet"), rows_max)


def _followers(settings: Settings) -> list[Follower]:
    """The default model and those that follow beside it, each once."""
    names = list(dict.fromkeys([settings.default_model, *settings.follow_models]))
    return followers(names, _signal_rules(settings), names if settings.signal_models == "all" else names[:1])


def _watch_rules(settings: Settings) -> WatchRules:
    return WatchRules(
        rows=settings.drift_rows,
        stride=settings.drift_stride,
        outcomes=settings.drift_outcomes,
        waiting=settings.drift_waiting,
    )


def _signal_rules(settings: Settings) -> SignalRules:
    return SignalRules(
        threshold=settings.signal_threshold,
        release=0.5 + (settings.signal_threshold - 0.5) * settings.signal_release,
        strength_step=settings.signal_strength_step,
        cooldown_ns=settings.signal_cooldown_ms * _MS_NS,
        reaffirm_ns=settings.signal_reaffirm_ms * _MS_NS,
    )


def _follow_rules(settings: Settings) -> FollowRules:
    return FollowRules(
        signal_ttl_ns=settings.signal_ttl_ms * _MS_NS,
        stale_after_ns=settings.stale_after_ms * _MS_NS,
        signal_clock=settings.signal_clock,
    )
