"""What the paper venue may be told: defaults < `.env` < environment (`NT_PAPER_…`, `NT_PAPER_…_FILE`) < flags."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from fleet.settings import Names, SecretFiles
from services.paper_venue.domain.sessions import SessionRule
from trading.instruments import DEFAULT_SYMBOLS


class Settings(BaseSettings):
    """A local exchange: it replays or simulates markets, matches orders and speaks three venues' protocols."""

    model_config = SettingsConfigDict(
        env_prefix="NT_PAPER_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
        populate_by_name=True,
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(0, ge=0, le=65535, description="Port of everything; 0 takes a free one.")
    public_host: str = Field("", description="Host name in the announced URLs; empty means the address listened on.")
    log_level: str = Field(
        "INFO",
        pattern="^(DEBUG|INFO|WARNING|ERROR)$",
        validation_alias=AliasChoices("NT_PAPER_LOG_LEVEL", "NT_LOG_LEVEL"),
        description="DEBUG, INFO, WARNING or ERROR.",
    )
    key_id: str = Field("", description="The customer's key id; empty draws one.")
    secret_key: SecretStr = Field(SecretStr(""), description="The customer's secret; empty draws one.")

    market: Names = Field((), description="Market file to replay instead of simulating; may be given several times.")
    symbols: Names = Field((), description="Symbols to simulate, or to replay; comma-separated.")
    seed: int = Field(7, ge=0, description="Seed of the simulation; the same seed gives the same ticks.")
    speed: Annotated[float, Field(gt=0, allow_inf_nan=False)] | Literal["max"] = Field(
        1.0, description="max, or a factor of real time."
    )
    admin: bool = Field(False, description="Offer the admin route, by which faults are scripted.")
    loop: bool = Field(False, description="Begin a recording again when it has ended.")
    edge: bool = Field(True, description="Simulate momentum bursts that a model can learn.")
    quote_rate: float = Field(20.0, gt=0, le=10_000, description="Simulated quotes per second and symbol.")
    trade_rate: float = Field(5.0, ge=0, le=10_000, description="Simulated trades per second and symbol.")
    sessions: SessionRule = Field(SessionRule.ALWAYS, description="always, or nyse for weekday exchange hours.")

    cash: int = Field(1_000_000, ge=0, le=10**12, description="Cash at the start, in USD.")
    multiplier: int = Field(4, ge=1, le=4, description="Buying power over equity.")
    maker_fee_bps: int = Field(
        0, ge=0, le=1_000, description="Fee in hundredths of a percent of a fill whose order had rested in the book."
    )
    taker_fee_bps: int = Field(
        0, ge=0, le=1_000, description="Fee in hundredths of a percent of a fill that took from the book."
    )
    position_flips: bool = Field(True, description="Let one order carry a position through zero (Alpaca refuses).")
    slippage_ticks: int = Field(1, ge=0, le=1_000, description="Ticks that each further displayed size costs.")

    frame_ticks: int = Field(256, ge=1, le=4_096, description="Most ticks in one frame of a stream.")
    outbox_frames: int = Field(32, ge=1, le=10_000, description="Frames that may wait for one slow customer.")
    outbox_updates: int = Field(20_000, ge=1, description="Order events that may wait for one slow customer.")
    repeat_s: float = Field(1.0, gt=0, le=3_600, description="Seconds between repeated quotes after a recording.")
    tape_rows: int = Field(500_000, ge=1_000, description="Simulated ticks kept for history requests.")
    bars_kept: int = Field(50_000, ge=60, description="Live minute bars kept per symbol.")
    orders_kept: int = Field(100_000, ge=100, description="Closed orders and fills kept, each.")
    rate_limit: int = Field(
        1_000_000, ge=1, description="REST calls per minute, on Alpaca's and Polygon's protocol each."
    )
    weight_limit: int = Field(6_000, ge=1, description="Request weight per minute on the Binance protocol.")
    order_limit: int = Field(100, ge=1, description="New orders per ten seconds on the Binance protocol.")
    socket_life_s: float = Field(86_400.0, gt=0, description="Seconds until a Binance connection is ended.")
    connections: int = Field(64, ge=1, description="Most connections per market-data stream.")
    polygon_connections: int = Field(
        1, ge=1, description="Connections of a key per market on the Polygon protocol; one more ends the oldest."
    )
    auth_timeout_s: float = Field(10.0, gt=0, le=300, description="Seconds a stream waits for authentication.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, SecretFiles(settings_cls), dotenv_settings

    @property
    def speed_factor(self) -> float | None:
        """The factor of real time; None is as fast as customers read."""
        return None if self.speed == "max" else float(self.speed)

    @property
    def files(self) -> tuple[Path, ...]:
        """The market files to replay; none means a simulation."""
        return tuple(map(Path, self.market))

    @property
    def simulated_symbols(self) -> tuple[str, ...]:
        """What to simulate when no recording is replayed."""
        return self.symbols or DEFAULT_SYMBOLS
