"""What every adapter of inference's ports promises, the fakes included."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import structlog
from builders.inference import SECOND_NS, a_card, a_network, a_prediction
from fakes.inference import FakeInstruments, FakeModel, FakeOpinions, FakeWorkshop
from fakes.open_inference import FakeOpenInference

from fleet import channels, subjects
from fleet.bus import Bus, Message
from fleet.metrics import Metrics
from inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from neuraltrader.inference.v1 import inference_pb2
from neuraltrader.market_data.v1 import market_data_pb2, market_data_service_pb2, market_data_service_pb2_grpc
from services.inference.adapters.grpc_instruments import GrpcInstruments
from services.inference.adapters.nats_opinions import NatsOpinions
from services.inference.adapters.oip_model import DelegationRules, OipModel
from services.inference.adapters.onnx_session import OnnxModel, SessionRules
from services.inference.adapters.thread_workshop import ThreadWorkshop
from services.inference.domain.delegation import Delegation
from services.inference.domain.features import FEATURES
from services.inference.domain.prediction import Prediction, Signal, SignalSide
from services.inference.ports import Instruments, Model, Opinions, Workshop
from services.inference.starter.graph import onnx_bytes
from trading.clock import SystemClock
from trading.errors import Unavailable, UnknownSymbol

SYMBOL = "CONTRACT.A"


def a_signal(prediction: Prediction) -> Signal:
    return Signal("an-id", SignalSide.SELL, 0.4, SECOND_NS, 7, 8, stale=False, prediction=prediction)


class ModelContract:
    """A model says finite log odds, the same for a row alone and in a batch."""

    @pytest.fixture
    def model(self) -> Model:
        raise NotImplementedError

    async def test_a_row_alone_and_in_a_batch_say_the_same(self, model: Model) -> None:
        rows = np.random.default_rng(1).standard_normal((9, len(FEATURES)))
        together = await model.logits(rows)
        alone = [await model.logit(tuple(row)) for row in rows.tolist()]
        assert together.shape == (9,)
        assert together == pytest.approx(alone, abs=1e-5)
        assert np.isfinite(together).all()

    async def test_it_says_what_it_is(self, model: Model) -> None:
        assert model.card.name == "test-model"
        assert model.running.device in ("cpu", "cuda", "remote")

    async def test_its_tensors_say_the_same_by_name(self, model: Model) -> None:
        (entry,), (exit_,) = model.inputs, model.outputs
        assert (entry.dtype, tuple(entry.shape)) == ("float32", (-1, len(FEATURES)))
        assert (exit_.dtype, tuple(exit_.shape)) == ("float32", (-1, 1))
        rows = np.random.default_rng(2).standard_normal((5, len(FEATURES))).astype(np.float32)
        found = await model.infer({entry.name: rows}, [exit_.name])
        assert list(found) == [exit_.name]
        assert found[exit_.name].shape == (5, 1)
        assert found[exit_.name].ravel() == pytest.approx(await model.logits(rows), abs=1e-5)


class TestFakeModel(ModelContract):
    @pytest.fixture
    def model(self) -> Model:
        return FakeModel(a_card(), 0.7)


class TestOnnxModel(ModelContract):
    @pytest.fixture
    def model(self) -> Iterator[Model]:
        loaded = OnnxModel(a_card(), onnx_bytes(a_network(), "test-model"), SessionRules())
        yield loaded
        loaded.close()


class TestOipModel(ModelContract):
    @pytest.fixture
    async def model(self) -> AsyncIterator[Model]:
        """A version that runs behind the real servicer, on a network of its own."""
        local = OnnxModel(a_card(), onnx_bytes(a_network(), "test-model"), SessionRules())
        served = FakeOpenInference(local)
        await served.start()
        server = grpc.aio.server()
        served.servicer().register(server)
        address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        told, rules = Delegation(address, deadline_ms=10_000), DelegationRules(8, 1.0)
        async with channels.connect(address, token=None, client="test", default_timeout_s=60) as channel:
            stub = GRPCInferenceServiceStub(channel)
            yield OipModel(a_card(), told, stub, None, rules, Metrics(), SystemClock(), structlog.get_logger())
        await server.stop(None)
        local.close()


class TestFakeOpinions:
    async def test_what_is_said_can_be_read(self) -> None:
        opinions: Opinions = FakeOpinions()
        await opinions.predicted(a_prediction())
        await opinions.signalled(a_signal(a_prediction()))
        assert isinstance(opinions, FakeOpinions)
        assert (opinions.predictions, [signal.id for signal in opinions.signals]) == ([a_prediction()], ["an-id"])


class TestNatsOpinions:
    async def test_predictions_and_signals_go_out_on_their_subjects(self, bus: Bus) -> None:
        prediction = a_prediction(symbol=SYMBOL)
        heard = asyncio.create_task(_hear(bus, subjects.prediction("test-model", SYMBOL)))
        signalled = asyncio.create_task(_hear(bus, subjects.signal("test-model", SYMBOL)))
        await asyncio.sleep(0)
        await bus.flush()
        opinions: Opinions = NatsOpinions(bus)
        await opinions.predicted(prediction)
        await opinions.signalled(a_signal(prediction))
        first, second = await asyncio.wait_for(asyncio.gather(heard, signalled), 60)
        assert inference_pb2.Prediction.FromString(first.payload).confidence == prediction.confidence
        assert inference_pb2.Signal.FromString(second.payload).side == inference_pb2.SIGNAL_SIDE_SELL


async def _hear(bus: Bus, subject: str) -> Message:
    heard: asyncio.Queue[Message] = asyncio.Queue()
    listening = asyncio.create_task(bus.listen(subject, heard.put))
    try:
        return await heard.get()
    finally:
        listening.cancel()


class InstrumentsContract:
    """Any known spelling gives the canonical symbol."""

    @pytest.fixture
    def instruments(self) -> Instruments:
        raise NotImplementedError

    async def test_any_spelling_gives_the_canonical_symbol(self, instruments: Instruments) -> None:
        assert instruments.canonical("AAPL") == "AAPL"
        assert instruments.canonical("BTC/USD") == instruments.canonical("BTC-USDT") == "BTC-USDT"

    async def test_an_unknown_symbol_is_not_found(self, instruments: Instruments) -> None:
        with pytest.raises(UnknownSymbol):
            instruments.canonical("NOPE")


class TestFakeInstruments(InstrumentsContract):
    @pytest.fixture
    def instruments(self) -> Instruments:
        return FakeInstruments()


class MarketData(market_data_service_pb2_grpc.MarketDataServiceServicer):
    """A gRPC server that knows two instruments, and refuses as often as it is told."""

    def __init__(self) -> None:
        self.refusals = 0
        self.answers = 0
        self.asked_again = asyncio.Event()

    async def ListInstruments(self, request: Any, context: Any) -> market_data_service_pb2.ListInstrumentsResponse:
        if self.refusals > 0:
            self.refusals -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "Not yet.")
        self.answers += 1
        if self.answers > 1:
            self.asked_again.set()
        known = [
            market_data_pb2.Instrument(symbol="AAPL"),
            market_data_pb2.Instrument(symbol="BTC-USDT", venue_symbols={"alpaca": "BTC/USD"}),
        ]
        return market_data_service_pb2.ListInstrumentsResponse(instruments=known)

    GetQuote = StreamQuotes = ListBars = GetInstrument = GetStats = None


@pytest.fixture
async def served() -> AsyncIterator[tuple[MarketData, GrpcInstruments]]:
    """The adapter, connected to a real server."""
    market_data, server = MarketData(), grpc.aio.server()
    market_data_service_pb2_grpc.add_MarketDataServiceServicer_to_server(market_data, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with channels.connect(f"127.0.0.1:{port}", token=None, client="test", default_timeout_s=60) as channel:
        stub = market_data_service_pb2_grpc.MarketDataServiceStub(channel)
        yield market_data, GrpcInstruments(stub, refresh_s=0.01, retry_s=0.01, log=structlog.get_logger())
    await server.stop(None)


class TestGrpcInstruments(InstrumentsContract):
    @pytest.fixture
    async def instruments(self, served: tuple[MarketData, GrpcInstruments]) -> Instruments:
        await served[1].ask()
        return served[1]

    async def test_before_market_data_answered_nobody_is_called_unknown(
        self, served: tuple[MarketData, GrpcInstruments]
    ) -> None:
        with pytest.raises(Unavailable, match="not known yet"):
            served[1].canonical("AAPL")

    async def test_refreshing_goes_on_until_market_data_answers(
        self, served: tuple[MarketData, GrpcInstruments]
    ) -> None:
        market_data, instruments = served
        market_data.refusals = 3
        refreshing = asyncio.create_task(instruments.refresh())
        await asyncio.wait_for(market_data.asked_again.wait(), 60)
        refreshing.cancel()
        assert instruments.canonical("AAPL") == "AAPL", "the answer before this one has been taken in"


class WorkshopContract:
    """Work is done once, in its order, and what it gives or raises comes back."""

    @pytest.fixture
    def workshop(self) -> Workshop:
        raise NotImplementedError

    async def test_work_is_done_in_its_order_and_gives_what_it_gives(self, workshop: Workshop) -> None:
        done: list[int] = []
        answers = await asyncio.gather(
            *(workshop.do(lambda number=number: done.append(number) or number) for number in range(5))
        )
        assert answers == done == [0, 1, 2, 3, 4]

    async def test_what_work_raises_is_raised_and_the_next_is_done(self, workshop: Workshop) -> None:
        with pytest.raises(Unavailable):
            await workshop.do(_refuse)
        assert await workshop.do(lambda: 7) == 7


def _refuse() -> None:
    raise Unavailable("Not now.")


class TestFakeWorkshop(WorkshopContract):
    @pytest.fixture
    def workshop(self) -> Workshop:
        return FakeWorkshop()


class TestThreadWorkshop(WorkshopContract):
    @pytest.fixture
    def workshop(self) -> Iterator[Workshop]:
        workshop = ThreadWorkshop()
        yield workshop
        workshop.close()

    async def test_work_is_done_beside_the_event_loop(self, workshop: Workshop) -> None:
        assert await workshop.do(threading.get_ident) != threading.get_ident()
