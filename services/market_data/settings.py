"""What market_data may be told."""

from pydantic import AliasChoices, Field, ValidationInfo, field_validator

from fleet.settings import CacheSettings, FleetSettings, Names, VenueAccounts
from services.market_data.domain.activity_bars import ActivityRule
from services.market_data.domain.bar_query import parse_bar
from services.market_data.domain.history import DECODED_MEGABYTES, JOINED_ROWS
from services.market_data.domain.windows import parse_window
from trading.errors import InvalidArgument
from trading.instruments import parse_symbol
from trading.market import Interval

VENUES = ("paper", "alpaca", "polygon", "binance")


class Settings(VenueAccounts, CacheSettings, FleetSettings):
    """The market: venue streams in, blocks and bars out."""

    grpc_port: int = Field(50051, ge=1, le=65535, description="Port of the gRPC server.")
    metrics_port: int = Field(9101, ge=1, le=65535, description="Port of /metrics, /healthz and /readyz.")
    market_data_venues: Names = Field(
        ("paper",),
        validation_alias=AliasChoices("NT_MARKET_DATA_VENUES", "NT_VENUE"),
        description="Venues to stream, the first that carries a symbol answers for it: paper (the local exchange, in "
        "Alpaca's protocol), alpaca, polygon, binance.",
    )
    block_ticks: int = Field(256, ge=1, le=4096, description="Ticks per symbol at which blocks leave at the latest.")
    pending_ticks: int = Field(131_072, ge=1, description="Most ticks that wait to leave, over all symbols.")
    flush_ms: float = Field(10.0, ge=0, le=1000, description="Longest wait of a tick while more come without a pause.")
    stale_after_seconds: float = Field(15.0, gt=0, description="Silence after which a feed of shares is stale.")
    stale_crypto_seconds: float = Field(15.0, gt=0, description="Silence after which a feed of coins is stale.")
    silent_crypto_seconds: float = Field(
        60.0, gt=0, description="Silence after which a feed of coins is opened again; shares may rest over night."
    )
    future_seconds: float = Field(10.0, gt=0, description="How far ahead of its receipt a tick may be stamped.")
    future_ticks: int = Field(
        64, ge=1, description="Ticks of a symbol in a row that are further ahead and yet believed: its clock is ahead."
    )
    backfill_overlap_seconds: float = Field(5.0, ge=0, description="How far before a loss missed trades are asked for.")
    backfill_trades: int = Field(10_000, ge=1, le=10_000, description="Missed trades asked for at a time.")
    backfill_settle_seconds: float = Field(
        1.0, ge=0, description="How far a venue's memory may lag behind its stream: a quiet symbol is asked after it."
    )
    backfill_patience_seconds: float = Field(
        5.0, ge=0, description="How long missed trades may stay away before they are called a gap."
    )
    trade_ids_kept: int = Field(4096, ge=16, description="Trade ids of a symbol remembered to tell what came twice.")
    held_trades: int = Field(65_536, ge=1, description="Live trades of a symbol that wait for missed ones.")
    bar_grace_ms: float = Field(1000.0, ge=0, description="How late, in the market's time, a trade may come for a bar.")
    bar_revisable_seconds: float = Field(
        900.0, ge=0, description="How long after its end late trades and corrections may still change a bar."
    )
    bar_trades_kept: int = Field(100_000, ge=0, description="Newest trades of a venue kept for corrections of bars.")
    bars: Names = Field(
        ("1m", "5m", "1h", "1d", "tick-1000", "volume-10000", "value-1000000"),
        description="Bars to make: 1m, 5m, 1h, 1d of time; tick-N trades, volume-N units, value-N of currency.",
    )
    windows: Names = Field(
        ("vwap:5m", "ema:1m", "volatility:5m"),
        description="Rolling windows of each symbol: vwap, ema or volatility over a time (30s, 5m, 1h) or ticks (500).",
    )
    ring: str = Field("", description="Name of a shared-memory ring for ticks to readers on this host; empty for none.")
    ring_ticks: int = Field(
        1 << 20, ge=2, description="Ticks of 64 bytes that the ring holds; a power of two. All of it is taken at start."
    )
    alpaca_halts: bool = Field(
        False, description="Ask Alpaca for halts and price bands too, where the data plan carries them."
    )
    hours_timeout_seconds: float = Field(60.0, gt=0, description="Patience while trading hours are worked out.")
    hours_refresh_seconds: float = Field(86_400.0, gt=0, description="Rhythm of looking at trading hours again.")
    hours_retry_seconds: float = Field(60.0, gt=0, description="Wait after trading hours could not be worked out.")
    live_bars: int = Field(1500, ge=1, description="Bars of this run kept in memory for each symbol.")
    first_retry_ms: float = Field(250.0, ge=0, description="Jitter of the first retry after a loss.")
    retry_base_seconds: float = Field(1.0, gt=0, description="Second wait after a loss; later ones double.")
    retry_cap_seconds: float = Field(30.0, gt=0, description="Longest wait between retries.")
    mute_after_seconds: float = Field(
        10.0,
        gt=0,
        description="A connection that is silent and answers no ping for so long is lost; it is asked after a third.",
    )
    connect_timeout_seconds: float = Field(10.0, gt=0, description="Patience for a connection and its login.")
    venue_timeout_seconds: float = Field(4.0, gt=0, description="Patience for an answer of the venue's REST API.")
    assets_asked_alone: int = Field(
        64, ge=0, description="Symbols that a venue is asked about one by one; of more its whole list is fetched."
    )
    binance_life_seconds: float = Field(
        82_800.0, gt=0, description="Age at which a Binance connection is changed for a new one; it ends after a day."
    )
    binance_overlap_seconds: float = Field(1.0, ge=0, description="How long both are read side by side.")
    binance_by_depth: bool = Field(
        False, description="Take Binance's quotes from books kept here, every 100 ms, instead of its bookTicker."
    )
    binance_weight: int = Field(5_400, ge=1, description="Request weight a minute after which Binance is not asked.")
    frame_bytes_most: int = Field(16 * 1024 * 1024, ge=4096, description="Largest frame taken from a venue.")
    frames_ahead: int = Field(16, ge=1, description="Frames read ahead of the decoder; then the socket waits.")
    nats_patience_seconds: float = Field(2.0, ge=0, description="How long ticks wait for NATS before they are dropped.")
    stream_clients: int = Field(64, ge=1, description="Most StreamQuotes calls at a time.")
    stream_blocks: int = Field(1024, ge=1, description="Blocks that wait for a slow StreamQuotes reader.")
    history_recording: bool = Field(True, description="Write published quotes, trades and bars to <data-dir>/history.")
    history_flush_seconds: float = Field(10.0, gt=0, description="Rhythm of writing the history.")
    history_flush_rows: int = Field(200_000, ge=1, description="Rows that are written before their time has come.")
    history_pending_rows: int = Field(2_000_000, ge=1, description="Most rows that wait for the disk; the oldest go.")
    history_tidy_seconds: float = Field(60.0, gt=0, description="Rhythm of merging small files and dropping old ones.")
    history_tick_days: int = Field(30, ge=0, description="Days to keep recorded quotes and trades; 0 keeps them.")
    history_bar_days: int = Field(0, ge=0, description="Days to keep bars; 0 keeps them.")
    history_decoded_megabytes: int = Field(
        DECODED_MEGABYTES,
        ge=0,
        description="Disk for decoded copies of ended days, newest first, which read faster; 0 for none.",
    )
    history_cached_megabytes: int = Field(64, ge=0, description="Memory for files too small for a decoded copy.")
    history_joined_rows: int = Field(
        JOINED_ROWS, ge=0, description="Most ticks of an ended day that are joined into one file."
    )
    history_settle_seconds: float = Field(900.0, ge=0, description="Age at which a venue's past is taken to be final.")
    history_rows: int = Field(1_000_000, ge=1, description="Most rows of one historical table.")
    history_scan_megabytes: int = Field(2048, ge=1, description="Most bytes of files that one table may open.")
    history_reads: int = Field(2, ge=1, description="Historical tables that are read at a time.")
    history_tables: int = Field(
        16, ge=1, description="Tables and SQL answers on their way at a time; more are refused."
    )
    query_seconds: float = Field(10.0, gt=0, description="Time that an SQL query may take.")
    query_megabytes: int = Field(1024, ge=64, description="Memory that an SQL query may use.")
    query_rows: int = Field(100_000, ge=1, description="Most rows of an SQL answer.")
    query_answer_megabytes: int = Field(64, ge=1, description="Largest SQL answer.")
    query_workers: int = Field(2, ge=1, description="SQL queries that run at a time.")
    query_waiting: int = Field(8, ge=0, description="SQL queries that wait for a worker; more are refused.")
    mirror_ms: float = Field(100.0, gt=0, description="Rhythm of copying newest quotes to the cache.")
    mirror_ttl_seconds: float = Field(86_400.0, gt=0, description="How long a quote lives in the cache.")

    @field_validator("market_data_venues")
    @classmethod
    def _known_venues(cls, venues: tuple[str, ...]) -> tuple[str, ...]:
        if not venues or set(venues) - set(VENUES):
            raise ValueError(f"expected one of {', '.join(VENUES)}, or several")
        if len(set(venues)) < len(venues) or {"paper", "alpaca"} <= set(venues):
            raise ValueError("expected each venue once; paper and alpaca share their settings and are one")
        return venues

    @field_validator("ring_ticks")
    @classmethod
    def _power_of_two(cls, ticks: int) -> int:
        if ticks & (ticks - 1):
            raise ValueError("expected a power of two")
        return ticks

    @field_validator("bars", "windows")
    @classmethod
    def _readable_rules(cls, texts: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for text in texts:
            try:
                parse_window(text) if info.field_name == "windows" else parse_bar(text)
            except InvalidArgument as error:
                raise ValueError(f"{text!r}: {error.message}") from error
        return texts

    @property
    def time_bars(self) -> tuple[Interval, ...]:
        """The bars of time to make; those of a minute always, because the others rest on them."""
        return tuple(interval for interval in Interval if interval in {Interval.ONE_MINUTE, *self.bars})

    @property
    def activity_bars(self) -> tuple[ActivityRule, ...]:
        """The bars to make that end with what was traded."""
        return tuple(rule for text in self.bars if isinstance(rule := parse_bar(text), ActivityRule))

    @field_validator("symbols")
    @classmethod
    def _readable_symbols(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        if not symbols:
            raise ValueError("expected at least one symbol")
        for symbol in symbols:
            _check_symbol(symbol)
        return symbols


def _check_symbol(symbol: str) -> None:
    try:
        parse_symbol(symbol)
    except InvalidArgument as error:
        raise ValueError(f"{symbol!r} is no symbol: {error.message}") from error
