"""`ntrader predict | drift`: what is asked of the gateway, and what a reader sees."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from neural_trader.cli import _parser
from neural_trader.place import Place
from neural_trader.rest import Rest

from neuraltrader.market_data.v1 import market_data_pb2
from services.gateway.schemas.market_data import quote_view

QUOTE = quote_view(market_data_pb2.Quote(symbol="AAPL", bid_nanos=99 * 10**9, ask_nanos=101 * 10**9, event_time_ns=7))
"""As the gateway itself writes it."""
PREDICTIONS = {
    "predictions": [0.25],
    "confidence": [0.625],
    "warm": [True],
    "calibrated": True,
    "model": "momentum-v1",
    "version": "1",
    "device": "cpu",
    "latency_ms": 0.2,
}
DRIFT = {
    "model": "momentum-v1",
    "version": "1",
    "rows": 9,
    "outcomes": 0,
    "rolling_brier": None,
    "base_rate_brier": None,
    "hit_rate": None,
    "features": [
        {"feature": "spread", "psi": 0.01, "mean": 1.0, "trained_mean": 1.1},
        {"feature": "return_1", "psi": 0.9, "mean": 5.0, "trained_mean": 0.0},
    ],
}
Asked = Callable[..., list[httpx.Request]]


@pytest.fixture
def asked() -> Asked:
    """The requests that a command makes, of a gateway that answers with the documents above."""

    def ask(*arguments: str, drift: dict[str, Any] = DRIFT, quote: Mapping[str, Any] = QUOTE) -> list[httpx.Request]:
        heard: list[httpx.Request] = []

        def answer(request: httpx.Request) -> httpx.Response:
            request.read()
            heard.append(request)
            path = request.url.path
            found = quote if "quotes" in path else drift if path.endswith("/drift") else PREDICTIONS
            return httpx.Response(200, json=found)

        chosen = _parser()[0].parse_args(arguments)
        with Rest(Place("http://127.0.0.1:1", "key"), transport=httpx.MockTransport(answer)) as rest:
            assert chosen.run(chosen, rest) == 0
        return heard

    return ask


def test_the_newest_quotes_are_asked_about(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    quotes, predict = asked("predict", "AAPL", "--version", "2")
    assert quotes.url.path == "/v1/market-data/quotes/AAPL"
    assert (predict.url.path, predict.url.params["version"]) == ("/v1/models/momentum-v1/predict", "2")
    (row,) = json.loads(predict.content)["market_data"]
    assert row == {"symbol": "AAPL", "price": 100.0, "volume": 0, "timestamp_ns": "7", "bid": 99.0, "ask": 101.0}
    said = capsys.readouterr().out
    assert "AAPL  +0.2500     0.6250      yes" in said
    assert "momentum-v1" in said


@pytest.mark.parametrize(
    ("name", "media_type"), [("rows.json", "application/json"), ("rows.arrow", "application/vnd.apache.arrow.stream")]
)
def test_a_file_is_sent_as_it_is(asked: Asked, tmp_path: Path, name: str, media_type: str) -> None:
    (tmp_path / name).write_bytes(b"content")
    (predict,) = asked("predict", "--file", str(tmp_path / name), "--model", "other")
    assert (predict.url.path, predict.headers["content-type"]) == ("/v1/models/other/predict", media_type)
    assert predict.content == b"content"


def test_nothing_or_both_to_ask_about_is_refused(asked: Asked) -> None:
    for arguments in (["predict"], ["predict", "AAPL", "--file", "x"]):
        with pytest.raises(SystemExit, match="name symbols, or a file"):
            asked(*arguments)


def test_a_quote_with_one_side_is_nothing_to_ask_about(asked: Asked) -> None:
    with pytest.raises(SystemExit, match="no two-sided quote"):
        asked("predict", "AAPL", quote=QUOTE | {"bid": None})


def test_drift_tells_what_moved_most_first(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    (request,) = asked("drift")
    assert request.url.path == "/v1/models/momentum-v1/drift"
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["return_1", "0.900", "large", "5", "0"] in lines
    assert lines.index(["return_1", "0.900", "large", "5", "0"]) < lines.index(["spread", "0.010", "-", "1", "1.1"])


def test_a_model_without_distributions_says_so(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    asked("drift", "--model", "other", drift=DRIFT | {"features": []})
    assert "does not say where its training data lay" in capsys.readouterr().out
    asked("drift", "--json")
    assert json.loads(capsys.readouterr().out) == DRIFT
