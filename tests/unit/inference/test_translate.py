"""The wire form says what the words say."""

import math
from typing import Any

import numpy as np
import pytest
from builders.inference import SECOND_NS, a_card, a_prediction

from fleet.latency import LatencyWindow
from neuraltrader.inference.v1 import inference_pb2 as pb
from neuraltrader.inference.v1 import inference_service_pb2 as rpc
from neuraltrader.inference.v1 import registry_service_pb2 as registry
from services.inference.adapters.arrow_tables import ArrowTables
from services.inference.domain.model import Running
from services.inference.domain.prediction import Signal, SignalSide
from services.inference.domain.registry import Deployment, LoadOptions
from services.inference.domain.registry_status import ModelStatus, Residence, ShadowCount
from services.inference.domain.rows import MOST_ROWS, Rows
from services.inference.translate import latency, models, opinions
from services.inference.translate.rows import rows_of, scores_wire, size_of
from trading.errors import InvalidArgument


def test_every_field_of_a_prediction_is_carried() -> None:
    prediction = a_prediction(0.7)
    message = opinions.prediction_message(prediction)
    for name in type(prediction).__dataclass_fields__:
        assert getattr(message, name) == getattr(prediction, name), name


@pytest.mark.parametrize("side", list(SignalSide))
def test_every_field_of_a_signal_is_carried(side: SignalSide) -> None:
    signal = Signal("id", side, 0.4, SECOND_NS, 7, 8, stale=True, prediction=a_prediction(0.7))
    message = opinions.signal_message(signal)
    assert pb.SignalSide.Name(message.side) == f"SIGNAL_SIDE_{side}"
    for name in ("id", "strength", "horizon_ns", "created_time_ns", "expires_ns", "stale"):
        assert getattr(message, name) == getattr(signal, name), name
    for name in ("symbol", "confidence", "model", "version", "event_time_ns", "tick_receive_time_ns", "price_nanos"):
        assert getattr(message, name) == getattr(signal.prediction, name), name


def of(request: rpc.PredictRequest) -> Rows:
    return rows_of(request, ArrowTables())


def columns(count: int = 2, **changes: Any) -> pb.MarketDataColumns:
    """Columns as a client sends them."""
    given = {name: [1.0 + row for row in range(count)] for name in ("price", "volume", "bid", "ask")}
    given |= {"symbol": ["A", "B"][:count], "timestamp_ns": list(range(count))}
    return pb.MarketDataColumns(**(given | changes))


def test_rows_become_columns_and_an_absent_spread_is_known() -> None:
    messages = [
        pb.MarketDataRow(symbol="A", price=1.0, volume=2.0, timestamp_ns=3, bid=4.0, ask=5.0, spread=0.0),
        pb.MarketDataRow(symbol="B", price=6.0),
        pb.MarketDataRow(symbol="A", price=7.0),
    ]
    rows = of(rpc.PredictRequest(market_data=messages))
    assert (rows.symbols, rows.symbol.tolist()) == (["A", "B"], [0, 1, 0])
    assert rows.price.tolist() == [1.0, 6.0, 7.0]
    assert (rows.volume[0], rows.timestamp_ns[0], rows.bid[0], rows.ask[0]) == (2.0, 3, 4.0, 5.0)
    assert rows.spread_given.tolist() == [True, False, False]
    assert not rows.columnar


def test_columns_are_columns_and_symbols_may_be_numbered() -> None:
    spelt = of(rpc.PredictRequest(columns=columns()))
    numbered = of(rpc.PredictRequest(columns=columns(symbol=["B", "A"], symbol_index=[1, 0])))
    assert (spelt.symbols, spelt.symbol.tolist()) == (["A", "B"], [0, 1])
    assert [numbered.symbols[each] for each in numbered.symbol] == ["A", "B"]
    for name in ("price", "volume", "bid", "ask", "timestamp_ns"):
        assert getattr(spelt, name).tolist() == list(getattr(columns(), name)), name
    assert not spelt.spread_given.any()
    assert spelt.columnar


def test_a_spread_of_columns_is_given_where_it_is_a_number() -> None:
    rows = of(rpc.PredictRequest(columns=columns(spread=[math.nan, 0.5])))
    assert rows.spread_given.tolist() == [False, True]
    assert rows.spread[1] == 0.5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bid": [1.0]}, "Expected columns of one length"),
        ({"symbol": ["A"]}, "Expected columns of one length"),
        ({"spread": [1.0]}, "Expected columns of one length"),
        ({"symbol_index": [0]}, "Expected columns of one length"),
        ({"symbol_index": [0, 2]}, "Expected indices below 2, was 2"),
    ],
)
def test_columns_that_do_not_fit_together_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        of(rpc.PredictRequest(columns=columns(**changes)))


def test_rows_in_two_ways_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="one of rows, columns and Arrow"):
        of(rpc.PredictRequest(columns=columns(), market_data=[pb.MarketDataRow()]))


@pytest.mark.parametrize("way", ["rows", "columns"])
def test_more_rows_than_may_be_are_refused_before_they_are_read(way: str) -> None:
    many = MOST_ROWS + 1
    request = (
        rpc.PredictRequest(market_data=[pb.MarketDataRow()] * many)
        if way == "rows"
        else rpc.PredictRequest(columns=pb.MarketDataColumns(price=[1.0] * many))
    )
    with pytest.raises(InvalidArgument, match=f"at most {MOST_ROWS} rows, was {many}"):
        of(request)
    assert size_of(request) == many


def test_no_rows_are_no_rows_and_arrow_is_read_as_such() -> None:
    assert len(of(rpc.PredictRequest())) == 0
    with pytest.raises(InvalidArgument, match="Arrow stream cannot be read"):
        of(rpc.PredictRequest(arrow_ipc=b"not Arrow"))


@pytest.mark.parametrize("count", [0, 1, 20_000])
def test_scores_on_the_wire_are_a_response(count: int) -> None:
    random = np.random.default_rng(1)
    predictions, confidence, warm = random.random(count), random.random(count), random.random(count) > 0.5
    wire = scores_wire(predictions, confidence, warm, rpc.PredictResponse(model="m", calibrated=True, latency_ms=1.5))
    expected = rpc.PredictResponse(
        predictions=predictions.tolist(),
        confidence=confidence.tolist(),
        warm=warm.tolist(),
        model="m",
        calibrated=True,
        latency_ms=1.5,
    )
    assert rpc.PredictResponse.FromString(wire) == expected


def a_status(**changes: object) -> ModelStatus:
    """A loaded version 1 of a model with a history, a canary and a shadow."""
    deployment = Deployment("2", history=("0", "3"), canary="4", canary_weight=0.25, shadow="1")
    given: dict[str, object] = {
        "card": a_card(calibration=None, architecture="gru", window=12, weight_bytes=99),
        "running": Running("cpu", 1.0, 1_000, inline=True, device_note="There is no GPU."),
        "residence": Residence.LOADED,
        "deployment": deployment,
        "versions": ("2", "1"),
    }
    return ModelStatus(**(given | changes))  # type: ignore[arg-type]


def test_a_model_says_what_it_is_and_how_it_runs() -> None:
    status = a_status()
    message = models.status_message(status)
    assert (message.name, message.version, list(message.versions)) == ("test-model", "1", ["2", "1"])
    assert (message.calibrated, message.device, message.load_ms) == (False, "cpu", 1.0)
    assert list(message.features) == list(status.card.features)
    assert dict(message.metrics) == {"brier_skill": 0.1}
    assert (message.horizon_ns, message.sha256, message.training_data) == (SECOND_NS // 2, "0" * 64, "Nothing real.")
    assert (message.state, message.architecture, message.sequence_length) == (pb.MODEL_STATE_LOADED, "gru", 12)
    assert (message.precision, message.weight_bytes, message.trainable) == ("fp32", 99, True)
    assert message.device_note == "There is no GPU."
    assert (message.canary_version, message.canary_weight, message.shadow_version) == ("4", 0.25, "1")
    assert (message.active_version, message.previous_version) == ("2", "3")


def test_a_shadow_is_told_as_shares() -> None:
    message = models.status_message(a_status(shadow=ShadowCount("1", samples=200, flips=3, shift=0.5)))
    assert (message.shadow_samples, message.shadow_flips, message.shadow_mean_shift) == (200, 0.015, 0.0025)
    assert models.status_message(a_status(shadow=ShadowCount("1"))).shadow_samples == 0


def test_a_version_that_is_not_in_memory_says_why() -> None:
    refused = a_status(running=None, residence=Residence.REFUSED, refusal="MODEL_DTYPE: BF16.")
    message = models.status_message(refused)
    assert (message.state, message.device, message.refusal) == (pb.MODEL_STATE_REFUSED, "", "MODEL_DTYPE: BF16.")
    unloaded = models.status_message(a_status(running=None, residence=Residence.UNLOADED))
    assert unloaded.state == pb.MODEL_STATE_UNLOADED


def test_load_options_are_read_and_what_is_absent_is_left_to_the_service() -> None:
    assert models.options_of(registry.LoadModelRequest()) == LoadOptions()
    asked = registry.LoadModelRequest(precision="fp16", use_gpu=False, batch_size=64)
    assert models.options_of(asked) == LoadOptions("fp16", use_gpu=False, batch_rows=64)


@pytest.mark.parametrize(("field", "value"), [("precision", "bf16"), ("batch_size", -1)])
def test_load_options_that_cannot_be_are_refused(field: str, value: object) -> None:
    with pytest.raises(InvalidArgument) as refused:
        models.options_of(registry.LoadModelRequest(**{field: value}))
    assert refused.value.metadata["field"] == field


def test_a_latency_window_is_summed_up() -> None:
    window = LatencyWindow()
    for sample in np.arange(1, 101):
        window.record(int(sample))
    message = latency.latency_message(window)
    assert (message.p50_ns, message.count) == (50, 100)
    assert 99 <= message.p99_ns <= 100
