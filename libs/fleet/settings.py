"""What a service may be told: defaults < `--config` file < `.env` < environment < flags.

Every field is an environment variable (`NT_` + its name, or the name given as alias) and a flag. A secret
has no flag; it may come as `NAME_FILE`, the path of a file that holds it.
"""

import argparse
import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from trading.instruments import DEFAULT_SYMBOLS

_PREFIX = "NT_"
SettingsT = TypeVar("SettingsT", bound="FleetSettings")


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""A comma-separated list of names."""


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
    internal_token: SecretStr | None = Field(None, description="Token that the services show one another.")
    admin_api_key: SecretStr | None = Field(None, description="First admin key; opens the services' gRPC too.")
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
        return init_settings, env_settings, SecretFiles(settings_cls), dotenv_settings, _ConfigFile(settings_cls)


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
        "wss://stream.data.alpaca.markets/v1beta3/crypto/us",
        validation_alias="ALPACA_CRYPTO_STREAM_URL",
        description="Crypto stream.",
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


class SecretFiles(PydanticBaseSettingsSource):
    """Reads NAME_FILE wherever a field's variable is called NAME."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        variable = variable_name(field_name, field, self.config.get("env_prefix", ""))
        path = os.environ.get(f"{variable}_FILE")
        return (Path(path).read_text().strip() if path else None), field_name, False

    def __call__(self) -> dict[str, Any]:
        values = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in values.items() if value is not None}


class _ConfigFile(PydanticBaseSettingsSource):
    """Reads the TOML file that NT_CONFIG names; its keys are field names."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        path = os.environ.get(f"{_PREFIX}CONFIG")
        return tomllib.loads(Path(path).read_text()) if path else {}


def variable_name(field_name: str, field: FieldInfo, prefix: str = _PREFIX) -> str:
    """The environment variable of a field."""
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        alias = str(alias.choices[0])
    return str(alias) if alias else f"{prefix}{field_name.upper()}"


def load(settings_class: type[SettingsT], program: str, argv: Sequence[str] | None = None) -> SettingsT:
    """Read the settings of `program`; what is wrong goes to stderr, one line each, with exit code 2."""
    parser = _parser(settings_class, program)
    flags = vars(parser.parse_args(argv))
    config = flags.pop("config")
    if config:
        os.environ[f"{_PREFIX}CONFIG"] = config
    try:
        return settings_class(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        refuse(program, *(_complaint(settings_class, detail) for detail in error.errors()))
    except (OSError, tomllib.TOMLDecodeError) as error:
        refuse(program, str(error))


def refuse(program: str, *complaints: str) -> NoReturn:
    """End the process over settings that cannot be used: one clear line each on stderr, exit code 2."""
    raise SystemExit(_print_all(program, complaints))


def _print_all(program: str, complaints: Sequence[str]) -> int:
    import sys

    for complaint in complaints:
        print(f"{program}: {complaint}", file=sys.stderr)
    return 2


def _complaint(settings_class: type[FleetSettings], detail: Any) -> str:
    name = str(detail["loc"][0]) if detail["loc"] else ""
    field = settings_class.model_fields.get(name)
    variable = variable_name(name, field) if field else name
    secret = field is not None and SecretStr.__name__ in str(field.annotation)
    was = "" if secret else f", was {detail.get('input')!r}"
    return f"{variable}: {detail['msg']}{was}"


def _parser(settings_class: type[FleetSettings], program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m services.{program}", description=settings_class.__doc__)
    parser.add_argument("--config", metavar="FILE", help="TOML file with settings by field name (NT_CONFIG)")
    secrets = []
    for name, field in settings_class.model_fields.items():
        variable = variable_name(name, field)
        if SecretStr.__name__ in str(field.annotation):
            secrets.append(f"{variable}[_FILE]: {field.description}")
            continue
        help_text = f"{field.description} ({variable}, default {field.default!r})".replace("%", "%%")
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="VALUE", help=help_text)
    parser.epilog = "Secrets, from the environment only: " + " · ".join(secrets)
    return parser
