"""Models in the live path of a running service: sequences on NATS, and versions that change while ticks come."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from builders.inference import a_walk
from builders.registry import a_version
from integration.inference.test_service import (
    TOKEN,
    Ear,
    Inference,
    market,
    market_data,
    running,
    send_quotes,
    stub,
)
from servers import nats_server
from waiting import until

from fleet import channels, subjects
from fleet.bus import Bus
from neuraltrader.inference.v1 import inference_pb2
from neuraltrader.inference.v1 import inference_service_pb2 as rpc
from neuraltrader.inference.v1 import registry_service_pb2 as pb
from neuraltrader.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from neuraltrader.inference.v1.registry_service_pb2_grpc import RegistryServiceStub
from services.inference.domain.features import WARM_UP_TICKS

__all__ = ["market", "market_data", "stub"]
WINDOW = 12


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, market_data: str) -> Iterator[Inference]:
    """A service whose default model has three versions: a network of rows, a sequence, and another one."""
    folder = tmp_path_factory.mktemp("live")
    for version, says, kind in (("1", 1.0, "mlp"), ("2", -1.0, "gru"), ("3", 2.0, "mlp")):
        a_version(folder / "models", version, says, name="swapped", kind=kind)
    with nats_server(folder) as url, running(url, market_data, folder, NT_DEFAULT_MODEL="swapped") as started:
        yield started


@pytest.fixture
async def registry(shared: Inference) -> AsyncIterator[RegistryServiceStub]:
    """A caller who may change things; version 3 is active at the start."""
    async with channels.connect(
        f"127.0.0.1:{shared.grpc_port}", token=TOKEN, client="test", default_timeout_s=60
    ) as channel:
        found = RegistryServiceStub(channel)
        await found.PromoteModel(pb.PromoteModelRequest(name="swapped", version="3"))
        yield found


async def an_ear(bus: Bus, symbol: str) -> Ear:
    ear = Ear(bus, subjects.prediction("swapped", symbol), inference_pb2.Prediction)
    await asyncio.sleep(0)
    await bus.flush()
    return ear


async def test_a_sequence_model_predicts_live_once_its_window_is_whole(
    registry: RegistryServiceStub, market: Bus, stub: InferenceServiceStub
) -> None:
    await registry.PromoteModel(pb.PromoteModelRequest(name="swapped", version="2"))
    ear = await an_ear(market, "SCORED")
    bids = a_walk(WARM_UP_TICKS + WINDOW + 10)
    for first in range(len(bids)):
        await send_quotes(market, "SCORED", bids[first : first + 1], first)
    heard = await ear.at_least(len(bids))
    warm = [prediction.warm for prediction in heard]
    assert warm.index(True) == WARM_UP_TICKS - 1 + WINDOW - 1
    assert {prediction.version for prediction in heard} == {"2"}
    assert all(prediction.prediction < 0 for prediction in heard if prediction.warm)
    row = inference_pb2.MarketDataRow(symbol="SCORED", price=100.0, bid=99.99, ask=100.01, timestamp_ns=1)
    answer = await stub.Predict(rpc.PredictRequest(model="swapped", market_data=[row]))
    assert (list(answer.warm), answer.version) == ([True], "2"), "a request goes on from the live rows"


async def test_versions_change_while_ticks_come_and_every_prediction_is_of_one(
    registry: RegistryServiceStub, market: Bus
) -> None:
    ear = await an_ear(market, "MANY")
    bids = a_walk(400)

    async def change() -> None:
        for version in ("1", "1", "1", "1"):
            await registry.PromoteModel(pb.PromoteModelRequest(name="swapped", version=version))
            await registry.RollbackModel(pb.RollbackModelRequest(name="swapped"))

    changing = asyncio.create_task(change())
    for first in range(len(bids)):
        await send_quotes(market, "MANY", bids[first : first + 1], first)
        await asyncio.sleep(0.002)
    await changing
    heard = await ear.at_least(len(bids))
    said = {"1": 0.4621, "3": 0.7616}
    assert len(heard) == len(bids), "no tick is without its prediction"
    for prediction in heard:
        assert not prediction.warm or prediction.prediction == pytest.approx(said[prediction.version], abs=1e-3)
    assert {prediction.version for prediction in heard} == {"1", "3"}


async def test_a_shadow_is_compared_live_and_told_with_the_model(
    registry: RegistryServiceStub, market: Bus, stub: InferenceServiceStub
) -> None:
    await registry.SetShadow(pb.SetShadowRequest(name="swapped", version="2"))
    ear = await an_ear(market, "WAYS")
    bids = a_walk(WARM_UP_TICKS + 60)
    for first in range(len(bids)):
        await send_quotes(market, "WAYS", bids[first : first + 1], first)
    heard = await ear.at_least(len(bids))
    assert {prediction.version for prediction in heard} == {"3"}

    async def told() -> bool:
        model = (await stub.GetModel(rpc.GetModelRequest(name="swapped"))).model
        return model.shadow_samples > 20 and model.shadow_flips == 1.0 and model.shadow_mean_shift > 0.5

    await until(told, "the shadow's figures")
    await registry.SetShadow(pb.SetShadowRequest(name="swapped"))


async def test_a_rollback_takes_less_than_a_request_may(registry: RegistryServiceStub, market: Bus) -> None:
    """Both versions are in memory; what is waited for is one small file on disk."""
    await warm_up_of(market)
    await registry.PromoteModel(pb.PromoteModelRequest(name="swapped", version="1"))
    started = time.perf_counter()
    model = (await registry.RollbackModel(pb.RollbackModelRequest(name="swapped"))).model
    print(f"rollback after {(time.perf_counter() - started) * 1e3:.1f} ms")
    assert model.active_version == "3"


async def warm_up_of(bus: Bus) -> None:
    ear = await an_ear(bus, "AAPL")
    await send_quotes(bus, "AAPL", a_walk(WARM_UP_TICKS * 2))
    assert (await ear.at_least(1))[0].warm
