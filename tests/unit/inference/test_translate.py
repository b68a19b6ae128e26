"""The wire form says what the words say."""

import numpy as np
import pytest
from builders.inference import SECOND_NS, a_card, a_prediction
from fakes.inference import FakeModel

from fleet.latency import LatencyWindow
from neuraltrader.inference.v1 import inference_pb2 as pb
from services.inference.domain.prediction import Signal, SignalSide
from services.inference.translate import latency, models, opinions
from services.inference.translate.rows import rows_of


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


def test_rows_become_columns_and_an_absent_spread_is_known() -> None:
    rows = rows_of(
        [
            pb.MarketDataRow(symbol="A", price=1.0, volume=2.0, timestamp_ns=3, bid=4.0, ask=5.0, spread=0.0),
            pb.MarketDataRow(symbol="B", price=6.0),
        ]
    )
    assert rows.symbol == ["A", "B"]
    assert rows.price.tolist() == [1.0, 6.0]
    assert (rows.volume[0], rows.timestamp_ns[0], rows.bid[0], rows.ask[0]) == (2.0, 3, 4.0, 5.0)
    assert rows.spread_given.tolist() == [True, False]


def test_a_model_says_what_it_is_and_how_it_runs() -> None:
    model = FakeModel(a_card(calibration=None))
    message = models.model_message(model, ["2", "1"])
    assert (message.name, message.version, list(message.versions)) == ("test-model", "1", ["2", "1"])
    assert (message.calibrated, message.device, message.load_ms) == (False, "cpu", 1.0)
    assert list(message.features) == list(model.card.features)
    assert dict(message.metrics) == {"brier_skill": 0.1}
    assert (message.horizon_ns, message.sha256, message.training_data) == (SECOND_NS // 2, "0" * 64, "Nothing real.")


def test_a_latency_window_is_summed_up() -> None:
    window = LatencyWindow()
    for sample in np.arange(1, 101):
        window.record(int(sample))
    message = latency.latency_message(window)
    assert (message.p50_ns, message.count) == (50, 100)
    assert 99 <= message.p99_ns <= 100
