"""What execution may be told."""

from typing import Literal

from pydantic import AliasChoices, Field

from fleet.settings import AlpacaSettings, BinanceSettings, DatabaseSettings, FleetSettings, Names


class Settings(AlpacaSettings, BinanceSettings, DatabaseSettings, FleetSettings):
    """Execution: risk checks, durable orders, the venue."""

    grpc_port: int = Field(50053, ge=1, le=65535, description="Port of the gRPC server.")
    metrics_port: int = Field(9103, ge=1, le=65535, description="Port of /metrics, /healthz and /readyz.")
    execution_venue: Literal["paper", "alpaca", "binance"] = Field(
        "paper",
        validation_alias=AliasChoices("NT_EXECUTION_VENUE", "NT_VENUE"),
        description="Venue that works the orders: paper (the local exchange), alpaca or binance.",
    )
    paper_protocol: Literal["alpaca", "binance"] = Field(
        "alpaca", description="Whose protocol is spoken to the local exchange; binance trades coins only."
    )
    venue_timeout_seconds: float = Field(3.0, gt=0, le=60, description="Longest wait for an answer of the venue.")
    venue_connections: int = Field(32, ge=1, le=512, description="Most connections to the venue's REST API.")
    market_data_timeout_seconds: float = Field(1.0, gt=0, le=60, description="Longest wait for market_data.")
    signal_trading_enabled: bool = Field(False, description="Trade signals until the switch is set by the API.")
    signal_models: Names = Field((), description="Models whose signals are traded; empty means all.")
    signal_notional: float = Field(10_000.0, gt=0, le=9e9, description="Value of a full-strength position.")
    signal_min_confidence: float = Field(0.5, ge=0, le=1, description="Signals below this confidence are ignored.")
    default_max_order_notional: float = Field(
        1_000_000.0, gt=0, le=9e9, description="First max order notional of a new account, in its currency."
    )
    default_price_collar: float = Field(0.1, gt=0, le=1, description="First price collar of a new account, a fraction.")
    default_max_quote_age_seconds: float = Field(
        15.0, gt=0, description="First oldest quote that an order of a new account may be judged by."
    )
    default_max_open_orders: int = Field(10_000, ge=1, description="First cap on open orders of a new account.")
    default_refuse_self_trades: bool = Field(
        True, description="Whether a new account refuses orders that would trade with its own."
    )
    lease_seconds: float = Field(
        5.0, ge=0.5, le=300, description="How long a writer that is silent keeps the order log to itself."
    )
    expire_seconds: float = Field(0.5, gt=0, description="How often orders are ended whose time has run out.")
    daily_loss_seconds: float = Field(0.5, gt=0, description="How often the day's loss is looked at.")
    journal_pending_events: int = Field(20_000, ge=1, description="Most events that wait to be written.")
    journal_batch_orders: int = Field(512, ge=1, description="Most orders in one commit.")
    journal_patience_seconds: float = Field(2.0, gt=0, description="Longest wait of a submit for the order log.")
    journal_linger_ms: float = Field(
        2.0, ge=0, le=1000, description="How long what the venue said may wait to be committed along with others."
    )
    outbox_pending_events: int = Field(20_000, ge=1, description="Most events relayed from memory; beyond, the store.")
    outbox_linger_ms: float = Field(5.0, ge=0, le=1000, description="How long an event waits to be told with others.")
    closed_orders_in_memory: int = Field(10_000, ge=0, description="Closed orders kept in memory.")
    in_flight_orders: int = Field(512, ge=1, description="Most orders on their way to the venue at once.")
    stream_in_flight: int = Field(256, ge=1, description="Most commands of one order stream under way at once.")
    cancel_wait_seconds: float = Field(2.0, gt=0, description="Longest wait for the venue's answer to a cancel.")
    reconcile_in_flight_seconds: float = Field(2.0, gt=0, description="How often overdue orders are asked for.")
    reconcile_in_flight_age_seconds: float = Field(5.0, gt=0, description="When an unanswered order is overdue.")
    reconcile_open_seconds: float = Field(10.0, gt=0, description="How often open orders are compared.")
    reconcile_positions_seconds: float = Field(60.0, gt=0, description="How often positions are compared.")
    reconcile_miss_apart_seconds: float = Field(10.0, gt=0, description="Time between the two proofs of absence.")
    reconcile_lookback_seconds: float = Field(3600.0, gt=0, description="How far back the first comparison looks.")
    charges_seconds: float = Field(60.0, gt=0, description="How often the venue's charges beside fills are asked for.")
    charges_lookback_seconds: float = Field(
        604_800.0, gt=0, description="How far back charges are looked for that the venue tells late."
    )
    charges_lookback_every_seconds: float = Field(3600.0, gt=0, description="How often late charges are looked for.")
    account_refresh_seconds: float = Field(10.0, gt=0, description="How often the venue's account is asked for.")
    instrument_refresh_seconds: float = Field(10.0, gt=0, description="How often the instruments are asked for.")

    @property
    def venue_protocol(self) -> str:
        """Whose protocol the venue of the orders speaks."""
        return self.paper_protocol if self.execution_venue == "paper" else self.execution_venue
