"""What a service may be told: defaults < `--config` file < `.env` < environment < flags.

Every field is an environment variable (`NT_` + its name, or the name given as alias) and a flag. A secret
has no flag; it may come as `NAME_FILE`, the path of a file that holds it.
"""

import argparse
import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from trading.instruments import DEFAULT_SYMBOLS

_PREFIX = "NT_"
_CONFIG = "config"
SettingsT = TypeVar("SettingsT", bound="FleetSettings")


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _in_a_header(token: SecretStr) -> SecretStr:
    text = token.get_secret_value()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("Expected printable ASCII characters without blanks")
    return token


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""A comma-separated list of names."""
Token = Annotated[SecretStr, AfterValidator(_in_a_header)]
"""A secret that travels in the metadata of a call."""


class FleetSettings(BaseSettings):
    """What every service of the fleet may be told."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_file=".env", extra="ignore", populate_by_name=True, frozen=True, env_ignore_empty=True
    )

    data_dir: Path = Field(Path(".data"), description="Directory of everything that outlives the process.")
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="DEBUG, INFO, WARNING or ERROR.")
    host: str = Field("127.0.0.1", description="Address that the service's ports listen on.")
    grpc_port: int = Field(50050, ge=1, le=65535, description="Port of the gRPC server.")
    metrics_port: int = Field(9100, ge=1, le=65535, description="Port of /metrics, /healthz and /readyz.")
    drain_seconds: float = Field(5.0, ge=0, le=300, description="How long a stopping service lets calls finish.")
    nats_url: str = Field("nats://127.0.0.1:4222", validation_alias="NATS_URL", description="NATS server.")
    internal_token: Token | None = Field(None, description="Token that the services show one another.")
    admin_api_key: Token | None = Field(None, description="First admin key; opens the services' gRPC too.")
    otlp_endpoint: str = Field(
        "", validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT", description="OTLP/HTTP collector; empty means no tracing."
    )
    market_data_address: str = Field("127.0.0.1:50051", description="gRPC address of market_data.")
    inference_address: str = Field("127.0.0.1:50052", description="gRPC address of inference.")
    execution_address: str = Field("127.0.0.1:50053", description="gRPC address of execution.")
    portfolio_address: str = Field("127.0.0.1:50054", description="gRPC address of portfolio.")
    symbols: Names = Field(DEFAULT_SYMBOLS, description="Symbols to stream and trade, comma-separated.")
    accounts: Names = Field(("main",), min_length=1, description="Accounts that execution writes for.")

    @property
    def tokens(self) -> tuple[str, ...]:
        """Every token that opens a gRPC server; empty means that it is open."""
        return tuple(token.get_secret_value() for token in (self.internal_token, self.admin_api_key) if token)

    @property
    def token(self) -> str | None:
        """The token to show other services."""
        return self.tokens[0] if self.tokens else None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        written_down = dotenv_settings.env_vars if isinstance(dotenv_settings, DotEnvSettingsSource) else {}
        return (
            init_settings,
            env_settings,
            SecretFiles(settings_cls),
            dotenv_settings,
            SecretFiles(settings_cls, written_down),
            _ConfigFile(settings_cls),
        )


class DatabaseSettings(BaseSettings):
    """Where a service that remembers keeps its truth."""

    database_url: SecretStr = Field(
        SecretStr(""),
        validation_alias="DATABASE_URL",
        description="postgresql://… or sqlite:///…; empty means <data-dir>/<service>.db.",
    )


class CacheSettings(BaseSettings):
    """Where a cache is shared."""

    redis_url: SecretStr = Field(
        SecretStr(""), validation_alias="REDIS_URL", description="redis://…; empty means a cache in the process."
    )


class AlpacaSettings(BaseSettings):
    """The Alpaca account and where its protocol is spoken; the local exchange speaks it too."""

    alpaca_key_id: str = Field("", validation_alias="ALPACA_KEY_ID", description="Alpaca key id.")
    alpaca_secret_key: SecretStr = Field(
        SecretStr(""), validation_alias="ALPACA_SECRET_KEY", description="Alpaca secret key."
    )
    alpaca_data_url: str = Field(
        "https://data.alpaca.markets", validation_alias="ALPACA_DATA_URL", description="Base of the data REST API."
    )
    alpaca_stream_url: str = Field(
        "wss://stream.data.alpaca.markets/v2/iex", validation_alias="ALPACA_STREAM_URL", description="Stock stream."
    )
    alpaca_crypto_stream_url: str = Field(
        "",
        validation_alias="ALPACA_CRYPTO_STREAM_URL",
        description="Crypto stream; empty means /v1beta3/crypto/us on the host of the stock stream.",
    )
    alpaca_trading_url: str = Field(
        "https://paper-api.alpaca.markets",
        validation_alias="ALPACA_TRADING_URL",
        description="Base of the trading REST API.",
    )
    alpaca_trading_stream_url: str = Field(
        "wss://paper-api.alpaca.markets/stream",
        validation_alias="ALPACA_TRADING_STREAM_URL",
        description="Trade-updates stream.",
    )

    @property
    def alpaca_crypto_stream(self) -> str:
        """Where coins are streamed: whoever names one server of the protocol means it for coins too."""
        stocks = urlsplit(self.alpaca_stream_url)
        return self.alpaca_crypto_stream_url or f"{stocks.scheme}://{stocks.netloc}/v1beta3/crypto/us"


class PolygonSettings(BaseSettings):
    """The Polygon (Massive) account and where its protocol is spoken."""

    polygon_api_key: SecretStr = Field(
        SecretStr(""), validation_alias="POLYGON_API_KEY", description="Polygon (Massive) API key."
    )
    polygon_rest_url: str = Field(
        "https://api.polygon.io", validation_alias="POLYGON_REST_URL", description="Base of Polygon's REST API."
    )
    polygon_stream_url: str = Field(
        "wss://socket.polygon.io",
        validation_alias="POLYGON_STREAM_URL",
        description="Base of Polygon's streams; the market's name, stocks or crypto, is added.",
    )


class BinanceSettings(BaseSettings):
    """The Binance account and where its protocol is spoken."""

    binance_api_key: str = Field("", validation_alias="BINANCE_API_KEY", description="Binance API key.")
    binance_api_secret: SecretStr = Field(
        SecretStr(""), validation_alias="BINANCE_API_SECRET", description="Binance secret: HMAC, or Ed25519 as PEM."
    )
    binance_rest_url: str = Field(
        "https://api.binance.com", validation_alias="BINANCE_REST_URL", description="Base of Binance's REST API."
    )
    binance_stream_url: str = Field(
        "wss://stream.binance.com:9443",
        validation_alias="BINANCE_STREAM_URL",
        description="Base of Binance's market streams.",
    )
    binance_ws_api_url: str = Field(
        "wss://ws-api.binance.com:443/ws-api/v3",
        validation_alias="BINANCE_WS_API_URL",
        description="Binance's WebSocket API.",
    )


class VenueAccounts(AlpacaSettings, PolygonSettings, BinanceSettings):
    """Who we are at every venue whose data is read, and where it is spoken to."""


class SecretFiles(PydanticBaseSettingsSource):
    """Reads NAME_FILE wherever a field's variable is called NAME."""

    def __init__(self, settings_cls: type[BaseSettings], variables: Mapping[str, str | None] | None = None) -> None:
        super().__init__(settings_cls)
        given = os.environ if variables is None else variables
        self._variables = {name.upper(): value for name, value in given.items()}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        variable = variable_name(field_name, field, self.config.get("env_prefix", ""))
        path = self._variables.get(f"{variable}_FILE")
        key = variable if field.validation_alias else field_name  # as the environment's own source calls it
        try:
            return (Path(path).read_text().strip() if path else None), key, False
        except (OSError, ValueError) as error:  # not there, or no text
            raise OSError(f"{variable}_FILE: {error}") from error

    def __call__(self) -> dict[str, Any]:
        found = (self.get_field_value(field, name) for name, field in self.settings_cls.model_fields.items())
        return {key: value for value, key, _ in found if value is not None}


class _ConfigFile(PydanticBaseSettingsSource):
    """Reads the TOML file that `--config` or NT_CONFIG names; its keys are field names."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        path = self.current_state.get(_CONFIG) or os.environ.get(f"{_PREFIX}{_CONFIG.upper()}")
        if not path:
            return {}
        try:
            return tomllib.loads(Path(path).read_text())
        except ValueError as error:  # neither TOML nor text
            raise ValueError(f"{path}: {error}") from error


def variable_name(field_name: str, field: FieldInfo, prefix: str = _PREFIX) -> str:
    """The environment variable of a field."""
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        alias = str(alias.choices[0])
    return str(alias) if alias else f"{prefix}{field_name.upper()}"


def load(settings_class: type[SettingsT], program: str, argv: Sequence[str] | None = None) -> SettingsT:
    """Read the settings of `program`; what is wrong goes to stderr, one line each, with exit code 2."""
    flags, unknown = _parser(settings_class, program).parse_known_args(argv)
    if unknown:
        refuse(program, _unknown_flag(settings_class, unknown[0].partition("=")[0]))
    try:
        return settings_class(**{name: value for name, value in vars(flags).items() if value is not None})
    except ValidationError as error:
        refuse(program, *(_complaint(settings_class, detail) for detail in error.errors()))
    except (OSError, ValueError) as error:
        refuse(program, str(error))


def refuse(program: str, *complaints: str) -> NoReturn:
    """End the process over settings that cannot be used: one clear line each on stderr, exit code 2."""
    for complaint in complaints:
        print(f"{program}: {complaint}", file=sys.stderr)
    raise SystemExit(2)


def _complaint(settings_class: type[FleetSettings], detail: Any) -> str:
    where = str(detail["loc"][0]) if detail["loc"] else ""
    for name, field in settings_class.model_fields.items():
        variable = variable_name(name, field)
        if where in (name, variable):
            was = "" if _is_secret(field) else f", was {detail.get('input')!r}"
            return f"{variable}: {detail['msg']}{was}"
    return str(detail["msg"])  # about several fields; their values may be secrets


def _unknown_flag(settings_class: type[FleetSettings], flag: str) -> str:
    """Never repeats what followed the flag: somebody may have tried to give a secret."""
    for name, field in settings_class.model_fields.items():
        if flag == _flag(name):
            variable = variable_name(name, field)
            return f"{flag}: a secret comes as {variable} or {variable}_FILE, never as a flag"
    return f"unknown flag {flag}; see --help" if flag.startswith("-") else "expected flags only; see --help"


def _is_secret(field: FieldInfo) -> bool:
    return SecretStr.__name__ in str(field.annotation)


def _flag(field_name: str) -> str:
    return f"--{field_name.replace('_', '-')}"


class _Parser(argparse.ArgumentParser):
    """Complains in one line."""

    def error(self, message: str) -> NoReturn:
        refuse(self.prog.rpartition(".")[2], message)


def _parser(settings_class: type[FleetSettings], program: str) -> argparse.ArgumentParser:
    description = settings_class.__doc__
    parser = _Parser(prog=f"python -m services.{program}", description=description, allow_abbrev=False)
    parser.add_argument(_flag(_CONFIG), metavar="FILE", help="TOML file with settings by field name (NT_CONFIG)")
    secrets = []
    for name, field in settings_class.model_fields.items():
        variable = variable_name(name, field)
        if _is_secret(field):
            secrets.append(f"{variable}[_FILE]: {field.description}")
            continue
        help_text = f"{field.description} ({variable}, default {_shown(field.default)})".replace("%", "%%")
        parser.add_argument(_flag(name), metavar="VALUE", help=help_text)
    parser.epilog = ("Secrets, from the environment only: " + " · ".join(secrets)).replace("%", "%%")
    return parser


def _shown(default: object) -> str:
    return (",".join(map(str, default)) if isinstance(default, tuple) else str(default)) or "empty"
