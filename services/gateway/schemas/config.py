"""What a configuration may say: the SDKs' classes by their keys, the fleet's settings otherwise."""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Annotated, Any, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    UrlConstraints,
    ValidationError,
    create_model,
)
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import Url

from fleet.settings import AlpacaSettings, CacheSettings, DatabaseSettings, FleetSettings, Names, variable_name
from services.gateway.schemas.scalars import Finite, SymbolText
from services.gateway.schemas.service import ConfigError, ConfigVerdict

StreamUrl = Annotated[Url, UrlConstraints(allowed_schemes=["ws", "wss", "http", "https"])]
Venue = Literal["paper", "alpaca", "polygon", "binance"]
Share = Annotated[Finite, Field(ge=0, le=1)]


class _SdkConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


class ExecutionEngineConfig(_SdkConfig):
    """The seed's ExecutionEngine."""

    websocket_url: StreamUrl
    api_key: str = Field(min_length=1, max_length=256)
    buffer_size: int = Field(1024, ge=1, le=2**24)
    max_latency_ms: float = Field(2000, gt=0, le=10_000)


class NeuralModelConfig(_SdkConfig):
    """The seed's NeuralModel; the path names a model of the registry."""

    model_path: str = Field(min_length=1, max_length=256)
    batch_size: int = Field(ge=1, le=100_000)
    use_gpu: bool
    precision: Literal["fp32", "fp16", "int8"]


class OptimizerConstraints(_SdkConfig):
    """Bounds of the seed's PortfolioOptimizer; sectors are caps by sector."""

    max_position_size: Share = 1.0
    min_position_size: Share = 0.0
    sectors: dict[str, Share] = Field({})


class PortfolioOptimizerConfig(_SdkConfig):
    """The seed's PortfolioOptimizer."""

    risk_free_rate: Finite
    constraints: OptimizerConstraints | None = None


class MarketDataProcessorConfig(_SdkConfig):
    """The seed's MarketDataProcessor."""

    symbols: list[SymbolText] = Field(min_length=1, max_length=10_000)
    data_source: Literal["alpaca", "polygon", "binance"]
    api_key: str = Field(min_length=1, max_length=256)


_BY_KEY: Mapping[str, type[BaseModel]] = {
    "websocketUrl": ExecutionEngineConfig,
    "maxLatencyMs": ExecutionEngineConfig,
    "modelPath": NeuralModelConfig,
    "precision": NeuralModelConfig,
    "useGpu": NeuralModelConfig,
    "riskFreeRate": PortfolioOptimizerConfig,
    "constraints": PortfolioOptimizerConfig,
    "dataSource": MarketDataProcessorConfig,
}


class _EverySetting(AlpacaSettings, DatabaseSettings, CacheSettings, FleetSettings):
    """Every setting that services share, and those of single services that the public contract names."""

    venue: Venue = Field("paper", description="Sets both of the next.")
    market_data_venues: Names = Field(("paper",), description="Venues to read from.")
    execution_venue: Venue = Field("paper", description="Venue that takes the orders.")
    paper_protocol: Literal["alpaca", "binance"] = Field("alpaca", description="Spoken to the local exchange.")
    signal_trading_enabled: bool = Field(False, description="Trade signals until the switch is set by the API.")
    signal_threshold: float = Field(0.55, gt=0.5, lt=1, description="Confidence at which a side is taken.")
    polygon_api_key: SecretStr = Field(SecretStr(""), validation_alias="POLYGON_API_KEY")
    polygon_rest_url: str = Field("", validation_alias="POLYGON_REST_URL")
    polygon_stream_url: str = Field("", validation_alias="POLYGON_STREAM_URL")
    binance_api_key: SecretStr = Field(SecretStr(""), validation_alias="BINANCE_API_KEY")
    binance_api_secret: SecretStr = Field(SecretStr(""), validation_alias="BINANCE_API_SECRET")
    binance_rest_url: str = Field("", validation_alias="BINANCE_REST_URL")
    binance_stream_url: str = Field("", validation_alias="BINANCE_STREAM_URL")
    binance_ws_api_url: str = Field("", validation_alias="BINANCE_WS_API_URL")


def fleet_config(settings_classes: Sequence[type[FleetSettings]]) -> type[BaseModel]:
    """A model of all their settings that reads nothing but what it is given."""
    fields: dict[str, Any] = {}
    classes: tuple[type[BaseModel], ...] = (_EverySetting, *settings_classes)
    for settings_class in classes:
        for name, field in settings_class.model_fields.items():
            fields.setdefault(name, (field.annotation, _of_either_name(name, field)))
    return create_model("FleetConfig", __config__=ConfigDict(extra="forbid"), **fields)


def _of_either_name(name: str, field: FieldInfo) -> FieldInfo:
    copied = copy(field)
    copied.validation_alias = AliasChoices(name, variable_name(name, field))
    return copied


def verdict(config: Mapping[str, Any], fleet: type[BaseModel]) -> ConfigVerdict:
    """Whether the configuration would be accepted, and every reason why not."""
    try:
        _model_of(config, fleet).model_validate(config)
    except ValidationError as error:
        complaints: list[ConfigError] = [
            {"path": ".".join(map(str, detail["loc"])), "message": detail["msg"]} for detail in error.errors()
        ]
        return {"valid": False, "errors": complaints}
    return {"valid": True, "errors": []}


def _model_of(config: Mapping[str, Any], fleet: type[BaseModel]) -> type[BaseModel]:
    return next((model for key, model in _BY_KEY.items() if _has(config, key)), fleet)


def _has(config: Mapping[str, Any], camel: str) -> bool:
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in camel)
    return camel in config or snake in config
