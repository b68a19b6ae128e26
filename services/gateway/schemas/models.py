"""Shapes of models and predictions."""

from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, model_validator
from typing_extensions import TypedDict

from neuraltrader.inference.v1 import inference_pb2 as pb
from neuraltrader.inference.v1 import inference_service_pb2 as rpc
from services.gateway.schemas.scalars import Finite, Nanoseconds, NanosecondsIn, Request, SymbolText

MOST_ROWS = 100_000
Price = Annotated[Finite, Field(gt=0)]
NotNegative = Annotated[Finite, Field(ge=0)]


class Model(TypedDict):
    """A model that can be asked."""

    name: str
    version: str
    versions: list[str]
    features: list[str]
    horizon_ns: Nanoseconds
    calibrated: bool
    device: Annotated[str, Field(description="cpu or cuda: the provider that really runs it.")]
    sha256: str
    training_data: str
    metrics: dict[str, float]
    load_ms: float


class ModelList(TypedDict):
    """Every model in the registry, by name."""

    models: list[Model]


class MarketDataRow(Request):
    """One row of market data to score."""

    symbol: SymbolText
    price: Price
    volume: NotNegative
    timestamp_ns: NanosecondsIn
    bid: NotNegative
    ask: NotNegative
    spread: Finite | None = None


class PredictRows(Request):
    """Rows to score."""

    market_data: list[MarketDataRow] = Field(min_length=1, max_length=MOST_ROWS)

    def rows(self) -> Iterator[pb.MarketDataRow]:
        """The rows as the fleet's messages."""
        return (pb.MarketDataRow(**row.model_dump(exclude_none=True)) for row in self.market_data)


class PredictColumns(Request):
    """Rows to score, as columns of equal length."""

    symbol: list[SymbolText] = Field(min_length=1, max_length=MOST_ROWS)
    price: list[Price]
    volume: list[NotNegative]
    timestamp_ns: list[NanosecondsIn]
    bid: list[NotNegative]
    ask: list[NotNegative]
    spread: list[Finite] | None = None

    @model_validator(mode="after")
    def _equally_long(self) -> Self:
        lengths = {name: len(column) for name, column in self if column is not None}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"Expected columns of one length, was {lengths}")
        return self

    def rows(self) -> Iterator[pb.MarketDataRow]:
        """The rows as the fleet's messages."""
        names = [name for name, column in self if column is not None]
        return (
            pb.MarketDataRow(**dict(zip(names, row, strict=True)))
            for row in zip(*(getattr(self, name) for name in names), strict=True)
        )


def _form(body: Any) -> str:
    return "rows" if isinstance(body, PredictRows) or (isinstance(body, dict) and "market_data" in body) else "columns"


PredictRequest = Annotated[
    Annotated[PredictRows, Tag("rows")] | Annotated[PredictColumns, Tag("columns")], Discriminator(_form)
]


class Predictions(TypedDict):
    """One prediction for each row, in order."""

    predictions: Annotated[list[float], Field(description="2p − 1 of each row.")]
    confidence: Annotated[list[float], Field(description="max(p, 1 − p) of each row.")]
    calibrated: bool
    warm: list[bool]
    model: str
    version: str
    device: str
    latency_ms: float


def model_view(model: pb.Model) -> Model:
    """A model as JSON."""
    return {
        "name": model.name,
        "version": model.version,
        "versions": list(model.versions),
        "features": list(model.features),
        "horizon_ns": str(model.horizon_ns),
        "calibrated": model.calibrated,
        "device": model.device,
        "sha256": model.sha256,
        "training_data": model.training_data,
        "metrics": dict(model.metrics),
        "load_ms": model.load_ms,
    }


def predictions_view(answer: rpc.PredictResponse) -> Predictions:
    """Predictions as JSON."""
    return {
        "predictions": list(answer.predictions),
        "confidence": list(answer.confidence),
        "calibrated": answer.calibrated,
        "warm": list(answer.warm),
        "model": answer.model,
        "version": answer.version,
        "device": answer.device,
        "latency_ms": answer.latency_ms,
    }
