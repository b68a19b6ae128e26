"""What market_data may be told."""

from pydantic import AliasChoices, Field, field_validator

from fleet.settings import AlpacaSettings, CacheSettings, FleetSettings, Names
from trading.errors import InvalidArgument
from trading.instruments import parse_symbol

ALPACA_VENUES = ("paper", "alpaca")


class Settings(AlpacaSettings, CacheSettings, FleetSettings):
    """The market: venue streams in, blocks and bars out."""

    grpc_port: int = Field(50051, ge=1, le=65535, description="Port of the gRPC server.")
    metrics_port: int = Field(9101, ge=1, le=65535, description="Port of /metrics, /healthz and /readyz.")
    market_data_venues: Names = Field(
        ("paper",),
        validation_alias=AliasChoices("NT_MARKET_DATA_VENUES", "NT_VENUE"),
        description="Venue to stream: paper (the local exchange) or alpaca; both speak Alpaca's protocol.",
    )
    block_ticks: int = Field(256, ge=1, le=4096, description="Ticks per symbol at which blocks leave at the latest.")
    pending_ticks: int = Field(32_768, ge=1, description="Most ticks that wait to leave, over all symbols.")
    flush_ms: float = Field(10.0, ge=0, le=1000, description="Longest wait of a tick while more come without a pause.")
    stale_after_seconds: float = Field(15.0, gt=0, description="Silence after which a feed is called stale.")
    bar_grace_ms: float = Field(1000.0, ge=0, description="How late, in the market's time, a trade may come for a bar.")
    live_bars: int = Field(1500, ge=1, description="Bars of this run kept in memory for each symbol.")
    first_retry_ms: float = Field(250.0, ge=0, description="Jitter of the first retry after a loss.")
    retry_base_seconds: float = Field(1.0, gt=0, description="Second wait after a loss; later ones double.")
    retry_cap_seconds: float = Field(30.0, gt=0, description="Longest wait between retries.")
    ping_seconds: float = Field(10.0, gt=0, description="Rhythm of pings to the venue, and patience for the pong.")
    connect_timeout_seconds: float = Field(10.0, gt=0, description="Patience for a connection and its login.")
    venue_timeout_seconds: float = Field(4.0, gt=0, description="Patience for an answer of the venue's REST API.")
    frame_bytes_most: int = Field(16 * 1024 * 1024, ge=4096, description="Largest frame taken from a venue.")
    frames_ahead: int = Field(16, ge=1, description="Frames read ahead of the decoder; then the socket waits.")
    nats_patience_seconds: float = Field(2.0, ge=0, description="How long ticks wait for NATS before they are dropped.")
    stream_clients: int = Field(64, ge=1, description="Most StreamQuotes calls at a time.")
    stream_blocks: int = Field(1024, ge=1, description="Blocks that wait for a slow StreamQuotes reader.")
    mirror_ms: float = Field(100.0, gt=0, description="Rhythm of copying newest quotes to the cache.")
    mirror_ttl_seconds: float = Field(86_400.0, gt=0, description="How long a quote lives in the cache.")

    @field_validator("market_data_venues")
    @classmethod
    def _one_known_venue(cls, venues: tuple[str, ...]) -> tuple[str, ...]:
        if len(venues) != 1 or venues[0] not in ALPACA_VENUES:
            raise ValueError(f"expected one of {', '.join(ALPACA_VENUES)}")
        return venues

    @field_validator("symbols")
    @classmethod
    def _readable_symbols(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        if not symbols:
            raise ValueError("expected at least one symbol")
        for symbol in symbols:
            _check_symbol(symbol)
        return symbols

    @property
    def venue(self) -> str:
        """The venue's name in blocks, subjects and answers."""
        return self.market_data_venues[0]


def _check_symbol(symbol: str) -> None:
    try:
        parse_symbol(symbol)
    except InvalidArgument as error:
        raise ValueError(f"{symbol!r} is no symbol: {error.message}") from error
