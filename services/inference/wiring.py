"""Builds the inference service; the only room that sees adapters and settings."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import resources
from pathlib import Path

from fleet import bus, channels
from fleet.service import Runtime, Service
from neuraltrader.market_data.v1.market_data_service_pb2_grpc import MarketDataServiceStub
from services.inference.adapters.grpc_instruments import GrpcInstruments
from services.inference.adapters.model_files import ModelFiles, load_models
from services.inference.adapters.nats_opinions import NatsOpinions
from services.inference.adapters.onnx_session import SessionRules
from services.inference.domain.markets import Markets
from services.inference.domain.signals import SignalBook, SignalRules
from services.inference.listeners import Listeners
from services.inference.rpc.inference import SERVICE_NAME, InferenceRpc
from services.inference.settings import Settings
from services.inference.usecases.follow import Follow, FollowRules
from services.inference.usecases.predict import Predict
from services.inference.usecases.statistics import Statistics
from trading.ids import new_id

_MS_NS = 1_000_000


@asynccontextmanager
async def wire(settings: Settings, runtime: Runtime) -> AsyncIterator[Service]:
    """Enter what the service holds, and say what it does."""
    async with AsyncExitStack() as stack:
        models = _models(settings, runtime)
        stack.callback(models.close)
        nats = await stack.enter_async_context(bus.connect(settings.nats_url, runtime.name, runtime.metrics))
        channel = await stack.enter_async_context(
            channels.connect(settings.market_data_address, token=settings.token, client=runtime.name)
        )
        instruments = GrpcInstruments(
            MarketDataServiceStub(channel), settings.instruments_refresh_s, settings.instruments_retry_s, runtime.log
        )
        model, markets = models.get(settings.default_model), Markets()
        statistics = Statistics(runtime.metrics, model.card.name, runtime.log)
        follow = Follow(
            model,
            markets,
            SignalBook(_signal_rules(settings)),
            NatsOpinions(nats),
            statistics,
            runtime.clock,
            new_id,
            _follow_rules(settings),
        )
        listeners = Listeners(nats, follow, runtime.log)
        rpc = InferenceRpc(Predict(models, markets, instruments), models, statistics)
        yield Service(
            register=[rpc.register],
            service_names=[SERVICE_NAME],
            loops={"quotes": listeners.quotes, "trades": listeners.trades, "instruments": instruments.refresh},
            checks={"nats": nats.check},
        )


def _models(settings: Settings, runtime: Runtime) -> ModelFiles:
    shipped = Path(str(resources.files("services.inference") / "models"))
    rules = SessionRules(settings.use_gpu, settings.model_inline_us, settings.predict_batch_rows)
    models = load_models([shipped, settings.data_dir / "models"], settings.default_model, rules, runtime.log)
    for name in models.names:
        model = models.get(name)
        runtime.log.info(
            "model.loaded",
            model=name,
            version=model.card.version,
            device=model.running.device,
            load_ms=round(model.running.load_ms, 1),
            run_us=model.running.run_ns / 1e3,
            inline=model.running.inline,
        )
    return models


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
